"""Faults of an IngressRoute, which takes the Ingress's place, and of what it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults import parts
from hopcheck.lab.faults.gallery import DEGRADED, ENDPOINTS, INGRESS, Expect, fault
from hopcheck.lab.topology import APP, HOST, SECRET, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]


def _route(code: str) -> Expect:
    return Expect(code, "IngressRoute", parts.ROUTE, APP)


def _service(code: str) -> Expect:
    return Expect(code, "Service", SERVICE, APP, step=ENDPOINTS)


@fault("ir-no-host", INGRESS, _route("ING001"))
async def no_host(lab: Lab) -> None:
    """The IngressRoute's rule has a misspelled host."""
    parts.ingress_route(lab, match="Host(`my-app.example.com`)")


@fault("ir-path", INGRESS, _route("ING007"))
async def path(lab: Lab) -> None:
    """The IngressRoute's rule asks for another path."""
    parts.ingress_route(lab, match=f"Host(`{HOST}`) && PathPrefix(`/api`)")


@fault("ir-condition", INGRESS, _route("ING007"))
async def condition(lab: Lab) -> None:
    """The IngressRoute's rule asks for a header that requests do not have."""
    parts.ingress_route(lab, match=f"Host(`{HOST}`) && Header(`X-Env`, `prod`)")


@fault("ir-method", INGRESS, _route("ING007"))
async def method(lab: Lab) -> None:
    """The IngressRoute's rule takes POST alone."""
    parts.ingress_route(lab, match=f"Host(`{HOST}`) && Method(`POST`)")


@fault("ir-svc-missing", INGRESS, _route("ING004"))
async def service_missing(lab: Lab) -> None:
    """The IngressRoute names a Service that does not exist."""
    parts.ingress_route(lab, backend={"name": "my-app-svc"})


@fault("ir-port", INGRESS, _route("ING005"))
async def port(lab: Lab) -> None:
    """The IngressRoute names a port that the Service does not have."""
    parts.ingress_route(lab, backend={"port": 99})


@fault("ir-no-servers", INGRESS, _service("END001"))
async def no_servers(lab: Lab) -> None:
    """The Service of the IngressRoute selects no pod: no servers are found."""
    parts.ingress_route(lab)
    parts.edit_service(lab, lambda spec: spec.update(selector={"app": "myapp"}))


@fault("ir-externalname", INGRESS, _service("END007"))
async def external_name(lab: Lab) -> None:
    """The IngressRoute's Service is an ExternalName, which Traefik does not allow."""
    parts.ingress_route(lab)
    parts.make_external(lab)


@fault("ir-cross-ns-service", INGRESS, _route("ING020"))
async def cross_namespace_service(lab: Lab) -> None:
    """The IngressRoute's Service is in another namespace, which is not allowed."""
    parts.copied_app(lab, "shop", "shop")
    parts.ingress_route(lab, backend={"name": "shop", "namespace": "shop"})


@fault("ir-cross-ns-middleware", INGRESS, _route("ING020"))
async def cross_namespace_middleware(lab: Lab) -> None:
    """The IngressRoute's middleware is in another namespace, which is not allowed."""
    lab.store.put(parts.custom("Middleware", "compress", {"compress": {}}, "kube-system"))
    parts.ingress_route(lab, middlewares=[{"name": "compress", "namespace": "kube-system"}])


@fault("ir-cross-provider", INGRESS, _route("ING020"))
async def cross_provider(lab: Lab) -> None:
    """The IngressRoute names a middleware by its provider, as annotations do."""
    lab.store.put(parts.custom("Middleware", "compress", {"compress": {}}))
    parts.ingress_route(lab, middlewares=[{"name": f"{APP}-compress@kubernetescrd"}])


@fault("ir-mw-missing", INGRESS, _route("ING013"))
async def middleware_missing(lab: Lab) -> None:
    """The IngressRoute names a middleware that does not exist."""
    parts.ingress_route(lab, middlewares=[{"name": "compress"}])


@fault("ir-transport-missing", INGRESS, _route("ING020"))
async def transport_missing(lab: Lab) -> None:
    """The IngressRoute names a ServersTransport that does not exist."""
    parts.ingress_route(lab, backend={"serversTransport": "internal-ca"})


@fault("ir-traefikservice-missing", INGRESS, _route("ING020"))
async def traefik_service_missing(lab: Lab) -> None:
    """The IngressRoute names a TraefikService that does not exist."""
    only = [{"name": "my-app-weighted", "kind": "TraefikService"}]
    parts.ingress_route(lab, services=only)


@fault("ir-weighted-missing", INGRESS, _route("ING004"))
async def weighted_missing(lab: Lab) -> None:
    """One of the Services of a weighted TraefikService does not exist: the whole route fails."""
    both = [{"name": SERVICE, "port": 80, "weight": 1}, {"name": "canary", "port": 80, "weight": 1}]
    weighted = {"weighted": {"services": both}}
    lab.store.put(parts.custom("TraefikService", "my-app-weighted", weighted))
    parts.ingress_route(lab, services=[{"name": "my-app-weighted", "kind": "TraefikService"}])


@fault("ir-mirror-missing", INGRESS, _route("ING004"))
async def mirror_missing(lab: Lab) -> None:
    """The Service to which requests are copied does not exist: the whole route fails."""
    copies = [{"name": "audit", "port": 80, "percent": 10}]
    mirroring = {"mirroring": {"name": SERVICE, "port": 80, "mirrors": copies}}
    lab.store.put(parts.custom("TraefikService", "my-app-copied", mirroring))
    parts.ingress_route(lab, services=[{"name": "my-app-copied", "kind": "TraefikService"}])


@fault("ir-options-missing", INGRESS, _route("ING020"))
async def options_missing(lab: Lab) -> None:
    """The IngressRoute names a TLSOption that does not exist."""
    tls = {"secretName": SECRET, "options": {"name": "tls12"}}
    parts.ingress_route(lab, spec={"tls": tls})


@fault("ir-v2-syntax", INGRESS, _route("ING021"))
async def v2_syntax(lab: Lab) -> None:
    """The IngressRoute's rule is written for Traefik v2."""
    parts.ingress_route(lab, match=f"Host(`{HOST}`, `www.{HOST}`)")


@fault("ir-v2-template", INGRESS, _route("ING021"))
async def v2_template(lab: Lab) -> None:
    """The IngressRoute's HostRegexp is a template of Traefik v2, which matches nothing in v3."""
    parts.ingress_route(lab, match="HostRegexp(`{site:[a-z]+}.example.com`)")


@fault("ir-bad-match", INGRESS, _route("ING021"))
async def bad_match(lab: Lab) -> None:
    """The IngressRoute's rule cannot be parsed."""
    parts.ingress_route(lab, match=f"Host(`{HOST}`) && (PathPrefix(`/`)")


@fault("ir-ep-bad", INGRESS, _route("ING010"))
async def entrypoint_bad(lab: Lab) -> None:
    """The IngressRoute names an entryPoint that does not exist."""
    parts.ingress_route(lab, spec={"entryPoints": ["https"]})


@fault("ir-ep-other", INGRESS, _route("ING011"), exit_code=DEGRADED)
async def entrypoint_other(lab: Lab) -> None:
    """The IngressRoute is bound to web only, without TLS."""
    parts.ingress_route(lab, spec={"entryPoints": ["web"], "tls": None})


@fault("ir-no-tls", INGRESS, _route("ING011"))
async def no_tls(lab: Lab) -> None:
    """The IngressRoute has no tls section, and neither has the entryPoint."""
    await lab.set_traefik_args(lambda args: [one for one in args if "http.tls" not in one])
    parts.ingress_route(lab, spec={"tls": None})


@fault("ir-class", INGRESS, _route("ING002"))
async def class_flag(lab: Lab) -> None:
    """Traefik reads IngressRoutes of one class only, and this one has none."""
    flag = "--providers.kubernetescrd.ingressclass=traefik-internal"
    await lab.set_traefik_args(lambda args: [*args, flag])
    parts.ingress_route(lab)


@fault("ir-tls-secret-missing", INGRESS, _route("ING016"))
async def secret_missing(lab: Lab) -> None:
    """The TLS Secret that the IngressRoute names does not exist."""
    parts.ingress_route(lab, spec={"tls": {"secretName": "myapp-tls-2026"}})


@fault("ir-resolver-missing", INGRESS, _route("ING019"))
async def resolver_missing(lab: Lab) -> None:
    """The IngressRoute names a certificate resolver that Traefik does not have."""
    parts.ingress_route(lab, spec={"tls": {"certResolver": "letsencrypt"}})


@fault(
    "ir-weighted-empty",
    INGRESS,
    Expect("END001", "Service", "canary", APP, step=ENDPOINTS),
    exit_code=DEGRADED,
)
async def weighted_empty(lab: Lab) -> None:
    """One of two Services, by their weights a fifth of the requests, selects no pod: 503."""
    lab.store.put(parts.service("canary", selector={"app": "my-app-canary"}))
    both = [{"name": SERVICE, "port": 80, "weight": 4}, {"name": "canary", "port": 80, "weight": 1}]
    parts.ingress_route(lab, services=both)
    flag = "--providers.kubernetescrd.allowemptyservices=true"
    await lab.set_traefik_args(lambda args: [*args, flag])


@fault(
    "ir-catch-all",
    INGRESS,
    Expect("ING008", "IngressRoute", "landing", APP),
)
async def catch_all(lab: Lab) -> None:
    """A catch-all IngressRoute with a priority takes every host's requests to an empty Service."""
    lab.store.put(parts.service("landing", selector={"app": "landing"}))
    route = {
        "kind": "Rule",
        "match": "PathPrefix(`/`)",
        "priority": 1000,
        "services": [{"name": "landing", "port": 80}],
    }
    spec = {"entryPoints": ["websecure"], "routes": [route], "tls": {}}
    lab.store.put(parts.custom("IngressRoute", "landing", spec))
    flag = "--providers.kubernetescrd.allowemptyservices=true"
    await lab.set_traefik_args(lambda args: [*args, flag])
