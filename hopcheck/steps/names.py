"""Names and look-ups that several judges of the route share."""

from __future__ import annotations

from typing import Any

from hopcheck.behaviour.kubernetes.graph import selects, workload_of
from hopcheck.behaviour.traefik.route import Route
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Exchange, Gap, Obj, ObjectRef, Why
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.scene import Scene

RESOURCE = {
    "Ingress": "ingress",
    "IngressRoute": "ingressroutes.traefik.io",
    "IngressRouteTCP": "ingressroutetcps.traefik.io",
}


def route_ref(route: Route, field: str | None = None) -> ObjectRef:
    """The report's name of the object behind a route."""
    return ObjectRef(route.kind, route.name, route.namespace, field)


def route_words(scene: Scene, route: Route) -> dict[str, Any]:
    """The catalogue's parameters that every finding about a route has."""
    return {
        "host": scene.target.host,
        "path": scene.target.path,
        "route": f"{route.kind} {route.namespace}/{route.name}",
        "ns": route.namespace,
        "resource": RESOURCE[route.kind],
        "name": route.name,
    }


def route_refs(routing: Routing) -> tuple[ObjectRef, ...]:
    """The object of the host's route, as the other end of a relation."""
    route = routing.winner
    return (ObjectRef(route.kind, route.name, route.namespace),) if route else ()


def traefik_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    """The workload of the host's Traefik, as the other end of a relation."""
    instance = scene.instance
    return (ObjectRef(instance.kind, instance.name, instance.namespace),) if instance else ()


def pods_of(scene: Scene, service: Obj, namespace: str) -> list[Obj]:
    """The pods that a Service selects."""
    return [p for p in scene.kube.list("pods", namespace).or_else(()) or () if selects(service, p)]


def workload_refs(pods: list[Obj], namespace: str, most: int = 2) -> tuple[ObjectRef, ...]:
    """The workloads of pods, at most so many."""
    return tuple(dict.fromkeys(ObjectRef(*workload_of(p), namespace) for p in pods))[:most]


def workloads_of(scene: Scene, namespace: str, name: str) -> tuple[ObjectRef, ...]:
    """The workloads whose pods a Service selects."""
    service = scene.service(namespace, name)
    return workload_refs(pods_of(scene, service, namespace), namespace) if service else ()


def last_exchanges(scene: Scene) -> list[Exchange]:
    """The last exchange of each request of the host."""
    return [
        c.get().exchanges[-1] for c in scene.snapshot.http.requests if c.seen and c.get().exchanges
    ]


def failure(exchange: Exchange) -> str:
    """How a request failed before there was a status, in a word or two."""
    return text("failed", exchange.error.value) if exchange.error else "?"


def gateway_gap(routing: Routing, *, required: bool) -> Gap:
    """The host is (also) routed by HTTPRoutes, which are not evaluated."""
    return Gap(
        "gateway_api",
        Why.NOT_NEEDED,
        required=required,
        params={"host": routing.scene.target.host, "names": listing(routing.gateway)},
    )
