"""Whether a replica has loaded the route: by its API, else by what only a router answers."""

from __future__ import annotations

from enum import StrEnum

from hopcheck.behaviour.traefik.rules import matches
from hopcheck.model import Hop, Replica
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.outcome import Producer, application_404, outcome_of, producer
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene


class Loaded(StrEnum):
    """Whether a replica has a usable router for the request."""

    YES = "loaded"
    NO = "not loaded"
    UNKNOWN = "not known"


def loaded(scene: Scene, routing: Routing, replica: Replica) -> Loaded:
    """By the API, or by a routed answer of that very replica."""
    told = _by_api(scene, routing, replica) if replica.routers.seen else Loaded.UNKNOWN
    if told is not Loaded.UNKNOWN:
        return told
    for probe in probes_at(scene, Hop.TRAEFIK_POD):
        last = probe.exchanges[-1]
        if probe.name == replica.pod and last.error is None and last.status is not None:
            unrouted = last.status == 404 and producer(last) is Producer.TRAEFIK
            own = not unrouted or application_404(scene.snapshot, last)
            route = routing.selection.winner
            if not own and route is not None and route.internal:
                break  # what it leads to says the same
            return Loaded.YES if own else Loaded.NO
    alone = len(scene.snapshot.traefik.replicas) == 1
    return Loaded.YES if alone and outcome_of(scene).succeeded else Loaded.UNKNOWN


def _by_api(scene: Scene, routing: Routing, replica: Replica) -> Loaded:
    tls = routing.scheme_inside == "https"
    route = routing.selection.winner
    # A TCP route is none of the HTTP routers.
    undecided = not replica.tcp_routers.seen and (route is None or route.protocol == "tcp")
    for router in (*replica.routers.get(), *(replica.tcp_routers.or_else(()) or ())):
        if router.status == "disabled" or router.provider == "internal":
            continue
        if routing.entry_point not in (router.using or router.entry_points):
            continue
        redirects = router.service.startswith("noop@internal")
        if (router.tls is not None) != tls and not redirects:
            continue
        answer = matches(
            router.rule,
            scene.target.host,
            scene.target.path,
            version=routing.view.version,
            protocol="tcp" if "HostSNI" in router.rule else "http",
        )
        if answer:
            return Loaded.YES
        undecided = undecided or answer is None
    undecided = undecided or any(router.unread for router in replica.routers.get())
    return Loaded.UNKNOWN if undecided else Loaded.NO
