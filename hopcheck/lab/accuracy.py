"""How often the diagnosis is right: faults, set-ups, pairs, reports from the field, edits."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from hopcheck import __version__
from hopcheck.lab import trials
from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.field import REPORTS
from hopcheck.lab.lab import Lab
from hopcheck.lab.trials import KINDS, Result, Trial

BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
FIELD_BEGIN, FIELD_END = "<!-- field:begin -->", "<!-- field:end -->"
RATE = 0.95  # of the random edits at least; of everything else all
_LABS = 2  # at a time


async def accuracy(
    names: Sequence[str], readme: Path | None, kinds: Sequence[str] = (), labs: int = _LABS
) -> int:
    """Print a line for each trial and the figures; 0 when they are good enough.

    `names` are faults, set-ups and reports (then nothing else is tried), `kinds` some of KINDS.
    """
    todo = deque(trials.chosen(names, kinds))
    results: list[Result] = []
    await asyncio.gather(*(_work(todo, results) for _ in range(max(1, labs))))
    tables = {}
    if not (names or kinds):
        tables[BEGIN, END] = table(results)
    if not names and "field" in (kinds or KINDS):
        tables[FIELD_BEGIN, FIELD_END] = field_table(results)
    print("", *(tables.values() or [table(results)]), sep="\n\n")
    if readme is not None and not tables:
        print("only a run of everything is written to the README", file=sys.stderr)
    elif readme is not None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        for (begin, end), figures in tables.items():
            said = f"{figures}\n\n(`make accuracy`, {today}, {__version__})"
            await asyncio.to_thread(write_between, readme, begin, end, said)
    return 0 if good_enough(results) else 1


async def _work(todo: deque[Trial], results: list[Result]) -> None:
    """Try one after the other on one lab, on a new one after a trial that could not be made."""
    while todo:
        trial = todo[0]
        try:
            async with Lab() as lab, Diagnoser(lab) as diagnoser:
                while todo:
                    trial = todo.popleft()
                    for result in await trial.run(lab, diagnoser):
                        results.append(result)
                        print(result.line(), flush=True)
                    await lab.heal()
                    await lab.complaints_past()
        except Exception as error:  # noqa: BLE001  # a trial that fails is a result, told as one
            if todo and todo[0] is trial:  # no lab could be started
                todo.popleft()
            words = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
            results.append(Result(trial.kind, trial.name, "", "", 0.0, f"not tried: {words}"))
            print(results[-1].line(), flush=True)


def good_enough(results: Iterable[Result]) -> bool:
    """Whether everything is right, and of the random edits as many as RATE wants."""
    for kind in KINDS:
        own = [one for one in results if one.kind == kind]
        wrong = sum(bool(one.wrong) for one in own)
        if wrong > (len(own) * (1 - RATE) if kind == "edit" else 0):
            return False
    return True


def table(results: Sequence[Result]) -> str:
    """The figures as a Markdown table, and what could not be tried."""
    lines = ["| tried | right | of | |", "|---|---|---|---|"]
    for kind, words in KINDS.items():
        own = [one for one in results if one.kind == kind and one.tried]
        if own:
            right = sum(not one.wrong for one in own)
            lines.append(f"| {words} | {right} | {len(own)} | {_remark(kind, own)} |")
    recorded = sum(not one.tried for one in results)
    if recorded:
        lines += [
            "",
            f"{recorded} further faults, which the lab cannot show, are recorded evidence.",
        ]
    return "\n".join(lines)


def field_table(results: Sequence[Result]) -> str:
    """What was said of each report from the field, as a Markdown table, and the figures."""
    lines = ["| report | state | said | | mended |", "|---|---|---|---|---|"]
    mended = {one.name: one for one in results if one.kind == "mended"}
    own = [one for one in results if one.kind == "field"]
    for one in sorted(own, key=lambda one: int(one.name.removeprefix("f"))):
        grade = "half right" if one.half else "wrong" if one.wrong else "right"
        after = mended.get(one.name)
        healed = "" if after is None else after.wrong.partition(":")[0] or "healthy"
        summary = REPORTS[one.name].summary.rstrip(".")
        lines.append(f"| {one.name} | {summary} | {one.found or one.wrong} | {grade} | {healed} |")
    half = sum(one.half for one in own)
    right = sum(not one.wrong for one in own)
    healthy = sum(not one.wrong for one in mended.values())
    counts = f"{right} right, {half} half right, {len(own) - right - half} wrong of {len(own)}"
    return "\n".join([*lines, "", f"{counts}; mended, {healthy} of {len(mended)} are healthy."])


def _remark(kind: str, own: Sequence[Result]) -> str:
    if kind == "pair":
        hidden = sum(one.note != "" and not one.wrong for one in own)
        return f"{hidden} with one that the other hides" if hidden else "both named"
    if kind == "field":
        half = sum(one.half for one in own)
        return f"{half} half right" if half else ""
    if kind == "edit":
        right = sum(not one.wrong for one in own)
        sees = [one.expected.partition(" ")[0] for one in own]
        shares = ", ".join(f"{sees.count(word)} {word}" for word in ("fails", "partly", "works"))
        return f"{100 * right / len(own):.1f} % ({shares})"
    return ""


def write_between(file: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the two marks in `file`. Raises ValueError without them."""
    before, first, rest = file.read_text("utf-8").partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise ValueError(f"{file} lacks the marks {begin} and {end}")
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")
