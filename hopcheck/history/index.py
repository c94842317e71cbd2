"""reports/index.html: a row for each host, from its newest run and from the history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hopcheck.history.database import History, HistoryError
from hopcheck.history.runs import run_directories
from hopcheck.report.labels import label
from hopcheck.report.store import INDEX, LATEST, Day, IndexRow, locked, replace_file

DAYS = 7


def read_index(base: Path, now: dt.datetime) -> list[IndexRow]:
    """The newest run of each slug in `base`, sorted by host; an unreadable one says so.

    Days are counted back from `now`. Without a history that can be read the rows have none.
    """
    rows = []
    days = _days(base, now)
    for home in sorted(path for path in base.iterdir() if path.is_dir()):
        run = _newest(home)
        if run is not None:
            rows.append(_row(home, run, days.get(home.name, ())))
    return sorted(rows, key=lambda row: (row.host, row.url))


def _days(base: Path, now: dt.datetime) -> Mapping[str, tuple[Day, ...]]:
    try:
        with History(base) as history:
            return history.all_days(now.isoformat(), DAYS)
    except HistoryError:
        # Whoever wrote the run has said so; the index stands without it.
        return {}


def _newest(home: Path) -> Path | None:
    latest = home / LATEST
    if (latest / "report.json").is_file():
        return latest
    runs = run_directories(home)
    return home / runs[-1] if runs else None


def _row(home: Path, run: Path, days: tuple[Day, ...]) -> IndexRow:
    link = f"{home.name}/{run.name}/report.html"
    try:
        row = msgspec.json.decode((run / "report.json").read_bytes(), type=IndexRow)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return IndexRow(home.name, "", "unknown", label("unreadable"), "", link, days=days)
    return msgspec.structs.replace(row, link=link, days=days)


def update_index(base: Path, now: dt.datetime) -> Path:
    """Write index.html from what is in `base`, atomically; its path. Raises OSError."""
    from hopcheck.report.html import render_index

    with locked(base):
        replace_file(base / INDEX, render_index(read_index(base, now)))
    return base / INDEX
