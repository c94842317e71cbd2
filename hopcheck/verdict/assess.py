"""From judgements to the report: status of each step, verdict, headline (contract's rules)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hopcheck.catalogue.catalogue import Stops, advice, entry, listing, text
from hopcheck.config.options import Options
from hopcheck.model import (
    Coverage,
    Finding,
    Gap,
    Judgement,
    OwnStep,
    Report,
    Severity,
    Snapshot,
    Status,
    Step,
    StepResult,
    Verdict,
    Why,
)
from hopcheck.scene.outcome import Outcome, outcomes
from hopcheck.scene.scene import Scene
from hopcheck.verdict import cause
from hopcheck.verdict.advice import advised
from hopcheck.verdict.hops import marked, path_of


def gap_text(gap: Gap) -> str:
    """Why something was not seen and what would make it visible, in one line.

    The reason and the advice come first: a terminal cuts the rest.
    """
    said = text("gap", gap.what, **gap.params)
    if gap.why is Why.NOT_NEEDED:
        return said
    why = text("why", gap.why.value)
    if helps := advice(gap.params.get("party"), gap.why.value):
        detail = f"{said}: {gap.detail}" if gap.detail else said
        return f"{why}: {helps} ({detail})"
    return f"{said} ({why}: {gap.detail})" if gap.detail else f"{said} ({why})"


def status_of(judgement: Judgement, findings: Sequence[Finding]) -> Status:
    """Any error: fail; any warning: warn; required evidence missing: unknown; else pass."""
    severities = {finding.severity for finding in findings}
    if Severity.ERROR in severities:
        return Status.FAIL
    if Severity.WARNING in severities:
        return Status.WARN
    if judgement.not_applicable is not None:
        return Status.NOT_APPLICABLE
    if not judgement.seen or any(gap.required for gap in judgement.gaps):
        return Status.UNKNOWN
    return Status.PASS


def reason_of(judgement: Judgement, status: Status) -> str | None:
    """Why a step is unknown or not applicable, or what a pass did not see."""
    if status is Status.NOT_APPLICABLE:
        return judgement.not_applicable
    gaps = list(dict.fromkeys(gap_text(gap) for gap in judgement.gaps))
    if gaps:
        return "; ".join(gaps)
    return text("headline", "nothing") if status is Status.UNKNOWN else None


def assess(
    snapshot: Snapshot,
    judgements: Mapping[Step, Judgement],
    options: Options,
    *,
    durations: Mapping[Step, float],
    duration_s: float,
    complete: bool = True,
) -> Report:
    """The report of a run. Steps without a judgement were not selected: unknown, never gone."""
    every = [
        finding for step in Step if step in judgements for finding in judgements[step].findings
    ]
    caused = [advised(finding, snapshot) for finding in cause.attribute(every)]
    kept, left_out = cause.leave_out(caused, options.skip)
    steps = []
    for step in Step:
        judgement = judgements.get(step) or Judgement(
            step, gaps=(Gap("not_selected" if complete else "incomplete", Why.NOT_NEEDED),)
        )
        findings = tuple(finding for finding in kept if finding.step is step)
        status = status_of(judgement, findings)
        steps.append(
            StepResult(
                step=step,
                number=step.number,
                title=text("step", step.value),
                status=status,
                reason=reason_of(judgement, status),
                duration_s=round(durations.get(step, 0.0), 3),
                facts=marked(judgement.facts, findings),
                findings=findings,
            )
        )
    roots = cause.root_causes(kept)
    requests = outcomes(Scene(snapshot))
    verdict = _verdict(requests, kept, roots, steps, options)
    if verdict is Verdict.HEALTHY and not complete:
        verdict = Verdict.UNKNOWN  # what was not looked at any more may be what is wrong
    report = Report(
        target=snapshot.target,
        started_at=snapshot.taken_at,
        duration_s=round(duration_s, 3),
        complete=complete,
        vantage=snapshot.vantage,
        verdict=verdict,
        headline="",
        coverage=Coverage(
            seen=sum(step.status in (Status.PASS, Status.WARN, Status.FAIL) for step in steps)
        ),
        fingerprint=cause.fingerprint(snapshot.target.host, roots),
        root_causes=tuple(
            msgspec.structs.replace(finding, owner=options.owner) for finding in roots
        ),
        path=path_of(snapshot, steps, kept),
        steps=tuple(steps),
        skipped=left_out,
    )
    return msgspec.structs.replace(report, headline=_headline(report, kept, requests, options))


_HEADLINE = 240  # letters of a cause; a phone's first screen holds no more
# Words that are capitalised at the beginning of a sentence alone.
_ORDINARY = frozenset({"A", "All", "An", "Each", "Every", "No", "Nodes", "None", "Pods", "Some",
                       "Targets", "The", "This"})  # fmt: skip


def _verdict(
    requests: Outcome,
    findings: Sequence[Finding],
    roots: Sequence[Finding],
    steps: Sequence[StepResult],
    options: Options,
) -> Verdict:
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    unknown = {step.step.value for step in steps if step.status is Status.UNKNOWN}
    verdict = Verdict.UNKNOWN
    if requests.made and requests.succeeded == 0:
        partly = requests.other_scheme_serves or _drawn(roots)
        verdict = Verdict.DEGRADED if partly else Verdict.BROKEN
    elif requests.made and (requests.succeeded < requests.made or errors):
        verdict = Verdict.DEGRADED
    elif requests.made:
        verdict = Verdict.HEALTHY
    elif any(_stops_everything(error) for error in errors):
        verdict = Verdict.BROKEN
    if verdict is Verdict.HEALTHY and unknown & _required(options):
        return Verdict.UNKNOWN
    return verdict


def _required(options: Options) -> set[str]:
    """The steps that must be seen for a host to be healthy."""
    return {step.value for step in Step} if options.strict else set(options.require_steps)


def _stops_everything(error: Finding) -> bool:
    """Whether an error stops all traffic by its own word, where no request could be made."""
    return entry(error.code).stops is Stops.EVERYTHING and error.share in (None, 1.0)


def _drawn(roots: Sequence[Finding]) -> bool:
    """Whether the requests of this run failed by bad luck: only some pods or replicas are broken.

    Which of them a request meets is a draw; load balancer addresses are all asked.
    """
    shares = [r.share for r in roots if r.share is not None and entry(r.code).by_draw]
    return bool(roots) and len(shares) == len(roots) and sum(shares) < 1


def _headline(
    report: Report, findings: Sequence[Finding], requests: Outcome, options: Options
) -> str:
    verdict, roots, steps = report.verdict, report.root_causes, report.steps
    host = report.target.display_host or report.target.host
    unknown = [step.step.value for step in steps if step.status is Status.UNKNOWN]
    if not report.complete:
        return text("headline", "incomplete", host=host)
    if verdict is Verdict.UNKNOWN:
        missing = [step for step in unknown if step in _required(options)]
        if requests.made and missing:
            return text("headline", "unknown_required", host=host, steps=", ".join(missing))
        return text("headline", "unknown", host=host, unseen=_unseen(steps))
    if verdict is Verdict.HEALTHY:
        seen = sum(step.status in (Status.PASS, Status.WARN) for step in steps)
        na = sum(step.status is Status.NOT_APPLICABLE for step in steps)
        key = "healthy_some" if unknown else "healthy_unneeded" if na else "healthy_all"
        key += "_unneeded" if unknown and na else ""
        return text("headline", key, host=host, seen=seen, na=na)
    intended = [f for f in findings if entry(f.code).intended]
    if not roots and intended:
        return text("headline", str(verdict), host=host, cause=intended[0].message.rstrip("."))
    if not roots:
        symptom = next(
            (f.message for f in findings if f.severity is Severity.ERROR and not f.caused_by),
            text("headline", "broken_no_symptom"),
        ).rstrip(".")
        causes = [f for f in report.skipped if f.root_cause]
        if causes:
            names = listing(f"{f.code} {f.object}" for f in causes)
            key = f"{verdict}_left_out"
            return text("headline", key, host=host, symptom=symptom, names=names)
        if verdict is Verdict.DEGRADED and requests.other_scheme_serves:
            return text("headline", "degraded_http", host=host)
        return text(
            "headline", f"{verdict}_no_cause", host=host, symptom=symptom, unseen=_unseen(steps)
        )
    return _accusing(report, host, findings, requests)


def _accusing(report: Report, host: str, findings: Sequence[Finding], requests: Outcome) -> str:
    verdict, roots = report.verdict, report.root_causes
    first = roots[0]
    said = first.message.rstrip(".")
    if len(roots) > 1:
        return text("headline", f"{verdict}_many", host=host, cause=said, more=len(roots) - 1)
    if verdict is Verdict.DEGRADED:
        share = first.share or (
            (requests.made - requests.succeeded) / requests.made if requests.made else 0
        )
        if 0 < share < 1:
            key = "degraded_share" if requests.succeeded < requests.made else "degraded_part"
            return text("headline", key, host=host, cause=said, percent=round(share * 100))
        return text("headline", "degraded", host=host, cause=said)
    effect = next(
        (f for f in findings if first.id in f.caused_by and entry(f.code).asked_about), None
    )
    if effect is not None:
        return text(
            "headline",
            "broken_because",
            host=host,
            effect=effect.title[0].lower() + effect.title[1:],
            # A list of many members is no headline: it stands in the finding.
            cause=_within(said if len(said) <= _HEADLINE else first.title),
        )
    return text("headline", "broken", host=host, cause=said)


def _within(sentence: str) -> str:
    """A sentence as it stands behind "because": names and acronyms keep their capital."""
    first = sentence.partition(" ")[0]
    return sentence[0].lower() + sentence[1:] if first in _ORDINARY else sentence


def _unseen(steps: Sequence[StepResult]) -> str:
    """Steps by what kept them from being seen; the details stand in the steps themselves."""
    by_reason: dict[str, list[str]] = {}
    for step in steps:
        if step.status is Status.UNKNOWN:
            by_reason.setdefault((step.reason or "").partition(" (")[0], []).append(step.step.value)
    if not by_reason:
        return text("headline", "nothing")
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())


def with_own(report: Report, own: Sequence[OwnStep]) -> Report:
    """The report with the user's checks after its steps. One that fails leaves no host healthy."""
    failed = [one for one in own if one.status is Status.FAIL]
    report = msgspec.structs.replace(report, yours=tuple(own))
    if report.verdict is not Verdict.HEALTHY or not failed:
        return report
    host = report.target.display_host or report.target.host
    words = text("headline", "degraded_own", host=host, check=failed[0].title)
    return msgspec.structs.replace(report, verdict=Verdict.DEGRADED, headline=words)
