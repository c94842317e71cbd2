"""The actions of ELBv2 and EC2 that change something, on the cloud's model.

What AWS refuses is refused: a target group's protocol, and its targets' type, have no action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from hopcheck.lab.cloud.ec2 import admit
from hopcheck.lab.cloud.elbv2 import Elbv2
from hopcheck.lab.cloud.model import LAYER_7, Protocol, Target, forward
from hopcheck.lab.cloud.wire import AwsError

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

Form = Mapping[str, str]
Fields = dict[str, Any]


class Edits:
    """Changes to load balancers, target groups and security groups."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._found = Elbv2(cloud)
        self.elbv2: dict[str, Callable[[Form], Fields]] = {
            "ModifyListener": self.listener,
            "ModifyTargetGroup": self.target_group,
            "ModifyTargetGroupAttributes": self.group_attributes,
            "ModifyLoadBalancerAttributes": self.balancer_attributes,
            "RegisterTargets": self.register,
            "DeregisterTargets": self.deregister,
        }
        self.ec2: dict[str, Callable[[Form], Fields]] = {
            "AuthorizeSecurityGroupIngress": self.authorize,
            "AuthorizeSecurityGroupEgress": self.authorize,
        }

    def listener(self, form: Form) -> Fields:
        """ModifyListener: its protocol, and the groups of its default action.

        From TLS to TCP it loses its certificates. Raises AwsError ListenerNotFound.
        """
        _, found = self._found.listener(form["ListenerArn"])
        protocol = cast(Protocol, form.get("Protocol", found.protocol))
        arns = [one["TargetGroupArn"] for one in _members(form, "DefaultActions")]
        names = [self._found.group(arn).name for arn in arns] or found.target_groups()
        if any((self._cloud.target_groups[n].protocol in LAYER_7) is False for n in names) and (
            protocol in LAYER_7
        ):
            raise AwsError("InvalidConfigurationRequest", "protocols do not go together")
        if arns:
            found.action = forward(*names)
        found.protocol = protocol
        if protocol in ("TCP", "HTTP"):
            found.certificates = []
        return {}

    def target_group(self, form: Form) -> Fields:
        """ModifyTargetGroup: the settings of its health check."""
        check = self._found.group(form["TargetGroupArn"]).check
        check.port = form.get("HealthCheckPort", check.port)
        check.path = form.get("HealthCheckPath", check.path)
        check.matcher = form.get("Matcher.HttpCode", check.matcher)
        check.protocol = cast(Any, form.get("HealthCheckProtocol", check.protocol))
        return {}

    def group_attributes(self, form: Form) -> Fields:
        """ModifyTargetGroupAttributes."""
        found = self._found.group(form["TargetGroupArn"])
        found.attributes |= {one["Key"]: one["Value"] for one in _members(form, "Attributes")}
        return {}

    def balancer_attributes(self, form: Form) -> Fields:
        """ModifyLoadBalancerAttributes."""
        found = self._found.balancer(form["LoadBalancerArn"])
        found.attributes |= {one["Key"]: one["Value"] for one in _members(form, "Attributes")}
        return {}

    def register(self, form: Form) -> Fields:
        """RegisterTargets: on the group's port where none is named."""
        found = self._found.group(form["TargetGroupArn"])
        zones = {zone.name for b in self._cloud.load_balancers.values() for zone in b.zones}
        for one in _members(form, "Targets"):
            target = Target(one["Id"], int(one.get("Port", found.port)))
            if found.target_type == "ip":
                target.zone = min(zones)
            known = [t for t in found.targets if (t.id, t.port) == (target.id, target.port)]
            for old in known:
                old.draining = False
            found.targets += [] if known else [target]
        return {}

    def deregister(self, form: Form) -> Fields:
        """DeregisterTargets: on every port where none is named; they are gone at once."""
        found = self._found.group(form["TargetGroupArn"])
        gone = [(one["Id"], one.get("Port")) for one in _members(form, "Targets")]
        found.targets = [
            t for t in found.targets if not {(t.id, str(t.port)), (t.id, None)} & {*gone}
        ]
        return {}

    def authorize(self, form: Form) -> Fields:
        """A rule of TCP for one of the two ways. Raises AwsError DryRunOperation where asked to."""
        ids = [one for one in self._cloud.security_groups if one["GroupId"] == form["GroupId"]]
        if not ids:
            raise AwsError("InvalidGroup.NotFound", "The security group does not exist")
        port = int(form["IpPermissions.1.FromPort"]), int(form["IpPermissions.1.ToPort"])
        cidrs = [form[k] for k in form if k.endswith(".CidrIp")]
        groups = [form[k] for k in form if k.startswith("IpPerm") and k.endswith(".GroupId")]
        if form.get("DryRun") == "true":
            text = "Request would have succeeded, but DryRun flag is set."
            raise AwsError("DryRunOperation", text, 412)
        way = "IpPermissions" + "Egress" * form["Action"].endswith("Egress")
        ids[0][way].append(admit(port, cidrs=cidrs, groups=groups))
        return {"Return": True}


def _members(form: Form, name: str) -> Iterator[Fields]:
    """The structures of a list: the fields behind ``name.member.1.`` and those that follow."""
    number = 1
    while own := {
        key.removeprefix(begins): value
        for begins in (f"{name}.member.{number}.",)
        for key, value in form.items()
        if key.startswith(begins)
    }:
        yield own
        number += 1
