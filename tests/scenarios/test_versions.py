"""Another Traefik than the lab's own, on the lab: a dozen scenarios end to end.

By default the oldest that the package index has. v3.0 differs most from the newest: it reads
Endpoints, has no strictPrefixMatching, writes a wildcard host as HostRegexp and logs with an older
client-go. `make versions` runs these on every minor version.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hopcheck.lab.demo import compare
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST
from tests.other_traefik import VERSION, other_binary

SCENARIOS = ["ing-svc-missing", "ing-class-other", "ing-port-number", "ing-mw-missing",
             "svc-selector", "svc-targetport-num", "ep-none-ready", "tsvc-targetport-name",
             "tpod-static-bad", "tpod-rbac", "tpod-replica-skew", "app-5xx",
             "ing-wildcard-steals"]  # fmt: skip


@pytest.fixture(scope="module")
def binary(pytestconfig: pytest.Config) -> Path:
    return other_binary(pytestconfig)


@pytest.fixture(scope="module")
def lab(binary: Path) -> Iterator[RunningLab]:
    with RunningLab(binary=binary) as running:
        assert running.lab.version == VERSION
        yield running


def diagnose(
    lab: RunningLab, directory: Path, asked: tuple[str, ...] = (HOST,)
) -> tuple[int, dict[str, object]]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "diagnose", *lab.arguments(), *asked, "--json",
         "--reports", str(directory)],
        env=kept | lab.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def test_it_is_healthy(lab: RunningLab, tmp_path: Path) -> None:
    code, report = diagnose(lab, tmp_path)
    assert not compare(report, None)
    assert code == 0
    assert [step["status"] for step in report["steps"]] == ["pass"] * 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_fault_is_named(lab: RunningLab, tmp_path: Path, name: str) -> None:
    lab.inject(name)
    try:
        code, report = diagnose(lab, tmp_path, FAULTS[name].asked)
    finally:
        lab.heal()
    assert not compare(report, FAULTS[name])
    assert code == FAULTS[name].exit_code
