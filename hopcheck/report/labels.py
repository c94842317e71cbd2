"""The words that the renderers add themselves: section `label` of the texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopcheck.catalogue.catalogue import has_text, listing, text
from hopcheck.model import Hop, Report

_PATH_KEYS = frozenset(
    f"{hop.value}.{part}" for hop in Hop for part in ("label", "members", "detail", "na")
)


def label(key: str, **params: object) -> str:
    """The words of `key` with `params` filled in. Raises KeyError for an unknown key."""
    return text("label", key, **params)


def word(kind: str, value: str) -> str:
    """The word for a value of a party's own ("member.ready"); the value itself where none is."""
    key = f"{kind}.{value}"
    return label(key) if has_text("label", key) else value


def fact(key: str, value: str) -> str:
    """A fact's key and its value on a terminal: report.json's own in English."""
    return f"{word('key', key)}: {word('member', value) if key == 'state' else value}"


def changing(command: str) -> str:
    """What a command of a fix does: it changes something, at once or after it was tried."""
    flags = ("--dry-run=server", "--dry-run")  # at its end: what is quoted may say anything
    flag = next((flag for flag in flags if command.endswith(f" {flag}")), "")
    return label("changes.try", flag=flag) if flag else label("changes.now")


def left_out(report: Report) -> str:
    """The findings left out on purpose in a few words: code and object of each."""
    return listing(f"{finding.code} {finding.object}" for finding in report.skipped)


def beside_path(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without those that are shown beside the path ("dns.label", …)."""
    return {str(key): value for key, value in facts.items() if key not in _PATH_KEYS}
