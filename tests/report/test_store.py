"""Runs on disk: whole or not at all."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopcheck.history.index import read_index, update_index
from hopcheck.model import Report, Target
from hopcheck.report import store
from hopcheck.report.json import to_json
from hopcheck.report.store import IndexRow, slug, write_run
from tests.report.examples import BROKEN, HEALTHY, HOST, UNKNOWN, hostile

WHEN = datetime(2026, 2, 25, 3, 0, 0, tzinfo=UTC)


def files(report: Report = BROKEN) -> dict[str, bytes]:
    return {"report.json": to_json(report), "report.html": b"<p>"}


def hidden(base: Path) -> list[Path]:
    return [path for path in base.rglob(".*") if path.name != ".lock"]


@pytest.mark.parametrize(
    "target",
    [Target("a.example.com"), Target("a.example.com", scheme_asked=True, path_asked=True)],
)
def test_the_default_url_has_the_host_for_a_slug(target: Target) -> None:
    assert slug(target) == "a.example.com"


@pytest.mark.parametrize(
    "target",
    [
        Target("a.example.com", path="/x"),
        Target("a.example.com", port=8443),
        Target("a.example.com", scheme="http", port=80),
        Target("a.example.com", path="/?q=1"),
        Target("2001:db8::1"),
        Target("::1", port=8443),
        Target("."),
        Target(".."),
        Target(""),
        Target("../../etc/passwd"),
        Target("a/b\x00c\n$(touch x)"),
        Target("\ud800.example.com"),
        Target("x" * 5000),
        Target("under_score.example.com"),
        Target("index.html"),
        Target("history.db"),
        Target("history.db-journal"),
    ],
)
def test_any_other_has_a_hash_and_nothing_dangerous(target: Target) -> None:
    assert re.fullmatch(r"[a-z0-9-][a-z0-9.-]{0,99}_[0-9a-f]{8}", slug(target))


def test_slugs_differ_where_urls_do() -> None:
    paths = [slug(Target("a.example.com", path=f"/{n}")) for n in range(50)]
    assert len(set(paths)) == 50
    assert slug(Target("::1")) != slug(Target("--1"))


def test_a_run_is_written_and_becomes_latest(tmp_path: Path) -> None:
    base = tmp_path / "not" / "yet"
    run = write_run(base, HOST, BROKEN, files(), WHEN)
    assert re.fullmatch(r"20260225T030000Z-[0-9a-f]{4}", run.name)
    assert run.parent == base / HOST
    assert {path.name for path in run.iterdir()} == {"report.json", "report.html"}
    assert (run / "report.json").read_bytes() == to_json(BROKEN)
    assert (base / HOST / "latest").readlink() == Path(run.name)
    assert hidden(base) == []


def test_latest_moves_on_for_complete_runs_of_all_seven_only(tmp_path: Path) -> None:
    first = write_run(tmp_path, HOST, BROKEN, files(), WHEN)
    interrupted = write_run(tmp_path, HOST, UNKNOWN, files(), WHEN)
    selected = write_run(tmp_path, HOST, HEALTHY, files(), WHEN, all_selected=False)
    assert not UNKNOWN.complete
    assert (tmp_path / HOST / "latest").readlink() == Path(first.name)
    last = write_run(tmp_path, HOST, HEALTHY, files(), WHEN)
    assert (tmp_path / HOST / "latest").readlink() == Path(last.name)
    assert len({first, interrupted, selected, last}) == 4
    assert hidden(tmp_path) == []


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"report.json": b"{}", "junit.xml": "text, no bytes"}
    with pytest.raises(TypeError):
        write_run(tmp_path, HOST, BROKEN, wrong, WHEN)
    assert list((tmp_path / HOST).iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_run(tmp_path / "file", HOST, BROKEN, files(), WHEN)


def test_a_copy_where_links_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    write_run(tmp_path, HOST, BROKEN, files(BROKEN), WHEN)
    latest = tmp_path / HOST / "latest"
    assert not latest.is_symlink()
    assert (latest / "report.json").read_bytes() == to_json(BROKEN)
    write_run(tmp_path, HOST, HEALTHY, files(HEALTHY), WHEN)
    assert (latest / "report.json").read_bytes() == to_json(HEALTHY)
    monkeypatch.undo()
    run = write_run(tmp_path, HOST, BROKEN, files(BROKEN), WHEN)
    assert latest.readlink() == Path(run.name)
    assert hidden(tmp_path) == []


def test_the_index_lists_every_host(tmp_path: Path) -> None:
    write_run(tmp_path, HOST, BROKEN, files(), WHEN)
    other = msgspec.structs.replace(HEALTHY, target=Target("b.example.com", path="/x?t=secret"))
    write_run(tmp_path, slug(other.target), other, files(other), WHEN)
    run = write_run(tmp_path, "partial", UNKNOWN, files(UNKNOWN), WHEN)
    torn = write_run(tmp_path, "torn", BROKEN, {"report.json": b'{"host": '}, WHEN)
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "empty").mkdir()
    rows = read_index(tmp_path, WHEN)
    assert (
        IndexRow(
            HOST,
            f"https://{HOST}/",
            "broken",
            BROKEN.headline,
            BROKEN.started_at,
            f"{HOST}/latest/report.html",
            BROKEN.since,
        )
        in rows
    )
    assert {row.link for row in rows} == {
        f"{HOST}/latest/report.html",
        f"{slug(other.target)}/latest/report.html",
        f"partial/{run.name}/report.html",
        f"{torn.parent.name}/latest/report.html",
    }
    assert [row.verdict for row in rows if row.host == "torn"] == ["unknown"]
    html = update_index(tmp_path, WHEN).read_text()
    assert html.count("<tr>") == 5
    assert "secret" not in html
    assert hidden(tmp_path) == []


def test_the_index_of_an_empty_directory(tmp_path: Path) -> None:
    assert "No report yet." in update_index(tmp_path, WHEN).read_text()


def test_a_held_lock_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LOCK_WAIT_S", 0.05)
    with store.locked(tmp_path):
        assert update_index(tmp_path, WHEN).exists()


def test_hostile_text_is_escaped_in_the_index(tmp_path: Path) -> None:
    sick = hostile()
    write_run(tmp_path, slug(sick.target), sick, files(sick), WHEN)
    html = update_index(tmp_path, WHEN).read_text()
    assert "<img" not in html
    assert "document.title=&#39;owned" in html
