"""The shipped roles, in the lab: nothing is forbidden under them, and each rule has its use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST
from tests.deploy.rendering import DEPLOY, one, rendered

ACCOUNT = "system:serviceaccount:hopcheck:hopcheck"
# The first resource of a rule -> the steps that are unknown without it ...
NEEDED = {
    "services": {"traefik-service", "endpoints"},
    # Without Traefik's pods nobody knows its arguments, and so which routes it reads.
    "pods": {"traefik-service", "ingress", "traefik-logs"},
    "endpointslices": {"endpoints"},
    "ingresses": {"ingress", "endpoints"},
}
# ... and the step that says what it did not look at.
SAID = {
    "ingressclasses": "ingress",
    "ingressroutes": "ingress",
    "gateways": "ingress",
    "nodes": "target-health",
    "namespaces": "traefik-service",
    "networkpolicies": "endpoints",
    "deployments": "traefik-service",
    "pods/log": "traefik-logs",
}
# Read only where Traefik mounts one, which the lab's does not, and where a certificate is in doubt.
UNUSED_IN_THE_LAB = {"configmaps", "certificates", "orders"}


def shipped() -> tuple[list[dict[str, Any]], str, list[dict[str, Any]]]:
    """Rules of the ClusterRole; the Role's namespace and rules."""
    base = rendered(DEPLOY / "base")
    role = one(base, "Role")
    return one(base, "ClusterRole")["rules"], role["metadata"]["namespace"], role["rules"]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def diagnose(
    lab: RunningLab, diagnoser: Diagnoser, directory: Path, without: str | None = None
) -> dict[str, Any]:
    """The report of a run as the CronJob's pod would make it, less one rule."""
    cluster, namespace, inside = (
        [r for r in rules if r["resources"][0] != without] if isinstance(rules, list) else rules
        for rules in shipped()
    )
    lab.call(
        lambda: lab.lab.server.account(
            lab.lab.token, ACCOUNT, cluster, namespaced={namespace: inside}
        )
    )
    (directory / "hopcheck.toml").write_text("secrets = false\ndirect_probes = true\n")
    words = [HOST, *lab.arguments(), "--config", str(directory / "hopcheck.toml")]
    done = lab.run(diagnoser.diagnose(words))
    assert done.words == ""
    report: dict[str, Any] = done.report
    return report


def test_every_rule_is_accounted_for() -> None:
    cluster, _, inside = shipped()
    first = {rule["resources"][0] for rule in [*cluster, *inside]}
    assert first == set(NEEDED) | set(SAID) | UNUSED_IN_THE_LAB


def test_nothing_is_forbidden_under_the_shipped_roles(
    lab: RunningLab, diagnoser: Diagnoser, tmp_path: Path
) -> None:
    report = diagnose(lab, diagnoser, tmp_path)
    assert report["verdict"] == "healthy"
    assert [step["status"] for step in report["steps"]] == ["pass"] * 7
    assert [step["reason"] for step in report["steps"]] == [None] * 7
    evidence = diagnoser.evidence()
    assert evidence is not None
    assert "forbidden" not in evidence.read_text()


@pytest.mark.parametrize("rule", NEEDED)
def test_without_a_rule_exactly_its_steps_are_unknown(
    lab: RunningLab, diagnoser: Diagnoser, tmp_path: Path, rule: str
) -> None:
    report = diagnose(lab, diagnoser, tmp_path, rule)
    assert {s["step"] for s in report["steps"] if s["status"] == "unknown"} == NEEDED[rule]
    assert {s["status"] for s in report["steps"] if s["step"] not in NEEDED[rule]} == {"pass"}
    assert report["root_causes"] == []


@pytest.mark.parametrize("rule", SAID)
def test_without_an_optional_rule_its_step_says_so(
    lab: RunningLab, diagnoser: Diagnoser, tmp_path: Path, rule: str
) -> None:
    report = diagnose(lab, diagnoser, tmp_path, rule)
    assert [step["status"] for step in report["steps"]] == ["pass"] * 7
    said = {s["step"]: s["reason"] for s in report["steps"] if s["reason"]}
    assert set(said) == {SAID[rule]}
    assert rule in said[SAID[rule]]
    assert "forbidden" in said[SAID[rule]]
