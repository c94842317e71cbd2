"""How many runs stay."""

import datetime as dt
import os
from pathlib import Path

import msgspec
import pytest

from hopcheck.history.database import History
from hopcheck.history.retention import prune
from hopcheck.history.runs import run_directories
from hopcheck.report.store import write_run
from tests.history.test_database import steps_of
from tests.report.examples import BROKEN, HEALTHY, HOST
from tests.report.test_store import files

NOW = dt.datetime(2026, 2, 25, 3, 0, tzinfo=dt.UTC)


def write(base: Path, history: History, days_ago: float, *, healthy: bool = False) -> str:
    when = NOW - dt.timedelta(days=days_ago)
    began = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    report = msgspec.structs.replace(HEALTHY if healthy else BROKEN, started_at=began)
    run = write_run(base, HOST, report, files(report), when)
    history.record(HOST, report, run.name)
    return run.name


def test_by_count(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        names = [write(tmp_path, history, 2 - n / 10) for n in range(6)]
        assert prune(history, tmp_path, HOST, NOW, 4, 0) == 2
        assert run_directories(tmp_path / HOST) == names[2:]
        assert prune(history, tmp_path, HOST, NOW, 0, 0) == 0
        assert len(history.runs(HOST)) == 6  # what happened is still known
    assert (tmp_path / HOST / "latest" / "report.json").is_file()
    assert not [path for path in (tmp_path / HOST).iterdir() if path.name.startswith(".")]


def test_by_age_but_never_latest_nor_the_last_healthy_one(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        healthy = [write(tmp_path, history, days, healthy=True) for days in (90, 80)]
        write(tmp_path, history, 70)
        write(tmp_path, history, 40)
        latest = write(tmp_path, history, 33)
        assert prune(history, tmp_path, HOST, NOW, 100, 30) == 3
        assert run_directories(tmp_path / HOST) == [healthy[1], latest]
        prune(history, tmp_path, HOST, NOW, 100, 30)
        # Rows outlive directories by a few days only, those that are still needed excepted.
        assert {row.directory for row in history.runs(HOST)} == {healthy[1], latest}
    assert steps_of(tmp_path, healthy[0]) == {}
    assert (tmp_path / HOST / "latest" / "report.json").is_file()


def test_rows_are_limited_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hopcheck.history.retention._ROWS", 3)
    with History(tmp_path) as history:
        for number in range(6):  # of directories that are gone
            began = f"2026-02-20T03:00:0{number}Z"
            report = msgspec.structs.replace(BROKEN, started_at=began)
            history.record(HOST, report, f"r{number}")
        last = write(tmp_path, history, 0)
        prune(history, tmp_path, HOST, NOW, 1, 0)
        assert [row.directory for row in history.runs(HOST)] == [last, "r5", "r4"]


def test_an_older_run_that_is_latest_stays(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        latest = write(tmp_path, history, 3)
        when = NOW - dt.timedelta(days=1)
        for _ in range(4):  # interrupted ones, which never become latest
            report = msgspec.structs.replace(BROKEN, complete=False)
            write_run(tmp_path, HOST, report, files(report), when)
        prune(history, tmp_path, HOST, NOW, 2, 30)
        assert len(run_directories(tmp_path / HOST)) == 3
        assert run_directories(tmp_path / HOST)[0] == latest


def test_what_killed_runs_left_is_swept_after_an_hour(tmp_path: Path) -> None:
    home = tmp_path / HOST
    with History(tmp_path) as history:
        write(tmp_path, history, 0)
        old, young = home / ".20260225T010000Z-aaaa-1", home / ".gone-20260225T010000Z-bbbb-2"
        foreign = home / ".mine"
        for path in (old, young, foreign):
            path.mkdir()
            (path / "report.json").write_text("")
        for path in (old, foreign):
            os.utime(path, (NOW.timestamp() - 4000,) * 2)
        os.utime(young, (NOW.timestamp() - 60,) * 2)
        prune(history, tmp_path, HOST, NOW, 100, 30)
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()
