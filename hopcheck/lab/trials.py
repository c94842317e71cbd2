"""What the accuracy command tries, one after the other, on a healthy lab."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hopcheck.lab import pairs
from hopcheck.lab.demo import compare
from hopcheck.lab.diagnosis import Diagnoser, Diagnosis
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.field import REPORTS, Report
from hopcheck.lab.field.judge import alarms, judge
from hopcheck.lab.field.proof import prove
from hopcheck.lab.following import follow, offered
from hopcheck.lab.lab import Lab
from hopcheck.lab.mutation import draw
from hopcheck.lab.mutation.draw import Mutation
from hopcheck.lab.mutation.score import score, told
from hopcheck.lab.setups import SETUPS

# Kind of trial -> what its figure says.
KINDS = {
    "fault": "faults of the gallery: named right, as the only root causes",
    "set-up": "healthy but unusual set-ups: no error, no warning, each step as expected",
    "healed": "healthy labs after a fault: no false alarm",
    "followed": "commands of a fix, pasted as they stand: healed, and the neighbour still served",
    "pair": "random pairs of independent faults: both named, nothing else",
    "field": "states that people reported in public: the root cause named, nobody else accused",
    "mended": "these states with the right answer applied: no false alarm",
    "edit": "random single edits of the healthy lab: the edited object named, nobody else accused",
}


@dataclass(frozen=True)
class Result:
    """One trial's outcome: `wrong` is empty where the diagnosis was right.

    `note` qualifies what is right; `tried` is false for what the lab cannot show; `half`: what
    is wrong is not all of it.
    """

    kind: str
    name: str
    expected: str
    found: str
    seconds: float
    wrong: str = ""
    note: str = ""
    tried: bool = True
    half: bool = False

    def line(self) -> str:
        """The result as a line of the table: fault, expected, found, seconds."""
        state = "half" if self.half else "WRONG" if self.wrong else "right" if self.tried else "-"
        words = f"{self.expected} | {self.found} | {self.seconds:4.1f} s"
        remark = self.wrong or self.note
        return f"{state:6}{self.kind:7}{self.name} | {words}" + (f" | {remark}" if remark else "")


Run = Callable[[Lab, Diagnoser], Awaitable[list[Result]]]


@dataclass(frozen=True)
class Trial:
    """Something to try on a healthy lab; whoever runs it heals the lab afterwards."""

    kind: str
    name: str
    run: Run


def chosen(names: Sequence[str], kinds: Sequence[str]) -> Iterator[Trial]:
    """The trials: these faults, set-ups and reports alone, or those kinds, or everything."""
    wanted = {"fault", "set-up", "field"} if names else set(kinds) or set(KINDS)
    both = "followed" in wanted
    if "fault" in wanted:
        for name in [one for one in names if one in FAULTS] if names else FAULTS:
            run = _Fault(name, healed="healed" in wanted, followed=bool(names) or both).run
            yield Trial("fault", name, run)
    if "set-up" in wanted:
        for name in [one for one in names if one in SETUPS] if names else SETUPS:
            yield Trial("set-up", name, SetUp(name).run)
    if "pair" in wanted:
        series = _Pairs()
        for number in range(pairs.COUNT):
            yield Trial("pair", f"pair {number + 1}", series.run)
    if "field" in wanted:
        for name in [one for one in names if one in REPORTS] if names else REPORTS:
            yield Trial("field", name, Field(name).run)
    if "edit" in wanted:
        edits = _Edits()
        for number in range(draw.COUNT):
            yield Trial("edit", f"edit {number + 1}", edits.run(number))


def _found(diagnosis: Diagnosis) -> str:
    """The root causes of a diagnosis, or its verdict where there are none."""
    causes = ", ".join(told(one) for one in diagnosis.root_causes)
    return causes or str(diagnosis.report.get("verdict", "no report"))


@dataclass(frozen=True)
class _Fault:
    """A fault of the gallery, and the lab healed of it."""

    name: str
    healed: bool
    followed: bool

    async def run(self, lab: Lab, diagnoser: Diagnoser) -> list[Result]:
        fault = FAULTS[self.name]
        expected = ", ".join(str(one) for one in fault.expect) or "no root cause"
        unshown = fault.unshown(lab.version)
        if unshown:
            return [Result("fault", self.name, expected, "recorded", 0.0, "", unshown, tried=False)]
        began = time.monotonic()
        await lab.inject(self.name)
        diagnosis = await diagnoser.diagnose([*lab.arguments(), *fault.asked])
        seconds = time.monotonic() - began
        wrong = diagnosis.words or compare(diagnosis.report, fault)
        if not wrong and diagnosis.exit_code != fault.exit_code:
            wrong = f"exit code {diagnosis.exit_code}, expected {fault.exit_code}"
        results = [Result("fault", self.name, expected, _found(diagnosis), seconds, wrong)]
        if self.followed and (commands := offered(diagnosis.report)) and not wrong:
            results.append(await self._follow(lab, diagnoser, commands))
        if self.healed:
            await lab.heal()
            began = time.monotonic()
            diagnosis = await diagnoser.diagnose()
            wrong = diagnosis.words or compare(diagnosis.report, None)
            seconds = time.monotonic() - began
            name = f"after {self.name}"
            results.append(Result("healed", name, "healthy", _found(diagnosis), seconds, wrong))
        return results

    async def _follow(self, lab: Lab, diagnoser: Diagnoser, commands: list[str]) -> Result:
        began = time.monotonic()
        wrong = await follow(lab, commands)
        diagnosis = await diagnoser.diagnose([*FAULTS[self.name].asked, *lab.arguments()])
        wrong = wrong or diagnosis.words or compare(diagnosis.report, None)
        seconds = time.monotonic() - began
        return Result("followed", self.name, "healthy", _found(diagnosis), seconds, wrong)


@dataclass(frozen=True)
class SetUp:
    """A healthy set-up of the second gallery."""

    name: str

    async def run(self, lab: Lab, diagnoser: Diagnoser) -> list[Result]:
        """Arrange and diagnose it."""
        setup = SETUPS[self.name]
        began = time.monotonic()
        await lab.arrange(self.name)
        diagnosis = await diagnoser.diagnose(setup.arguments(lab), setup.environment(lab))
        seconds = time.monotonic() - began
        wrong = diagnosis.words or setup.alarms(diagnosis.report)
        if not wrong and diagnosis.exit_code:
            wrong = f"exit code {diagnosis.exit_code}, expected 0"
        return [Result("set-up", self.name, "healthy", _found(diagnosis), seconds, wrong)]


@dataclass(frozen=True)
class Field:
    """A state that people reported: proved, diagnosed, mended, proved and diagnosed again."""

    name: str

    async def run(self, lab: Lab, diagnoser: Diagnoser) -> list[Result]:
        """Raises RuntimeError where requests do not get what the report says."""
        row = REPORTS[self.name]
        began = time.monotonic()
        mend = await row.arrange(lab)
        await lab.settle()
        await prove(lab, row.url(), row.happens)
        broken = [await self._diagnosed(lab, diagnoser, row, way, began) for way in row.ways]
        results = [max(broken, key=lambda one: (bool(one.wrong), not one.half))]
        if row.works:
            return results
        began = time.monotonic()
        await mend()
        await lab.settle()
        await prove(lab, row.url(), row.mended)
        await lab.complaints_past()
        diagnosis = await diagnoser.diagnose(row.arguments(lab, ""))
        wrong = diagnosis.words or alarms(diagnosis.report)
        seconds = time.monotonic() - began
        mended = Result("mended", self.name, "healthy", _found(diagnosis), seconds, wrong)
        return [*results, mended]

    async def _diagnosed(
        self, lab: Lab, diagnoser: Diagnoser, row: Report, way: str, began: float
    ) -> Result:
        diagnosis = await diagnoser.diagnose(row.arguments(lab, way))
        wrong, half = diagnosis.words, False
        if not wrong:
            wrong, half = judge(diagnosis.report, row)
        if way and wrong:
            wrong = f"without {way}: {wrong}"
        expected = " or ".join(map(str, row.expected)) or "healthy"
        found = _found(diagnosis)
        if diagnosis.root_causes:
            found = f"{diagnosis.report['verdict']}: {found}"
        seconds = time.monotonic() - began
        return Result("field", self.name, expected, found, seconds, wrong, half=half)


@dataclass
class _Pairs:
    """Pairs out of the series, those left out that are none."""

    left: Iterator[pairs.Pair] | None = None

    async def run(self, lab: Lab, diagnoser: Diagnoser) -> list[Result]:
        if self.left is None:
            self.left = iter(pairs.candidates(lab.version))
        for pair in self.left:
            began = time.monotonic()
            if await pairs.inject(lab, pair):
                await lab.heal()
                continue
            diagnosis = await pairs.diagnose(lab, diagnoser, pair)
            how, words = pairs.outcome(diagnosis, pair)
            expected = ", ".join(str(one) for name in pair for one in FAULTS[name].expect)
            seconds = time.monotonic() - began
            wrong = "" if how else words
            note = words if how else ""
            name = " + ".join(pair)
            return [Result("pair", name, expected, _found(diagnosis), seconds, wrong, note)]
        return []  # the gallery has no further pair


@dataclass
class _Edits:
    """The fixed series of random edits; each lab draws its own copy of it."""

    drawn: dict[Path, list[Mutation]] = field(default_factory=dict)

    def run(self, number: int) -> Run:
        async def one(lab: Lab, diagnoser: Diagnoser) -> list[Result]:
            if lab.directory not in self.drawn:
                self.drawn[lab.directory] = await draw.draw(lab)
            mutation = self.drawn[lab.directory][number]
            began = time.monotonic()
            scored = await score(lab, diagnoser, mutation)
            seconds = time.monotonic() - began
            sees = f"{scored.sees} ({', '.join(scored.truth.words)})".removesuffix(" ()")
            found = _found(scored.diagnosis)
            return [Result("edit", str(mutation), sees, found, seconds, scored.wrong)]

        return one
