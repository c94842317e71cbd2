"""The path as a picture: what stands where, for the SVG of report.html (pure).

A browser does not break lines in SVG, so the text is measured here, with widths that no usual
font exceeds (DejaVu's, the widest in common use). All lengths are in the picture's own units,
which are CSS pixels on a screen of 360.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hopcheck.report.labels import label, word
from hopcheck.report.text import ELLIPSIS

WIDTH = 336
_LEFT, _RIGHT = 34, 10  # from the box's edges to its text
_ROOM = WIDTH - _LEFT - _RIGHT
_GAP = 16  # between two boxes
_GLYPH = 12
_DOT, _PITCH = 10, 13  # of a member in the matrix, and from one to the next
_EACH = 6  # members that are named each; more are drawn as a matrix and counted
_NAMED = 4  # of these, the ones in trouble that are named
_LONGEST = 400
_LINES = {"label": 3, "detail": 3, "member": 2}
_SIZE = {"kind": 12.0, "label": 13.0, "detail": 12.0, "member": 12.0}
_HEIGHT = {"kind": 16, "label": 17, "detail": 15, "member": 16}
_MONO = frozenset({"label", "member"})
# A party's own words for a member, and how it looks. Any other word: `other`, said as it is.
_LOOKS = {"healthy": "ok", "ready": "ok", "unhealthy": "broken", "not ready": "broken"}
STATES = ("ok", "partial", "broken", "consequence", "unknown", "not_applicable")

_NARROW = frozenset("iljtfrI.,:;'|!()[]{} /\\-\"`")
_PIECES = re.compile(r"[^/.:,@=_-]*[/.:,@=_-]|[^/.:,@=_-]+")


class Words(Struct, frozen=True):
    """One line of text; `kind` is its class, `y` its baseline."""

    kind: str
    x: float
    y: float
    text: str


class Glyph(Struct, frozen=True):
    """One sign of a state, its upper left corner and size."""

    look: str
    x: float
    y: float
    size: int


class Box(Struct, frozen=True):
    """One hop: a frame with what stands in it; `word` says its state."""

    state: str
    y: int
    height: int
    word: str
    words: tuple[Words, ...]
    glyphs: tuple[Glyph, ...]


class Edge(Struct, frozen=True):
    """The way from one box to the next; `cut` where the request does not get on."""

    y: int
    length: int
    cut: bool
    stop: bool  # the first cut


class Picture(Struct, frozen=True):
    """All boxes and edges, from top to bottom."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


def member_look(state: str) -> str:
    """How a member in that state is drawn: one of STATES, or "other"."""
    return state if state in STATES else _LOOKS.get(state, "other")


def member_words(member: Mapping[str, Any]) -> str:
    """A member's name, its state unless it is well, and its detail."""
    look = member["look"]
    said = (
        ""
        if look == "ok"
        else word("state" if look == member["state"] else "member", member["state"])
    )
    about = ", ".join(part for part in (said, member["detail"]) if part)
    return f"{member['name']} {about}".rstrip()


def draw(hops: Sequence[Mapping[str, Any]]) -> Picture:
    """The picture of `hops`: report.json's path with what `page` adds to each.

    Members have a `look`, those in trouble come first and are not more than can be drawn; `total`
    and `well` count all of them.
    """
    boxes: list[Box] = []
    edges: list[Edge] = []
    y = 2
    cut = False
    for number, hop in enumerate(hops):
        if number:
            stop = not cut and hops[number - 1]["state"] == "broken"
            cut = cut or stop
            edges.append(Edge(y, _GAP, cut, stop))
            y += _GAP
        box = _box(hop, y)
        boxes.append(box)
        y += box.height
    return Picture(WIDTH, y + 2, tuple(boxes), tuple(edges))


class _Pen:
    """Writes lines from top to bottom."""

    def __init__(self, y: float) -> None:
        self.y = y
        self.words: list[Words] = []
        self.glyphs: list[Glyph] = []

    def line(self, kind: str, text: str, x: float = _LEFT) -> None:
        self.words.append(Words(kind, x, self.y + 0.78 * _HEIGHT[kind], text))

    def paragraph(self, kind: str, text: str) -> None:
        for row in wrap(text, kind, _ROOM):
            self.line(kind, row)
            self.y += _HEIGHT[kind]


def _box(hop: Mapping[str, Any], top: int) -> Box:
    pen = _Pen(top + 6)
    pen.glyphs.append(Glyph(hop["state"], 10, top + 7, 16))
    pen.line("kind", label(f"hop.{hop['hop']}"))
    pen.y += _HEIGHT["kind"]
    if hop["label"]:
        pen.paragraph("label", hop["label"])
    if hop["detail"]:
        pen.paragraph("detail", hop["detail"])
    members = hop["members"]
    if hop["total"] > _EACH:
        _matrix(pen, members)
        pen.paragraph("detail", label("counted", ok=hop["well"], total=hop["total"]))
        members = [one for one in members if one["look"] != "ok"][:_NAMED]
    _each(pen, members)
    state = word("state", hop["state"])
    return Box(
        hop["state"], top, round(pen.y - top) + 7, state, tuple(pen.words), tuple(pen.glyphs)
    )


def _matrix(pen: _Pen, members: Sequence[Mapping[str, Any]]) -> None:
    per_row = _ROOM // _PITCH
    pen.y += 3
    for number, one in enumerate(members):
        x, row = _LEFT + _PITCH * (number % per_row), number // per_row
        pen.glyphs.append(Glyph(one["look"], x, pen.y + _PITCH * row, _DOT))
    pen.y += _PITCH * (-(-len(members) // per_row)) + 1


def _each(pen: _Pen, members: Sequence[Mapping[str, Any]]) -> None:
    """Members side by side as far as there is room, long ones on lines of their own."""
    x = float(_LEFT)
    begun = False
    for one in members:
        rows = wrap(member_words(one), "member", _ROOM - _GLYPH - 3)
        wide = _GLYPH + 3 + width(rows[0], "member")
        if begun and (len(rows) > 1 or x + wide > WIDTH - _RIGHT):
            x, begun = float(_LEFT), False
            pen.y += _HEIGHT["member"]
        pen.glyphs.append(Glyph(one["look"], x, pen.y + 2, _GLYPH))
        for number, row in enumerate(rows):
            if number:
                pen.y += _HEIGHT["member"]
            pen.line("member", row, x + _GLYPH + 3)
        x, begun = (x + wide + 12, True) if len(rows) == 1 else (float(WIDTH), True)
    if begun:
        pen.y += _HEIGHT["member"]


def width(text: str, kind: str) -> float:
    """At most how wide `text` is drawn."""
    size = _SIZE[kind]
    if kind in _MONO:
        return size * sum(1.0 if _wide(one) else 0.61 for one in text)
    return size * sum(_proportional(one) for one in text)


def _wide(character: str) -> bool:
    return not character.isascii() and unicodedata.east_asian_width(character) in "WF"


def _proportional(character: str) -> float:
    if _wide(character) or character in "mwMW@%":
        return 1.0
    if character in _NARROW:
        return 0.42
    return 0.76 if character.isupper() or not character.isascii() else 0.64


def wrap(text: str, kind: str, room: float) -> list[str]:
    """`text` in lines no wider than `room`; what is more than the kind's lines is cut.

    Broken at spaces; a word that is too long, after / . : , @ = _ - or else where it must be.
    """
    rows = [""]
    # More than this is never drawn, and every character is measured.
    for whole in text[:_LONGEST].split():
        space = " " if rows[-1] else ""
        pieces = [whole] if width(whole, kind) <= room else list(_pieces(whole, kind, room))
        for piece in pieces:
            if rows[-1] and width(rows[-1] + space + piece, kind) > room:
                rows.append(piece)
            else:
                rows[-1] += space + piece
            space = ""
    most = _LINES[kind]
    if len(rows) > most:
        last = rows[most - 1]
        while last and width(last + ELLIPSIS, kind) > room:
            last = last[:-1]
        rows = [*rows[: most - 1], last + ELLIPSIS]
    return rows


def _pieces(long: str, kind: str, room: float) -> Iterator[str]:
    for match in _PIECES.finditer(long):
        piece = match.group()
        while width(piece, kind) > room:
            count = next(n for n in range(len(piece), 0, -1) if width(piece[:n], kind) <= room)
            yield piece[:count]
            piece = piece[count:]
        yield piece
