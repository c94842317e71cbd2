"""The path of a report: the hops in order, with this run's names and the state of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from hopcheck.catalogue.catalogue import entry
from hopcheck.model import (
    Facts,
    Finding,
    Hop,
    PathHop,
    PathMember,
    Severity,
    Snapshot,
    Status,
    Step,
    StepResult,
)

State = Literal["ok", "partial", "broken", "consequence", "unknown", "not_applicable"]

_STEP_OF_HOP = {
    Hop.DNS: Step.DNS,
    Hop.LOAD_BALANCER: Step.TARGET_HEALTH,
    Hop.TARGET_GROUP: Step.TARGET_HEALTH,
    Hop.NODE: Step.TARGET_HEALTH,
    Hop.TRAEFIK_SERVICE: Step.TRAEFIK_SERVICE,
    Hop.TRAEFIK_POD: Step.TRAEFIK_SERVICE,
    Hop.ROUTE: Step.INGRESS,
    Hop.SERVICE: Step.ENDPOINTS,
    Hop.POD: Step.ENDPOINTS,
}

_BY_KIND = {
    Step.TARGET_HEALTH: ({"TargetGroup", "Target"}, Hop.TARGET_GROUP, Hop.LOAD_BALANCER),
    Step.TRAEFIK_SERVICE: ({"Service"}, Hop.TRAEFIK_SERVICE, Hop.TRAEFIK_POD),
    Step.ENDPOINTS: ({"Service"}, Hop.SERVICE, Hop.POD),
}


def hop_of(finding: Finding) -> Hop | None:
    """The hop at which a finding is drawn; None: a symptom of the whole way."""
    drawn = entry(finding.code).hop
    if drawn is not None:
        return drawn
    if finding.step is Step.DNS:
        return Hop.DNS
    if finding.step in (Step.INGRESS, Step.TRAEFIK_LOGS):
        return Hop.ROUTE
    if finding.step is Step.REQUEST:
        return Hop.POD if finding.object.kind == "Application" else None
    kinds, inside, outside = _BY_KIND[finding.step]
    if finding.step is Step.ENDPOINTS and finding.object.field is None and _partial(finding):
        return outside  # some members are named, and not what selects them
    # The security group of a target group's targets is that of the nodes.
    if finding.object.kind == "SecurityGroup" and any(
        ref.kind == "TargetGroup" for ref in finding.related
    ):
        return Hop.NODE
    return inside if finding.object.kind in kinds else outside


def _partial(finding: Finding) -> bool:
    """Whether it is some members' own trouble, who are named."""
    wrong = finding.severity is Severity.ERROR and not finding.caused_by
    part = finding.share is not None and finding.share < 1
    return wrong and part and bool(finding.params.get("members"))


def marked(facts: Facts, findings: Sequence[Finding]) -> Facts:
    """A step's facts, of which the members that its findings name are broken."""
    named = {name for one in findings if _partial(one) for name in one.params["members"]}

    def mark(value: Any) -> Any:
        if isinstance(value, list):
            return [mark(one) for one in value]
        if isinstance(value, dict) and value.get("name") in named and value.get("state") == "ok":
            return {**value, "state": "broken"}
        return value

    return {key: mark(value) for key, value in facts.items()} if named else facts


def _state(hop: Hop, step: StepResult | None, findings: Sequence[Finding]) -> State:
    here = [f for f in findings if f.severity is Severity.ERROR and hop_of(f) is hop]
    roots = [finding for finding in here if not finding.caused_by]
    if any(f.share is None or f.share >= 1 for f in roots):
        return "broken"
    if roots:
        return "partial"
    if here:
        return "consequence"
    if step is None or step.status is Status.UNKNOWN:
        return "unknown"
    if step.status is Status.NOT_APPLICABLE:
        return "not_applicable"
    return "ok"


def _members(facts: dict[str, Any], key: str) -> tuple[PathMember, ...]:
    rows = facts.get(key)
    if not isinstance(rows, (list, tuple)):
        return ()
    return tuple(
        PathMember(
            name=str(row["name"]), state=str(row["state"]), detail=str(row.get("detail", ""))
        )
        for row in rows
        if isinstance(row, dict) and "name" in row and "state" in row
    )


def path_of(
    snapshot: Snapshot, steps: Sequence[StepResult], findings: Sequence[Finding]
) -> tuple[PathHop, ...]:
    """All nine hops; label, members, detail and na come from the steps' facts ("dns.label", …)."""
    by_step = {step.step: step for step in steps}
    hops: list[PathHop] = []
    for hop in Hop:
        step = by_step.get(_STEP_OF_HOP[hop])
        facts = step.facts if step is not None else {}
        label = str(facts.get(f"{hop.value}.label") or "")
        if hop is Hop.DNS and not label:
            label = snapshot.target.host
        members = _members(facts, f"{hop.value}.members")
        without = facts.get(f"{hop.value}.na")
        state = _state(hop, step, findings)
        if state == "ok" and without:
            state = "not_applicable"
        elif state == "ok" and (not label or (hop in _COUNTED and not members)):
            state = "consequence" if _after_trouble(hop, hops) else "unknown"
        elif state == "ok" and hop is Hop.NODE:
            state = _like_targets(hops[-1])
        detail = str(facts.get(f"{hop.value}.detail") or "")
        if not detail and state == "not_applicable" and isinstance(without, str):
            detail = without
        elif not detail and state in ("unknown", "not_applicable") and step is not None:
            detail = step.reason or ""
        hops.append(
            PathHop(hop=hop, label=label or hop.value, state=state, detail=detail, members=members)
        )
    return tuple(hops)


# Hops that are only as good as their members: without any, nothing was seen to be well.
_COUNTED = frozenset({Hop.TARGET_GROUP, Hop.POD})


def _after_trouble(hop: Hop, before: Sequence[PathHop]) -> bool:
    """Whether the same step found trouble at an earlier hop: then there is nothing to see here."""
    return any(
        one.state in ("broken", "partial", "consequence")
        for one in before
        if _STEP_OF_HOP[one.hop] is _STEP_OF_HOP[hop]
    )


def _like_targets(group: PathHop) -> State:
    """A node is seen through its targets: well where one of them is."""
    if group.state in ("consequence", "unknown"):
        return group.state
    if group.state == "ok" or any(member.state == "healthy" for member in group.members):
        return "ok"
    return "unknown"
