"""The language of everything that people read; codes, ids and JSON keys have none.

English is whole; another language's file (``texts.ko.toml``, ``ING004.ko.md``) may lack texts, and
English stands in for them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

LANGUAGES = ("en", "ko")
ENGLISH = "en"


class _Spoken:
    """What is spoken, and whether somebody asked for it by name."""

    code = ENGLISH
    asked = False


def language() -> str:
    """The language in use, an ISO 639 code of LANGUAGES."""
    return _Spoken.code


def use(code: str, *, asked: bool = True) -> None:
    """Use `code` from here on; `asked`: nothing but another `use` changes it again.

    Raises ValueError for a language that there is none of.
    """
    if code not in LANGUAGES:
        raise ValueError(f"language {code[:20]!a}: one of {', '.join(LANGUAGES)}")
    _Spoken.code, _Spoken.asked = code, asked


def prefer(code: str) -> None:
    """Use `code` unless somebody asked for a language. Raises ValueError as `use` does."""
    if code not in LANGUAGES or not _Spoken.asked:
        use(code, asked=False)


def of_environment(environment: Mapping[str, str] = os.environ) -> str:
    """The language of the locale (LC_ALL, LC_MESSAGES, LANG, the first that is set), or English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            code = value.partition(".")[0].partition("_")[0].lower()
            return code if code in LANGUAGES else ENGLISH
    return ENGLISH


def speak(code: str | None) -> None:
    """The language asked for, else the locale's. Raises ValueError as `use` does."""
    if code is not None:
        use(code)
    else:
        prefer(of_environment())


def tables(name: str) -> dict[str, Any]:
    """The tables of ``<name>.en.toml``, with those of the language in use laid over them."""
    return tables_of(name, language())


@cache
def tables_of(name: str, code: str) -> dict[str, Any]:
    """The same in the language `code`."""
    whole = _read(f"{name}.{ENGLISH}.toml")
    return whole if code == ENGLISH else over(whole, _read(f"{name}.{code}.toml"))


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("hopcheck.catalogue").joinpath(file).read_text("utf-8"))


def over(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `top` says instead; tables are laid over each other."""
    made = dict(base)
    for key, value in top.items():
        under = made.get(key)
        made[key] = over(under, value) if isinstance(under, dict) else value
    return made
