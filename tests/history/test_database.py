"""The history's file: what it tells, and what happens to it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from hopcheck.history.database import History, HistoryError
from hopcheck.model import Report, Step, Verdict
from hopcheck.report.json import to_json
from hopcheck.report.store import Day
from tests.report.examples import BROKEN, DEGRADED, HEALTHY, HOST, UNKNOWN, hostile


def at(report: Report, moment: str, **more: object) -> Report:
    return msgspec.structs.replace(report, started_at=moment, **more)


def on_disk(base: Path, report: Report, directory: str) -> None:
    run = base / HOST / directory
    run.mkdir(parents=True)
    (run / "report.json").write_bytes(to_json(report))


def steps_of(base: Path, directory: str) -> dict[str, tuple[str, float]]:
    query = (
        "SELECT step, status, steps.duration_s FROM steps JOIN runs ON runs.id = run "
        "WHERE directory = ?"
    )
    with closing(sqlite3.connect(base / "history.db")) as connection:
        return {step: tuple(rest) for step, *rest in connection.execute(query, (directory,))}


def test_a_run_and_its_steps(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.record(HOST, BROKEN, "r1")
        history.record(HOST, BROKEN, "r1")
        (row,) = history.runs(HOST)
    steps = steps_of(tmp_path, "r1")
    assert steps[Step.DNS] == ("pass", 0.1)
    assert set(steps) == set(Step)
    assert (row.verdict, row.started_at, row.path) == (
        Verdict.BROKEN,
        BROKEN.started_at,
        f"{HOST}/r1",
    )
    assert row.root_causes == ("END001 Service default/my-app-service",)
    assert (row.fingerprint, row.headline, row.seen) == (BROKEN.fingerprint, BROKEN.headline, 7)
    assert (row.complete, row.strict, row.since) == (True, False, BROKEN.since)


def test_hostile_text_goes_in_and_comes_out(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.record(HOST, hostile(), "r1")
        (row,) = history.runs(HOST)
    assert "<script>" in row.headline
    assert "\ud800" not in row.headline


def test_the_newest_and_the_healthy_ones(tmp_path: Path) -> None:
    partial = tuple(Step)[:2]
    with History(tmp_path) as history:
        history.record(HOST, at(BROKEN, "2026-02-25T05:00:00Z"), "r5")
        history.record(HOST, at(HEALTHY, "2026-02-25T03:00:00Z"), "r3")
        history.record(HOST, at(HEALTHY, "2026-02-25T01:00:00Z"), "r1")
        history.record(HOST, at(HEALTHY, "2026-02-25T06:00:00Z", complete=False), "r6")
        history.record(HOST, at(HEALTHY, "2026-02-25T07:00:00Z", selected=partial), "r7")
        history.record("b.example.com", at(HEALTHY, "2026-02-25T08:00:00Z"), "r8")
        assert [row.directory for row in history.healthy(HOST, limit=9)] == ["r3", "r1"]
        newest = history.newest(HOST)
        assert newest is not None
        assert newest.directory == "r5"
        earlier = history.newest(HOST, until="2026-02-25T02:00:00Z")
        assert earlier is not None
        assert earlier.directory == "r1"
        assert history.newest("nobody.example.com") is None


def test_seven_days(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        for directory, report in {
            "a": at(HEALTHY, "2026-02-18T23:59:59Z"),
            "b": at(HEALTHY, "2026-02-19T00:00:00Z"),
            "c": at(DEGRADED, "2026-02-24T12:00:00Z"),
            "d": at(HEALTHY, "2026-02-24T13:00:00Z"),
            "e": at(BROKEN, "2026-02-25T00:30:00+01:00"),  # the 24th in UTC
            "f": at(BROKEN, "2026-02-25T01:00:00Z", complete=False),
            "g": at(UNKNOWN, "2026-02-25T01:00:00Z", complete=True),
        }.items():
            history.record(HOST, report, directory)
        ((slug, days),) = history.all_days("2026-02-25T02:00:00Z").items()
    assert slug == HOST
    assert [day.date for day in days] == [f"2026-02-{n}" for n in range(19, 26)]
    assert days[0] == Day("2026-02-19", 1, Verdict.HEALTHY, {"healthy": 1})
    assert days[1:5] == tuple(Day(f"2026-02-{n}") for n in range(20, 24))
    assert days[5] == Day(
        "2026-02-24", 3, Verdict.BROKEN, {"degraded": 1, "healthy": 1, "broken": 1}
    )
    assert days[6].worst is Verdict.UNKNOWN


def test_runs_of_before_the_history_are_read_from_their_directories(tmp_path: Path) -> None:
    old = at(BROKEN, "2026-02-25T03:00:00Z", since=None, selected=tuple(Step))
    on_disk(tmp_path, old, "20260225T030001Z-aaaa")
    on_disk(tmp_path, at(HEALTHY, "2026-02-25T02:00:00Z"), "20260225T020001Z-bbbb")
    (tmp_path / HOST / "20260225T040001Z-cccc").mkdir()  # no report in it
    with History(tmp_path) as history:
        assert [row.since for row in history.runs(HOST)] == [old.started_at, None]
        (day,) = history.all_days("2026-02-25T02:00:00Z", n=1)[HOST]
        assert day.verdicts == {"broken": 1, "healthy": 1}
        assert history.catch_up(HOST) == 0
        assert history.catch_up("nobody") == 0


DAMAGE = {
    "no database": b"this is no database, and long enough to be looked at" * 40,
    "a header only": b"SQLite format 3\x00" + b"\xff" * 4096,
}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    base = tmp_path_factory.mktemp("whole")
    with History(base) as history:
        for number in range(60):
            history.record(HOST, BROKEN, f"r{number}")
    return (base / "history.db").read_bytes()


@pytest.mark.parametrize("name", [*DAMAGE, "a page", "cut"])
def test_a_damaged_file_is_set_aside(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / "history.db"
    cut = len(content) // 2
    pages = content[:4096] + b"\xa5" * (len(content) - 4096)
    file.write_bytes({"a page": pages, "cut": content[:cut], **DAMAGE}[name])
    on_disk(tmp_path, HEALTHY, "20260225T020001Z-bbbb")
    with History(tmp_path) as history:
        history.record(HOST, BROKEN, "new")
        history.catch_up(HOST)
        names = {row.directory for row in history.runs(HOST, 1000)}
        assert history.said is not None
        assert "was damaged; it is kept as history.db.damaged-" in history.said
    assert names == {"new", "20260225T020001Z-bbbb"}
    aside = [path for path in tmp_path.glob("history.db.damaged-*") if path.name[-1] != "l"]
    assert len(aside) == 1  # and maybe its journal, which goes with it
    with closing(sqlite3.connect(file)) as found:
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "history.db")) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.commit()
    before = (tmp_path / "history.db").read_bytes()
    with pytest.raises(HistoryError, match="not a history of hopcheck"), History(tmp_path) as one:
        one.record(HOST, BROKEN, "r1")
    assert (tmp_path / "history.db").read_bytes() == before


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    with History(tmp_path) as history:
        history.record(HOST, BROKEN, "r1")
    with closing(sqlite3.connect(tmp_path / "history.db")) as newer:
        newer.execute("PRAGMA user_version = 9")
    with pytest.raises(HistoryError, match="newer hopcheck"), History(tmp_path) as history:
        history.newest(HOST)


def test_trouble_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    (tmp_path / "file").write_text("")
    for base in (tmp_path, tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(HistoryError) as caught, History(base) as history:
            history.record(HOST, BROKEN, "r1")
        assert len(str(caught.value).splitlines()) == 1


def test_a_held_lock_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hopcheck.history.database._WAIT_S", 0.05)
    with History(tmp_path) as history:
        history.record(HOST, BROKEN, "r1")
    with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryError, match="locked"), History(tmp_path) as history:
            history.record(HOST, BROKEN, "r2")
