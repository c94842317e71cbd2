"""Pods that are merely starting are no trouble where others serve."""

from typing import Any

import pytest

from hopcheck.behaviour.kubernetes.pod_state import lasting
from hopcheck.model.kubernetes import Pod
from tests.objects import made

NOW = "2026-01-12T10:00:00Z"
YOUNG, OLD, ANCIENT = "2026-01-12T09:59:00Z", "2026-01-12T09:52:00Z", "2026-01-12T09:00:00Z"


def pod(name: str, created: str | None, ready: str = "False", **status: Any) -> Pod:
    message = "" if ready == "True" else "containers with unready status: [app]"
    conditions = [{"type": "Ready", "status": ready, "message": message}]
    labels = {"pod-template-hash": status.pop("template", "one")}
    meta = {"name": name, "labels": labels, "creationTimestamp": created}
    status = {"phase": "Running", "conditions": conditions, **status}
    return made(Pod, metadata=meta, status=status)


READY = pod("serving", ANCIENT, "True")
CREATING = [{"state": {"waiting": {"reason": "ContainerCreating"}}}]
CRASHING = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}]
RESTARTED = [{"state": {"running": {}}, "restartCount": 1}]


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([READY, pod("x", YOUNG)], []),
        ([READY, pod("x", OLD)], ["x"]),
        ([READY, pod("x", None)], ["x"]),
        ([READY, pod("x", YOUNG, phase="Pending", containerStatuses=CREATING)], []),
        ([READY, pod("x", YOUNG, containerStatuses=CRASHING)], ["x"]),
        ([READY, pod("x", YOUNG, containerStatuses=RESTARTED)], ["x"]),
        # a roll-out may take as long as a Deployment's progress deadline
        ([READY, pod("x", OLD, template="two")], []),
        ([READY, pod("x", ANCIENT, template="two")], ["x"]),
        ([READY, pod("x", OLD, template="two", containerStatuses=CRASHING)], ["x"]),
        # where none serves, each counts
        ([pod("x", YOUNG)], ["x"]),
        # what ends is no trouble
        ([READY, pod("x", ANCIENT, phase="Succeeded")], []),
        ([READY, pod("x", "yesterday")], ["x"]),
    ],
)
def test_lasting(pods: list[Pod], expected: list[str]) -> None:
    assert [state.name for _, state in lasting(pods, NOW)] == expected
