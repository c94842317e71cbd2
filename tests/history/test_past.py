"""What the history adds to a report."""

from pathlib import Path

import msgspec
import pytest

from hopcheck.engine.write import write
from hopcheck.model import Report, Step
from tests.history.writer import session_of
from tests.report.examples import BROKEN, DEGRADED, HEALTHY, HOST, UNKNOWN

FRESH = {"since": None, "last_healthy": None, "compared_with": None, "changes": ()}


def run(base: Path, report: Report, moment: str, **more: object) -> Report:
    fresh = msgspec.structs.replace(report, started_at=moment, **{**FRESH, **more})
    host = session_of(base, fresh)
    write(host)
    assert host.notes == []
    assert host.report is not None
    return host.report


def test_a_series_and_its_end(tmp_path: Path) -> None:
    def at(report: Report, minute: int, **more: object) -> tuple[str | None, str | None]:
        done = run(tmp_path, report, f"2026-02-25T03:{minute:02}:00Z", **more)
        return done.since and done.since[14:16], done.last_healthy and done.last_healthy[14:16]

    assert at(BROKEN, 1) == ("01", None)
    assert at(BROKEN, 2) == ("01", None)
    assert at(HEALTHY, 3) == (None, None)
    assert at(BROKEN, 4) == ("04", "03")
    assert at(BROKEN, 5, complete=False) == (None, None)  # tells nothing, ends nothing
    assert at(HEALTHY, 6, selected=(Step.DNS,)) == (None, None)
    assert at(BROKEN, 7) == ("04", "03")
    assert at(BROKEN, 8, fingerprint="another") == ("08", "03")
    assert at(DEGRADED, 9) == ("09", "03")
    assert at(UNKNOWN, 10, complete=True) == ("10", "03")
    assert at(BROKEN, 11) == ("11", "03")


def test_written_and_told_are_the_same(tmp_path: Path) -> None:
    run(tmp_path, HEALTHY, "2026-02-25T02:00:00Z")
    done = run(tmp_path, BROKEN, "2026-02-25T03:00:00Z")
    written = msgspec.json.decode((tmp_path / HOST / "latest" / "report.json").read_bytes())
    assert written["since"] == done.since == "2026-02-25T03:00:00Z"
    summary = (tmp_path / HOST / "latest" / "summary.md").read_text()
    assert "- Since: first seen in this run; last healthy 02:00:00Z\n" in summary


def test_trouble_with_the_history_is_a_note_and_the_report_is_written(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    host = session_of(tmp_path, msgspec.structs.replace(BROKEN, **FRESH))
    path = write(host)
    assert (path / "report.json").is_file()
    assert host.notes
    assert all("history.db" in note for note in host.notes)


def test_a_defect_of_the_comparison_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defective(*_: object) -> None:
        raise KeyError("x")

    run(tmp_path, HEALTHY, "2026-02-25T02:00:00Z")
    monkeypatch.setattr("hopcheck.history.with_past.changes", defective)
    host = session_of(tmp_path, msgspec.structs.replace(BROKEN, **FRESH))
    write(host)
    (note,) = host.notes
    assert "please report it: KeyError: 'x'" in note
    assert host.report is not None
    assert host.report.last_healthy == "2026-02-25T02:00:00Z"
    assert host.report.compared_with is None


def test_a_damaged_history_is_a_note(tmp_path: Path) -> None:
    run(tmp_path, HEALTHY, "2026-02-25T02:00:00Z")
    (tmp_path / "history.db").write_bytes(b"no database" * 100)
    host = session_of(tmp_path, msgspec.structs.replace(BROKEN, **FRESH))
    write(host)
    (note,) = host.notes
    assert "was damaged" in note
    # What is on disk was read again.
    assert host.report is not None
    assert host.report.last_healthy == "2026-02-25T02:00:00Z"
