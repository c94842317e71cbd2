"""What AWS describes, in boto3's shapes: by the key of the answer that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hopcheck.model.evidence import Obj
from hopcheck.model.read import (
    ABSENT,
    Shape,
    check_port,
    each,
    fields,
    number,
    objects,
    strings,
    text,
)

_ZONE = fields({
    "ZoneName": text, "SubnetId": text,
    "LoadBalancerAddresses": each(fields({
        "IpAddress": text, "PrivateIPv4Address": text, "IPv6Address": text, "AllocationId": text,
    })),
})  # fmt: skip
_GROUPS = each(fields({"TargetGroupArn": text, "Weight": number}, TargetGroupArn=""))
_ACTION = fields({
    "Type": text, "Order": number, "TargetGroupArn": text,
    "ForwardConfig": fields({"TargetGroups": _GROUPS}),
    "FixedResponseConfig": fields({"StatusCode": text, "ContentType": text, "MessageBody": text}),
    "RedirectConfig": fields({"Protocol": text, "Port": text, "Host": text, "Path": text,
                              "Query": text, "StatusCode": text}),
})  # fmt: skip
_VALUES = fields({"Values": strings, "RegexValues": strings})
_CONDITION = fields({
    "Field": text, "Values": strings, "RegexValues": strings,
    "HostHeaderConfig": _VALUES, "PathPatternConfig": _VALUES, "SourceIpConfig": _VALUES,
    "HttpRequestMethodConfig": _VALUES, "HttpHeaderConfig": _VALUES,
    "QueryStringConfig": fields({"Values": each(fields({"Key": text, "Value": text}))}),
})  # fmt: skip
_RANGE = fields({
    "IpProtocol": text, "FromPort": number, "ToPort": number,
    "IpRanges": each(fields({"CidrIp": text})),
    "Ipv6Ranges": each(fields({"CidrIpv6": text})),
    "PrefixListIds": each(fields({"PrefixListId": text})),
    "UserIdGroupPairs": each(fields({"GroupId": text, "UserId": text})),
})  # fmt: skip
_GROUP_IDS = each(fields({"GroupId": text, "GroupName": text}, GroupId=""))
_INSTANCE = fields(
    {
        "InstanceId": text, "State": fields({"Name": text}),
        "StateReason": fields({"Code": text, "Message": text}),
        "Placement": fields({"AvailabilityZone": text}), "PrivateDnsName": text,
        "PrivateIpAddress": text, "PublicIpAddress": text, "Ipv6Address": text,
        "SecurityGroups": _GROUP_IDS, "SubnetId": text, "VpcId": text,
        "NetworkInterfaces": objects,
    },
    InstanceId="",
)  # fmt: skip

_SHAPES: Mapping[str, Shape] = {
    "LoadBalancers": fields(
        {
            "LoadBalancerArn": text, "LoadBalancerName": text, "DNSName": text, "Type": text,
            "Scheme": text, "VpcId": text, "IpAddressType": text, "SecurityGroups": strings,
            "State": fields({"Code": text, "Reason": text}),
            "AvailabilityZones": each(_ZONE),
        },
        LoadBalancerArn="", LoadBalancerName="",
    ),
    "Listeners": fields(
        {
            "ListenerArn": text, "LoadBalancerArn": text, "Port": number, "Protocol": text,
            "SslPolicy": text, "Certificates": each(fields({"CertificateArn": text})),
            "DefaultActions": each(_ACTION), "AlpnPolicy": strings,
        },
        # A gateway load balancer's listener has no port.
        ListenerArn="", Port=0,
    ),
    "Rules": fields({
        "RuleArn": text, "Priority": text, "Conditions": each(_CONDITION),
        "Actions": each(_ACTION),
    }),
    "TargetGroups": fields(
        {
            "TargetGroupArn": text, "TargetGroupName": text, "Protocol": text, "Port": number,
            "VpcId": text, "TargetType": text, "ProtocolVersion": text, "IpAddressType": text,
            "HealthCheckProtocol": text, "HealthCheckPort": check_port, "HealthCheckPath": text,
            "Matcher": fields({"HttpCode": text, "GrpcCode": text}),
            "LoadBalancerArns": strings,
        },
        TargetGroupArn="", TargetGroupName="",
    ),
    "TargetHealthDescriptions": fields(
        {
            "Target": fields({"Id": text, "Port": number, "AvailabilityZone": text}, Id=""),
            "HealthCheckPort": check_port,
            "TargetHealth": fields({"State": text, "Reason": text, "Description": text}),
        },
        Target={"Id": ""}, TargetHealth={},
    ),
    "Attributes": fields({"Key": text, "Value": text}, Key=""),
    "SecurityGroups": fields(
        {
            "GroupId": text, "GroupName": text, "VpcId": text,
            "IpPermissions": each(_RANGE), "IpPermissionsEgress": each(_RANGE),
        },
        GroupId="",
    ),
    "NetworkInterfaces": fields({
        "NetworkInterfaceId": text, "InterfaceType": text, "Description": text, "Status": text,
        "AvailabilityZone": text, "SubnetId": text, "VpcId": text, "Groups": _GROUP_IDS,
        "PrivateIpAddress": text,
        "PrivateIpAddresses": each(fields({"PrivateIpAddress": text,
                                           "Association": fields({"PublicIp": text})})),
        "Ipv6Addresses": each(fields({"Ipv6Address": text})),
        "Association": fields({"PublicIp": text}),
    }),
    "Instances": _INSTANCE,
    "Reservations": fields({"Instances": each(_INSTANCE)}, Instances=[]),
}  # fmt: skip


def described(key: str, items: Iterable[object]) -> tuple[Obj, ...]:
    """The items of an answer's list `key`, every known field of its type.

    Fields that AWS always gives (ARNs, names, a target's id) are there, empty where it did not.
    """
    shape = _SHAPES.get(key, fields({}))
    return tuple(one for one in map(shape, items) if one is not ABSENT)
