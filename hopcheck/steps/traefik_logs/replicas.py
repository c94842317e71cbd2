"""Every Traefik replica has the route, with the servers of today."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from hopcheck.behaviour.kubernetes.graph import Graph
from hopcheck.behaviour.traefik.logs import (
    BAD_LEVELS,
    after_last_reload,
    excerpt,
    overtaken,
)
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import unquoted
from hopcheck.behaviour.traefik.servers import endpoint_addresses, port_of
from hopcheck.behaviour.traefik.subjects import Subject, of_status, owners, subject
from hopcheck.behaviour.traefik.subjects import loaded as built
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Evidence, Finding, ObjectRef, Replica, Why, Words
from hopcheck.model.kubernetes import (
    KINDS,
    EndpointSlice,
    Middleware,
    Service,
    TraefikService,
)
from hopcheck.scene.chosen_route import Routing, routing_of
from hopcheck.scene.outcome import Producer, astray, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps.loaded import Loaded, loaded
from hopcheck.steps.names import (
    backend_ref,
    ref_of,
    route_ref,
    route_refs,
    sent,
    shows_default_certificate,
    traefik_refs,
)
from hopcheck.steps.rule import Party, rule
from hopcheck.verdict.contradicted import Claim

_READS: tuple[Party, ...] = ("kube", "traefik")
_USES: tuple[Party, ...] = ("dns", "aws", "http")


def known_replicas(scene: Scene) -> list[Replica]:
    """The host's Traefik's replicas, as they were asked."""
    names = {pod.name for pod in (scene.instance.pods if scene.instance else ())}
    return [replica for replica in scene.snapshot.traefik.replicas if replica.pod in names]


def running(scene: Scene) -> list[Replica]:
    """Those whose pod is ready."""
    names = {pod.name for pod in (scene.instance.pods if scene.instance else ()) if pod.ready}
    return [replica for replica in known_replicas(scene) if replica.pod in names]


def states_of(scene: Scene) -> dict[str, Loaded]:
    """Whether each running replica has loaded the route, by its pod's name."""
    routing = routing_of(scene)
    return scene.once(
        "loaded", lambda: {one.pod: loaded(scene, routing, one) for one in running(scene)}
    )


def _lacking(scene: Scene) -> list[Replica]:
    states = states_of(scene)
    return [replica for replica in running(scene) if states[replica.pod] is Loaded.NO]


def _of_replica(
    code: str, scene: Scene, one: Replica, *, at: ObjectRef | None = None, **more: Any
) -> Finding:
    """A finding about a replica, or about another object `at` fault."""
    detail = text("said", "routers", count=len(one.routers.or_else(()) or ()))
    words: Words = {"host": scene.target.host, "path": scene.target.path, "detail": detail}
    return make(code, at or _ref(one), pod=one.pod, ns=one.namespace, **words, **more)


def _ref(replica: Replica) -> ObjectRef:
    return ObjectRef("Pod", replica.pod, replica.namespace)


@rule(reads=_READS, uses=_USES)
def every_replica_has_loaded_the_route(scene: Scene) -> Iterator[Finding]:
    """The replicas are alike: where one has loaded the route, every other has."""
    lacking, states = _lacking(scene), states_of(scene)
    if not lacking or Loaded.YES not in states.values():
        return
    yield _of_replica(
        "LOG001",
        scene,
        lacking[0],
        count=len(lacking),
        total=len(states),
        pods=listing(replica.pod for replica in lacking),
        share=len(lacking) / len(states),
        related=(*traefik_refs(scene), *map(_ref, lacking[1:4])),
    )


def _on_the_way(scene: Scene) -> dict[ObjectRef, bool]:
    """Every object that Traefik's lines may be about, and whether the host's route needs it."""
    route, graph = routing_of(scene).selection.winner, Graph.of(scene.kube)
    plural = {kind.__name__: name for name, kind in KINDS.items()}
    start = graph.get(plural[route.kind], route.namespace, route.name) if route else None
    way = [start, *graph.walk([start]).values()] if start is not None else []
    own = {ref_of(obj) for obj in way if obj is not None}
    return {ref: ref in own for name in plural.values() for ref in map(ref_of, graph.all(name))}


def _refusals(scene: Scene, replica: Replica) -> Iterator[tuple[ObjectRef, str, Evidence]]:
    """What the API, then the log, says now of an object on the host's way; the newest first."""
    metrics, points = replica.metrics.or_else({}) or {}, scene.static.entry_points
    objects = scene.once("on_the_way", lambda: _on_the_way(scene))

    def own(about: Subject | None) -> list[ObjectRef]:
        found = owners(about, objects, points) if about is not None else ()
        return [found[0]] if found and all(objects[ref] for ref in found) else []

    for router in (*(replica.routers.or_else(()) or ()), *(replica.tcp_routers.or_else(()) or ())):
        for ref in own(built("Router", router.name)) if router.status == "disabled" else ():
            shown = msgspec.json.encode(router).decode()
            if router.error:
                source = text("source", "api", pod=replica.pod)
                yield ref, listing(router.error), Evidence(source, shown)
    # What was said before a router that stands now is history, but for certificates.
    stands = states_of(scene)[replica.pod] is Loaded.YES
    log = () if stands and not shows_default_certificate(scene) else replica.log.or_else(()) or ()
    lines = [one for one in reversed(after_last_reload(log)) if one.level in BAD_LEVELS]
    for line in sorted(lines, key=lambda one: one.level == "warn"):
        # What a resolver could not get it does not try, nor say, at each reload.
        lasting = line.fields.get("providerName", "").endswith(".acme")
        past = not lasting and overtaken(line, metrics, scene.static.throttle_s)
        if line.kind != "traefik" or past or of_status(line):
            continue
        for ref in own(subject(line)):
            words = ": ".join(filter(None, (line.message, line.fields.get("error"))))
            source = text("source", "log", pod=replica.pod)
            yield ref, words, Evidence(source, *excerpt(log, [line]))


@rule(reads=_READS, uses=_USES, claims=Claim.STOPS_EVERYTHING)
def traefik_refuses_nothing_on_the_way(scene: Scene) -> Iterator[Finding]:
    """No line of Traefik's refuses an object of the route, where it does not serve the host."""
    # 502 and 504 are the pods': the router stands. What a redirect leads to may be another's.
    last = [probe.exchanges[-1] for probe in sent(scene) if not astray(probe)]
    mine = {e.status for e in last if producer(e) is Producer.TRAEFIK}
    served = not mine - {502, 504} and not shows_default_certificate(scene)
    route, lacking = routing_of(scene).selection.winner, _lacking(scene)
    if route is None or (served and not lacking):
        return
    # It may not be loaded for what could not be read: the words alone do not say whose fault it is.
    if lacking and {*_unread(scene, routing_of(scene), route)} - {"pods/log"}:
        return
    for replica in running(scene):
        for ref, words, proof in _refusals(scene, replica):
            yield _of_replica(
                "LOG010",
                scene,
                replica,
                at=ref,
                about=str(ref),
                line=words,
                name=ref.name,
                evidence=(proof,),
                related=(*route_refs(routing_of(scene)), _ref(replica)),
            )
            return


@rule(
    reads=_READS,
    uses=_USES,
    claims=Claim.STOPS_EVERYTHING,
    unless=(traefik_refuses_nothing_on_the_way,),
)
def the_declared_route_is_loaded(scene: Scene) -> Iterator[Finding]:
    """The route that is declared is loaded."""
    lacking, routing = _lacking(scene), routing_of(scene)
    route = routing.selection.winner
    if not lacking or route is None or Loaded.YES in states_of(scene).values():
        return  # where nothing is declared, the route's own step says so
    unread = _unread(scene, routing, route)
    accused = (*traefik_refs(scene), _ref(lacking[0]))[0]
    yield _of_replica(
        "LOG002",
        scene,
        lacking[0],
        at=ObjectRef("Host", scene.target.host) if unread else accused,
        variant="unread" if unread else None,
        unread=listing(unread),
        route=str(route_ref(route)),
        related=(route_ref(route), *map(_ref, lacking[:4])),
    )


def _unread(scene: Scene, routing: Routing, route: Route) -> list[str]:
    """What decides whether Traefik loads the route and could not be read here.

    Then something may well be wrong there: Traefik itself is not accused.
    """
    kube, wanted = scene.kube, []
    for backend in routing.backends(route)[0]:
        one = kube.find(Service, backend.namespace, backend.name)
        wanted.append(("services", one.seen or one.why is Why.NOT_FOUND))
        wanted.append(("endpointslices", kube.of(EndpointSlice, backend.namespace).seen))
    wanted += [(name, False) for name in route.uncertain]
    if route.middlewares:
        wanted.append(("middlewares", kube.of(Middleware).seen))
    if any(backend.kind == "TraefikService" for backend in route.backends):
        wanted.append(("traefikservices", kube.of(TraefikService).seen))
    if not any(r.log.seen for r in scene.snapshot.traefik.replicas):
        wanted.append(("pods/log", False))
    return list(dict.fromkeys(name for name, seen in wanted if not seen))


@rule(reads=_READS, uses=_USES)
def no_replica_sends_to_addresses_of_the_past(scene: Scene) -> Iterator[Finding]:
    """Each replica sends to addresses that the EndpointSlices name now."""
    routing = routing_of(scene)
    route = routing.selection.winner
    if route is None or _lacking(scene):
        return
    declared: set[str] = set()
    ways: set[str] = set()
    names: list[ObjectRef] = []
    for backend, service in routing.services():
        port = port_of(service, backend.port)
        spec = service.spec
        # Slices of a Service that has become an ExternalName may be left behind.
        if port is None or backend.native_lb or spec.type == "ExternalName":
            return
        names.append(backend_ref(backend))
        declared |= {a for a, _, _ in endpoint_addresses(scene.kube, service, port)}
        # Native load balancing sends to the Service itself, by its cluster IP or its nodePort.
        ways |= {*spec.cluster_ips, spec.cluster_ip}
        ways |= set(scene.node_ids) if port.node_port else set()
    known = declared | ways
    for replica in running(scene) if declared else ():
        servers = _servers(replica, route.rule, names)
        if servers and not any(address in url for url in servers for address in known):
            words: Words = {"loaded": listing(servers), "declared": listing(sorted(declared))}
            yield _of_replica("LOG003", scene, replica, **words, related=names)


def _servers(replica: Replica, rule: str, names: list[ObjectRef]) -> list[str]:
    wanted = {
        router.service
        for router in replica.routers.or_else(()) or ()
        if unquoted(router.rule) == unquoted(rule) and router.status != "disabled"
    }
    found: list[str] = []
    for service in replica.services.or_else(()) or ():
        name = service.name.partition("@")[0]
        meant = any(f"{ref.namespace}-{ref.name}" in name for ref in names)
        if meant and wanted & {name, service.name} and service.load_balancer is not None:
            servers = service.load_balancer.servers or ()
            found += [server.url or server.address for server in servers]
    return [url for url in found if url]
