"""Reports about routes, their middlewares and certificates, and Traefik that does not take them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from hopcheck.lab.faults import parts
from hopcheck.lab.faults.gallery import (
    ENDPOINTS,
    INGRESS,
    REQUEST,
    TRAEFIK_LOGS,
    TRAEFIK_SERVICE,
)
from hopcheck.lab.field.gallery import Mend, Named, report
from hopcheck.lab.pods import AppPod, Behaviour
from hopcheck.lab.setups.gallery import (
    Obj,
    annotate,
    edit_ingress,
    edit_traefik_service,
    flags,
    get,
    ingress_only,
    instead_of_ingress,
    put,
)
from hopcheck.lab.setups.traefiks import edit_pods
from hopcheck.lab.topology import (
    APP,
    APP_PODS,
    GATEWAY,
    HOST,
    SECRET,
    SERVICE,
    TRAEFIK,
    traefik_rules,
)
from hopcheck.lab.topology import INGRESS as NAME

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_MATCH = f"Host(`{HOST}`)"
_OURS = "[{name: my-app-service, port: 80}]"
_UNMATCHED = "404 of Traefik"
# What Traefik itself says of it is a step of its own.
_TRAEFIK = tuple(
    Named(step, "Deployment", TRAEFIK, GATEWAY) for step in (TRAEFIK_SERVICE, TRAEFIK_LOGS)
)
_APP_INGRESS = f"Ingress {APP}/{NAME}"
_SOLVER = "cm-acme-http-solver-9zq4t"
_TOKEN = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"  # noqa: S105


def _route(name: str = "my-app") -> Named:
    return Named(INGRESS, "IngressRoute", name, APP)


async def _extra_pod(lab: Lab, name: str, port: int, host: int, app: str) -> None:
    """One more pod, whose label `app` is its only one, and what runs in it."""
    address = lab.address(host)
    found = get(lab, "pods", APP, APP_PODS[0])
    container = {"name": app, "image": f"example/{app}", "ports": [{"containerPort": port}]}
    spec = found["spec"] | {"containers": [container]}
    meta = {"name": name, "namespace": APP, "labels": {"app": app}}
    meta["creationTimestamp"] = found["metadata"]["creationTimestamp"]
    status = {"phase": "Running", "podIP": address}
    lab.store.put(found | {"metadata": meta, "spec": spec, "status": status})
    await lab.add_container(APP, name, AppPod(name, address, port))


@report(
    "f1",
    Named(INGRESS, "Ingress", _SOLVER, APP),
    happens=_UNMATCHED,
    innocent=(f"Ingress {APP}/app",),
    asked=f"http://{HOST}{_TOKEN}",
)
async def solver(lab: Lab) -> Mend:
    """The Ingress of cert-manager's solver names no entryPoint, and the default is websecure."""
    found = get(lab, "ingresses", APP, NAME)  # by its name the solver's must not come first
    lab.store.delete("ingresses", APP, NAME)
    lab.store.put(found | {"metadata": {"name": "app", "namespace": APP}})
    await flags(lab, "--entryPoints.websecure.asDefault=true")
    await _extra_pod(lab, _SOLVER, 8089, 89, _SOLVER)
    put(lab, "Service", _SOLVER, f"{{selector: {{app: {_SOLVER}}}, ports: [{{port: 8089}}]}}")
    put(
        lab, "Ingress", _SOLVER,
        f"{{ingressClassName: traefik, rules: [{{host: {HOST}, http: {{paths: [{{path: {_TOKEN},"
        f" pathType: Exact, backend: {{service: {{name: {_SOLVER}, port: {{number: 8089}}}}}}}}]}}"
        "}]}",
    )  # fmt: skip

    async def mend() -> None:  # by the Issuer's ingressTemplate
        annotate(lab, "ingresses", _SOLVER, router__entrypoints="web")

    return mend


@report(
    "f2",
    Named(INGRESS, "Middleware", "office", APP),
    Named(REQUEST, "Middleware", "office", APP),
    happens="403",
    innocent=(f"Application {APP}/{SERVICE}",),
)
async def allow_list(lab: Lab) -> Mend:
    """An allow list holds the clients' addresses, and Traefik sees the nodes' instead."""
    put(lab, "Middleware", "office", f"ipAllowList: {{sourceRange: [{lab.cloud.client_address}]}}")
    annotate(lab, "ingresses", NAME, router__middlewares=f"{APP}-office@kubernetescrd")

    async def mend() -> None:
        edit_traefik_service(lab, lambda obj: obj["spec"].update(externalTrafficPolicy="Local"))

    return mend


@report(
    "f3",
    _route(),
    happens=_UNMATCHED,
    says=r"traefik\.containo\.us",
    innocent=(f"Host {HOST}",),
)
async def former_group(lab: Lab) -> Mend:
    """The IngressRoute is of traefik.containo.us, which version 3 does not read."""
    lab.server.hidden.clear()
    put(lab, "TLSStore", "default", f"certificates: [{{secretName: {SECRET}}}]")
    instead_of_ingress(lab, _MATCH, _OURS)
    found = get(lab, "ingressroutes", APP, "my-app")
    lab.store.delete("ingressroutes", APP, "my-app")
    meta = {"name": "my-app", "namespace": APP}
    spec = found["spec"]
    former = {"apiVersion": "traefik.containo.us/v1alpha1", "kind": "IngressRoute"}
    lab.store.put(former | {"metadata": meta, "spec": spec})

    async def mend() -> None:
        put(lab, "IngressRoute", "my-app", spec)
        lab.store.delete("ingressroutes.traefik.containo.us", APP, "my-app")

    return mend


@report("f4", *_TRAEFIK, happens="TLS: .*", says="(?i)permission|600", innocent=(_APP_INGRESS,))
async def acme_mode(lab: Lab) -> Mend:
    """The file with the certificates has mode 660: Traefik goes without the resolver."""
    edit_ingress(lab, lambda obj: obj["spec"].pop("tls"))
    lab.store.delete("secrets", APP, SECRET)
    annotate(lab, "ingresses", NAME, router__tls__certresolver="le")
    stored = {
        "domain": {"main": HOST},
        "certificate": base64.b64encode(lab.certificates.site_certificate).decode(),
        "key": base64.b64encode(lab.certificates.site_key).decode(),
        "Store": "default",
    }
    path = lab.directory / "acme.json"
    path.write_text(json.dumps({"le": {"Account": None, "Certificates": [stored]}}))
    path.chmod(0o660)

    def volume(spec: Obj) -> None:
        spec["securityContext"] = {"fsGroup": 65532}  # which is how files come to have 660
        spec["volumes"] = [{"name": "acme", "persistentVolumeClaim": {"claimName": "acme"}}]
        mounted = {"name": "acme", "mountPath": str(lab.directory)}
        spec["containers"][0]["volumeMounts"] = [mounted]

    edit_pods(lab, volume)
    own = "--certificatesResolvers.le.acme"
    await flags(lab, f"{own}.email=ops@example.com", f"{own}.storage={path}",
                f"{own}.caServer=https://127.0.0.1:1/dir", f"{own}.tlsChallenge=true")  # fmt: skip

    async def mend() -> None:
        path.chmod(0o600)
        await flags(lab)  # another container reads the file

    return mend


@report(
    "f6",
    Named(INGRESS, "Ingress", NAME, APP),
    happens="404",
    says="(?i)annotation",
    innocent=(f"Application {APP}/{SERVICE}",),
    asked=f"https://{HOST}/app",
)
async def foreign_annotation(lab: Lab) -> Mend:
    """An annotation of ingress-nginx is to rewrite the path; the application knows / only."""
    await lab.set_app(None, Behaviour(knows=("/",)))
    ingress_only(lab, (HOST, "/app", SERVICE))
    note = {"nginx.ingress.kubernetes.io/rewrite-target": "/"}
    edit_ingress(lab, lambda obj: obj["metadata"].update(annotations=note))

    async def mend() -> None:
        put(lab, "Middleware", "strip", "stripPrefix: {prefixes: [/app]}")
        edit_ingress(lab, lambda obj: obj["metadata"].pop("annotations"))
        annotate(lab, "ingresses", NAME, router__middlewares=f"{APP}-strip@kubernetescrd")

    return mend


@report(
    "f7",
    *_TRAEFIK,
    happens=_UNMATCHED,
    says=r"--api",
    never="(?i)restart",
    innocent=(f"IngressRoute {APP}/my-app",),
    asked=f"https://{HOST}/dashboard/",
)
async def no_api(lab: Lab) -> Mend:
    """A route leads to Traefik's own API, which is not switched on."""
    instead_of_ingress(
        lab,
        f"{_MATCH} && (PathPrefix(`/dashboard`) || PathPrefix(`/api`))",
        "[{name: api@internal, kind: TraefikService}]",
    )
    await flags(lab, without=("--api",))

    async def mend() -> None:
        await flags(lab, "--api.dashboard=true")

    return mend


@report(
    "f8",
    Named(REQUEST, "Application", SERVICE, APP),
    Named(INGRESS, "Middleware", "strip", APP),
    happens=f"{_UNMATCHED} at /login",
    says="(?i)/login",
    innocent=(_APP_INGRESS,),
    asked=f"https://{HOST}/jenkins",
    mended="200 at /jenkins/login",
)
async def unknown_prefix(lab: Lab) -> Mend:
    """A prefix is stripped, and the application redirects to a path without it."""
    await lab.set_app(None, Behaviour(status=302, location="/login", only_at="/"))
    put(lab, "Middleware", "strip", "stripPrefix: {prefixes: [/jenkins]}")
    ingress_only(lab, (HOST, "/jenkins", SERVICE))
    annotate(lab, "ingresses", NAME, router__middlewares=f"{APP}-strip@kubernetescrd")

    async def mend() -> None:  # the application is told its prefix
        await lab.set_app(None, Behaviour(status=302, location="/jenkins/login", only_at="/"))

    return mend


@report(
    "f9",
    Named(ENDPOINTS, "Service", "green", APP),
    Named(ENDPOINTS, "Deployment", "green", APP),
    _route(),
    happens=_UNMATCHED,
    says="green",
    innocent=(f"Service {APP}/{SERVICE}",),
)
async def one_service_empty(lab: Lab) -> Mend:
    """One of a route's two Services is scaled to zero, which empties the whole route."""
    put(lab, "Service", "green", "{selector: {app: green}, ports: [{port: 80, targetPort: 8080}]}")
    labels = "{app: green}"
    put(
        lab, "Deployment", "green",
        f"{{replicas: 0, selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels:"
        f" {labels}}}, spec: {{containers: [{{name: green, image: example/green}}]}}}}}}",
    )  # fmt: skip
    instead_of_ingress(lab, _MATCH, "[{name: my-app-service, port: 80}, {name: green, port: 80}]")

    async def mend() -> None:
        instead = [{"name": SERVICE, "port": 80}]
        lab.store.patch(
            "ingressroutes",
            APP,
            "my-app",
            lambda o: o["spec"]["routes"][0].update(services=instead),
        )

    return mend


@report(
    "f10",
    *_TRAEFIK,
    Named(TRAEFIK_SERVICE, "ClusterRole", TRAEFIK),
    happens=_UNMATCHED,
    says="middlewaretcps",
    never="(?i)restart",
    innocent=(f"IngressRoute {APP}/my-app",),
)
async def one_kind_forbidden(lab: Lab) -> Mend:
    """Traefik may not list middlewaretcps: no IngressRoute is read, a neighbour's Ingress works."""
    ingress_only(lab, ("neighbour.example.com", "/", SERVICE))
    found = get(lab, "ingresses", APP, NAME)
    lab.store.put(found | {"metadata": {"name": "neighbour", "namespace": APP}})
    instead_of_ingress(lab, _MATCH, _OURS)
    kinds = [
        *("ingressroutes", "ingressroutetcps", "ingressrouteudps", "middlewares", "tlsoptions"),
        *("tlsstores", "traefikservices", "serverstransports", "serverstransporttcps"),
    ]
    await lab.set_traefik_rules(
        [
            rule | {"resources": kinds} if rule["apiGroups"] == ["traefik.io"] else rule
            for rule in traefik_rules(lab.version)
        ]
    )

    async def mend() -> None:
        await lab.set_traefik_rules(traefik_rules(lab.version))

    return mend


@report("f11", *_TRAEFIK, happens=_UNMATCHED, says="(?i)kubernetescrd", innocent=(_APP_INGRESS,))
async def crd_provider_off(lab: Lab) -> Mend:
    """The Ingress names a middleware that exists, and the provider that would read it is off."""
    put(lab, "Middleware", "compress", "compress: {}")
    annotate(lab, "ingresses", NAME, router__middlewares=f"{APP}-compress@kubernetescrd")
    before = get(lab, "deployments", GATEWAY, TRAEFIK)["spec"]["template"]["spec"]["containers"][0]
    on = [word for word in before["args"] if word.startswith("--providers.kubernetescrd")]
    per_pod = {
        pod.address: [
            word
            for word in get(lab, "pods", GATEWAY, pod.name)["spec"]["containers"][0]["args"]
            if word.startswith("--providers.kubernetescrd")
        ]
        for pod in lab.plan.traefik
    }
    await flags(lab, without=("--providers.kubernetescrd",))

    async def mend() -> None:
        def again(args: list[str]) -> list[str]:
            own = next((a for a in per_pod if any(f"={a}:" in word for word in args)), "")
            return [*args, *per_pod.get(own, on)]

        await lab.set_traefik_args(again)

    return mend


@report(
    "f12",
    Named(INGRESS, "Secret", SECRET, APP),
    Named(REQUEST, "Secret", SECRET, APP),
    happens="TLS: unable to get local issuer certificate",
    says="(?i)intermediate|chain",
    innocent=(_APP_INGRESS,),
)
async def leaf_alone(lab: Lab) -> Mend:
    """The Secret holds the certificate without its intermediate."""
    issued = lab.certificates.public.create_child_ca().issue_cert(HOST)
    leaf, *chain = (blob.bytes() for blob in issued.cert_chain_pems)
    key = issued.private_key_pem.bytes()
    parts.set_secret(lab, {"tls.crt": leaf, "tls.key": key})

    async def mend() -> None:
        parts.set_secret(lab, {"tls.crt": b"".join((leaf, *chain)), "tls.key": key})

    return mend


@report(
    "f13",
    Named(ENDPOINTS, "Service", SERVICE, APP),
    _route(),
    happens="500|502",
    says="h2c",
    never="https",
    innocent=(f"Application {APP}/{SERVICE}",),
)
async def h2c_alone(lab: Lab) -> Mend:
    """The pods speak HTTP/2 in plain text alone, and the route does not say so."""
    await lab.set_app(None, Behaviour(h2c=True))
    # `schema: h2c`, as it was written, is pruned by the API server: the CRD knows no such field.
    instead_of_ingress(lab, _MATCH, _OURS)

    async def mend() -> None:
        lab.store.patch(
            "ingressroutes", APP, "my-app",
            lambda obj: obj["spec"]["routes"][0]["services"][0].update(scheme="h2c"),
        )  # fmt: skip

    return mend
