"""What ``hopcheck run`` and ``hopcheck merge`` do with the outlets: fetch, tell, publish."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from hopcheck.catalogue.catalogue import text
from hopcheck.config.file import Config
from hopcheck.config.options import KEEP_DAYS, KEEP_RUNS, UsageError
from hopcheck.history.database import History, HistoryError
from hopcheck.history.index import update_index
from hopcheck.history.with_past import Fetch
from hopcheck.model import Report
from hopcheck.report.store import HISTORY, LATEST, slug
from hopcheck.schedule.fleet_model import FleetResult
from hopcheck.schedule.fleet_shards import Shard
from hopcheck.schedule.outlets import shards
from hopcheck.schedule.outlets.after import expose, outcome_of, tell
from hopcheck.schedule.outlets.destination import (
    Destination,
    DestinationError,
    Directory,
    destination,
    in_parallel,
)
from hopcheck.schedule.outlets.incidents import Outcome
from hopcheck.schedule.outlets.settings import Outlets, read_outlets
from hopcheck.schedule.outlets.wording import title
from hopcheck.schedule.outlets.workspace import METRICS, Workspace

REPORTS = "reports"


class Told(Struct, frozen=True):
    """What the outlets of a run did, for the terminal and the summary."""

    messages: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()

    def lines(self) -> list[str]:
        """A line for each."""
        return [
            *(text("notify", "told", title=words) for words in self.messages),
            *(text("notify", "failed", party=p, reason=words) for p, words in self.failures),
        ]


class Publishing:
    """The outlets of one run: before it, what is fetched; after it, what is told and published.

    `reports` is the directory that the run writes to: the published one itself where that is a
    directory. Raises UsageError for a configuration that is wrong.
    """

    def __init__(self, config: Config, reports: str | None = None) -> None:
        self.outlets: Outlets = read_outlets(config.outlets, config.source)
        where = config.outlets.get("publish")
        configured = reports or config.defaults.get("reports")
        self.place: Destination = (
            destination(
                where,
                region=config.defaults.get("aws_region"),
                profile=config.defaults.get("aws_profile"),
            )
            if where
            else Directory(Path(str(configured or REPORTS)))
        )
        if isinstance(self.place, Directory):
            if where and configured not in (None, where):
                raise UsageError(
                    text("usage", "publish_reports", source=config.source, where=where)
                )
            self.base = self.place.base
        else:
            self.base = Path(str(configured or REPORTS))
        here = isinstance(self.place, Directory)
        self.workspace = None if here else Workspace(self.base, self.place)
        self.failures: list[tuple[str, str]] = []
        self._keep = (
            int(config.defaults.get("keep_runs", KEEP_RUNS)),
            int(config.defaults.get("keep_days", KEEP_DAYS)),
        )

    @property
    def fetch(self) -> Fetch | None:
        """Brings evidence of earlier runs here, where they are published elsewhere."""
        return self.workspace.fetch if self.workspace is not None else None

    def before(self) -> None:
        """Fetch the history; without it the run goes on, and says so."""
        if self.workspace is None:
            return
        try:
            self.workspace.pull()
        except DestinationError as error:
            self.failures.append(("publish", str(error)))
            # Written over, it would be lost: what cannot be read is not replaced.
            self.workspace = None

    def bring_heads(self, result: FleetResult) -> None:
        """The newest reports of hosts that were left out this time, for the index."""
        if self.workspace is not None and result.shard is None:
            for skipped in result.skipped:
                self.workspace.fetch(slug(skipped.target), LATEST, ("report.json",))
            self._note()

    def after(self, result: FleetResult) -> Told:
        """Tell and publish a run, or leave a shard's part for the merge."""
        now = dt.datetime.now(dt.UTC)
        outcome = outcome_of(result)
        self._push_runs(outcome.runs)
        reports = [r.report for r in result.diagnosed if r.report is not None]
        if result.shard is not None:
            self._leave(result.shard, outcome, reports)
            return Told(failures=tuple(self.failures))
        messages = self._tell(outcome, now)
        failed = [name for name, _ in self.failures]
        self.failures += expose(outcome, self.outlets, self.base, reports=reports, failed=failed)
        self._push_state(outcome, now)
        return Told(messages, tuple(self.failures))

    def _push_runs(self, runs: Sequence[tuple[str, str]]) -> None:
        if self.workspace is not None:
            self.workspace.push_runs(self.base / name / directory for name, directory in runs)
            self._note()

    def _leave(self, shard: Shard, outcome: Outcome, reports: Sequence[Report]) -> None:
        instance = f"shard {shard}"
        self.failures += expose(
            outcome, self.outlets, self.base, reports=reports, instance=instance
        )
        metrics = self.base / METRICS
        exposed = metrics.read_text("utf-8") if metrics.is_file() else ""
        try:
            shards.leave(self.place, shard.index, shard.count, shards.Part(outcome, exposed))
        except DestinationError as error:
            self.failures.append(("publish", str(error)))

    def _tell(self, outcome: Outcome, now: dt.datetime) -> tuple[str, ...]:
        messages, failures = tell(outcome, self.outlets, self.place, now)
        self.failures += failures
        return tuple(title(message) for message in messages)

    def _push_state(self, outcome: Outcome, now: dt.datetime) -> None:
        if self.workspace is None:
            return
        slugs = [name for name, _ in outcome.runs]
        self.workspace.push_state(slugs, (METRICS, "fleet.json"))
        self.workspace.sweep(slugs, now, *self._keep)
        self._note()

    def _note(self) -> None:
        if self.workspace is not None:
            self.failures += [("publish", words) for words in self.workspace.notes]
            self.workspace.notes.clear()

    # --- merging shards ----------------------------------------------------------------------

    def merge(self, count: int, wait_s: float) -> tuple[Told, list[str]]:
        """Merge the shards' runs: one index, one history, and the only one who notifies.

        Returns what was told, and the shards that published nothing in time. Raises
        DestinationError when it cannot be told what was merged before.
        """
        parts, missing = shards.gather(self.place, count, wait_s)
        now = dt.datetime.now(dt.UTC)
        outcome = shards.together(parts, whole=not missing, now=now)
        if self.workspace is not None:
            self.workspace.pull()
            self._fetch_heads(outcome.runs)
        messages = self._tell(outcome, now)
        self.failures += expose(
            outcome,
            self.outlets,
            self.base,
            shards=[part.metrics for part in parts.values()],
            failed=[name for name, _ in self.failures],
        )
        update_index(self.base, now)
        self._push_state(outcome, now)
        shards.remember(self.place, parts)
        return Told(messages, tuple(self.failures)), missing

    def _fetch_heads(self, runs: Sequence[tuple[str, str]]) -> None:
        """Each run's report.json, for the history and the index."""
        workspace = self.workspace
        if workspace is None:
            return

        def one(run: tuple[str, str]) -> None:
            name, directory = run
            if not workspace.fetch(name, directory, ("report.json",)):
                raise DestinationError(
                    text(
                        "note", "not_there", where=workspace.remote.name, name=f"{name}/{directory}"
                    )
                )
            latest = self.base / name / LATEST
            if not latest.exists():
                latest.symlink_to(directory, target_is_directory=True)

        self.failures += [("publish", words) for words in in_parallel(one, runs)]
        try:
            with History(self.base) as history:
                for name, _ in runs:
                    history.catch_up(name)
        except HistoryError as error:
            self.failures.append((HISTORY, str(error)))
