"""Rules beside the one that serves the request: broken, though this request needs them not."""

from __future__ import annotations

from hopcheck.behaviour.traefik.route import Backend, Route
from hopcheck.catalogue.catalogue import make, text
from hopcheck.model import Finding, Obj, ObjectRef, Why
from hopcheck.scene.chosen_route import Routing, port_of
from hopcheck.scene.scene import Scene, spec
from hopcheck.steps.names import route_ref, route_words


def judge(scene: Scene, routing: Routing, winner: Route) -> list[Finding]:
    """One note for each other backend that leads nowhere.

    Of the winner's object, and of routes that would match were they not dropped for that.
    """
    used = {(b.namespace, b.name, str(b.port)) for b in winner.backends}
    found: dict[tuple[str, str, str], Finding] = {}
    for route in routing.routes:
        same = (route.kind, route.namespace, route.name) == (
            winner.kind,
            winner.namespace,
            winner.name,
        )
        if not (same or route in routing.selection.passed_over) or not route.loaded:
            continue
        for backend in route.backends:
            key = (backend.namespace, backend.name, str(backend.port))
            reason = None if key in used or key in found else _broken(scene, backend)
            if reason is not None:
                found[key] = make(
                    "ING023",
                    route_ref(route, backend.field),
                    reason=reason,
                    host=scene.target.host,
                    path=scene.target.path,
                    related=(ObjectRef("Service", backend.name, backend.namespace),),
                    **route_words(route),
                )
    return list(found.values())


def _broken(scene: Scene, backend: Backend) -> str | None:
    """Why a backend leads nowhere, in words; None where it leads somewhere or is not known."""
    if backend.kind != "Service" or "@" in backend.name:
        return None
    service = scene.kube.one("services", backend.namespace, backend.name)
    words = {"service": f"{backend.namespace}/{backend.name}", "port": backend.port}
    if service.why is Why.NOT_FOUND:
        return text("neighbour", "service", **words)
    if service.seen and _lacks(service.get(), backend):
        return text("neighbour", "port", **words)
    return None


def _lacks(service: Obj, backend: Backend) -> bool:
    # Traefik takes the port from the reference where an ExternalName Service names none.
    return spec(service).get("type") != "ExternalName" and port_of(service, backend.port) is None
