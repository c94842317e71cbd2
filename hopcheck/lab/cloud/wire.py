"""AWS's two XML dialects: ``query`` (ELBv2, STS) and ``ec2``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

ELB_NAMESPACE = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
EC2_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"

# EC2's element names where they are not the field's name with a small first letter, by
# "enclosing field.field" or by field (botocore's ec2 model, locationName).
EC2_NAMES = {
    "NetworkInterfaces": "networkInterfaceSet",
    "SecurityGroups": "securityGroupInfo",
    "Reservations": "reservationSet",
    "Groups": "groupSet",
    "Ipv6Addresses": "ipv6AddressesSet",
    "PrivateIpAddresses": "privateIpAddressesSet",
    "UserIdGroupPairs": "groups",
    "Tags": "tagSet",
    "SecurityGroups.Description": "groupDescription",
    "Reservations.Instances": "instancesSet",
    "Instances.BlockDeviceMappings": "blockDeviceMapping",
    "Instances.SecurityGroups": "groupSet",
    "Instances.State": "instanceState",
    "Instances.PublicDnsName": "dnsName",
    "Instances.PublicIpAddress": "ipAddress",
    "Instances.StateTransitionReason": "reason",
}


class AwsError(Exception):
    """An error answer: code, message and HTTP status as AWS gives them."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return escape(str(value))


def _element(name: str, field: str, value: Any, ec2: bool) -> str:
    if isinstance(value, Mapping):
        inner = _fields(field, value, ec2)
    elif isinstance(value, (list, tuple)):
        item = "item" if ec2 else "member"
        inner = "".join(_element(item, field, entry, ec2) for entry in value)
    else:
        inner = _text(value)
    return f"<{name}>{inner}</{name}>"


def _fields(parent: str, fields: Mapping[str, Any], ec2: bool) -> str:
    out = []
    for field, value in fields.items():
        if value is None:
            continue
        name = field
        if ec2:
            small = field[0].lower() + field[1:]
            name = EC2_NAMES.get(f"{parent}.{field}", EC2_NAMES.get(field, small))
        out.append(_element(name, field, value, ec2))
    return "".join(out)


def answer(service: str, action: str, result: Mapping[str, Any], request_id: str) -> str:
    """The body of a successful answer; fields that are None are left out."""
    if service == "ec2":
        return (
            f'<{action}Response xmlns="{EC2_NAMESPACE}"><requestId>{request_id}</requestId>'
            f"{_fields('', result, True)}</{action}Response>"
        )
    namespace = STS_NAMESPACE if service == "sts" else ELB_NAMESPACE
    return (
        f'<{action}Response xmlns="{namespace}"><{action}Result>{_fields("", result, False)}'
        f"</{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId>"
        f"</ResponseMetadata></{action}Response>"
    )


def failure(service: str, error: AwsError, request_id: str) -> str:
    """The body of an error answer."""
    core = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if service == "ec2":
        return (
            f"<Response><Errors><Error>{core}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    namespace = STS_NAMESPACE if service == "sts" else ELB_NAMESPACE
    kind = "Receiver" if error.status >= 500 else "Sender"
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{kind}</Type>{core}</Error>'
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def numbered(form: Mapping[str, str], prefix: str) -> list[str]:
    """The values of ``prefix.1``, ``prefix.2``, … in order."""
    values: list[str] = []
    while (key := f"{prefix}.{len(values) + 1}") in form:
        values.append(form[key])
    return values
