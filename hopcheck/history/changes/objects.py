"""Changes of Kubernetes objects on the way to a host: field by field, when and by whom (pure)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

import msgspec

from hopcheck.behaviour.kubernetes.hosts import hosts_of
from hopcheck.behaviour.kubernetes.references import Key
from hopcheck.history.changes.fields import Difference, Path, differences, in_words, owned
from hopcheck.history.changes.way import Side
from hopcheck.model import Change, Collected, KubeEvidence, Obj, ObjectRef, Why
from hopcheck.model.kubernetes import Manager

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


def reference(key: Key, obj: Obj | None = None) -> ObjectRef:
    """The object as findings name it."""
    resource, namespace, name = key
    kind = str((obj or {}).get("kind") or KINDS.get(resource, resource))
    return ObjectRef(kind, name, namespace or None)


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


def _controlled(found: Collected[Obj]) -> bool:
    owners = _meta(found.get()).get("ownerReferences") if found.seen else ()
    return any(owner.get("controller") for owner in owners or ())


def _created(key: Key, obj: Obj) -> Change:
    at = _meta(obj).get("creationTimestamp")
    first: Manager = min(_writers(obj), key=lambda entry: str(entry.get("time")), default=Manager())
    by = first.get("manager") if _within(at, first.get("time"), _CREATING) else None
    return Change(reference(key, obj), "exists", False, True, at, by)


def _within(one: object, other: object, limit: dt.timedelta) -> bool:
    try:
        return (
            abs(dt.datetime.fromisoformat(str(one)) - dt.datetime.fromisoformat(str(other)))
            <= limit
        )
    except (ValueError, TypeError):
        return False


def _edited(key: Key, old: Obj, new: Obj) -> Iterator[Change]:
    ref = reference(key, new)
    if old.get("slim") or new.get("slim"):
        # One of them was kept in part, since it no longer (or not yet) names the host.
        found = list(differences(_hosts(old), _hosts(new), ("hosts",)))
    elif key[0] == "secrets":
        found = list(_of_secret(old, new))
    else:
        found = list(differences(_content(key[0], old), _content(key[0], new)))
    for one in found:
        at, by = author(old, new, one.path) if one.after is not None else (None, None)
        yield Change(ref, in_words(one.path), one.before, one.after, at, by)


def _hosts(route: Obj) -> list[str]:
    return hosts_of(route)


def _of_secret(old: Obj, new: Obj) -> Iterator[Difference]:
    """A Secret's contents are not read: another version is all that can be told, and its keys."""
    had, has = (_meta(obj).get("resourceVersion") for obj in (old, new))
    if had != has:
        yield Difference(("metadata", "resourceVersion"), had, has)
    if "keys" in old and "keys" in new:
        yield from differences(old["keys"], new["keys"], ("data",))


def _content(resource: str, obj: Obj) -> Obj:
    """What somebody decided, of an object: no status, no book-keeping."""
    plain: Obj = msgspec.to_builtins(obj)
    body: Obj = {key: value for key, value in plain.items() if key not in _NOT_SPEC}
    meta = _meta(plain)
    body["metadata"] = {
        "labels": dict(meta.get("labels") or {}),
        "annotations": {
            key: value
            for key, value in (meta.get("annotations") or {}).items()
            if key not in _NOISE
        },
        "deletionTimestamp": meta.get("deletionTimestamp"),
    }
    if resource == "services":
        spec = _spec(plain)
        # A headless Service is one by its clusterIP.
        headless = {"clusterIP": "None"} if spec.get("clusterIP") == "None" else {}
        body["spec"] = {k: v for k, v in spec.items() if k not in _SPEC_NOISE} | headless
    if resource == "nodes":
        return {
            "spec": {key: _spec(plain).get(key) for key in ("unschedulable", "taints")},
            "status": {"Ready": _ready(obj)},
        }
    if resource == "namespaces":
        return {"metadata": body["metadata"]}
    if resource == "pods":
        labels = {k: v for k, v in body["metadata"]["labels"].items() if k not in _POD_LABELS}
        body["metadata"] = body["metadata"] | {"labels": labels}
        if _meta(obj).get("ownerReferences"):
            body.pop("spec", None)  # the workload's template has it
    return body


def _ready(node: Obj) -> str | None:
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            return str(condition.get("status"))
    return None


def author(old: Obj, new: Obj, path: Path) -> tuple[str | None, str | None]:
    """When and by whom the field was written, as managedFields tell it; (None, None) otherwise.

    The API server dates a manager's entry when that manager changes any of its fields: one that
    is dated as it was before did not change this one. What was written by the scale subresource
    (kubectl scale, an autoscaler) it does not date: there the owner is told without a time, since
    whoever changes a field takes it from its owner.
    """
    known = {(entry.get("manager"), entry.get("time")) for entry in _writers(old)}
    owners = [
        entry
        for entry in _writers(new)
        if (not entry.get("time") or (entry.get("manager"), entry["time"]) not in known)
        and _owns(entry.get("fields"), path)
    ]
    if not owners:
        return None, None
    last = max(owners, key=lambda entry: str(entry.get("time") or ""))
    return last.get("time"), last.get("manager")


def _owns(fields: Obj | None, path: Path) -> bool:
    if not fields:
        return False
    if path == ("metadata", "resourceVersion"):
        return "f:data" in fields
    return owned(fields, path)


def _writers(obj: Obj) -> list[Obj]:
    entries = _meta(obj).get("managedFields") or ()
    return [entry for entry in entries if entry.get("subresource") != "status"]


def _meta(obj: Obj) -> Obj:
    return obj.get("metadata") or {}


def _spec(obj: Obj) -> Obj:
    return obj.get("spec") or {}


def same_cluster(before: KubeEvidence, after: KubeEvidence) -> bool:
    """Whether both looked at one cluster: by the uids of its namespaces, else by its address."""
    spaces = [
        {_meta(item).get("name"): _meta(item).get("uid") for item in _listed(kube, "namespaces")}
        for kube in (before, after)
    ]
    for name in ("kube-system", "default"):
        uids = [found.get(name) for found in spaces]
        if all(uids):
            return uids[0] == uids[1]
    urls = [(kube.server.or_else({}) or {}).get("url") for kube in (before, after)]
    return None in urls or urls[0] == urls[1]


def _listed(kube: KubeEvidence, resource: str) -> tuple[Obj, ...]:
    found: Collected[tuple[Obj, ...]] = kube.list(resource)
    return found.or_else(()) or ()
