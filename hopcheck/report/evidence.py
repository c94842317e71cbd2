"""Reading evidence.json: what was written by a run is a Snapshot again."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import msgspec

from hopcheck.catalogue.catalogue import text
from hopcheck.model import Snapshot
from hopcheck.model.snapshot import shaped_snapshot

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
