"""Step 2: load balancer, listener, target groups, targets, and whether their ports join."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.aws.loadbalancer import front_of
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import NOT_SELECTED, Facts, Gap, Judgement, Step, Why, Words
from hopcheck.model.aws import Identity, LoadBalancer
from hopcheck.scene.chain import Chain
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import aws_gap, cluster_address
from hopcheck.steps.target_health import listeners
from hopcheck.steps.target_health.front import balancer_of, way_of
from hopcheck.steps.target_health.groups import judged_groups


def sight(scene: Scene) -> Judgement:
    """What was seen of load balancer and targets; without one, why there is none."""
    balancer = balancer_of(scene)
    if balancer is None:
        return _without_balancer(scene)
    facts = _facts_of(scene, balancer)
    listed = scene.aws.listeners.get(balancer.load_balancer_arn, NOT_SELECTED)
    if not listed.seen:
        gap = aws_gap("listeners", listed, lb=balancer.load_balancer_name)
        return Judgement(Step.TARGET_HEALTH, gaps=(gap,), facts=facts)
    ports = ({"port": one.port or None, "protocol": one.protocol} for one in listed.get())
    facts["listeners"] = list(ports)
    way = way_of(scene)
    gaps: tuple[Gap, ...] = ()
    if way is not None:
        facts["load-balancer.detail"] += f", {way.listener.protocol} {way.listener.port}"
    if way is not None and not listeners.the_listeners_rule_forwards(scene):
        facts |= _facts_of_targets(scene, way)
        gaps = tuple(_unread(scene, way))
    return Judgement(Step.TARGET_HEALTH, gaps=gaps, seen=True, facts=facts)


def _without_balancer(scene: Scene) -> Judgement:
    evidence, front = cluster_address(scene), front_of(scene.chain)
    if evidence:
        note = text("na", "no_aws", evidence=evidence)
        return Judgement(Step.TARGET_HEALTH, not_applicable=note, facts={"load-balancer.na": True})
    if front is not None:
        note = text("na", "cdn", host=scene.target.host, cdn=front)
        facts = {"load-balancer.label": front, "load-balancer.detail": note}
        return Judgement(Step.TARGET_HEALTH, not_applicable=note, facts=facts)
    if not scene.aws.load_balancers.seen:
        return Judgement(Step.TARGET_HEALTH, gaps=(aws_gap("aws", scene.aws.load_balancers),))
    identity = scene.aws.identity.or_else(Identity())
    region = identity.region or scene.snapshot.vantage.aws_region or "?"
    params = {"host": scene.target.host, "account": identity.account or "?", "region": region}
    gap = Gap("load_balancer_unmatched", Why.NOT_NEEDED, params=params)
    return Judgement(Step.TARGET_HEALTH, gaps=(gap,))


def _facts_of(scene: Scene, balancer: LoadBalancer) -> Words:
    led_here = scene.balancer is balancer
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
    read = [group for group in way.groups if group.health.seen]
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
        if not group.health.seen:
            yield aws_gap("target_health", group.health, tg=group.name)
        elif (unsure := group.in_state("unavailable")) and group.arn in judged:
            required = len(unsure) == len(group.targets)
            params, reason = {"tg": group.name, "party": "aws"}, unsure[0].reason
            yield Gap("target_health", Why.ERROR, reason, required=required, params=params)
