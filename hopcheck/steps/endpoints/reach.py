"""Whether Traefik can reach the endpoints: ports, protocols, policies, and what probes say."""

from __future__ import annotations

import msgspec

from hopcheck.behaviour.kubernetes.objects import containers
from hopcheck.behaviour.traefik.route import Backend
from hopcheck.behaviour.traefik.upstream import scheme_to
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Evidence, Finding, Hop, Obj, ObjectRef, Probe, Severity
from hopcheck.scene.chosen_route import Routing, port_of, routing_of
from hopcheck.scene.outcome import Producer, outcomes, producer, requests_made
from hopcheck.scene.probes import endpoint_addresses
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps.bounds import probes_at, requests_reach_pods, said
from hopcheck.steps.endpoints import protocols
from hopcheck.steps.names import last_exchanges, pods_of, route_refs, workload_refs
from hopcheck.steps.network_policies import blocking_policy, egress_policy
from hopcheck.steps.pod_probes import probes_and_turned, probes_of

_REFUSING = (ErrorKind.REFUSED, ErrorKind.UNREACHABLE, ErrorKind.CONNECT_TIMEOUT)
_SEVERAL_TIMES = 4
# Nothing comes back from a pod that accepts connections.
_SILENT = (ErrorKind.READ_TIMEOUT, ErrorKind.RESET)


def traefik_statuses(scene: Scene) -> set[int]:
    """Statuses that Traefik itself answered with."""
    return {e.status for e in last_exchanges(scene) if e.status and producer(e) is Producer.TRAEFIK}


def judge(
    scene: Scene,
    routing: Routing,
    backend: Backend,
    service: Obj,
    used: list[tuple[str, int, Obj]],
) -> list[Finding]:
    """Findings about ready endpoints that do not serve; silent where requests work."""
    statuses = traefik_statuses(scene)
    policy = None
    if not _accepts(scene, backend, service, used):
        policy = blocking_policy(scene, service, used) or egress_policy(scene, service, used)
    if policy is not None and (statuses & {502, 504} or _waits(scene)):
        return [policy]
    found = _asked_directly(scene, routing, backend, service, used)
    if policy is not None and requests_made(scene.snapshot) and not requests_reach_pods(scene):
        # Whether the network plugin enforces it shows once requests come as far.
        found.append(msgspec.structs.replace(policy, severity=Severity.WARNING))
    return found


def _accepts(
    scene: Scene, backend: Backend, service: Obj, used: list[tuple[str, int, Obj]]
) -> bool:
    """Whether a pod, asked directly, takes a request and never answers: then it is its own fault.

    A policy on Traefik's side does not hold for requests from here, and one on the pods' side is
    not enforced where they take a connection.
    """
    own = probes_of(scene, backend, service, used)
    return any(p.exchanges[-1].error is ErrorKind.READ_TIMEOUT for p in own)


def _asked_directly(
    scene: Scene,
    routing: Routing,
    backend: Backend,
    service: Obj,
    used: list[tuple[str, int, Obj]],
) -> list[Finding]:
    """What the pods' own answers tell, held against what Traefik answered."""
    port = port_of(service, backend.port)
    scheme = scheme_to(routing.winner, backend, service, port or {})
    own, turned = probes_and_turned(scene, backend, used, scheme)
    statuses = traefik_statuses(scene)
    useless = [p for p in own if not _serves(scene, p)]
    works = _reached(scene, routing)
    if works:  # a pod that takes longer than a probe waits is reached all the same
        silent = [p for p in useless if p.exchanges[-1].error is ErrorKind.READ_TIMEOUT]
        useless = [p for p in useless if p not in silent]
        if not useless and _hangs_alone(own, silent):
            found = _some(scene, backend, service, own, silent)
            if not _waited_through_traefik(scene):
                # No request of this run met it: clients that do will wait.
                found = msgspec.structs.replace(found, severity=Severity.WARNING)
            return [found]
    if 0 < len(useless) < len(own):
        return [_some(scene, backend, service, own, useless)]
    if works:
        return []
    failing = [p for p in own if p.exchanges[-1].error in _REFUSING]
    if own and len(failing) == len(own):
        return _refusing(scene, backend, service, own, failing)
    asked = protocols.Asked(
        backend, scheme, used[0][1], frozenset(address for address, _, _ in used), own, turned
    )
    # What the pods speak is seen directly, where another fault keeps requests from them as well.
    failed = statuses if requests_reach_pods(scene) else {502}
    spoken = protocols.mixed_up(scene, routing, asked, failed)
    if spoken is not None:
        return [spoken]
    if own and statuses & {502, 504} and all(p.exchanges[-1].error in _SILENT for p in own):
        return [_no_answer(scene, backend, service, own)]
    if not own and 502 in statuses:
        hint = _declared(scene, backend, service, used)
        return [hint] if hint else []
    return _gap(scene, routing, backend, own, statuses)


def _hangs_alone(own: list[Probe], silent: list[Probe]) -> bool:
    """Whether some pods were silent for several times as long as the slowest other one took."""
    others = [p.exchanges[-1].timing.total for p in own if p not in silent]
    waited = [p.exchanges[-1].timing.total for p in silent]
    return bool(others and waited) and max(others) * _SEVERAL_TIMES < min(waited)


def _waited_through_traefik(scene: Scene) -> bool:
    """Whether the same request, sent through Traefik at a hop before the pods, waited in vain."""
    hops = (Hop.NODE, Hop.TRAEFIK_SERVICE, Hop.TRAEFIK_POD)
    probes = [probe for hop in hops for probe in probes_at(scene, hop)]
    return any(probe.exchanges[-1].error is ErrorKind.READ_TIMEOUT for probe in probes)


def _reached(scene: Scene, routing: Routing) -> bool:
    """Whether every request was answered by this Service, the only one behind the route.

    Then Traefik reaches the pods, though nothing from here may: a policy or a mesh can admit it
    alone.
    """
    made = outcomes(scene.snapshot)
    route = routing.winner
    backends = routing.backends(route)[0] if route is not None else []
    alone = sum(backend.weight != 0 for backend in backends) == 1
    return alone and made.made > 0 and made.succeeded == made.made


def wrong_port(
    scene: Scene, backend: Backend, service: Obj, endpoints: list[tuple[str, int, Obj]]
) -> list[Finding]:
    """The Service's port is wrong as well, where endpoints are not ready for another reason.

    Each of them refuses, and another port of the same pods answers.
    """
    own = probes_of(scene, backend, service, endpoints)
    refused = own and all(p.exchanges[-1].error is ErrorKind.REFUSED for p in own)
    if not refused or not _answers_elsewhere(scene, own):
        return []
    found = _refusing(scene, backend, service, own, own)
    return [finding for finding in found if finding.code == "END003"]


def _waits(scene: Scene) -> bool:
    """Whether a request to the host was accepted and never answered."""
    return any(e.error is ErrorKind.READ_TIMEOUT for e in last_exchanges(scene))


def _no_answer(scene: Scene, backend: Backend, service: Obj, silent: list[Probe]) -> Finding:
    """Every pod accepts connections and answers nothing, to Traefik and to us."""
    first = silent[0].exchanges[-1]
    selector = spec(service).get("selector") or {}
    pods = pods_of(scene, service, backend.namespace)
    return make(
        "REQ003",
        ObjectRef("Application", backend.name, backend.namespace),
        variant="closed" if first.error is ErrorKind.RESET else None,
        url=scene.target.url,
        tls="",
        seconds=round(first.timing.total, 1),
        evidence=tuple(Evidence(p.member, said(p)) for p in silent[:3]),
        ns=backend.namespace,
        selector=",".join(f"{k}={v}" for k, v in sorted(selector.items())),
        related=(
            ObjectRef("Service", backend.name, backend.namespace),
            *workload_refs(pods, backend.namespace),
        ),
    )


def _serves(scene: Scene, probe: Probe) -> bool:
    """Whether a pod, asked directly, gives an answer that is no error of its own.

    A 404 or a refusal of rights may be due to what Traefik's middlewares would have added.
    """
    last = probe.exchanges[-1]
    if last.error is not None or last.status is None:
        return False
    if scene.target.path_asked and last.status == 404:
        return False
    return last.status < 500


def _some(
    scene: Scene, backend: Backend, service: Obj, own: list[Probe], useless: list[Probe]
) -> Finding:
    """Some of the endpoints do not serve what the others do."""
    foreign = _other_workload(scene, service, backend, own, useless)
    return make(
        "END013",
        ObjectRef("Service", backend.name, backend.namespace, "spec.selector" if foreign else None),
        variant="selector" if foreign else None,
        workload=str(foreign),
        count=len(useless),
        total=len(own),
        service=f"{backend.namespace}/{backend.name}",
        endpoints=listing(said(p) for p in useless),
        pod=useless[0].name or "",
        ns=backend.namespace,
        share=len(useless) / len(own),
        related=(
            *(ObjectRef("Pod", p.name or "", backend.namespace) for p in useless[:3]),
            *workload_refs(pods_of(scene, service, backend.namespace), backend.namespace),
        ),
    )


def _other_workload(
    scene: Scene, service: Obj, backend: Backend, own: list[Probe], useless: list[Probe]
) -> ObjectRef | None:
    """The one workload of all useless pods, where every other pod is of another Deployment."""
    pods = {meta(p).get("name"): p for p in pods_of(scene, service, backend.namespace)}

    def workloads(probes: list[Probe]) -> set[ObjectRef]:
        found = [pods[p.name] for p in probes if p.name in pods]
        return set(workload_refs(found, backend.namespace))

    bad, good = workloads(useless), workloads([p for p in own if p not in useless])
    refused = all(p.exchanges[-1].error in _REFUSING for p in useless)
    return next(iter(bad)) if refused and len(bad) == 1 and good and not bad & good else None


def _container_ports(pods: list[Obj]) -> list[int]:
    return sorted(
        {
            int(p["containerPort"])
            for pod in pods
            for c in containers(pod)
            for p in c.get("ports") or ()
            if p.get("containerPort")
        }
    )


def _refusing(
    scene: Scene, backend: Backend, service: Obj, own: list[Probe], failing: list[Probe]
) -> list[Finding]:
    full = f"{backend.namespace}/{backend.name}"
    pods = pods_of(scene, service, backend.namespace)
    names = listing(p.member for p in failing)
    wrong = [n for n in _container_ports(pods) if n not in {p.port for p in own}]
    answering = _answers_elsewhere(scene, own)
    declared = [n for n in wrong if answering is None or n in answering]
    if (answering or (answering is None and declared)) and own[0].port not in _container_ports(
        pods
    ):
        listens = listing(sorted(answering or declared))
        routing = routing_of(scene)
        other = _port_to(scene, service, answering or [])
        return [
            make(
                "END003",
                ObjectRef("Service", backend.name, backend.namespace, "spec.ports"),
                variant="other_port" if other is not None else None,
                other=other,
                route=str(next(iter(route_refs(routing)), "")),
                service=full,
                target=own[0].port,
                listens=listens,
                found=text("near", "refused"),
                ns=backend.namespace,
                svc=backend.name,
                related=(
                    *workload_refs(pods, backend.namespace),
                    *(route_refs(routing) if other is not None else ()),
                ),
            )
        ]
    if failing[0].exchanges[-1].error is not ErrorKind.REFUSED:
        return []
    return [
        make(
            "REQ015",
            ObjectRef("Application", backend.name, backend.namespace),
            service=full,
            port=own[0].port,
            endpoints=names,
            ns=backend.namespace,
            pod=failing[0].name or "",
            related=(
                ObjectRef("Service", backend.name, backend.namespace),
                *workload_refs(pods, backend.namespace),
                *route_refs(routing_of(scene)),
            ),
        )
    ]


def _port_to(scene: Scene, service: Obj, numbers: list[int]) -> int | None:
    """The Service's port that leads to one of these ports of its pods."""
    for port in spec(service).get("ports") or ():
        if any(n in numbers for _, n, _ in endpoint_addresses(scene.kube, service, port)):
            return int(port["port"])
    return None


def _answers_elsewhere(scene: Scene, own: list[Probe]) -> list[int] | None:
    """Other ports of the same pods that answered HTTP; None where none was tried."""
    addresses = {p.address for p in own}
    tried = [
        p
        for p in probes_at(scene, Hop.POD)
        if p.address in addresses and p.port not in {o.port for o in own}
    ]
    if not tried:
        return None
    return sorted({p.port for p in tried if p.exchanges[-1].status is not None})


def _declared(
    scene: Scene, backend: Backend, service: Obj, used: list[tuple[str, int, Obj]]
) -> Finding | None:
    """Without probes: 502 from Traefik and a port that no container declares is a strong hint."""
    pods = pods_of(scene, service, backend.namespace)
    ports = _container_ports(pods)
    target = used[0][1]
    if not ports or target in ports:
        return None
    return make(
        "END003",
        ObjectRef("Service", backend.name, backend.namespace, "spec.ports"),
        service=f"{backend.namespace}/{backend.name}",
        target=target,
        listens=listing(ports),
        found=text("near", "declared", ports=listing(ports)),
        other="",
        route="",
        ns=backend.namespace,
        svc=backend.name,
        related=workload_refs(pods, backend.namespace),
    )


def _gap(
    scene: Scene, routing: Routing, backend: Backend, own: list[Probe], statuses: set[int]
) -> list[Finding]:
    """Pods answer directly and Traefik answers 502, 503 or 504 for all requests."""
    bad = statuses & {500, 502, 503, 504}
    if not own or not bad or outcomes(scene.snapshot).succeeded:
        return []
    if not all(_serves(scene, probe) for probe in own):
        return []
    instance = scene.instance
    pods = instance.pods if instance else ()
    return [
        make(
            "END014",
            ObjectRef("Service", backend.name, backend.namespace),
            severity=Severity.ERROR,
            service=f"{backend.namespace}/{backend.name}",
            answer=listing(sorted(bad)),
            external="",
            ns=backend.namespace,
            traefik_ns=instance.namespace if instance else "",
            pod=meta(pods[0]).get("name", "") if pods else "",
            related=route_refs(routing),
        )
    ]
