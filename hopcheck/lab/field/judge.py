"""Whether a diagnosis of a reported state is right, half right or wrong."""

from __future__ import annotations

import re
from typing import Any

from hopcheck.lab.field.gallery import Named, Report

_FAILS = frozenset({"broken", "degraded"})


def judge(report: dict[str, Any], row: Report) -> tuple[str, bool]:
    """What is wrong with the diagnosis ("" where nothing is), and whether it is half right.

    Right: the verdict says that something is wrong, the one root cause is one of the expected, in
    the right words, and no other finding that follows from nothing is about an innocent. Half
    right: the expected object is named, by a root cause among others, or by a warning while
    nobody else is the root cause, none of those is innocent, and nothing is advised that must not.
    """
    if row.works:
        return alarms(report), False
    causes: list[dict[str, Any]] = report["root_causes"]
    right = [one for one in causes if _is_expected(one, row)]
    others = [one for one in causes if one not in right]
    accused = [
        one
        for one in _loud(report)
        if _name(one) in row.innocent and one not in right and not one["caused_by"]
    ]
    guilty = [one for one in others if one in accused]
    wrong = []
    if not right:
        wrong.append(f"not named: {' or '.join(map(str, row.expected))}")
    if others:
        wrong.append(f"accused: {', '.join(map(_told, others))}")
    if rest := [one for one in accused if one not in others]:
        wrong.append(f"a finding at {', '.join(map(_told, rest))}")
    if report["verdict"] not in _FAILS:
        wrong.append(f"the verdict is {report['verdict']}")
    wrong += [f"does not say {row.says!r}" for one in right if not re.search(row.says, _words(one))]
    harm = [found[0] for one in right if (found := _forbidden(one, row))]
    wrong += [f"says {words!r}" for words in harm]
    named = bool(right) or (not causes and any(_is_expected(one, row) for one in _loud(report)))
    return "; ".join(wrong), bool(wrong) and named and not guilty and not harm


def alarms(report: dict[str, Any]) -> str:
    """What is wrong with a report of a state that works; "" where nothing is."""
    if found := ", ".join(f"{one['severity']} {_told(one)}" for one in _loud(report)):
        return f"false alarm: {found}"
    return "" if report["verdict"] == "healthy" else f"the verdict is {report['verdict']}"


def _loud(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Every finding above an information."""
    every = [one for step in report["steps"] for one in step["findings"]]
    return [one for one in every if one["severity"] != "info"]


def _is_expected(finding: dict[str, Any], row: Report) -> bool:
    return any(_matches(finding, one) for one in row.expected)


def _matches(finding: dict[str, Any], wanted: Named) -> bool:
    thing = finding["object"]
    place = (thing["kind"], thing.get("namespace") or None, thing["name"])
    return (
        finding["step"] == wanted.step
        and place == (wanted.kind, wanted.namespace, wanted.name)
        and wanted.code in (None, finding["code"])
    )


def _words(finding: dict[str, Any]) -> str:
    parts = [finding["title"], finding["message"], finding["fix"], *finding["commands"]]
    return "\n".join(parts)


def _forbidden(finding: dict[str, Any], row: Report) -> re.Match[str] | None:
    return re.search(row.never, _words(finding)) if row.never else None


def _name(finding: dict[str, Any]) -> str:
    thing = finding["object"]
    where = f"{thing['namespace']}/" if thing.get("namespace") else ""
    return f"{thing['kind']} {where}{thing['name']}"


def _told(finding: dict[str, Any]) -> str:
    return f"{finding['code']} {_name(finding)}"
