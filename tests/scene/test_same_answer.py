"""The same state gives the same answer: a fault of one of several, twenty times in other orders.

Lists come in any order from AWS, Kubernetes and resolvers, and answers as they arrive.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Snapshot
from hopcheck.report.evidence import load
from tests.steps.edits import SNAPSHOTS, Edit

HERE = Path(__file__).parent
TIMES = 20
NEXT = "a-traefik-next-6c5d7f8b9-p4x2q"


def recorded(name: str) -> Snapshot:
    return load(SNAPSHOTS / f"{name}.json.gz")


def two_workloads() -> Snapshot:
    """A second Deployment behind Traefik's Service has read no Ingress: a third gets 404."""
    return load(HERE / "two-workloads.json.gz")


def without_owners() -> Snapshot:
    """The same, of pods that nothing owns."""
    data = json.loads(msgspec.json.encode(two_workloads()))
    for pod in data["kube"]["lists"]["pods@api-gateway-system"]["value"]:
        pod["metadata"].pop("ownerReferences", None)
    return msgspec.convert(data, Snapshot)


def one_target() -> Snapshot:
    e = Edit()
    e.set_health("unhealthy", "Target.FailedHealthChecks", last=1)
    return e.snapshot()


def one_pod_of_traefik() -> Snapshot:
    e = Edit()
    pods = e.traefik_pods
    e.not_ready(pods[1:2], reason="CrashLoopBackOff", message="back-off")
    return e.snapshot()


def one_node() -> Snapshot:
    e = Edit()
    e.fail("connect_timeout", "no answer", hops=("node",), only=1)
    e.fail("connect_timeout", "no answer", hops=("client",), only=1)
    return e.snapshot()


PARTIAL = {
    "one-target": one_target,
    "one-target-off-port": lambda: recorded("tg-nodeport-drift-one"),
    "one-replica": lambda: recorded("tpod-replica-skew"),
    "one-replica-down": one_pod_of_traefik,
    "one-workload": two_workloads,
    "one-pod-without-owner": without_owners,
    "one-node": one_node,
    "one-pod-refuses": lambda: recorded("ep-some-refuse"),
    "one-pod-errs": lambda: recorded("app-5xx-one"),
    "one-pod-hangs": lambda: recorded("ep-one-hangs"),
    "one-address": lambda: recorded("dns-stale-one"),
    "one-zone": lambda: recorded("tg-zone-gap"),
    "one-resolver": lambda: recorded("dns-resolvers-disagree"),
    "one-view": lambda: recorded("dns-split-horizon"),
}


def shuffled(given: Snapshot, seed: int) -> Snapshot:
    """The same state: every list that has no order of its own in another one."""
    order = random.Random(seed)
    data: dict[str, Any] = json.loads(msgspec.json.encode(given))

    def mix(found: Any) -> None:
        if isinstance(found, list):
            order.shuffle(found)

    for key, listed in data["kube"]["lists"].items():
        mix(listed.get("value"))
        for one in (listed.get("value") or ()) if key.startswith("endpointslices") else ():
            mix(one.get("endpoints"))
    aws = data["aws"]
    for name in ("load_balancers", "target_groups", "instances", "security_groups"):
        mix(aws[name].get("value"))
    for name in ("target_health", "listeners"):
        for one in aws[name].values():
            mix(one.get("value"))
    for answer in data["dns"]["answers"]:
        mix((answer.get("value") or {}).get("addresses"))
    # Replicas are asked in an order of their own: what is ready, then by name.
    for found in (data["http"]["requests"], data["http"]["hops"]):
        mix(found)
    lists = list(data["kube"]["lists"].items())
    mix(lists)
    data["kube"]["lists"] = dict(lists)
    return msgspec.convert(data, Snapshot)


def said(report: Report) -> tuple[object, ...]:
    """Verdict, statuses, root causes in their order, and all that was found."""
    found = sorted(
        (f.code, f.severity.value, str(f.object)) for step in report.steps for f in step.findings
    )
    roots = [(f.code, str(f.object)) for f in report.root_causes]
    return report.verdict, [step.status for step in report.steps], roots, found


@pytest.mark.parametrize("name", PARTIAL)
def test_twenty_times(name: str) -> None:
    given = PARTIAL[name]()
    first = said(replay(given))
    assert [said(replay(shuffled(given, n))) for n in range(TIMES)] == [first] * TIMES


@pytest.mark.parametrize("given", [two_workloads, without_owners])
def test_two_workloads_behind_one_service(given: Any) -> None:
    """Whoever stands behind the Service is judged: one of them has no router for the host."""
    report = replay(given())
    assert [(f.code, f.object.name) for f in report.root_causes] == [
        ("LOG001", "a-traefik-next-6c5d7f8b9-p4x2q")
    ]
    assert report.root_causes[0].share == pytest.approx(1 / 3)
    assert report.verdict.value == "degraded"


def test_a_canary_that_crashes_is_named_by_its_own_workload() -> None:
    data = json.loads(msgspec.json.encode(two_workloads()))
    for pod in data["kube"]["lists"]["pods@api-gateway-system"]["value"]:
        if pod["metadata"]["name"].startswith("a-traefik-next"):
            waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}
            pod["status"] |= {
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [
                    {"name": "traefik", "ready": False, "restartCount": 7,
                     "state": {"waiting": waiting}}
                ],
            }  # fmt: skip
    report = replay(msgspec.convert(data, Snapshot))
    found = {f.code: f for step in report.steps for f in step.findings}
    assert str(found["SVC007"].object) == "Deployment api-gateway-system/a-traefik-next"
    assert "1 of 3" in found["SVC007"].message


# --- what a request meets is a draw


def of_next(change: Callable[[str], str | None]) -> dict[str, Any]:
    """The two workloads' evidence, the second's arguments changed, seen from a notebook.

    Without Traefik's API, and without a probe of nodes and pods.
    """
    data: dict[str, Any] = json.loads(msgspec.json.encode(two_workloads()))
    for pod in data["kube"]["lists"]["pods@api-gateway-system"]["value"]:
        if pod["metadata"]["name"] == NEXT:
            container = pod["spec"]["containers"][0]
            container["args"] = [new for one in container["args"] if (new := change(one))]
    hidden = {"value": None, "why": "denied"}
    for replica in data["traefik"]["replicas"]:
        for name in ("routers", "tcp_routers", "services", "overview", "entrypoints", "log"):
            replica[name] = dict(hidden)
    data["http"]["hops"] = [{"value": None, "why": "not_reachable_from_here"}]
    data["http"]["other_scheme"] = {"value": None, "why": "not_needed"}
    return data


def drawn(data: dict[str, Any], bad: int, **exchange: Any) -> Report:
    """The report where the first `bad` of two requests met the second workload."""
    requests = [c["value"] for c in data["http"]["requests"]]
    assert len(requests) == 2
    for probe in requests[:bad]:
        probe["redirected_to"] = None
        probe["exchanges"] = [{**probe["exchanges"][-1], **exchange}]
    return replay(msgspec.convert(data, Snapshot))


NOT_FOUND = {
    "status": 404,
    "body": "404 page not found\n",
    "body_bytes": 19,
    "headers": [["x-content-type-options", "nosniff"]],
}
REFUSED = {
    "status": None, "headers": [], "body": "", "body_bytes": 0, "tls": None,
    "error": "reset", "error_text": "connection reset", "error_phase": "tls",
}  # fmt: skip


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_workload_without_the_provider_whatever_is_drawn(bad: int) -> None:
    data = of_next(lambda one: None if "providers.kubernetes" in one else one)
    report = drawn(data, bad, **NOT_FOUND)
    assert [(f.code, str(f.object)) for f in report.root_causes] == [
        ("SVC012", "Deployment api-gateway-system/a-traefik-next")
    ]
    assert report.verdict.value in ("degraded", "broken" if bad == 2 else "degraded")


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_workload_that_listens_elsewhere_whatever_is_drawn(bad: int) -> None:
    data = of_next(lambda one: one.replace(":8443", ":8444"))
    report = drawn(data, bad, **REFUSED)
    assert [(f.code, str(f.object)) for f in report.root_causes] == [
        ("SVC005", "Deployment api-gateway-system/a-traefik-next")
    ]
    assert "1 of 3" in report.root_causes[0].message
