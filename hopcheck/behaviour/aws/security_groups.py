"""What a security group's rules let through."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from hopcheck.model import AwsEvidence, Obj


def rules_for(groups: Iterable[Obj], port: int, key: str = "IpPermissions") -> list[Obj]:
    """The rules of `groups` for TCP on `port`: inbound, or of another `key` of the API."""
    found = []
    for group in groups:
        for rule in group.get(key) or ():
            protocol = str(rule.get("IpProtocol", "-1"))
            if protocol not in ("-1", "tcp", "6"):
                continue
            low, high = int(rule.get("FromPort", 0)), int(rule.get("ToPort", 65535))
            if protocol == "-1" or low <= port <= high:
                found.append(rule)
    return found


def sources_of(rules: Iterable[Obj]) -> list[str]:
    """CIDRs, groups and prefix lists that the rules name."""
    found: list[str] = []
    for rule in rules:
        found += [str(r.get("CidrIp")) for r in rule.get("IpRanges") or ()]
        found += [str(r.get("CidrIpv6")) for r in rule.get("Ipv6Ranges") or ()]
        found += [str(r.get("GroupId")) for r in rule.get("UserIdGroupPairs") or ()]
        found += [str(r.get("PrefixListId")) for r in rule.get("PrefixListIds") or ()]
    return found


def admits_all(rules: Sequence[Obj], version: int) -> bool:
    """Whether the rules together admit every address of IPv4 or IPv6, or may (prefix lists)."""
    if any(rule.get("PrefixListIds") for rule in rules):
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
        str(group.get("GroupId"))
        for one in instances.get()
        if one.get("InstanceId") in wanted
        for group in one.get("SecurityGroups") or ()
    }
    own = [group for group in groups.get() if str(group.get("GroupId")) in held]
    if not own:
        return None
    return bool({"0.0.0.0/0", "::/0"} & set(sources_of(rules_for(own, port))))  # CIDRs
