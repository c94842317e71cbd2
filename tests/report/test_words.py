"""Every word of the pages comes from the texts, and longer words in another script fit."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopcheck.catalogue import language
from hopcheck.report.html import render_index, to_html
from hopcheck.report.json import to_json
from tests.report.chromium import Chromium
from tests.report.examples import EXAMPLES
from tests.report.test_browser import ROWS, STRAY, TOO_WIDE
from tests.report.test_html import Tags

# About half again as long as an English label, and as wide as Hangul is.
SYLLABLES = "서비스의선택자가어떤파드와도일치하지않습니다"
_PLACE = re.compile(r"(\{[^{}]*\})")


def foreign(value: Any) -> Any:
    """The texts with every word replaced, the parameters kept."""
    if isinstance(value, dict):
        return {key: foreign(item) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    return "".join(
        part
        if _PLACE.fullmatch(part)
        else re.sub(r"[^\W\d_]+", lambda m: SYLLABLES[: max(1, len(m.group()))], part)
        for part in _PLACE.split(value)
    )


@pytest.fixture
def korean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tables = language.tables
    texts = foreign(tables("texts"))
    monkeypatch.setattr(language, "tables", lambda name: texts if name == "texts" else tables(name))
    monkeypatch.setattr("hopcheck.catalogue.catalogue.tables", language.tables)
    before = language.language()
    language.use("ko")
    yield
    language.use(before)


# The program's own name and a command to paste.
OURS = {"hopcheck", "explain"}


@pytest.mark.usefixtures("korean")
@pytest.mark.parametrize("name", EXAMPLES)
def test_no_english_stands_in_the_templates(name: str) -> None:
    report = EXAMPLES[name]
    page = Tags(to_html(report))
    assert ("html", {"lang": "ko"}) in page.tags
    data = set(re.findall(r"[A-Za-z]+", json.dumps(json.loads(to_json(report)))))
    left = set(re.findall(r"[A-Za-z]+", page.words)) - data - OURS
    assert left == set()


@pytest.mark.usefixtures("korean")
@pytest.mark.parametrize("name", [*EXAMPLES, "index"])
def test_longer_words_fit(browser: Chromium, tmp_path: Path, name: str) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(render_index(ROWS) if name == "index" else to_html(EXAMPLES[name]))
    for width in (360, 1280):
        browser.open(page, width, 800)
        browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert browser.evaluate(TOO_WIDE) == 0
        assert browser.evaluate(STRAY) == []
        assert browser.evaluate("document.body.innerText").count("서") > 5
