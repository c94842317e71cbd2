"""Names and look-ups that several judges of the route share."""

from __future__ import annotations

from typing import Any

from hopcheck.model import Exchange, ObjectRef
from hopcheck.way.route import Route
from hopcheck.way.scene import Scene

RESOURCE = {
    "Ingress": "ingress",
    "IngressRoute": "ingressroutes.traefik.io",
    "IngressRouteTCP": "ingressroutetcps.traefik.io",
}


def route_ref(route: Route, field: str | None = None) -> ObjectRef:
    """The report's name of the object behind a route."""
    return ObjectRef(route.kind, route.name, route.namespace, field)


def route_words(route: Route) -> dict[str, Any]:
    """The catalogue's parameters that every finding about a route has."""
    return {
        "route": f"{route.kind} {route.namespace}/{route.name}",
        "ns": route.namespace,
        "resource": RESOURCE[route.kind],
        "name": route.name,
    }


def traefik_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    """The workload of the host's Traefik, as the other end of a relation."""
    instance = scene.instance
    return (ObjectRef(instance.kind, instance.name, instance.namespace),) if instance else ()


def last_exchanges(scene: Scene) -> list[Exchange]:
    """The last exchange of each request of the host."""
    return [
        c.get().exchanges[-1] for c in scene.snapshot.http.requests if c.seen and c.get().exchanges
    ]
