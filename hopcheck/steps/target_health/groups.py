"""The target groups that are judged, and whose and where their targets are."""

from __future__ import annotations

from hopcheck.behaviour.aws.loadbalancer import interface_addresses
from hopcheck.model.aws import Instance, NetworkInterface
from hopcheck.scene.chain import GroupLink, TargetLink
from hopcheck.scene.outcome import Producer, outcome_of, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import last_exchanges
from hopcheck.steps.target_health.front import way_of
from hopcheck.steps.target_health.listeners import the_listeners_rule_forwards

# Amazon VPC CNI writes a pod's own interface there (security groups for pods).
_BRANCH = "vpc.amazonaws.com/pod-eni"


def groups_of(scene: Scene) -> list[GroupLink]:
    """The target groups behind the listener whose health was read."""
    way = way_of(scene)
    if way is None or the_listeners_rule_forwards(scene):
        return []
    return [group for group in way.groups if group.health.seen]


def judged_groups(scene: Scene) -> list[GroupLink]:
    """Those with targets in use of which one at least may be this cluster's."""
    groups = groups_of(scene)
    used = [g for g in groups if len(g.in_state("draining")) < len(g.targets)]
    return [] if is_strange(scene) else used


def is_strange(scene: Scene) -> bool:
    """Whether no target is this cluster's. One group of several may well be another cluster's.

    An instance that is terminated has lost its addresses: whose it was is not known.
    """
    way = way_of(scene)
    if way is None or not scene.node_ids or scene.instance is None or not scene.pod_addresses:
        return False
    if any(target.kind or target.reason == "Target.InvalidState" for target in way.targets):
        return False
    if any(group.obj.target_type == "alb" for group in way.groups):
        return False
    if any(producer(last) is Producer.APPLICATION for last in last_exchanges(scene)):
        return False
    return not outcome_of(scene).succeeded


def instance_of(scene: Scene, target: TargetLink) -> Instance | None:
    """The instance that a target is, by its id or address, or that its pod runs on.

    Not of a pod with an interface, and so security groups, of its own (a branch interface).
    """
    known = scene.aws.instances.or_else(()) or ()
    names = {target.id}
    for pod in target.pods if target.kind == "pod" else ():
        node = scene.node_ids.get(pod.status.host_ip)
        if node is not None and _BRANCH not in pod.metadata.annotations:
            names.add(node.spec.provider_id.rpartition("/")[2])
    return next((i for i in known if names & {i.instance_id, i.private_ip_address}), None)


def interface_of(scene: Scene, target: TargetLink) -> NetworkInterface | None:
    """The one network interface with the target's address, where it was read."""
    listed = scene.aws.network_interfaces.or_else(()) or ()
    own = [one for one in listed if target.id in interface_addresses(one)]
    return own[0] if len(own) == 1 else None


def zone_of(scene: Scene, target: TargetLink) -> str | None:
    """The target's zone: by AWS for an address, by its instance or node otherwise."""
    if target.obj.availability_zone:
        return target.obj.availability_zone
    instance = instance_of(scene, target)
    if instance is not None:
        return (instance.placement and instance.placement.availability_zone) or None
    labels = target.node.metadata.labels if target.node is not None else {}
    return labels.get("topology.kubernetes.io/zone") or None
