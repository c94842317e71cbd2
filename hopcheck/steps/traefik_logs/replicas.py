"""Every Traefik replica has the route, with the servers of today."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.traefik.logs import about_object, excerpt
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import unquoted
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Evidence, Finding, ObjectRef, Replica, Why
from hopcheck.scene.chosen_route import Routing, port_of, routing_of
from hopcheck.scene.probes import endpoint_addresses
from hopcheck.scene.scene import Scene, meta, pod_ready
from hopcheck.steps.loaded import Loaded, loaded
from hopcheck.steps.rule import Party, rule
from hopcheck.verdict.contradicted import Claim

_READS: tuple[Party, ...] = ("kube", "traefik")
_USES: tuple[Party, ...] = ("dns", "aws", "http")


def known_replicas(scene: Scene) -> list[Replica]:
    """The host's Traefik's replicas, as they were asked."""
    instance = scene.instance
    names = {str(meta(pod).get("name")) for pod in instance.pods} if instance else set()
    return [replica for replica in scene.snapshot.traefik.replicas if replica.pod in names]


def _running(scene: Scene) -> list[Replica]:
    """Those whose pod is ready."""
    pods = scene.instance.pods if scene.instance else ()
    ready = {str(meta(pod).get("name")) for pod in pods if pod_ready(pod)}
    return [replica for replica in known_replicas(scene) if replica.pod in ready]


def states_of(scene: Scene) -> dict[str, Loaded]:
    """Whether each running replica has loaded the route, by its pod's name."""

    def found() -> dict[str, Loaded]:
        routing = routing_of(scene)
        return {replica.pod: loaded(scene, routing, replica) for replica in _running(scene)}

    return scene.once("loaded", found)


def _lacking(scene: Scene) -> list[Replica]:
    states = states_of(scene)
    return [replica for replica in _running(scene) if states[replica.pod] is Loaded.NO]


def _refs(lacking: list[Replica]) -> list[ObjectRef]:
    return [ObjectRef("Pod", replica.pod, replica.namespace) for replica in lacking[:4]]


def _workload(scene: Scene) -> tuple[ObjectRef, ...]:
    one = scene.instance
    return (ObjectRef(one.kind, one.name, one.namespace),) if one else ()


@rule(reads=_READS, uses=_USES)
def every_replica_has_loaded_the_route(scene: Scene) -> Iterator[Finding]:
    """The replicas are alike: where one has loaded the route, every other has."""
    lacking, states, target = _lacking(scene), states_of(scene), scene.target
    if not lacking or Loaded.YES not in states.values():
        return
    first, refs = lacking[0], _refs(lacking)
    yield make(
        "LOG001",
        refs[0],
        count=len(lacking),
        total=len(states),
        host=target.host,
        path=target.path,
        pods=listing(replica.pod for replica in lacking),
        pod=first.pod,
        detail=_detail(first),
        ns=first.namespace,
        share=len(lacking) / len(states),
        related=(*_workload(scene), *refs[1:]),
    )


@rule(reads=_READS, uses=_USES, claims=Claim.STOPS_EVERYTHING)
def the_declared_route_is_loaded(scene: Scene) -> Iterator[Finding]:
    """The route that is declared is loaded."""
    lacking, routing, target = _lacking(scene), routing_of(scene), scene.target
    route = routing.selection.winner
    if not lacking or route is None or Loaded.YES in states_of(scene).values():
        return  # where nothing is declared, the route's own step says so
    first, refs = lacking[0], _refs(lacking)
    ref = ObjectRef(route.kind, route.name, route.namespace)
    unread = _unread(scene, routing, route)
    accused = (*_workload(scene), refs[0])[0]
    yield make(
        "LOG002",
        ObjectRef("Host", target.host) if unread else accused,
        variant="unread" if unread else None,
        unread=listing(unread),
        host=target.host,
        path=target.path,
        route=str(ref),
        detail=_detail(first),
        pod=first.pod,
        ns=first.namespace,
        related=(ref, *refs),
    )


def _unread(scene: Scene, routing: Routing, route: Route) -> list[str]:
    """What decides whether Traefik loads the route and could not be read here.

    Then something may well be wrong there: Traefik itself is not accused.
    """
    kube, wanted = scene.kube, []
    services, _ = routing.backends(route)
    for backend in services:
        one = kube.one("services", backend.namespace, backend.name)
        wanted.append(("services", one.seen or one.why is Why.NOT_FOUND))
        wanted.append(("endpointslices", kube.list("endpointslices", backend.namespace).seen))
    wanted += [(name, False) for name in route.uncertain]
    if route.middlewares:
        wanted.append(("middlewares", kube.list("middlewares").seen))
    if any(backend.kind == "TraefikService" for backend in route.backends):
        wanted.append(("traefikservices", kube.list("traefikservices").seen))
    if not any(r.log.seen for r in scene.snapshot.traefik.replicas):
        wanted.append(("pods/log", False))
    return list(dict.fromkeys(name for name, seen in wanted if not seen))


def _detail(replica: Replica) -> str:
    total = len(replica.routers.or_else(()) or ())
    return text("said", "routers", count=total)


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
        spec = service.get("spec") or {}
        # Slices of a Service that has become an ExternalName may be left behind.
        if port is None or backend.native_lb or spec.get("type") == "ExternalName":
            return
        names.append(ObjectRef("Service", backend.name, backend.namespace))
        declared |= {a for a, _, _ in endpoint_addresses(scene.kube, service, port)}
        # Native load balancing sends to the Service itself, by its cluster IP or its nodePort.
        ways |= {*(spec.get("clusterIPs") or ()), str(spec.get("clusterIP"))}
        ways |= set(scene.node_ids) if port.get("nodePort") else set()
    known = declared | ways
    for replica in _running(scene) if declared else ():
        servers = _servers(replica, route.rule, names)
        if servers and not any(address in url for url in servers for address in known):
            yield make(
                "LOG003",
                ObjectRef("Pod", replica.pod, replica.namespace),
                pod=replica.pod,
                host=scene.target.host,
                loaded=listing(servers),
                declared=listing(sorted(declared)),
                ns=replica.namespace,
                related=tuple(names),
            )


def _servers(replica: Replica, rule: str, names: list[ObjectRef]) -> list[str]:
    wanted = {
        str(router.get("service"))
        for router in replica.routers.or_else(()) or ()
        if unquoted(str(router.get("rule"))) == unquoted(rule)
        and router.get("status") != "disabled"
    }
    found = []
    for service in replica.services.or_else(()) or ():
        name = str(service.get("name", "")).partition("@")[0]
        if name not in wanted and str(service.get("name")) not in wanted:
            continue
        if not any(f"{ref.namespace}-{ref.name}" in name for ref in names):
            continue
        servers = (service.get("loadBalancer") or {}).get("servers") or ()
        found += [str(server.get("url") or server.get("address") or "") for server in servers]
    return [url for url in found if url]


@rule(reads=_READS, uses=_USES, claims=Claim.STOPS_EVERYTHING)
def no_log_complains_of_the_route(scene: Scene) -> Iterator[Finding]:
    """No log has a recent error about the route's object: information, logs are history."""
    route = routing_of(scene).selection.winner
    if route is None:
        return
    for replica in _running(scene):
        log = replica.log.or_else(()) or ()
        lines = [
            line
            for line in about_object(log, route.namespace, route.name)
            if line.level in ("error", "warn") and line.kind == "traefik"
        ]
        if lines:
            last = lines[-1]
            source = text("source", "log", pod=replica.pod)
            yield make(
                "LOG004",
                ObjectRef("Pod", replica.pod, replica.namespace),
                pod=replica.pod,
                about=f"{route.kind} {route.namespace}/{route.name}",
                count=len(lines),
                line=last.fields.get("error") or last.message or last.raw,
                ns=replica.namespace,
                name=route.name,
                evidence=(Evidence(source, *excerpt(log, lines[-3:])),),
                related=(ObjectRef(route.kind, route.name, route.namespace),),
            )
            return
