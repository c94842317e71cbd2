"""One invocation: which hosts and steps were selected, their evidence, judgements and reports."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hopcheck import steps as judges
from hopcheck.collect.gather import Collection
from hopcheck.config.options import HostRun
from hopcheck.config.target import without_query_values
from hopcheck.model import Gap, Judgement, Report, Snapshot, Step, StepResult, Why
from hopcheck.verdict.assess import assess

if TYPE_CHECKING:
    from hopcheck.history.with_past import Fetch


class HostSession:
    """Everything about one host of the invocation."""

    def __init__(self, run: HostRun) -> None:
        self.run = run
        self.selected: set[Step] = set()
        self.parties: set[str] = set()
        self.collection: Collection | None = None
        self.collected = False
        self.judgements: dict[Step, Judgement] = {}
        self.defects: dict[Step, str] = {}
        self.report: Report | None = None
        self.written: Path | None = None
        self.write_error: str | None = None
        self.fetch: Fetch | None = None  # for runs that are published elsewhere
        self.notes: list[str] = []  # what else is to be said on standard error, a line each

    def snapshot(self) -> Snapshot:
        """The evidence so far. Raises RuntimeError before anything was collected."""
        if self.collection is None:
            raise RuntimeError("no evidence was collected yet")
        return self.collection.snapshot()

    def durations(self) -> dict[Step, float]:
        """Seconds that each step's own party took."""
        spent = self.collection.durations if self.collection is not None else {}
        return {step: spent.get(party, 0.0) for step, party in _OWN_PARTY.items()}


_OWN_PARTY = {
    Step.DNS: "dns",
    Step.TARGET_HEALTH: "aws",
    Step.TRAEFIK_SERVICE: "kube",
    Step.INGRESS: "kube",
    Step.ENDPOINTS: "kube",
    Step.TRAEFIK_LOGS: "traefik",
    Step.REQUEST: "http",
}


class Session:
    """The hosts of one invocation and what is done with them, in order.

    `on_step` is told each step's result; `on_event` which party has answered; `keep` says whether
    a host's report is to be written.
    """

    def __init__(
        self,
        runs: tuple[HostRun, ...],
        on_start: Callable[[str], None] = lambda _host: None,
        on_event: Callable[[str], None] = lambda _text: None,
        on_step: Callable[[StepResult], None] = lambda _step: None,
        keep: Callable[[HostSession], bool] = lambda _host: True,
    ) -> None:
        self.hosts = {run.target.url: HostSession(run) for run in runs}
        self._on_start = on_start
        self._on_event = on_event
        self._on_step = on_step
        self.keep = keep

    def select(self, url: str, step: Step | None, parties: frozenset[str]) -> None:
        """Note that a check of `step` (None: a user's own) reads `parties` for `url`."""
        host = self.hosts[url]
        host.parties |= parties
        if step is not None:
            host.selected.add(step)

    def ensure_collected(self, url: str) -> HostSession:
        """Collect for every selected host at once, on the first call."""
        waiting = [h for h in self.hosts.values() if h.parties and h.collection is None]
        if waiting:
            for host in waiting:
                run = host.run
                host.collection = Collection(run.target, run.options, frozenset(host.parties))
            self._on_start(", ".join(host.run.target.host for host in waiting))
            asyncio.run(self._collect(waiting))
        return self.hosts[url]

    async def _collect(self, hosts: list[HostSession]) -> None:
        async def one(host: HostSession) -> None:
            async with slots:
                if host.collection is not None:
                    await host.collection.collect(self._on_event)
                    host.collected = True

        slots = asyncio.Semaphore(8)
        await asyncio.gather(*(one(host) for host in hosts))

    def step(self, url: str, step: Step) -> StepResult:
        """Judge `step` on the host's evidence and give its result (causes not yet attributed)."""
        host = self.ensure_collected(url)
        try:
            host.judgements[step] = judges.judge(step, host.snapshot())
        except Exception:
            host.defects[step] = traceback.format_exc()
            raise
        result = assessed(host, complete=True).steps[step.number - 1]
        self._on_step(result)
        return result

    def finish(self) -> list[HostSession]:
        """Make the reports of all hosts; steps that were cut short become unknown."""
        done = []
        for host in self.hosts.values():
            if host.collection is None and not host.selected:
                continue
            if not host.collected:
                self._judge_what_is_there(host)
            host.report = assessed(host, complete=host.collected)
            done.append(host)
        return done

    def _judge_what_is_there(self, host: HostSession) -> None:
        if host.collection is None:
            return
        finished = frozenset(host.collection.durations)
        for step in host.selected:
            if judges.READS[step] <= finished:
                try:
                    host.judgements[step] = judges.judge(step, host.snapshot())
                except Exception:  # noqa: BLE001  # recorded as a defect, the report goes on
                    host.defects[step] = traceback.format_exc()


def judge_all(host: HostSession) -> None:
    """Judge every step on what was collected; a judge that fails is a defect of its step alone."""
    snapshot = host.snapshot()
    host.selected = set(Step)
    host.judgements.clear()
    host.defects.clear()
    for step in Step:
        try:
            host.judgements[step] = judges.judge(step, snapshot)
        except Exception:  # noqa: BLE001  # recorded as a defect, the other steps go on
            host.defects[step] = traceback.format_exc()
    host.report = assessed(host, complete=True)


def assessed(host: HostSession, *, complete: bool) -> Report:
    """The host's report by what was judged so far."""
    collection = host.collection
    judgements = dict(host.judgements)
    for step in host.defects:
        judgements[step] = Judgement(step, gaps=(Gap("defect", Why.ERROR),))
    report = assess(
        host.snapshot()
        if collection is not None
        else Snapshot(target=without_query_values(host.run.target)),
        judgements,
        host.run.options,
        durations=host.durations(),
        duration_s=collection.run.now() if collection is not None else 0.0,
        complete=complete,
    )
    return msgspec.structs.replace(
        report,
        selected=tuple(step for step in Step if step in host.selected),
        redaction="strict" if host.run.options.redact_strict else "default",
    )
