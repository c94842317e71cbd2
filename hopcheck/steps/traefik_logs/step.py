"""Step 6: what each Traefik replica shows of the route; what is silent is not failed."""

from __future__ import annotations

from hopcheck.catalogue.catalogue import text
from hopcheck.model import Facts, Gap, Judgement, Replica, Step, Why
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.loaded import Loaded
from hopcheck.steps.traefik_logs.replicas import known_replicas, states_of


def sight(scene: Scene) -> Judgement:
    """Whether any running replica shows, by its API or by an answer, if it has the route."""
    if scene.instance is None or not scene.snapshot.traefik.replicas:
        return Judgement(Step.TRAEFIK_LOGS, gaps=(_no_replica(scene),))
    states = states_of(scene)
    facts = _facts(known_replicas(scene), states)
    if not states:
        return Judgement(
            Step.TRAEFIK_LOGS, gaps=(Gap("route_loaded", Why.NOT_NEEDED),), facts=facts
        )
    known = [pod for pod, state in states.items() if state is not Loaded.UNKNOWN]
    gaps: list[Gap] = []
    if routing_of(scene).selection.winner is None and Loaded.YES not in states.values():
        # Nothing to look for: "every replica has loaded it" was not seen either.
        gaps.append(Gap("none_declared", Why.NOT_NEEDED, params={"host": scene.target.host}))
    elif not known:
        running = [r for r in known_replicas(scene) if r.pod in states]
        why = next((r.routers for r in running if r.routers.why), None)
        gaps.append(
            Gap("route_loaded", (why and why.why) or Why.NOT_NEEDED, why.detail if why else "")
        )
    elif len(known) < len(states):
        gaps.append(
            Gap(
                "replica",
                Why.NOT_NEEDED,
                required=False,
                params={"seen": len(known), "total": len(states)},
            )
        )
    return Judgement(Step.TRAEFIK_LOGS, gaps=tuple(gaps), seen=bool(known), facts=facts)


def _no_replica(scene: Scene) -> Gap:
    pods = next((v for k, v in scene.kube.lists.items() if k.partition("@")[0] == "pods"), None)
    if pods is not None and not pods.seen:
        why = pods.why or Why.NOT_SELECTED
        return Gap("traefik_pods", why, pods.detail, params={"party": "kubernetes"})
    server = scene.kube.server
    return Gap(
        "traefik_not_found",
        server.why or Why.NOT_FOUND,
        server.detail,
        params={"party": "kubernetes"},
    )


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
