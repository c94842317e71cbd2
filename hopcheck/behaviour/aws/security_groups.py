"""What a security group's rules let through."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from hopcheck.model import AwsEvidence
from hopcheck.model.aws import IpPermission, SecurityGroup


def rules_for(
    groups: Iterable[SecurityGroup], port: int, *, outbound: bool = False
) -> list[IpPermission]:
    """The inbound (or `outbound`) rules of `groups` for TCP on `port`."""
    found = []
    for group in groups:
        for rule in (group.ip_permissions_egress or ()) if outbound else group.ip_permissions:
            low = 0 if rule.from_port is None else rule.from_port
            high = 65535 if rule.to_port is None else rule.to_port
            if rule.ip_protocol == "-1" or (
                rule.ip_protocol in ("tcp", "6") and low <= port <= high
            ):
                found.append(rule)
    return found


def sources_of(rules: Iterable[IpPermission]) -> list[str]:
    """CIDRs, groups and prefix lists that the rules name."""
    found: list[str] = []
    for rule in rules:
        found += [r.cidr_ip for r in rule.ip_ranges]
        found += [r.cidr_ipv6 for r in rule.ipv6_ranges]
        found += [r.group_id for r in rule.user_id_group_pairs]
        found += [r.prefix_list_id for r in rule.prefix_list_ids]
    return found


def admits_all(rules: Sequence[IpPermission], version: int) -> bool:
    """Whether the rules together admit every address of IPv4 or IPv6, or may (prefix lists)."""
    if any(rule.prefix_list_ids for rule in rules):
        return True
    networks = []
    for source in sources_of(rules):
        try:
            networks.append(ipaddress.ip_network(source, strict=False))
        except ValueError:  # another group's id
            continue
    four = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))
    return any(n.prefixlen == 0 for n in (four if version == 4 else six))


def open_to_all(aws: AwsEvidence, ids: Iterable[str], port: int) -> bool | None:
    """Whether a security group of any of these instances admits everybody to the port.

    None where the instances or their groups could not be seen.
    """
    groups, instances = aws.security_groups, aws.instances
    if not groups.seen or not instances.seen:
        return None
    wanted = set(ids)
    held = {
        group.group_id
        for one in instances.get()
        if one.instance_id in wanted
        for group in one.security_groups
    }
    own = [group for group in groups.get() if group.group_id in held]
    if not own:
        return None
    return bool({"0.0.0.0/0", "::/0"} & set(sources_of(rules_for(own, port))))  # CIDRs
