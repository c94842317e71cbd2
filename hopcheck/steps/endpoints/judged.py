"""Which Services the rules speak of, and in which state each of them is."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from hopcheck.behaviour.kubernetes import pod_state
from hopcheck.behaviour.kubernetes.pod_state import PodState
from hopcheck.behaviour.traefik.version import reads_slices
from hopcheck.catalogue.catalogue import make
from hopcheck.model import ErrorKind, Finding, ObjectRef
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import Producer, outcome_of, producer
from hopcheck.scene.probes import through_traefik
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream, upstreams
from hopcheck.steps.names import last_exchanges


class State(Enum):
    """How far a Service leads."""

    EXTERNAL = auto()  # an ExternalName: to a host outside
    NO_PORT = auto()  # it lacks the port that the route names
    UNSEEN = auto()  # its EndpointSlices could not be read
    SERVING = auto()  # to endpoints that Traefik uses
    EMPTY = auto()  # to none that Traefik uses


def state_of(one: Upstream) -> State:
    """The state of one Service."""
    if one.external:
        return State.EXTERNAL
    if one.port is None:
        return State.NO_PORT
    if one.slices is None:
        return State.UNSEEN
    return State.SERVING if one.used else State.EMPTY


def of_interest(scene: Scene) -> list[Upstream]:
    """The Services behind the route; where requests succeed, without those that get none."""
    works = outcome_of(scene).succeeded > 0
    return [one for one in upstreams(scene) if not (works and one.backend.weight == 0)]


def judged(scene: Scene, *states: State) -> list[Upstream]:
    """Those of `states` of which something may be said.

    Where requests succeed and the route is a guess, another may be the one that serves them.
    """
    guess = routing_of(scene).selection.winner is None
    if guess and outcome_of(scene).succeeded:
        return []
    found = scene.once("judged", lambda: [(state_of(one), one) for one in of_interest(scene)])
    return [one for state, one in found if state in states]


def empties(one: Upstream) -> bool:
    """Whether Traefik drops the whole route for want of this Service, whatever its weight.

    The first Service of an IngressRoute that has no server ends the route (buildServicesLB and its
    like, pkg/provider/kubernetes/crd/kubernetes_http.go); a TCP route goes on without it. A 503 is
    a router's.
    """
    scene, routing = one.scene, routing_of(one.scene)
    state, crd, route = state_of(one), routing.view.static.crd, routing.winner
    if route is None or route.kind != "IngressRoute" or outcome_of(scene).succeeded:
        return False
    if state is State.EXTERNAL:
        return provider_that_forbids(scene) is not None
    native = crd.native_lb if one.backend.native_lb is None else one.backend.native_lb
    kept = crd.allow_empty_services or native or 503 in traefik_statuses(scene)
    listed = one.endpoints and not reads_slices(routing.view.version)
    return state is State.EMPTY and not kept and not listed


def of_service(code: str, one: Upstream, ref: ObjectRef | None = None, /, **more: Any) -> Finding:
    """A finding about a Service, or about `ref` behind it."""
    share = None if empties(one) else one.share
    return make(code, ref or one.ref, **({"share": share} | one.words | more))


def traefik_statuses(scene: Scene) -> set[int]:
    """Statuses that Traefik itself answered with, from here or at a hop before it."""
    hops = (probe.exchanges[-1] for probe in through_traefik(scene))
    own = (e for e in (*last_exchanges(scene), *hops) if producer(e) is Producer.TRAEFIK)
    return {e.status for e in own if e.status}


def provider_that_forbids(scene: Scene) -> str | None:
    """The provider of the route, where Traefik's settings allow it no ExternalName."""
    routing = routing_of(scene)
    static = routing.view.static
    crd = routing.winner is not None and routing.winner.kind != "Ingress"
    allowed = (static.crd if crd else static.ingress).allow_external_name
    if not static.known or allowed:
        return None
    return "kubernetescrd" if crd else "kubernetesingress"


def outside_alone(scene: Scene) -> list[Upstream]:
    """The ExternalNames that Traefik takes, where nothing else is behind the route."""
    found = [one for one in of_interest(scene) if one.external]
    alone = len(found) == len(routing_of(scene).carrying)
    return found if alone and provider_that_forbids(scene) is None else []


def unanswered(scene: Scene) -> list[int]:
    """Statuses by which Traefik itself says that what is behind it does not answer."""
    return sorted(traefik_statuses(scene) & {502, 504})


def waiting(scene: Scene) -> bool:
    """Whether a request that Traefik took got no answer from behind it."""
    seen = (*last_exchanges(scene), *(probe.exchanges[-1] for probe in through_traefik(scene)))
    return any(e.error is ErrorKind.READ_TIMEOUT for e in seen) or bool(unanswered(scene))


def serves_outside(scene: Scene) -> bool:
    """Whether hosts outside are all there is behind the route, and nothing shows them silent."""
    works = outcome_of(scene).succeeded > 0
    return bool(outside_alone(scene)) and (works or not unanswered(scene))


def troubled(one: Upstream) -> list[PodState]:
    """The states of its pods that are not ready."""
    return [state for state in map(pod_state.state_of, one.pods) if state.reason]
