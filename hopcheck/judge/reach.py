"""Whether Traefik can reach the endpoints: ports, protocols, policies, and what probes say."""

from __future__ import annotations

from hopcheck.catalogue import listing, make, text
from hopcheck.judge.gaps import probes_at, said, works
from hopcheck.judge.names import last_exchanges
from hopcheck.judge.policies import blocking_policy
from hopcheck.model import ErrorKind, Finding, Hop, Obj, ObjectRef, Probe, Severity
from hopcheck.outcome import Producer, outcomes, producer
from hopcheck.way.discovery import containers, selects, workload_of
from hopcheck.way.route import Backend
from hopcheck.way.routing import Routing
from hopcheck.way.scene import Scene, meta

_REFUSING = (ErrorKind.REFUSED, ErrorKind.UNREACHABLE, ErrorKind.CONNECT_TIMEOUT)


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
    probes = {
        (p.address, p.port): p
        for p in probes_at(scene, Hop.POD)
        if p.namespace == backend.namespace
    }
    own = [probes[(a, n)] for a, n, e in used if (a, n) in probes and not _leaving(e)]
    statuses = traefik_statuses(scene)
    made = outcomes(scene.snapshot)
    policy = blocking_policy(scene, service, used)
    if policy is not None and (statuses & {502, 504} or (made.made and not made.succeeded)):
        return [policy]
    useless = [p for p in own if not _serves(scene, p)]
    if 0 < len(useless) < len(own):
        return [_some(scene, backend, service, own, useless)]
    failing = [p for p in own if p.exchanges[-1].error in _REFUSING]
    if own and len(failing) == len(own):
        return _refusing(scene, backend, service, own, failing)
    spoken = _protocol(scene, routing, backend, service, own, statuses)
    if spoken is not None:
        return [spoken]
    trust = _trust(scene, routing, backend, statuses)
    if trust is not None:
        return [trust]
    if not own and 502 in statuses:
        hint = _declared(scene, backend, service, used)
        return [hint] if hint else []
    return _gap(scene, routing, backend, own, statuses)


def _leaving(endpoint: Obj) -> bool:
    """Whether the pod is on its way out: what it answers no longer matters."""
    return (endpoint.get("conditions") or {}).get("terminating") is True


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
    return make(
        "END013",
        ObjectRef("Service", backend.name, backend.namespace),
        count=len(useless),
        total=len(own),
        service=f"{backend.namespace}/{backend.name}",
        endpoints=listing(said(p) for p in useless),
        pod=useless[0].name or "",
        ns=backend.namespace,
        share=len(useless) / len(own),
        related=(
            *(ObjectRef("Pod", p.name or "", backend.namespace) for p in useless[:3]),
            *_workload(_pods(scene, service, backend.namespace), backend.namespace),
        ),
    )


def _pods(scene: Scene, service: Obj, namespace: str) -> list[Obj]:
    return [p for p in scene.kube.list("pods", namespace).or_else(()) or () if selects(service, p)]


def _workload(pods: list[Obj], namespace: str) -> tuple[ObjectRef, ...]:
    return tuple(dict.fromkeys(ObjectRef(*workload_of(p), namespace) for p in pods))[:2]


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
    pods = _pods(scene, service, backend.namespace)
    names = listing(p.member for p in failing)
    wrong = [n for n in _container_ports(pods) if n not in {p.port for p in own}]
    answering = _answers_elsewhere(scene, own)
    declared = [n for n in wrong if answering is None or n in answering]
    if (answering or (answering is None and declared)) and own[0].port not in _container_ports(
        pods
    ):
        listens = listing(sorted(answering or declared))
        return [
            make(
                "END003",
                ObjectRef("Service", backend.name, backend.namespace, "spec.ports"),
                service=full,
                target=own[0].port,
                listens=listens,
                found=text("near", "refused"),
                ns=backend.namespace,
                svc=backend.name,
                related=_workload(pods, backend.namespace),
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
                *_workload(pods, backend.namespace),
            ),
        )
    ]


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
    pods = _pods(scene, service, backend.namespace)
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
        ns=backend.namespace,
        svc=backend.name,
        related=_workload(pods, backend.namespace),
    )


_TLS_ALERT = "\x15\x03"  # a TLS record's first bytes: content type alert, version 3.x


def _protocol(
    scene: Scene,
    routing: Routing,
    backend: Backend,
    service: Obj,
    own: list[Probe],
    statuses: set[int],
) -> Finding | None:
    """TLS is spoken where Traefik speaks plain HTTP, the other way round, or neither."""
    if not statuses & {500, 502}:
        return None
    full = f"{backend.namespace}/{backend.name}"
    for probe in own:
        last = probe.exchanges[-1]
        plain_to_tls = probe.scheme == "http" and (
            (last.status == 400 and "https" in last.body.lower())
            or last.error_text.startswith(_TLS_ALERT)
        )
        tls_to_plain = probe.scheme == "https" and last.error is ErrorKind.TLS_PROTOCOL
        # Closed without a word, or with words of another protocol: TLS cannot be told from others.
        other = last.error in (ErrorKind.RESET, ErrorKind.PROTOCOL) and not plain_to_tls
        if plain_to_tls or tls_to_plain or other:
            spoken, sent = ("HTTPS", "HTTP") if probe.scheme == "http" else ("HTTP", "HTTPS")
            return make(
                "END008",
                ObjectRef("Service", backend.name, backend.namespace),
                variant="other" if other else None,
                service=full,
                port=probe.port,
                spoken=(last.error_text or str(last.error)) if other else spoken,
                sent=sent,
                scheme=spoken.lower(),
                ns=backend.namespace,
                svc=backend.name,
                related=(
                    *_route_refs(routing),
                    *_workload(_pods(scene, service, backend.namespace), backend.namespace),
                ),
            )
    return None


def _route_refs(routing: Routing) -> tuple[ObjectRef, ...]:
    route = routing.winner
    return (ObjectRef(route.kind, route.name, route.namespace),) if route else ()


def _trust(scene: Scene, routing: Routing, backend: Backend, statuses: set[int]) -> Finding | None:
    """A 500 together with a recent x509 error in Traefik's log."""
    if 500 not in statuses:
        return None
    for replica in scene.snapshot.traefik.replicas:
        for line in reversed(replica.log.or_else(()) or ()):
            if "x509" in line.raw or "failed to verify certificate" in line.raw:
                words = line.fields.get("error") or line.message or line.raw
                start = words.find("x509")
                return make(
                    "END009",
                    ObjectRef("Service", backend.name, backend.namespace),
                    service=f"{backend.namespace}/{backend.name}",
                    error=words[start:] if start >= 0 else words,
                    ns=backend.namespace,
                    svc=backend.name,
                    traefik_ns=replica.namespace,
                    pod=replica.pod,
                    related=_route_refs(routing),
                )
    return None


def _gap(
    scene: Scene, routing: Routing, backend: Backend, own: list[Probe], statuses: set[int]
) -> list[Finding]:
    """Pods answer directly and Traefik answers 502, 503 or 504 for all requests."""
    bad = statuses & {500, 502, 503, 504}
    if not own or not bad or outcomes(scene.snapshot).succeeded:
        return []
    if len(works(scene, own)) < len(own):
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
            ns=backend.namespace,
            traefik_ns=instance.namespace if instance else "",
            pod=meta(pods[0]).get("name", "") if pods else "",
            related=_route_refs(routing),
        )
    ]


def workloads_of(scene: Scene, namespace: str, name: str) -> tuple[ObjectRef, ...]:
    """The workloads whose pods a Service selects."""
    service = scene.service(namespace, name)
    return _workload(_pods(scene, service, namespace), namespace) if service else ()
