"""The Makefile: values stay text, whatever they hold."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import LONGEST, SAMPLED

ROOT = Path(__file__).parent.parent
HOSTILE = [
    "$(shell touch owned)", "; touch owned", "`touch owned`", "$$(touch owned)", "a; touch owned #",
    "| touch owned", "' ; touch owned ; '", '" ; touch owned ; "', "*", "$(HOST)", "& touch owned",
]  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile with a stub that writes down its arguments, so that nothing is set up."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements-dev.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    bin_directory = tmp_path / ".venv/bin"
    bin_directory.mkdir(parents=True)
    for name in ("hopcheck", "python"):
        stub = bin_directory / name
        stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\n')
        stub.chmod(0o755)
    (tmp_path / ".venv/.ready").write_text("")
    return tmp_path


def make(checkout: Path, *arguments: str) -> list[str]:
    subprocess.run(["make", *arguments], cwd=checkout, capture_output=True, timeout=30, check=False)
    assert not (checkout / "owned").exists()
    written = checkout / "arguments"
    return written.read_text().splitlines() if written.exists() else []


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["HOST", "URL", "ARGS", "FAULT", "SETUP", "REPORT"])
def test_no_value_is_expanded(checkout: Path, name: str, value: str) -> None:
    target = "demo" if name in ("FAULT", "SETUP", "REPORT") else "diagnose"
    passed = make(checkout, target, f"{name}={value}")
    words = [value] if target == "demo" else value.split()
    assert words == [word for word in passed if word in words][: len(words)]


def test_several_hosts_and_arguments(checkout: Path) -> None:
    passed = make(checkout, "diagnose", "HOST=a b", "URL=https://c/x?y=1&z=2", "ARGS=--timeout 3")
    assert passed == ["diagnose", "--timeout", "3", "--", "a", "b", "https://c/x?y=1&z=2"]


def test_an_empty_host_is_left_to_the_program(checkout: Path) -> None:
    assert make(checkout, "diagnose", "HOST=") == ["diagnose", "--"]


def test_make_alone_prints_what_there_is(checkout: Path) -> None:
    done = subprocess.run(["make"], cwd=checkout, capture_output=True, text=True, timeout=30)
    makefile = (checkout / "Makefile").read_text()
    targets = makefile.partition(".PHONY: ")[2].partition("\n\n")[0].replace("\\\n", "").split()
    assert [line.split()[1] for line in done.stdout.splitlines()] == targets
    assert (done.returncode, done.stderr) == (0, "")
    assert not (checkout / "arguments").exists()


def test_the_lock_installs_by_its_hashes() -> None:
    makefile, lock = (ROOT / "Makefile").read_text(), (ROOT / "requirements-dev.txt").read_text()
    assert "--require-hashes -r requirements-dev.txt" in makefile
    pinned = [line for line in lock.splitlines() if line[:1].isalnum()]
    assert len(pinned) > 80
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert not any(word in lock for word in ("://", "--index-url", "--find-links"))


def test_what_make_test_leaves_out_exists() -> None:
    for name in (*SAMPLED, *LONGEST):
        file, _, function = name.partition("::")
        assert f"def {function}" in (ROOT / "tests" / file).read_text("utf-8"), name
