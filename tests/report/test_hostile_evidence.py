"""A stranger's evidence file: one line and exit code 2, in little memory, whatever is in it."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.steps.edits import Edit

MOST_MIB = 300
# The most memory of the program itself: what a parent's usage tells begins with the parent's own.
_PROGRAM = """
import atexit, pathlib, sys
from hopcheck.app.cli import main
status, kept = pathlib.Path("/proc/self/status"), pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: kept.write_text(status.read_text()))
main()
"""
_HEAD = b'{"format":"hopcheck-evidence-1","target":{"host":"a"},'


def edited(change: Callable[[Edit], Any]) -> bytes:
    edit = Edit()
    change(edit)
    return msgspec.json.encode(edit.data)


REFUSED: dict[str, Callable[[], bytes]] = {
    "deep.json": lambda: _HEAD + b'"kube":' + b'{"lists":' * 90_000 + b"1" + b"}" * 90_001,
    "arrays.json": lambda: b"[" * 200_000 + b"]" * 200_000,
    "bomb.json.gz": lambda: gzip.compress(_HEAD + b'"x":"' + b"0" * 400_000_000 + b'"}'),
    "objects.json": lambda: (
        _HEAD + b'"kube":{"lists":{"pods@a":{"value":[' + b"{}," * 1_000_000 + b"{}]}}}}"
    ),
    "naive.json": lambda: edited(lambda e: e.data.update(taken_at="2026-11-28T10:00:00")),
    "no-time.json": lambda: edited(lambda e: e.data.update(taken_at="yesterday")),
    "expect.json": lambda: edited(lambda e: e.target.update(expect_status="200-x")),
    "host.json": lambda: edited(lambda e: e.target.update(host="[::1\n")),
    "port.json": lambda: edited(lambda e: e.target.update(port=-5)),
}
JUDGED: dict[str, Callable[[], bytes]] = {
    "year-1.json": lambda: edited(lambda e: e.data.update(taken_at="0001-01-01T00:00:00+14:00")),
    "year-9999.json": lambda: edited(lambda e: e.data.update(taken_at="9999-12-31T23:59:59-14:00")),
    "many.json": lambda: (
        _HEAD + b'"kube":{"lists":{"pods@a":{"value":[' + b"{}," * 400_000 + b"{}]}}}}"
    ),
}


def diagnosed(file: Path) -> tuple[int, list[str], float]:
    """Exit code, lines on standard error and the most memory (MiB) of a process of its own."""
    kept = file.with_suffix(".status")
    command = [sys.executable, "-c", _PROGRAM, str(kept), "diagnose", "--from", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    most = next(one for one in kept.read_text().splitlines() if one.startswith("VmHWM"))
    return done.returncode, done.stderr.splitlines(), int(most.split()[1]) / 1024


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(REFUSED[name]())
    code, lines, memory = diagnosed(file)
    assert (code, len(lines)) == (2, 1), lines
    assert str(file) in lines[0]
    assert memory < MOST_MIB


@pytest.mark.parametrize("name", JUDGED)
def test_odd_but_judged(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(JUDGED[name]())
    code, lines, memory = diagnosed(file)
    assert code in (0, 1, 3, 4), lines
    assert memory < MOST_MIB
