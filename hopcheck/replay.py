"""Judge stored evidence again: no network, no clock, the same findings."""

from __future__ import annotations

import datetime as dt
import gzip
import zlib
from pathlib import Path
from typing import Any

import msgspec

from hopcheck import judge as judges
from hopcheck.assess import assess
from hopcheck.catalogue import text
from hopcheck.model import Report, Snapshot, Step
from hopcheck.options import Options
from hopcheck.shape import shaped_snapshot

FORMAT = "hopcheck-evidence-1"


class BadEvidenceError(ValueError):
    """The file is no evidence of hopcheck; the message is one clear line."""


class _Kind(msgspec.Struct):
    """What tells one file of ours from another."""

    format: str = ""
    schema_version: str = ""


def load(path: Path) -> Snapshot:
    """Read evidence.json (or evidence.json.gz, or the directory of a run that holds it).

    Raises BadEvidenceError.
    """
    file = path / "evidence.json" if path.is_dir() else path
    try:
        content = file.read_bytes()
        if file.suffix == ".gz":
            content = gzip.decompress(content)
    except OSError as error:
        raise BadEvidenceError(f"{file}: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise BadEvidenceError(text("usage", "replay_gzip", file=file, error=error)) from None
    try:
        kind = msgspec.json.decode(content, type=_Kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadEvidenceError(text("usage", "replay_none", file=file, error=error)) from None
    if kind.schema_version:
        raise BadEvidenceError(text("usage", "replay_report", file=file))
    if kind.format != FORMAT:
        found = ascii(kind.format[:60]) if kind.format else text("list", "none")
        raise BadEvidenceError(
            text("usage", "replay_format", file=file, found=found, format=FORMAT)
        )
    try:
        return shaped_snapshot(msgspec.json.decode(content, type=Snapshot))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadEvidenceError(text("usage", "replay_none", file=file, error=error)) from None


def replay(snapshot: Snapshot, options: Options | None = None) -> Report:
    """All seven steps judged on `snapshot`, as the run that recorded it did."""
    report = assess(
        snapshot,
        {step: judges.judge(step, snapshot) for step in Step},
        options or Options(),
        durations={},
        duration_s=0.0,
    )
    return msgspec.structs.replace(report, replayed=True, redaction=snapshot.redaction)


def write_replayed(report: Report, evidence: Any, base: Path) -> Path:
    """Write the run's files below `base`, under the time of the run that was recorded.

    It never becomes `latest` and is no run of the history. Raises OSError.
    """
    from hopcheck.report.files import files_of
    from hopcheck.report.index import update_index
    from hopcheck.report.store import run_name, slug, write_run

    try:
        when = dt.datetime.fromisoformat(report.started_at)
    except ValueError:
        when = dt.datetime.fromtimestamp(0, dt.UTC)
    name = slug(report.target)
    directory = run_name(base / name, when)
    files = files_of(report, evidence, f"{base / name / directory}")
    written = write_run(base, name, report, files, when, all_selected=False, name=directory)
    update_index(base, dt.datetime.now(dt.UTC))
    return written
