"""Faults of the Ingress and of what it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults import parts
from hopcheck.lab.faults.gallery import DEGRADED, HEALTHY, INGRESS, Expect, fault
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.topology import APP, GATEWAY, HOST, SERVICE, TRAEFIK
from hopcheck.lab.topology import INGRESS as NAME

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]
_CLASS = "kubernetes.io/ingress.class"


def _ingress(code: str) -> Expect:
    return Expect(code, "Ingress", NAME, APP)


def _edit_backend(lab: Lab, **values: object) -> None:
    def edit(spec: Obj) -> None:
        spec["rules"][0]["http"]["paths"][0]["backend"]["service"].update(values)

    parts.edit_ingress(lab, edit)


def _annotate(lab: Lab, name: str, value: str) -> None:
    parts.annotate(lab, f"{parts.PREFIX}/{name}", value)


# --- hosts and classes


@fault("ing-no-host", INGRESS, _ingress("ING001"))
async def no_host(lab: Lab) -> None:
    """The Ingress's host is edited: no rule names the one that is asked for."""
    parts.edit_ingress(lab, lambda spec: spec["rules"][0].update(host="my-app.example.com"))


@fault("ing-class-other", INGRESS, _ingress("ING002"))
async def class_other(lab: Lab) -> None:
    """The Ingress belongs to another controller's class."""
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "nginx"},
            "spec": {"controller": "k8s.io/ingress-nginx"},
        }
    )
    parts.edit_ingress(lab, lambda spec: spec.update(ingressClassName="nginx"))


@fault("ing-class-missing", INGRESS, _ingress("ING002"))
async def class_missing(lab: Lab) -> None:
    """The Ingress names a class that does not exist."""
    parts.edit_ingress(lab, lambda spec: spec.update(ingressClassName="traefik-public"))


@fault("ing-class-flag", INGRESS, _ingress("ING002"))
async def class_flag(lab: Lab) -> None:
    """Traefik is told to read another class only than the Ingress has."""
    await _set_provider(lab, "ingressclass=traefik-internal")


@fault("ing-annotation-other", INGRESS, _ingress("ING002"))
async def annotation_other(lab: Lab) -> None:
    """The Ingress has no class, and its old annotation names another controller."""
    parts.edit_ingress(lab, lambda spec: spec.pop("ingressClassName"))
    parts.annotate(lab, _CLASS, "nginx")


@fault("ing-no-default-class", INGRESS, _ingress("ING002"))
async def no_default_class(lab: Lab) -> None:
    """The Ingress has no class, and Traefik reads one class only."""
    parts.edit_ingress(lab, lambda spec: spec.pop("ingressClassName"))
    await _set_provider(lab, f"ingressclass={TRAEFIK}")


@fault("ing-clusterscope-off", INGRESS, _ingress("ING002"))
async def cluster_scope_off(lab: Lab) -> None:
    """Traefik looks up no IngressClass, and the Ingress names one in its spec."""
    await _set_provider(lab, "disableclusterscoperesources=true")


async def _set_provider(lab: Lab, setting: str) -> None:
    flag = f"--providers.kubernetesingress.{setting}"
    await lab.set_traefik_args(lambda args: [*args, flag])


@fault("ing-namespace-filter", INGRESS, _ingress("ING003"))
async def namespace_filter(lab: Lab) -> None:
    """Traefik watches namespaces of which the Ingress's is none."""
    await _set_provider(lab, f"namespaces={GATEWAY},kube-system")


@fault("ing-label-filter", INGRESS, _ingress("ING003"))
async def label_filter(lab: Lab) -> None:
    """Traefik reads Ingresses with a label that this one lacks."""
    await _set_provider(lab, "labelselector=exposure=public")


# --- backends


@fault("ing-svc-missing", INGRESS, _ingress("ING004"))
async def service_missing(lab: Lab) -> None:
    """The Ingress's backend names a Service that does not exist."""
    _edit_backend(lab, name="my-app-svc")


@fault("ing-cross-ns-backend", INGRESS, _ingress("ING004"))
async def cross_namespace_backend(lab: Lab) -> None:
    """The Service that the Ingress names lives in another namespace."""
    parts.copied_app(lab, SERVICE, "shop")
    lab.store.delete("services", APP, SERVICE)


@fault("ing-port-number", INGRESS, _ingress("ING005"))
async def port_number(lab: Lab) -> None:
    """The Ingress's backend names a port number that the Service does not have."""
    _edit_backend(lab, port={"number": 8080})


@fault("ing-port-name", INGRESS, _ingress("ING005"))
async def port_name(lab: Lab) -> None:
    """The Ingress's backend names a port name that the Service does not have."""
    _edit_backend(lab, port={"name": "web"})


@fault("ing-resource-backend", INGRESS, _ingress("ING006"))
async def resource_backend(lab: Lab) -> None:
    """The Ingress's backend is a resource (a bucket), which Traefik does not support."""
    resource = {"apiGroup": "k8s.example.com", "kind": "StorageBucket", "name": "static-assets"}
    parts.edit_path(lab, backend={"resource": resource})


@fault("ing-no-http", INGRESS, _ingress("ING006"))
async def no_http(lab: Lab) -> None:
    """The Ingress's rule has a host and no http.paths."""
    parts.edit_ingress(lab, lambda spec: spec["rules"][0].pop("http"))


@fault("ing-annotation-bad", INGRESS, _ingress("ING006"))
async def annotation_bad(lab: Lab) -> None:
    """An annotation of the Ingress cannot be parsed: Traefik drops the whole Ingress."""
    _annotate(lab, "router.priority", "high")


# --- paths and rivals


@fault("ing-path-missing", INGRESS, _ingress("ING007"))
async def path_missing(lab: Lab) -> None:
    """The Ingress's only path is another one than the request's."""
    parts.edit_path(lab, path="/api")


@fault("ing-path-exact", INGRESS, _ingress("ING007"), asked=(f"https://{HOST}/api/",))
async def path_exact(lab: Lab) -> None:
    """The Ingress's path is Exact /api, the request asks for /api/."""
    parts.edit_path(lab, path="/api", pathType="Exact")


@fault("ing-path-exact-below", INGRESS, _ingress("ING007"), asked=(f"https://{HOST}/api/v1",))
async def path_exact_below(lab: Lab) -> None:
    """The Ingress's path is Exact /api, the request asks for a path below it."""
    parts.edit_path(lab, path="/api", pathType="Exact")


@fault("ing-path-case", INGRESS, _ingress("ING007"), asked=(f"https://{HOST}/API",))
async def path_case(lab: Lab) -> None:
    """The Ingress's path is /api, the request asks for /API."""
    parts.edit_path(lab, path="/api")


@fault("ing-path-overmatch", INGRESS, _ingress("ING008"), asked=(f"https://{HOST}/apix",))
async def path_overmatch(lab: Lab) -> None:
    """Prefix /api takes /apix, character by character, to a backend that has nothing there."""
    backend = parts.second_app(lab)
    await lab.set_app(lab.plan.app[1].name, Behaviour(only_host="api.example.com"))

    def add(spec: Obj) -> None:
        path = {"path": "/api", "pathType": "Prefix", "backend": backend}
        spec["rules"][0]["http"]["paths"].append(path)

    parts.edit_ingress(lab, add)


@fault("ing-conflict", INGRESS, _ingress("ING009"), exit_code=DEGRADED)
async def conflict(lab: Lab) -> None:
    """An Ingress of another namespace claims the same host and path."""
    parts.copied_app(lab, "shop", "shop")
    rival = lab.store.get("ingresses", APP, NAME)
    if rival is None:
        raise LookupError(f"no Ingress {NAME}: inject into a healthy lab")
    rival["metadata"] = {"name": "shop", "namespace": "shop"}
    rival["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "shop"
    rival["spec"].pop("tls")
    lab.store.put(rival)


@fault(
    "ing-wildcard-steals",
    INGRESS,
    Expect("ING008", "Ingress", "wildcard", APP),
    exit_code=DEGRADED,
    until=(3, 6),
)
async def wildcard_steals(lab: Lab) -> None:
    """A wildcard Ingress outranks the exact host: its rule is longer, up to v3.6."""
    backend = parts.second_app(lab)
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "wildcard", "namespace": APP},
            "spec": {
                "ingressClassName": TRAEFIK,
                "rules": [{"host": "*.example.com", "http": {"paths": [path]}}],
            },
        }
    )


# --- entryPoints


@fault("ing-ep-bad", INGRESS, _ingress("ING010"))
async def entrypoint_bad(lab: Lab) -> None:
    """The Ingress's annotation names an entryPoint that does not exist."""
    _annotate(lab, "router.entrypoints", "https")


@fault("ing-ep-partly", INGRESS, exit_code=HEALTHY, warns=(_ingress("ING010"),))
async def entrypoint_partly(lab: Lab) -> None:
    """One of the entryPoints that the annotation names does not exist; the others serve."""
    _annotate(lab, "router.entrypoints", "websecure,https")


@fault("ing-ep-other", INGRESS, _ingress("ING011"), exit_code=DEGRADED)
async def entrypoint_other(lab: Lab) -> None:
    """The Ingress is bound to web only, the request comes to websecure."""
    _annotate(lab, "router.entrypoints", "web")


@fault("ing-https-not-enabled", INGRESS, _ingress("ING011"), exit_code=DEGRADED)
async def https_not_enabled(lab: Lab) -> None:
    """spec.tls alone makes no TLS router: the entryPoint has no TLS of its own."""
    await lab.set_traefik_args(lambda args: [one for one in args if "http.tls" not in one])


@fault("ing-only-tls", INGRESS, _ingress("ING011"), asked=(f"http://{HOST}/",))
async def only_tls(lab: Lab) -> None:
    """router.tls makes TLS routers only, the request comes over http."""
    _annotate(lab, "router.tls", "true")


@fault(
    "ing-redirect-port",
    INGRESS,
    Expect("ING015", "Deployment", TRAEFIK, GATEWAY),
    asked=(f"http://{HOST}/",),
)
async def redirect_port(lab: Lab) -> None:
    """The redirect to https names the entryPoint's own port instead of 443."""
    flag = "--entryPoints.web.http.redirections.entryPoint.to=websecure"
    await lab.set_traefik_args(lambda args: [*args, flag])
