"""Trouble of some members is drawn, listed and mended at those members, not at their neighbours."""

import re
from pathlib import Path

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report
from hopcheck.report.evidence import load
from hopcheck.report.html import to_html
from hopcheck.report.json import to_dict
from hopcheck.report.page import LIMITS, page_of

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
# Recorded fault -> the hop at which it is drawn, and the members that are in trouble.
PARTLY = {
    "app-5xx-one": ("pod", ["my-app-6f7c9d5b84-hq2vd"]),
    "ep-some-refuse": ("pod", ["my-app-6f7c9d5b84-x3k7q", "my-app-6f7c9d5b84-x4k7q"]),
    "ep-one-hangs": ("pod", ["my-app-6f7c9d5b84-hq2vd"]),
    "svc-selector-wide": ("service", ["worker-5c9d7b8f6-k2x8p"]),
    "dns-stale-one": ("dns", ["127.177.194.250"]),
    "dns-resolvers-disagree": ("dns", ["127.177.194.250"]),
    "lb-address-dark": ("load-balancer", ["127.177.194.31"]),
}


def report_of(name: str) -> Report:
    return replay(load(SNAPSHOTS / f"{name}.json.gz"))


@pytest.mark.parametrize("name", PARTLY)
def test_the_members_in_trouble_are_red_and_no_others(name: str) -> None:
    report, (where, wanted) = report_of(name), PARTLY[name]
    hops = {hop.hop.value: hop for hop in report.path}
    red = [hop.hop.value for hop in report.path if hop.state in ("broken", "partial")]
    assert red == [where]
    assert hops[where].state == "partial"
    named = [one.name for hop in report.path for one in hop.members if one.state == "broken"]
    assert named == wanted
    assert any(one.state == "ok" for hop in report.path for one in hop.members)
    page = page_of(report, to_dict(report), LIMITS[0])
    glyphs = [glyph.look for box in page["picture"].boxes for glyph in box.glyphs]
    assert glyphs.count("broken") == len(wanted)


@pytest.mark.parametrize("name", ["app-5xx-one", "ep-some-refuse", "ep-one-hangs"])
def test_table_and_fix_name_them(name: str) -> None:
    report, (_, wanted) = report_of(name), PARTLY[name]
    rows = report.steps[4].facts["endpoints"]
    assert [row["name"] for row in rows if row["state"] != "ok"] == wanted
    (root,) = report.root_causes
    others = [row["name"] for row in rows if row["name"] not in wanted]
    assert all(pod in root.fix for pod in wanted)
    assert not any(pod in root.fix for pod in others)
    table = re.sub(r"<[^>]+>", " ", to_html(report).decode().partition("endpoints")[2])
    assert all(re.search(rf"{pod}\s+broken", table) for pod in wanted)
