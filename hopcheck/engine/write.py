"""The files of a run and of a replay."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopcheck.engine.host import HostSession
from hopcheck.history.database import History, HistoryError
from hopcheck.history.index import update_index
from hopcheck.history.retention import prune
from hopcheck.history.with_past import with_past
from hopcheck.model import Report, Step
from hopcheck.report.evidence import evidence_of, files_of, strictly
from hopcheck.report.store import run_name, slug, write_run

if TYPE_CHECKING:
    from hopcheck.history.with_past import Fetch


def write(
    host: HostSession, *, index: bool = True, record: bool = True, fetch: Fetch | None = None
) -> Path:
    """Write the run's files and return their directory. Raises OSError.

    The report is completed from the history first, and added to it; what goes wrong with the
    history is a note, the report stands without it. `index` and `record` False: reports/index.html
    and the history are left to whoever writes many hosts. `fetch` brings evidence of earlier runs
    that is kept elsewhere.
    """
    report = host.report
    if report is None:
        raise RuntimeError("there is no report to write yet")
    run, strict = host.run, host.run.options.redact_strict
    base, name = Path(run.reports), slug(report.target)
    now = dt.datetime.now(dt.UTC)
    with History(base) as history:
        try:
            if host.collection:
                report = with_past(
                    report,
                    host.snapshot(),
                    history,
                    base,
                    name,
                    strict=strict,
                    notes=host.notes,
                    fetch=fetch,
                )
        except HistoryError as error:
            host.notes.append(str(error))
        evidence = evidence_of(host.snapshot()) if host.collection else {}
        if strict:
            report, evidence = strictly(report, evidence)
        host.report = report
        defects = {(report.target.host, step): words for step, words in host.defects.items()}
        directory = run_name(base / name, now)
        link = f"{run.base_url.rstrip('/')}/{name}/{directory}/" if run.base_url else None
        where = f"{link}report.html" if link else f"{base / name / directory}"
        files = files_of(report, evidence, where, defects)
        host.written = write_run(
            base,
            name,
            report,
            files,
            now,
            all_selected=set(host.judgements) == set(Step),
            name=directory,
        )
        if record:
            try:
                history.record(name, report, directory)
                prune(history, base, name, now, run.keep_runs, run.keep_days)
            except HistoryError as error:
                host.notes.append(str(error))
        if history.said:
            host.notes.append(history.said)
    if index:
        update_index(base, now)
    return host.written


def write_replayed(report: Report, evidence: Any, base: Path) -> Path:
    """Write the run's files below `base`, under the time of the run that was recorded.

    It never becomes `latest` and is no run of the history. Raises OSError.
    """
    try:
        when = dt.datetime.fromisoformat(report.started_at)
    except ValueError:
        when = dt.datetime.fromtimestamp(0, dt.UTC)
    name = slug(report.target)
    directory = run_name(base / name, when)
    files = files_of(report, evidence, f"{base / name / directory}")
    written = write_run(base, name, report, files, when, all_selected=False, name=directory)
    update_index(base, dt.datetime.now(dt.UTC))
    return written
