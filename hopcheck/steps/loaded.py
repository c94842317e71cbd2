"""Whether a replica has loaded the route: by its API, else by what only a router answers."""

from __future__ import annotations

from enum import StrEnum

from hopcheck.behaviour.traefik.rules import matches
from hopcheck.model import Hop, Replica
from hopcheck.model.traefik import Router
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.outcome import Producer, application_404, outcome_of, producer
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene


class Loaded(StrEnum):
    """Whether a replica has a usable router for the request."""

    YES = "loaded"
    NO = "not loaded"
    UNKNOWN = "not known"


def loaded_somewhere(scene: Scene, routing: Routing) -> bool:
    """Whether any replica has a usable router for the request, whatever is declared."""
    replicas = scene.snapshot.traefik.replicas
    return any(loaded(scene, routing, replica) is Loaded.YES for replica in replicas)


def loaded(scene: Scene, routing: Routing, replica: Replica) -> Loaded:
    """By the API, or by a routed answer of that very replica."""
    told = _by_api(scene, routing, replica) if replica.routers.seen else Loaded.UNKNOWN
    if told is not Loaded.UNKNOWN:
        return told
    for probe in probes_at(scene, Hop.TRAEFIK_POD):
        if probe.name == replica.pod:
            last = probe.exchanges[-1]
            if last.error is not None or last.status is None:
                continue
            who = producer(last)
            if who is Producer.TRAEFIK and last.status == 404:
                return Loaded.YES if application_404(scene.snapshot, last) else Loaded.NO
            return Loaded.YES
    if outcome_of(scene).succeeded and len(scene.snapshot.traefik.replicas) == 1:
        return Loaded.YES
    return Loaded.UNKNOWN


def _by_api(scene: Scene, routing: Routing, replica: Replica) -> Loaded:
    entry = routing.entry_point
    tls = routing.scheme_inside == "https"
    route = routing.selection.winner
    # A TCP route is none of the HTTP routers.
    undecided = not replica.tcp_routers.seen and (route is None or route.protocol == "tcp")
    for router in (*replica.routers.get(), *(replica.tcp_routers.or_else(()) or ())):
        if router.status == "disabled" or router.provider == "internal":
            continue
        if entry not in (router.using or router.entry_points):
            continue
        own_tls = router.tls is not None
        tcp = "HostSNI" in router.rule
        if own_tls != tls and not _redirects(router):
            continue
        answer = matches(
            router.rule,
            scene.target.host,
            scene.target.path,
            version=routing.view.version,
            protocol="tcp" if tcp else "http",
        )
        if answer:
            return Loaded.YES
        undecided = undecided or answer is None
    return Loaded.UNKNOWN if undecided else Loaded.NO


def _redirects(router: Router) -> bool:
    return router.service.startswith("noop@internal")
