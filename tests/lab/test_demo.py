"""The whole thing live: one fault of each step, diagnosed by the command line on one lab."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema

import hopcheck
from hopcheck.lab.demo import compare
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST

REPORT = Path(hopcheck.__file__).parent / "report"
STEPS = ["dns", "target-health", "traefik-service", "ingress", "endpoints", "traefik-logs",
         "request"]  # fmt: skip
# One fault of each step from a fixed seed; `make accuracy` runs them all.
CHOICE = random.Random(20260225)
ONE_EACH = [
    CHOICE.choice(
        [
            name
            for name, one in FAULTS.items()
            if one.step == step and one.inject and one.expect and one.until is None
        ]
    )
    for step in STEPS
]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def diagnose(lab: RunningLab, directory: Path, *asked: str) -> tuple[int, Path]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "diagnose", *lab.arguments(), *(asked or (HOST,)),
         "--quiet", "--reports", str(directory)],
        env=kept | lab.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    (latest,) = directory.glob("*/latest")
    return done.returncode, latest


def check_files(run: Path, host: str) -> dict[str, object]:
    report: dict[str, object] = json.loads((run / "report.json").read_text())
    jsonschema.validate(report, json.loads((REPORT / "report.schema.json").read_text()))
    junit = run / "junit.xml"
    xmlschema.validate(junit, REPORT / "junit.xsd")
    cases = ElementTree.parse(junit).getroot().findall(".//testcase")
    properties = [
        {p.get("name"): p.get("value") for p in case.findall("properties/property")}
        for case in cases
    ]
    assert [one["step"] for one in properties] == STEPS
    assert {one["host"] for one in properties} == {host}
    return report


def test_the_healthy_lab(lab: RunningLab, tmp_path: Path) -> None:
    code, run = diagnose(lab, tmp_path)
    report = check_files(run, HOST)
    assert code == 0
    assert not compare(report, None)
    assert [step["status"] for step in report["steps"]] == ["pass"] * 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ONE_EACH)
def test_one_fault_of_each_step(lab: RunningLab, tmp_path: Path, name: str) -> None:
    lab.inject(name)
    try:
        code, run = diagnose(lab, tmp_path, *FAULTS[name].asked)
    finally:
        lab.heal()
    report = check_files(run, HOST)
    assert not compare(report, FAULTS[name])
    assert code == FAULTS[name].exit_code
    (cause,) = report["root_causes"]  # type: ignore[misc]
    assert cause["step"] == (FAULTS[name].expect[0].step or FAULTS[name].step)
    root = ElementTree.parse(run / "junit.xml").getroot()
    named = {
        p.get("value")
        for case in root.findall(".//testcase")
        for p in case.findall("properties/property")
        if p.get("name") == "root_cause"
    }
    assert any(cause["code"] in str(value) for value in named)


def test_what_changed_is_the_fault_alone(tmp_path: Path) -> None:
    """Whatever another lab has left in the same directory: its certificate, its addresses."""
    command = [sys.executable, "-m", "hopcheck.lab", "demo"]
    env = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    for more in ([], ["--fault", "svc-selector"]):
        done = subprocess.run(
            [*command, *more], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "reports" / HOST / "latest" / "report.json").read_text())
    first, *effects = [(one["object"]["name"], one["field"]) for one in report["changes"]]
    assert first == ("my-app-service", "spec.selector.app")
    assert set(effects) <= {
        ("my-app-service", "endpointPorts"), ("my-app-service", "readyEndpoints"),
    }  # fmt: skip
    (words,) = [line for line in done.stdout.splitlines() if line.startswith("Changed")]
    assert "Service default/my-app-service" in words
    assert "HEALTHY" in done.stderr
