"""Run directories below a slug, and what the history keeps of a report."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from msgspec import Struct, field

from hopcheck.model import ObjectRef, Report, Step, Verdict

RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")


class Kept(Struct, frozen=True):
    """What the history keeps of a run: columns of its table."""

    host: str
    url: str
    started_at: str  # RFC 3339
    duration_s: float
    verdict: Verdict
    fingerprint: str
    headline: str
    root_causes: tuple[str, ...]  # "END001 Service default/my-app-service"
    seen: int  # steps seen, of seven
    complete: bool  # not interrupted, and all seven steps were selected
    strict: bool  # its evidence has placeholders (--redact strict)
    since: str | None  # first run of the unbroken series it belongs to; None: healthy


class Head(Kept, frozen=True):
    """What the history keeps of a report."""

    steps: dict[str, tuple[str, float]]  # status and seconds by id


class _Cause(Struct):
    code: str
    object: ObjectRef


class _Step(Struct):
    step: str
    status: str
    duration_s: float = 0.0


class _Coverage(Struct):
    seen: int


class _File(Struct):
    """report.json, as far as it is read."""

    host: str
    url: str
    started_at: str
    duration_s: float
    complete: bool
    verdict: Verdict
    fingerprint: str
    headline: str
    coverage: _Coverage
    root_causes: list[_Cause]
    steps: list[_Step]
    since: str | None = None
    selected: list[str] = field(default_factory=lambda: [step.value for step in Step])
    redaction: str = "default"
    replayed: bool = False


def run_directories(home: Path) -> list[str]:
    """The names of a slug's run directories, oldest first; none where there is no such slug."""
    try:
        return sorted(path.name for path in home.iterdir() if RUN.fullmatch(path.name))
    except OSError:
        return []


def head_of(run: Path) -> Head | None:
    """The head of a written run; None where its report.json cannot be read."""
    try:
        file = msgspec.json.decode((run / "report.json").read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return _head(file)


def head_of_report(report: Report) -> Head:
    """The head of a report, the same that its report.json would give."""
    from hopcheck.report.json import to_dict

    return _head(msgspec.convert(to_dict(report), type=_File))


def _head(file: _File) -> Head:
    unwell = file.verdict is not Verdict.HEALTHY
    return Head(
        host=file.host,
        url=file.url,
        started_at=file.started_at,
        duration_s=file.duration_s,
        verdict=file.verdict,
        fingerprint=file.fingerprint,
        headline=file.headline,
        root_causes=tuple(f"{one.code} {one.object}" for one in file.root_causes),
        seen=file.coverage.seen,
        complete=file.complete and not file.replayed and set(file.selected) >= set(Step),
        strict=file.redaction == "strict",
        since=(file.since or file.started_at) if unwell else None,
        steps={one.step: (one.status, one.duration_s) for one in file.steps},
    )
