"""The way of a host through the suite: its evidence, its scene, its judgements, its report.

Live, in a fleet, from a file and interrupted, every host goes this one way.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from hopcheck import steps
from hopcheck.collect.gather import Collection
from hopcheck.config.options import HostRun, Misnamed
from hopcheck.config.target import without_query_values
from hopcheck.model import Gap, Judgement, OwnStep, Report, Snapshot, Step, StepResult, Why
from hopcheck.scene.scene import Scene
from hopcheck.steps.rule import Rule
from hopcheck.verdict.assess import assess, with_own


class Gathered(Protocol):
    """Evidence of one host, as it comes in or as it was recorded."""

    durations: dict[str, float]  # seconds of each party that was asked to the end

    def snapshot(self) -> Snapshot:
        """The evidence so far."""

    def seconds(self) -> float:
        """Since the run began."""


class Recorded:
    """The evidence of an earlier run."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.durations: dict[str, float] = {}

    def snapshot(self) -> Snapshot:
        """The evidence."""
        return self._snapshot

    def seconds(self) -> float:
        """None: it is not a run."""
        return 0.0


class HostSession:
    """Everything about one host of the invocation."""

    def __init__(self, run: HostRun) -> None:
        self.run = run
        self.rules: dict[Step, tuple[Rule, ...]] = {}  # of the steps that were selected
        self.parties: set[str] = set()
        self.collection: Gathered | None = None
        self.collected = False
        self.judgements: dict[Step, Judgement] = {}
        self.defects: dict[Step, str] = {}
        self.own: list[OwnStep] = []  # what the user's own checks said
        self.report: Report | None = None
        self.written: Path | None = None
        self.write_error: str | None = None
        self.notes: list[str] = []  # what else is to be said on standard error, a line each
        self._scene: Scene | None = None

    def select(self, rules: Mapping[Step, tuple[Rule, ...]], parties: Iterable[str] = ()) -> None:
        """Note the steps to judge, and the parties that are asked for them and besides."""
        self.rules |= rules
        self.parties |= {*parties, *(p for one in rules.values() for p in steps.reads(one))}

    def take(self, collection: Gathered, *, collected: bool = False) -> None:
        """Judge what this evidence shows from here on; nothing of another is kept."""
        self.collection, self.collected, self._scene = collection, collected, None
        self.judgements.clear()
        self.defects.clear()

    def snapshot(self) -> Snapshot:
        """The evidence so far. Raises RuntimeError before anything was collected."""
        if self.collection is None:
            raise RuntimeError("no evidence was collected yet")
        return self.collection.snapshot()

    def scene(self) -> Scene:
        """The scene: made once all evidence is there; before that, of what there is by now."""
        if not self.collected:
            return Scene(self.snapshot())
        if self._scene is None:
            self._scene = Scene(self.snapshot())
        return self._scene

    def judge(self, step: Step) -> None:
        """Judge one step. What its rules raise is noted as a defect of the step, and raised."""
        try:
            self.judgements[step] = steps.judge(step, self.scene(), self.rules[step])
        except Exception:
            self.defects[step] = traceback.format_exc()
            raise

    def judge_the_rest(self) -> None:
        """Judge whatever was selected and has its evidence; a defect is its step's alone."""
        done = frozenset(self.collection.durations) if self.collection else frozenset()
        for step, rules in self.rules.items():
            read = {party for rule in rules for party in rule.reads | rule.uses}
            if step not in self.judgements and (self.collected or read & self.parties <= done):
                try:
                    self.judge(step)
                except Exception:  # noqa: BLE001, S112  # noted as a defect, the others go on
                    continue

    def assess(self) -> Report:
        """The report by what was judged so far; also the session's from here on."""
        judgements = self.judgements | {
            step: Judgement(step, gaps=(Gap("defect", Why.ERROR),)) for step in self.defects
        }
        held = self.collection
        spent = held.durations if held is not None else {}
        report = assess(
            held.snapshot()
            if held is not None
            else Snapshot(target=without_query_values(self.run.target)),
            judgements,
            self.run.options,
            durations={step: spent.get(party, 0.0) for step, party in _OWN_PARTY.items()},
            duration_s=held.seconds() if held is not None else 0.0,
            complete=self.collected,
        )
        self.report = with_own(
            msgspec.structs.replace(
                report,
                selected=tuple(step for step in Step if step in self.rules),
                redaction="strict" if self.run.options.redact_strict else "default",
            ),
            self.own,
        )
        return self.report


# Whose time a step's is.
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
        self.misnamed = ""  # what the user named and is not there: nothing was diagnosed

    def ensure_collected(self, url: str) -> HostSession:
        """Collect for every selected host at once, on the first call. Raises Misnamed."""
        waiting = [h for h in self.hosts.values() if h.parties and h.collection is None]
        if waiting:
            self._on_start(", ".join(host.run.target.host for host in waiting))
            try:
                asyncio.run(self._collect(waiting))
            except Misnamed as error:
                self.misnamed = str(error)
                raise
        return self.hosts[url]

    async def _collect(self, hosts: list[HostSession]) -> None:
        async def one(host: HostSession, collection: Collection) -> None:
            async with slots:
                await collection.collect(self._on_event)
                host.collected = True

        slots = asyncio.Semaphore(8)
        made = []
        for host in hosts:
            run = host.run
            collection = Collection(run.target, run.options, frozenset(host.parties))
            host.take(collection)
            made.append(one(host, collection))
        await asyncio.gather(*made)

    def step(self, url: str, step: Step) -> StepResult:
        """Judge `step` on the host's evidence and give its result.

        The others that are selected are judged with it: what follows from what, all together tell.
        """
        host = self.ensure_collected(url)
        host.judge_the_rest()
        if step not in host.judgements:
            host.judge(step)  # raises what it raised
        result = host.assess().steps[step.number - 1]
        self._on_step(result)
        return result

    def finish(self) -> list[HostSession]:
        """Make the reports of all hosts; steps that were cut short become unknown."""
        done = [h for h in self.hosts.values() if h.collection or h.rules or h.own]
        for host in done:
            if not host.collected and host.collection is not None:
                host.judge_the_rest()
            host.assess()
        return done
