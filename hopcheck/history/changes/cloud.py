"""Changes of the load balancer: listeners, rules, target groups, targets, security groups (pure).

AWS tells neither when nor by whom in what is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hopcheck.history.changes.fields import changed
from hopcheck.history.changes.way import Side
from hopcheck.model import Change, Collected, Obj, ObjectRef

_ARN = re.compile(r"arn:aws[\w-]*:elasticloadbalancing:[^:]*:[^:]*:(\w+)/(?:(?:net|app|gwy)/)?(.+)")
# Names of the object itself, times, and what follows from other objects.
_OWN = frozenset(
    {
        "LoadBalancerArn",
        "ListenerArn",
        "RuleArn",
        "TargetGroupArn",
        "TargetGroupName",
        "LoadBalancerName",
        "CanonicalHostedZoneId",
        "CreatedTime",
        "OwnerId",
        "GroupName",
        "GroupId",
        "Description",
        "VpcId",
    }
)


def changes_of_cloud(before: Side, after: Side) -> Iterator[Change]:
    """What is not as it was of the load balancers that the host leads or led to."""
    accounts = [
        (side.snapshot.vantage.aws_account, side.snapshot.vantage.aws_region)
        for side in (before, after)
    ]
    if accounts[0] != accounts[1]:
        return
    arns = [side.scene.match.arn for side in (before, after)]
    for arn in dict.fromkeys(arn for arn in arns if arn):
        yield from _of_balancer(before, after, arn)
    groups = {arn: None for side in (before, after) for arn in _groups(side)}
    for arn in groups:
        yield from _of_group(before, after, arn)
    yield from _of_security_groups(before, after)


def health_of_targets(before: Side, after: Side) -> Iterator[Change]:
    """How many targets of each group are healthy, where that is another number."""
    for arn in {arn: None for side in (before, after) for arn in _groups(side)}:
        had, has = (side.scene.health(arn) for side in (before, after))
        if had.seen and has.seen:
            counts = [
                sum((one.get("TargetHealth") or {}).get("State") == "healthy" for one in found)
                for found in (had.get(), has.get())
            ]
            if counts[0] != counts[1]:
                yield Change(_group_ref(arn), "healthyTargets", counts[0], counts[1])


def _groups(side: Side) -> Iterator[str]:
    """Target groups behind the host's load balancer, whatever the listener."""
    arn = side.scene.match.arn or ""
    listeners = side.snapshot.aws.listeners.get(arn)
    for listener in (listeners.or_else(()) if listeners is not None else ()) or ():
        yield from _named_groups(listener.get("DefaultActions"))
        rules = side.snapshot.aws.rules.get(listener.get("ListenerArn", ""))
        for rule in (rules.or_else(()) if rules is not None else ()) or ():
            yield from _named_groups(rule.get("Actions"))


def _named_groups(value: Any) -> Iterator[str]:
    value = msgspec.to_builtins(value)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "TargetGroupArn":
                yield str(item)
            else:
                yield from _named_groups(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named_groups(item)


def _of_balancer(before: Side, after: Side, arn: str) -> Iterator[Change]:
    name = _short_arn(arn)
    balancers = [side.scene.balancer_by_arn(arn) for side in (before, after)]
    ref = ObjectRef("LoadBalancer", name)
    if all(balancers):
        yield from _compared(ref, balancers[0], balancers[1])
    elif all(side.snapshot.aws.load_balancers.seen for side in (before, after)):
        yield Change(ref, "exists", bool(balancers[0]), bool(balancers[1]))
    attributes = [side.snapshot.aws.load_balancer_attributes.get(arn) for side in (before, after)]
    yield from _both(ref, attributes[0], attributes[1], "attributes")
    had, has = (_seen(side.snapshot.aws.listeners.get(arn)) for side in (before, after))
    if had is None or has is None:
        return
    by_port = [{one.get("Port"): one for one in found} for found in (had, has)]
    for port in sorted({*by_port[0], *by_port[1]}, key=str):
        old, new = by_port[0].get(port), by_port[1].get(port)
        listener = ObjectRef("Listener", f"{name}:{port}")
        if old is None or new is None:
            yield Change(listener, "exists", old is not None, new is not None)
            continue
        yield from _compared(listener, old, new)
        rules = [
            side.snapshot.aws.rules.get(one.get("ListenerArn", ""))
            for side, one in ((before, old), (after, new))
        ]
        yield from _both(listener, rules[0], rules[1], "rules")


def _of_group(before: Side, after: Side, arn: str) -> Iterator[Change]:
    ref = _group_ref(arn)
    groups = [side.scene.group(arn) for side in (before, after)]
    if all(groups):
        yield from _compared(ref, groups[0], groups[1])
    attributes = [side.snapshot.aws.target_group_attributes.get(arn) for side in (before, after)]
    yield from _both(ref, attributes[0], attributes[1], "attributes")
    had, has = (_seen(side.scene.health(arn)) for side in (before, after))
    if had is None or has is None:
        return
    if (groups[1] or groups[0]).get("TargetType") == "ip":
        # Pods' addresses come and go: how many there are, and on which ports.
        yield from changed(ref, len(had), len(has), "registeredTargets")
        targets = [sorted({str(_target(one).get("Port")) for one in found}) for found in (had, has)]
        field = "targetPorts"
    else:
        targets = [
            [f"{_target(one).get('Id')}:{_target(one).get('Port')}" for one in found]
            for found in (had, has)
        ]
        field = "targets"
    yield from changed(ref, targets[0], targets[1], field)


def _target(described: Obj) -> Obj:
    return described.get("Target") or {}


def _of_security_groups(before: Side, after: Side) -> Iterator[Change]:
    had, has = (_seen(side.snapshot.aws.security_groups) for side in (before, after))
    if had is None or has is None:
        return
    old = {group.get("GroupId"): group for group in had}
    for group in has:
        earlier = old.get(group.get("GroupId"))
        if earlier is not None:
            ref = ObjectRef("SecurityGroup", str(group.get("GroupId")))
            for field in ("IpPermissions", "IpPermissionsEgress"):
                yield from changed(
                    ref, _permissions(earlier, field), _permissions(group, field), field
                )


def _permissions(group: Obj, field: str) -> list[str]:
    """Each permission as one text: "tcp 443 from 0.0.0.0/0"."""
    found = []
    for one in group.get(field) or ():
        low, high = one.get("FromPort"), one.get("ToPort")
        ports = "" if low is None else f" {low}" if low == high else f" {low}-{high}"
        protocol = {"-1": "all"}.get(str(one.get("IpProtocol")), str(one.get("IpProtocol")))
        sources = (
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("PrefixListIds", "PrefixListId"),
            ("UserIdGroupPairs", "GroupId"),
        )
        for key, name in sources:
            found += [f"{protocol}{ports} {item.get(name)}" for item in one.get(key) or ()]
    return found


def _seen(found: Collected[tuple[Obj, ...]] | None) -> tuple[Obj, ...] | None:
    return found.get() if found is not None and found.seen else None


def _both(
    ref: ObjectRef, had: Collected[Any] | None, has: Collected[Any] | None, field: str
) -> Iterator[Change]:
    if had is not None and has is not None and had.seen and has.seen:
        yield from changed(ref, _plain(had.get()), _plain(has.get()), field)


def _compared(ref: ObjectRef, old: Any, new: Any) -> Iterator[Change]:
    yield from changed(ref, _plain(old), _plain(new))


def _plain(value: Any) -> Any:
    """The value without what names or dates the object, other objects by their names."""
    value = msgspec.to_builtins(value)
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if key not in _OWN}
        if "TargetGroupArn" in value:
            # An action names a single group twice; its ForwardConfig is the whole.
            if "ForwardConfig" not in value:
                kept["TargetGroup"] = _short_arn(str(value["TargetGroupArn"]))
            if "Weight" in value:
                kept["name"] = kept.pop("TargetGroup")
        return {key: _plain(item) for key, item in kept.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _short_arn(value) if isinstance(value, str) else value


def _short_arn(text: str) -> str:
    """The name in a load balancer's or target group's ARN; any other text as it is."""
    match = _ARN.fullmatch(text)
    return match[2].partition("/")[0] if match and match[1] != "listener" else text


def _group_ref(arn: str) -> ObjectRef:
    return ObjectRef("TargetGroup", _short_arn(arn))
