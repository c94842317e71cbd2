"""The target groups that are judged: those whose targets may be this cluster's."""

from __future__ import annotations

from hopcheck.scene.chain import Chain, GroupLink
from hopcheck.scene.outcome import Producer, outcome_of, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps.target_health.front import way_of
from hopcheck.steps.target_health.listeners import the_listeners_rule_forwards


def groups_of(scene: Scene) -> list[GroupLink]:
    """The target groups behind the listener whose health was read."""
    way = way_of(scene)
    if way is None or the_listeners_rule_forwards(scene):
        return []
    return [g for g in way.groups if g.health.seen and g.obj.target_type != "alb"]


def judged_groups(scene: Scene) -> list[GroupLink]:
    """Those with targets in use of which one at least may be this cluster's."""
    way = way_of(scene)
    return [
        group
        for group in groups_of(scene)
        if way is not None
        and len(group.in_state("draining")) < len(group.targets)
        and not is_strange(scene, way)
    ]


def is_strange(scene: Scene, way: Chain) -> bool:
    """Whether no target is this cluster's. One group of several may well be another cluster's.

    An instance that is terminated has lost its addresses: whose it was is not known.
    """
    if not scene.node_ids or scene.instance is None or not scene.pod_addresses:
        return False
    if any(target.kind or target.reason == "Target.InvalidState" for target in way.targets):
        return False
    return not outcome_of(scene).succeeded and not _application_answers(scene)


def _application_answers(scene: Scene) -> bool:
    """Whether something that is neither Traefik nor the load balancer answers the host."""
    return any(
        c.seen and c.get().exchanges and producer(c.get().exchanges[-1]) is Producer.APPLICATION
        for c in scene.snapshot.http.requests
    )
