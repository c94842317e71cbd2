"""The status of workloads: how many of their pods are there and ready.

Source of the fields: k8s.io/api/apps/v1 (DeploymentStatus and its siblings); counts of zero are
left out there (omitempty), and so they are here.
"""

from __future__ import annotations

from typing import Any

from hopcheck.lab.apiserver.store import Store, timestamp

Obj = dict[str, Any]
_MANAGER = "kube-controller-manager"


def count(store: Store) -> None:
    """Write the status of each Deployment, ReplicaSet, StatefulSet and DaemonSet."""
    for resource in ("deployments", "replicasets", "statefulsets", "daemonsets"):
        for workload in store.list(resource):
            labels = workload["spec"]["selector"].get("matchLabels", {})
            pods = store.list("pods", workload["metadata"]["namespace"], labels)
            ready = sum(_is_ready(pod) for pod in pods)
            status = _status(resource, workload, len(pods), ready)
            if status != workload.get("status"):
                workload["status"] = status
                store.put(workload, manager=_MANAGER)


def _is_ready(pod: Obj) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _status(resource: str, workload: Obj, pods: int, ready: int) -> Obj:
    if resource == "daemonsets":
        counts = {
            "desiredNumberScheduled": pods,
            "currentNumberScheduled": pods,
            "updatedNumberScheduled": pods,
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": pods - ready,
        }
    else:
        counts = {"replicas": pods, "readyReplicas": ready, "availableReplicas": ready}
    if resource == "deployments":
        counts |= {"updatedReplicas": pods, "unavailableReplicas": pods - ready}
    status: Obj = {name: number for name, number in counts.items() if number}
    status["observedGeneration"] = workload["metadata"].get("generation", 1)
    if resource == "deployments":
        status["conditions"] = [_available(workload, ready)]
    return status


def _available(workload: Obj, ready: int) -> Obj:
    """The condition Available: by default at most a quarter of the replicas may be missing."""
    replicas = workload["spec"].get("replicas", 1)
    enough = ready >= replicas - replicas // 4
    before: Obj = next(iter(workload.get("status", {}).get("conditions", [])), {})
    words = "has" if enough else "does not have"
    status = "True" if enough else "False"
    same = before.get("status") == status
    return {
        "type": "Available",
        "status": status,
        "reason": f"MinimumReplicas{'Available' if enough else 'Unavailable'}",
        "message": f"Deployment {words} minimum availability.",
        "lastTransitionTime": before["lastTransitionTime"] if same else timestamp(),
    }
