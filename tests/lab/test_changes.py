"""A healthy run, one edit with the real kubectl, a broken run: exactly that edit is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopcheck.lab import demo
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST

KUBECTL = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or "kubectl"
ADMIN = "the-admins-token"
SERVICE = {"kind": "Service", "name": "my-app-service", "namespace": "default"}
# What follows from an edit and was seen, beside it.
OBSERVED = {"readyEndpoints", "endpointPorts", "readyPods", "healthyTargets", "subject", "issuer",
            "names", "not_after"}  # fmt: skip


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        running.call(lambda: running.lab.server.account(ADMIN, "admin@example.com", None))
        yield running


@pytest.fixture(scope="module")
def reports(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reports")
    assert diagnose(lab, directory)["verdict"] == "healthy"
    return directory


def diagnose(lab: RunningLab, reports: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "diagnose", HOST, *lab.arguments(), "--json",
         "--reports", str(reports)],
        capture_output=True, text=True, timeout=60, env=demo.child_environment(lab.lab),
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def again(reports: Path) -> dict[str, Any]:
    """The newest run judged again, where nothing of the lab is known."""
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "diagnose", "--json",
         "--from", str(reports / HOST / "latest" / "evidence.json")],
        capture_output=True, text=True, timeout=60, env={},
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def kubectl(lab: RunningLab, *arguments: str, editor: str = "false", stdin: str = "") -> None:
    """Run kubectl as an administrator and wait until the lab follows."""
    subprocess.run(
        [KUBECTL, "--token", ADMIN, "-n", "default", *arguments],
        check=True, timeout=30, capture_output=True, text=True, input=stdin,
        env={**demo.child_environment(lab.lab), "KUBE_EDITOR": editor},
    )  # fmt: skip
    lab.settle()


def declared(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in report["changes"] if one["field"] not in OBSERVED]


def test_an_edit(lab: RunningLab, reports: Path) -> None:
    editor = "sed -i 's/targetPort: 8080/targetPort: 8081/'"
    kubectl(lab, "edit", "service", "my-app-service", editor=editor)
    first = diagnose(lab, reports)
    (change,) = declared(first)
    assert change == first["changes"][0]
    at = change.pop("at")
    assert change == {
        "object": SERVICE,
        "field": "spec.ports[0].targetPort",
        "before": 8080,
        "after": 8081,
        "by": "kubectl-edit",
    }
    assert first["last_healthy"] == first["compared_with"]
    assert first["last_healthy"] <= at <= first["since"] == first["started_at"]
    assert first["root_causes"][0]["object"]["name"] == "my-app-service"
    replayed = again(reports)
    for key in ("verdict", "fingerprint", "headline", "root_causes", "path"):
        assert replayed[key] == first[key], key
    findings = [[step["findings"] for step in one["steps"]] for one in (replayed, first)]
    assert findings[0] == findings[1]
    second = diagnose(lab, reports)
    assert second["since"] == first["started_at"]
    assert second["last_healthy"] == first["last_healthy"]
    assert declared(second)[0]["at"] == at
    lab.heal()


def test_a_patch_an_annotation_a_deletion_and_a_creation(lab: RunningLab, reports: Path) -> None:
    annotation = "traefik.ingress.kubernetes.io/router.entrypoints"
    patch = '[{"op": "replace", "path": "/spec/rules/0/host", "value": "other.example.com"}]'
    kubectl(lab, "patch", "ingress", "my-app-ingress", "--type", "json", "-p", patch)
    kubectl(lab, "annotate", "ingress", "my-app-ingress", f"{annotation}=nowhere")
    kubectl(lab, "delete", "service", "my-app-service", "--wait=false")
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    kubectl(lab, "apply", "--server-side", "-f", "-", stdin=json.dumps(policy))
    report = diagnose(lab, reports)
    assert report["since"] == report["started_at"]  # another fault than the one before
    found = {
        (one["object"]["kind"], one["field"]): (one["before"], one["after"], one["by"])
        for one in declared(report)
    }
    assert found == {
        ("Ingress", "spec.rules[0].host"): (HOST, "other.example.com", "kubectl-patch"),
        ("Service", "exists"): (True, False, None),
        ("NetworkPolicy", "exists"): (False, True, "kubectl"),
        ("Ingress", f'metadata.annotations["{annotation}"]'): (None, "nowhere", "kubectl-annotate"),
    }
    kubectl(lab, "delete", "networkpolicy", "closed")
    lab.heal()


def test_a_rollout_changes_nothing_by_itself(lab: RunningLab, reports: Path) -> None:
    kubectl(lab, "label", "pods", "--all", "team=shop")
    kubectl(lab, "label", "pods", "--all", "team-")
    kubectl(lab, "annotate", "service", "my-app-service", "a=b")
    kubectl(lab, "annotate", "service", "my-app-service", "a-")
    lab.inject("app-5xx")
    report = diagnose(lab, reports)
    assert report["verdict"] == "broken"
    assert report["changes"] == []
    assert report["compared_with"] == report["last_healthy"] is not None
    lab.heal()
