"""What AWS describes, in boto3's shapes: by the key of the answer that holds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta, field

from hopcheck.model.read import Entry, Thing, read_all

Number = Annotated[int, Meta(ge=0, le=65535)]  # of a port


class Described(Thing, frozen=True, rename="pascal"):
    """A part of an answer of AWS."""


class Counted(Entry, Described, frozen=True, rename="pascal"):
    """An entry of an answer's list, of which it matters that there is no other."""


# What AWS says of a load balancer, and of a target's health; another word is not known here.
_STATES = ("active", "provisioning", "active_impaired", "failed")
_HEALTH = ("healthy", "unhealthy", "initial", "unused", "draining", "unhealthy.draining",
           "unavailable")  # fmt: skip


class Identity(Described, frozen=True):
    """Who asked, and in which region."""

    account: str = ""
    arn: str = ""
    region: str = ""


class LoadBalancerState(Described, frozen=True):
    code: str = ""
    reason: str = ""


class LoadBalancerAddress(Described, frozen=True):
    ip_address: str = ""
    private_ipv4_address: str = field(default="", name="PrivateIPv4Address")
    ipv6_address: str = field(default="", name="IPv6Address")
    allocation_id: str = ""


class AvailabilityZone(Described, frozen=True):
    zone_name: str = ""
    subnet_id: str = ""
    load_balancer_addresses: tuple[LoadBalancerAddress, ...] = ()


class LoadBalancer(Counted, frozen=True):
    load_balancer_arn: str = ""
    load_balancer_name: str = ""
    dns_name: str = field(default="", name="DNSName")
    type: str = ""
    scheme: str = ""
    vpc_id: str = ""
    ip_address_type: str = ""
    state: LoadBalancerState = LoadBalancerState()
    availability_zones: tuple[AvailabilityZone, ...] = ()
    security_groups: tuple[str, ...] = ()

    @property
    def lacking(self) -> bool:
        """Whether AWS tells no name of it, or no state that is known."""
        return not self.dns_name or self.state.code not in _STATES


class GroupShare(Described, frozen=True):
    target_group_arn: str = ""
    weight: int | None = None


class ForwardConfig(Described, frozen=True):
    target_groups: tuple[GroupShare, ...] = ()


class FixedResponse(Described, frozen=True):
    status_code: str = ""
    content_type: str = ""
    message_body: str = ""


class Redirect(Described, frozen=True):
    protocol: str = ""
    host: str = ""
    port: str = ""
    path: str = ""
    query: str = ""
    status_code: str = ""


class Action(Described, frozen=True):
    type: str = ""
    order: int | None = None
    target_group_arn: str = ""
    forward_config: ForwardConfig | None = None
    fixed_response_config: FixedResponse | None = None
    redirect_config: Redirect | None = None


class ListenerCertificate(Described, frozen=True):
    certificate_arn: str = ""


class Listener(Counted, frozen=True):
    """A listener. A gateway load balancer's has no port."""

    listener_arn: str = ""
    load_balancer_arn: str = ""
    port: Number = 0
    protocol: str = ""
    ssl_policy: str = ""
    certificates: tuple[ListenerCertificate, ...] = ()
    default_actions: tuple[Action, ...] = ()
    alpn_policy: tuple[str, ...] = ()

    @property
    def lacking(self) -> bool:
        """Whether it is on no port."""
        return not self.port

    @property
    def ends_tls(self) -> bool:
        """Whether it ends TLS."""
        return self.protocol in ("TLS", "HTTPS")

    def takes(self, scheme: str) -> bool:
        """Whether it takes what the scheme speaks: only one for bare streams takes both."""
        return self.protocol != "HTTP" if scheme == "https" else not self.ends_tls


class Values(Described, frozen=True):
    values: tuple[str, ...] = ()
    regex_values: tuple[str, ...] = ()


class RuleCondition(Described, frozen=True):
    field: str = ""
    values: tuple[str, ...] = ()
    regex_values: tuple[str, ...] = ()
    host_header_config: Values | None = None
    path_pattern_config: Values | None = None
    source_ip_config: Values | None = None
    http_request_method_config: Values | None = None
    http_header_config: Values | None = None
    query_string_config: dict[str, Any] | None = None


class ListenerRule(Counted, frozen=True):
    rule_arn: str = ""
    priority: str = ""
    is_default: bool = False
    conditions: tuple[RuleCondition, ...] = ()
    actions: tuple[Action, ...] = ()


class Matcher(Described, frozen=True):
    http_code: str = ""
    grpc_code: str = ""


class TargetGroup(Counted, frozen=True):
    target_group_arn: str = ""
    target_group_name: str = ""
    protocol: str = ""
    protocol_version: str = ""
    port: Number | None = None
    vpc_id: str = ""
    target_type: str = ""
    ip_address_type: str = ""
    health_check_enabled: bool | None = None
    health_check_protocol: str = ""
    health_check_port: str = ""
    health_check_path: str = ""
    health_check_interval_seconds: int | None = None
    health_check_timeout_seconds: int | None = None
    healthy_threshold_count: int | None = None
    unhealthy_threshold_count: int | None = None
    matcher: Matcher | None = None
    load_balancer_arns: tuple[str, ...] = ()


class Target(Described, frozen=True):
    id: str = ""
    port: Number | None = None
    availability_zone: str = ""


class TargetState(Described, frozen=True):
    state: str = ""
    reason: str = ""
    description: str = ""


class TargetHealth(Counted, frozen=True):
    target: Target = Target()
    health_check_port: str = ""
    target_health: TargetState = TargetState()

    @property
    def lacking(self) -> bool:
        """Whether it is nobody's, or of no health that is known."""
        return not self.target.id or self.target_health.state not in _HEALTH


class Attribute(Described, frozen=True):
    key: str = ""
    value: str = ""


class IpRange(Described, frozen=True):
    cidr_ip: str = ""
    cidr_ipv6: str = ""


class PrefixList(Described, frozen=True):
    prefix_list_id: str = ""


class GroupId(Described, frozen=True):
    group_id: str = ""


class IpPermission(Described, frozen=True):
    """A rule of a security group; without ports it holds for all."""

    ip_protocol: str = "-1"
    from_port: int | None = None
    to_port: int | None = None
    ip_ranges: tuple[IpRange, ...] = ()
    ipv6_ranges: tuple[IpRange, ...] = ()
    prefix_list_ids: tuple[PrefixList, ...] = ()
    user_id_group_pairs: tuple[GroupId, ...] = ()


class SecurityGroup(Described, frozen=True):
    """A security group. None: the rules that way were not described."""

    group_id: str = ""
    tags: tuple[Attribute, ...] = ()  # those that tell who keeps it
    ip_permissions: tuple[IpPermission, ...] = ()
    ip_permissions_egress: tuple[IpPermission, ...] | None = None


class Association(Described, frozen=True):
    """The public address of a private one."""

    public_ip: str = ""


class PrivateAddress(Described, frozen=True):
    private_ip_address: str = ""
    association: Association | None = None


class Ipv6Address(Described, frozen=True):
    ipv6_address: str = ""


class NetworkInterface(PrivateAddress, frozen=True):
    network_interface_id: str = ""
    description: str = ""
    availability_zone: str = ""
    security_groups: tuple[GroupId, ...] = field(default=(), name="Groups")
    private_ip_addresses: tuple[PrivateAddress, ...] = ()
    ipv6_addresses: tuple[Ipv6Address, ...] = ()


class Placement(Described, frozen=True):
    availability_zone: str = ""


class Instance(Described, frozen=True):
    instance_id: str = ""
    placement: Placement | None = None
    private_ip_address: str = ""
    security_groups: tuple[GroupId, ...] = ()


class Reservation(Described, frozen=True):
    instances: tuple[Instance, ...] = ()


# By the key of the answer's list.
SHAPES: dict[str, type[Described]] = {
    "LoadBalancers": LoadBalancer,
    "Listeners": Listener,
    "Rules": ListenerRule,
    "TargetGroups": TargetGroup,
    "TargetHealthDescriptions": TargetHealth,
    "Attributes": Attribute,
    "SecurityGroups": SecurityGroup,
    "NetworkInterfaces": NetworkInterface,
    "Instances": Instance,
    "Reservations": Reservation,
}


def described(key: str, items: Iterable[Any]) -> tuple[Any, ...]:
    """The items of an answer's list `key`, every field of its type."""
    shape = SHAPES.get(key)
    return tuple(items) if shape is None else read_all(shape, items)
