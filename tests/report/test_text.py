"""What each medium may show."""

import xml.etree.ElementTree as ET

import pytest

from hopcheck.report.text import (
    command,
    for_terminal,
    for_xml,
    in_words,
    map_text,
    one_line,
    shorten,
    width_of,
)
from tests.report.examples import HOSTILE


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain text", "plain text"),
        ("é 한글 Ω 🚑", "é 한글 Ω 🚑"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred\x9d0;t\x9cx", "redx"),
        ("\x1bP1;2q~~\x1b\\x", "x"),
        ("\x1b]never ends, but is seen", "never ends, but is seen"),
        ("a\x1bcb", "ab"),
        ("a\x00b\x08c\x7fd", "abcd"),
        ("a\u202eb\u2066c\u200bd\ufeffe\u200f", "abcde"),
        ("one\r\ntwo\rthree\u2028four\tfive", "one\ntwo\nthree\nfour five"),
        ("lone \ud800", "lone \ufffd"),
    ],
)
def test_for_terminal(given: str, shown: str) -> None:
    assert for_terminal(given) == shown


def test_for_xml_keeps_what_xml_can_hold() -> None:
    text = "".join(map(chr, [*range(0x100), 0xD800, 0xFFFE, 0xFFFF, 0x1F600])) + HOSTILE
    element = ET.Element("x", a=for_xml(text))
    element.text = for_xml(text)
    back = ET.fromstring(ET.tostring(element, encoding="utf-8"))  # our own
    assert back.text == for_xml(text)
    assert back.get("a") == for_xml(text)


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [
        ("short", 10, "short"),
        ("two\nlines  here", 20, "two lines here"),
        ("exactly ten", 11, "exactly ten"),
        ("one too many", 11, "one too ma…"),
        ("한글한글", 5, "한글…"),
        ("anything", 0, ""),
        ("\x1b[31mred", 3, "red"),
    ],
)
def test_one_line(text: str, width: int, line: str) -> None:
    assert one_line(text, width) == line
    assert width_of(one_line(text, width)) <= width


def test_a_command_stays_one_line_and_keeps_its_spaces() -> None:
    assert command("kubectl get 'a  b'\nrm -rf x\x1b[2J") == "kubectl get 'a  b' rm -rf x"


def test_in_words() -> None:
    facts = {"a": [1, 2.5, True], "b": None, "c": {"d": "e"}, "f": []}
    assert in_words(facts) == "a: 1, 2.5, yes; b: none; c: d: e; f: none"


def test_map_text_reaches_keys_and_depth() -> None:
    assert map_text({"a": ["b", ("c", 1)], "d": None}, str.upper) == {
        "A": ["B", ["C", 1]],
        "D": None,
    }


def test_shorten() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
