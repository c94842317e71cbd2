"""The language of everything that people read; codes, ids and JSON keys have none.

English is whole; another language's file (``catalogue.ko.toml``, ``texts.ko.toml``,
``pages.ko.toml``) may lack texts, and English stands in for them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

LANGUAGES = ("en", "ko")
_DEFAULT = "en"
_current = [_DEFAULT]


def language() -> str:
    """The language in use, an ISO 639 code of LANGUAGES."""
    return _current[0]


def use(code: str) -> None:
    """Use `code` from here on. Raises ValueError for a language that there is none of."""
    if code not in LANGUAGES:
        raise ValueError(f"language {code[:20]!a}: one of {', '.join(LANGUAGES)}")
    _current[0] = code


def of_environment(environment: Mapping[str, str] = os.environ) -> str:
    """The language of the locale (LC_ALL, LC_MESSAGES, LANG, the first that is set), or English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            code = value.partition(".")[0].partition("_")[0].lower()
            return code if code in LANGUAGES else _DEFAULT
    return _DEFAULT


def tables(name: str) -> dict[str, Any]:
    """The tables of ``<name>.en.toml``, with those of the language in use laid over them."""
    return _tables(name, language())


@cache
def _tables(name: str, code: str) -> dict[str, Any]:
    whole = _read(f"{name}.{_DEFAULT}.toml")
    own = resources.files("hopcheck").joinpath(f"{name}.{code}.toml")
    if code == _DEFAULT or not own.is_file():
        return whole
    return _over(whole, _read(f"{name}.{code}.toml"))


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("hopcheck").joinpath(file).read_text("utf-8"))


def _over(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `top` says instead; tables are laid over each other."""
    made = dict(base)
    for key, value in top.items():
        under = made.get(key)
        made[key] = _over(under, value) if isinstance(under, dict) else value
    return made
