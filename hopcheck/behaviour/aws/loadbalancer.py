"""From a host name to its AWS load balancer, and from a listener by its rules to target groups.

Load balancers, listeners, rules, target groups and interfaces are in the AWS APIs' own shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.model import Collected
from hopcheck.model.aws import (
    Action,
    GroupShare,
    Listener,
    ListenerRule,
    LoadBalancer,
    NetworkInterface,
    RuleCondition,
    Values,
)
from hopcheck.model.kubernetes import Node

# NLB: name-id.elb.region.amazonaws.com; ALB and classic: name-id.region.elb.amazonaws.com;
# China ends in .com.cn (Elastic Load Balancing user guides, "DNS name").
_NLB_NAME = re.compile(r"[^.]+\.elb\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_ALB_NAME = re.compile(r"[^.]+\.([a-z0-9-]+)\.elb\.amazonaws\.com(?:\.cn)?")
# "ap-northeast-2a", "us-gov-west-1b", the local zone "us-west-2-lax-1a"
_ZONE = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+(?:-[a-z]{3}-\d+)?[a-z]")
_INSTANCE = re.compile(r"i-[0-9a-f]+")

# What stands in front of an origin, by the names its customers point their CNAME at.
_FRONTS = {
    "cloudfront.net": "Amazon CloudFront",
    "awsglobalaccelerator.com": "AWS Global Accelerator",
    "awsapprunner.com": "AWS App Runner",
    "cloudflare.net": "Cloudflare",
    "cloudflare.com": "Cloudflare",
    "fastly.net": "Fastly",
    "fastlylb.net": "Fastly",
    "akamai.net": "Akamai",
    "akamaiedge.net": "Akamai",
    "akamaized.net": "Akamai",
    "akadns.net": "Akamai",
    "edgekey.net": "Akamai",
    "edgesuite.net": "Akamai",
    "azureedge.net": "Azure CDN",
    "azurefd.net": "Azure Front Door",
    "trafficmanager.net": "Azure Traffic Manager",
    "impervadns.net": "Imperva",
    "incapdns.net": "Imperva",
    "b-cdn.net": "bunny.net",
    "cdn77.org": "CDN77",
    "edgecastcdn.net": "Edgio",
    "llnwd.net": "Edgio",
    "sucuri.net": "Sucuri",
    "vercel-dns.com": "Vercel",
    "netlify.app": "Netlify",
    "alikunlun.com": "Alibaba Cloud CDN",
    "cdngslb.com": "Alibaba Cloud CDN",
    "gccdn.net": "Gcore",
    "cdnetworks.net": "CDNetworks",
    "gscdn.com": "GS Neotek CDN",
}
_API_GATEWAY = re.compile(r"(?:.+\.)?execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")

LoadBalancerKind = Literal["nlb", "alb"]  # "alb": application or classic, the name is the same
How = Literal["cname", "addresses", "interface", "none"]
# The host's address set against the load balancer's own: equal; subset (some are missing, as
# when a zone has failed out of DNS); superset (all, and foreign ones); overlap (some of both);
# disjoint; unknown (one of the sets could not be had or is empty).
Relation = Literal["equal", "subset", "superset", "overlap", "disjoint", "unknown"]


class Match(Struct, frozen=True):
    """The load balancer that a host leads to, and how that is known.

    `arn` is None with how="none" alone. `missing` are addresses of the load balancer that the
    host lacks, `foreign` addresses of the host that are not the load balancer's: with a
    relation of "superset" or "overlap" a part of the requests goes elsewhere.
    """

    arn: str | None = None
    how: How = "none"
    name: str | None = None  # the load balancer's DNS name, lower case
    zone: str | None = None  # the CNAME names one zone of it
    relation: Relation = "unknown"
    missing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


class Forward(Struct, frozen=True):
    """One target group that a listener sends to; `share` is 0 to 1 of its action's requests."""

    target_group_arn: str
    weight: int = 1
    share: float = 1.0
    rule_arn: str | None = None  # None: the listener's default action


def plain_name(name: str) -> str:
    """A DNS name for comparison: lower case, without trailing dot."""
    return name.strip().lower().rstrip(".")


def balancer_name(name: str) -> tuple[str, str | None]:
    """A load balancer's own DNS name and the zone, without `dualstack.` and the zone's label."""
    plain = plain_name(name).removeprefix("dualstack.")
    label, _, rest = plain.partition(".")
    if _ZONE.fullmatch(label) and region_from_name(rest):
        return rest, label
    return plain, None


def region_from_name(name: str) -> tuple[str, LoadBalancerKind] | None:
    """The region and kind that a load balancer's DNS name tells; None for any other name."""
    plain = plain_name(name).removeprefix("dualstack.")
    label, _, rest = plain.partition(".")
    if _ZONE.fullmatch(label) and rest.count(".elb."):
        plain = rest
    if found := _NLB_NAME.fullmatch(plain):
        return found[1], "nlb"
    if found := _ALB_NAME.fullmatch(plain):
        return found[1], "alb"
    return None


def front_of(names: Iterable[str]) -> str | None:
    """The CDN or accelerator that a chain of names leads through, by its product name."""
    for name in names:
        plain = plain_name(name)
        labels = plain.split(".")
        for start in range(len(labels)):
            label = _FRONTS.get(".".join(labels[start:]))
            if label is not None:
                return label
        if _API_GATEWAY.fullmatch(plain):
            return "Amazon API Gateway"
    return None


def match_load_balancer(
    chain_names: Iterable[str],
    addresses: Iterable[str],
    load_balancers: Sequence[LoadBalancer],
    names: Mapping[str, Collected[tuple[str, ...]]],
    network_interfaces: Sequence[NetworkInterface] = (),
) -> Match:
    """The load balancer that the host leads to.

    In this order: a name of the chain (the host itself included) is its DNS name; the host's
    addresses are among those its DNS name resolves to (an alias; the largest overlap wins, a
    complete one first); an address is on one of its network interfaces. `names` holds what
    the DNS names of candidates resolve to, by DNS name in lower case.
    """
    match = _match(chain_names, addresses, load_balancers, names, network_interfaces)
    return _less_foreign(match, load_balancers, network_interfaces)


def _less_foreign(
    match: Match, load_balancers: Sequence[LoadBalancer], interfaces: Sequence[NetworkInterface]
) -> Match:
    """Addresses of a load balancer that its name does not give now are its own all the same.

    Its name leaves out zones without a healthy target; the interfaces and fixed addresses stay.
    """
    if not match.foreign:
        return match
    found = (b for b in load_balancers if b.load_balancer_arn == match.arn)
    fixed = fixed_addresses(next(found, LoadBalancer()), interfaces)
    own = {_canonical(address) for address in fixed}
    foreign = tuple(address for address in match.foreign if address not in own)
    if foreign == match.foreign:
        return match
    relation = match.relation
    if not foreign:
        relation = "subset" if match.missing else "equal"
    return replace(match, foreign=foreign, relation=relation)


def fixed_addresses(
    balancer: LoadBalancer, interfaces: Sequence[NetworkInterface]
) -> tuple[str, ...]:
    """Addresses that AWS describes as the load balancer's: of its zones and its interfaces."""
    found = [
        address
        for zone in balancer.availability_zones
        for entry in zone.load_balancer_addresses
        for address in (entry.ip_address, entry.private_ipv4_address, entry.ipv6_address)
        if address
    ]
    path = balancer.load_balancer_arn.partition(":loadbalancer/")[2]
    for interface in interfaces:
        if path and interface.description == f"ELB {path}":
            found += interface_addresses(interface)
    return tuple(found)


def _match(
    chain_names: Iterable[str],
    addresses: Iterable[str],
    load_balancers: Sequence[LoadBalancer],
    names: Mapping[str, Collected[tuple[str, ...]]],
    network_interfaces: Sequence[NetworkInterface],
) -> Match:
    host = {_canonical(address) for address in addresses}
    by_name = {plain_name(lb.dns_name): lb for lb in load_balancers}
    for name in chain_names:
        own, zone = balancer_name(name)
        balancer = by_name.get(own)
        if balancer is not None and own:
            met = compare(host, _known(names, own))
            return Match(balancer.load_balancer_arn, "cname", own, zone, *met)
    return _by_addresses(host, by_name, names) or _by_interface(
        host, load_balancers, network_interfaces
    )


def compare(
    host: Iterable[str], balancer: Iterable[str]
) -> tuple[Relation, tuple[str, ...], tuple[str, ...]]:
    """How the host's addresses relate to a load balancer's; the missing and the foreign ones.

    Only address families that the host has are compared: a host with A records alone before a
    dual-stack load balancer lacks nothing.
    """
    ours = {_canonical(address) for address in host}
    families = {":" in address for address in ours}
    theirs = {a for a in map(_canonical, balancer) if (":" in a) in families}
    if not ours or not theirs:
        return "unknown", (), ()
    missing, foreign = tuple(sorted(theirs - ours)), tuple(sorted(ours - theirs))
    if not ours & theirs:
        return "disjoint", missing, foreign
    relation: Relation = "equal"
    if missing or foreign:
        relation = "overlap" if missing and foreign else "subset" if missing else "superset"
    return relation, missing, foreign


def _by_addresses(
    host: set[str],
    by_name: Mapping[str, LoadBalancer],
    names: Mapping[str, Collected[tuple[str, ...]]],
) -> Match | None:
    best: tuple[tuple[bool, int], Match] | None = None
    for name, balancer in by_name.items():
        theirs = _known(names, name)
        relation, missing, foreign = compare(host, theirs)
        shared = len(host) - len(foreign)
        if relation in ("unknown", "disjoint") or shared == 0:
            continue
        rank = (not foreign, shared - len(missing))
        if best is None or rank > best[0]:
            arn = balancer.load_balancer_arn
            best = rank, Match(arn, "addresses", name, None, relation, missing, foreign)
    return best[1] if best else None


def _by_interface(
    host: set[str], load_balancers: Sequence[LoadBalancer], interfaces: Sequence[NetworkInterface]
) -> Match:
    for interface in interfaces:
        # Elastic Load Balancing describes its interfaces "ELB net/<name>/<id>", the end of the
        # load balancer's ARN.
        path = interface.description.removeprefix("ELB ")
        held = {_canonical(a) for a in interface_addresses(interface)}
        if not path or not held & host:
            continue
        for balancer in load_balancers:
            arn = balancer.load_balancer_arn
            if arn.endswith(f":loadbalancer/{path}"):
                theirs = [
                    address
                    for other in interfaces
                    if other.description == interface.description
                    for address in interface_addresses(other)
                ]
                # An interface has a private and a public address, the host one of them.
                private = {_is_private(address) for address in host}
                met = compare(host, (a for a in theirs if _is_private(a) in private))
                return Match(arn, "interface", plain_name(balancer.dns_name), None, *met)
    return Match()


def _is_private(address: str) -> bool:
    try:
        return ip_address(address).is_private
    except ValueError:
        return False


def interface_addresses(interface: NetworkInterface) -> tuple[str, ...]:
    """All addresses of a network interface: private, public (by association) and IPv6."""
    found: list[str] = []
    for entry in (interface, *interface.private_ip_addresses):
        found.append(entry.private_ip_address)
        found.append(entry.association.public_ip if entry.association else "")
    found += [entry.ipv6_address for entry in interface.ipv6_addresses]
    return tuple(dict.fromkeys(address for address in found if address))


def _known(names: Mapping[str, Collected[tuple[str, ...]]], name: str) -> tuple[str, ...]:
    found = names.get(name)
    return found.or_else(()) if found is not None else ()


def _canonical(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        return address


def which_listener(listeners: Iterable[Listener], port: int) -> Listener | None:
    """The listener for streams on `port` (a listener for UDP alone may share the port)."""
    on_port = [listener for listener in listeners if listener.port == port]
    streams = [listener for listener in on_port if listener.protocol not in ("UDP", "QUIC")]
    return next(iter(streams), None)


def _pattern(text: str) -> re.Pattern[str]:
    # ALB wildcards: * is any run of characters, ? is exactly one.
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in text), re.DOTALL)


def _holds(condition: RuleCondition, host: str, path: str) -> bool:
    field = condition.field
    if field == "host-header":
        values = _values(condition, condition.host_header_config)
        return any(_pattern(value.lower()).fullmatch(host.lower()) for value in values)
    if field == "path-pattern":
        values = _values(condition, condition.path_pattern_config)
        return any(_pattern(value).fullmatch(path.partition("?")[0]) for value in values)
    if field == "http-request-method":
        methods = condition.http_request_method_config
        return methods is not None and "GET" in methods.values
    # Headers, query strings and source addresses: a plain request is taken not to match.
    return False


def _values(condition: RuleCondition, config: Values | None) -> tuple[str, ...]:
    return (config.values if config is not None else ()) or condition.values


def _priority(rule: ListenerRule) -> int:
    """The place of a rule in the order of evaluation; the default rule is the last."""
    return int(rule.priority) if rule.priority.isdecimal() else 2**31


def chosen_rule(rules: Iterable[ListenerRule], host: str, path: str) -> ListenerRule | None:
    """The first rule, by priority, whose conditions all hold; the default rule matches all."""
    for rule in sorted(rules, key=_priority):
        if rule.is_default or all(_holds(condition, host, path) for condition in rule.conditions):
            return rule
    return None


def own_answer(action: Action) -> str:
    """The status of a fixed response or a redirect; "" of another action."""
    own = action.fixed_response_config or action.redirect_config
    return own.status_code.removeprefix("HTTP_") if own is not None else ""


def admits(matcher: str, status: str) -> bool:
    """Whether a matcher as AWS writes it (``200-299,404``) takes a status for healthy."""
    spans = (part.strip().partition("-") for part in matcher.split(","))
    return any(first <= status <= (last or first) for first, _, last in spans)


def target_groups_of(listener: Listener, rules: Iterable[ListenerRule] = ()) -> tuple[Forward, ...]:
    """The target groups that a listener forwards to, by its rules and its default action.

    Rules' own actions come first, in their order of evaluation; the default rule, which an
    application load balancer lists as well, is not repeated. Weight 0 receives nothing.
    """
    found: list[Forward] = []
    for rule in sorted((rule for rule in rules if not rule.is_default), key=_priority):
        found += _forwards(rule.actions, rule.rule_arn)
    return (*found, *_forwards(listener.default_actions, None))


def _forwards(actions: Iterable[Action], rule_arn: str | None) -> list[Forward]:
    found: list[Forward] = []
    for action in actions:
        if action.type not in ("", "forward"):
            continue
        groups = action.forward_config.target_groups if action.forward_config else ()
        if not groups and action.target_group_arn:
            groups = (GroupShare(target_group_arn=action.target_group_arn),)
        total = sum(_weight(group) for group in groups)
        found += [
            Forward(
                target_group_arn=group.target_group_arn,
                weight=_weight(group),
                share=_weight(group) / total if total else 0.0,
                rule_arn=rule_arn,
            )
            for group in groups
            if group.target_group_arn
        ]
    return found


def _weight(group: GroupShare) -> int:
    return 1 if group.weight is None else group.weight


def instance_of_node(node: Node) -> str | None:
    """The EC2 instance id of a Kubernetes node ("aws:///zone/i-…"); None for any other node.

    A Fargate node's providerID ends in "fargate-…" and is no instance.
    """
    provider = node.spec.provider_id
    last = provider.rpartition("/")[2]
    return last if provider.startswith("aws://") and _INSTANCE.fullmatch(last) else None
