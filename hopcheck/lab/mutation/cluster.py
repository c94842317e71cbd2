"""Edits of API objects: Ingress or IngressRoute, class, Services, Secret, Middleware, nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from hopcheck.lab import topology
from hopcheck.lab.mutation.edit import Edit, Field, read, shown, steps, words, write
from hopcheck.lab.mutation.routes import MIDDLEWARE, ROUTE
from hopcheck.lab.mutation.values import (
    World,
    add_key,
    choose,
    drop_key,
    flip,
    host_typo,
    label_typo,
    name_typo,
    near_number,
    one_of,
    other,
    port_name_typo,
    remove,
    rename_key,
    replaced,
    swap_items,
    swap_keys,
    typo,
)

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]

_DELETED = 0.05  # of the edits of an object
_TRAEFIK_IO = "traefik.ingress.kubernetes.io"
_OTHER_NAMESPACES = one_of(topology.APP, topology.GATEWAY, "kube-system")
_PORT = (near_number, other("port"), near_number)
_PLACE = (
    Field("metadata.name", (name_typo,)),
    Field("metadata.namespace", (_OTHER_NAMESPACES,)),
)
_LABELS = Field("metadata.labels", (add_key("team", "payments"), add_key("app", "shop")))

_BACKEND = "spec.rules[0].http.paths[0].backend.service"
INGRESS = (
    *_PLACE,
    _LABELS,
    Field(
        "metadata.annotations",
        (
            add_key(f"{_TRAEFIK_IO}/router.entrypoints", "web", "websecure", "https", "websecur"),
            add_key(f"{_TRAEFIK_IO}/router.middlewares", "default-compress@kubernetescrd"),
            add_key(f"{_TRAEFIK_IO}/router.tls", "true", "false"),
            add_key(f"{_TRAEFIK_IO}/router.tls.options", "default-modern@kubernetescrd"),
            add_key(f"{_TRAEFIK_IO}/router.tls.certresolver", "letsencrypt"),
            add_key(f"{_TRAEFIK_IO}/router.priority", "1", "100", "high"),
            add_key(f"{_TRAEFIK_IO}/router.pathmatcher", "Path", "PathPrefix", "PathPrefixx"),
            add_key("kubernetes.io/ingress.class", "nginx", "traefik"),
        ),
    ),
    Field("spec.ingressClassName", (name_typo, remove, one_of("nginx", "traefik-internal"))),
    Field("spec.tls", (remove,)),
    Field("spec.tls[0].hosts[0]", (host_typo, one_of("*.example.com", "www.example.com"))),
    Field("spec.tls[0].secretName", (name_typo, remove, other("secret"))),
    Field("spec.rules[0].host", (host_typo, remove, one_of("*.example.com", "www.example.com"))),
    Field("spec.rules[0].http", (remove,)),
    Field("spec.rules", (remove,)),
    Field("spec.defaultBackend", (one_of({"service": {"name": "gone", "port": {"number": 80}}}),)),
    Field("spec.rules[0].http.paths[0].path", (one_of("/api", "/myapp", "/login/"),)),
    Field("spec.rules[0].http.paths[0].pathType", (one_of("Exact", "ImplementationSpecific"),)),
    Field(f"{_BACKEND}.name", (name_typo, other("service"))),
    Field(f"{_BACKEND}.port.number", _PORT),
    Field(f"{_BACKEND}.port", (one_of({"name": "http"}, {"name": "web"}, {"name": "https"}),)),
)
CLASS = (
    Field("metadata.name", (name_typo, one_of("traefik-internal"))),
    Field("spec.controller", (typo, one_of("k8s.io/ingress-nginx"))),
    Field(
        "metadata.annotations", (add_key("ingressclass.kubernetes.io/is-default-class", "true"),)
    ),
)
_PORTS = (
    Field("spec.ports[*].name", (port_name_typo, remove)),
    Field("spec.ports[*].port", _PORT),
    Field("spec.ports[*].protocol", (one_of("UDP", "SCTP"),)),
    Field("spec.ports[*].appProtocol", (one_of("https", "http"),)),
    Field("spec.selector", (rename_key, add_key("tier", "web"), remove)),
    Field("spec.selector.app", (label_typo, other("app"))),
    Field("spec.publishNotReadyAddresses", (flip,)),
    Field("spec.sessionAffinity", (one_of("ClientIP"),)),
)
SERVICE = (
    *_PLACE,
    _LABELS,
    *_PORTS,
    Field("spec.ports[0].targetPort", (*_PORT, one_of("http", "web", "https"))),
    Field("spec.ports[0].targetPort", (*_PORT, one_of("http", "web", "https"))),
    Field("spec.type", (one_of("NodePort", "LoadBalancer"),)),
    Field(
        "metadata.annotations",
        (
            add_key(f"{_TRAEFIK_IO}/service.serversscheme", "https", "http", "h2c"),
            add_key(f"{_TRAEFIK_IO}/service.serverstransport", "default-mtls@kubernetescrd"),
            add_key(f"{_TRAEFIK_IO}/service.sticky.cookie", "true"),
            add_key(f"{_TRAEFIK_IO}/service.nativelb", "true"),
            add_key(f"{_TRAEFIK_IO}/service.passhostheader", "false"),
        ),
    ),
)
TRAEFIK_SERVICE = (
    *_PLACE,
    _LABELS,
    *_PORTS,
    Field("spec.ports[1].targetPort", (port_name_typo, other("entrypoint"), one_of(8443, 8444))),
    Field("spec.ports[1].nodePort", (near_number, one_of(31443, 30443), remove)),
    Field("spec.ports[1].port", (one_of(8443, 444),)),
    Field("spec.ports[1]", (remove,)),
    Field("spec.ports[0].nodePort", (near_number, one_of(31080))),
    Field("spec.ports", (swap_items("targetPort"), swap_items("nodePort"), swap_items("name"))),
    Field("spec.type", (one_of("ClusterIP", "LoadBalancer"),)),
    Field("spec.externalTrafficPolicy", (one_of("Local"),)),
    Field("spec.allocateLoadBalancerNodePorts", (flip,)),
)
_ROUTE_SERVICE = "spec.routes[0].services[0]"
INGRESS_ROUTE = (
    *_PLACE,
    _LABELS,
    Field("metadata.annotations", (add_key("kubernetes.io/ingress.class", "nginx", "traefik"),)),
    Field("spec.entryPoints[0]", (typo, one_of("web", "https", "metrics"))),
    Field("spec.entryPoints", (remove,)),
    Field(
        "spec.routes[0].match",
        (
            replaced(r"myapp\.example", "myap.example", "www.example"),
            replaced(r"/`", "/api`", "/Login`"),
            replaced(r"Host\(`([^`]*)`\)", "HostRegexp(`^myap.+[.]example[.]com$`)"),
            replaced(r"Host\(`([^`]*)`\)", "Host(`myapp.example.com`, `www.example.com`)"),
            replaced(r"Host\(`([^`]*)`\)", "HostSNI(`myapp.example.com`)"),
            replaced("`", "'", ""),
            replaced("&&", "||", "&", "&& !"),
            replaced("PathPrefix", "Path", "Pathprefix", "PathRegexp"),
            replaced("$", " && Method(`POST`)", " && Header(`X-Canary`, `1`)", ")"),
        ),
    ),
    Field("spec.routes[0].priority", (one_of(1, 1000),)),
    Field("spec.routes[0].middlewares[0].name", (name_typo, other("middleware"))),
    Field("spec.routes[0].middlewares[0].namespace", (_OTHER_NAMESPACES,)),
    Field("spec.routes[0].middlewares", (remove,)),
    Field(f"{_ROUTE_SERVICE}.name", (name_typo, other("service"))),
    Field(f"{_ROUTE_SERVICE}.namespace", (_OTHER_NAMESPACES,)),
    Field(f"{_ROUTE_SERVICE}.kind", (one_of("TraefikService"),)),
    Field(f"{_ROUTE_SERVICE}.port", (*_PORT, one_of("http", "web"), remove)),
    Field(f"{_ROUTE_SERVICE}.scheme", (one_of("https", "h2c", "htps"),)),
    Field(f"{_ROUTE_SERVICE}.serversTransport", (one_of("mtls"),)),
    Field(f"{_ROUTE_SERVICE}.weight", (one_of(10),)),
    Field("spec.tls.secretName", (name_typo, remove, other("secret"))),
    Field("spec.tls.options", (one_of({"name": "modern"}),)),
    Field("spec.tls.certResolver", (one_of("letsencrypt"),)),
    Field("spec.tls", (remove,)),
)
MIDDLEWARES = (
    *_PLACE,
    _LABELS,
    Field(
        "spec",
        (
            one_of({"basicAuth": {"secret": "users"}}),
            one_of({"chain": {"middlewares": [{"name": "secure-headers"}]}}),
            one_of({"forwardAuth": {"address": "http://auth.default.svc:9091/verify"}}),
            one_of({"redirectScheme": {"scheme": "https", "permanent": True}}),
            one_of({"ipAllowList": {"sourceRange": ["10.0.0.0/8"]}}),
            one_of({"headers": {"customRequestHeaders": {"X-Team": "shop"}}}),
            one_of({"compres": {}}, {"plugin": {"geoblock": {}}}),
        ),
    ),
)
SECRETS = (
    *_PLACE,
    Field(
        "data",
        (
            rename_key,
            remove,
            swap_keys,
            drop_key("tls.crt"),
            drop_key("tls.key"),
            add_key("tls.crt", "", "bm90IGEgY2VydGlmaWNhdGU="),
            add_key("tls.key", "", "bm90IGEga2V5"),
        ),
    ),
)
NODE = (
    Field("metadata.labels", (rename_key, add_key("pool", "batch"))),
    Field("spec.providerID", (typo, remove)),
    Field("spec.unschedulable", (flip,)),
)


@dataclass(frozen=True)
class Kept:
    """An object of the store that edits may hit, and the bounded gaps that point to it."""

    resource: str
    kind: str
    namespace: str | None
    name: str
    fields: tuple[Field, ...]
    hop: tuple[str, ...] = ()


INGRESS_OBJECT = Kept("ingresses", "Ingress", topology.APP, topology.INGRESS, INGRESS)
ROUTE_OBJECTS = (
    Kept("ingressroutes", "IngressRoute", topology.APP, ROUTE, INGRESS_ROUTE),
    Kept("middlewares", "Middleware", topology.APP, MIDDLEWARE, MIDDLEWARES),
)
CLASS_OBJECT = Kept("ingressclasses", "IngressClass", None, topology.TRAEFIK, CLASS)
APP_SERVICE = Kept("services", "Service", topology.APP, topology.SERVICE, SERVICE, ("END014",))
GATEWAY_SERVICE = Kept(
    "services", "Service", topology.GATEWAY, topology.TRAEFIK, TRAEFIK_SERVICE, ("SVC016",)
)
SECRET_OBJECT = Kept("secrets", "Secret", topology.APP, topology.SECRET, SECRETS)
NODE_OBJECT = Kept("nodes", "Node", None, "node-1", NODE, ("TGT020", "SVC016"))


def world(lab: Lab) -> World:
    """What exists on the lab's path."""
    services = lab.store.list("services")
    ports = {port for one in services for p in one["spec"]["ports"] for port in _numbers(p)}
    return World(
        {
            "service": ["my-app", *sorted({one["metadata"]["name"] for one in services})],
            "secret": ["myapp-tls-2025", topology.SECRET],
            "middleware": ["secure-headers", MIDDLEWARE],
            "app": ["my-app", "traefik"],
            "entrypoint": sorted(topology.ENTRYPOINTS),
            "port": sorted(ports),
        }
    )


def _numbers(port: Obj) -> list[int]:
    return [n for n in (port.get(k) for k in ("port", "nodePort", "targetPort")) if type(n) is int]


def edit_object(lab: Lab, kept: Kept, known: World, chance: Random) -> Edit | None:
    """One edit of that object; None where the draw changes nothing or the API would refuse it."""
    obj = lab.store.get(kept.resource, kept.namespace, kept.name)
    if obj is None:
        raise LookupError(f"no {kept.kind} {kept.name}: edits are drawn on the healthy lab")
    if kept.resource != "nodes" and chance.random() < _DELETED:
        return _deletion(kept)
    field = chance.choice(kept.fields)
    path = steps(field.path, obj, chance)
    if path is None:
        return None
    old = read(obj, path)
    new = choose(field.makers, old, known, chance)
    if new == old:
        return None
    where = f"{kept.namespace}/" if kept.namespace else ""
    what = f"{kept.kind} {where}{kept.name} {shown(path)}: {words(old)} -> {words(new)}"
    place = {"metadata.namespace": (new, kept.name), "metadata.name": (kept.namespace, new)}
    after = place.get(shown(path), (kept.namespace, kept.name))
    names = {(kept.kind, kept.namespace or "", kept.name), (kept.kind, after[0] or "", after[1])}
    return Edit(what, frozenset(names), _applied(kept, path, new), frozenset(kept.hop))


def _deletion(kept: Kept) -> Edit:
    async def apply(lab: Lab) -> None:
        lab.store.delete(kept.resource, kept.namespace, kept.name)

    where = f"{kept.namespace}/" if kept.namespace else ""
    names = frozenset({(kept.kind, kept.namespace or "", kept.name)})
    if kept.resource in ("ingresses", "ingressroutes"):
        # What is gone leaves nothing to name: the host has no route.
        names |= {("Host", "", topology.HOST)}
    return Edit(f"{kept.kind} {where}{kept.name} deleted", names, apply, frozenset(kept.hop))


def _applied(kept: Kept, path: list[str | int], new: Any) -> Callable[[Lab], Awaitable[None]]:
    async def apply(lab: Lab) -> None:
        obj = lab.store.get(kept.resource, kept.namespace, kept.name)
        if obj is None:
            raise LookupError(f"no {kept.kind} {kept.name}")
        write(obj, path, new)
        if path[0] == "metadata" and path[1] in ("name", "namespace"):
            for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
                obj["metadata"].pop(key, None)
            if kept.resource == "services":
                _give_up_addresses(obj)
            lab.store.delete(kept.resource, kept.namespace, kept.name)
        lab.store.put(obj, manager="kubectl-edit")

    return apply


def _give_up_addresses(service: Obj) -> None:
    """A Service made anew gets a cluster IP of its own; its nodePorts are written in it."""
    for key in ("clusterIP", "clusterIPs"):
        service["spec"].pop(key, None)
