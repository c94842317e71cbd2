"""Security groups: whether one admits a connection."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any


def admits(
    groups: Iterable[dict[str, Any]], port: int, source: str, source_groups: Iterable[str]
) -> bool:
    """Whether any of `groups` (EC2's shape) admits TCP to `port`.

    The source matches by its address or by one of the security groups it belongs to.
    """
    members = set(source_groups)
    return any(
        _covers(permission, port) and _names(permission, source, members)
        for group in groups
        for permission in group.get("IpPermissions", ())
    )


def lets_out(groups: Iterable[dict[str, Any]], port: int) -> bool:
    """Whether any of `groups` has an outbound rule for TCP to `port`, wherever that leads."""
    return any(
        _covers(permission, port)
        for group in groups
        for permission in group.get("IpPermissionsEgress", ())
    )


def _covers(permission: dict[str, Any], port: int) -> bool:
    protocol = permission.get("IpProtocol")
    if protocol == "-1":
        return True
    return protocol == "tcp" and permission["FromPort"] <= port <= permission["ToPort"]


def _names(permission: dict[str, Any], source: str, members: set[str]) -> bool:
    address = ipaddress.ip_address(source)
    ranges = [entry["CidrIp"] for entry in permission.get("IpRanges", ())]
    if any(address in ipaddress.ip_network(cidr) for cidr in ranges):
        return True
    return any(pair["GroupId"] in members for pair in permission.get("UserIdGroupPairs", ()))
