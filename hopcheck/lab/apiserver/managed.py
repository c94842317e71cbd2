"""metadata.managedFields: who owns which field of an object, as the API server keeps it.

Source: sigs.k8s.io/structured-merge-diff (merge/update.go, fieldpath/serialize.go) and the
x-kubernetes-list-map-keys and x-kubernetes-map-type of Kubernetes' OpenAPI. What is left out:
conflicts of an apply, and fields that an apply gives up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Obj = dict[str, Any]
Path = tuple[str, ...]
Fields = dict[Path, Any]  # the leaves of an object with their values

# Lists whose items are told apart by these keys; all other lists are one field.
_LIST_KEYS: dict[Path, tuple[str, ...]] = {
    ("f:spec", "f:ports"): ("port", "protocol"),
    ("f:status", "f:conditions"): ("type",),
    ("f:metadata", "f:ownerReferences"): ("uid",),
}
_IN_PODS: dict[str, tuple[str, ...]] = {
    "f:containers": ("name",),
    "f:initContainers": ("name",),
    "f:ports": ("containerPort", "protocol"),
    "f:env": ("name",),
    "f:volumeMounts": ("mountPath",),
    "f:volumes": ("name",),
    "f:imagePullSecrets": ("name",),
    "f:hostAliases": ("ip",),
}
# Kinds whose spec holds, or is, that of a pod; of others, lists of these names are one field.
_POD_SPECS = {
    "Pod": ("f:spec",),
    **dict.fromkeys(
        ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job"),
        ("f:spec", "f:template", "f:spec"),
    ),
}
# Maps that are one field in whatever they hold.
_ATOMIC = frozenset({"f:selector", "f:nodeSelector"})
_MAPS = frozenset({"f:labels", "f:annotations", "f:data", "f:stringData", "f:binaryData"})
# Not managed: what the server writes into every object, and what it allocates.
_META = ("labels", "annotations", "finalizers", "ownerReferences")
_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


def fields_of(obj: Obj) -> Fields:
    """The managed fields of an object with their values."""
    body = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    if obj.get("kind") == "Service" and isinstance(body.get("spec"), dict):
        body["spec"] = {k: v for k, v in body["spec"].items() if k not in _ALLOCATED}
    metadata = obj.get("metadata") or {}
    kept = {key: metadata[key] for key in _META if metadata.get(key)}
    pods = _POD_SPECS.get(str(obj.get("kind")))
    return dict(_leaves(body | ({"metadata": kept} if kept else {}), (), pods))


def _leaves(value: Any, path: Path, pods: Path | None) -> Iterator[tuple[Path, Any]]:
    last = path[-1] if path else ""
    if isinstance(value, dict) and value and last not in _ATOMIC:
        if last in _MAPS:
            yield (*path, "."), None
        for key, item in value.items():
            yield from _leaves(item, (*path, f"f:{key}"), pods)
    elif isinstance(value, list) and (keys := _keys(path, value, pods)):
        yield (*path, "."), None
        for item in value:
            step = "k:" + json.dumps({key: item[key] for key in keys}, separators=(",", ":"))
            yield (*path, step, "."), None
            for key, inner in item.items():
                yield from _leaves(inner, (*path, step, f"f:{key}"), pods)
    elif isinstance(value, list) and path == ("f:metadata", "f:finalizers"):
        yield (*path, "."), None
        for item in value:
            yield (*path, f"v:{json.dumps(item)}"), None
    else:
        yield path, value


def _keys(path: Path, items: list[Any], pods: Path | None) -> tuple[str, ...]:
    in_pod = pods is not None and path[: len(pods)] == pods
    keys = _IN_PODS.get(path[-1], ()) if in_pod else _LIST_KEYS.get(path, ())
    whole = all(isinstance(item, dict) and all(key in item for key in keys) for item in items)
    return keys if items and whole else ()


def managed(
    entries: list[Obj],
    old: Obj | None,
    new: Obj,
    *,
    manager: str,
    operation: str,
    applied: Obj | None,
    now: str,
) -> list[Obj]:
    """The entries after `manager` made `new` of `old`; `applied` is what an apply sent.

    A manager owns what it wrote last; an apply owns all that it names, beside others where the
    value is theirs too.
    """
    had, has = fields_of(old) if old else {}, fields_of(new)
    gone = had.keys() - has.keys()
    written = {path for path, value in has.items() if path not in had or had[path] != value}
    status = bool(old) and all(path[0] == "f:status" for path in written | gone)
    mine = (manager, operation, "status" if status else None)
    owned = {_who(entry): set(_paths(entry.get("fieldsV1") or {}, ())) for entry in entries}
    times = {_who(entry): entry.get("time") for entry in entries}
    for paths in owned.values():
        paths -= gone | written
    own = owned.setdefault(mine, set())
    own |= fields_of(applied).keys() & has.keys() if applied is not None else written
    times[mine] = now
    order = [who for who in owned if who != mine] + [mine]
    return [_entry(who, new["apiVersion"], times[who], owned[who]) for who in order if owned[who]]


_Who = tuple[str, str, str | None]


def _who(entry: Obj) -> _Who:
    return entry["manager"], entry["operation"], entry.get("subresource")


def _entry(who: _Who, api_version: str, time: str | None, paths: set[Path]) -> Obj:
    manager, operation, subresource = who
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(paths),
    }
    return entry | ({"subresource": subresource} if subresource else {})


def _tree(paths: set[Path]) -> Obj:
    tree: Obj = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    return tree


def _paths(node: Obj, path: Path) -> Iterator[Path]:
    for key, child in node.items():
        if child:
            yield from _paths(child, (*path, key))
        else:
            yield (*path, key)
