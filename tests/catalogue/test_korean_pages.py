"""The Korean files hold every text of the English ones, with the same places to fill and names."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from hopcheck.catalogue import language
from hopcheck.catalogue.catalogue import codes, read, text
from hopcheck.report.explain import SECTIONS, page, plain
from tests.catalogue.test_catalogue import fields
from tests.report.test_explain import sections

HANGUL = re.compile("[가-힣]")
# What stands between backticks, however many there are.
LITERAL = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
# No \b: a Korean particle follows a code without a space, and is a letter.
CODE = re.compile(r"(?<![A-Za-z])[A-Z]{3}\d{3}(?!\d)")
# Not sentences: the commands are the same in every language.
SHARED = {"severity", "step", "stops", "symptom", "last_resort", "intended", "by_draw",
          "asked_about", "hop", "groups", "explained_by", "explains", "commands",
          "fix_commands"}  # fmt: skip


def flat(tables: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from flat(value, (*path, key))
        elif key not in SHARED:
            yield ".".join((*path, key)), value


def spoken(name: str, code: str) -> dict[str, str]:
    """All that is said by key: of the texts, or of the findings' templates or pages."""
    if name == "texts":
        return dict(flat(language._read(f"texts.{code}.toml")))
    files = {one: read(one, code) for one in codes()}
    if name == "pages":
        return dict(flat({one: found["page"] for one, found in files.items()}))
    for found in files.values():
        del found["page"]
    return dict(flat(files))


def literals(words: str) -> Counter[str]:
    return Counter(found for _, found in LITERAL.findall(words))


@pytest.fixture
def korean() -> Iterator[None]:
    language.use("ko", asked=False)
    yield
    language.use("en", asked=False)


@pytest.mark.parametrize("name", ["findings", "texts", "pages"])
def test_the_same_keys(name: str) -> None:
    assert spoken(name, "ko").keys() == spoken(name, "en").keys()


@pytest.mark.parametrize("name", ["findings", "texts"])
def test_the_same_places_to_fill(name: str) -> None:
    english = spoken(name, "en")
    wrong = {
        key: fields(words) ^ fields(english[key])
        for key, words in spoken(name, "ko").items()
        if fields(words) != fields(english[key])
    }
    assert wrong == {}


def test_every_sentence_of_the_findings_is_korean() -> None:
    english = spoken("findings", "en")
    for key, words in spoken("findings", "ko").items():
        if key.endswith((".title", ".message", ".fix")) and words != english[key]:
            assert HANGUL.search(words), key


def test_every_text_of_the_pages_is_korean() -> None:
    english = spoken("pages", "en")
    for key, words in spoken("pages", "ko").items():
        assert HANGUL.search(words), key
        assert literals(words) == literals(english[key]), key
        assert Counter(CODE.findall(words)) == Counter(CODE.findall(english[key])), key


@pytest.mark.usefixtures("korean")
@pytest.mark.parametrize("code", codes())
def test_a_page_has_korean_headings(code: str) -> None:
    words = page(code)
    found = sections(words)
    assert tuple(found) == tuple(text("page", section) for section in SECTIONS)
    assert all(HANGUL.search(heading) for heading in found)
    assert all(HANGUL.search(body) for body in found.values())
    title, _, step = words.splitlines()[:3]
    assert HANGUL.search(title)
    assert HANGUL.search(step)


@pytest.mark.usefixtures("korean")
def test_explain_speaks_korean() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "hopcheck", "explain", "SVC008", "--lang", "ko"],
        capture_output=True, text=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip
    assert said == plain(page("SVC008")) + "\n"
