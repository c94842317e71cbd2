"""The Gateway API on the lab's API server: recognised, said to be not diagnosed, nobody accused."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST

GATEWAY = "gateway.networking.k8s.io/v1"
TRAEFIK = "traefik.io/gateway-controller"


def http_route(controller: str | None, *hostnames: str) -> dict[str, Any]:
    parents = [{"controllerName": controller, "conditions": []}] if controller else []
    return {
        "apiVersion": GATEWAY,
        "kind": "HTTPRoute",
        "metadata": {"name": "my-app-route", "namespace": "default"},
        "spec": {
            "hostnames": list(hostnames),
            "parentRefs": [{"name": "edge", "namespace": "api-gateway-system"}],
            "rules": [{"backendRefs": [{"name": "my-app-service", "port": 80}]}],
        },
        "status": {"parents": parents},
    }


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    """The lab without its Ingress."""
    with RunningLab() as running:
        running.call(lambda: running.lab.store.delete("ingresses", "default", "my-app-ingress"))
        yield running


def diagnose(lab: RunningLab, directory: Path, route: dict[str, Any] | None) -> dict[str, Any]:
    store = lab.lab.store
    if route is not None:
        lab.call(lambda: store.put(route))
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hopcheck", "diagnose", HOST, *lab.arguments(), "--json",
             "--reports", str(directory)],
            env=kept | lab.environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        if route is not None:
            lab.call(lambda: store.delete("httproutes", "default", "my-app-route"))
    assert "Traceback" not in done.stderr
    assert done.returncode == 1  # nobody answers, whoever should
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def steps(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {s["step"]: (s["status"], s["reason"] or "") for s in report["steps"]}


@pytest.mark.parametrize("controller", [TRAEFIK, None])
def test_a_host_of_an_httproute(lab: RunningLab, tmp_path: Path, controller: str | None) -> None:
    report = diagnose(lab, tmp_path, http_route(controller, HOST))
    assert report["root_causes"] == []
    for step in ("ingress", "endpoints"):
        status, reason = steps(report)[step]
        assert status == "unknown"
        assert "routed by the Gateway API (default/my-app-route)" in reason
        assert "not diagnosed yet" in reason
    assert steps(report)["traefik-logs"][0] == "unknown"
    assert "Gateway API" in report["headline"]


def test_other_hosts_and_other_controllers_change_nothing(lab: RunningLab, tmp_path: Path) -> None:
    for route in (None, http_route(TRAEFIK, "other.example.com"), http_route("istio.io/x", HOST)):
        report = diagnose(lab, tmp_path, route)
        assert [cause["code"] for cause in report["root_causes"]] == ["ING001"]
        assert steps(report)["ingress"][0] == "fail"
