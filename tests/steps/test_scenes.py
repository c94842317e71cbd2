"""The edited scenarios, and that every code has one that produces it."""

import re

import pytest

from hopcheck.catalogue.catalogue import entries, entry
from hopcheck.engine.replay import replay
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.faults.gallery import VERDICTS
from hopcheck.model import Severity, Status, Verdict
from tests.steps.scenes import SCENES
from tests.steps.test_gallery import EXPECTED, found


@pytest.mark.parametrize("name", SCENES)
def test_exactly_these_findings(name: str) -> None:
    verdict, findings, edited = SCENES[name]
    report = replay(edited().snapshot())
    assert found(report) == findings
    assert report.verdict is Verdict(verdict)


@pytest.mark.parametrize("name", SCENES)
def test_consequences_lead_to_causes(name: str) -> None:
    report = replay(SCENES[name][2]().snapshot())
    findings = {f.id: f for step in report.steps for f in step.findings}
    for finding in findings.values():
        if finding.severity is Severity.ERROR and not finding.root_cause:
            assert finding.caused_by or entry(finding.code).symptom == "always", finding.id


def test_what_the_lab_cannot_show_is_recorded() -> None:
    for fault in FAULTS.values():
        if fault.recorded and fault.name not in EXPECTED:
            verdict, findings, _ = SCENES[fault.name]
            assert re.findall(r"\*([A-Z]+\d+)", findings) == [one.code for one in fault.expect]
            assert verdict == VERDICTS[fault.exit_code]
            assert all(one.code in findings for one in fault.warns)


def test_every_code_has_a_scenario() -> None:
    said = [findings for _, _, findings in EXPECTED.values()]
    said += [findings for _, findings, _ in SCENES.values()]
    shown = set(re.findall(r"[A-Z]{3}\d{3}", " ".join(said)))
    assert set(entries()) - shown == set(), "add a scenario to tests/steps/scenes.py"


def test_scaled_to_zero_is_no_fault() -> None:
    report = replay(SCENES["scaled-to-zero"][2]().snapshot())
    assert not report.root_causes
    assert report.headline == (
        "myapp.example.com is broken: Deployment default/my-app has replicas 0: "
        "no endpoint is expected"
    )


def test_where_the_load_balancer_ends_tls_the_route_is_plain() -> None:
    report = replay(SCENES["nlb-tls-to-web-only"][2]().snapshot())
    assert [step.status for step in report.steps] == [Status.PASS] * 7
