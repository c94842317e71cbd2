"""The files of one run: evidence.json, read and written, and what is rendered beside it."""

from __future__ import annotations

import datetime as dt
import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hopcheck.catalogue.catalogue import text
from hopcheck.config.target import check_expect_status
from hopcheck.model import Report, Snapshot, Step
from hopcheck.model.read import decoded
from hopcheck.model.snapshot import shaped_snapshot
from hopcheck.report.text import encodable, map_text, whole_text

FORMAT = "hopcheck-evidence-1"
_MOST_BYTES = 32 << 20


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
        with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as opened:
            content: bytes = opened.read(_MOST_BYTES + 1)
    except gzip.BadGzipFile as error:
        raise BadEvidenceError(text("usage", "replay_gzip", file=file, error=error)) from None
    except OSError as error:
        raise BadEvidenceError(f"{file}: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise BadEvidenceError(text("usage", "replay_gzip", file=file, error=error)) from None
    if len(content) > _MOST_BYTES:
        size = f"> {_MOST_BYTES >> 20} MiB"
        raise BadEvidenceError(text("usage", "replay_none", file=file, error=size))
    try:
        kind = decoded(content, _Kind)
    except ValueError as error:
        raise BadEvidenceError(text("usage", "replay_none", file=file, error=error)) from None
    if kind.schema_version:
        raise BadEvidenceError(text("usage", "replay_report", file=file))
    if kind.format != FORMAT:
        found = ascii(kind.format[:60]) if kind.format else text("list", "none")
        raise BadEvidenceError(
            text("usage", "replay_format", file=file, found=found, format=FORMAT)
        )
    try:
        snapshot = decoded(content, Snapshot)
        _checked(snapshot)
        return shaped_snapshot(snapshot)
    except ValueError as error:
        raise BadEvidenceError(text("usage", "replay_none", file=file, error=error)) from None


def _checked(snapshot: Snapshot) -> None:
    """Raises ValueError where the target is none, or the time could be anywhere on earth."""
    check_expect_status(snapshot.target.expect_status)
    if not 0 < (urlsplit(snapshot.target.url).port or 443) < 65536:
        raise ValueError(ascii(snapshot.target.url))
    taken = snapshot.taken_at
    if taken and dt.datetime.fromisoformat(taken).tzinfo is None:
        raise ValueError(ascii(taken))


def evidence_of(snapshot: Snapshot) -> Any:
    """The snapshot as plain JSON; lone surrogates (broken UTF-8 in cluster text) are replaced."""
    return whole_text(msgspec.to_builtins(snapshot))


def strictly(report: Report, evidence: Any) -> tuple[Report, Any]:
    """Both without account ids and internal addresses, the same value as the same placeholder."""
    from hopcheck.model.redact import redact_strict

    plain = map_text(msgspec.to_builtins(report, enc_hook=str), encodable)
    evidence, plain = redact_strict([evidence, plain])
    if evidence:
        evidence["redaction"] = "strict"
    return msgspec.convert(plain | {"redaction": "strict"}, Report), evidence


def files_of(
    report: Report, evidence: Any, where: str, defects: Mapping[tuple[str, Step], str] | None = None
) -> dict[str, bytes]:
    """Name -> content; `where` is the address or path that summary.md names."""
    from hopcheck.report.html import to_html
    from hopcheck.report.json import to_json
    from hopcheck.report.junit import to_junit
    from hopcheck.report.markdown import to_markdown

    return {
        "report.json": to_json(report),
        "report.html": to_html(report),
        "junit.xml": to_junit([report], defects or {}),
        "summary.md": to_markdown(report, where=where),
        "evidence.json": msgspec.json.format(msgspec.json.encode(evidence), indent=1) + b"\n",
    }
