"""Changes of Kubernetes objects on the way to a host: field by field, when and by whom (pure)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hopcheck.behaviour.kubernetes.hosts import hosts_of
from hopcheck.behaviour.kubernetes.references import Key
from hopcheck.history.changes.fields import Difference, Path, differences, in_words, owned
from hopcheck.history.changes.way import Side
from hopcheck.model import Change, Collected, KubeEvidence, ObjectRef, Why
from hopcheck.model.kubernetes import Manager, Namespace, Node, Object, Pod, Secret, Service

KINDS = {
    "ingresses": "Ingress",
    "ingressroutes": "IngressRoute",
    "ingressroutetcps": "IngressRouteTCP",
    "httproutes": "HTTPRoute",
    "gateways": "Gateway",
    "services": "Service",
    "ingressclasses": "IngressClass",
    "namespaces": "Namespace",
    "nodes": "Node",
    "middlewares": "Middleware",
    "traefikservices": "TraefikService",
    "tlsoptions": "TLSOption",
    "tlsstores": "TLSStore",
    "serverstransports": "ServersTransport",
    "pods": "Pod",
    "networkpolicies": "NetworkPolicy",
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "statefulsets": "StatefulSet",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
}
_NOT_SPEC = frozenset({"apiVersion", "kind", "metadata", "status", "slim"})
# What controllers write for themselves; a rollout's revision follows from the template.
_NOISE = frozenset(
    {
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
        "endpoints.kubernetes.io/last-change-trigger-time",
        "control-plane.alpha.kubernetes.io/leader",
        "field.cattle.io/publicEndpoints",
    }
)
# The API server dates an object and its creator's entry one after the other.
_CREATING = dt.timedelta(seconds=2)
_SPEC_NOISE = frozenset({"clusterIP", "clusterIPs"})
# Labels that change with every new pod of the same template.
_POD_LABELS = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
    }
)


def reference(key: Key, obj: Object) -> ObjectRef:
    """The object as findings name it."""
    resource, namespace, name = key
    return ObjectRef(obj.kind or KINDS.get(resource, resource), name, namespace or None)


def changes_of_objects(before: Side, after: Side, keys: Iterable[Key]) -> Iterator[Change]:
    """Each field of the objects of `keys` that is not as it was; objects that came or went."""
    for key in keys:
        old, new = before.find(key), after.find(key)
        if old.seen and new.seen:
            yield from _edited(key, old.get(), new.get())
        elif key[0] == "pods" and any(_controlled(found) for found in (old, new)):
            continue  # they come and go; their workload says what is wanted
        elif old.seen and new.why is Why.NOT_FOUND:
            yield Change(reference(key, old.get()), "exists", True, False)
        elif new.seen and old.why is Why.NOT_FOUND:
            yield _created(key, new.get())


def _controlled(found: Collected[Object]) -> bool:
    return found.seen and any(owner.controller for owner in found.get().metadata.owner_references)


def _created(key: Key, obj: Object) -> Change:
    at = obj.metadata.creation_timestamp
    first = min(_writers(obj), key=lambda entry: entry.time or "~", default=Manager())
    by = first.manager or None if _within(at, first.time, _CREATING) else None
    return Change(reference(key, obj), "exists", False, True, at or None, by)


def _within(one: str, other: str, limit: dt.timedelta) -> bool:
    try:
        return abs(dt.datetime.fromisoformat(one) - dt.datetime.fromisoformat(other)) <= limit
    except (ValueError, TypeError):
        return False


def _edited(key: Key, old: Object, new: Object) -> Iterator[Change]:
    ref = reference(key, new)
    if old.slim or new.slim:
        # One of them was kept in part, since it no longer (or not yet) names the host.
        found = list(differences(hosts_of(old), hosts_of(new), ("hosts",)))
    elif isinstance(old, Secret) and isinstance(new, Secret):
        found = list(_of_secret(old, new))
    else:
        found = list(differences(_content(old), _content(new)))
    for one in found:
        at, by = author(old, new, one.path) if one.after is not None else (None, None)
        yield Change(ref, in_words(one.path), one.before, one.after, at, by)


def _of_secret(old: Secret, new: Secret) -> Iterator[Difference]:
    """A Secret's contents are not read: another version is all that can be told, and its keys."""
    had, has = old.metadata.resource_version, new.metadata.resource_version
    if had != has:
        yield Difference(("metadata", "resourceVersion"), had or None, has or None)
    if old.entries is not None and new.entries is not None:
        yield from differences(old.entries, new.entries, ("data",))


def _content(obj: Object) -> dict[str, Any]:
    """What somebody decided, of an object, as plain JSON: no status, no book-keeping."""
    meta = obj.metadata
    shown = {
        "labels": meta.labels,
        "annotations": {k: v for k, v in meta.annotations.items() if k not in _NOISE},
        "deletionTimestamp": meta.deletion_timestamp,
    }
    if isinstance(obj, Namespace):
        return {"metadata": shown}
    plain: dict[str, Any] = msgspec.to_builtins(obj)
    body = {key: value for key, value in plain.items() if key not in _NOT_SPEC}
    if isinstance(obj, Node):
        spec = plain.get("spec", {})
        return {
            "spec": {key: spec.get(key) for key in ("unschedulable", "taints")},
            "status": {"Ready": _ready(obj)},
        }
    if isinstance(obj, Service):
        # A headless Service is one by its clusterIP.
        headless = {"clusterIP": "None"} if obj.spec.cluster_ip == "None" else {}
        spec = body.get("spec", {})
        body["spec"] = {k: v for k, v in spec.items() if k not in _SPEC_NOISE} | headless
    if isinstance(obj, Pod):
        shown["labels"] = {k: v for k, v in meta.labels.items() if k not in _POD_LABELS}
        if meta.owner_references:
            body.pop("spec", None)  # the workload's template has it
    return body | {"metadata": shown}


def _ready(node: Node) -> str | None:
    found = (condition.status for condition in node.status.conditions if condition.type == "Ready")
    return next(found, None)


def author(old: Object, new: Object, path: Path) -> tuple[str | None, str | None]:
    """When and by whom the field was written, as managedFields tell it; (None, None) otherwise.

    The API server dates a manager's entry when that manager changes any of its fields: one that
    is dated as it was before did not change this one. What was written by the scale subresource
    (kubectl scale, an autoscaler) it does not date: there the owner is told without a time, since
    whoever changes a field takes it from its owner.
    """
    known = {(entry.manager, entry.time) for entry in _writers(old)}
    owners = [
        entry
        for entry in _writers(new)
        if (not entry.time or (entry.manager, entry.time) not in known)
        and _owns(entry.fields, path)
    ]
    if not owners:
        return None, None
    last = max(owners, key=lambda entry: entry.time)
    return last.time or None, last.manager or None


def _owns(fields: dict[str, Any] | None, path: Path) -> bool:
    if not fields:
        return False
    if path == ("metadata", "resourceVersion"):
        return "f:data" in fields
    return owned(fields, path)


def _writers(obj: Object) -> list[Manager]:
    return [entry for entry in obj.metadata.managed_fields if entry.subresource != "status"]


def same_cluster(before: KubeEvidence, after: KubeEvidence) -> bool:
    """Whether both looked at one cluster: by the uids of its namespaces, else by its address."""
    spaces = [
        {item.name: item.metadata.uid for item in kube.of(Namespace).or_else(()) or ()}
        for kube in (before, after)
    ]
    for name in ("kube-system", "default"):
        uids = [found.get(name) for found in spaces]
        if all(uids):
            return uids[0] == uids[1]
    urls = [kube.server.get().url if kube.server.seen else "" for kube in (before, after)]
    return not all(urls) or urls[0] == urls[1]
