"""``hopcheck diff A B``: what one run found and the other did not, and which facts changed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hopcheck.catalogue.catalogue import text
from hopcheck.engine.replay import replay
from hopcheck.history.changes import changes
from hopcheck.model import Change, ObjectRef, Snapshot, Verdict
from hopcheck.report import json as report_json
from hopcheck.report.evidence import BadEvidenceError, load
from hopcheck.report.labels import label, word
from hopcheck.report.since import change_line
from hopcheck.report.text import one_line

_SHOWN = ("source", "host", "url", "started_at", "verdict", "headline", "fingerprint")


class Found(Struct, frozen=True):
    """One finding, as far as two runs are compared by it."""

    code: str
    severity: str
    object: ObjectRef
    title: str = ""
    root_cause: bool = False
    related: tuple[ObjectRef, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding in another run."""
        return self.code, self.severity, str(self.object)


class _Step(Struct, frozen=True):
    findings: tuple[Found, ...]


class Run(Struct, frozen=True, kw_only=True):
    """One side: report.json, as far as it is read, and the run's evidence where there is any."""

    source: str = ""
    host: str
    url: str
    started_at: str
    verdict: Verdict
    headline: str
    fingerprint: str
    steps: tuple[_Step, ...]
    snapshot: Snapshot | None = None

    @property
    def findings(self) -> tuple[Found, ...]:
        """Those of all steps."""
        return tuple(one for step in self.steps for one in step.findings)


class Diff(Struct, frozen=True):
    """How `b` is not as `a`; `changes` is None where one of them has no evidence."""

    a: Run
    b: Run
    gone: tuple[Found, ...]
    new: tuple[Found, ...]
    changes: tuple[Change, ...] | None

    @property
    def same(self) -> bool:
        """Whether nothing differs (times excepted)."""
        a, b = self.a, self.b
        verdict = (a.url, a.verdict, a.fingerprint) == (b.url, b.verdict, b.fingerprint)
        return verdict and not self.gone and not self.new and not self.changes


def read(path: Path) -> Run:
    """A run by its directory, its report.json or its evidence.json.

    What a directory's report.json says beats a replay: the run's own options (skipped findings)
    are in it. Raises BadEvidenceError with one clear line.
    """
    if not path.exists():
        raise BadEvidenceError(text("usage", "no_file", file=path))
    reported = path / "report.json" if path.is_dir() else path
    run = _report(reported) if reported.is_file() else None
    if run is not None:
        beside = reported.parent / "evidence.json"
        snapshot = load(beside) if beside.is_file() else None
    else:
        snapshot = load(path)
        run = msgspec.convert(report_json.to_dict(replay(snapshot)), Run)
    # The placeholders of strictly redacted evidence are other ones in every run.
    comparable = snapshot is not None and snapshot.redaction == "default"
    return replace(run, source=str(path), snapshot=snapshot if comparable else None)


def _report(file: Path) -> Run | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Run)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def diff(a: Run, b: Run) -> Diff:
    """How `b` is not as `a` (pure)."""
    had, has = ({one.key for one in run.findings} for run in (a, b))
    roots = [one for one in b.findings if one.root_cause]
    facts = None
    if a.snapshot is not None and b.snapshot is not None:
        facts = changes(a.snapshot, b.snapshot, roots)
    return Diff(
        a=a,
        b=b,
        gone=tuple(one for one in a.findings if one.key not in has),
        new=tuple(one for one in b.findings if one.key not in had),
        changes=facts,
    )


def to_dict(found: Diff) -> dict[str, Any]:
    """The difference as plain JSON."""
    return {
        "same": found.same,
        "a": {key: getattr(found.a, key) for key in _SHOWN},
        "b": {key: getattr(found.b, key) for key in _SHOWN},
        "gone": msgspec.to_builtins(found.gone),
        "new": msgspec.to_builtins(found.new),
        "changes": msgspec.to_builtins(found.changes),
    }


def lines(found: Diff, width: int = 100) -> Iterator[str]:
    """The difference for a terminal, a line each."""
    for name, run in (("A", found.a), ("B", found.b)):
        verdict = label(f"verdict.{run.verdict.value}").upper()
        yield one_line(f"{name}  {verdict}  {run.url}  {run.started_at}  {run.source}", width)
    if found.same:
        yield label("diff.same")
        return
    for key, before, after in (
        ("verdict", *(label(f"verdict.{run.verdict.value}") for run in (found.a, found.b))),
        ("fingerprint", found.a.fingerprint, found.b.fingerprint),
    ):
        if before != after:
            yield one_line(f"{label(key)}: {before} → {after}", width)
    for key, some in (("diff.gone", found.gone), ("diff.new", found.new)):
        if some:
            yield f"{label(key)}:"
            for one in some:
                mark = "  * " if one.root_cause else "    "
                yield mark + one_line(_in_words(one), width - 4)
    if found.changes is None:
        yield label("diff.no_evidence")
    elif found.changes:
        yield f"{label('diff.changes')}:"
        for change in found.changes:
            line = change_line(change, found.b.started_at)
            yield from textwrap.wrap(line, width, initial_indent="    ", subsequent_indent="      ")
    else:
        yield label("diff.no_changes")


def _in_words(found: Found) -> str:
    severity = word("severity", found.severity)
    return f"{found.code} {severity} {found.object}: {found.title}"
