"""Since when, and what changed: the words of both, the same in every report (pure)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from hopcheck.model import Change, Report
from hopcheck.report.labels import label
from hopcheck.report.text import in_words, one_line

_VALUE = 60  # cells of a value in a line
_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60))


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def clock(moment: str, beside: str) -> str:
    """`moment` (RFC 3339) in UTC, short: "14:03:22Z", with its date unless `beside` has the same.

    What is no time is given back as it is.
    """
    when, other = _moment(moment), _moment(beside)
    if when is None:
        return moment
    when = when.astimezone(dt.UTC)
    if other is not None and other.astimezone(dt.UTC).date() == when.date():
        return when.strftime("%H:%M:%SZ")
    return when.strftime("%Y-%m-%d %H:%M:%SZ")


def span(earlier: str, later: str) -> str:
    """The time between two moments in its largest whole unit: "42 min"; "" where unknown."""
    begin, end = _moment(earlier), _moment(later)
    if begin is None or end is None or end < begin:
        return ""
    seconds = int((end - begin).total_seconds())
    for unit, size in _UNITS:
        if seconds >= size:
            return label(f"span.{unit}", count=seconds // size)
    return label("span.seconds", count=seconds)


def since_words(report: Report) -> str:
    """Since when it is as it is, bounded by the last healthy run; "" where nothing is known."""
    if report.since is None:
        return ""
    now = report.started_at
    healthy = report.last_healthy
    since = clock(report.since, now)
    if healthy is None:
        key = "since.first" if report.since == now else "since.known"
        return label(key, since=since, span=span(report.since, now))
    key = "since.first_bounded" if report.since == now else "since.bounded"
    return label(key, since=since, span=span(report.since, now), healthy=clock(healthy, now))


def value_words(value: Any, limit: int = _VALUE) -> str:
    """A value before or after, on one line of at most `limit` cells."""
    return one_line(in_words(value), limit)


def by_words(change: Change, beside: str) -> str:
    """When and by whom, as far as it is told: "14:03:22Z, kubectl-edit"; "" where it is not."""
    said = (clock(change.at, beside) if change.at else "", change.by or "")
    return ", ".join(one_line(part, _VALUE) for part in said if part)


def change_line(change: Change, beside: str, limit: int = _VALUE) -> str:
    """The whole change on one line: its object, "created" or the field and its two values, by whom.

    Its time is short beside the moment `beside`.
    """
    if change.field == "exists":
        what = label("created" if change.after else "deleted")
    else:
        before, after = value_words(change.before, limit), value_words(change.after, limit)
        what = f"{one_line(change.field, 2 * limit)} {before} → {after}"
    line, by = f"{one_line(str(change.object), 2 * limit)} {what}", by_words(change, beside)
    return f"{line}, {by}" if by else line


def changes_words(report: Report, most: int, limit: int = _VALUE) -> Sequence[str]:
    """A line for each of the first `most` changes, and one that counts the others.

    Where a healthy run was compared and nothing differs, one line says so; none where nothing
    was compared.
    """
    if report.compared_with is None:
        return ()
    if not report.changes:
        return (label("no_changes", time=clock(report.compared_with, report.started_at)),)
    shown = report.changes[: most if len(report.changes) <= most else max(1, most - 1)]
    lines = [change_line(change, report.started_at, limit) for change in shown]
    hidden = len(report.changes) - len(shown)
    return (*lines, label("more", count=hidden)) if hidden else tuple(lines)
