"""Who answers in Traefik's stead: another Service of the cluster, a server that nobody knows."""

from __future__ import annotations

from hopcheck.behaviour.kubernetes.objects import outside_names
from hopcheck.behaviour.traefik.rules import hosts_in
from hopcheck.model import Exchange
from hopcheck.model.kubernetes import Service
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import (
    CertificateProblem,
    Producer,
    certificate_problem,
    origin_answered,
    producer,
    requests_made,
)
from hopcheck.scene.probes import through_traefik
from hopcheck.scene.scene import Scene


def holder(scene: Scene) -> Service | None:
    """The Service that announces the host's addresses, while Traefik's own waits for its first.

    On the port asked. Not where an answer came through Traefik, nor where another controller has a
    route for the host as well.
    """
    return scene.once("holder", lambda: _holder(scene))


def _holder(scene: Scene) -> Service | None:
    own, routing, asked = scene.traefik_service, routing_of(scene), scene.target
    if own is None or own.spec.type != "LoadBalancer" or routing.winner is None:
        return None
    last = [probe.exchanges[-1] for probe in requests_made(scene.snapshot)]
    if scene.balancer is not None or _announced(scene) or any(_by_traefik(scene, e) for e in last):
        return None
    if any(not route.loaded and asked.host in hosts_in(route.rule) for route in routing.routes):
        return None
    if _takes_it_on_nodes(scene):
        return None
    nodes = [scene.node_ids[one] for one in scene.addresses if one in scene.node_ids]
    names = {*scene.addresses, *(a.address for node in nodes for a in node.status.addresses)}
    for service in scene.services:
        at_port = any(p.port == asked.port and p.protocol != "UDP" for p in service.spec.ports)
        if service is not own and at_port and names & {*outside_names(service)}:
            return service
    return None


def _announced(scene: Scene) -> set[str]:
    """All addresses and names that the Services of the host's Traefik have from outside."""
    own, one = scene.traefik_service, scene.instance
    keys = {(one.namespace, name) for name in one.services} if one is not None else set()
    named = (s for s in scene.services if s is own or s.key in keys)
    return {name for service in named for name in outside_names(service)}


def _takes_it_on_nodes(scene: Scene) -> bool:
    return any(port.node_port == scene.target.port for port in scene.traefik_ports)


def _by_traefik(scene: Scene, last: Exchange) -> bool:
    told = origin_answered(scene.snapshot, last) is not None
    return told or producer(last) is Producer.TRAEFIK


def stranger(scene: Scene, last: Exchange) -> bool:
    """Whether nothing links who gave an answer to Traefik: not its address, nor what it shows.

    Its certificate is another host's, and none that Traefik shows when it is asked directly; or,
    where that was not asked, Traefik's Service has its addresses elsewhere, or none.
    """
    if last.status is None or scene.balancer is not None or _by_traefik(scene, last):
        return False
    if holder(scene) is not None:
        return True
    nodes = scene.node_ids if _takes_it_on_nodes(scene) else ()
    tls, service = last.tls, scene.traefik_service
    if last.address in {*_announced(scene), *scene.pod_addresses, *nodes}:
        return False
    names = tls is not None and certificate_problem(tls, scene.snapshot)
    if service is None or tls is None or names is not CertificateProblem.NAME:
        return False
    seen = [probe.exchanges[-1] for probe in through_traefik(scene)]
    shown = {one.tls.chain[0].sha256 for one in seen if one.tls is not None and one.tls.chain}
    if shown:  # a proxy in front of Traefik passes on what it answers
        passed = any((one.status, one.body) == (last.status, last.body) for one in seen)
        return tls.chain[0].sha256 not in shown and not passed
    return service.spec.type == "LoadBalancer" and last.header("server") is not None
