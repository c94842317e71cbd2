"""Which finding explains which: the only place where hops are held against each other.

Which codes explain which, and which of them are symptoms, stands in the files of the findings
(`explained_by`, `explains`, `groups`, `symptom`, ...); what must hold besides, and the order of
root causes, in the tables `CONDITIONS` and `ORDER`. The code only applies it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

import msgspec

from hopcheck.catalogue.catalogue import Entry, Link, entry
from hopcheck.model import Finding, ObjectRef, Severity, Step

# What must hold of cause and effect; in words: section `when` of the texts.
CONDITIONS: dict[str, Callable[[Finding, Finding], bool]] = {
    "always": lambda _cause, _effect: True,
    "related": lambda cause, effect: cause.object in effect.related,
    # An Ingress's certificate is loaded whatever becomes of its routers.
    "brings_certificate": lambda cause, effect: (
        cause.object.kind == "IngressRoute"
        or not any(ref.kind == "Secret" for ref in effect.related)
    ),
    "cause_404": lambda cause, _effect: cause.params.get("status") == 404,
    "status_404": lambda _cause, effect: effect.params.get("status") == 404,
    "status_5xx": lambda _cause, effect: effect.params.get("status") in (502, 503, 504),
    "status_500": lambda _cause, effect: effect.params.get("status") in (500, 502),
    "status_418": lambda _cause, effect: effect.params.get("status") == 418,
    # What the pods say when they are asked directly is nobody else's answer.
    "by_request": lambda _cause, effect: effect.params.get("variant") != "direct",
    "all_addresses": lambda _cause, effect: effect.params.get("variant") != "part",
    "argument_names": lambda cause, effect: any(
        str(effect.params.get(key)).lower()
        in re.split(r"[.=-]+", str(cause.params.get("flag")).lower())
        for key in ("wanted", "entry", "asked")
    ),
    "of_a_challenge": lambda _cause, effect: effect.object.kind == "Challenge",
    "its_backend": lambda cause, effect: bool(
        {(r.namespace, r.name) for r in cause.related if r.kind == "Service"}
        & {
            (r.namespace, r.name)
            for r in (effect.object, *effect.related)
            if r.kind in ("Service", "Application")
        }
    ),
    "some_targets": lambda cause, _effect: cause.params.get("variant") == "entry",
}
# The order of root causes, the smaller first; in words: section `because` of the texts.
ORDER: dict[str, Callable[[Finding], int]] = {
    "whole_first": lambda finding: int(finding.share not in (None, 1.0)),
    "way": lambda finding: finding.step.number,
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
        if CONDITIONS[link.when](cause, effect):
            return link
    return None


def _symptom(finding: Finding) -> bool:
    """Whether a finding says what is seen and not whose fault it is."""
    symptom = entry(finding.code).symptom
    return symptom == "always" or (symptom == "of_the_host" and finding.object.kind == "Host")


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
    uncaused = [one for one in errors if not causes[one.id] and not _symptom(one)]
    precise = [one for one in uncaused if not entry(one.code).last_resort]
    roots = {finding.id for finding in precise or uncaused}
    return tuple(
        msgspec.structs.replace(
            one,
            caused_by=causes[one.id],
            root_cause=one.id in roots,
            # A consequence goes with its cause: nothing to do there.
            fix="" if causes[one.id] else one.fix,
            fix_commands=() if causes[one.id] else one.fix_commands,
        )
        for one in numbered
    )


def _last_resorts(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Mark general findings as root causes where no precise one is left among `findings`."""
    general = {finding.id for finding in findings if entry(finding.code).last_resort}
    if any(finding.root_cause and finding.id not in general for finding in findings):
        return tuple(findings)
    return tuple(
        msgspec.structs.replace(finding, root_cause=True)
        if finding.severity is Severity.ERROR and finding.id in general and not finding.caused_by
        else finding
        for finding in findings
    )


# --- --skip CODE[=object]: findings left out on purpose, and shown as such


def matches(finding: Finding, rules: Sequence[str]) -> bool:
    """Whether a rule "CODE" or "CODE=object" means the finding.

    The object is NAME, NAMESPACE/NAME or "Kind NAMESPACE/NAME"; * and ? stand for any characters.
    """
    ref = finding.object
    full = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    for rule in rules:
        code, _, pattern = rule.partition("=")
        if code.upper() == finding.code and (
            not pattern or any(fnmatchcase(name, pattern) for name in (ref.name, full, str(ref)))
        ):
            return True
    return False


def leave_out(
    findings: Sequence[Finding], rules: Sequence[str]
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """(kept, left out) of findings whose causes are attributed; the order stays.

    What follows from such a finding alone goes with it, but never what the requests themselves
    showed: a step is not made green that failed before our eyes. Nor does a consequence become a
    root cause by its cause being left out.
    """
    hidden = {finding.id for finding in findings if matches(finding, rules)}
    if not hidden:
        return tuple(findings), ()
    while True:
        following = {
            finding.id
            for finding in findings
            if finding.id not in hidden
            and finding.step is not Step.REQUEST
            and finding.caused_by
            and set(finding.caused_by) <= hidden
        }
        if not following:
            break
        hidden |= following
    kept = [finding for finding in findings if finding.id not in hidden]
    left_out = tuple(finding for finding in findings if finding.id in hidden)
    return _last_resorts(kept), left_out


# --- root causes, and what tells the same trouble


def root_causes(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The root causes in the order in which to fix them, by the table `ORDER`."""
    return tuple(
        sorted(
            (finding for finding in findings if finding.root_cause),
            key=lambda finding: [place(finding) for place in ORDER.values()],
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
