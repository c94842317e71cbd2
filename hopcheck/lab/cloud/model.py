"""The lab's load balancers and target groups as plain, mutable data.

A fault edits these objects; the data plane, the health checks and the API read them at each use.
Load balancers refer to target groups by name. Names, ARNs and DNS names have AWS's own forms.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

Protocol = Literal["TCP", "TLS", "UDP", "TCP_UDP", "HTTP", "HTTPS"]
LAYER_7 = frozenset({"HTTP", "HTTPS"})

# Route 53 zones of load balancers in ap-northeast-2 (AWS General Reference, ELB endpoints).
HOSTED_ZONE = {"network": "ZIBE1TIR4HY56", "application": "ZWKZPGTI48KDX"}


def hex_id(*parts: object, digits: int = 16) -> str:
    """A stable identifier of `digits` hexadecimal digits, as AWS appends to names."""
    text = "/".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


@dataclass(frozen=True)
class TargetState:
    """A target's health in AWS's words; a healthy target has neither reason nor description."""

    state: str
    reason: str | None = None
    description: str | None = None


HEALTHY = TargetState("healthy")
REGISTERING = TargetState(
    "initial", "Elb.RegistrationInProgress", "Target registration is in progress"
)
CHECKING = TargetState("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
FAILED = TargetState("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
TIMED_OUT = TargetState("unhealthy", "Target.Timeout", "Request timed out")
DRAINING = TargetState(
    "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
)
NOT_IN_USE = TargetState(
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
ZONE_DISABLED = TargetState(
    "unused",
    "Target.NotInUse",
    "Target is in an Availability Zone that is not enabled for the load balancer",
)
NOT_REGISTERED = TargetState(
    "unused", "Target.NotRegistered", "Target is not registered to the target group"
)
UNAVAILABLE = TargetState(
    "unavailable", "Elb.InternalError", "Target health is unavailable due to an internal error"
)
IP_UNUSABLE = TargetState(
    "unused", "Target.IpUnusable", "The target IP address is reserved for use by a load balancer"
)


def code_mismatch(status: int) -> TargetState:
    """Unhealthy because an HTTP check was answered with `status`."""
    return TargetState(
        "unhealthy",
        "Target.ResponseCodeMismatch",
        f"Health checks failed with these codes: [{status}]",
    )


def invalid_state(state: str) -> TargetState:
    """Unused because the instance is `stopped` or `terminated`."""
    return TargetState("unused", "Target.InvalidState", f"Target is in the {state} state")


@dataclass
class Target:
    """One registered target: an instance id, an address or an ALB's ARN.

    `forced` overrides what the health checks see; `zone` is needed for ip targets only (an
    instance's is read from its description).
    """

    id: str
    port: int
    zone: str | None = None
    draining: bool = False
    forced: TargetState | None = None


@dataclass
class HealthCheck:
    """Health check settings as the API reports them (seconds); the lab checks at its own pace.

    The defaults are those of a Network Load Balancer; `default_check` has everybody's.
    """

    protocol: Literal["TCP", "HTTP", "HTTPS"] = "TCP"
    port: str = "traffic-port"
    path: str = "/"
    matcher: str = "200-399"
    interval_s: int = 30
    timeout_s: int = 10
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2


def default_check(protocol: Protocol, target_type: str) -> HealthCheck:
    """The settings of a group that was made without any, by who may use it."""
    if protocol in LAYER_7:
        return HealthCheck("HTTP", matcher="200", timeout_s=5)
    if target_type == "alb":  # an ALB as a target is asked by HTTP or HTTPS alone
        return HealthCheck("HTTP", timeout_s=6)
    return HealthCheck()


_BY_DEFAULT = HealthCheck()  # stands for what `default_check` says


@dataclass
class TargetGroup:
    """A target group; `attributes` hold only what differs from AWS's defaults."""

    name: str
    protocol: Protocol
    port: int
    target_type: Literal["instance", "ip", "alb"] = "instance"
    targets: list[Target] = field(default_factory=list)
    check: HealthCheck = field(default_factory=lambda: _BY_DEFAULT)
    attributes: dict[str, str] = field(default_factory=dict)
    vpc_id: str = "vpc-0a1b2c3d4e5f67890"

    def __post_init__(self) -> None:
        """Give a group without settings its defaults."""
        if self.check is _BY_DEFAULT:
            self.check = default_check(self.protocol, self.target_type)

    @property
    def id(self) -> str:
        """The ARN's last part."""
        return hex_id("targetgroup", self.name)

    def all_attributes(self) -> dict[str, str]:
        """Every attribute the API reports, AWS's defaults included."""
        shared = {
            "deregistration_delay.timeout_seconds": "300",
            "stickiness.enabled": "false",
            "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
            "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
            "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
        }
        if self.protocol in LAYER_7:
            own = {
                "stickiness.type": "lb_cookie",
                "stickiness.lb_cookie.duration_seconds": "86400",
                "slow_start.duration_seconds": "0",
                "load_balancing.algorithm.type": "round_robin",
                "load_balancing.algorithm.anomaly_mitigation": "off",
            }
        else:
            # Client addresses are kept for instance targets, and for ip targets only over UDP
            # (NLB guide, "Client IP preservation").
            kept = self.target_type != "ip" or "UDP" in self.protocol
            own = {
                "stickiness.type": "source_ip",
                "proxy_protocol_v2.enabled": "false",
                "preserve_client_ip.enabled": "true" if kept else "false",
                "deregistration_delay.connection_termination.enabled": "false",
                "target_health_state.unhealthy.connection_termination.enabled": "true",
                "target_health_state.unhealthy.draining_interval_seconds": "0",
            }
        return shared | own | self.attributes


@dataclass
class Certificate:
    """A listener's certificate: its ACM ARN and the server context that presents it."""

    arn: str
    context: ssl.SSLContext

    def __deepcopy__(self, memo: dict[int, Any]) -> Certificate:
        """Itself: a TLS context cannot be copied and is not edited."""
        return self


@dataclass
class Action:
    """What a listener or rule does; `targets` are (target group name, weight).

    Placeholders such as ``#{host}`` are allowed in the redirect's parts, as on an ALB.
    """

    type: Literal["forward", "redirect", "fixed-response"] = "forward"
    targets: list[tuple[str, int]] = field(default_factory=list)
    status: int = 0
    body: str = ""
    content_type: str = "text/plain"
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


def forward(*names: str) -> Action:
    """Forward to these target groups in equal parts."""
    return Action(targets=[(name, 1) for name in names])


def fixed_response(status: int, body: str = "", content_type: str = "text/plain") -> Action:
    """Answer without asking a target (ALB)."""
    return Action("fixed-response", status=status, body=body, content_type=content_type)


def redirect(status: int = 301, protocol: str = "HTTPS", port: str = "443") -> Action:
    """Redirect to another scheme and port, all else kept (ALB)."""
    return Action("redirect", status=status, protocol=protocol, port=port)


@dataclass
class Rule:
    """An ALB rule: every condition given must hold; `*` and `?` are wildcards."""

    priority: int
    action: Action
    hosts: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@dataclass
class Listener:
    """One listener; `certificates` needs at least one for TLS and HTTPS, the first is default."""

    port: int
    protocol: Protocol
    action: Action
    rules: list[Rule] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    ssl_policy: str = "ELBSecurityPolicy-TLS13-1-2-2021-06"

    def target_groups(self) -> list[str]:
        """Names of all target groups that the listener may forward to, rules included."""
        actions = [self.action, *(rule.action for rule in self.rules)]
        return [name for action in actions for name, weight in action.targets if weight > 0]


@dataclass
class Zone:
    """One enabled availability zone and the load balancer's address in it."""

    name: str
    address: str
    subnet_id: str = ""
    allocation_id: str | None = None

    def subnet(self) -> str:
        """The subnet's id, made up from the zone where none was given."""
        return self.subnet_id or f"subnet-0{hex_id('subnet', self.name)}"


@dataclass
class LoadBalancer:
    """An NLB or ALB; `attributes` hold only what differs from AWS's defaults."""

    name: str
    zones: list[Zone]
    type: Literal["network", "application"] = "network"
    scheme: Literal["internet-facing", "internal"] = "internet-facing"
    listeners: list[Listener] = field(default_factory=list)
    security_groups: list[str] = field(default_factory=list)
    state: Literal["active", "provisioning", "active_impaired", "failed"] = "active"
    state_reason: str | None = None
    shifted_zones: set[str] = field(default_factory=set)
    attributes: dict[str, str] = field(default_factory=dict)
    region: str = "ap-northeast-2"
    vpc_id: str = "vpc-0a1b2c3d4e5f67890"

    @property
    def id(self) -> str:
        """The ARN's last part; an NLB's DNS name holds it too."""
        return hex_id("loadbalancer", self.name)

    @property
    def path(self) -> str:
        """``net/<name>/<id>`` or ``app/<name>/<id>``."""
        return f"{'net' if self.type == 'network' else 'app'}/{self.name}/{self.id}"

    @property
    def dns_name(self) -> str:
        """The DNS name in AWS's form, which differs between NLB and ALB."""
        if self.type == "network":
            return f"{self.name}-{self.id}.elb.{self.region}.amazonaws.com"
        prefix = "internal-" if self.scheme == "internal" else ""
        number = int(self.id[:8], 16)
        return f"{prefix}{self.name}-{number}.{self.region}.elb.amazonaws.com"

    def listener(self, port: int) -> Listener | None:
        """The listener on `port`, if there is one."""
        return next((found for found in self.listeners if found.port == port), None)

    def zone(self, name: str) -> Zone | None:
        """The enabled zone of that name, if it is one."""
        return next((zone for zone in self.zones if zone.name == name), None)

    def all_attributes(self) -> dict[str, str]:
        """Every attribute the API reports, AWS's defaults included."""
        shared = {
            "access_logs.s3.enabled": "false",
            "access_logs.s3.bucket": "",
            "access_logs.s3.prefix": "",
            "deletion_protection.enabled": "false",
            "ipv6.deny_all_igw_traffic": "false",
            "zonal_shift.config.enabled": "false",
        }
        if self.type == "network":
            own = {
                "load_balancing.cross_zone.enabled": "false",
                "dns_record.client_routing_policy": "any_availability_zone",
                "secondary_ips.auto_assigned.per_subnet": "0",
            }
        else:
            own = {
                "load_balancing.cross_zone.enabled": "true",
                "idle_timeout.timeout_seconds": "60",
                "client_keep_alive.seconds": "3600",
                "routing.http2.enabled": "true",
                "routing.http.drop_invalid_header_fields.enabled": "false",
                "routing.http.preserve_host_header.enabled": "false",
                "routing.http.xff_client_port.enabled": "false",
                "routing.http.xff_header_processing.mode": "append",
                "routing.http.desync_mitigation_mode": "defensive",
                "waf.fail_open.enabled": "false",
            }
        return shared | own | self.attributes
