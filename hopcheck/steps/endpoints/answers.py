"""What the pods answer when they are asked directly, held against what Traefik answered."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.traefik.servers import endpoint_addresses
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Evidence, Finding, Hop, ObjectRef, Probe, Severity, Words
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import outcome_of, says_tls
from hopcheck.scene.probes import knocks_at
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream, upstreams
from hopcheck.steps import fixing
from hopcheck.steps.bounds import said
from hopcheck.steps.endpoints import settings
from hopcheck.steps.endpoints.between import lost
from hopcheck.steps.endpoints.judged import (
    State,
    judged,
    of_service,
    outside_alone,
    provider_that_forbids,
    traefik_statuses,
    troubled,
    unanswered,
    waiting,
)
from hopcheck.steps.endpoints.policies import kept_out
from hopcheck.steps.endpoints.protocols import (
    Mixed,
    Untrusted,
    asks_another_name,
    foreign,
    misunderstood,
    named_transport,
    names_of,
)
from hopcheck.steps.endpoints.service import missing_port_name
from hopcheck.steps.names import labels_as_text, ref_of, route_refs, workload_refs
from hopcheck.steps.network_policies import may_turn_away
from hopcheck.steps.rule import BESIDE_KUBE, rule
from hopcheck.verdict.contradicted import Claim, Claimed

_SEVERAL_TIMES = 4
# Nothing comes back from a pod that accepts connections.
_SILENT = (ErrorKind.READ_TIMEOUT, ErrorKind.RESET)


def _asked(scene: Scene) -> list[Upstream]:
    """The Services with endpoints in use that no policy keeps from Traefik."""
    return [one for one in judged(scene, State.SERVING) if not kept_out(scene, one)]


def _alike(scene: Scene) -> list[Upstream]:
    """Those that not every request reached, and whose endpoints all behave alike."""
    found = _asked(scene)
    return [one for one in found if not _reached(scene, one) and not _odd_ones(scene, one)]


def _reached(scene: Scene, one: Upstream) -> bool:
    """Whether every request succeeded, and no other Service behind the route can have answered.

    Then Traefik reaches the pods, though nothing from here may: a policy or a mesh can admit it
    alone.
    """
    made = outcome_of(scene)
    return (
        made.made > 0
        and made.succeeded == made.made
        and not any(
            not other.probes or any(_serves(scene, probe) for probe in other.probes)
            for other in _others(scene, one)
        )
    )


def _others(scene: Scene, one: Upstream) -> list[Upstream]:
    """The other Services that get a part of the route's requests."""
    every = upstreams(scene)
    return [other for other in every if other.backend.weight != 0 and other.full != one.full]


def _workloads(one: Upstream) -> tuple[ObjectRef, ...]:
    """The workloads of the pods that it selects, at most two."""
    return workload_refs(one.selected, one.namespace)


def _serves(scene: Scene, probe: Probe) -> bool:
    """Whether a pod, asked directly, gives an answer that is no error of its own.

    A 404 or a refusal of rights may be due to what Traefik's middlewares would have added.
    """
    last = probe.exchanges[-1]
    lost = scene.target.path_asked and last.status == 404
    good = last.error is None and last.status is not None and last.status < 500
    return good and not lost and not says_tls(last)


def _doors(scene: Scene, one: Upstream) -> list[Probe]:
    """What shows whether its endpoints take connections: our probes, else the API server's.

    The latter where Traefik meets the same (502), and no policy may turn the API server away.
    """
    known = one.pods_listed and not may_turn_away(scene, one.selected)
    if one.probes or not known or 502 not in traefik_statuses(scene):
        return one.probes
    told = {(p.address, p.port): p for p in knocks_at(scene, Hop.POD)}
    return [told[address, n] for address, n, _ in one.used if (address, n) in told]


# --- some of them


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def every_endpoint_serves(scene: Scene) -> Iterator[Finding]:
    """Every endpoint of the Service serves what the others do."""
    for one in _asked(scene):
        asked = _doors(scene, one)
        away = lost(asked)
        odd = [probe for probe in _odd_ones(scene, one) if probe not in away]
        if not odd:
            continue
        stranger = _other_workload(one, odd)
        mixed = all(foreign(p) for p in odd)
        pods = tuple(ObjectRef("Pod", p.name or "", one.namespace) for p in odd[:3])
        at = pods[0] if mixed and len(odd) == 1 and odd[0].name else None
        hang = all(p.exchanges[-1].error is ErrorKind.READ_TIMEOUT for p in odd)
        # Where no request of this run met those that hang, clients that do will wait.
        unmet = hang and _reached(scene, one) and not waiting(scene)
        yield of_service(
            "END013",
            one,
            at or one.at("spec.selector" if stranger else None),
            variant="selector" if stranger else "protocol" if mixed else None,
            severity=Severity.WARNING if unmet else None,
            workload=str(stranger),
            count=len(odd),
            total=len(asked),
            endpoints=listing(said(p) for p in odd),
            pod=odd[0].name or "",
            members=[p.name or p.address for p in odd],
            share=len(odd) / len(asked),
            related=(*pods, *_workloads(one)),
        )


def _odd_ones(scene: Scene, one: Upstream) -> list[Probe]:
    """The endpoints that do not serve, where others of the same Service do."""
    asked = _doors(scene, one)
    useless = [p for p in asked if not _serves(scene, p)]
    if not one.probes:
        useless = [p for p in asked if p.exchanges[-1].error is not None]
    if _reached(scene, one):  # a pod that takes longer than a probe waits is reached all the same
        silent = [p for p in useless if p.exchanges[-1].error is ErrorKind.READ_TIMEOUT]
        useless = [p for p in useless if p not in silent]
        if not useless and _hang_alone(one.probes, silent):
            return silent
    return useless if len(useless) < len(asked) else []


def _hang_alone(own: list[Probe], silent: list[Probe]) -> bool:
    """Whether some pods were silent for several times as long as the slowest other one took."""
    others = [p.exchanges[-1].timing.total for p in own if p not in silent]
    waited = [p.exchanges[-1].timing.total for p in silent]
    return bool(others and waited) and max(others) * _SEVERAL_TIMES < min(waited)


def _other_workload(one: Upstream, odd: list[Probe]) -> ObjectRef | None:
    """The one workload of all odd pods, where every other pod is of another Deployment."""

    def made_by(probes: list[Probe]) -> set[ObjectRef]:
        names = {probe.name for probe in probes}
        found = [pod for pod in one.selected if pod.name in names]
        # A pod that nobody owns is no workload of another kind.
        return {ref for ref in workload_refs(found, one.namespace) if ref.kind != "Pod"}

    others = [p for p in _doors(one.scene, one) if p not in odd]
    bad, good = made_by(odd), made_by(others)
    refused = all(p.exchanges[-1].error is ErrorKind.REFUSED for p in odd)
    return next(iter(bad)) if refused and len(bad) == 1 and good and not bad & good else None


# --- all of them: whether anybody listens on the port to which the Service leads


def _all_refuse(asked: list[Probe]) -> bool:
    """Whether endpoints were asked, and none takes a connection."""
    away = lost(asked)
    refused = (p.exchanges[-1].error is ErrorKind.REFUSED or p in away for p in asked)
    return bool(asked) and all(refused)


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def target_port_is_the_pods(scene: Scene) -> Iterator[Finding]:
    """The Service's targetPort is a port on which its pods listen."""
    for one in _alike(scene):
        asked = _doors(scene, one)
        if _all_refuse(asked):
            yield from _wrong_port(one, asked)
        elif not asked and 502 in traefik_statuses(scene) and not misunderstood(scene, one):
            yield from _undeclared(one)
    for one in judged(scene, State.EMPTY):
        # It is wrong as well, though the endpoints are not ready for another reason.
        own = one.asked(one.endpoints) if troubled(one) and not missing_port_name(one) else []
        refused = own and all(p.exchanges[-1].error is ErrorKind.REFUSED for p in own)
        if refused and _answering_elsewhere(one, own):
            yield from _wrong_port(one, own)


def _wrong_port(one: Upstream, own: list[Probe]) -> Iterator[Finding]:
    listens = _listening(one, own)
    if not listens:
        return
    routes = route_refs(routing_of(one.scene))
    other = _port_to(one, _answering_elsewhere(one, own) or [])
    yield of_service(
        "END003",
        one,
        one.at("spec.ports"),
        variant="other_port" if other is not None else None,
        other=other,
        route=str(next(iter(routes), "")),
        target=own[0].port,
        listens=listing(listens),
        found=text("near", "refused"),
        related=(*_workloads(one), *(routes if other is not None else ())),
        **_to_listening(one, other, listens),
    )


def _to_listening(one: Upstream, other: int | None, listens: list[int]) -> Words:
    """The edit that leads to the port that answers: the route's, or else the Service's."""
    route = routing_of(one.scene).winner
    if other is None:
        number = listens[0] if len(listens) == 1 else None
        return fixing.target_port(one.service, one.port, number)
    return fixing.of_backend(one.scene, route, one.backend, port=other) if route else {}


def _undeclared(one: Upstream) -> Iterator[Finding]:
    """Without probes: 502 from Traefik and a port that no container declares is a strong hint."""
    ports, target = _container_ports(one), one.used[0][1]
    if ports and target not in ports:
        yield of_service(
            "END003",
            one,
            one.at("spec.ports"),
            target=target,
            listens=listing(ports),
            found=text("near", "declared", ports=listing(ports)),
            other="",
            route="",
            related=_workloads(one),
        )


def _container_ports(one: Upstream) -> list[int]:
    ports = (port for pod in one.selected for c in pod.spec.containers for port in c.ports)
    return sorted({port.container_port for port in ports if port.container_port})


def _listening(one: Upstream, own: list[Probe]) -> list[int]:
    """The pods' other ports on which they listen, as far as asked, where this one is not theirs."""
    declared, asked = _container_ports(one), {p.port for p in own}
    if own[0].port in declared:
        return []
    answering = _answering_elsewhere(one, own)
    if answering is None:  # a port to which packets are lost may be the right one
        answering = [] if lost(own) else [n for n in declared if n not in asked]
    return answering


def _answering_elsewhere(one: Upstream, own: list[Probe]) -> list[int] | None:
    """Other ports of the same pods on which somebody answered; None where none was tried."""
    addresses, asked = {p.address for p in own}, {p.port for p in own}
    probes = knocks_at(one.scene, Hop.POD)
    tried = [p for p in probes if p.address in addresses and p.port not in asked]
    if not tried:
        return None
    return sorted({p.port for p in tried if p.exchanges[-1].error is None})


def _port_to(one: Upstream, numbers: list[int]) -> int | None:
    """The Service's port that leads to one of these ports of its pods."""
    for port in one.service.spec.ports:
        found = endpoint_addresses(one.scene.kube, one.service, port)
        if any(n in numbers for _, n, _ in found):
            return port.port
    return None


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def application_listens(scene: Scene) -> Iterator[Finding]:
    """The application listens on the port that its pods declare."""
    for one in _alike(scene):
        asked = _doors(scene, one)
        refused = _all_refuse(asked) and asked[0].exchanges[-1].error is ErrorKind.REFUSED
        if refused and not _listening(one, asked):
            elsewhere = _answering_elsewhere(one, asked)
            yield of_service(
                "REQ015",
                one,
                one.application,
                variant="elsewhere" if elsewhere else None,
                listens=listing(elsewhere or ()),
                port=asked[0].port,
                endpoints=listing(p.member for p in asked),
                pod=asked[0].name or "",
                related=(one.ref, *_workloads(one), *route_refs(routing_of(scene))),
            )


# --- all of them: what they and Traefik say to one another


def _understood(scene: Scene) -> Iterator[tuple[Upstream, Mixed | Untrusted | None]]:
    """Services whose endpoints do not all refuse, and what Traefik and they misunderstand."""
    for one in _alike(scene):
        if not _all_refuse(_doors(scene, one)):
            yield one, misunderstood(scene, one)


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def traefik_speaks_what_the_pods_speak(scene: Scene) -> Iterator[Finding]:
    """Traefik speaks to the pods what they speak: HTTP or HTTPS."""
    for one, why in _understood(scene):
        if isinstance(why, Mixed):
            yield of_service(
                "END008",
                one,
                variant=why.variant,
                port=one.used[0][1],
                spoken=why.spoken,
                sent=why.sent,
                scheme="https" if why.variant == "other" else why.spoken.lower(),
                related=(*route_refs(routing_of(scene)), *_workloads(one)),
            )


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def traefik_trusts_the_pods(scene: Scene) -> Iterator[Finding]:
    """Traefik trusts the certificate of pods that speak HTTPS."""
    for one, why in _understood(scene):
        if isinstance(why, Untrusted):
            obj = None if "has expired" in why.error else named_transport(one)
            names = names_of(one, why)
            misnamed = bool(names) and asks_another_name(why)
            at = (
                ref_of(obj, f"spec.{'serverName' if misnamed else 'rootCAsSecrets'}")
                if obj
                else None
            )
            variant = "name" if misnamed else "authority"
            yield of_service(
                "END009",
                one,
                at,
                variant=variant if obj else "names" if names else None,
                error=why.error,
                names=listing(names),
                transport=str(at),
                traefik_ns=why.namespace,
                pod=why.pod,
                related=(*route_refs(routing_of(scene)), *((one.ref,) if obj else ())),
            )


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def application_answers(scene: Scene) -> Iterator[Finding]:
    """A pod that accepts a connection answers, to Traefik and to us."""
    for one, why in _understood(scene):
        silent = one.probes and all(p.exchanges[-1].error in _SILENT for p in one.probes)
        met = bool(traefik_statuses(scene) & {502, 504})
        if why is not None or not silent or (one.alone and not met):
            continue
        first = one.probes[0].exchanges[-1]
        yield of_service(
            "REQ003",
            one,
            one.application,
            variant="closed" if first.error is ErrorKind.RESET else None,
            # Where no request met it, it may be slow, or a mesh may admit Traefik alone.
            severity=None if met else Severity.WARNING,
            url=scene.target.url,
            tls="",
            seconds=round(first.timing.total, 1),
            evidence=tuple(Evidence(p.member, said(p)) for p in one.probes[:3]),
            selector=labels_as_text(one.selector),
            related=(one.ref, *_workloads(one)),
        )


@rule(reads=("kube", "http"), uses=BESIDE_KUBE, unless=(settings.traefik_waits_for_answers,))
def traefik_gets_answers(scene: Scene) -> Iterator[Claimed]:
    """Traefik gets answers from hosts outside, and from pods that answer when asked directly."""
    instance = scene.instance
    pods = instance.pods if instance else ()
    for one, answers, external in _silent_to_traefik(scene):
        part = one.share if external and not outside_alone(scene) else None
        # Of an ExternalName's ports Traefik takes the number, and no targetPort.
        target = one.port.target_port if external and one.port is not None else None
        number = one.port.port if one.port is not None else one.backend.port
        aside = target not in (None, "", number)
        found = of_service(
            "END014",
            one,
            share=part,
            variant="external_port" if aside else "external" if external else None,
            external=external,
            number=number,
            target=target,
            answer=listing(answers),
            route=listing(route_refs(routing_of(scene))),
            traefik_ns=instance.namespace if instance else "",
            pod=pods[0].name if pods else "",
            related=route_refs(routing_of(scene)),
        )
        yield Claimed(Claim.STOPS_A_PART if part else Claim.STOPS_EVERYTHING, found)


def _silent_to_traefik(scene: Scene) -> Iterator[tuple[Upstream, list[int], str]]:
    """Services, what Traefik answers in their stead, and the names of hosts outside."""
    outside, own = judged(scene, State.EXTERNAL), [o for o in upstreams(scene) if not o.external]
    others_serve = all(o.probes and all(_serves(scene, p) for p in o.probes) for o in own)
    if outside and unanswered(scene) and others_serve and not provider_that_forbids(scene):
        pairs = ((o.service.spec.external_name, o.port or o.backend) for o in outside)
        yield outside[0], unanswered(scene), listing(f"{name}:{at.port}" for name, at in pairs)
    answers = sorted(traefik_statuses(scene) & {500, 502, 504})  # a 503 asks no pod
    for one, why in _understood(scene) if answers else ():
        every = [*one.probes, *(p for other in _others(scene, one) for p in other.probes)]
        if why is None and one.probes and all(_serves(scene, probe) for probe in every):
            yield one, answers, ""
