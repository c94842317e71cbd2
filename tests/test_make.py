"""The Makefile: values stay text, whatever they hold."""

import shutil
import subprocess
from pathlib import Path

import pytest

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
@pytest.mark.parametrize("name", ["HOST", "URL", "ARGS", "FAULT", "SETUP"])
def test_no_value_is_expanded(checkout: Path, name: str, value: str) -> None:
    target = "demo" if name in ("FAULT", "SETUP") else "diagnose"
    passed = make(checkout, target, f"{name}={value}")
    words = [value] if target == "demo" else value.split()
    assert words == [word for word in passed if word in words][: len(words)]


def test_several_hosts_and_arguments(checkout: Path) -> None:
    passed = make(checkout, "diagnose", "HOST=a b", "URL=https://c/x?y=1&z=2", "ARGS=--timeout 3")
    assert passed == ["diagnose", "--timeout", "3", "--", "a", "b", "https://c/x?y=1&z=2"]


def test_an_empty_host_is_left_to_the_program(checkout: Path) -> None:
    assert make(checkout, "diagnose", "HOST=") == ["diagnose", "--"]
