"""A finding as it is written: ``hopcheck/findings/CODE.LANGUAGE.md``, read when it is asked for.

A file is TOML in a fenced block (what programs need, and the templates), then the page's sections
under their headings. The room's README.md says what the fields mean.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from hopcheck.catalogue.language import ENGLISH, over, tables_of

SECTIONS = ("meaning", "why", "evidence", "fix", "ignore")
_FOLDER = resources.files("hopcheck") / "findings"
_NAME = re.compile(r"([A-Z]{3}\d{3})\.en\.md")
_FORM = re.compile(r"```toml\n(.*?)^```\n(.*)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
# The order of the checklist.
_STEPS = ("DNS", "TGT", "SVC", "ING", "END", "LOG", "REQ")


@cache
def codes() -> tuple[str, ...]:
    """All codes, by step and number."""
    found = [name[1] for file in _FOLDER.iterdir() if (name := _NAME.fullmatch(file.name))]
    return tuple(sorted(found, key=lambda code: (_STEPS.index(code[:3]), code)))


def written(code: str, language: str) -> dict[str, Any]:
    """The fields of a finding and, under `page`, its sections by their keys (SECTIONS).

    Another language's file lies over the English one and may lack anything. Raises KeyError for an
    unknown code, ValueError for a file that has not this form.
    """
    if code not in codes():
        raise KeyError(code)
    whole = read(code, ENGLISH)
    if language == ENGLISH or not (_FOLDER / f"{code}.{language}.md").is_file():
        return whole
    return over(whole, read(code, language))


def read(code: str, language: str) -> dict[str, Any]:
    """What one file says. Raises as `written` does, OSError without the file."""
    name = f"{code}.{language}.md"
    form = _FORM.fullmatch((_FOLDER / name).read_text("utf-8"))
    if form is None:
        raise ValueError(f"{name}: not a block of TOML and a page")
    headings = {tables_of("texts", language)["page"][key]: key for key in SECTIONS}
    _, *parts = _HEADING.split(form[2])
    unknown = set(parts[::2]) - headings.keys()
    if unknown:
        raise ValueError(f"{name}: unknown sections {sorted(unknown)}")
    page = {
        headings[heading]: body.strip()
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }
    return tomllib.loads(form[1]) | {"page": page}
