"""The ELBv2 actions: the model in AWS's fields (ELBv2 API reference, 2015-12-01)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from hopcheck.lab.cloud import model
from hopcheck.lab.cloud.model import Action, Certificate, Listener, LoadBalancer, Rule, TargetGroup
from hopcheck.lab.cloud.wire import AwsError, numbered

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

T = TypeVar("T")
Form = Mapping[str, str]
Fields = dict[str, Any]

CREATED = "2026-01-12T01:15:00.000Z"
MOST_ARNS = 20


class Elbv2:
    """Answers of ELBv2 from the cloud's model."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.actions: dict[str, Callable[[Form], Fields]] = {
            "DescribeLoadBalancers": self.load_balancers,
            "DescribeLoadBalancerAttributes": self.load_balancer_attributes,
            "DescribeListeners": self.listeners,
            "DescribeListenerAttributes": self.listener_attributes,
            "DescribeListenerCertificates": self.listener_certificates,
            "DescribeRules": self.rules,
            "DescribeTargetGroups": self.target_groups,
            "DescribeTargetGroupAttributes": self.target_group_attributes,
            "DescribeTargetHealth": self.target_health,
        }

    # --- ARNs ------------------------------------------------------------------------------

    def _arn(self, rest: str) -> str:
        return f"arn:aws:elasticloadbalancing:{self._cloud.region}:{self._cloud.account}:{rest}"

    def balancer_arn(self, balancer: LoadBalancer) -> str:
        """``…:loadbalancer/net/<name>/<id>`` or ``…/app/…``."""
        return self._arn(f"loadbalancer/{balancer.path}")

    def group_arn(self, group: TargetGroup) -> str:
        """``…:targetgroup/<name>/<id>``."""
        return self._arn(f"targetgroup/{group.name}/{group.id}")

    def listener_arn(self, balancer: LoadBalancer, listener: Listener) -> str:
        """``…:listener/net/<name>/<id>/<listener id>``."""
        own = model.hex_id("listener", balancer.name, listener.port)
        return self._arn(f"listener/{balancer.path}/{own}")

    def _rule_arn(self, balancer: LoadBalancer, listener: Listener, priority: str) -> str:
        rule = model.hex_id("rule", balancer.name, listener.port, priority)
        own = model.hex_id("listener", balancer.name, listener.port)
        return self._arn(f"listener-rule/{balancer.path}/{own}/{rule}")

    # --- look-ups --------------------------------------------------------------------------

    def balancer(self, arn: str) -> LoadBalancer:
        """By its ARN. Raises AwsError LoadBalancerNotFound."""
        for balancer in self._cloud.load_balancers.values():
            if self.balancer_arn(balancer) == arn:
                return balancer
        raise AwsError("LoadBalancerNotFound", "One or more load balancers not found")

    def group(self, arn: str) -> TargetGroup:
        """By its ARN. Raises AwsError TargetGroupNotFound."""
        for group in self._cloud.target_groups.values():
            if self.group_arn(group) == arn:
                return group
        raise AwsError("TargetGroupNotFound", "One or more target groups not found")

    def listener(self, arn: str) -> tuple[LoadBalancer, Listener]:
        """By its ARN, with its load balancer. Raises AwsError ListenerNotFound."""
        for balancer in self._cloud.load_balancers.values():
            for listener in balancer.listeners:
                if self.listener_arn(balancer, listener) == arn:
                    return balancer, listener
        raise AwsError("ListenerNotFound", "One or more listeners not found")

    # --- actions ---------------------------------------------------------------------------

    def load_balancers(self, form: Form) -> Fields:
        """DescribeLoadBalancers. Raises AwsError LoadBalancerNotFound, ValidationError."""
        arns, names = _asked(form, "LoadBalancerArns"), _asked(form, "Names")
        hidden = self._cloud.hidden
        found = [one for one in self._cloud.load_balancers.values() if one.name not in hidden]
        if arns:
            found = [self.balancer(arn) for arn in arns]
        elif names:
            missing = [name for name in names if name not in self._cloud.load_balancers]
            if missing:
                text = f"Load balancers '[{', '.join(missing)}]' not found"
                raise AwsError("LoadBalancerNotFound", text)
            found = [self._cloud.load_balancers[name] for name in names]
        return page("LoadBalancers", found, self._load_balancer, form)

    def _load_balancer(self, balancer: LoadBalancer) -> Fields:
        zones = []
        for zone in balancer.zones:
            fixed = []
            if zone.allocation_id:
                fixed = [{"IpAddress": zone.address, "AllocationId": zone.allocation_id}]
            zones.append(
                {
                    "ZoneName": zone.name,
                    "SubnetId": zone.subnet(),
                    "LoadBalancerAddresses": fixed,
                }
            )
        return {
            "LoadBalancerArn": self.balancer_arn(balancer),
            "DNSName": balancer.dns_name,
            "CanonicalHostedZoneId": model.HOSTED_ZONE[balancer.type],
            "CreatedTime": CREATED,
            "LoadBalancerName": balancer.name,
            "Scheme": balancer.scheme,
            "VpcId": balancer.vpc_id,
            "State": {"Code": balancer.state, "Reason": balancer.state_reason},
            "Type": balancer.type,
            "AvailabilityZones": zones,
            # AWS leaves the key out where an NLB was made without security groups.
            "SecurityGroups": balancer.security_groups or None,
            "IpAddressType": "ipv4",
        }

    def load_balancer_attributes(self, form: Form) -> Fields:
        """DescribeLoadBalancerAttributes. Raises AwsError LoadBalancerNotFound."""
        return _attributes(self.balancer(_needed(form, "LoadBalancerArn")).all_attributes())

    def listeners(self, form: Form) -> Fields:
        """DescribeListeners. Raises AwsError LoadBalancerNotFound, ListenerNotFound."""
        arns = _asked(form, "ListenerArns")
        if arns:
            found = [self.listener(arn) for arn in arns]
        elif arn := form.get("LoadBalancerArn"):
            balancer = self.balancer(arn)
            found = [(balancer, listener) for listener in balancer.listeners]
        else:
            text = "You must specify either listener ARNs or a load balancer ARN"
            raise AwsError("ValidationError", text)
        return page("Listeners", found, lambda pair: self._listener_fields(*pair), form)

    def _listener_fields(self, balancer: LoadBalancer, listener: Listener) -> Fields:
        fields: Fields = {
            "ListenerArn": self.listener_arn(balancer, listener),
            "LoadBalancerArn": self.balancer_arn(balancer),
            "Port": listener.port,
            "Protocol": listener.protocol,
        }
        if listener.protocol in {"TLS", "HTTPS"}:
            default = listener.certificates[:1]
            fields["Certificates"] = [{"CertificateArn": entry.arn} for entry in default]
            fields["SslPolicy"] = listener.ssl_policy
        fields["DefaultActions"] = [self._action(listener.action)]
        return fields

    def _action(self, action: Action) -> Fields:
        if action.type == "redirect":
            config = {
                "Protocol": action.protocol,
                "Port": action.port,
                "Host": action.host,
                "Path": action.path,
                "Query": action.query,
                "StatusCode": f"HTTP_{action.status}",
            }
            return {"Type": "redirect", "Order": 1, "RedirectConfig": config}
        if action.type == "fixed-response":
            config = {
                "MessageBody": action.body,
                "StatusCode": str(action.status),
                "ContentType": action.content_type,
            }
            return {"Type": "fixed-response", "Order": 1, "FixedResponseConfig": config}
        groups = [
            {"TargetGroupArn": self.group_arn(self._cloud.target_groups[name]), "Weight": weight}
            for name, weight in action.targets
            if name in self._cloud.target_groups
        ]
        return {
            "Type": "forward",
            "TargetGroupArn": groups[0]["TargetGroupArn"] if len(groups) == 1 else None,
            "Order": 1,
            "ForwardConfig": {"TargetGroups": groups},
        }

    def listener_attributes(self, form: Form) -> Fields:
        """DescribeListenerAttributes. Raises AwsError ListenerNotFound."""
        _, listener = self.listener(_needed(form, "ListenerArn"))
        layer_4 = {"tcp.idle_timeout.seconds": "350"}
        layer_7 = {"routing.http.response.server.enabled": "true"}
        return _attributes(layer_7 if listener.protocol in model.LAYER_7 else layer_4)

    def listener_certificates(self, form: Form) -> Fields:
        """DescribeListenerCertificates: the default one first. Raises AwsError ListenerNotFound."""
        _, listener = self.listener(_needed(form, "ListenerArn"))
        entries = list(enumerate(listener.certificates))

        def fields(entry: tuple[int, Certificate]) -> Fields:
            return {"CertificateArn": entry[1].arn, "IsDefault": entry[0] == 0}

        return page("Certificates", entries, fields, form)

    def rules(self, form: Form) -> Fields:
        """DescribeRules by priority, the default one last. Raises AwsError ListenerNotFound."""
        arns = _asked(form, "RuleArns")
        every = [
            fields
            for balancer in self._cloud.load_balancers.values()
            for listener in balancer.listeners
            for fields in self._rules_of(balancer, listener)
        ]
        if arns:
            by_arn = {fields["RuleArn"]: fields for fields in every}
            if any(arn not in by_arn for arn in arns):
                raise AwsError("RuleNotFound", "One or more rules not found")
            found = [by_arn[arn] for arn in arns]
        else:
            found = self._rules_of(*self.listener(_needed(form, "ListenerArn")))
        return page("Rules", found, lambda fields: fields, form)

    def _rules_of(self, balancer: LoadBalancer, listener: Listener) -> list[Fields]:
        ordered = sorted(listener.rules, key=lambda rule: rule.priority)
        found = [
            {
                "RuleArn": self._rule_arn(balancer, listener, str(rule.priority)),
                "Priority": str(rule.priority),
                "Conditions": _conditions(rule),
                "Actions": [self._action(rule.action)],
                "IsDefault": False,
            }
            for rule in ordered
        ]
        default = {
            "RuleArn": self._rule_arn(balancer, listener, "default"),
            "Priority": "default",
            "Conditions": [],
            "Actions": [self._action(listener.action)],
            "IsDefault": True,
        }
        return [*found, default]

    def target_groups(self, form: Form) -> Fields:
        """DescribeTargetGroups. Raises AwsError TargetGroupNotFound, LoadBalancerNotFound."""
        arns, names = _asked(form, "TargetGroupArns"), _asked(form, "Names")
        found = list(self._cloud.target_groups.values())
        if arns:
            found = [self.group(arn) for arn in arns]
        elif names:
            if any(name not in self._cloud.target_groups for name in names):
                raise AwsError("TargetGroupNotFound", "One or more target groups not found")
            found = [self._cloud.target_groups[name] for name in names]
        elif arn := form.get("LoadBalancerArn"):
            balancer = self.balancer(arn)
            found = [group for group in found if balancer in self._cloud.balancers_of(group.name)]
        return page("TargetGroups", found, self._target_group, form)

    def _target_group(self, group: TargetGroup) -> Fields:
        check = group.check
        http = check.protocol != "TCP"
        balancers = self._cloud.balancers_of(group.name)
        return {
            "TargetGroupArn": self.group_arn(group),
            "TargetGroupName": group.name,
            "Protocol": group.protocol,
            "Port": group.port,
            "VpcId": group.vpc_id,
            "HealthCheckProtocol": check.protocol,
            "HealthCheckPort": check.port,
            "HealthCheckEnabled": True,
            "HealthCheckIntervalSeconds": check.interval_s,
            "HealthCheckTimeoutSeconds": check.timeout_s,
            "HealthyThresholdCount": check.healthy_threshold,
            "UnhealthyThresholdCount": check.unhealthy_threshold,
            "HealthCheckPath": check.path if http else None,
            "Matcher": {"HttpCode": check.matcher} if http else None,
            "LoadBalancerArns": [self.balancer_arn(balancer) for balancer in balancers],
            "TargetType": group.target_type,
            "ProtocolVersion": "HTTP1" if group.protocol in model.LAYER_7 else None,
            "IpAddressType": "ipv4",
        }

    def target_group_attributes(self, form: Form) -> Fields:
        """DescribeTargetGroupAttributes. Raises AwsError TargetGroupNotFound."""
        return _attributes(self.group(_needed(form, "TargetGroupArn")).all_attributes())

    def target_health(self, form: Form) -> Fields:
        """DescribeTargetHealth. Raises AwsError TargetGroupNotFound, HealthUnavailable."""
        group = self.group(_needed(form, "TargetGroupArn"))
        if group.name in self._cloud.health_unavailable:
            text = "The health of the specified targets could not be retrieved"
            raise AwsError("HealthUnavailable", f"{text} due to an internal error", 500)
        targets = list(group.targets)
        ids = [form[key] for key in _member_keys(form, "Targets", "Id")]
        if ids:
            targets = []
            for number, asked in enumerate(ids, 1):
                port = form.get(f"Targets.member.{number}.Port")
                matching = [
                    target
                    for target in group.targets
                    if target.id == asked and port in {None, str(target.port)}
                ]
                unknown = model.Target(asked, int(port or group.port))
                unknown.forced = model.NOT_REGISTERED
                targets += matching or [unknown]
        return {"TargetHealthDescriptions": [self._health(group, target) for target in targets]}

    def _health(self, group: TargetGroup, target: model.Target) -> Fields:
        state = self._cloud.health.state(group, target)
        # AWS reports a zone for ip targets only: it cannot be given for an instance.
        zone = self._cloud.zone_of(group, target) if group.target_type == "ip" else None
        port = str(target.port) if group.check.port == "traffic-port" else group.check.port
        return {
            "Target": {"Id": target.id, "Port": target.port, "AvailabilityZone": zone},
            "HealthCheckPort": port,
            "TargetHealth": {
                "State": state.state,
                "Reason": state.reason,
                "Description": state.description,
            },
            "AdministrativeOverride": self._override(group, target),
        }

    def _override(self, group: TargetGroup, target: model.Target) -> Fields:
        zone = self._cloud.zone_of(group, target)
        for balancer in self._cloud.balancers_of(group.name):
            if zone in balancer.shifted_zones:
                return {
                    "State": "zonal_shift_active",
                    "Reason": "AdministrativeOverride.ZonalShiftActive",
                    "Description": "Zonal shift is active on target",
                }
        return {
            "State": "no_override",
            "Reason": "AdministrativeOverride.NoOverride",
            "Description": "No override is currently active on target",
        }


def _conditions(rule: Rule) -> list[Fields]:
    found: list[Fields] = []
    if rule.hosts:
        config = {"Values": rule.hosts}
        found.append({"Field": "host-header", "Values": rule.hosts, "HostHeaderConfig": config})
    if rule.paths:
        config = {"Values": rule.paths}
        found.append({"Field": "path-pattern", "Values": rule.paths, "PathPatternConfig": config})
    return found


def _attributes(attributes: Mapping[str, str]) -> Fields:
    return {"Attributes": [{"Key": key, "Value": text} for key, text in attributes.items()]}


def _asked(form: Form, name: str) -> list[str]:
    values = numbered(form, f"{name}.member")
    if len(values) > MOST_ARNS:
        raise AwsError("ValidationError", f"{name}: at most {MOST_ARNS} may be specified")
    return values


def _member_keys(form: Form, name: str, field: str) -> list[str]:
    keys: list[str] = []
    while (key := f"{name}.member.{len(keys) + 1}.{field}") in form:
        keys.append(key)
    return keys


def _needed(form: Form, name: str) -> str:
    if name not in form:
        raise AwsError("ValidationError", f"'{name}' must be specified")
    return form[name]


def page(name: str, items: list[T], fields: Callable[[T], Fields], form: Form) -> Fields:
    """One page of `items` by Marker and PageSize (1 to 400). Raises AwsError ValidationError."""
    try:
        start = int(base64.b64decode(form.get("Marker", "MA=="), validate=True))
        size = int(form.get("PageSize", "400"))
    except (ValueError, binascii.Error):
        raise AwsError("ValidationError", "Invalid marker or page size") from None
    if not 1 <= size <= 400:
        raise AwsError("ValidationError", "Page size must be between 1 and 400")
    end = start + size
    marker = base64.b64encode(str(end).encode()).decode() if end < len(items) else None
    return {name: [fields(item) for item in items[start:end]], "NextMarker": marker}
