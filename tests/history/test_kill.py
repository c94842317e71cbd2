"""Writers that are killed at any point, and writers at the same time."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from hopcheck.history.database import History
from hopcheck.history.runs import run_directories
from hopcheck.model import Step
from tests.history.test_database import steps_of
from tests.history.writer import KEEP_RUNS

HOST = "a.example.com"
RUNS_HOST = "myapp.example.com"


class Writers:
    """The process that forks writers."""

    def __init__(self, base: Path, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.history.writer", str(base), kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def __enter__(self) -> "Writers":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def start(self, how_many: int) -> None:
        assert self.process.stdin is not None
        print(how_many, file=self.process.stdin, flush=True)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def said_until(self, last: str) -> Iterator[str]:
        while (line := self.line()) != last:
            assert line, "the writers have ended"
            yield line

    def kill_one(self, lines: int, after: float) -> list[str]:
        """Start a writer, kill it some seconds after so many lines; all that it said it wrote."""
        self.start(1_000_000)
        pid = int(self.line())
        said = [self.line() for _ in range(lines)]
        time.sleep(after)  # the point of the kill is what is tested
        os.kill(pid, signal.SIGKILL)
        self.start(0)  # its lines end what the killed one said
        return [*said, *list(self.said_until("done"))[:-1]]


def test_rows_survive_kills_at_any_point(tmp_path: Path) -> None:
    chance = random.Random(7)
    said: list[str] = []
    with Writers(tmp_path, "rows") as writers:
        for _ in range(60):
            said += writers.kill_one(chance.randrange(3), chance.uniform(0, 0.01))
            with closing(sqlite3.connect(tmp_path / "history.db")) as found:
                assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(said) > 30
    with closing(sqlite3.connect(tmp_path / "history.db")) as found:
        written = {row[0] for row in found.execute("SELECT directory FROM runs")}
        steps = found.execute("SELECT count(*) FROM steps GROUP BY run").fetchall()
    assert set(said) <= written
    assert steps == [(7,)] * len(written)


def test_runs_survive_kills_at_any_point(tmp_path: Path) -> None:
    chance = random.Random(11)
    home = tmp_path / RUNS_HOST
    whole = {"report.json", "report.html", "junit.xml", "summary.md", "evidence.json"}
    said: list[str] = []
    with Writers(tmp_path, "runs") as writers:
        for _ in range(20):
            said += writers.kill_one(chance.randrange(3), chance.uniform(0, 0.05))
            for name in run_directories(home):
                assert {path.name for path in (home / name).iterdir()} == whole
            if said:
                assert (home / "latest" / "report.json").is_file()
        writers.start(1)
        *_, last = writers.said_until("done")
    assert len(said) > 10
    assert not [line for line in said if " " in line]  # no note of trouble
    on_disk = run_directories(home)
    assert last in on_disk
    # Beyond the limit only: latest, the last healthy one, and what a killed one wrote last.
    assert len(on_disk) <= KEEP_RUNS + 3
    with History(tmp_path) as history:
        rows = history.runs(RUNS_HOST, 10_000)
        assert set(on_disk) <= {row.directory for row in rows}
    assert set(steps_of(tmp_path, last)) == set(Step)


def test_two_writers_at_once(tmp_path: Path) -> None:
    with Writers(tmp_path, "rows") as writers:
        writers.start(40)
        writers.start(40)
        said = [*writers.said_until("done"), *writers.said_until("done")]
    with History(tmp_path) as history:
        rows = history.runs(HOST, 1000)
    assert {row.directory for row in rows} == {line for line in said if "-" in line}
    assert len(rows) == 80


def test_two_runs_at_once(tmp_path: Path) -> None:
    with Writers(tmp_path, "runs") as writers:
        writers.start(8)
        writers.start(8)
        said = [*writers.said_until("done"), *writers.said_until("done")]
    assert not [line for line in said if " " in line]
    home = tmp_path / RUNS_HOST
    assert len(run_directories(home)) <= KEEP_RUNS + 3
    for name in run_directories(home):
        assert msgspec.json.decode((home / name / "report.json").read_bytes())["host"] == RUNS_HOST
    with History(tmp_path) as history:
        assert len(history.runs(RUNS_HOST, 1000)) == 16
    assert (tmp_path / "index.html").is_file()
