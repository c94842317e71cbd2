"""``hopcheck doctor`` on the lab: a right that is missing is never reported as there."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hopcheck.lab import topology
from hopcheck.lab.apiserver.errors import ApiError
from hopcheck.lab.running import RunningLab

# Right taken away -> the steps that can no longer see all they need.
MISSING = {
    "pods/log": [6],
    "endpointslices": [5],
    "ingresses": [4],
    "services": [3, 4, 5],
    "pods": [3, 5, 6],
}


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def doctor(lab: RunningLab, directory: Path, *more: str) -> tuple[int, dict[int, str], str]:
    arguments = lab.arguments()
    resolver = arguments[arguments.index("--resolver") + 1]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "doctor", "--resolver", resolver, *more],
        env=kept | lab.environment(), cwd=directory, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.stderr == ""
    rows = {int(row.split()[0]): row for row in re.findall(r"^  [1-7] .*", done.stdout, re.M)}
    return done.returncode, rows, done.stdout


def without(resource: str) -> list[dict[str, Any]]:
    rules = copy.deepcopy(topology.reader_rules())
    for rule in rules:
        rule["resources"] = [one for one in rule["resources"] if one != resource]
    return rules


def grant(lab: RunningLab, rules: list[dict[str, Any]]) -> None:
    lab.call(lambda: lab.lab.server.account(lab.lab.token, "oncall@example.com", rules))


def test_with_every_right(lab: RunningLab, tmp_path: Path) -> None:
    code, steps, out = doctor(lab, tmp_path)
    assert code == 0
    assert all("all it needs" in steps[number] for number in range(1, 7))
    assert "pods/log yes" in out
    assert len(out.splitlines()) <= 25


@pytest.mark.parametrize("resource", MISSING)
def test_a_missing_right_is_said_and_nothing_else(
    lab: RunningLab, tmp_path: Path, resource: str
) -> None:
    grant(lab, without(resource))
    try:
        code, steps, out = doctor(lab, tmp_path)
    finally:
        grant(lab, topology.reader_rules())
    assert code == 3
    assert f"{resource} forbidden" in out
    partly = [number for number in range(1, 7) if "all it needs" not in steps[number]]
    assert partly == MISSING[resource]


def test_a_denied_aws_call(lab: RunningLab, tmp_path: Path) -> None:
    denied = lab.lab.cloud.denied
    lab.call(lambda: denied.add("elasticloadbalancing:DescribeTargetHealth"))
    try:
        code, steps, _ = doctor(lab, tmp_path)
    finally:
        lab.call(denied.clear)
    assert code == 3
    assert "not DescribeTargetHealth" in steps[2]


def _no_kubelet() -> str:
    # As kube-apiserver v1.36 answers where a node's kubelet cannot be reached.
    raise ApiError(
        500,
        'Get "https://10.0.1.10:10250/containerLogs/api-gateway-system/traefik/traefik": '
        "dial tcp 10.0.1.10:10250: connect: no route to host",
    )


def _set_log(lab: RunningLab, read: Any) -> None:
    for pod in lab.lab.plan.traefik:
        lab.lab.server.set_log(topology.GATEWAY, pod.name, topology.TRAEFIK, read)


def test_a_log_that_cannot_be_fetched_is_no_missing_right(lab: RunningLab, tmp_path: Path) -> None:
    lab.call(lambda: _set_log(lab, _no_kubelet))
    try:
        code, steps, out = doctor(lab, tmp_path)
    finally:
        lab.call(lambda: _set_log(lab, str))
    assert code == 3
    assert "pods/log failed" in out
    assert "not pods/log: failed: Get" in steps[6]
    assert "no route to host" in steps[6]
    assert "grant" not in out


def test_the_log_is_tried_on_a_pod_that_has_started(lab: RunningLab, tmp_path: Path) -> None:
    first = min(pod.name for pod in lab.lab.plan.traefik)

    def waiting() -> str:
        words = f'container "traefik" in pod "{first}" is waiting to start: ContainerCreating'
        raise ApiError(400, words)

    server, kubelet = lab.lab.server, lab.lab.kubelet
    lab.call(lambda: server.set_log(topology.GATEWAY, first, topology.TRAEFIK, waiting))
    lab.call(
        lambda: kubelet.hold(topology.GATEWAY, first, lambda o: o["status"].update(phase="Pending"))
    )
    try:
        code, _, out = doctor(lab, tmp_path)
    finally:
        lab.call(kubelet.release)
        lab.call(lambda: server.set_log(topology.GATEWAY, first, topology.TRAEFIK, str))
    assert code == 0
    assert "pods/log yes" in out


def test_what_is_forbidden_is_granted_by_what_is_printed(lab: RunningLab, tmp_path: Path) -> None:
    grant(lab, without("endpointslices"))
    try:
        _, _, out = doctor(lab, tmp_path)
        _, _, bounded = doctor(lab, tmp_path, "--namespace", "default")
        lab.call(lambda: lab.lab.server.account(lab.lab.token, "system:serviceaccount:a:b", []))
        _, _, robot = doctor(lab, tmp_path)
    finally:
        grant(lab, topology.reader_rules())
    assert documents(robot)[1]["subjects"] == [
        {"kind": "ServiceAccount", "namespace": "a", "name": "b"}
    ]
    role, binding = documents(out)
    assert role["kind"] == "ClusterRole"
    assert role["rules"] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
         "verbs": ["get", "list"]}
    ]  # fmt: skip
    assert binding["subjects"][0]["name"] == "YOUR-USER"  # an address is redacted
    assert binding["roleRef"]["name"] == role["metadata"]["name"] != "hopcheck"
    role, binding = documents(bounded)
    assert (role["kind"], binding["kind"]) == ("Role", "RoleBinding")
    assert role["metadata"]["namespace"] == "default"
    # And it does: with what it grants, nothing is missing.
    grant(lab, [*without("endpointslices"), *documents(out)[0]["rules"]])
    try:
        code, _, out = doctor(lab, tmp_path)
    finally:
        grant(lab, topology.reader_rules())
    assert code == 0
    assert "kind:" not in out


def documents(out: str) -> list[dict[str, Any]]:
    found = list(yaml.safe_load_all(out.partition("kubectl auth whoami tells)\n")[2]))
    for document in found:
        kubernetes_validate.validate(document, "1.31", strict=True)
    return found


def test_who_asks_need_not_be_known(lab: RunningLab, tmp_path: Path) -> None:
    refused = lab.lab.cloud.denied
    lab.call(lambda: refused.add("sts:GetCallerIdentity"))
    try:
        code, steps, _ = doctor(lab, tmp_path)
        lab.call(lambda: refused.add("elasticloadbalancing:DescribeTargetGroups"))
        denied, without_groups, out = doctor(lab, tmp_path)
    finally:
        lab.call(refused.clear)
    assert code == 0
    assert "all it needs" in steps[2]
    assert denied == 3
    assert "DescribeTargetGroups" in without_groups[2]
    policy = json.loads(out[out.index("\n{") :])
    assert policy["Statement"][0]["Action"] == [
        "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
    ]  # fmt: skip


def test_it_takes_the_options_of_a_diagnosis(lab: RunningLab, tmp_path: Path) -> None:
    (tmp_path / "hopcheck.toml").write_text('aws_profile = "nobody"\n')
    arguments = lab.arguments()
    ca_file = arguments[arguments.index("--ca-file") + 1]
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "doctor"], env={**os.environ, **lab.environment()},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "AWS profile 'nobody'" in done.stderr
    (tmp_path / "hopcheck.toml").unlink()
    code, steps, _ = doctor(lab, tmp_path, "--ca-file", ca_file, "--namespace", "default",
                            "--traefik-service", "api-gateway-system/traefik")  # fmt: skip
    assert code == 0
    assert all("all it needs" in steps[number] for number in range(1, 7))


def test_a_traefik_that_may_not_be_seen_is_said(lab: RunningLab, tmp_path: Path) -> None:
    rules = topology.reader_rules()
    bound = {"default": rules}
    server = lab.lab.server
    lab.call(lambda: server.account(lab.lab.token, "oncall@example.com", [], bound))
    try:
        code, steps, _ = doctor(lab, tmp_path, "--namespace", "default")
    finally:
        grant(lab, rules)
    assert code == 3
    assert "no Traefik was found" in steps[3]
    assert "no Traefik was found" in steps[6]
