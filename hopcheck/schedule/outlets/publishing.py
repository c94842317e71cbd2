"""What ``hopcheck run`` and ``hopcheck merge`` do with the outlets: fetch, tell, publish.

Nothing here changes a verdict or raises for a party that fails: it is a line in what is returned.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from hopcheck.catalogue.catalogue import text
from hopcheck.collect.web.deliver import deliver
from hopcheck.config.file import Config
from hopcheck.config.options import KEEP_DAYS, KEEP_RUNS, UsageError
from hopcheck.history.database import History, HistoryError
from hopcheck.history.index import update_index
from hopcheck.history.with_past import Fetch
from hopcheck.model import Report
from hopcheck.report.store import HISTORY, LATEST, slug
from hopcheck.schedule.fleet_model import FleetResult, Shard
from hopcheck.schedule.outlets.destination import (
    Destination,
    DestinationError,
    Directory,
    destination,
    in_parallel,
    stored,
)
from hopcheck.schedule.outlets.incidents import Message, Outcome, observe
from hopcheck.schedule.outlets.notify import Memory, notify
from hopcheck.schedule.outlets.settings import Outlets, read_outlets
from hopcheck.schedule.outlets.wording import title
from hopcheck.schedule.outlets.workspace import MEMORY, METRICS, Workspace

REPORTS = "reports"
MERGED = "shards/merged.json"
_POLL_S = 2.0


def outcome_of(result: FleetResult) -> Outcome:
    """A fleet run's result as the outlets tell it."""
    whole = result.complete and not result.problems
    return Outcome(
        observations=tuple(
            observe(r.report, owner=r.host.owner, link=r.host.link)
            for r in result.hosts
            # A defect is the suite's own trouble, not the host's.
            if r.report is not None and not r.defects
        ),
        quiet=tuple(slug(r.target) for r in result.skipped),
        known=tuple(slug(r.target) for r in result.hosts) if whole else None,
        runs=tuple(
            (Path(r.written).parent.name, Path(r.written).name) for r in result.hosts if r.written
        ),
        verdicts=Counter(report.verdict.value for report in result.reports),
        defects=len(result.defective),
        seconds=result.seconds,
        finished_at=result.finished_at,
    )


def _pushed(
    url: str, method: str, timeout: float | None, headers: Sequence[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """prometheus_client's handler, whose own knows no limit for the whole. Raises OSError."""

    def push() -> None:
        reason = deliver(method, url, data, dict(headers), limit_s=timeout or 10.0)
        if reason is not None:
            raise OSError(reason)

    return push


def expose(
    outcome: Outcome,
    outlets: Outlets,
    base: Path,
    *,
    reports: Iterable[Report] = (),
    shards: Sequence[str] = (),
    failed: Sequence[str] = (),
    instance: str = "",
) -> list[tuple[str, str]]:
    """Write the run's metrics to `base`, the textfile and the Pushgateway; what failed."""
    try:
        from prometheus_client import generate_latest, push_to_gateway

        from hopcheck.schedule.outlets.metrics import merged, of_hosts, of_run, registry
    except ImportError:
        wanted = outlets.textfile or outlets.pushgateway
        return [("metrics", "pip install 'hopcheck[synthetic]'")] if wanted else []
    hosts = merged(shards) if shards else of_hosts(reports)
    made = registry(hosts, of_run(outcome, failed))
    failures: list[tuple[str, str]] = []
    text = generate_latest(made)
    for path in (base / METRICS, *([Path(outlets.textfile)] if outlets.textfile else [])):
        try:
            Directory(path.parent).write(path.name, text)
        except DestinationError as error:
            failures.append(("metrics", str(error)))
    if outlets.pushgateway:
        try:
            push_to_gateway(
                outlets.pushgateway,
                job=outlets.job,
                registry=made,
                timeout=10,
                handler=_pushed,
                grouping_key={"instance": instance} if instance else None,
            )
        except (OSError, ValueError) as error:
            failures.append(("pushgateway", str(error)))
    return failures


class Publishing:
    """The outlets of one run: before it, what is fetched; after it, what is told and published.

    `reports` is the directory that the run writes to: the published one itself where that is a
    directory. Raises UsageError for a configuration that is wrong.
    """

    def __init__(self, config: Config, reports: str | None = None) -> None:
        self.outlets: Outlets = read_outlets(config.outlets, config.source)
        where = config.outlets.get("publish")
        configured = reports or config.defaults.get("reports")
        self.base = Path(str(configured or REPORTS))
        self.place: Destination = Directory(self.base)
        if where:
            self.place = destination(
                where,
                region=config.defaults.get("aws_region"),
                profile=config.defaults.get("aws_profile"),
            )
        self.failures: list[tuple[str, str]] = []
        self.workspace: Workspace | None = None
        if not isinstance(self.place, Directory):
            self.workspace = Workspace(self.base, self.place)
            self.failures = self.workspace.failures
        elif where and configured not in (None, where):
            raise UsageError(text("usage", "publish_reports", source=config.source, where=where))
        else:
            self.base = self.place.base
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

    def after(self, result: FleetResult) -> list[str]:
        """Tell and publish a run, or leave a shard's part for the merge; a line for each."""
        now = dt.datetime.now(dt.UTC)
        outcome = outcome_of(result)
        if self.workspace is not None:
            self.workspace.push_runs(self.base / name / run for name, run in outcome.runs)
        if result.shard is not None:
            self._leave(result.shard, outcome, result.reports)
            return self._lines()
        messages = self._tell(outcome, now)
        self._expose(outcome, reports=result.reports)
        self._push_state(outcome, now)
        return self._lines(messages)

    def merge(self, count: int, wait_s: float) -> tuple[list[str], list[str]]:
        """Merge the shards' runs: one index, one history, and the only one who notifies.

        Returns what to say of it, and the shards that published nothing in time. Raises
        DestinationError when it cannot be told what was merged before.
        """
        parts, missing = gather(self.place, count, wait_s)
        now = dt.datetime.now(dt.UTC)
        outcome = together(parts, whole=not missing, now=now)
        if self.workspace is not None:
            self.workspace.pull()
            self._fetch_heads(self.workspace, outcome.runs)
        messages = self._tell(outcome, now)
        self._expose(outcome, parts=[part.metrics for part in parts.values()])
        update_index(self.base, now)
        self._push_state(outcome, now)
        before = stored(self.place, MERGED, Merged) or Merged()
        finished = {key: part.outcome.finished_at for key, part in parts.items()}
        self.place.write(MERGED, msgspec.json.encode(Merged(before.finished | finished)))
        return self._lines(messages), missing

    def _lines(self, messages: Sequence[Message] = ()) -> list[str]:
        return [
            *(text("notify", "told", title=title(message)) for message in messages),
            *(text("notify", "failed", party=p, reason=words) for p, words in self.failures),
        ]

    def _leave(self, shard: Shard, outcome: Outcome, reports: Sequence[Report]) -> None:
        instance = f"shard {shard}"
        self.failures += expose(
            outcome, self.outlets, self.base, reports=reports, instance=instance
        )
        metrics = self.base / METRICS
        exposed = metrics.read_text("utf-8") if metrics.is_file() else ""
        try:
            key = part_key(shard.index, shard.count)
            self.place.write(key, msgspec.json.encode(Part(outcome, exposed)))
        except DestinationError as error:
            self.failures.append(("publish", str(error)))

    def _tell(self, outcome: Outcome, now: dt.datetime) -> tuple[Message, ...]:
        """Tell the sinks what changed.

        Where the memory of earlier runs cannot be read nobody is told anything: an incident that
        is known already would be told again.
        """
        if not self.outlets.sinks:
            return ()
        try:
            memory, told = notify(
                stored(self.place, MEMORY, Memory) or Memory(),
                outcome.observations,
                self.outlets,
                now=now,
                quiet=outcome.quiet,
                known=outcome.known,
            )
        except DestinationError as error:
            self.failures.append(("notifications", str(error)))
            return ()
        self.failures += told.failures
        try:
            self.place.write(MEMORY, msgspec.json.encode(memory))
        except DestinationError as error:
            self.failures.append(("notifications", str(error)))
        return told.messages

    def _expose(
        self, outcome: Outcome, *, reports: Sequence[Report] = (), parts: Sequence[str] = ()
    ) -> None:
        failed = [name for name, _ in self.failures]
        self.failures += expose(
            outcome, self.outlets, self.base, reports=reports, shards=parts, failed=failed
        )

    def _push_state(self, outcome: Outcome, now: dt.datetime) -> None:
        if self.workspace is not None:
            slugs = [name for name, _ in outcome.runs]
            self.workspace.push_state(slugs, (METRICS, "fleet.json"))
            self.workspace.sweep(slugs, now, *self._keep)

    def _fetch_heads(self, workspace: Workspace, runs: Sequence[tuple[str, str]]) -> None:
        """Each run's report.json, for the history and the index."""

        def one(run: tuple[str, str]) -> None:
            name, directory = run
            if not workspace.fetch(name, directory, ("report.json",)):
                where = f"{name}/{directory}"
                raise DestinationError(
                    text("note", "not_there", where=workspace.remote.name, name=where)
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


# --- what shards leave for the merge --------------------------------------------------------


class Part(Struct, frozen=True):
    """A shard's run as published (shards/I-of-N.json)."""

    outcome: Outcome
    metrics: str
    format: str = "hopcheck-shard-1"


class Merged(Struct, frozen=True):
    """When the parts that were merged last had finished, by their key."""

    finished: dict[str, str] = {}


def part_key(index: int, count: int) -> str:
    """Where a shard leaves its part."""
    return f"shards/{index}-of-{count}.json"


def gather(place: Destination, count: int, wait_s: float) -> tuple[dict[str, Part], list[str]]:
    """The parts that are newer than the last merge, by key; and the keys of those that are not.

    Waits up to `wait_s` for all of them. Raises DestinationError when the last merge cannot be
    told; a part that cannot be read counts as not there.
    """
    before = stored(place, MERGED, Merged) or Merged()
    keys = [part_key(index, count) for index in range(count)]
    found: dict[str, Part] = {}
    until = time.monotonic() + wait_s
    while True:
        for key in keys:
            part = found.get(key) or _part(place, key)
            if part is not None and part.outcome.finished_at > before.finished.get(key, ""):
                found[key] = part
        left = until - time.monotonic()
        if len(found) == count or left <= 0:
            return found, [key for key in keys if key not in found]
        time.sleep(min(_POLL_S, left))


def together(parts: dict[str, Part], *, whole: bool, now: dt.datetime) -> Outcome:
    """The parts as one run; `whole` says that no shard is missing."""
    outcomes = [part.outcome for part in parts.values()]
    known = [o.known for o in outcomes]
    return Outcome(
        observations=tuple(seen for o in outcomes for seen in o.observations),
        quiet=tuple(url for o in outcomes for url in o.quiet),
        known=tuple(url for urls in known for url in urls or ())
        if whole and all(urls is not None for urls in known)
        else None,
        runs=tuple(run for o in outcomes for run in o.runs),
        verdicts=sum((Counter(o.verdicts) for o in outcomes), Counter()),
        defects=sum(o.defects for o in outcomes),
        seconds=max((o.seconds for o in outcomes), default=0.0),
        finished_at=max((o.finished_at for o in outcomes), default=now.isoformat()),
    )


def _part(place: Destination, key: str) -> Part | None:
    try:
        return stored(place, key, Part)
    except DestinationError:
        return None
