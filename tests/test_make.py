"""The Makefile: values stay text, whatever they hold."""

import os
import shutil
import signal
import subprocess
import time
import tomllib
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
    makefile, lock = (
        (ROOT / "environment.sh").read_text(),
        (ROOT / "requirements-dev.txt").read_text(),
    )
    assert "--require-hashes -r requirements-dev.txt" in makefile
    pinned = [line for line in lock.splitlines() if line[:1].isalnum()]
    assert len(pinned) > 80
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert not any(word in lock for word in ("://", "--index-url", "--find-links"))


def test_what_make_test_leaves_out_exists() -> None:
    for name in (*SAMPLED, *LONGEST):
        file, _, function = name.partition("::")
        assert f"def {function}" in (ROOT / "tests" / file).read_text("utf-8"), name


# --- the environment: whole or not at all


def stub(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def set_up(checkout: Path, python: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "environment.sh", checkout)
    return subprocess.run(
        ["make", f"PYTHON={python}", "faults"], cwd=checkout, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def fresh(checkout: Path) -> Path:
    shutil.rmtree(checkout / ".venv")
    (checkout / "requirements-dev.txt").write_text("".join(f"p{n}==1 \\\n" for n in range(45)))
    return checkout


# A Python that makes environments whose pip does as it is told.
PYTHON = """
case "$*" in
  *print*) echo 3.11;;
  *-m\\ venv*) mkdir -p .venv/bin; cp "$0".pip .venv/bin/python;;
esac
"""
BROKEN: dict[str, tuple[str, str]] = {
    "too old": ('case "$*" in *print*) echo 3.9;; *exit*) exit 1;; esac',
                "Python 3.11 or later is needed, and {python} is 3.9"),
    "none": ("exit 127", "no Python at {python}"),
    "no venv": ('case "$*" in *print*) echo 3.12;; *ensurepip*) exit 1;; esac',
                "{python} has no venv (on Debian and Ubuntu: apt install python3.12-venv)"),
    "no index": (PYTHON, "the packages could not be installed (No matching distribution found for "
                 "p0); is a package index reachable (pip config list)?"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_keeps_it_from_being_set_up_is_one_sentence(fresh: Path, kind: str) -> None:
    script, words = BROKEN[kind]
    python = stub(fresh / "a-python", script)
    stub(fresh / "a-python.pip", "echo 'ERROR: No matching distribution found for p0'; exit 1")
    done = set_up(fresh, python)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(said) == 1, done.stderr
    assert said[0].startswith(f"hopcheck: {words.format(python=python)}")
    assert not (fresh / ".venv").exists()


def test_an_environment_that_was_there_before_stays(fresh: Path) -> None:
    python = stub(fresh / "a-python", PYTHON)
    stub(fresh / "a-python.pip", "echo 'ERROR: nothing'; exit 1")
    (fresh / ".venv").mkdir()
    (fresh / ".venv/mine").write_text("")
    assert set_up(fresh, python).returncode == 2
    assert (fresh / ".venv/mine").exists()
    assert not (fresh / ".venv/.ready").exists()


def test_an_interrupted_one_is_removed(fresh: Path) -> None:
    python = stub(fresh / "a-python", PYTHON)
    stub(fresh / "a-python.pip", "touch begun; exec sleep 60")
    shutil.copy(ROOT / "environment.sh", fresh)
    process = subprocess.Popen(
        ["sh", "environment.sh", python, ".venv"], cwd=fresh, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 30
    while not (fresh / "begun").exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert "hopcheck: interrupted; nothing was set up" in said
    assert not (fresh / ".venv").exists()


def test_it_says_how_far_it_is(fresh: Path) -> None:
    python = stub(fresh / "a-python", PYTHON)
    stub(fresh / "a-python.pip", 'for n in $(seq 45); do echo "Collecting p$n==1"; done\n'
         'echo "Installing collected packages: p"')  # fmt: skip
    done = set_up(fresh, python)
    assert done.returncode == 0, done.stderr
    assert "setting up .venv (once): 45 packages\n  20 of 45\n  40 of 45\n" in done.stdout
    assert (fresh / ".venv/.ready").exists()


def test_the_oldest_python_is_the_packages() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11"
    assert "sys.version_info < (3, 11)" in (ROOT / "environment.sh").read_text()
