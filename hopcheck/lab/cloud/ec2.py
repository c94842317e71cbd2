"""The EC2 actions on boto3-shaped dicts, and makers of such dicts."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hopcheck.lab.cloud.model import LoadBalancer, Zone, hex_id
from hopcheck.lab.cloud.wire import AwsError, numbered

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

Form = Mapping[str, str]
Fields = dict[str, Any]

_STATE_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}

# Filter names of each action and the fields they look at ("*" is any item of a list).
_INTERFACE_FILTERS = {
    "network-interface-id": "NetworkInterfaceId",
    "interface-type": "InterfaceType",
    "description": "Description",
    "status": "Status",
    "vpc-id": "VpcId",
    "subnet-id": "SubnetId",
    "availability-zone": "AvailabilityZone",
    "requester-id": "RequesterId",
    "requester-managed": "RequesterManaged",
    "group-id": "Groups.*.GroupId",
    "group-name": "Groups.*.GroupName",
    "private-ip-address": "PrivateIpAddress",
    "addresses.private-ip-address": "PrivateIpAddresses.*.PrivateIpAddress",
    "addresses.association.public-ip": "PrivateIpAddresses.*.Association.PublicIp",
    "association.public-ip": "Association.PublicIp",
    "association.allocation-id": "Association.AllocationId",
    "attachment.instance-id": "Attachment.InstanceId",
}
_GROUP_FILTERS = {
    "group-id": "GroupId",
    "group-name": "GroupName",
    "vpc-id": "VpcId",
    "description": "Description",
    "owner-id": "OwnerId",
    "ip-permission.from-port": "IpPermissions.*.FromPort",
    "ip-permission.to-port": "IpPermissions.*.ToPort",
    "ip-permission.protocol": "IpPermissions.*.IpProtocol",
    "ip-permission.cidr": "IpPermissions.*.IpRanges.*.CidrIp",
}
_INSTANCE_FILTERS = {
    "instance-id": "InstanceId",
    "instance-state-name": "State.Name",
    "vpc-id": "VpcId",
    "subnet-id": "SubnetId",
    "availability-zone": "Placement.AvailabilityZone",
    "private-ip-address": "PrivateIpAddress",
    "network-interface.addresses.private-ip-address": "PrivateIpAddress",
    "ip-address": "PublicIpAddress",
    "private-dns-name": "PrivateDnsName",
    "dns-name": "PublicDnsName",
    "instance.group-id": "SecurityGroups.*.GroupId",
    "network-interface.group-id": "SecurityGroups.*.GroupId",
}


def instance(
    instance_id: str,
    zone: str,
    address: str,
    *,
    security_groups: Iterable[str] = (),
    state: str = "running",
    vpc_id: str = "vpc-0a1b2c3d4e5f67890",
) -> Fields:
    """An instance as DescribeInstances returns it."""
    return {
        "InstanceId": instance_id,
        "ImageId": "ami-0e1a2b3c4d5e6f708",
        "State": {"Code": _STATE_CODES[state], "Name": state},
        "PrivateDnsName": f"ip-{address.replace('.', '-')}.ap-northeast-2.compute.internal",
        "PublicDnsName": "",
        "InstanceType": "m6i.large",
        "LaunchTime": "2026-01-12T01:20:00.000Z",
        "Placement": {"AvailabilityZone": zone, "GroupName": "", "Tenancy": "default"},
        "PrivateIpAddress": address,
        "SubnetId": f"subnet-0{hex_id('subnet', zone)}",
        "VpcId": vpc_id,
        "SecurityGroups": [{"GroupName": name, "GroupId": name} for name in security_groups],
        "SourceDestCheck": True,
    }


def admit(
    port: int | tuple[int, int], *, cidrs: Iterable[str] = (), groups: Iterable[str] = ()
) -> Fields:
    """One TCP rule of a security group: a port or a range, from addresses or groups."""
    low, high = (port, port) if isinstance(port, int) else port
    return {
        "IpProtocol": "tcp",
        "FromPort": low,
        "ToPort": high,
        "UserIdGroupPairs": [{"GroupId": group, "UserId": "123456789012"} for group in groups],
        "IpRanges": [{"CidrIp": cidr} for cidr in cidrs],
        "Ipv6Ranges": [],
        "PrefixListIds": [],
    }


def security_group(
    group_id: str, name: str, rules: Iterable[Fields], *, vpc_id: str = "vpc-0a1b2c3d4e5f67890"
) -> Fields:
    """A security group as DescribeSecurityGroups returns it, open to the outside."""
    egress = {
        "IpProtocol": "-1",
        "UserIdGroupPairs": [],
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        "Ipv6Ranges": [],
        "PrefixListIds": [],
    }
    return {
        "GroupId": group_id,
        "GroupName": name,
        "Description": name,
        "OwnerId": "123456789012",
        "VpcId": vpc_id,
        "IpPermissions": list(rules),
        "IpPermissionsEgress": [egress],
    }


def interface(balancer: LoadBalancer, zone: Zone, account: str) -> Fields:
    """The network interface that a load balancer has in one zone.

    Public addresses show as the association of one on an internet-facing load balancer.
    """
    public: Fields | None = None
    if balancer.scheme == "internet-facing":
        owner = account if zone.allocation_id else "amazon-elb"
        public = {"IpOwnerId": owner, "PublicDnsName": "", "PublicIp": zone.address}
        if zone.allocation_id:
            public["AllocationId"] = zone.allocation_id
    network = balancer.type == "network"
    return {
        "NetworkInterfaceId": f"eni-0{hex_id('eni', balancer.name, zone.name)}",
        "InterfaceType": "network_load_balancer" if network else "interface",
        "Description": f"ELB {balancer.path}",
        "Status": "in-use",
        "AvailabilityZone": zone.name,
        "SubnetId": zone.subnet(),
        "VpcId": balancer.vpc_id,
        "OwnerId": account,
        "RequesterId": account if network else "amazon-elb",
        "RequesterManaged": True,
        "SourceDestCheck": not network,
        "Groups": [{"GroupId": name, "GroupName": name} for name in balancer.security_groups],
        "PrivateIpAddress": zone.address,
        "Association": public,
        "PrivateIpAddresses": [
            {"Primary": True, "PrivateIpAddress": zone.address, "Association": public}
        ],
        "Ipv6Addresses": [],
        "TagSet": [],
    }


class Ec2:
    """Answers of EC2 from the cloud's lists."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.actions: dict[str, Callable[[Form], Fields]] = {
            "DescribeInstances": self.instances,
            "DescribeNetworkInterfaces": self.network_interfaces,
            "DescribeSecurityGroups": self.security_groups,
        }

    def instances(self, form: Form) -> Fields:
        """DescribeInstances, one reservation each. Raises AwsError InvalidInstanceID.NotFound."""
        ids = numbered(form, "InstanceId")
        found = _by_id(self._cloud.instances, "InstanceId", ids, "InvalidInstanceID.NotFound")
        found = _filtered(found, form, _INSTANCE_FILTERS)
        reservations = [
            {
                "ReservationId": f"r-0{hex_id('reservation', entry['InstanceId'])}",
                "OwnerId": self._cloud.account,
                "Groups": [],
                "Instances": [entry],
            }
            for entry in found
        ]
        return _page("Reservations", reservations, form)

    def network_interfaces(self, form: Form) -> Fields:
        """DescribeNetworkInterfaces, those of the load balancers included.

        Raises AwsError InvalidNetworkInterfaceID.NotFound, InvalidParameterValue.
        """
        owned = [
            interface(balancer, zone, self._cloud.account)
            for balancer in self._cloud.load_balancers.values()
            for zone in balancer.zones
        ]
        every = [*owned, *self._cloud.network_interfaces]
        ids = numbered(form, "NetworkInterfaceId")
        code = "InvalidNetworkInterfaceID.NotFound"
        found = _by_id(every, "NetworkInterfaceId", ids, code)
        return _page("NetworkInterfaces", _filtered(found, form, _INTERFACE_FILTERS), form)

    def security_groups(self, form: Form) -> Fields:
        """DescribeSecurityGroups. Raises AwsError InvalidGroup.NotFound, InvalidParameterValue."""
        ids = numbered(form, "GroupId")
        found = _by_id(self._cloud.security_groups, "GroupId", ids, "InvalidGroup.NotFound")
        return _page("SecurityGroups", _filtered(found, form, _GROUP_FILTERS), form)


def _by_id(items: list[Fields], key: str, ids: list[str], code: str) -> list[Fields]:
    if not ids:
        return items
    words = {
        "InstanceId": "instance ID",
        "NetworkInterfaceId": "networkInterface ID",
        "GroupId": "security group",
    }
    known = {item[key]: item for item in items}
    for wanted in ids:
        if wanted not in known:
            raise AwsError(code, f"The {words[key]} '{wanted}' does not exist")
    return [known[wanted] for wanted in ids]


def _filtered(items: list[Fields], form: Form, known: Mapping[str, str]) -> list[Fields]:
    number = 1
    while name := form.get(f"Filter.{number}.Name"):
        if name not in known:
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
        patterns = numbered(form, f"Filter.{number}.Value")
        items = [item for item in items if _holds(item, known[name], patterns)]
        number += 1
    return items


def _holds(item: Fields, path: str, patterns: list[str]) -> bool:
    values = [
        str(value).lower() if isinstance(value, bool) else str(value)
        for value in _pick(item, path.split("."))
    ]
    return any(fnmatch.fnmatchcase(value, pattern) for value in values for pattern in patterns)


def _pick(value: Any, path: list[str]) -> Iterator[Any]:
    if value is None:
        return
    if not path:
        yield value
    elif path[0] == "*":
        for entry in value:
            yield from _pick(entry, path[1:])
    else:
        yield from _pick(value.get(path[0]), path[1:])


def _page(name: str, items: list[Fields], form: Form) -> Fields:
    try:
        start = int(form.get("NextToken", "0"))
        size = int(form.get("MaxResults", "1000"))
    except ValueError:
        raise AwsError("InvalidParameterValue", "Invalid token or page size") from None
    end = start + size
    return {name: items[start:end], "NextToken": str(end) if end < len(items) else None}
