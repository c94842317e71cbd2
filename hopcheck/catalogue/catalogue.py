"""Findings and sentences, made from the catalogue alone (`catalogue.en.toml`, `texts.en.toml`).

Judges name a code and its parameters; what people read stands in the catalogue, so that another
language is another file.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from hopcheck.catalogue.language import language, tables
from hopcheck.model import Evidence, Finding, ObjectRef, Severity, Step

PREFIX_TO_STEP = {
    "DNS": Step.DNS,
    "TGT": Step.TARGET_HEALTH,
    "SVC": Step.TRAEFIK_SERVICE,
    "ING": Step.INGRESS,
    "END": Step.ENDPOINTS,
    "LOG": Step.TRAEFIK_LOGS,
    "REQ": Step.REQUEST,
}
DOCS_URL = "docs/findings/{code}.md"


class Entry(Struct, frozen=True):
    """One code of the catalogue, as written in the file."""

    code: str
    severity: Severity
    title: str
    message: str
    expected: str
    actual: str
    fix: str
    commands: tuple[str, ...]
    params: tuple[str, ...]
    variants: Mapping[str, Mapping[str, Any]]

    @property
    def step(self) -> Step:
        """The step that owns the code."""
        return PREFIX_TO_STEP[self.code[:3]]


def entries() -> Mapping[str, Entry]:
    """All codes, in the order of the file and in the language in use."""
    return _entries(language())


@cache
def _entries(_language: str) -> Mapping[str, Entry]:
    return {
        code: Entry(
            code=code,
            severity=Severity(table["severity"]),
            title=table["title"],
            message=table["message"],
            expected=table["expected"],
            actual=table["actual"],
            fix=table["fix"],
            commands=tuple(table["commands"]),
            params=tuple(table["params"]),
            variants=table.get("variants", {}),
        )
        for code, table in tables("catalogue").items()
    }


def nearest(code: str, count: int = 1) -> list[str]:
    """The codes most like what was typed, the likest first ("svc8": SVC008)."""
    typed = code.strip().upper()[:20]
    near = difflib.get_close_matches(typed, entries(), n=count, cutoff=0.0)
    short = re.fullmatch(r"([A-Z]{3})(\d{1,3})", typed)
    whole = f"{short[1]}{int(short[2]):03d}" if short else ""
    return list(dict.fromkeys([whole, *near]))[:count] if whole in entries() else near


def text(section: str, key: str, /, **params: object) -> str:
    """One sentence of `texts.*.toml`. Raises KeyError for an unknown section or key."""
    return str(tables("texts")[section][key]).format(**params)


def has_text(section: str, key: str) -> bool:
    """Whether the sentence exists."""
    return key in tables("texts").get(section, {})


def listing(items: Iterable[object], limit: int = 5) -> str:
    """Some names as a person would list them: "a, b and 3 more"; "none" for no items."""
    names = [str(item) for item in items]
    if not names:
        return text("list", "none")
    shown = ", ".join(names[:limit])
    if len(names) <= limit:
        return shown
    return text("list", "more", names=shown, count=len(names) - limit)


def make(
    code: str,
    object: ObjectRef,  # noqa: A002  # the report's own word
    *,
    related: Sequence[ObjectRef] = (),
    evidence: Sequence[Evidence] = (),
    share: float | None = None,
    severity: Severity | None = None,
    variant: str | None = None,
    **params: Any,
) -> Finding:
    """A finding of `code` about `object`.

    `params` must hold what the catalogue requires: KeyError otherwise, also for an unknown code
    or variant. Values go into the commands shell-quoted.
    """
    entry = entries()[code]
    missing = [name for name in entry.params if name not in params]
    if missing:
        raise KeyError(f"{code} lacks the parameters {', '.join(missing)}")
    texts: dict[str, Any] = {
        "title": entry.title,
        "message": entry.message,
        "expected": entry.expected,
        "actual": entry.actual,
        "fix": entry.fix,
        "commands": entry.commands,
    }
    if variant is not None:
        texts |= entry.variants[variant]
    quoted = {name: _quoted(value) for name, value in params.items()}
    return Finding(
        id=code,
        code=code,
        severity=severity or entry.severity,
        step=entry.step,
        title=str(texts["title"]).format(**params),
        message=str(texts["message"]).format(**params),
        expected=str(texts["expected"]).format(**params),
        actual=str(texts["actual"]).format(**params),
        object=object,
        related=tuple(related),
        fix=str(texts["fix"]).format(**params),
        commands=tuple(" ".join(line.format(**quoted).split()) for line in texts["commands"]),
        evidence=tuple(evidence),
        docs_url=DOCS_URL.format(code=code),
        share=share,
        params=dict(params) | ({"variant": variant} if variant else {}),
    )


class Raw(str):
    """A parameter that goes into commands unquoted: our own words ("@10.0.0.2 -p 53") alone."""


def _quoted(value: object) -> str:
    if isinstance(value, Raw):
        return value
    # An empty parameter (no DNS server to name) leaves no '' behind in the command.
    return shlex.quote(str(value)) if str(value) else ""
