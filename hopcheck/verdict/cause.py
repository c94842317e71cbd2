"""Which finding explains which: the only place where hops are held against each other.

Which codes explain which, and which of them are symptoms, stands in the files of the findings
(`explained_by`, `explains`, `groups`, `symptom`, ...); what must hold besides, and the order of
root causes, in the tables `CONDITIONS` and `ORDER`. The code only applies it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Struct

from hopcheck.catalogue.catalogue import Entry, Link, entry, text
from hopcheck.model import Finding, ObjectRef, Severity


class Condition(Struct, frozen=True):
    """What must hold of cause and effect; its words are in the texts."""

    key: str
    holds: Callable[[Finding, Finding], bool]

    @property
    def words(self) -> str:
        """How the page of causes says it."""
        return text("when", self.key)


class Rank(Struct, frozen=True):
    """One rule of the order of root causes: a smaller `place` comes first."""

    why: str  # a key of the texts
    place: Callable[[Finding], int]

    @property
    def because(self) -> str:
        """The rule in words."""
        return text("because", self.why)


CONDITIONS: dict[str, Condition] = {
    one.key: one
    for one in (
        Condition("always", lambda _cause, _effect: True),
        Condition("related", lambda cause, effect: cause.object in effect.related),
        Condition(
            "brings_certificate",
            # An Ingress's certificate is loaded whatever becomes of its routers.
            lambda cause, effect: (
                cause.object.kind == "IngressRoute"
                or not any(ref.kind == "Secret" for ref in effect.related)
            ),
        ),
        Condition("cause_404", lambda cause, _effect: cause.params.get("status") == 404),
        Condition("status_404", lambda _cause, effect: effect.params.get("status") == 404),
        Condition(
            "status_5xx",
            lambda _cause, effect: effect.params.get("status") in (502, 503, 504),
        ),
        Condition(
            "status_500",
            lambda _cause, effect: effect.params.get("status") in (500, 502),
        ),
        Condition(
            "by_request",
            # What the pods say when they are asked directly is nobody else's answer.
            lambda _cause, effect: effect.params.get("variant") != "direct",
        ),
        Condition(
            "all_addresses",
            lambda _cause, effect: effect.params.get("variant") != "part",
        ),
        Condition(
            "argument_names",
            lambda cause, effect: any(
                str(effect.params.get(key)).lower()
                in re.split(r"[.=-]+", str(cause.params.get("flag")).lower())
                for key in ("wanted", "entry", "asked")
            ),
        ),
        Condition(
            "its_backend",
            lambda cause, effect: bool(
                {(r.namespace, r.name) for r in cause.related if r.kind == "Service"}
                & {
                    (r.namespace, r.name)
                    for r in (effect.object, *effect.related)
                    if r.kind in ("Service", "Application")
                }
            ),
        ),
        Condition(
            "some_targets",
            lambda cause, _effect: cause.params.get("variant") == "entry",
        ),
    )
}


def links(cause: Entry, effect: Entry) -> Iterator[Link]:
    """What the two files say of each other: why, and only when, `cause` explains `effect`."""
    if cause.code == effect.code:
        return
    yield from (link for link in effect.explained_by if _names(link, cause))
    yield from (link for link in cause.explains if _names(link, effect))


def _names(link: Link, one: Entry) -> bool:
    return one.code in link.codes or not set(link.groups).isdisjoint(one.groups)


def explains(cause: Finding, effect: Finding) -> Link | None:
    """The first link by which `cause` explains `effect`."""
    for link in links(entry(cause.code), entry(effect.code)):
        if CONDITIONS[link.when].holds(cause, effect):
            return link
    return None


def _symptom(finding: Finding) -> bool:
    """Whether a finding says what is seen and not whose fault it is."""
    symptom = entry(finding.code).symptom
    return symptom == "always" or (symptom == "of_the_host" and finding.object.kind == "Host")


def _last_resort(finding: Finding) -> bool:
    """A bounded gap or a general observation: a cause only where nothing more precise is known."""
    return entry(finding.code).last_resort


def attribute(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Number the findings, set `caused_by` and mark root causes; the order is kept.

    Only errors (and states that are wanted) explain, and only errors are root causes. A general
    finding (`last_resort`) is one only where no precise finding is.
    """
    counts: dict[str, int] = {}
    numbered: list[Finding] = []
    for finding in findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
        numbered.append(
            msgspec.structs.replace(finding, id=f"{finding.code}-{counts[finding.code]}")
        )
    errors = [finding for finding in numbered if finding.severity is Severity.ERROR]
    causing = [*errors, *(finding for finding in numbered if entry(finding.code).intended)]
    causes = {
        effect.id: tuple(
            cause.id for cause in causing if cause.id != effect.id and explains(cause, effect)
        )
        for effect in numbered
    }
    precise = [
        finding
        for finding in errors
        if not causes[finding.id] and not _last_resort(finding) and not _symptom(finding)
    ]
    result = []
    for finding in numbered:
        root = (
            finding.severity is Severity.ERROR
            and not causes[finding.id]
            and not _symptom(finding)
            and (not _last_resort(finding) or not precise)
        )
        result.append(
            msgspec.structs.replace(finding, caused_by=causes[finding.id], root_cause=root)
        )
    return tuple(result)


def last_resorts(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Mark general findings as root causes where no precise one is left among `findings`."""
    if any(finding.root_cause and not _last_resort(finding) for finding in findings):
        return tuple(findings)
    return tuple(
        msgspec.structs.replace(finding, root_cause=True)
        if finding.severity is Severity.ERROR and _last_resort(finding) and not finding.caused_by
        else finding
        for finding in findings
    )


ORDER: tuple[Rank, ...] = (
    Rank(
        "whole_first",
        lambda finding: int(finding.share not in (None, 1.0)),
    ),
    Rank(
        "way",
        lambda finding: finding.step.number,
    ),
)


def root_causes(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The root causes in the order in which to fix them, by the table `ORDER`."""
    return tuple(
        sorted(
            (finding for finding in findings if finding.root_cause),
            key=lambda finding: [rank.place(finding) for rank in ORDER],
        )
    )


def stable_owner(finding: Finding) -> ObjectRef:
    """The nearest object that outlives restarts: workload for a Pod, target group for a Target."""
    wanted = {
        "Pod": ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Service"),
        "Target": ("TargetGroup",),
    }.get(finding.object.kind)
    if wanted is None:
        return finding.object
    for related in finding.related:
        if related.kind in wanted:
            return related
    return ObjectRef(kind=finding.object.kind, name="", namespace=finding.object.namespace)


def fingerprint(host: str, roots: Sequence[Finding]) -> str:
    """16 hex digits from host, codes and stable owners alone: equal for the same trouble."""
    parts = sorted(f"{finding.code} {stable_owner(finding)}" for finding in roots)
    # A lone surrogate (broken UTF-8 in a name) counts as U+FFFD, which is what evidence.json holds.
    whole = "\n".join([host, *parts]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
