"""Step 2: load balancer, listener, target groups, targets, and whether their ports join."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.aws.loadbalancer import front_of
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import NOT_SELECTED, Facts, Finding, Gap, Judgement, Step, Why, Words
from hopcheck.model.aws import Identity, LoadBalancer
from hopcheck.scene.chain import Chain
from hopcheck.scene.outcome import hairpinned, preserving_group
from hopcheck.scene.scene import Scene
from hopcheck.steps.bounds import between_balancer_and_nodes
from hopcheck.steps.rule import rule
from hopcheck.steps.target_health import listeners
from hopcheck.steps.target_health.front import (
    BEHIND,
    SHOWN,
    WAY,
    balancer_of,
    cluster_address,
    of_group,
    way_of,
)
from hopcheck.steps.target_health.groups import judged_groups


@rule(reads=("dns", "aws"), uses=BEHIND)
def clients_in_the_cluster_get_an_answer(scene: Scene) -> Iterator[Finding]:
    """A client on a target gets an answer through the load balancer.

    Time-outs from inside that may be the client's own node are information, no accusation.
    """
    silent, group = hairpinned(scene.snapshot), preserving_group(scene)
    if silent and group is not None:
        yield of_group(
            "TGT023",
            group,
            fails=listing(sorted(silent)),
        )


@rule(reads=WAY, uses=SHOWN)
def the_load_balancer_passes_on_what_nodes_answer(scene: Scene) -> list[Finding]:
    """What every node answers well is answered well through the load balancer."""
    if scene.balancer is None or scene.way is None:
        return []
    return between_balancer_and_nodes(scene, scene.balancer)


def sight(scene: Scene) -> Judgement:
    """What was seen of load balancer and targets; without one, why there is none."""
    balancer = balancer_of(scene)
    if balancer is None:
        return _without_balancer(scene)
    facts = _facts_of(scene, balancer)
    listed = scene.aws.listeners.get(balancer.load_balancer_arn, NOT_SELECTED)
    if not listed.seen:
        params = {"lb": balancer.load_balancer_name, "party": "aws"}
        gap = Gap("listeners", listed.why or Why.NOT_SELECTED, listed.detail, params=params)
        return Judgement(Step.TARGET_HEALTH, gaps=(gap,), facts=facts)
    facts["listeners"] = [
        {"port": one.port or None, "protocol": one.protocol} for one in listed.get()
    ]
    way = way_of(scene)
    if way is None:
        return Judgement(Step.TARGET_HEALTH, seen=True, facts=facts)
    facts["load-balancer.detail"] += f", {way.listener.protocol} {way.listener.port}"
    if listeners.the_listeners_rule_forwards(scene):
        return Judgement(Step.TARGET_HEALTH, seen=True, facts=facts)
    facts |= _facts_of_targets(scene, way)
    return Judgement(Step.TARGET_HEALTH, gaps=tuple(_unread(scene, way)), seen=True, facts=facts)


def _without_balancer(scene: Scene) -> Judgement:
    evidence, front = cluster_address(scene), front_of(scene.chain)
    if evidence:
        note = text("na", "no_aws", evidence=evidence)
        return Judgement(Step.TARGET_HEALTH, not_applicable=note, facts={"load-balancer.na": True})
    if front is not None:
        note = text("na", "cdn", host=scene.target.host, cdn=front)
        facts = {"load-balancer.label": front, "load-balancer.detail": note}
        return Judgement(Step.TARGET_HEALTH, not_applicable=note, facts=facts)
    listed = scene.aws.load_balancers
    if not listed.seen:
        gap = Gap("aws", listed.why or Why.NOT_SELECTED, listed.detail, params={"party": "aws"})
        return Judgement(Step.TARGET_HEALTH, gaps=(gap,))
    identity = scene.aws.identity.or_else(Identity())
    gap = Gap(
        "load_balancer_unmatched",
        Why.NOT_NEEDED,
        params={
            "host": scene.target.host,
            "account": identity.account or "?",
            "region": identity.region or scene.snapshot.vantage.aws_region or "?",
        },
    )
    return Judgement(Step.TARGET_HEALTH, gaps=(gap,))


def _facts_of(scene: Scene, balancer: LoadBalancer) -> Words:
    led_here = scene.balancer is not None
    return {
        "load-balancer.label": balancer.load_balancer_name,
        "load-balancer.detail": f"{balancer.type}, {balancer.scheme}",
        "load-balancer.members": [
            {"name": address, "state": "ok"} for address in scene.addresses if led_here
        ],
        "load balancer": {
            "name": balancer.load_balancer_name,
            "dns_name": balancer.dns_name,
            "type": balancer.type,
            "scheme": balancer.scheme,
            "state": balancer.state.code,
            "zones": [z.zone_name for z in balancer.availability_zones],
        },
        "matched": {"how": scene.match.how, "relation": scene.match.relation},
    }


def _facts_of_targets(scene: Scene, way: Chain) -> Words:
    read = [g for g in way.groups if g.health.seen and g.obj.target_type != "alb"]
    every = [target for group in read for target in group.targets]
    members = [{"name": t.name, "state": t.state, "detail": t.reason} for t in every]
    ok = sum(target.state == "healthy" for target in every)
    facts: Facts = {
        "target-group.label": listing(group.name for group in way.groups),
        "target-group.members": members,
        "target-group.detail": text("found", "targets", ok=ok, total=len(every)),
        "targets": members,
    }
    nodes = dict.fromkeys(f"{t.node_name}:{t.port}" for t in every if t.node is not None)
    if nodes:
        facts["node.label"] = listing(nodes, 3)
    elif any(target.id in scene.pod_addresses for target in every):
        facts["node.na"] = text("na", "pods_are_targets")
    return facts


def _unread(scene: Scene, way: Chain) -> Iterator[Gap]:
    """The groups whose health AWS did not tell, or could not."""
    judged = {group.arn for group in judged_groups(scene)}
    for group in way.groups:
        params = {"tg": group.name, "party": "aws"}
        if group.obj.target_type == "alb":
            continue
        if not group.health.seen:
            why = group.health.why or Why.NOT_SELECTED
            yield Gap("target_health", why, group.health.detail, params=params)
        elif (unsure := group.in_state("unavailable")) and group.arn in judged:
            required = len(unsure) == len(group.targets)
            reason = unsure[0].reason
            yield Gap("target_health", Why.ERROR, reason, required=required, params=params)
