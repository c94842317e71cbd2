"""``python -m hopcheck.lab.profile``: where the time of one cold run goes.

Three looks at the same diagnosis of the bare lab: a run as users start it (the whole, and each
party by the report's own times, which overlap), one whose imports Python times, and the stored
evidence judged and written again.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from pathlib import Path

from hopcheck.engine.replay import replay
from hopcheck.engine.write import write_replayed
from hopcheck.lab.demo import child_environment
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST
from hopcheck.report.evidence import evidence_of, load

# import time:  self [us] | cumulative | imported package
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)$", re.MULTILINE)
_SHOWN = 12  # packages, the dearest first
_PARTIES = ((1, "dns"), (2, "aws"), (3, "kubernetes"), (6, "traefik"), (7, "requests"))


def imports(told: str) -> dict[str, float]:
    """Seconds by top-level package, the dearest first, of what ``-X importtime`` wrote."""
    spent: dict[str, float] = {}
    for microseconds, module in _IMPORT.findall(told):
        package = module.partition(".")[0]
        spent[package] = spent.get(package, 0.0) + int(microseconds) / 1e6
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


async def profile() -> list[tuple[str, float]]:
    """The parts of a cold run and their seconds."""
    with tempfile.TemporaryDirectory() as directory:
        async with Lab() as lab:
            await _run(lab, directory)  # compiles what was never imported
            began = time.monotonic()
            await _run(lab, directory)
            whole = time.monotonic() - began
            told = await _run(lab, directory, "-X", "importtime")
        return await asyncio.to_thread(_parts, Path(directory), whole, imports(told))


async def _run(lab: Lab, directory: str, *python: str) -> str:
    """Diagnose the host in a process of its own; what it wrote on standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *python, "-m", "hopcheck", "diagnose", HOST, *lab.arguments(), "--quiet",
        env=child_environment(lab) | {"PYTHONDONTWRITEBYTECODE": ""}, cwd=directory,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the healthy lab's diagnosis ended with {process.returncode}")
    return told.decode()


def _parts(directory: Path, whole: float, spent: dict[str, float]) -> list[tuple[str, float]]:
    (latest,) = directory.glob("reports/*/latest")
    steps = json.loads((latest / "report.json").read_text("utf-8"))["steps"]
    snapshot = load(latest)
    # The first of each in this process, as a cold run pays it.
    began = time.monotonic()
    report = replay(snapshot)
    judged = time.monotonic()
    write_replayed(report, evidence_of(snapshot), directory / "again")
    written = time.monotonic()
    return [
        ("the whole run", whole),
        ("imports, all of them, which the timing makes slower", sum(spent.values())),
        *((f"  {name}", seconds) for name, seconds in list(spent.items())[:_SHOWN]),
        *((f"party: {party}", steps[number - 1]["duration_s"]) for number, party in _PARTIES),
        ("judging, with what is imported for it", judged - began),
        ("writing, with what is imported for it", written - judged),
    ]


if __name__ == "__main__":
    for part, seconds in asyncio.run(profile()):
        print(f"{seconds:7.3f} s  {part}")
