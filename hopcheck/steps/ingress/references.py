"""Everything that the serving route names: does it exist, and may it be used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.route import Backend, Route
from hopcheck.behaviour.traefik.routes import listed, mirrored
from hopcheck.behaviour.traefik.rules import unquoted
from hopcheck.behaviour.traefik.upstream import transport_of
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Evidence as Proof
from hopcheck.model import Finding, Hop, Obj, ObjectRef, Severity, Why
from hopcheck.scene.chosen_route import Routing, port_of
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps import middlewares
from hopcheck.steps.ingress import route_tls
from hopcheck.steps.names import last_exchanges, route_ref, route_words, traefik_refs


def judge(scene: Scene, routing: Routing, route: Route) -> list[Finding]:
    """Judge every reference of the route that serves the request."""
    found = [
        *_services(scene, routing, route),
        *_entry_points(scene, routing, route),
        *middlewares.judge(scene, routing, route),
        *_tls_options(scene, routing, route),
        *route_tls.judge(scene, routing, route),
        *_redirect_port(scene, routing),
    ]
    return found or _disabled(scene, route)


# --- services


def _services(scene: Scene, routing: Routing, route: Route) -> list[Finding]:
    """Services that do not exist: Traefik drops the whole route, whatever the others' weights."""
    backends, lost = routing.backends(route)
    found = [_lost(route, backend) for backend in lost]
    copies = [
        copy
        for backend in route.backends
        if backend.kind == "TraefikService"
        for copy in mirrored(scene.kube, backend)
        if copy.kind == "Service"
    ]
    for backend in (*backends, *copies):
        if backend.name.endswith("@internal"):
            continue
        service = scene.service(backend.namespace, backend.name)
        if service is None:
            if scene.kube.one("services", backend.namespace, backend.name).why is Why.NOT_FOUND:
                found.append(_missing_service(scene, route, backend))
            continue
        port = port_of(service, backend.port)
        if port is None and not _external_without_ports(service):
            found.append(_missing_port(scene, route, backend, service))
        found += _transport(scene, route, backend, service)
    return found


def _external_without_ports(service: Obj) -> bool:
    # Traefik takes the port from the reference where an ExternalName Service names none.
    return spec(service).get("type") == "ExternalName" and not spec(service).get("ports")


def _missing_service(scene: Scene, route: Route, backend: Backend) -> Finding:
    elsewhere = [
        str(meta(s).get("namespace")) for s in scene.services if meta(s).get("name") == backend.name
    ]
    names = [
        str(meta(s).get("name"))
        for s in scene.services
        if meta(s).get("namespace") == backend.namespace
    ]
    close = difflib.get_close_matches(backend.name, names, n=1)
    near = ""
    related: tuple[ObjectRef, ...] = ()
    if elsewhere:
        near = text("near", "elsewhere", namespaces=listing(sorted(elsewhere)))
        related = tuple(ObjectRef("Service", backend.name, ns) for ns in sorted(elsewhere)[:3])
    elif close:
        near = text("near", "there_is", name=close[0])
        related = (ObjectRef("Service", close[0], backend.namespace),)
    return make(
        "ING004",
        route_ref(route, backend.field),
        host=scene.target.host,
        path=scene.target.path,
        service=backend.name,
        svc=backend.name,
        near=near,
        related=(
            *related,
            ObjectRef("Service", backend.name, backend.namespace),
            *_composites(route),
        ),
        **(route_words(route) | {"ns": backend.namespace}),
    )


def _missing_port(scene: Scene, route: Route, backend: Backend, service: Obj) -> Finding:
    ports = [
        f"{p.get('name')}:{p.get('port')}" if p.get("name") else str(p.get("port"))
        for p in spec(service).get("ports") or ()
    ]
    return make(
        "ING005",
        route_ref(route, backend.field),
        host=scene.target.host,
        path=scene.target.path,
        service=f"{backend.namespace}/{backend.name}",
        svc=backend.name,
        port=backend.port if backend.port is not None else text("said", "no_port"),
        ports=listing(ports),
        related=(ObjectRef("Service", backend.name, backend.namespace), *_composites(route)),
        **(route_words(route) | {"ns": backend.namespace}),
    )


def _composites(route: Route) -> tuple[ObjectRef, ...]:
    """TraefikServices between the route and its Services: they may hold the reference."""
    return tuple(
        ObjectRef("TraefikService", b.name, b.namespace)
        for b in route.backends
        if b.kind == "TraefikService"
    )


def _lost(route: Route, backend: Backend) -> Finding:
    name = f"TraefikService {backend.namespace}/{backend.name}"
    return make(
        "ING020",
        route_ref(route, backend.field),
        reference=name,
        reason=text("reference", "missing"),
        advice=text("reference_advice", "missing", what=name),
        related=(ObjectRef("TraefikService", backend.name, backend.namespace),),
        **route_words(route),
    )


def _transport(scene: Scene, route: Route, backend: Backend, service: Obj) -> list[Finding]:
    """A ServersTransport that does not exist, named by the IngressRoute or on the Service."""
    wanted = transport_of(route, backend, service)
    # A TCP route's is a ServersTransportTCP, which is another resource.
    if not wanted or route.kind == "IngressRouteTCP":
        return []
    if "@" in wanted and not wanted.endswith("@kubernetescrd"):
        return []
    transports = scene.kube.list("serverstransports")
    if not transports.seen:
        return []
    known = {
        reference(meta(obj).get("namespace", ""), meta(obj)["name"]) for obj in transports.get()
    }
    # makeServersTransportKey: the name is completed by the namespace of the Service reference.
    if {reference(space, wanted) for space in (backend.namespace, route.namespace)} & known:
        return []
    what = f"ServersTransport {wanted}"
    holder = ObjectRef("Service", backend.name, backend.namespace, "metadata.annotations")
    ref = route_ref(route, backend.field)
    return [
        make(
            "ING020",
            ref if backend.servers_transport else holder,
            reference=what,
            reason=text("reference", "missing"),
            advice=text("reference_advice", "missing", what=what),
            related=(holder if backend.servers_transport else ref,),
            **route_words(route),
        )
    ]


# --- entryPoints


def _entry_points(scene: Scene, routing: Routing, route: Route) -> list[Finding]:
    if not route.entry_points_missing or not routing.view.static.known:
        return []
    return [
        make(
            "ING010",
            route_ref(route),
            severity=Severity.WARNING,
            asked=listing(route.entry_points_missing),
            existing=listing(routing.view.static.entry_points),
            related=traefik_refs(scene),
            **route_words(route),
        )
    ]


def _tls_options(scene: Scene, routing: Routing, route: Route) -> list[Finding]:
    """A TLSOption that does not exist: Traefik disables the router and ends every handshake."""
    entry = routing.view.static.entry_points.get(routing.entry_point)
    shared = entry.tls_options if entry is not None and routing.view.static.known else None
    written = (route.tls_options if route.tls else shared) or ""
    options = scene.kube.list("tlsoptions")
    # A name without a provider is one of the router's own; Ingresses bring no TLS options.
    wanted = written if "@" in written or not written else f"{written}@{route.provider}"
    readable = options.seen and wanted.endswith("@kubernetescrd")
    if written in ("", "default") or not (readable or wanted.endswith("@kubernetes")):
        return []
    known = {
        reference(meta(obj).get("namespace", ""), meta(obj)["name"])
        for obj in listed(scene.kube, "tlsoptions")
    }
    if wanted in known:
        return []
    what = f"TLSOption {written}"
    instance = scene.instance
    owned = route_ref(route, "spec.tls.options" if route.kind != "Ingress" else None)
    by_traefik = not route.tls and instance is not None
    words = route_words(route)
    holder = owned
    if by_traefik and instance is not None:
        holder = ObjectRef(instance.kind, instance.name, instance.namespace)
        words |= {
            "route": str(holder),
            "ns": instance.namespace,
            "resource": instance.kind.lower(),
            "name": instance.name,
        }
    return [
        make(
            "ING020",
            holder,
            reference=what,
            reason=text("reference", "missing"),
            advice=text("reference_advice", "missing", what=what),
            related=(
                ObjectRef("TLSOption", wanted.rpartition("@")[0]),
                *((owned,) if by_traefik else ()),
            ),
            **words,
        )
    ]


# --- observed


def _redirect_port(scene: Scene, routing: Routing) -> list[Finding]:
    """A redirect to https on the entryPoint's own port, where no client can follow."""
    inner = {e.port for e in routing.view.static.entry_points.values()} - {443, 80}
    probes = [c.get() for c in scene.snapshot.http.requests if c.seen]
    if scene.snapshot.http.other_scheme.seen:
        probes.append(scene.snapshot.http.other_scheme.get())
    for probe in probes:
        for exchange, following in zip_longest(probe.exchanges, probe.exchanges[1:]):
            if following is not None and following.status is not None:
                continue  # it was followed, and somebody answers there
            if producer(exchange) is Producer.ALB or _pods_redirect(scene):
                continue  # somebody else's redirect
            location = exchange.header("location") or ""
            parts = urlsplit(location)
            try:
                port = parts.port
            except ValueError:
                continue
            if (
                exchange.status in (301, 302, 303, 307, 308)
                and parts.hostname == scene.target.host
                and parts.scheme == "https"
                and port in inner
                and port != scene.target.port
            ):
                return [_redirects_inside(scene, routing, location, port)]
    return []


def _pods_redirect(scene: Scene) -> bool:
    """Whether the application itself redirects, as its pods say when they are asked directly."""
    return any(300 <= (p.exchanges[-1].status or 0) < 400 for p in probes_at(scene, Hop.POD))


def _redirects_inside(scene: Scene, routing: Routing, location: str, port: int | None) -> Finding:
    entry = next(
        (n for n, e in routing.view.static.entry_points.items() if e.redirect_to is not None), "web"
    )
    instance = scene.instance
    ref = (
        ObjectRef(instance.kind, instance.name, instance.namespace)
        if instance
        else ObjectRef("Host", scene.target.host)
    )
    severity = Severity.ERROR if scene.target.scheme == "http" else Severity.WARNING
    return make(
        "ING015",
        ref,
        severity=severity,
        location=location,
        port=port,
        entry=entry,
        host=scene.target.host,
        path=scene.target.path,
    )


def _disabled(scene: Scene, route: Route) -> list[Finding]:
    """Traefik's own word on the router, where nothing more precise was found."""
    for replica in scene.snapshot.traefik.replicas:
        for router in replica.routers.or_else(()) or ():
            if router.get("status") != "disabled" or not _same(router, route):
                continue
            errors: Sequence[Any] = router.get("error") or (text("said", "no_reason"),)
            if any(producer(e) is Producer.APPLICATION and e.status for e in last_exchanges(scene)):
                continue
            invalid = route_tls.invalid(scene, route, listing(errors))
            if invalid is not None:
                return [invalid]
            return [
                make(
                    "ING022",
                    route_ref(route),
                    error=listing(errors),
                    related=(*_named_middlewares(scene, route, errors), *traefik_refs(scene)),
                    **route_words(route),
                    evidence=(Proof(text("source", "api", pod=replica.pod), str(router)),),
                )
            ]
    return []


def _named_middlewares(scene: Scene, route: Route, errors: Iterable[Any]) -> list[ObjectRef]:
    """The route's Middlewares that Traefik's error names."""
    words = " ".join(str(error) for error in errors)
    known = middlewares.by_reference(scene)
    return [
        ObjectRef("Middleware", meta(known[name])["name"], meta(known[name]).get("namespace"))
        for name in route.middlewares
        if name in known and name in words
    ]


def _same(router: Obj, route: Route) -> bool:
    named = f"{route.namespace}-{route.name}" in str(router.get("name", ""))
    return unquoted(str(router.get("rule", ""))) == unquoted(route.rule) and (
        named or str(router.get("provider", "")) == route.provider
    )
