"""The files of one run: evidence.json, read and written, and what is rendered beside it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hopcheck.catalogue.catalogue import text
from hopcheck.model import Report, Snapshot, Step
from hopcheck.model.snapshot import shaped_snapshot
from hopcheck.report.text import encodable, map_text, whole_text

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
