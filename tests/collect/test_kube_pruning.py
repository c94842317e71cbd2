"""What is kept of managedFields: who, when and which fields, and little of it."""

from typing import Any

import msgspec

from hopcheck.collect.kubernetes import kept as pruning
from hopcheck.model.kubernetes import kubernetes_object

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# As `kubectl get --show-managed-fields` shows a Service that was applied and then edited.
SERVICE: dict[str, Any] = {
    "kind": "Service",
    "metadata": {
        "name": "a",
        "annotations": {APPLIED: "{}"},
        "managedFields": [
            {
                "manager": "kubectl-client-side-apply",
                "operation": "Update",
                "apiVersion": "v1",
                "time": "2026-02-25T02:00:00Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {
                        "f:annotations": {".": {}, f"f:{APPLIED}": {}},
                        "f:ownerReferences": {"x": {}},
                    },
                    "f:spec": {"f:selector": {}, "f:type": {}},
                },
            },
            {
                "manager": "kubectl-edit",
                "operation": "Update",
                "time": "2026-02-25T03:00:00Z",
                "fieldsV1": {"f:spec": {"f:ports": {'k:{"port":80}': {"f:targetPort": {}}}}},
            },
            {
                "manager": "aws-cloud-provider",
                "operation": "Update",
                "subresource": "status",
                "time": "2026-02-25T04:00:00Z",
                "fieldsV1": {"f:status": {"f:loadBalancer": {}}},
            },
        ],
    },
    "spec": {},
}


def prune(resource: str, obj: dict[str, Any]) -> dict[str, Any]:
    read = kubernetes_object(resource, obj)
    assert read is not None
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(pruning.prune(read)))
    return found


def managed(obj: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = obj["metadata"]["managedFields"]
    return found


def with_writers(*entries: dict[str, Any]) -> dict[str, Any]:
    return {**SERVICE, "metadata": {"name": "a", "managedFields": list(entries)}}


def test_who_when_and_what_without_the_status() -> None:
    assert managed(prune("services", SERVICE)) == [
        {
            "manager": "kubectl-client-side-apply",
            "time": "2026-02-25T02:00:00Z",
            "fields": {
                "f:metadata": {"f:annotations": {".": {}}},
                "f:spec": {"f:selector": {}, "f:type": {}},
            },
        },
        {
            "manager": "kubectl-edit",
            "time": "2026-02-25T03:00:00Z",
            "fields": {"f:spec": {"f:ports": {'k:{"port":80}': {"f:targetPort": {}}}}},
        },
    ]


def test_workloads_secrets_and_config_maps_too_but_not_pods() -> None:
    for kept in (prune(kind, SERVICE) for kind in ("deployments", "secrets", "configmaps")):
        assert "fields" in managed(kept)[1]
    assert "fields" not in managed(prune("pods", SERVICE))[1]


def test_an_emptied_part_is_left_out_since_it_would_mean_all_of_it() -> None:
    fields = {"f:metadata": {"f:annotations": {f"f:{APPLIED}": {}}}, "f:spec": {"f:type": {}}}
    (kept,) = managed(prune("services", with_writers({"manager": "m", "fieldsV1": fields})))
    assert kept["fields"] == {"f:spec": {"f:type": {}}}


def test_a_scale_is_kept() -> None:
    entry = {"manager": "kubectl", "subresource": "scale", "time": "t",
             "fieldsV1": {"f:spec": {"f:replicas": {}}}}  # fmt: skip
    (kept,) = managed(prune("deployments", with_writers(entry)))
    assert kept["fields"]["f:spec"] == {"f:replicas": {}}


def test_it_stays_small_and_the_latest_are_kept() -> None:
    long = {f"f:{number:0100}": {} for number in range(1000)}
    entries = [{"manager": f"m{n}", "time": "t", "fieldsV1": {"f:spec": long}} for n in range(500)]
    kept = managed(prune("services", with_writers(*entries)))
    assert [one["manager"] for one in kept] == [f"m{n}" for n in range(480, 500)]
    assert len(msgspec.json.encode(kept)) < 2_000
