"""The recordings, and what is told of them: each is read and judged once a worker, whoever asks."""

import lzma
from functools import cache
from pathlib import Path

import msgspec

from hopcheck.catalogue.language import language
from hopcheck.engine.replay import replay
from hopcheck.model import Report, Snapshot
from hopcheck.report.evidence import load

SNAPSHOTS = Path(__file__).parent / "snapshots"
HEALTHY = SNAPSHOTS / "healthy.jsonl.xz"  # all healthy set-ups, a JSON object a line


class _Line(msgspec.Struct):
    name: str
    evidence: msgspec.Raw


@cache
def names() -> tuple[str, ...]:
    """Every recording that has a file of its own: of a fault, and below pairs/ and edits/."""
    files = sorted(SNAPSHOTS.rglob("*.json.gz"))
    return tuple(str(file.relative_to(SNAPSHOTS)).removesuffix(".json.gz") for file in files)


@cache
def snapshot(name: str) -> Snapshot:
    """The evidence that was recorded of a fault."""
    return load(SNAPSHOTS / f"{name}.json.gz")


@cache
def packed() -> dict[str, bytes]:
    """The evidence of every healthy set-up that was recorded, as JSON."""
    if not HEALTHY.exists():
        return {}
    lines = lzma.decompress(HEALTHY.read_bytes()).splitlines()
    found = (msgspec.json.decode(line, type=_Line) for line in lines)
    return {one.name: bytes(one.evidence) for one in found}


@cache
def set_up(name: str) -> Snapshot:
    """The evidence that was recorded of a healthy set-up."""
    return msgspec.json.decode(packed()[name], type=Snapshot)


def report(name: str) -> Report:
    """What is told of a recorded fault, in the language in use."""
    return _report(name, language())


@cache
def _report(name: str, _language: str) -> Report:
    return replay(snapshot(name))


def report_of_set_up(name: str) -> Report:
    """What is told of a healthy set-up, in the language in use."""
    return _report_of_set_up(name, language())


@cache
def _report_of_set_up(name: str, _language: str) -> Report:
    return replay(set_up(name))
