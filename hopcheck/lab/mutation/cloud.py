"""Edits of the load balancer, listeners, target groups, targets, security groups and records."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from hopcheck.lab import settings, topology
from hopcheck.lab.cloud import Target, forward
from hopcheck.lab.faults.balancer import certificate
from hopcheck.lab.mutation.edit import Edit, Field, Name, child, read, shown, steps, words, write
from hopcheck.lab.mutation.values import (
    World,
    add_key,
    choose,
    host_typo,
    near_number,
    one_of,
    other,
    remove,
)

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_HOP = frozenset({"TGT020"})
_BALANCER: Name = ("LoadBalancer", "", topology.LOAD_BALANCER)
_RECORD: Name = ("DNSRecord", "", topology.HOST)

_ENDS_TLS = 0.1  # of the edits of a listener

LISTENER = (
    Field("port", (near_number, one_of(8443, 444, 8080))),
    Field("protocol", (one_of("UDP", "TCP_UDP"),)),
    Field("action", (one_of(forward(topology.TARGETS_HTTP), forward(topology.TARGETS_HTTPS)),)),
)
BALANCER = (
    Field("zones[*]", (remove,)),
    Field("listeners[*]", (remove,)),
    Field("scheme", (one_of("internal"),)),
    Field("state", (one_of("provisioning", "failed", "active_impaired"),)),
    Field("attributes", (add_key("load_balancing.cross_zone.enabled", "true"),)),
    Field(
        "attributes",
        (add_key("dns_record.client_routing_policy", "partial_availability_zone_affinity"),),
    ),
)
GROUP = (
    Field("port", (near_number, other("port"))),
    Field("check.port", (one_of("30000", "30001", "30900", "30999", "8443", "9000"),)),
    Field("check.protocol", (one_of("HTTP", "HTTPS"),)),
    Field("check.path", (one_of("/ping", "/healthz"),)),
    Field(
        "attributes",
        (
            add_key("proxy_protocol_v2.enabled", "true"),
            add_key("preserve_client_ip.enabled", "false"),
            add_key("load_balancing.cross_zone.enabled", "true"),
            add_key("deregistration_delay.timeout_seconds", "30"),
        ),
    ),
    Field("targets", (one_of([]),)),
    Field("targets[*]", (remove,)),
)
TARGET = (
    Field("port", (near_number, other("port"))),
    Field("id", (one_of("i-0ffffffffffffffff", topology.INSTANCES[0]),)),
    Field("draining", (one_of(True),)),
)


def _drawn(root: Any, fields: tuple[Field, ...], known: World, chance: Random) -> Any:
    """(path, old, new) of a draw; None where it changes nothing."""
    field = chance.choice(fields)
    path = steps(field.path, root, chance)
    if path is None:
        return None
    old = read(root, path)
    new = choose(field.makers, old, known, chance)
    return None if new == old else (path, old, new)


def edit_listener(lab: Lab, known: World, chance: Random) -> Edit | None:
    """One field of a listener, most often that of https."""
    balancer = lab.cloud.load_balancers[topology.LOAD_BALANCER]
    place = chance.choice((0, 0, 0, 1))
    if chance.random() < _ENDS_TLS:
        return _edit_certificate(chance)
    drawn = _drawn(balancer.listeners[place], LISTENER, known, chance)
    if drawn is None:
        return None
    path, old, new = drawn
    port = balancer.listeners[place].port
    taken = {one.port for one in balancer.listeners}
    if path == ["port"] and new in taken:
        return None

    async def apply(lab: Lab) -> None:
        write(lab.cloud.load_balancers[topology.LOAD_BALANCER].listeners[place], path, new)

    after = new if path == ["port"] else port
    names = {("Listener", "", f"{topology.LOAD_BALANCER}:{p}") for p in (port, after)}
    what = f"Listener {topology.LOAD_BALANCER}:{port} {shown(path)}: {words(old)} -> {words(new)}"
    return Edit(what, frozenset(names), apply, _HOP)


def _edit_certificate(chance: Random) -> Edit:
    """The listener on 443 ends TLS: with a certificate for this host or another."""
    host = chance.choice((topology.HOST, "*.example.com", "www.example.com"))

    async def apply(lab: Lab) -> None:
        listener = lab.cloud.load_balancers[topology.LOAD_BALANCER].listeners[0]
        listener.protocol = "TLS"
        listener.certificates = [certificate(lab, host)]

    name = f"{topology.LOAD_BALANCER}:443"
    what = f"Listener {name} protocol: 'TCP' -> 'TLS', certificate for {host}"
    return Edit(what, frozenset({("Listener", "", name)}), apply, _HOP)


def edit_balancer(lab: Lab, known: World, chance: Random) -> Edit | None:
    """One field of the load balancer, or one of its listeners or zones removed."""
    balancer = lab.cloud.load_balancers[topology.LOAD_BALANCER]
    drawn = _drawn(balancer, BALANCER, known, chance)
    if drawn is None:
        return None
    path, old, new = drawn
    names: set[Name] = {_BALANCER}
    if path[0] == "listeners":
        names.add(("Listener", "", f"{topology.LOAD_BALANCER}:{old.port}"))
        old = f"port {old.port}"

    async def apply(lab: Lab) -> None:
        write(lab.cloud.load_balancers[topology.LOAD_BALANCER], path, new)

    what = f"LoadBalancer {topology.LOAD_BALANCER} {shown(path)}: {words(old)} -> {words(new)}"
    return Edit(what, frozenset(names), apply, _HOP)


def edit_group(lab: Lab, known: World, chance: Random) -> Edit | None:
    """One field of a target group, most often that of https, or of its targets."""
    name = chance.choice((topology.TARGETS_HTTPS,) * 3 + (topology.TARGETS_HTTP,))
    group = lab.cloud.target_groups[name]
    kind = chance.choice(("group", "target", "ports"))
    names: set[Name] = {("TargetGroup", "", name)}
    if kind == "ports":  # the group's port and that of every target: registered with a new port
        number = choose((near_number, other("port")), group.port, known, chance)

        edit = _moved(name, number)
        what = f"TargetGroup {name} port and all targets: {group.port} -> {number}"
    elif kind == "target":
        place = chance.randrange(len(group.targets))
        target = group.targets[place]
        drawn = _drawn(target, TARGET, known, chance)
        if drawn is None:
            return None
        path, old, new = drawn
        names |= {("Target", "", f"{target.id}:{target.port}")}
        edit = _writer(lambda lab: child(lab.cloud.target_groups[name].targets, place), path, new)
        what = f"Target {name} {target.id} {shown(path)}: {words(old)} -> {words(new)}"
    else:
        drawn = _drawn(group, GROUP, known, chance)
        if drawn is None:
            return None
        path, old, new = drawn
        edit = _writer(lambda lab: lab.cloud.target_groups[name], path, new)
        what = f"TargetGroup {name} {shown(path)}: {words(old)} -> {words(new)}"

    async def apply(lab: Lab) -> None:
        edit(lab)

    return Edit(what, frozenset(names), apply, _HOP)


def _moved(name: str, port: int) -> Callable[[Lab], None]:
    def edit(lab: Lab) -> None:
        found = lab.cloud.target_groups[name]
        found.port = port
        found.targets = [Target(one.id, port) for one in found.targets]

    return edit


def _writer(find: Callable[[Lab], Any], path: list[str | int], new: Any) -> Callable[[Lab], None]:
    return lambda lab: write(find(lab), path, new)


_RULES: tuple[tuple[str, Any], ...] = (
    ("port", (443, 443)),
    ("port", (8443, 8443)),
    ("port", (30000, 30000)),
    ("port", (31000, 32767)),
    ("cidr", "10.0.0.0/8"),
    ("cidr", "127.0.0.0/8"),
    ("removed", None),
)


def edit_security_group(lab: Lab, _known: World, chance: Random) -> Edit | None:
    """One rule of the load balancer's or the nodes' security group."""
    place = chance.randrange(len(lab.cloud.security_groups))
    group = lab.cloud.security_groups[place]
    rule = chance.randrange(len(group["IpPermissions"]))
    kind, value = chance.choice(_RULES)

    async def apply(lab: Lab) -> None:
        lab.cloud.enforce_security_groups = True
        rules = lab.cloud.security_groups[place]["IpPermissions"]
        if kind == "removed":
            del rules[rule]
        elif kind == "port":
            rules[rule]["FromPort"], rules[rule]["ToPort"] = value
        else:
            rules[rule]["IpRanges"] = [{"CidrIp": value}]

    names: set[Name] = {("SecurityGroup", "", group["GroupId"])}
    names.add(("SecurityGroup", "", group["GroupName"]))
    what = f"SecurityGroup {group['GroupName']} rule {rule} {kind}: {words(value)}"
    if group["GroupId"] == settings.NODE_GROUP:
        names.add(("TargetGroup", "", topology.TARGETS_HTTPS))
    return Edit(what, frozenset(names), apply, _HOP)


def edit_record(lab: Lab, _known: World, chance: Random) -> Edit | None:
    """The host's record: another target, another type, misspelt, gone."""
    name = lab.cloud.load_balancers[topology.LOAD_BALANCER].dns_name
    stranger = re.sub(r"-[0-9a-f]{16}\.", "-0123456789abcdef.", name)
    stale = lab.plan.stale_address
    own = lab.cloud.addresses(topology.LOAD_BALANCER)
    typo = host_typo(name, World(), chance)
    wrong = host_typo(topology.HOST, World(), chance)
    what, records = chance.choice(
        (
            (f"CNAME -> {typo}", [("CNAME", [typo])]),
            (f"CNAME -> {stranger}", [("CNAME", [stranger])]),
            ("CNAME -> A of the load balancer", [("A", list(own))]),
            ("CNAME -> one A of the load balancer", [("A", list(own[:1]))]),
            ("CNAME -> A of nobody", [("A", [stale])]),
            ("CNAME -> A of the load balancer and of nobody", [("A", [*own, stale])]),
            (
                "CNAME -> A of the load balancer and AAAA",
                [("A", list(own)), ("AAAA", ["2001:db8::1"])],
            ),
            ("CNAME -> TXT", [("TXT", ['"moved"'])]),
            ("CNAME -> AAAA", [("AAAA", ["2001:db8::1"])]),
            (f"CNAME -> {topology.HOST}", [("CNAME", [topology.HOST])]),
            (f"renamed {wrong}", []),
        )
    )

    async def apply(lab: Lab) -> None:
        zone = lab.dns.zone("example.com")
        zone.delete(topology.HOST)
        for rrtype, values in records:
            zone.set(topology.HOST, rrtype, values)
        if not records:
            zone.set(wrong, "CNAME", [name])

    return Edit(f"DNSRecord {topology.HOST}: {what}", frozenset({_RECORD}), apply)
