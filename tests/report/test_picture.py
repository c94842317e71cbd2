"""The path's picture: what is drawn where."""

from typing import Any

import pytest

from hopcheck.model import Hop
from hopcheck.report.picture import WIDTH, draw, member_look, width, wrap


def hop(name: Hop, state: str, *members: tuple[str, str], **more: Any) -> dict[str, Any]:
    shown = [
        {"name": one, "state": word, "detail": "", "look": member_look(word)}
        for one, word in members
    ]
    counts = {"total": len(shown), "well": sum(one["look"] == "ok" for one in shown)}
    given = {"hop": name.value, "state": state, "label": "", "detail": "", "members": shown[:120]}
    return {**given, **counts, **more}


@pytest.mark.parametrize("kind", ["label", "detail", "member"])
@pytest.mark.parametrize(
    "text",
    [
        "a",
        "x" * 500,
        "a/" * 200,
        "서비스에 " * 60,
        "서비스" * 100,
        "W" * 90,
        "myapp-nlb-d0fe7c59.elb.amazonaws.com",
    ],
)
def test_no_line_is_wider_than_its_room(text: str, kind: str) -> None:
    rows = wrap(text, kind, 200.0)
    assert rows
    assert all(width(row, kind) <= 200 for row in rows)
    assert len(rows) <= 3
    kept = "".join("".join(rows).split())
    assert kept == "".join(text.split()) or kept.endswith("…")


def test_words_stay_whole_where_they_can() -> None:
    assert wrap("node-1:30001, node-2:30001", "label", 110.0) == ["node-1:30001,", "node-2:30001"]
    assert wrap("", "label", 100.0) == [""]


def test_boxes_follow_one_another() -> None:
    picture = draw([hop(one, "ok", label="x" * 200) for one in Hop])
    assert len(picture.boxes) == 9
    for box, edge, after in zip(picture.boxes, picture.edges, picture.boxes[1:], strict=False):
        assert box.y + box.height == edge.y
        assert edge.y + edge.length == after.y
    assert picture.height > picture.boxes[-1].y + picture.boxes[-1].height
    assert picture.width == WIDTH


def test_the_way_is_cut_behind_the_broken_hop() -> None:
    states = ("ok", "ok", "consequence", "ok", "broken", "ok", "ok", "unknown", "unknown")
    edges = draw([hop(one, state) for one, state in zip(Hop, states, strict=True)]).edges
    assert [edge.cut for edge in edges] == [False] * 4 + [True] * 4
    assert [edge.stop for edge in edges] == [False] * 4 + [True] + [False] * 3


def test_few_members_are_named_each() -> None:
    (box,) = draw([hop(Hop.POD, "ok", ("a", "ok"), ("b", "Pending"))]).boxes
    assert [one.text for one in box.words if one.kind == "member"] == ["a", "b Pending"]
    assert [one.look for one in box.glyphs] == ["ok", "ok", "other"]


def test_many_members_are_counted_and_the_bad_ones_named() -> None:
    members = [(f"bad-{n}", "unhealthy") for n in range(5)] + [
        (f"n-{n}", "healthy") for n in range(35)
    ]
    (box,) = draw([hop(Hop.TARGET_GROUP, "partial", *members)]).boxes
    texts = [one.text for one in box.words]
    assert "35 of 40 ok" in texts
    assert [text for text in texts if text.startswith("bad")] == [
        f"bad-{n} unhealthy" for n in range(4)
    ]
    assert [one.look for one in box.glyphs].count("ok") == 35
    assert all(0 <= one.x <= WIDTH - one.size for one in box.glyphs)
    assert max(one.y + one.size for one in box.glyphs) <= box.y + box.height


def test_five_thousand_members_are_no_wall() -> None:
    members = [(f"n-{n}", "ok") for n in range(5000)]
    (box,) = draw([hop(Hop.NODE, "ok", *members)]).boxes
    assert len(box.glyphs) < 200
    assert box.height < 300
