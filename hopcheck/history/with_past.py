"""What the history adds to a report: since when, and what changed since the last healthy run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from hopcheck.catalogue.catalogue import text
from hopcheck.history.changes import changes
from hopcheck.history.database import History
from hopcheck.history.runs import Row
from hopcheck.model import Report, Snapshot, Verdict
from hopcheck.report.evidence import BadEvidenceError, load

_TRIED = 3  # healthy runs whose evidence is tried, newest first


# Brings files of a run that is kept elsewhere here: (slug, directory, names of files).
Fetch = Callable[[str, str, Sequence[str]], object]


def with_past(
    report: Report,
    snapshot: Snapshot,
    history: History,
    base: Path,
    slug: str,
    *,
    strict: bool,
    notes: list[str],
    fetch: Fetch | None = None,
) -> Report:
    """The report with `since`, `last_healthy`, `compared_with` and `changes`.

    A healthy or incomplete run has none of them. With `strict` nothing is compared: the same
    address has another placeholder in every run. A defect of the comparison becomes one of the
    `notes`. Raises HistoryError.
    """
    history.catch_up(slug)
    if report.verdict is Verdict.HEALTHY or not report.complete:
        return report
    now = report.started_at
    before = history.newest(slug, until=now)
    healthy = history.healthy(slug, until=now, limit=_TRIED)
    since = now
    if before and (before.verdict, before.fingerprint) == (report.verdict, report.fingerprint):
        since = before.since or before.started_at
    last_healthy = healthy[0].started_at if healthy else None
    report = replace(report, since=since, last_healthy=last_healthy)
    if strict or report.verdict not in (Verdict.BROKEN, Verdict.DEGRADED):
        return report
    for row in healthy:
        found = _evidence(base, row, fetch)
        if found is None:
            continue
        try:
            different = changes(found, snapshot, report.root_causes)
        except Exception as error:  # noqa: BLE001  # said in a note: the report stands without it
            words = f"{type(error).__name__}: {error}"
            notes.append(text("note", "no_comparison", run=row.path, error=words))
            return report
        return replace(report, compared_with=row.started_at, changes=different)
    return report


def _evidence(base: Path, row: Row, fetch: Fetch | None) -> Snapshot | None:
    if row.strict:
        return None
    if fetch is not None:
        fetch(row.slug, row.directory, ("evidence.json",))
    try:
        return load(base / row.path)
    except BadEvidenceError:
        return None
