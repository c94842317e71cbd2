"""Run directories below a slug, and what the history keeps of a report."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from msgspec import Struct, field

from hopcheck.model import Coverage, ObjectRef, Step, Verdict

RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")


class Row(Struct, frozen=True):
    """One run: the columns of the history's table."""

    slug: str
    directory: str  # its name below the slug's; it may be gone
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

    @property
    def path(self) -> str:
        """Its directory, relative to the reports directory."""
        return f"{self.slug}/{self.directory}"


class _Cause(Struct):
    code: str
    object: ObjectRef


class _Step(Struct):
    step: str
    status: str
    duration_s: float = 0.0


class Reported(Struct):
    """report.json, as far as the history keeps it."""

    host: str
    url: str
    started_at: str
    duration_s: float
    complete: bool
    verdict: Verdict
    fingerprint: str
    headline: str
    coverage: Coverage
    root_causes: list[_Cause]
    steps: list[_Step]
    since: str | None = None
    selected: list[str] = field(default_factory=lambda: [step.value for step in Step])
    redaction: str = "default"
    replayed: bool = False

    def row(self, slug: str, directory: str) -> Row:
        """The run's row."""
        unwell = self.verdict is not Verdict.HEALTHY
        return Row(
            slug=slug,
            directory=directory,
            host=self.host,
            url=self.url,
            started_at=self.started_at,
            duration_s=self.duration_s,
            verdict=self.verdict,
            fingerprint=self.fingerprint,
            headline=self.headline,
            root_causes=tuple(f"{one.code} {one.object}" for one in self.root_causes),
            seen=self.coverage.seen,
            complete=self.complete and not self.replayed and set(self.selected) >= set(Step),
            strict=self.redaction == "strict",
            since=(self.since or self.started_at) if unwell else None,
        )


def run_directories(home: Path) -> list[str]:
    """The names of a slug's run directories, oldest first; none where there is no such slug."""
    try:
        return sorted(path.name for path in home.iterdir() if RUN.fullmatch(path.name))
    except OSError:
        return []


def read_report(run: Path) -> Reported | None:
    """What a written run reported; None where its report.json cannot be read."""
    try:
        return msgspec.json.decode((run / "report.json").read_bytes(), type=Reported)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
