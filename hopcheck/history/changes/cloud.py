"""Changes of the load balancer: listeners, rules, target groups, targets, security groups (pure).

AWS tells neither when nor by whom in what is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from hopcheck.behaviour.aws.loadbalancer import target_groups_of
from hopcheck.history.changes.fields import changed
from hopcheck.history.changes.objects import Side
from hopcheck.model import Change, Collected, ObjectRef
from hopcheck.model.aws import IpPermission, Listener, TargetGroup

T = TypeVar("T")

_ARN = re.compile(r"arn:aws[\w-]*:elasticloadbalancing:[^:]*:[^:]*:(\w+)/(?:(?:net|app|gwy)/)?(.+)")
# Names of the object itself, and what follows from other objects.
_OWN = frozenset(
    {
        "LoadBalancerArn",
        "ListenerArn",
        "RuleArn",
        "TargetGroupArn",
        "TargetGroupName",
        "LoadBalancerName",
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
        had, has = (_seen(side.scene.health(arn)) for side in (before, after))
        if had is not None and has is not None:
            counts = [
                sum(one.target_health.state == "healthy" for one in found) for found in (had, has)
            ]
            yield from changed(_group_ref(arn), counts[0], counts[1], "healthyTargets")


def _groups(side: Side) -> Iterator[str]:
    """Target groups behind the host's load balancer, whatever the listener."""
    arn = side.scene.match.arn or ""
    for listener in _seen(side.snapshot.aws.listeners.get(arn)) or ():
        yield from (forward.target_group_arn for forward in target_groups_of(listener))
        rules = _seen(side.snapshot.aws.rules.get(listener.listener_arn)) or ()
        yield from (forward.target_group_arn for forward in target_groups_of(Listener(), rules))


def _of_balancer(before: Side, after: Side, arn: str) -> Iterator[Change]:
    name = _short_arn(arn)
    was, now = (side.scene.balancer_by_arn(arn) for side in (before, after))
    ref = ObjectRef("LoadBalancer", name)
    yield from _compared(ref, was, now)
    if (was is None or now is None) and all(
        side.snapshot.aws.load_balancers.seen for side in (before, after)
    ):
        yield Change(ref, "exists", was is not None, now is not None)
    attributes = [
        _seen(side.snapshot.aws.load_balancer_attributes.get(arn)) for side in (before, after)
    ]
    yield from _compared(ref, attributes[0], attributes[1], "attributes")
    had, has = (_seen(side.snapshot.aws.listeners.get(arn)) for side in (before, after))
    if had is None or has is None:
        return
    by_port = [{one.port: one for one in found} for found in (had, has)]
    for port in sorted({*by_port[0], *by_port[1]}, key=str):
        old, new = by_port[0].get(port), by_port[1].get(port)
        listener = ObjectRef("Listener", f"{name}:{port}")
        if old is None or new is None:
            yield Change(listener, "exists", old is not None, new is not None)
            continue
        yield from _compared(listener, old, new)
        rules = [
            _seen(side.snapshot.aws.rules.get(one.listener_arn))
            for side, one in ((before, old), (after, new))
        ]
        yield from _compared(listener, rules[0], rules[1], "rules")


def _of_group(before: Side, after: Side, arn: str) -> Iterator[Change]:
    ref = _group_ref(arn)
    was, now = (_group(side, arn) for side in (before, after))
    yield from _compared(ref, was, now)
    attributes = [
        _seen(side.snapshot.aws.target_group_attributes.get(arn)) for side in (before, after)
    ]
    yield from _compared(ref, attributes[0], attributes[1], "attributes")
    had, has = (_seen(side.scene.health(arn)) for side in (before, after))
    if had is None or has is None:
        return
    known = now or was
    if known is not None and known.target_type == "ip":
        # Pods' addresses come and go: how many there are, and on which ports.
        yield from changed(ref, len(had), len(has), "registeredTargets")
        targets = [sorted({str(one.target.port) for one in found}) for found in (had, has)]
        field = "targetPorts"
    else:
        targets = [[f"{one.target.id}:{one.target.port}" for one in found] for found in (had, has)]
        field = "targets"
    yield from changed(ref, targets[0], targets[1], field)


def _group(side: Side, arn: str) -> TargetGroup | None:
    listed = _seen(side.snapshot.aws.target_groups) or ()
    return next((group for group in listed if group.target_group_arn == arn), None)


def _of_security_groups(before: Side, after: Side) -> Iterator[Change]:
    had, has = (_seen(side.snapshot.aws.security_groups) for side in (before, after))
    if had is None or has is None:
        return
    old = {group.group_id: group for group in had}
    for group in has:
        earlier = old.get(group.group_id)
        if earlier is None:
            continue
        for field, was, now in (
            ("IpPermissions", earlier.ip_permissions, group.ip_permissions),
            ("IpPermissionsEgress", earlier.ip_permissions_egress, group.ip_permissions_egress),
        ):
            if was is not None and now is not None:
                ref = ObjectRef("SecurityGroup", group.group_id)
                yield from changed(ref, _permissions(was), _permissions(now), field)


def _permissions(rules: Iterable[IpPermission]) -> list[str]:
    """Each permission as one text: "tcp 443 0.0.0.0/0"."""
    found = []
    for one in rules:
        low, high = one.from_port, one.to_port
        ports = "" if low is None else f" {low}" if low == high else f" {low}-{high}"
        protocol = "all" if one.ip_protocol == "-1" else one.ip_protocol
        sources = [
            *(item.cidr_ip for item in one.ip_ranges),
            *(item.cidr_ipv6 for item in one.ipv6_ranges),
            *(item.prefix_list_id for item in one.prefix_list_ids),
            *(item.group_id for item in one.user_id_group_pairs),
        ]
        found += [f"{protocol}{ports} {source}" for source in sources]
    return found


def _seen(found: Collected[T] | None) -> T | None:
    return found.get() if found is not None and found.seen else None


def _compared(ref: ObjectRef, old: Any, new: Any, field: str = "") -> Iterator[Change]:
    """How they differ, where both were seen."""
    if old is not None and new is not None:
        yield from changed(ref, _plain(old), _plain(new), field)


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
