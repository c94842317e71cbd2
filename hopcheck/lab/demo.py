"""One diagnosis of the running lab by ``hopcheck diagnose``, and whether it was right."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from hopcheck.lab.faults import FAULTS, Fault
from hopcheck.lab.faults.gallery import HEALTHY, VERDICTS
from hopcheck.lab.field import REPORTS
from hopcheck.lab.field.judge import judge
from hopcheck.lab.lab import Lab
from hopcheck.lab.setups import SETUPS
from hopcheck.lab.topology import HOST
from hopcheck.lab.traefik import dying_with_us

_WRITE_S = 15.0  # for the report so far, after an interruption
_VERDICTS = frozenset({0, 1, 3, 4})
_USERS = ("AWS_", "KUBECONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def child_environment(lab: Lab | None = None) -> dict[str, str]:
    """The environment of this process with the lab's parties (or none) in place of the user's."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(_USERS)}
    return kept | (lab.environment() if lab is not None else {})


async def demo(lab: Lab, scenario: str | None, arguments: Sequence[str]) -> int:
    """Inject or arrange the scenario, diagnose the host, compare; the demo's exit code.

    0: the injected fault was named, and nothing else; 1: it was not, or a healthy set-up raised an
    alarm; else the diagnosis's own exit code where it gave no verdict.

    Before a fault the lab is diagnosed as it is, so that what changed is the fault and not another
    lab's certificate.
    """
    reports = _directory(arguments)
    if scenario in FAULTS:
        before = [*FAULTS[scenario].asked, *lab.arguments(), "--reports", str(reports), "--quiet"]
        await _diagnose(before, lab.environment(), sys.stderr)
    words, environment = await staged(lab, scenario)
    began = time.time()
    code = await _diagnose([*words, *arguments], environment)
    if code not in _VERDICTS:
        return code
    path = _report(reports, began)
    if path is None:
        print("demo: no report was written", file=sys.stderr)
        return 1
    print(f"report: {path.parent}")
    print(f"exit code of the diagnosis: {code}")
    report = json.loads(path.read_text())
    if scenario in REPORTS:
        wrong = judge(report, REPORTS[scenario])[0]
    elif scenario in SETUPS:
        wrong = SETUPS[scenario].alarms(report)
    else:
        wrong = compare(report, None if scenario is None else FAULTS[scenario])
    if wrong:
        print(f"demo: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


async def staged(lab: Lab, scenario: str | None) -> tuple[list[str], dict[str, str]]:
    """Make the lab show a fault, a set-up or a report; the diagnosis's arguments, environment."""
    if scenario in REPORTS:
        row = REPORTS[scenario]
        print(f"arranged: {scenario}: {row.summary}", flush=True)
        await row.arrange(lab)
        await lab.settle()
        return row.arguments(lab, ""), lab.environment()
    if scenario in SETUPS:
        setup = SETUPS[scenario]
        print(f"arranged: {scenario}: {setup.summary}", flush=True)
        await lab.arrange(scenario)
        return setup.arguments(lab), setup.environment(lab)
    if scenario is not None:
        print(f"injected: {scenario}: {FAULTS[scenario].summary}", flush=True)
        await lab.inject(scenario)
    asked = FAULTS[scenario].asked if scenario else (HOST,)
    return [*lab.arguments(), *asked], lab.environment()


def compare(report: dict[str, Any], fault: Fault | None) -> str:
    """What is wrong with the report's root causes and verdict; empty when it is the fault's."""
    found = {_cause(one) for one in report["root_causes"]}
    wanted = {f"{one.step or fault.step}: {one}" for one in fault.expect} if fault else set()
    if found != wanted:
        told = ", ".join(sorted(found)) or "nothing"
        return f"expected {', '.join(sorted(wanted)) or 'no root cause'}; found {told}"
    every = {_cause(one) for step in report["steps"] for one in step["findings"]}
    warned = {f"{one.step or fault.step}: {one}" for one in fault.warns} if fault else set()
    if lacking := warned - every:
        return f"not found: {', '.join(sorted(lacking))}"
    if fault and fault.unseen and _status(report, fault.step) != "unknown":
        return f"expected step {fault.step} to be unknown, found {_status(report, fault.step)}"
    verdict = VERDICTS[fault.exit_code if fault else HEALTHY]
    if report["verdict"] != verdict:
        return f"expected {verdict}, found {report['verdict']}: {report['headline']}"
    return ""


def _status(report: dict[str, Any], step: str) -> str:
    return str(next(one["status"] for one in report["steps"] if one["step"] == step))


def _cause(finding: dict[str, Any]) -> str:
    """A root cause in the words of `Expect`."""
    thing = finding["object"]
    where = f"{thing['namespace']}/" if thing.get("namespace") else ""
    return f"{finding['step']}: {finding['code']} {thing['kind']} {where}{thing['name']}"


async def _diagnose(
    arguments: list[str], environment: dict[str, str], out: TextIO | None = None
) -> int:
    """Run ``hopcheck diagnose`` as a user would, in a process of its own; its exit code.

    It has a session of its own, so that Ctrl-C reaches it once, from here, and the lab outlives
    it while it writes the report so far.
    """
    process = await asyncio.create_subprocess_exec(
        *dying_with_us(sys.executable, "-m", "hopcheck", "diagnose", *arguments),
        env=child_environment() | environment,
        stdout=out,
        start_new_session=True,
    )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await asyncio.shield(_interrupt(process))
        raise


async def _interrupt(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(_WRITE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _directory(arguments: Sequence[str]) -> Path:
    """Where the diagnosis writes its reports: as it was told, else its default."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if word == "--reports":
            return Path(following)
        if word.startswith("--reports="):
            return Path(word.partition("=")[2])
    return Path("reports")


def _report(directory: Path, since: float) -> Path | None:
    """The newest report.json below `directory` that was written after `since` (POSIX time)."""
    written = [(path.stat().st_mtime, path) for path in directory.glob("*/[0-9]*/report.json")]
    newest = max(written, default=(0.0, None))
    return newest[1] if newest[0] >= since - 1 else None
