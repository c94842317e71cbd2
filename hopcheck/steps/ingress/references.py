"""What the route refers to: Services and their ports, ServersTransports, entryPoints."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

from msgspec import structs

from hopcheck.behaviour.kubernetes.graph import Graph
from hopcheck.behaviour.traefik.ingress import filter_exclusions
from hopcheck.behaviour.traefik.ingressroute import parents_of, reference
from hopcheck.behaviour.traefik.route import Backend, Excluded, Route, transport_of
from hopcheck.behaviour.traefik.routes import copied
from hopcheck.behaviour.traefik.servers import lacks_port, port_of
from hopcheck.behaviour.traefik.version import panics_on_resources
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Exchange, Finding, Hop, ObjectRef, Severity, Why, Words
from hopcheck.model.kubernetes import (
    Ingress,
    IngressRoute,
    IngressRouteTCP,
    Middleware,
    Object,
    ServersTransport,
    Service,
    TLSOption,
    TLSStore,
    TraefikService,
)
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps import fixing
from hopcheck.steps.ingress.standing import left_out, route_rule, winner
from hopcheck.steps.names import backend_ref, of_object, of_route, ref_of, route_ref, traefik_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule
from hopcheck.verdict.contradicted import Claim

_PLURALS = {kind.__name__: kind.plural for kind in (Ingress, IngressRoute, IngressRouteTCP)}
_CRD = "kubernetescrd"
_OF_TRAEFIK = (Middleware, TraefikService, TLSOption, TLSStore, ServersTransport)


def in_former_group(scene: Scene, kind: type[Object], full: str) -> bool:
    """Whether the object of that name stands in the group that Traefik read up to v2 alone."""
    return full in {reference(*obj.key) for obj in scene.kube.former(kind)}


def lacking(
    scene: Scene,
    route: Route,
    what: str,
    holder: ObjectRef,
    /,
    *related: ObjectRef,
    kind: type[Object],
    full: str,
    near: str = "",
    **words: Any,
) -> Finding:
    """What `holder` names does not exist: the `kind` of that `full` name; `near` reads like it."""
    key = "former" if in_former_group(scene, kind, full) else "missing"
    return of_route(
        "ING020",
        scene,
        route,
        at=holder,
        reference=what,
        reason=text("reference", key) + fixing.near_words("" if key == "former" else near),
        advice=text("reference_advice", key, what=what, resource=kind.plural),
        related=related,
        **words,
    )


def _backends(scene: Scene, route: Route) -> Iterator[Backend]:
    """Every Service that has to exist: those that carry requests, and those that get copies."""
    for backend in (*routing_of(scene).backends(route)[0], *copied(scene.kube, route)):
        if not backend.name.endswith("@internal"):
            yield backend


@route_rule(claims=Claim.STOPS_A_PART)
def services_exist(scene: Scene, route: Route) -> Iterator[Finding]:
    """Every Service and TraefikService behind the route exists; Traefik drops the route else."""
    for backend in routing_of(scene).backends(route)[1]:
        ref = backend_ref(backend)
        every = scene.kube.every(TraefikService)
        near = fixing.near(ref.name, [o.name for o in every if o.namespace == ref.namespace])
        at, full = route_ref(route, backend.field), reference(backend.namespace, backend.name)
        yield lacking(scene, route, str(ref), at, ref, kind=TraefikService, full=full, near=near)
    for backend in _backends(scene, route):
        name, space = backend.name, backend.namespace
        if scene.service(space, name) is not None:
            continue
        if scene.kube.find(Service, space, name).why is Why.NOT_FOUND:
            near, meant = _meant(scene, backend)
            related = (*meant, backend_ref(backend), *_composites(route))
            words = {"service": name, "svc": name, "near": near, "ns": space}
            # Of which it is a slip, and which has the port.
            own = (one for one in scene.services if one.namespace == space)
            close = fixing.meant(name, [one.name for one in own if port_of(one, backend.port)])
            words |= fixing.of_backend(scene, route, backend, name=close)
            yield of_route("ING004", scene, route, at=backend.field, related=related, **words)


def _meant(scene: Scene, backend: Backend) -> tuple[str, list[ObjectRef]]:
    """What a missing Service may have been meant to be, in words: of its name, else alike."""
    name, space = backend.name, backend.namespace
    own = [service.key for service in scene.services]
    elsewhere = sorted(ns for ns, other in own if other == name)
    if elsewhere:
        words = text("near", "elsewhere", namespaces=listing(elsewhere))
        return words, [ObjectRef("Service", name, ns) for ns in elsewhere[:3]]
    close = fixing.near(name, [n for ns, n in own if ns == space])
    return fixing.near_words(close), [ObjectRef("Service", close, space)] * bool(close)


def _composites(route: Route) -> tuple[ObjectRef, ...]:
    """TraefikServices between the route and its Services: they may hold the reference."""
    return tuple(backend_ref(b) for b in route.backends if b.kind == "TraefikService")


@route_rule(claims=Claim.STOPS_A_PART)
def services_have_the_port(scene: Scene, route: Route) -> Iterator[Finding]:
    """Every Service behind the route has the port that the route names."""
    for backend in _backends(scene, route):
        service = scene.service(backend.namespace, backend.name)
        if service is None or not lacks_port(route, backend, service):
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
            **_to_its_port(scene, route, backend, service),
        )


def _to_its_port(scene: Scene, route: Route, backend: Backend, service: Service) -> Words:
    """The edit that names the Service's only port, or the one of which the name is a slip."""
    ports = {port.name: port.port for port in service.spec.ports if port.port}
    name = fixing.only(str(backend.port or ""), [*ports])
    return fixing.of_backend(scene, route, backend, port=ports.get(name) if ports else None)


@route_rule()
def servers_transports_exist(scene: Scene, route: Route) -> Iterator[Finding]:
    """The ServersTransport by which Traefik is to speak to the pods exists."""
    transports = scene.kube.of(ServersTransport)
    known = {reference(*obj.key): obj for obj in transports.or_else(()) or ()}
    static = routing_of(scene).view.static
    # A TCP route's is a ServersTransportTCP, which is another resource.
    if not transports.seen or route.kind == "IngressRouteTCP":
        return
    for backend in _backends(scene, route):
        service = scene.service(backend.namespace, backend.name)
        wanted = transport_of(route, backend, service) if service is not None else ""
        # makeServersTransportKey: an IngressRoute's is completed by the namespace of the Service;
        # a Service's annotation without a provider means one of the Ingress's, which has none.
        own = wanted if route.kind == "Ingress" else reference(backend.namespace, wanted)
        provider = own.rpartition("@")[2] if "@" in own else ""
        brings_some = provider == "file" and (static.file_provider or not static.known)
        other = provider not in ("", "file", "kubernetes", "kubernetescrd")
        if not wanted or own in known or brings_some or other:
            continue
        ends = [backend_ref(backend, "metadata.annotations"), route_ref(route, backend.field)]
        holder = ends.pop(1 if backend.servers_transport else 0)
        what = f"ServersTransport {wanted}"
        near = fixing.in_full(wanted, backend.namespace, known) or fixing.near(own, known)
        yield lacking(scene, route, what, holder, *ends, kind=ServersTransport, full=own, near=near)


@route_rule(claims=Claim.STOPS_EVERYTHING)
def filters_leave_in_what_the_route_names(scene: Scene, route: Route) -> Iterator[Finding]:
    """The provider's filters, which hold for each of its objects, leave in what the route names."""
    static, graph = routing_of(scene).view.static, Graph.of(scene.kube)
    start = graph.get(_PLURALS[route.kind], route.namespace, route.name)
    if start is None or not static.known:
        return
    if route.kind != "Ingress":  # of its rules the one that is asked
        kept = [r for at, r in enumerate(start.spec.routes) if route.field == f"spec.routes[{at}]"]
        start = structs.replace(start, spec=structs.replace(start.spec, routes=tuple(kept)))
    for obj in filter(None, graph.walk([start]).values()):
        found = filter_exclusions(obj, static.crd, _CRD) if isinstance(obj, _OF_TRAEFIK) else []
        for why in (one for one in found if one.reason is not Excluded.PROVIDER_DISABLED):
            words = left_out(why) | of_object(obj)
            words |= {"at": ref_of(obj, why.field), "actual": why.value or text("list", "none")}
            related = (route_ref(route), *traefik_refs(scene))
            yield of_route("ING003", scene, route, related=related, **words)
            return


@route_rule(claims=Claim.STOPS_EVERYTHING)
def parents_exist(scene: Scene, route: Route) -> Iterator[Finding]:
    """The parents exist that IngressRoutes name, where one without a Service waits for children."""
    every = scene.kube.every(IngressRoute)
    known = {obj.key for obj in every}
    for child in every if not route.backends and route.kind == "IngressRoute" else ():
        for at, (space, name) in enumerate(parents_of(child)):
            if (space, name) in known or space != route.namespace:
                continue
            names = [other for where, other in known if where == space]
            ref, own = ObjectRef("IngressRoute", name, space), f"spec.parentRefs[{at}]"
            what, at_child = text("reference", "parent", what=ref), ref_of(child, own)
            meant = fixing.meant(name, names) == route.name
            words = fixing.patch(child, {f"{own}.name": route.name} if meant else {})
            words |= of_object(child) | {"near": fixing.near(name, names)}
            full, related = reference(space, name), (route_ref(route), ref)
            yield lacking(
                scene, route, what, at_child, *related, kind=IngressRoute, full=full, **words
            )
            return


@route_rule()
def every_entry_point_exists(scene: Scene, route: Route) -> Iterator[Finding]:
    """Every entryPoint that the route asks for exists."""
    static = routing_of(scene).view.static
    if route.entry_points_missing and static.known:
        yield of_route(
            "ING010",
            scene,
            route,
            severity=Severity.WARNING,
            asked=listing(route.entry_points_missing),
            existing=listing(static.entry_points),
            related=traefik_refs(scene),
        )


@rule(
    reads=("kube",),
    uses=BESIDE_KUBE,
    claims=Claim.STOPS_EVERYTHING,
    otherwise=Severity.WARNING,  # what was read before is served until Traefik starts anew
)
def no_ingress_keeps_the_others_from_being_read(scene: Scene) -> Iterator[Finding]:
    """No Ingress has a resource as its backend where Traefik panics over that."""
    routing, own = routing_of(scene), winner(scene)
    version = routing.view.version
    if own is None or own.kind != "Ingress" or not panics_on_resources(version):
        return
    for route in routing.routes:
        named = [e.value for e in route.excluded if e.reason is Excluded.RESOURCE_BACKEND]
        if named and len(route.excluded) == 1 and not route.uncertain:
            yield of_route(
                "ING046",
                scene,
                route,
                at=f"{route.field}.resource" if route.path is None else f"{route.field}.backend",
                resource_backend=named[0],
                own=str(route_ref(own)),
                version=str(version),
                related=(route_ref(own), *traefik_refs(scene)),
            )
            return


@route_rule("http")
def redirects_lead_to_a_port_of_clients(scene: Scene, _: Route) -> Iterator[Finding]:
    """No redirect to https names the entryPoint's own port, where no client can follow."""
    if any(300 <= (p.exchanges[-1].status or 0) < 400 for p in probes_at(scene, Hop.POD)):
        return  # the application itself redirects, as its pods say when they are asked directly
    points = routing_of(scene).view.static.entry_points
    inner = {point.port for point in points.values()} - {443, 80, scene.target.port}
    for exchange in _not_followed(scene):
        location = exchange.header("location") or ""
        parts = urlsplit(location)
        try:
            port = parts.port
        except ValueError:
            continue
        redirects = exchange.status in (301, 302, 303, 307, 308) and parts.scheme == "https"
        if redirects and parts.hostname == scene.target.host and port in inner:
            host = ObjectRef("Host", scene.target.host)
            yield make(
                "ING015",
                next(iter(traefik_refs(scene)), host),
                severity=Severity.ERROR if scene.target.scheme == "http" else Severity.WARNING,
                location=location,
                port=port,
                entry=next((n for n, e in points.items() if e.redirect_to is not None), "web"),
                host=scene.target.host,
                path=scene.target.path,
            )
            return


def _not_followed(scene: Scene) -> Iterator[Exchange]:
    """Exchanges after which nobody answered the next one; an ALB's own left out."""
    http = scene.snapshot.http
    for collected in (*http.requests, http.other_scheme):
        exchanges = collected.get().exchanges if collected.seen else ()
        for exchange, following in zip_longest(exchanges, exchanges[1:]):
            followed = following is not None and following.status is not None
            if not followed and producer(exchange) is not Producer.ALB:
                yield exchange
