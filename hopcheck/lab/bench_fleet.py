"""The fleet's part of ``make bench``: 10, 100 and 1,000 hosts in one process, on one lab.

Each row: a bare program that resolves and requests each host once, one that asks all that hopcheck
asks of a healthy host by the packages it stands on, `hopcheck run` without files (the diagnosis),
and `hopcheck run` with them. Medians, the four taken in turn.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from hopcheck.lab.lab import Lab
from hopcheck.lab.many import add_hosts

COUNTS = (10, 100, 1000)
HEAD = (
    "| hosts | bare (s) | as asked (s) | diagnosis (s) | ratio to bare | to as asked "
    "| written (ms a host) | API requests | AWS calls | memory (MB) |",
    "|---|---|---|---|---|---|---|---|---|---|",
)
TARGETS = (
    "ratio to bare at most 2.0 for 1,000 hosts, 15 ms a host written, requests and calls that do "
    "not grow (pages aside), 400 MB, 1,000 hosts in at most 11 times the time of 100"
)

Once = Callable[[Sequence[str], dict[str, str], str], Awaitable[tuple[float, float]]]


async def fleet_rows(lab: Lab, env: dict[str, str], once: Once, runs: int) -> list[str]:
    """The table, of `runs` runs each. Puts 1,000 hosts into the lab."""
    names = add_hosts(lab, max(COUNTS))
    await lab.settle()
    rows = [*HEAD]
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as directory:
            rows.append(await _row(lab, env, once, runs, names[:count], directory))
        print(rows[-1], file=sys.stderr, flush=True)  # the whole takes minutes
    return rows


async def _row(
    lab: Lab, env: dict[str, str], once: Once, runs: int, names: list[str], directory: str
) -> str:
    hosts, config = Path(directory) / "hosts", Path(directory) / "hopcheck.toml"
    await asyncio.to_thread(hosts.write_text, "\n".join(names))
    await asyncio.to_thread(config.write_text, f"hosts = {json.dumps(names)}\n")
    ours = [sys.executable, "-m", "hopcheck", "run", "--quiet", *lab.arguments()]
    bare = [sys.executable, "-m", "hopcheck.lab.bare", str(hosts), *_bare_arguments(lab)]
    times: dict[str, list[float]] = {"bare": [], "as asked": [], "asked": [], "written": []}
    peak = 0.0
    for _ in range(runs):
        times["bare"].append((await once(bare, env, directory))[0])
        times["as asked"].append((await once([*bare, "--as-asked"], env, directory))[0])
        seconds, memory = await once([*ours, "--write", "nothing"], env, directory)
        times["asked"].append(seconds)
        peak = max(peak, memory)
        seconds, memory = await once(ours, env, directory)
        times["written"].append(seconds)
        peak = max(peak, memory)
    summary = Path(directory) / "reports" / "fleet.json"
    told = json.loads(await asyncio.to_thread(summary.read_text, "utf-8"))
    if told["counts"]["healthy"] != len(names):
        raise RuntimeError(f"not all of {len(names)} hosts were healthy: {told['counts']}")
    bare_s, httpx_s, asked_s, written_s = (statistics.median(each) for each in times.values())
    return (
        f"| {len(names):,} | {bare_s:.2f} | {httpx_s:.2f} | {asked_s:.2f} | {asked_s / bare_s:.1f} "
        f"| {asked_s / httpx_s:.1f} | {(written_s - asked_s) / len(names) * 1000:.1f} "
        f"| {told['api_requests']} | {told['aws_calls']} | {peak:.0f} |"
    )


def _bare_arguments(lab: Lab) -> list[str]:
    arguments = lab.arguments()
    port = next(a for a in arguments if a.startswith(":443::")).rpartition(":")[2]
    found = [arguments[arguments.index(flag) + 1] for flag in ("--resolver", "--ca-file")]
    return [*found, port]
