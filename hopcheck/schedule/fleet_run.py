"""A fleet run: every host by its first look, those that are not healthy by all there is to see.

Hosts go their way alone: whatever one of them meets (a hang, a failing judge) ends in its own
result. What they share is asked by `hopcheck.collect.shared`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hopcheck.collect.gather import Collection
from hopcheck.collect.shared import Shared
from hopcheck.config.options import Misnamed
from hopcheck.engine.checklist import shipped_rules
from hopcheck.engine.host import HostSession
from hopcheck.model import Verdict
from hopcheck.schedule.fleet_model import FleetHost, FleetPlan, FleetResult, HostResult
from hopcheck.schedule.guard import limited
from hopcheck.schedule.windows import window_at
from hopcheck.steps import PARTIES

# Writes a host's files and returns their directory. Raises OSError.
Write = Callable[[HostSession], Path]

# Runs a host's own checks and adds them to its report.
OwnChecks = Callable[[HostSession], None]

PROBED_AT_ONCE = 4  # their judging must not eat up the time limits of each other's probes
VIEW_SECONDS = 60.0  # a shared view older than this accuses nobody: it is taken afresh
_JUDGE_SECONDS = 3.0  # a judge takes a millisecond
_WRITERS = 4
_NET = 15.0  # seconds beyond all limits of a host's own


class FleetRun:
    """One run over `plan.hosts`.

    `concurrency` bounds the hosts that are asked at the same time, `write` is called in a thread.
    `done` holds the results so far, also when the run is interrupted.
    """

    def __init__(
        self,
        plan: FleetPlan,
        shared: Shared,
        *,
        concurrency: int,
        write: Write | None = None,
        own_checks: OwnChecks | None = None,
    ) -> None:
        self.plan = plan
        self.done: dict[int, HostResult] = {}
        self._shared = shared
        self._views = [_View(shared)]  # the newest last
        self._closed = (0, 0)  # requests and calls of views that are no more
        self._write = write
        self._own_checks = own_checks
        self._began = time.monotonic()
        self._started_at = _now()
        self._slots = asyncio.Semaphore(concurrency)
        self._probing = asyncio.Semaphore(PROBED_AT_ONCE)
        self._writers = ThreadPoolExecutor(_WRITERS, "hopcheck-write")

    async def run(self) -> FleetResult:
        """Diagnose every host. The shared view is closed by whoever made it."""
        try:
            await asyncio.gather(
                *(self._host(place, host) for place, host in enumerate(self.plan.hosts))
            )
        finally:
            self._writers.shutdown(wait=True)
            await asyncio.gather(*(view.shared.close() for view in self._views[1:]))
        return self.result()

    def result(self, *, complete: bool = True) -> FleetResult:
        """The run so far."""
        views = [view.shared for view in self._views]
        return FleetResult(
            started_at=self._started_at,
            finished_at=_now(),
            hosts=tuple(self.done[place] for place in sorted(self.done)),
            left_out=self.plan.left_out,
            problems=self.plan.problems,
            shard=self.plan.shard,
            complete=complete,
            api_requests=self._closed[0] + sum(view.api_requests for view in views),
            aws_calls=self._closed[1] + sum(view.aws_calls for view in views),
            seconds=time.monotonic() - self._began,
        )

    async def _host(self, place: int, host: FleetHost) -> None:
        started_at = _now()
        window = window_at(host.maintenance, dt.datetime.now(dt.UTC))
        if window is not None:
            found = HostResult(host, started_at, started_at, maintenance=window.text)
        else:
            found = await self._answered(host, started_at)
        self.done[place] = found

    async def _answered(self, host: FleetHost, started_at: str) -> HostResult:
        """The result of a host that is asked, its files written."""
        session = HostSession(host.run)
        session.select(shipped_rules())
        probed = False
        where: str | None = None
        problem: str | None = None
        defects: dict[str, str] = {}
        try:
            probed = await self._diagnose(session)
            loop = asyncio.get_running_loop()
            if self._own_checks is not None and host.run.options.checks:
                await loop.run_in_executor(self._writers, self._own_checks, session)
            if self._write is not None:
                try:
                    writing = loop.run_in_executor(self._writers, self._write, session)
                    where = str(await _to_its_end(writing))
                except OSError as error:
                    problem = str(error)
        except Misnamed:
            raise
        except Exception:  # noqa: BLE001  # a defect of this host's result, the others go on
            defects[""] = traceback.format_exc()
        report = session.report
        return HostResult(
            host,
            started_at,
            _now(),
            seconds=report.duration_s if report is not None else 0.0,
            report=report,
            defects=defects | {str(step): words for step, words in session.defects.items()},
            probed=probed,
            written=where,
            write_error=problem,
        )

    # --- one host ----------------------------------------------------------------------------

    async def _diagnose(self, session: HostSession) -> bool:
        """Judge the first look, and where it is not healthy all there is (then True)."""
        run = session.run
        limit = 2 * run.options.deadline + _NET
        async with self._slots:
            collection = Collection(run.target, run.options, frozenset(PARTIES), self._shared)
            async with asyncio.timeout(limit):
                await collection.look()
        async with asyncio.timeout(limit):
            await collection.join()
        self._judge(session, collection)
        if session.defects or (session.report and session.report.verdict is Verdict.HEALTHY):
            return False
        async with self._probing:
            view = await self._recent()
            view.users += 1
            try:
                collection = Collection(run.target, run.options, frozenset(PARTIES), view.shared)
                async with asyncio.timeout(limit):
                    await collection.collect()
            finally:
                view.users -= 1
        self._judge(session, collection)
        return True

    def _judge(self, session: HostSession, collection: Collection) -> None:
        session.take(collection, collected=True)
        with limited(_JUDGE_SECONDS):
            session.judge_the_rest()
            session.assess()

    async def _recent(self) -> _View:
        """The shared view, or another where it is too old to accuse anybody by it."""
        newest = self._views[-1]
        if newest.shared.run.now() < VIEW_SECONDS:
            return newest
        fresh = _View(Shared(newest.shared.run.options))
        old = [view for view in self._views[1:] if not view.users]
        self._views = [view for view in self._views if view not in old] + [fresh]
        for view in old:
            requests, calls = self._closed
            self._closed = (requests + view.shared.api_requests, calls + view.shared.aws_calls)
            await view.shared.close()
        return fresh


async def _to_its_end(writing: asyncio.Future[Path]) -> Path:
    """The directory written, also where the run is interrupted meanwhile: what is kept is told."""
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        return await writing


class _View:
    """A shared view and how many hosts use it now."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.users = 0


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
