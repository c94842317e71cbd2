"""A process that forks writers to be killed: ``python -m tests.history.writer BASE rows|runs``.

For each line on standard input it forks a writer, which says its process id and then a line for
each row or run that is written, until it is killed or has written as many as the line says.
"""

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from hopcheck.config.options import HostRun, Options
from hopcheck.engine.host import HostSession
from hopcheck.engine.write import write
from hopcheck.history.database import History
from hopcheck.model import Report, Snapshot, Step
from tests.report.examples import BROKEN, HEALTHY

KEEP_RUNS = 5


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def write_rows(base: Path, how_many: int) -> None:
    for number in range(how_many):
        directory = f"{os.getpid()}-{number}"
        with History(base) as history:
            history.record("a.example.com", BROKEN, directory)
        say(directory)


def session_of(base: Path, report: Report, **more: Any) -> HostSession:
    """A session whose run is over, with `report` as its result."""
    host = HostSession(HostRun(report.target, Options(), str(base), **more))
    host.report = report
    snapshot = Snapshot(target=report.target, taken_at=report.started_at)
    host.collection = cast(Any, SimpleNamespace(snapshot=lambda: snapshot))
    host.judgements = cast(Any, dict.fromkeys(Step))
    return host


def write_runs(base: Path, how_many: int) -> None:
    for number in range(how_many):
        report = (HEALTHY, BROKEN)[number % 2]
        began = f"2026-02-25T03:{number // 60 % 60:02}:{number % 60:02}Z"
        report = msgspec.structs.replace(report, started_at=began)
        host = session_of(base, report, keep_runs=KEEP_RUNS, keep_days=0)
        path = write(host)
        say("; ".join(host.notes) or path.name)


def main(base: Path, kind: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    work = {"rows": write_rows, "runs": write_runs}[kind]
    for line in sys.stdin:
        if os.fork() == 0:
            say(str(os.getpid()))
            work(base, int(line))
            say("done")
            os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
