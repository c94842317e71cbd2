"""What the route refers to: Services and their ports, TraefikServices, ServersTransports."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.route import Backend, Route, transport_of
from hopcheck.behaviour.traefik.routes import mirrored
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Finding, ObjectRef, Why
from hopcheck.model.kubernetes import ServersTransport, Service
from hopcheck.scene.chosen_route import lacks_port, routing_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress.standing import route_in_question, winner
from hopcheck.steps.names import backend_ref, of_route, route_ref
from hopcheck.steps.rule import BESIDE_KUBE, rule


def lacking(
    scene: Scene, route: Route, what: str, holder: ObjectRef, *related: ObjectRef, **words: str
) -> Finding:
    """Something that `holder` names does not exist."""
    return of_route(
        "ING020",
        scene,
        route,
        at=holder,
        reference=what,
        reason=text("reference", "missing"),
        advice=text("reference_advice", "missing", what=what),
        related=related,
        **words,
    )


def _backends(scene: Scene) -> Iterator[tuple[Route, Backend]]:
    """Every Service that has to exist: those that carry requests, and those that get copies."""
    route = route_in_question(scene)
    if route is None:
        return
    copies = [
        copy
        for backend in route.backends
        if backend.kind == "TraefikService"
        for copy in mirrored(scene.kube, backend)
        if copy.kind == "Service"
    ]
    for backend in (*routing_of(scene).backends(route)[0], *copies):
        if not backend.name.endswith("@internal"):
            yield route, backend


@rule(reads=("kube",), uses=BESIDE_KUBE)
def services_exist(scene: Scene) -> Iterator[Finding]:
    """Every Service and TraefikService behind the route exists; Traefik drops the route else."""
    route = route_in_question(scene)
    if route is None:
        return
    for backend in routing_of(scene).backends(route)[1]:
        ref = backend_ref(backend)
        yield lacking(scene, route, str(ref), route_ref(route, backend.field), ref)
    for _, backend in _backends(scene):
        if _absent(scene, backend):
            yield _missing_service(scene, route, backend)


def _absent(scene: Scene, backend: Backend) -> bool:
    if scene.service(backend.namespace, backend.name) is not None:
        return False
    return scene.kube.find(Service, backend.namespace, backend.name).why is Why.NOT_FOUND


def _missing_service(scene: Scene, route: Route, backend: Backend) -> Finding:
    name, space = backend.name, backend.namespace
    own = [service.key for service in scene.services]
    elsewhere = sorted(ns for ns, other in own if other == name)
    close = difflib.get_close_matches(name, [n for ns, n in own if ns == space], n=1)
    near, meant = "", [(name, ns) for ns in elsewhere[:3]] or [(one, space) for one in close]
    if elsewhere:
        near = text("near", "elsewhere", namespaces=listing(elsewhere))
    elif close:
        near = text("near", "there_is", name=close[0])
    related = (ObjectRef("Service", *one) for one in meant)
    return of_route(
        "ING004",
        scene,
        route,
        at=backend.field,
        service=name,
        svc=name,
        near=near,
        related=(*related, backend_ref(backend), *_composites(route)),
        ns=space,
    )


def _composites(route: Route) -> tuple[ObjectRef, ...]:
    """TraefikServices between the route and its Services: they may hold the reference."""
    return tuple(backend_ref(b) for b in route.backends if b.kind == "TraefikService")


@rule(reads=("kube",), uses=BESIDE_KUBE)
def services_have_the_port(scene: Scene) -> Iterator[Finding]:
    """Every Service behind the route has the port that the route names."""
    for route, backend in _backends(scene):
        service = scene.service(backend.namespace, backend.name)
        if service is None or not lacks_port(service, backend):
            continue
        ports = (f"{p.name}:{p.port}" if p.name else p.port for p in service.spec.ports)
        yield of_route(
            "ING005",
            scene,
            route,
            at=backend.field,
            service=f"{backend.namespace}/{backend.name}",
            svc=backend.name,
            port=backend.port if backend.port is not None else text("said", "no_port"),
            ports=listing(ports),
            related=(backend_ref(backend), *_composites(route)),
            ns=backend.namespace,
        )


@rule(reads=("kube",), uses=BESIDE_KUBE)
def servers_transports_exist(scene: Scene) -> Iterator[Finding]:
    """The ServersTransport by which Traefik is to speak to the pods exists."""
    transports = scene.kube.of(ServersTransport)
    known = {reference(obj.namespace, obj.name) for obj in transports.or_else(()) or ()}
    for route, backend in _backends(scene) if transports.seen else ():
        # A TCP route's is a ServersTransportTCP, which is another resource.
        if route.kind == "IngressRouteTCP":
            continue
        service = scene.service(backend.namespace, backend.name)
        wanted = transport_of(route, backend, service) if service is not None else ""
        if not wanted or ("@" in wanted and not wanted.endswith("@kubernetescrd")):
            continue
        # makeServersTransportKey: the name is completed by the namespace of the Service reference.
        if {reference(space, wanted) for space in (backend.namespace, route.namespace)} & known:
            continue
        ends = [backend_ref(backend, "metadata.annotations"), route_ref(route, backend.field)]
        holder = ends.pop(1 if backend.servers_transport else 0)
        yield lacking(scene, route, f"ServersTransport {wanted}", holder, *ends)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def other_rules_lead_somewhere(scene: Scene) -> Iterator[Finding]:
    """Rules beside the one that serves the request lead somewhere, though it needs them not.

    Those of the same object, and routes that would match were they not dropped for that.
    """
    serving, routing = winner(scene), routing_of(scene)
    if serving is None:
        return
    own = (serving.kind, serving.namespace, serving.name)
    told = {(b.namespace, b.name, str(b.port)) for b in serving.backends}
    for route in routing.routes:
        same = (route.kind, route.namespace, route.name) == own
        if not (same or route in routing.selection.passed_over) or not route.loaded:
            continue
        for backend in route.backends:
            key = (backend.namespace, backend.name, str(backend.port))
            reason = None if key in told else _broken(scene, backend)
            if reason is not None:
                told.add(key)
                more = {"reason": reason, "related": (backend_ref(backend),)}
                yield of_route("ING023", scene, route, at=backend.field, **more)


def _broken(scene: Scene, backend: Backend) -> str | None:
    """Why a backend leads nowhere, in words; None where it leads somewhere or is not known."""
    if backend.kind != "Service" or "@" in backend.name:
        return None
    service = scene.kube.find(Service, backend.namespace, backend.name)
    words = {"service": f"{backend.namespace}/{backend.name}", "port": backend.port}
    if service.why is Why.NOT_FOUND:
        return text("neighbour", "service", **words)
    if service.seen and lacks_port(service.get(), backend):
        return text("neighbour", "port", **words)
    return None
