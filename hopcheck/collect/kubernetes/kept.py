"""What is kept of Kubernetes objects: what a judge can need, and nothing that is secret (pure).

Applied before redaction: less to store, less to search for secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from hopcheck.behaviour.traefik.discovery import traefik_container
from hopcheck.model import Obj
from hopcheck.model.redact import redact_obj

_META = (
    "name",
    "namespace",
    "uid",
    "labels",
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "ownerReferences",
)
_POD_SPEC = (
    "nodeName",
    "hostNetwork",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "volumes",
    "readinessGates",
    "nodeSelector",
    "restartPolicy",
)
_CONTAINER = (
    "name",
    "image",
    "args",
    "command",
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "volumeMounts",
)
_NODE_SPEC = ("podCIDR", "podCIDRs", "providerID", "taints", "unschedulable")
_WORKLOAD_SPEC = ("replicas", "selector", "strategy", "updateStrategy", "minReadySeconds", "paused")
_SLIM_SERVICE = ("type", "ports", "selector", "clusterIP", "externalName", "externalTrafficPolicy")
_EVENT = (
    "involvedObject",
    "reason",
    "message",
    "type",
    "count",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "series",
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ANNOTATION_CHARS = 4_096
_FIELDS_BYTES = 8_192
_WRITERS = 20
_CONFIG_CHARS = 65_536


def _only(obj: Mapping[str, Any], keys: Iterable[str]) -> Obj:
    return {key: obj[key] for key in keys if key in obj}


def _managed_fields(meta: Obj, *, with_fields: bool) -> list[Obj]:
    """Who wrote when, and which fields where asked for; the status and its writers are left out.

    `fields` is FieldsV1 without what nobody decides; absent where even that is long.
    """
    kept = []
    for entry in (meta.get("managedFields") or ())[-_WRITERS:]:  # the latest stand last
        if entry.get("subresource") == "status":
            continue
        slim = _only(entry, ("manager", "operation", "time", "subresource"))
        fields = _decided(entry.get("fieldsV1") or {}) if with_fields else {}
        if fields and len(msgspec.json.encode(fields)) <= _FIELDS_BYTES:
            slim["fields"] = fields
        kept.append(slim)
    return kept


def _decided(fields: Obj) -> Obj:
    kept = {key: value for key, value in fields.items() if key not in ("f:status", "f:metadata")}
    meta = _only(fields.get("f:metadata") or {}, ("f:labels", "f:annotations"))
    if "f:annotations" in meta:
        own = {k: v for k, v in meta["f:annotations"].items() if k != f"f:{_LAST_APPLIED}"}
        meta["f:annotations"] = own
    meta = {key: value for key, value in meta.items() if value}
    # An empty one would mean all of it (FieldsV1).
    return kept | ({"f:metadata": meta} if meta else {})


def metadata(obj: Obj, *, with_fields: bool = False) -> Obj:
    """The object's metadata without last-applied-configuration and bulky managedFields."""
    meta = obj.get("metadata") or {}
    kept = _only(meta, _META)
    annotations = {
        key: str(value)[:_ANNOTATION_CHARS]
        for key, value in (meta.get("annotations") or {}).items()
        if key != _LAST_APPLIED
    }
    if annotations:
        kept["annotations"] = annotations
    managers = _managed_fields(meta, with_fields=with_fields)
    if managers:
        kept["managedFields"] = managers
    return kept


def _head(obj: Obj, *, with_fields: bool = False) -> Obj:
    head = _only(obj, ("apiVersion", "kind"))
    head["metadata"] = metadata(obj, with_fields=with_fields)
    return head


def whole(obj: Obj) -> Obj:
    """Everything but bulky metadata: routes, Services, slices, policies, middlewares."""
    return redact_obj({**obj, "metadata": metadata(obj, with_fields=True)})  # type: ignore[no-any-return]


def _variables(container: Obj, *, traefik: bool) -> list[Obj]:
    """Names of environment variables; values only of Traefik's own static configuration."""
    return [
        _only(item, ("name", "value", "valueFrom"))
        if traefik and str(item.get("name", "")).startswith("TRAEFIK_")
        else _only(item, ("name",))
        for item in container.get("env") or ()
    ]


def _pod_spec(pod: Obj) -> Obj:
    spec = pod.get("spec") or {}
    kept = _only(spec, _POD_SPEC)
    traefik = traefik_container(pod)
    for group in ("containers", "initContainers"):
        slim = []
        for container in spec.get(group) or ():
            entry = _only(container, _CONTAINER)
            if container.get("env"):
                entry["env"] = _variables(container, traefik=container is traefik)
            slim.append(entry)
        if slim:
            kept[group] = slim
    return kept


def pod(obj: Obj) -> Obj:
    """A pod: where it runs, its containers, its state."""
    kept = {**_head(obj), "spec": _pod_spec(obj), "status": obj.get("status") or {}}
    return redact_obj(kept)  # type: ignore[no-any-return]


def workload(obj: Obj) -> Obj:
    """A Deployment, DaemonSet, StatefulSet or ReplicaSet, its pod template included."""
    spec = obj.get("spec") or {}
    kept = _only(spec, _WORKLOAD_SPEC)
    template = spec.get("template") or {}
    if template:
        labels = _only(template.get("metadata") or {}, ("labels", "annotations"))
        kept["template"] = {"metadata": labels, "spec": _pod_spec(template)}
    status = obj.get("status") or {}
    return redact_obj({**_head(obj, with_fields=True), "spec": kept, "status": status})  # type: ignore[no-any-return]


def node(obj: Obj) -> Obj:
    """A node: labels, addresses, conditions; neither images nor annotations."""
    status = _only(obj.get("status") or {}, ("addresses", "conditions"))
    spec = _only(obj.get("spec") or {}, _NODE_SPEC)
    meta = _only(obj.get("metadata") or {}, _META)
    # Not searched for secrets: nothing kept is free text, and clusters have thousands of nodes.
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec, "status": status}


def event(obj: Obj) -> Obj:
    """An event: what happened to which object, how often and when."""
    meta = _only(obj.get("metadata") or {}, ("name", "namespace", "creationTimestamp"))
    return redact_obj({"kind": "Event", "metadata": meta, **_only(obj, _EVENT)})  # type: ignore[no-any-return]


def event_time(obj: Obj) -> str:
    """When the event was last seen, RFC 3339, "" where it does not say."""
    series = obj.get("series") or {}
    meta = obj.get("metadata") or {}
    times = (
        series.get("lastObservedTime"),
        obj.get("lastTimestamp"),
        obj.get("eventTime"),
        meta.get("creationTimestamp"),
    )
    return next((str(time) for time in times if time), "")


def config_map(obj: Obj) -> Obj:
    """A ConfigMap's texts, cut where they are very long."""
    data = {key: str(text)[:_CONFIG_CHARS] for key, text in (obj.get("data") or {}).items()}
    return redact_obj({**_head(obj, with_fields=True), "data": data})  # type: ignore[no-any-return]


def secret(obj: Obj) -> Obj:
    """A Secret's metadata, never its data, whatever the server sent.

    `keys` are the names of its entries as managedFields tell them, absent where these do not.
    """
    kept: Obj = redact_obj(_head(obj, with_fields=True))
    keys: set[str] = set()
    for entry in (obj.get("metadata") or {}).get("managedFields") or ():
        fields = (entry.get("fieldsV1") or {}).get("f:data") or {}
        keys |= {name[2:] for name in fields if name.startswith("f:")}
    if keys:
        kept["keys"] = sorted(keys)
    return kept


def slim_route(obj: Obj, hosts: Iterable[str]) -> Obj:
    """A route of other hosts, with what is needed to see which instance reads it.

    Marked by ``slim: true``: what is absent from it may well be there.
    """
    meta = obj.get("metadata") or {}
    annotations = {
        key: str(value)[:200]
        for key, value in (meta.get("annotations") or {}).items()
        if key.endswith(("ingress.class", "router.entrypoints", "router.priority"))
    }
    spec: Obj = _only(obj.get("spec") or {}, ("ingressClassName", "entryPoints"))
    return {
        **_only(obj, ("apiVersion", "kind")),
        "slim": True,
        "metadata": {**_only(meta, ("namespace", "name")), "annotations": annotations},
        "spec": {**spec, "hosts": list(hosts)},
    }


def slim_service(obj: Obj) -> Obj:
    """A Service of another namespace: what a reference to it or a node port needs (`slim: true`).

    Not searched for secrets: it has names and numbers alone.
    """
    return {
        **_only(obj, ("apiVersion", "kind")),
        "slim": True,
        "metadata": _only(obj.get("metadata") or {}, ("namespace", "name", "labels")),
        "spec": _only(obj.get("spec") or {}, _SLIM_SERVICE),
    }


PRUNERS: Mapping[str, Callable[[Obj], Obj]] = {
    "pods": pod,
    "nodes": node,
    "events": event,
    "deployments": workload,
    "daemonsets": workload,
    "statefulsets": workload,
    "replicasets": workload,
}


def prune(resource: str, obj: Obj) -> Obj:
    """What is kept of an object of `resource` (its plural), redacted."""
    return PRUNERS.get(resource, whole)(obj)
