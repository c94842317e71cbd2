"""Whether anybody listens on the port to which the Service leads."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Finding, Hop, Probe
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.probes import endpoint_addresses, probes_at
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.endpoints.answers import alike, all_refuse, workloads
from hopcheck.steps.endpoints.judged import State, judged, of_service, traefik_statuses, troubled
from hopcheck.steps.endpoints.protocols import misunderstood
from hopcheck.steps.endpoints.service import missing_port_name
from hopcheck.steps.names import route_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def target_port_is_the_pods(scene: Scene) -> Iterator[Finding]:
    """The Service's targetPort is a port on which its pods listen."""
    for one in alike(scene):
        if all_refuse(one):
            yield from _wrong_port(one, one.probes)
        elif not one.probes and 502 in traefik_statuses(scene) and not misunderstood(scene, one):
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
        share=one.share,
        related=(*workloads(one), *(routes if other is not None else ())),
    )


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
            related=workloads(one),
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
    return [n for n in declared if n not in asked] if answering is None else answering


def _answering_elsewhere(one: Upstream, own: list[Probe]) -> list[int] | None:
    """Other ports of the same pods that answered HTTP; None where none was tried."""
    addresses, asked = {p.address for p in own}, {p.port for p in own}
    probes = probes_at(one.scene, Hop.POD)
    tried = [p for p in probes if p.address in addresses and p.port not in asked]
    if not tried:
        return None
    return sorted({p.port for p in tried if p.exchanges[-1].status is not None})


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
    for one in alike(scene):
        refused = all_refuse(one) and one.probes[0].exchanges[-1].error is ErrorKind.REFUSED
        if refused and not _listening(one, one.probes):
            yield of_service(
                "REQ015",
                one,
                one.application,
                port=one.probes[0].port,
                endpoints=listing(p.member for p in one.probes),
                pod=one.probes[0].name or "",
                share=one.share,
                related=(one.ref, *workloads(one), *route_refs(routing_of(scene))),
            )
