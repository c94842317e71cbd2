"""A reports directory that is kept elsewhere: fetched before a run, published after it.

What a run needs of the past is small: the history and the notifications' memory, and for a host
that is not healthy the evidence of its last healthy run. Everything that was written goes up in
an order in which a stable link never leads to half a report: a run's own directory first, then
the copy at `latest` with report.html last, then the index.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from zlib import crc32

from hopcheck.catalogue.catalogue import text
from hopcheck.history.database import History, HistoryError
from hopcheck.history.retention import beyond
from hopcheck.history.runs import RUN
from hopcheck.report.store import HISTORY, INDEX, LATEST
from hopcheck.schedule.outlets.destination import (
    ChangedMeanwhileError,
    Destination,
    DestinationError,
    in_parallel,
)

# In this order: whoever opens report.html finds the rest.
FILES = ("evidence.json", "junit.xml", "summary.md", "report.json", "report.html")
METRICS = "metrics.prom"
MEMORY = "notified.json"
_TRIES = 3
_SWEPT_EACH = 12  # retention looks at a twelfth of the hosts in each run


class Workspace:
    """The reports directory `base` and the destination that it is published to.

    `failures` collects what went wrong as ("publish", words): publishing never changes a verdict.
    """

    def __init__(self, base: Path, remote: Destination) -> None:
        self.base = base
        self.remote = remote
        self.failures: list[tuple[str, str]] = []
        self._history_version = ""

    def _failed(self, *lines: str) -> None:
        self.failures += [("publish", words) for words in lines]

    def pull(self) -> None:
        """Fetch the history. Raises DestinationError when it cannot be told what there is."""
        self.base.mkdir(parents=True, exist_ok=True)
        held = self.remote.read(HISTORY)
        self._history_version = held.version if held is not None else ""
        if held is not None:
            (self.base / HISTORY).write_bytes(held)

    def fetch(self, slug: str, directory: str, names: Sequence[str]) -> bool:
        """Bring files of a published run here; whether all of them are here now."""
        home = self.base / slug / directory
        for name in names:
            if (home / name).is_file():
                continue
            try:
                held = self.remote.read(f"{slug}/{directory}/{name}")
            except DestinationError as error:
                self._failed(str(error))
                return False
            if held is None:
                return False
            home.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(held)
        return True

    def push_runs(self, runs: Iterable[Path]) -> None:
        """Publish run directories of `base`, and `latest` where it is one of them."""
        self._failed(*in_parallel(self._push_run, list(runs)))

    def _push_run(self, run: Path) -> None:
        slug = run.parent.name
        contents = {name: (run / name).read_bytes() for name in FILES if (run / name).is_file()}
        for name, data in contents.items():
            self.remote.write(f"{slug}/{run.name}/{name}", data)
        if (run.parent / LATEST).resolve() != run.resolve():
            return
        for name, data in contents.items():
            self.remote.write(f"{slug}/{LATEST}/{name}", data)

    def push_state(self, slugs: Sequence[str], others: Sequence[str] = ()) -> None:
        """Publish the history, the index and the files `others` of `base`."""
        try:
            self._push_history(slugs)
        except (DestinationError, HistoryError) as error:
            self._failed(str(error))

        def put(name: str) -> None:
            self.remote.write(name, (self.base / name).read_bytes())

        there = [name for name in (*others, INDEX) if (self.base / name).is_file()]
        self._failed(*in_parallel(put, there))

    def _push_history(self, slugs: Sequence[str]) -> None:
        """Where another run was faster, its history is taken and this run's rows added to it."""
        path = self.base / HISTORY
        for _ in range(_TRIES):
            if not path.is_file():
                return
            try:
                self.remote.write(HISTORY, path.read_bytes(), replaces=self._history_version)
            except ChangedMeanwhileError:
                self.pull()
                with History(self.base) as history:
                    for slug in slugs:
                        history.catch_up(slug)
            else:
                return
        raise DestinationError(text("note", "too_many", where=self.remote.name, name=HISTORY))

    def sweep(self, slugs: Sequence[str], now: dt.datetime, keep_runs: int, keep_days: int) -> None:
        """Delete published runs beyond what is kept, of a part of the hosts in each run."""
        turn = int(now.timestamp() // 300) % _SWEPT_EACH
        mine = [slug for slug in slugs if crc32(slug.encode()) % _SWEPT_EACH == turn]
        sweep = partial(self._sweep, now=now, keep_runs=keep_runs, keep_days=keep_days)
        self._failed(*in_parallel(sweep, mine))

    def _sweep(self, slug: str, now: dt.datetime, keep_runs: int, keep_days: int) -> None:
        names = [name for name in self.remote.children(f"{slug}/") if RUN.fullmatch(name)]
        with History(self.base) as history:
            try:
                gone = beyond(history, slug, names, now, keep_runs, keep_days)
            except HistoryError as error:
                raise DestinationError(str(error)) from None
        for name in gone:
            self.remote.delete_below(f"{slug}/{name}/")
