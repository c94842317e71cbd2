"""reports/index.html with what the history tells, as text and in a real Chromium."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from hopcheck.history.database import HISTORY, History
from hopcheck.history.index import read_index, update_index
from hopcheck.model import Report, Target, Verdict
from hopcheck.report.json import to_json
from hopcheck.report.store import run_name, slug, write_run
from tests.report.chromium import Chromium
from tests.report.examples import BROKEN, DEGRADED, HEALTHY
from tests.report.test_html import Tags

NOW = dt.datetime(2026, 2, 25, 12, 0, 0, tzinfo=dt.UTC)


def run(base: Path, report: Report, host: str, days_ago: float) -> None:
    when = NOW - dt.timedelta(days=days_ago)
    report = msgspec.structs.replace(
        report, target=Target(host), started_at=when.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    name = run_name(base / host, when)
    write_run(base, slug(report.target), report, {"report.json": to_json(report)}, when, name=name)
    with History(base) as history:
        history.record(slug(report.target), report, name)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    run(tmp_path, HEALTHY, "shop.example.com", 9)
    run(tmp_path, HEALTHY, "shop.example.com", 2)
    run(tmp_path, HEALTHY, "shop.example.com", 1)
    run(tmp_path, BROKEN, "shop.example.com", 1.1)
    run(tmp_path, BROKEN, "shop.example.com", 0)
    run(tmp_path, HEALTHY, "api.example.com", 0)
    run(tmp_path, DEGRADED, "www.example.com", 0)
    return tmp_path


def test_a_row_knows_the_last_seven_days(base: Path) -> None:
    (row,) = (one for one in read_index(base, NOW) if one.host == "shop.example.com")
    assert [day.date for day in row.days][0::6] == ["2026-02-19", "2026-02-25"]
    assert [day.worst for day in row.days] == [
        *(None,) * 4,
        Verdict.HEALTHY,
        Verdict.BROKEN,
        Verdict.BROKEN,
    ]
    assert row.days[5].verdicts == {"healthy": 1, "broken": 1}


def test_the_worst_host_first_with_since_and_days_in_words(base: Path) -> None:
    words = Tags(update_index(base, NOW).read_bytes()).words
    places = [words.index(f"https://{name}.example.com/") for name in ("shop", "www", "api")]
    assert places == sorted(places)
    assert "3 hosts: 1 broken 1 degraded 1 healthy" in words
    assert "02:18:00Z" in words
    assert "2026-02-24: broken (1 of 2 runs)" in words
    assert "2026-02-21: no run" in words


def test_without_a_history_the_rows_still_stand(base: Path) -> None:
    (base / HISTORY).unlink()
    (base / HISTORY).mkdir()
    words = Tags(update_index(base, NOW).read_bytes()).words
    assert "https://shop.example.com/" in words
    assert "no run" not in words


def test_a_damaged_history_does_not_stop_the_index(base: Path) -> None:
    (base / HISTORY).write_bytes(b"no database " * 1000)
    assert len(read_index(base, NOW)) == 3


@pytest.mark.parametrize("width", [360, 1280])
def test_the_index_fits_and_links_lead_to_the_reports(
    browser: Chromium, base: Path, width: int
) -> None:
    index = update_index(base, NOW)
    browser.open(index, width, 800)
    assert (
        browser.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        == 0
    )
    links = browser.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert [(base / link).parent.joinpath("report.json").is_file() for link in links] == [True] * 3
    strip = browser.evaluate(
        "[...document.querySelector('.days').children].map(e =>"
        " [e.title, e.querySelector('use').getAttribute('href'), e.getBoundingClientRect().width])"
    )
    assert [one[1] for one in strip] == [
        *("#i-not_applicable",) * 4, "#i-ok", "#i-broken", "#i-broken"
    ]  # fmt: skip
    assert all(one[2] >= 14 for one in strip)
    assert browser.seen("Log.entryAdded") == []
