"""The words that the renderers add themselves: section `label` of the texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hopcheck.catalogue.catalogue import has_text, listing, text
from hopcheck.model import Finding, Hop, Report, Severity, Status, Verdict

_PATH_KEYS = frozenset(
    f"{hop.value}.{part}" for hop in Hop for part in ("label", "members", "detail", "na")
)


def label(key: str, **params: object) -> str:
    """The words of `key` with `params` filled in. Raises KeyError for an unknown key."""
    return text("label", key, **params)


def verdict_word(report: Report) -> str:
    """The verdict; of a healthy host with how much was seen, where that is not all; of when."""
    said = label(f"verdict.{report.verdict.value}")
    if report.verdict is Verdict.HEALTHY and Status.UNKNOWN in {s.status for s in report.steps}:
        seen = report.coverage
        said = label("verdict_seen", verdict=said, seen=seen.seen, of=seen.of)
    return f"{said} ({label('replayed', when=report.started_at)})" if report.replayed else said


def origins(report: Report, ids: Iterable[str]) -> list[Finding]:
    """What the findings of these ids follow from in the end; themselves, where from nothing."""
    known = [*(one for step in report.steps for one in step.findings), *report.skipped]
    by_id = {one.id: one for one in (*known, *report.root_causes)}
    todo, seen = list(ids), dict[str, None]()
    for ident in todo:  # grows while it is walked
        if ident in by_id and ident not in seen:
            seen[ident] = None
            todo.extend(by_id[ident].caused_by)
    return [by_id[ident] for ident in seen if not by_id[ident].caused_by]


def follows(report: Report, finding: Finding) -> str:
    """That a consequence is one, and of what; "" for any other finding."""
    if not finding.caused_by:
        return ""
    codes = dict.fromkeys(one.code for one in origins(report, finding.caused_by))
    return label("caused_by", codes=", ".join(codes))


def weight(finding: Finding) -> tuple[bool, int]:
    """By which findings of a step are sorted: its root cause first, then the worst."""
    return not finding.root_cause, list(Severity).index(finding.severity)


def word(kind: str, value: str) -> str:
    """The word for a value of a party's own ("member.ready"); the value itself where none is."""
    key = f"{kind}.{value}"
    return label(key) if has_text("label", key) else value


def fact(key: str, value: str) -> str:
    """A fact's key and its value on a terminal: report.json's own in English."""
    return f"{word('key', key)}: {word('member', value) if key == 'state' else value}"


def changing(command: str) -> str:
    """What a command of a fix does: it changes something, at once or after it was tried."""
    flags = ("--dry-run=server", "--dry-run")  # at its end: what is quoted may say anything
    flag = next((flag for flag in flags if command.endswith(f" {flag}")), "")
    return label("changes.try", flag=flag) if flag else label("changes.now")


def left_out(report: Report) -> str:
    """The findings left out on purpose in a few words: code and object of each."""
    return listing(f"{finding.code} {finding.object}" for finding in report.skipped)


def beside_path(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without those that are shown beside the path ("dns.label", …)."""
    return {str(key): value for key, value in facts.items() if key not in _PATH_KEYS}
