"""Ingresses, IngressRoutes and what they refer to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hopcheck.lab.setups.certificates import site_certificate
from hopcheck.lab.setups.gallery import (
    Obj,
    annotate,
    backend,
    edit_ingress,
    edit_service,
    flags,
    get,
    ingress_only,
    instead_of_ingress,
    put,
    setup,
)
from hopcheck.lab.topology import APP, HOST, INGRESS, LOAD_BALANCER, SECRET, SERVICE, TARGETS_HTTPS

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

FAMILY = "routes"
_OURS = "[{name: my-app-service, port: 80}]"
_MATCH = f"Host(`{HOST}`)"


@setup(FAMILY, "wildcard-host")
async def wildcard(lab: Lab) -> None:
    """The Ingress's host is *.example.com."""
    ingress_only(lab, ("*.example.com", "/", SERVICE))


@setup(FAMILY, "no-host")
async def no_host(lab: Lab) -> None:
    """The Ingress's rule names no host."""
    ingress_only(lab, ("", "/", SERVICE))


@setup(FAMILY, "default-backend")
async def default_backend(lab: Lab) -> None:
    """The Ingress has a default backend and no rules."""

    def edit(obj: Obj) -> None:
        del obj["spec"]["rules"]
        obj["spec"]["defaultBackend"] = backend(SERVICE)

    edit_ingress(lab, edit)


@setup(FAMILY, "no-class")
async def no_class(lab: Lab) -> None:
    """Neither the Ingress nor Traefik names a class; there is no IngressClass."""
    edit_ingress(lab, lambda obj: obj["spec"].pop("ingressClassName"))
    lab.store.delete("ingressclasses", None, "traefik")


@setup(FAMILY, "legacy-class")
async def legacy_class(lab: Lab) -> None:
    """The class is given by the old annotation."""

    def edit(obj: Obj) -> None:
        del obj["spec"]["ingressClassName"]
        obj["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "traefik"}

    edit_ingress(lab, edit)


@setup(FAMILY, "upper-case-host")
async def upper_case(lab: Lab) -> None:
    """An IngressRoute that writes the host in capitals."""
    instead_of_ingress(lab, "Host(`MyApp.Example.COM`)", _OURS)


@setup(FAMILY, "hosts-and-paths", target=f"https://{HOST}/api/v1/orders?page=2")
async def hosts_and_paths(lab: Lab) -> None:
    """One Ingress with several hosts and paths, some of them broken; the asked one is not."""
    ingress_only(
        lab,
        ("www.example.com", "/", "gone"),
        (HOST, "/static", "gone-too"),
        (HOST, "/api", SERVICE),
        ("myapp2.example.com", "/", "my-app-v2"),
    )


@setup(FAMILY, "two-ingresses", target=f"https://{HOST}/api")
async def two_ingresses(lab: Lab) -> None:
    """Two Ingresses share the host; the one for other paths leads nowhere."""
    put(
        lab,
        "Ingress",
        "a-front",
        f"{{ingressClassName: traefik, rules: [{{host: {HOST}, http: {{paths: [{{path: /front,"
        " pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}}]}",
    )
    ingress_only(lab, (HOST, "/api", SERVICE))


@setup(FAMILY, "exact-path", target=f"https://{HOST}/health")
async def exact_path(lab: Lab) -> None:
    """An Exact path, asked exactly."""
    ingress_only(lab, (HOST, "/health", SERVICE), kind="Exact")


@setup(FAMILY, "path-matcher", target=f"https://{HOST}/v2/items")
async def path_matcher(lab: Lab) -> None:
    """ImplementationSpecific paths with the pathmatcher annotation."""
    ingress_only(lab, (HOST, r"/v[0-9]+/.*", SERVICE), kind="ImplementationSpecific")
    annotate(lab, "ingresses", INGRESS, router__pathmatcher="PathRegexp")


@setup(FAMILY, "strict-prefix", target=f"https://{HOST}/shop/cart")
async def strict_prefix(lab: Lab) -> None:
    """StrictPrefixMatching."""
    ingress_only(lab, (HOST, "/shop", SERVICE))
    await flags(lab, "--providers.kubernetesingress.strictprefixmatching=true")


@setup(FAMILY, "priorities")
async def priorities(lab: Lab) -> None:
    """A catch-all with a lower priority is broken, the site's own route has a higher one."""
    instead_of_ingress(lab, _MATCH, _OURS, ", priority: 100")
    put(
        lab, "IngressRoute", "catch-all",
        "{entryPoints: [websecure], tls: {}, routes: [{kind: Rule, priority: 1, match:"
        " 'PathPrefix(`/`)', services: [{name: gone, port: 80}]}]}",
    )  # fmt: skip


@setup(FAMILY, "complex-rule", target=f"https://{HOST}/shop/1")
async def complex_rule(lab: Lab) -> None:
    """An IngressRoute with or, not, a header that is absent, a client range and a method."""
    match = (
        f"(Host(`www.example.com`) || {_MATCH}) && !PathPrefix(`/admin`) && PathRegexp(`^/shop/`)"
        " && !Header(`X-Blocked`, `1`) && (Method(`GET`) || Method(`HEAD`))"
    )
    instead_of_ingress(lab, match, _OURS)


@setup(FAMILY, "host-regexp")
async def host_regexp(lab: Lab) -> None:
    """An IngressRoute whose hosts are a regular expression."""
    instead_of_ingress(lab, r"HostRegexp(`^(my|your)app\.example\.com$`)", _OURS)


@setup(FAMILY, "canary-by-header")
async def canary(lab: Lab) -> None:
    """A route for requests with a header has a longer rule and leads to an empty Service."""
    instead_of_ingress(lab, _MATCH, _OURS)
    put(lab, "Service", "canary", "{selector: {app: canary}, ports: [{port: 80}]}")
    put(
        lab, "IngressRoute", "canary",
        "{entryPoints: [websecure], tls: {}, routes: [{kind: Rule, match:"
        f" '{_MATCH} && Header(`X-Canary`, `always`)', services: [{{name: canary, port: 80}}]}}]}}",
    )  # fmt: skip


@setup(FAMILY, "wildcard-redirect")
async def wildcard_redirect(lab: Lab) -> None:
    """A wildcard IngressRoute on websecure, and one on web that redirects to it."""
    instead_of_ingress(lab, r"HostRegexp(`^[a-z0-9-]+\.example\.com$`)", _OURS)
    put(lab, "Middleware", "to-https", "redirectScheme: {scheme: https, permanent: true}")
    put(
        lab, "IngressRoute", "to-https",
        "{entryPoints: [web], routes: [{kind: Rule, match: 'PathPrefix(`/`)', priority: 1,"
        " middlewares: [{name: to-https}], services: [{name: noop@internal, kind: TraefikService}]"
        "}]}",
    )  # fmt: skip


@setup(FAMILY, "wildcard-redirect-http", "ppppnpp", target=f"http://{HOST}/")
async def wildcard_redirect_http(lab: Lab) -> None:
    """The same, and the http URL is asked for."""
    await wildcard_redirect(lab)


@setup(FAMILY, "http-only", target=f"http://{HOST}/")
async def only_http(lab: Lab) -> None:
    """An http-only site by design, asked by its URL: no listener on 443, no TLS anywhere."""
    await _http_only(lab)


@setup(FAMILY, "http-only-by-option", options=("--scheme", "http"))
async def http_by_option(lab: Lab) -> None:
    """The same, asked with --scheme http."""
    await _http_only(lab)


async def _http_only(lab: Lab) -> None:
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.listeners = [one for one in balancer.listeners if one.port == 80]
    del lab.cloud.target_groups[TARGETS_HTTPS]
    edit_ingress(lab, lambda obj: obj["spec"].pop("tls"))
    lab.store.delete("secrets", APP, SECRET)
    annotate(lab, "ingresses", INGRESS, router__entrypoints="web")


@setup(FAMILY, "file-provider", "pppnnpp")
async def file_provider(lab: Lab) -> None:
    """The router stands in a file: no Kubernetes object names the host."""
    lab.store.delete("ingresses", APP, INGRESS)
    urls = [{"url": f"http://{pod.address}:{pod.ports['http']}"} for pod in lab.plan.app]
    router = {"rule": _MATCH, "service": "my-app", "entryPoints": ["websecure"], "tls": {}}
    dynamic = {
        "http": {
            "routers": {"my-app": router},
            "services": {"my-app": {"loadBalancer": {"servers": urls}}},
        },
        "tls": site_certificate(lab),
    }
    path = lab.directory / "dynamic.yml"
    path.write_text(json.dumps(dynamic))  # JSON is YAML
    await flags(lab, f"--providers.file.filename={path}")


@setup(FAMILY, "cross-namespace")
async def cross_namespace(lab: Lab) -> None:
    """An IngressRoute of another namespace, which Traefik allows."""
    lab.store.delete("ingresses", APP, INGRESS)
    put(
        lab, "IngressRoute", "my-app",
        f"{{entryPoints: [websecure], routes: [{{kind: Rule, match: '{_MATCH}', services:"
        " [{name: my-app-service, namespace: default, port: 80}]}], tls: {}}", "routes",
    )  # fmt: skip
    put(lab, "TLSStore", "default", f"certificates: [{{secretName: {SECRET}}}]")
    await flags(lab, "--providers.kubernetescrd.allowcrossnamespace=true")


@setup(FAMILY, "blue-green")
async def blue_green(lab: Lab) -> None:
    """A weighted TraefikService: all to blue, nothing to green, which is scaled to zero."""
    _green(lab)
    put(
        lab, "TraefikService", "split",
        "weighted: {services: [{name: my-app-service, port: 80, weight: 100},"
        " {name: green, port: 80, weight: 0}]}",
    )  # fmt: skip
    instead_of_ingress(lab, _MATCH, "[{name: split, kind: TraefikService}]")
    # Without it Traefik drops the whole TraefikService (seen on 3.7.15).
    await flags(lab, "--providers.kubernetescrd.allowemptyservices=true")


@setup(FAMILY, "blue-green-broken")
async def blue_green_broken(lab: Lab) -> None:
    """The same with IngressRoute weights; green's pods crash, and nothing is sent there."""
    _green(lab)
    lab.store.patch("deployments", APP, "green", lambda obj: obj["spec"].update(replicas=1))
    container = {"name": "x", "ready": False, "restartCount": 9,
                 "state": {"waiting": {"reason": "CrashLoopBackOff"}}}  # fmt: skip
    put(
        lab, "Pod", "green-1", "containers: [{name: x, image: 'example/green'}]",
        labels={"app": "green"},
        status={"phase": "Running", "podIP": lab.address(86), "containerStatuses": [container],
                "conditions": [{"type": "Ready", "status": "False"}]},
    )  # fmt: skip
    instead_of_ingress(
        lab, _MATCH,
        "[{name: my-app-service, port: 80, weight: 100}, {name: green, port: 80, weight: 0}]",
    )  # fmt: skip
    await flags(lab, "--providers.kubernetescrd.allowemptyservices=true")


def _green(lab: Lab) -> None:
    """A Service whose Deployment is scaled to zero on purpose."""
    put(lab, "Service", "green", "{selector: {app: green}, ports: [{port: 80, targetPort: 8080}]}")
    labels = "{app: green}"
    put(
        lab, "Deployment", "green",
        f"{{replicas: 0, selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels:"
        f" {labels}}}, spec: {{containers: [{{name: green, image: example/green}}]}}}}}}",
    )  # fmt: skip


@setup(FAMILY, "weighted-services")
async def weighted(lab: Lab) -> None:
    """One IngressRoute with two Services by weight, both alive."""
    put(
        lab,
        "Service",
        "again",
        "{selector: {app: my-app}, ports: [{port: 8081, targetPort: http}]}",
    )
    instead_of_ingress(
        lab, _MATCH, "[{name: my-app-service, port: 80, weight: 3}, {name: again, port: 8081}]"
    )


@setup(FAMILY, "mirroring")
async def mirroring(lab: Lab) -> None:
    """Requests are mirrored to a Service that is empty."""
    _green(lab)
    put(
        lab, "TraefikService", "copy",
        "mirroring: {name: my-app-service, port: 80, mirrors: [{name: green, port: 80,"
        " percent: 10}]}",
    )  # fmt: skip
    instead_of_ingress(lab, _MATCH, "[{name: copy, kind: TraefikService}]")
    await flags(lab, "--providers.kubernetescrd.allowemptyservices=true")


@setup(FAMILY, "sticky")
async def sticky(lab: Lab) -> None:
    """Sticky sessions by a cookie, and a health check of Traefik's own."""
    annotate(lab, "services", SERVICE, service__sticky__cookie="true",
             service__sticky__cookie__name="srv")  # fmt: skip


@setup(FAMILY, "named-port")
async def named_port(lab: Lab) -> None:
    """The Ingress names the Service's port, which is one of several."""

    def ports(spec: Obj) -> None:
        spec["ports"] = [
            {"name": "metrics", "port": 9090, "targetPort": 9090},
            {"name": "web", "port": 8080, "targetPort": "http"},
            {"name": "grpc", "port": 9000, "targetPort": "grpc"},
        ]

    edit_service(lab, ports)

    def name(obj: Obj) -> None:
        path = obj["spec"]["rules"][0]["http"]["paths"][0]
        path["backend"]["service"]["port"] = {"name": "web"}

    edit_ingress(lab, name)


@setup(FAMILY, "another-controller")
async def another_controller(lab: Lab) -> None:
    """Another controller serves the same host from its own load balancer (a migration)."""
    put(lab, "IngressClass", "nginx", "controller: k8s.io/ingress-nginx")
    put(
        lab, "Ingress", "a-old-way",
        f"{{ingressClassName: nginx, rules: [{{host: {HOST}, http: {{paths: [{{path: /, pathType:"
        " Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}}]}",
    )  # fmt: skip


@setup(FAMILY, "acme-solver")
async def acme_solver(lab: Lab) -> None:
    """cert-manager's solver has an Ingress for the same host, whose pod is not ready yet."""
    put(lab, "Service", "cm-acme-http-solver-x7k2p", "{selector: {acme: x}, ports: [{port: 8089}]}")
    put(
        lab, "Ingress", "cm-acme-http-solver-9zq4t",
        f"{{ingressClassName: traefik, rules: [{{host: {HOST}, http: {{paths: [{{path:"
        " /.well-known/acme-challenge/abc, pathType: ImplementationSpecific, backend: {service:"
        " {name: cm-acme-http-solver-x7k2p, port: {number: 8089}}}}]}}]}",
    )  # fmt: skip


@setup(FAMILY, "both-kinds")
async def both_kinds(lab: Lab) -> None:
    """On the way from Ingress to IngressRoute: both are there for the same host and Service."""
    put(
        lab, "IngressRoute", "my-app",
        f"{{entryPoints: [websecure], tls: {{secretName: myapp-tls}}, routes: [{{kind: Rule, match:"
        f" '{_MATCH} && PathPrefix(`/`)', services: [{{name: my-app-service, port: http}}]}}]}}",
    )  # fmt: skip


@setup(FAMILY, "no-crds")
async def no_crds(lab: Lab) -> None:
    """A cluster without Traefik's resources and without the Gateway API: Ingresses alone."""
    lab.server.hidden |= {"traefik.io", "gateway.networking.k8s.io"}
    await flags(lab, without=("--providers.kubernetescrd",))


@setup(FAMILY, "duplicate-ingress")
async def duplicate(lab: Lab) -> None:
    """The same Ingress twice under two names, as a renamed chart release leaves it."""
    found = get(lab, "ingresses", APP, INGRESS)
    lab.store.put(found | {"metadata": {"name": "a-my-app", "namespace": APP}})


@setup(FAMILY, "left-over-ingress")
async def left_over_ingress(lab: Lab) -> None:
    """An Ingress of a former release claims the same host and path for a Service that is gone."""
    path = "{path: /, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}"
    put(
        lab, "Ingress", "a-old",
        f"{{ingressClassName: traefik, rules: [{{host: {HOST}, http: {{paths: [{path}]}}}}]}}",
    )  # fmt: skip


@setup(FAMILY, "left-over-route")
async def left_over_route(lab: Lab) -> None:
    """An IngressRoute of higher priority names a port that its Service no longer has."""
    put(
        lab, "IngressRoute", "canary",
        f"{{entryPoints: [websecure], tls: {{}}, routes: [{{kind: Rule, priority: 900, match:"
        f" '{_MATCH}', services: [{{name: my-app-service, port: 8443}}]}}]}}",
    )  # fmt: skip


@setup(FAMILY, "foreign-annotations")
async def foreign_annotations(lab: Lab) -> None:
    """Annotations of other controllers and of Traefik 1 stand on the Ingress and its Service."""
    notes = {
        "nginx.ingress.kubernetes.io/rewrite-target": "/",
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "traefik.ingress.kubernetes.io/frontend-entry-points": "http,https",
        "traefik.ingress.kubernetes.io/redirect-entry-point": "https",
        "alb.ingress.kubernetes.io/scheme": "internet-facing",
    }
    edit_ingress(lab, lambda obj: obj["metadata"].update(annotations=notes))
    lab.store.patch("services", APP, SERVICE, lambda obj: obj["metadata"].update(annotations=notes))


@setup(FAMILY, "nginx-provider", "pppuppp")
async def nginx_provider(lab: Lab) -> None:
    """Traefik stands in for ingress-nginx: its own provider reads the class nginx."""
    put(lab, "IngressClass", "nginx", "controller: k8s.io/ingress-nginx")
    edit_ingress(lab, lambda obj: obj["spec"].update(ingressClassName="nginx"))

    def instead(args: list[str]) -> list[str]:
        return [one.replace("kubernetesingress", "kubernetesingressnginx") for one in args]

    await lab.set_traefik_args(instead)


@setup(FAMILY, "full-route")
async def full_route(lab: Lab) -> None:
    """An IngressRoute that says everything one can say of a Service."""
    instead_of_ingress(
        lab,
        f"{_MATCH} && PathPrefix(`/`)",
        "[{name: my-app-service, kind: Service, namespace: default, port: http, weight: 1,"
        " passHostHeader: true, scheme: http, responseForwarding: {flushInterval: 100ms},"
        " sticky: {cookie: {name: lb, secure: true}}}]",
    )
