"""Findings and sentences, made from their files alone (`hopcheck/findings`, `texts.en.toml`).

Judges name a code and its parameters; what people read stands in the files, so that another
language is other files. A finding's (``CODE.LANGUAGE.md``, read when it is asked for) is TOML in a
fenced block (what programs need, and the templates), then the page's sections under their
headings. The room's README.md says what the fields mean.
"""

from __future__ import annotations

import difflib
import re
import shlex
import string
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hopcheck.catalogue.language import ENGLISH, language, over, tables, tables_of
from hopcheck.model import Evidence, Finding, Hop, ObjectRef, Severity, Step

SECTIONS = ("meaning", "why", "evidence", "fix", "ignore")
_FOLDER = resources.files("hopcheck") / "findings"
_NAME = re.compile(r"([A-Z]{3}\d{3})\.en\.md")
_FORM = re.compile(r"```toml\n(.*?)^```\n(.*)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
# The order of the checklist.
_STEPS = ("DNS", "TGT", "SVC", "ING", "END", "LOG", "REQ")
TEMPLATES = ("title", "message", "expected", "actual", "fix")  # and each of the commands
DOCS_URL = "hopcheck/findings/{code}.en.md"


class Stops(StrEnum):
    """What a finding that is an error claims about the host's traffic."""

    EVERYTHING = "everything"  # nobody is served, whatever the requests of a run could show
    PART = "part"  # some requests or clients are not served, or how much is not told by the code
    NOTHING = "nothing"


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """That findings explain one another: which, why (`[because]`) and only when (`[when]`)."""

    why: str
    codes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    when: str = "always"


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finding, as its file says it (the fields: hopcheck/findings/README.md)."""

    code: str
    severity: Severity
    step: Step
    stops: Stops
    title: str
    message: str
    expected: str
    actual: str
    fix: str
    commands: tuple[str, ...]
    fix_commands: tuple[str, ...] = ()
    page: Mapping[str, str]
    params: frozenset[str]  # what the finding is made with: all that its templates name
    variants: Mapping[str, Mapping[str, Any]] = {}
    symptom: Literal["always", "of_the_host"] | None = None
    last_resort: bool = False
    intended: bool = False
    by_draw: bool = False
    asked_about: bool = False
    hop: Hop | None = None
    groups: tuple[str, ...] = ()
    explained_by: tuple[Link, ...] = ()
    explains: tuple[Link, ...] = ()


def entry(code: str) -> Entry:
    """The finding `code` in the language in use. Raises KeyError for an unknown code."""
    return _entry(code, language())


@cache
def _entry(code: str, spoken: str) -> Entry:
    if code not in codes():
        raise KeyError(code)
    fields = read(code, ENGLISH)
    if spoken != ENGLISH and (_FOLDER / f"{code}.{spoken}.md").is_file():
        fields = over(fields, read(code, spoken))  # which may lack anything
    lines = [
        line
        for part in (fields, *fields.get("variants", {}).values())
        for line in (*(part.get(key, "") for key in TEMPLATES), *part.get("commands", ()))
    ]  # what the commands of a fix name, a rule gives where it is known
    named = {name for line in lines for name in _named(line)}
    return msgspec.convert(fields | {"code": code, "params": named}, Entry)


def _named(line: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(line) if name}


def entries() -> Mapping[str, Entry]:
    """All findings, by step and number: reads every file, where `codes` and `entry` do not."""
    return {code: entry(code) for code in codes()}


@cache
def codes() -> tuple[str, ...]:
    """All codes, by step and number."""
    found = [name[1] for file in _FOLDER.iterdir() if (name := _NAME.fullmatch(file.name))]
    return tuple(sorted(found, key=lambda code: (_STEPS.index(code[:3]), code)))


def read(code: str, language: str) -> dict[str, Any]:
    """What one file says, its sections under `page` by their keys (SECTIONS).

    Raises ValueError for a file that has not this form, OSError without the file.
    """
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


def nearest(code: str, count: int = 1) -> list[str]:
    """The codes most like what was typed, the likest first ("svc8": SVC008)."""
    typed = code.strip().upper()[:20]
    near = difflib.get_close_matches(typed, codes(), n=count, cutoff=0.0)
    short = re.fullmatch(r"([A-Z]{3})(\d{1,3})", typed)
    whole = f"{short[1]}{int(short[2]):03d}" if short else ""
    return list(dict.fromkeys([whole, *near]))[:count] if whole in codes() else near


def text(section: str, key: str, /, **params: object) -> str:
    """One sentence of `texts.*.toml`. Raises KeyError for an unknown section or key."""
    return str(tables("texts")[section][key]).format(**params)


def has_text(section: str, key: str) -> bool:
    """Whether the sentence exists."""
    return key in tables("texts").get(section, {})


def advice(party: object, why: str) -> str:
    """What would make visible what could not be seen of a party; "" where nothing would."""
    key = f"{party}_{why}"
    return text("advice", key) if has_text("advice", key) else ""


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

    `params` must hold what the finding's templates name: KeyError otherwise, also for an unknown
    code or variant. Values go into the commands shell-quoted. A command of the fix is offered
    where all that it names is given, and none of it is empty.
    """
    found = entry(code)
    missing = found.params - params.keys()
    if missing:
        raise KeyError(f"{code} lacks the parameters {', '.join(sorted(missing))}")
    own = found.variants[variant] if variant is not None else {}
    texts = {key: str(own.get(key, getattr(found, key))).format(**params) for key in TEMPLATES}
    quoted = {name: _quoted(value) for name, value in params.items()}
    known = {name for name, value in quoted.items() if value}
    fixing = (line for line in own.get("fix_commands", found.fix_commands) if _named(line) <= known)
    return Finding(
        id=code,
        code=code,
        severity=severity or found.severity,
        step=found.step,
        title=texts["title"],
        message=texts["message"],
        expected=texts["expected"],
        actual=texts["actual"],
        object=object,
        related=tuple(related),
        fix=texts["fix"],
        commands=tuple(
            " ".join(line.format(**quoted).split()) for line in own.get("commands", found.commands)
        ),
        fix_commands=tuple(line.format(**quoted) for line in fixing),
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
