"""Zones of a Network Load Balancer without a healthy target, where cross-zone is off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hopcheck.behaviour.aws.loadbalancer import interface_addresses
from hopcheck.catalogue.catalogue import listing
from hopcheck.model import ErrorKind, Finding, ObjectRef, Probe, Severity
from hopcheck.model.aws import LoadBalancer
from hopcheck.scene.chain import GroupLink, TargetLink
from hopcheck.scene.outcome import requests_made, succeeded
from hopcheck.scene.scene import Scene
from hopcheck.steps.rule import rule
from hopcheck.steps.target_health.front import BEHIND, of_group, way_of
from hopcheck.steps.target_health.groups import judged_groups


@rule(reads=("dns", "aws"), uses=BEHIND)
def every_zone_has_a_healthy_target(scene: Scene) -> Iterator[Finding]:
    """Without cross-zone balancing every zone of a Network Load Balancer has a healthy target.

    An error where requests go to such a zone; else information: AWS takes it out of DNS.
    """
    way = way_of(scene)
    for group in judged_groups(scene) if way is not None else ():
        if way is not None and way.balancer.type == "network":
            yield from _gaps(scene, way.balancer, group)


def _gaps(scene: Scene, balancer: LoadBalancer, group: GroupLink) -> Iterator[Finding]:
    enabled = [z.zone_name for z in balancer.availability_zones]
    zones = [zone_of(scene, target) for target in group.targets]
    served = {zone_of(scene, target) for target in group.in_state("healthy")}
    if _crossing(scene, balancer, group) != "false" or not served or None in zones:
        return
    empty = [zone for zone in enabled if zone not in served]
    if "all" in served or not empty or len(empty) == len(enabled):
        return
    failing = _failing(scene, balancer, empty)
    made = requests_made(scene.snapshot)
    lb = balancer.load_balancer_name
    yield of_group(
        "TGT024",
        group,
        variant="used" if failing else None,
        severity=Severity.ERROR if failing else None,
        lb=lb,
        lb_arn=balancer.load_balancer_arn,
        zones=listing(empty),
        served=listing(sorted(str(zone) for zone in served)),
        fails=listing(p.address for p in failing),
        share=group.share * len(failing) / len(made) if failing else None,
        related=(ObjectRef("LoadBalancer", lb),),
    )


def _crossing(scene: Scene, balancer: LoadBalancer, group: GroupLink) -> str | None:
    """Give "true" or "false"; None where an attribute could not be read."""
    key = "load_balancing.cross_zone.enabled"
    own = group.attributes.get(key)
    if own in ("true", "false"):
        return own
    attributes = scene.aws.load_balancer_attributes.get(balancer.load_balancer_arn)
    return (attributes.or_else({}) or {}).get(key) if attributes is not None else None


def zone_of(scene: Scene, target: TargetLink) -> str | None:
    """The target's zone: by AWS for an address, by its instance or node otherwise."""
    if target.obj.availability_zone:
        return target.obj.availability_zone
    for instance in scene.aws.instances.or_else(()) or ():
        if target.id in (instance.instance_id, instance.private_ip_address):
            return (instance.placement and instance.placement.availability_zone) or None
    labels = target.node.metadata.labels if target.node is not None else {}
    return labels.get("topology.kubernetes.io/zone") or None


def address_zones(scene: Scene, balancer: LoadBalancer) -> Mapping[str, str]:
    """The zones of the load balancer's addresses, as far as they are known."""
    found: dict[str, str] = {}
    for zone in balancer.availability_zones:
        for entry in zone.load_balancer_addresses:
            for address in (entry.ip_address, entry.private_ipv4_address, entry.ipv6_address):
                found[address] = zone.zone_name
    path = balancer.load_balancer_arn.partition(":loadbalancer/")[2]
    for interface in scene.aws.network_interfaces.or_else(()) or ():
        if interface.description == f"ELB {path}":
            for address in interface_addresses(interface):
                found[address] = interface.availability_zone
    return found


# No error, or one that a request meets behind the load balancer.
_PASSED = (None, ErrorKind.READ_TIMEOUT, ErrorKind.TOO_MANY_REDIRECTS)


def _failing(scene: Scene, balancer: LoadBalancer, empty: list[str]) -> list[Probe]:
    """Requests without an answer at addresses that are in one of these zones."""
    made = requests_made(scene.snapshot)
    failing = [
        p
        for p in made
        if p.exchanges[-1].error not in _PASSED and not succeeded(scene.snapshot, p, scene.target)
    ]
    if not failing or len(failing) == len(made) or scene.match.foreign:
        return []
    known = address_zones(scene, balancer)
    if all(p.address in known for p in failing):
        return [p for p in failing if known[p.address] in empty]
    # Which address is where was not asked: as many fail as there are such zones.
    return failing if len(failing) <= len(empty) else []
