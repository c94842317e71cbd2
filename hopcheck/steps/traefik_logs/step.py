"""Step 6: has every Traefik replica loaded the route; what is silent is not failed."""

from __future__ import annotations

from typing import Any

from hopcheck.behaviour.traefik.logs import about_object, excerpt
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import unquoted
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import (
    Evidence,
    Finding,
    Gap,
    Judgement,
    ObjectRef,
    Replica,
    Snapshot,
    Step,
    Why,
)
from hopcheck.scene.chosen_route import Routing, routing_of
from hopcheck.scene.outcome import outcomes
from hopcheck.scene.scene import Scene, meta, pod_ready, scene_of
from hopcheck.steps.loaded import Loaded, loaded


def judge(snapshot: Snapshot) -> Judgement:
    """Judge each replica by its API, else by an answer that only a router can give."""
    scene = scene_of(snapshot)
    instance = scene.instance
    if instance is None or not snapshot.traefik.replicas:
        pods = next((v for k, v in scene.kube.lists.items() if k.partition("@")[0] == "pods"), None)
        if pods is not None and not pods.seen:
            gap = Gap(
                "traefik_pods",
                pods.why or Why.NOT_SELECTED,
                pods.detail,
                params={"party": "kubernetes"},
            )
        else:
            server = scene.kube.server
            gap = Gap(
                "traefik_not_found",
                server.why or Why.NOT_FOUND,
                server.detail,
                params={"party": "kubernetes"},
            )
        return Judgement(Step.TRAEFIK_LOGS, gaps=(gap,))
    names = {str(meta(pod).get("name")): pod for pod in instance.pods}
    replicas = [r for r in snapshot.traefik.replicas if r.pod in names]
    running = [r for r in replicas if pod_ready(names[r.pod])]
    routing = routing_of(scene)
    states = {r.pod: loaded(scene, routing, r) for r in running}
    facts = _facts(replicas, states)
    if not running:
        return Judgement(
            Step.TRAEFIK_LOGS, gaps=(Gap("route_loaded", Why.NOT_NEEDED),), facts=facts
        )
    findings = [*_skew(scene, routing, running, states), *_logged(scene, routing, running)]
    known = [pod for pod, state in states.items() if state is not Loaded.UNKNOWN]
    gaps: list[Gap] = []
    if routing.selection.winner is None and Loaded.YES not in states.values():
        # Nothing to look for: "every replica has loaded it" was not seen either.
        gaps.append(Gap("none_declared", Why.NOT_NEEDED, params={"host": snapshot.target.host}))
    elif not known:
        why = next((r.routers for r in running if r.routers.why), None)
        gaps.append(
            Gap("route_loaded", (why and why.why) or Why.NOT_NEEDED, why.detail if why else "")
        )
    elif len(known) < len(running):
        gaps.append(
            Gap(
                "replica",
                Why.NOT_NEEDED,
                required=False,
                params={"seen": len(known), "total": len(running)},
            )
        )
    return Judgement(Step.TRAEFIK_LOGS, tuple(findings), tuple(gaps), seen=bool(known), facts=facts)


def _facts(replicas: list[Replica], states: dict[str, Loaded]) -> dict[str, Any]:
    return {
        "replicas": [
            {
                "name": r.pod,
                "state": states.get(r.pod, Loaded.UNKNOWN).value,
                "detail": text(
                    "found",
                    "replica" if r.routers.seen else "replica_blind",
                    count=len(r.log.or_else(()) or ()),
                    why=text("why", (r.routers.why or Why.NOT_NEEDED).value),
                ),
            }
            for r in replicas
        ]
    }


def _skew(
    scene: Scene, routing: Routing, running: list[Replica], states: dict[str, Loaded]
) -> list[Finding]:
    lacking = [r for r in running if states[r.pod] is Loaded.NO]
    if not lacking:
        return _stale_servers(scene, routing, running)
    having = [r for r in running if states[r.pod] is Loaded.YES]
    route = routing.selection.winner
    if not having and route is None:
        # Nothing is declared either: the route's own step says so.
        return []
    target = scene.target
    first = lacking[0]
    pods = listing(r.pod for r in lacking)
    refs = tuple(ObjectRef("Pod", r.pod, r.namespace) for r in lacking[:4])
    instance = scene.instance
    workload = (ObjectRef(instance.kind, instance.name, instance.namespace),) if instance else ()
    detail = _detail(first)
    if having:
        return [
            make(
                "LOG001",
                refs[0],
                count=len(lacking),
                total=len(running),
                host=target.host,
                path=target.path,
                pods=pods,
                pod=first.pod,
                detail=detail,
                ns=first.namespace,
                share=len(lacking) / len(running),
                related=(*workload, *refs[1:]),
            )
        ]
    if route is None:
        return []
    ref = ObjectRef(route.kind, route.name, route.namespace)
    if outcomes(scene.snapshot).succeeded:
        return []
    unread = _unread(scene, routing, route)
    accused = workload[0] if workload else refs[0]
    return [
        make(
            "LOG002",
            ObjectRef("Host", target.host) if unread else accused,
            variant="unread" if unread else None,
            unread=listing(unread),
            host=target.host,
            path=target.path,
            route=str(ref),
            detail=detail,
            pod=first.pod,
            ns=first.namespace,
            related=(ref, *refs),
        )
    ]


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


def _stale_servers(scene: Scene, routing: Routing, running: list[Replica]) -> list[Finding]:
    """A replica whose servers for the host are none of the EndpointSlice's addresses."""
    from hopcheck.scene.chosen_route import port_of
    from hopcheck.scene.probes import endpoint_addresses

    declared: set[str] = set()
    ways: set[str] = set()
    names: list[ObjectRef] = []
    for backend, service in routing.services():
        port = port_of(service, backend.port)
        # Slices of a Service that has become an ExternalName may be left behind.
        outside = (service.get("spec") or {}).get("type") == "ExternalName"
        if port is None or backend.native_lb or outside:
            return []
        names.append(ObjectRef("Service", backend.name, backend.namespace))
        declared |= {a for a, _, _ in endpoint_addresses(scene.kube, service, port)}
        # Native load balancing sends to the Service itself, by its cluster IP or its nodePort.
        own = (service.get("spec") or {}).get("clusterIPs") or ()
        ways |= {*own, str((service.get("spec") or {}).get("clusterIP"))}
        ways |= set(scene.node_ids) if port.get("nodePort") else set()
    route = routing.selection.winner
    if not declared or route is None:
        return []
    found = []
    for replica in running:
        servers = _servers(replica, route.rule, names)
        known = declared | ways
        if servers and not any(address in url for url in servers for address in known):
            found.append(
                make(
                    "LOG003",
                    ObjectRef("Pod", replica.pod, replica.namespace),
                    pod=replica.pod,
                    host=scene.target.host,
                    loaded=listing(servers),
                    declared=listing(sorted(declared)),
                    ns=replica.namespace,
                    related=tuple(names),
                )
            )
    return found


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


def _logged(scene: Scene, routing: Routing, running: list[Replica]) -> list[Finding]:
    """Recent errors that name the route's own object: information, logs are history."""
    route = routing.selection.winner
    if route is None or outcomes(scene.snapshot).succeeded:
        return []
    for replica in running:
        log = replica.log.or_else(()) or ()
        lines = [
            line
            for line in about_object(log, route.namespace, route.name)
            if line.level in ("error", "warn") and line.kind == "traefik"
        ]
        if lines:
            last = lines[-1]
            source = text("source", "log", pod=replica.pod)
            return [
                make(
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
            ]
    return []
