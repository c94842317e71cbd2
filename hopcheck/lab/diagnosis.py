"""``hopcheck diagnose`` many times in one process that stays: starting is paid for once.

The process is told arguments and environment, one JSON object a line, and answers with the exit
code and what the command printed. It runs the command line itself, so that nothing differs from
a user's run.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hopcheck.lab.demo import child_environment
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST

_LIMIT_S = 60.0
_ANSWER_BYTES = 1 << 24


@dataclass(frozen=True)
class Diagnosis:
    """One run: its exit code, its report.json, and what went wrong where there is no report."""

    exit_code: int
    report: dict[str, Any]
    words: str = ""

    @property
    def root_causes(self) -> list[dict[str, Any]]:
        """The report's root causes; none where there is no report."""
        found: list[dict[str, Any]] = self.report.get("root_causes", [])
        return found


class Diagnoser:
    """Diagnoses the host on a running lab: ``async with Diagnoser(lab) as diagnoser``."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._process: asyncio.subprocess.Process | None = None
        self._reports = tempfile.TemporaryDirectory(prefix="hopcheck-reports-")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()
        self._reports.cleanup()

    async def diagnose(
        self, words: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> Diagnosis:
        """Run the command once with `words` (the host and the lab's options by default).

        `environment` stands in the place of the lab's own. A run that gives no answer within a
        minute is ended and told in `words`.
        """
        process = self._process or await self._start()
        arguments = ["diagnose", *(words or [HOST, *self._lab.arguments()])]
        arguments += ["--json", "--quiet", "--reports", self._reports.name]
        order = {"arguments": arguments, "environment": environment or self._lab.environment()}
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        process.stdin.write(json.dumps(order).encode() + b"\n")
        try:
            async with asyncio.timeout(_LIMIT_S):
                line = await process.stdout.readline()
        except TimeoutError:
            await self._end()
            return Diagnosis(-1, {}, f"no answer within {_LIMIT_S:.0f} s")
        if not line:
            await self._end()
            return Diagnosis(-1, {}, "the diagnosing process ended")
        answer = json.loads(line)
        try:
            return Diagnosis(answer["code"], json.loads(answer["output"]))
        except ValueError:
            return Diagnosis(answer["code"], {}, f"no report, exit code {answer['code']}")

    def evidence(self) -> Path | None:
        """The evidence.json of the newest run."""
        written = Path(self._reports.name).glob("*/2*/evidence.json")
        return max(written, key=lambda path: path.stat().st_mtime_ns, default=None)

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hopcheck.lab.diagnosis",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=child_environment(),
            limit=_ANSWER_BYTES,
            start_new_session=True,
        )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


def _serve() -> None:
    """Answer lines until there are no more."""
    from hopcheck.app.cli import main

    # Whatever the command writes to its standard output below Python goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    surroundings = dict(os.environ)
    for line in sys.stdin:
        order = json.loads(line)
        os.environ.clear()
        os.environ.update(surroundings | order["environment"])
        sys.stdout, before = io.StringIO(), sys.stdout
        code: object = 0
        try:
            main(order["arguments"])
        except SystemExit as ended:
            code = ended.code
        finally:
            output, sys.stdout = sys.stdout.getvalue(), before
        answers.write(json.dumps({"code": code, "output": output}) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
