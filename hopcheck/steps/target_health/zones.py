"""Zones of a Network Load Balancer without a healthy target, where cross-zone is off."""

from __future__ import annotations

from collections.abc import Mapping

from hopcheck.behaviour.aws.loadbalancer import interface_addresses
from hopcheck.catalogue.catalogue import listing, make
from hopcheck.model import ErrorKind, Finding, Obj, ObjectRef, Probe, Severity
from hopcheck.scene.outcome import requests_made, succeeded
from hopcheck.scene.scene import Scene, meta
from hopcheck.steps.target_health.groups import Group


def judge(scene: Scene, balancer: Obj, group: Group) -> list[Finding]:
    """An error where requests go to such a zone; else information: AWS takes it out of DNS."""
    if balancer.get("Type") != "network" or _crossing(scene, balancer, group) != "false":
        return []
    enabled = [str(z.get("ZoneName")) for z in balancer.get("AvailabilityZones") or ()]
    zones = {id(d): zone_of(scene, d.get("Target") or {}) for d in group.described}
    healthy = group.in_state("healthy")
    served = {zones[id(d)] for d in healthy}
    if not healthy or None in zones.values() or "all" in served:
        return []
    empty = [zone for zone in enabled if zone not in served]
    if not empty or len(empty) == len(enabled):
        return []
    failing = _failing(scene, balancer, empty)
    made = requests_made(scene.snapshot)
    lb = str(balancer.get("LoadBalancerName"))
    return [
        make(
            "TGT024",
            group.ref,
            variant="used" if failing else None,
            severity=Severity.ERROR if failing else None,
            lb=lb,
            lb_arn=balancer["LoadBalancerArn"],
            tg=group.name,
            tg_arn=group.arn,
            zones=listing(empty),
            served=listing(sorted(str(zone) for zone in served)),
            fails=listing(p.address for p in failing),
            share=group.share * len(failing) / len(made) if failing else None,
            related=(ObjectRef("LoadBalancer", lb),),
        )
    ]


def _crossing(scene: Scene, balancer: Obj, group: Group) -> str | None:
    """Give "true" or "false"; None where an attribute could not be read."""
    key = "load_balancing.cross_zone.enabled"
    own = scene.attribute(group.arn, key)
    if own in ("true", "false"):
        return own
    attributes = scene.aws.load_balancer_attributes.get(balancer["LoadBalancerArn"])
    return (attributes.or_else({}) or {}).get(key) if attributes is not None else None


def zone_of(scene: Scene, target: Obj) -> str | None:
    """The target's zone: by AWS for an address, by its instance or node otherwise."""
    if target.get("AvailabilityZone"):
        return str(target["AvailabilityZone"])
    for instance in scene.aws.instances.or_else(()) or ():
        if target.get("Id") in (instance.get("InstanceId"), instance.get("PrivateIpAddress")):
            zone = (instance.get("Placement") or {}).get("AvailabilityZone")
            return str(zone) if zone else None
    node = scene.node_ids.get(str(target.get("Id")))
    labels = (meta(node).get("labels") or {}) if node is not None else {}
    zone = labels.get("topology.kubernetes.io/zone")
    return str(zone) if zone else None


def address_zones(scene: Scene, balancer: Obj) -> Mapping[str, str]:
    """The zones of the load balancer's addresses, as far as they are known."""
    found: dict[str, str] = {}
    for zone in balancer.get("AvailabilityZones") or ():
        for entry in zone.get("LoadBalancerAddresses") or ():
            for key in ("IpAddress", "PrivateIPv4Address", "IPv6Address"):
                if entry.get(key):
                    found[str(entry[key])] = str(zone.get("ZoneName"))
    path = str(balancer.get("LoadBalancerArn", "")).partition(":loadbalancer/")[2]
    for interface in scene.aws.network_interfaces.or_else(()) or ():
        if interface.get("Description") == f"ELB {path}":
            for address in interface_addresses(interface):
                found[address] = str(interface.get("AvailabilityZone"))
    return found


# No error, or one that a request meets behind the load balancer.
_PASSED = (None, ErrorKind.READ_TIMEOUT, ErrorKind.TOO_MANY_REDIRECTS)


def _failing(scene: Scene, balancer: Obj, empty: list[str]) -> list[Probe]:
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
