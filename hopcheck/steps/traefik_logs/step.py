"""Step 6: what each Traefik replica shows of the route; what is silent is not failed."""

from __future__ import annotations

from hopcheck.catalogue.catalogue import text
from hopcheck.model import Collected, Facts, Gap, Judgement, Replica, Step, Why
from hopcheck.model.kubernetes import Server
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.loaded import Loaded
from hopcheck.steps.names import kube_gap
from hopcheck.steps.traefik_logs.replicas import known_replicas, running, states_of


def sight(scene: Scene) -> Judgement:
    """Whether any running replica shows, by its API or by an answer, if it has the route."""
    if scene.instance is None or not scene.snapshot.traefik.replicas:
        return Judgement(Step.TRAEFIK_LOGS, gaps=(_no_replica(scene),))
    states = states_of(scene)
    facts = _facts(known_replicas(scene), states)
    if not states:
        silent = Gap("route_loaded", Why.NOT_NEEDED)
        return Judgement(Step.TRAEFIK_LOGS, gaps=(silent,), facts=facts)
    known = [pod for pod, state in states.items() if state is not Loaded.UNKNOWN]
    gaps: list[Gap] = []
    if routing_of(scene).selection.winner is None and Loaded.YES not in states.values():
        # Nothing to look for: "every replica has loaded it" was not seen either.
        gaps.append(Gap("none_declared", Why.NOT_NEEDED, params={"host": scene.target.host}))
    elif not known:
        unread = (one.routers for one in running(scene) if one.routers.why)
        first = next(unread, Collected(why=Why.NOT_NEEDED))
        gaps.append(Gap("route_loaded", first.why or Why.NOT_NEEDED, first.detail))
    elif len(known) < len(states):
        params = {"seen": len(known), "total": len(states)}
        gaps.append(Gap("replica", Why.NOT_NEEDED, required=False, params=params))
    return Judgement(Step.TRAEFIK_LOGS, gaps=tuple(gaps), seen=bool(known), facts=facts)


def _no_replica(scene: Scene) -> Gap:
    pods = next((v for k, v in scene.kube.lists.items() if k.partition("@")[0] == "pods"), None)
    if pods is not None and not pods.seen:
        return kube_gap("traefik_pods", pods)
    server = scene.kube.server
    lost = server if server.why else Collected[Server](why=Why.NOT_FOUND, detail=server.detail)
    return kube_gap("traefik_not_found", lost)


def _facts(replicas: list[Replica], states: dict[str, Loaded]) -> Facts:
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
