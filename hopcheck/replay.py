"""Judge stored evidence again: no network, no clock, the same findings."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec

from hopcheck import judge as judges
from hopcheck.assess import assess
from hopcheck.model import Report, Snapshot, Step
from hopcheck.options import Options


class BadEvidenceError(ValueError):
    """The file is no evidence of hopcheck; the message is one clear line."""


def load(path: Path) -> Snapshot:
    """Read evidence.json (or evidence.json.gz, or the directory of a run that holds it)."""
    file = path / "evidence.json" if path.is_dir() else path
    try:
        content = file.read_bytes()
        if file.suffix == ".gz":
            content = gzip.decompress(content)
        return msgspec.json.decode(content, type=Snapshot)
    except (OSError, EOFError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadEvidenceError(f"{path}: no evidence of hopcheck ({error})") from None


def replay(snapshot: Snapshot, options: Options | None = None) -> Report:
    """All seven steps judged on `snapshot`, as the run that recorded it did."""
    return assess(
        snapshot,
        {step: judges.judge(step, snapshot) for step in Step},
        options or Options(),
        durations={},
        duration_s=0.0,
    )
