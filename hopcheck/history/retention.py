"""How many runs stay: by count and by age, but always `latest` and the last healthy one."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from hopcheck.history.database import History
from hopcheck.history.runs import RUN, run_directories
from hopcheck.report.store import LATEST

# The strip of days and the time of the last healthy run outlive the directories.
_ROW_DAYS = 35
_ROWS = 2_500  # of a host: a run every five minutes for more than eight days
_DAY_S = 86_400
_AT_ONCE = 50  # directories removed by one run: a lower limit takes effect over several
_LEFT_BEHIND_S = 3_600  # hidden directories of killed runs


def prune(
    history: History, base: Path, slug: str, now: dt.datetime, keep_runs: int, keep_days: int
) -> int:
    """Remove the runs of `slug` beyond `keep_runs` or older than `keep_days`; how many went.

    0 means no limit. A directory disappears by one rename before its files are deleted. What
    cannot be removed stays. Raises HistoryError.
    """
    home = base / slug
    names = run_directories(home)
    kept = frozenset({_latest(home)})
    gone = beyond(history, slug, names, now, keep_runs, keep_days, kept)
    removed = sum(_remove(home, name) for name in gone[:_AT_ONCE])
    _sweep(home, now)
    oldest = now.timestamp() - max(keep_days, _ROW_DAYS) * _DAY_S if keep_days else 0.0
    history.forget(slug, oldest, max(keep_runs, _ROWS), frozenset(names) | kept)
    return removed


def beyond(
    history: History,
    slug: str,
    names: Sequence[str],
    now: dt.datetime,
    keep_runs: int,
    keep_days: int,
    kept: frozenset[str] = frozenset(),
) -> list[str]:
    """Those of the run directories `names` (oldest first) that are to go.

    The newest and the last healthy run stay, and those of `kept`. Raises HistoryError.
    """
    newest = history.newest(slug)
    stay = {row.directory for row in history.healthy(slug)} | kept | set(names[-1:])
    stay |= {newest.directory} if newest else set()
    limit = (now - dt.timedelta(days=keep_days)).strftime("%Y%m%dT%H%M%SZ") if keep_days else ""
    over = set(names[:-keep_runs]) if keep_runs else set()
    return [name for name in names if (name in over or name < limit) and name not in stay]


def _latest(home: Path) -> str:
    """The name of the run that `latest` is; "" where it is a copy or missing."""
    try:
        return (home / LATEST).readlink().name
    except OSError:
        return ""


def _remove(home: Path, name: str) -> bool:
    hidden = home / f".gone-{name}-{os.getpid()}"
    try:
        (home / name).rename(hidden)
    except OSError:
        return False
    shutil.rmtree(hidden, ignore_errors=True)
    return True


def _sweep(home: Path, now: dt.datetime) -> None:
    """Delete what killed runs left: directories whose hidden name holds a run's, an hour old."""
    with contextlib.suppress(OSError):
        for path in home.iterdir():
            if not path.name.startswith(".") or RUN.search(path.name) is None:
                continue
            with contextlib.suppress(OSError):
                if now.timestamp() - path.lstat().st_mtime < _LEFT_BEHIND_S:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
