"""How often the diagnosis is right: every fault of the gallery, and the healthy lab."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hopcheck import __version__
from hopcheck.lab.demo import child_environment, compare
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST

_LIMIT_S = 60.0
BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"


async def accuracy(names: Sequence[str], readme: Path | None) -> int:
    """Print a line for each fault and the two figures; 0 when all is right."""
    right, healthy_runs, alarms = 0, 0, 0
    wanted = names or list(FAULTS)
    async with Lab() as lab:
        shown = [name for name in wanted if not FAULTS[name].unshown(lab.version)]
        for name in [one for one in wanted if one not in shown]:
            print(f"{'-':6}{name:26}{'':7}  {FAULTS[name].unshown(lab.version)}: recorded")
        for name in shown:
            await lab.inject(name)
            wrong, seconds = await _run(lab, name)
            right += not wrong
            print(f"{'right' if not wrong else 'WRONG':6}{name:26}{seconds:5.1f} s  {wrong}")
            await lab.heal()
            healed, _ = await _run(lab, None)
            healthy_runs += 1
            alarms += bool(healed)
            if healed:
                print(f"ALARM after {name}: {healed}")
    total = len(shown)
    figures = (
        f"Root causes named right: {right} of the {total} faults that the lab injects today "
        "(not yet the whole fault catalogue). "
        f"False alarms: {alarms} of {healthy_runs} runs of the one healthy lab "
        "(no unusual set-up among them)."
    )
    print(figures)
    if readme is not None and names:
        print("only a run of all faults is written to the README", file=sys.stderr)
    elif readme is not None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        await asyncio.to_thread(
            write_between,
            readme,
            BEGIN,
            END,
            f"{figures}\n(`make accuracy`, {today}, {__version__})",
        )
    return 0 if right == total and not alarms else 1


async def _run(lab: Lab, name: str | None) -> tuple[str, float]:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hopcheck",
            "diagnose",
            *(FAULTS[name].asked if name else (HOST,)),
            *lab.arguments(),
            "--json",
            "--reports",
            directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(lab),
        )
        try:
            async with asyncio.timeout(_LIMIT_S):
                out, words = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"no answer within {_LIMIT_S} s", _LIMIT_S
    seconds = time.monotonic() - started
    fault = FAULTS[name] if name else None
    expected = fault.exit_code if fault else 0
    try:
        report = json.loads(out)
    except ValueError:
        last = words.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"no report, exit code {process.returncode}: {' '.join(last)}", seconds
    wrong = compare(report, fault)
    if not wrong and process.returncode != expected:
        wrong = f"exit code {process.returncode}, expected {expected}"
    return wrong, seconds


def write_between(file: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the two marks in `file`. Raises ValueError without them."""
    before, first, rest = file.read_text("utf-8").partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise ValueError(f"{file} lacks the marks {begin} and {end}")
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")
