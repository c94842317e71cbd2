"""Which Kubernetes objects are on the way to a host, and how they changed (pure).

Field by field, when and by whom.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import msgspec

from hopcheck.behaviour.kubernetes.graph import WORKLOADS, Graph, workload_of
from hopcheck.behaviour.kubernetes.hosts import hosts_of
from hopcheck.behaviour.kubernetes.references import Key
from hopcheck.history.changes.fields import Difference, Path, differences, in_words, owned
from hopcheck.model import Change, Collected, KubeEvidence, ObjectRef, Snapshot, Why
from hopcheck.model.kubernetes import (
    Manager,
    Namespace,
    NetworkPolicy,
    Node,
    Object,
    Pod,
    Secret,
    Service,
)
from hopcheck.scene.scene import Scene

# What routes name is compared in this order, whichever names it first.
_REFERRED = ("middlewares", "traefikservices", "tlsoptions", "serverstransports")
_EVERYWHERE = ("ingressclasses", "tlsstores")
_COMPARED = ("deployments", "daemonsets", "statefulsets")
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


def key_of(obj: Object) -> Key:
    """What the object is found by."""
    return obj.plural, *obj.key


class Side:
    """One of the two snapshots that are compared."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.kube: KubeEvidence = snapshot.kube
        self.scene = Scene(snapshot)
        self.graph = Graph.of(snapshot.kube)

    def find(self, key: Key) -> Any | None:
        """The object, where it was seen."""
        single = self._single(key)
        return self.graph.get(*key) if single is None else single.value

    def lacks(self, key: Key) -> bool:
        """Whether there is no such object: it would have been seen."""
        single = self._single(key)
        if single is not None:
            return single.why is Why.NOT_FOUND
        resource, namespace, _ = key
        if resource in ("secrets", "configmaps") or self.graph.get(*key) is not None:
            return False
        name = f"{resource}@{namespace}"
        name = name if namespace and name in self.kube.lists else resource
        listed = self.kube.lists.get(name)
        if listed is None or not listed.seen or listed.truncated:
            return False
        return len(listed.get()) >= self.kube.totals.get(name, 0)

    def _single(self, key: Key) -> Collected[Any] | None:
        """What was read alone."""
        resource, namespace, name = key
        return self.kube.objects.get(f"{resource}@{namespace}/{name}")

    @cached_property
    def routes(self) -> list[Any]:
        """Those that may serve the host."""
        return self.graph.routes(self.snapshot.target.host)

    @cached_property
    def named(self) -> dict[Key, Any | None]:
        """What the routes name, and what that names in turn."""
        return self.graph.walk(self.routes)

    @cached_property
    def services(self) -> list[tuple[str, str]]:
        """Traefik's Service and the routes' backends, whether they exist or not."""
        traefik = self.scene.traefik_service
        own = [traefik.key] if traefik is not None else []
        behind = ((space, name) for kind, space, name in self.named if kind == "services")
        return list(dict.fromkeys([*own, *behind]))


def keys_on_the_way(sides: Iterable[Side]) -> list[Key]:
    """The objects on the way in any of the snapshots, in the order in which a request meets them.

    What is on the way in one is compared in all: an edit may be what took it off the way.
    """
    return list(dict.fromkeys(_met(list(sides))))


def _met(both: Sequence[Side]) -> Iterator[Key]:
    services = list(dict.fromkeys(name for side in both for name in side.services))
    spaces = list(dict.fromkeys(space for space, _ in services))
    yield from (key_of(route) for side in both for route in side.routes)
    for side in both:
        named = [key for key, obj in side.named.items() if obj is not None]
        yield from (key for kind in _REFERRED for key in named if key[0] == kind)
    for kind in _EVERYWHERE:
        yield from (key_of(obj) for side in both for obj in side.graph.all(kind))
    yield from (("services", *name) for name in services)
    for side in both:
        yield from _workloads(side, services)
    for side in both:
        yield from _singles(side, "secrets")
        yield from _singles(side, "configmaps")
        for space in spaces:
            yield from map(key_of, side.kube.of(NetworkPolicy, space).or_else(()) or ())
    yield from (("namespaces", "", space) for space in spaces)
    for side in both:
        yield from _nodes(side)


def _workloads(side: Side, services: Iterable[tuple[str, str]]) -> Iterator[Key]:
    """Traefik's workload, those whose pods the Services select, and pods that have none."""
    instance = side.scene.instance
    if instance is not None and WORKLOADS.get(instance.kind) in _COMPARED:
        yield WORKLOADS[instance.kind], instance.namespace, instance.name
    for namespace, name in services:
        service = side.graph.get("services", namespace, name)
        if service is None:
            continue
        for one in side.graph.workloads_of(service):
            if one.plural in _COMPARED:
                yield key_of(one)
        for pod in side.graph.labelled("pods").selected(namespace, service.spec.selector):
            kind, owner = workload_of(pod)
            if WORKLOADS.get(kind) in _COMPARED:
                yield WORKLOADS[kind], namespace, owner
            yield key_of(pod)


def _singles(side: Side, resource: str) -> Iterator[Key]:
    for name in side.kube.objects:
        found, _, rest = name.partition("@")
        namespace, _, single = rest.partition("/")
        if found == resource:
            yield resource, namespace, single


def _nodes(side: Side) -> Iterator[Key]:
    """Nodes that are targets or that run Traefik."""
    pods = side.scene.instance.pods if side.scene.instance else ()
    named = {pod.spec.node_name for pod in pods}
    targets = {
        described.target.id
        for found in side.snapshot.aws.target_health.values()
        for described in found.or_else(()) or ()
    }
    for address, node in side.scene.node_ids.items():
        if address in targets or node.name in named:
            yield key_of(node)


# --- their changes --------------------------------------------------------------------------


def reference(obj: Object) -> ObjectRef:
    """The object as findings name it."""
    return ObjectRef(obj.kind or type(obj).__name__, obj.name, obj.namespace or None)


def changes_of_objects(before: Side, after: Side, keys: Iterable[Key]) -> Iterator[Change]:
    """Each field of the objects of `keys` that is not as it was; objects that came or went."""
    for key in keys:
        old, new = before.find(key), after.find(key)
        if old is not None and new is not None:
            yield from _edited(old, new)
        elif any(isinstance(one, Pod) and _controlled(one) for one in (old, new)):
            continue  # they come and go; their workload says what is wanted
        elif old is not None and after.lacks(key):
            yield Change(reference(old), "exists", True, False)
        elif new is not None and before.lacks(key):
            yield _created(new)


def _controlled(pod: Pod) -> bool:
    return any(owner.controller for owner in pod.metadata.owner_references)


def _created(obj: Object) -> Change:
    at = obj.metadata.creation_timestamp
    first = min(_writers(obj), key=lambda entry: entry.time or "~", default=Manager())
    by = first.manager or None if _within(at, first.time, _CREATING) else None
    return Change(reference(obj), "exists", False, True, at or None, by)


def _within(one: str, other: str, limit: dt.timedelta) -> bool:
    try:
        return abs(dt.datetime.fromisoformat(one) - dt.datetime.fromisoformat(other)) <= limit
    except (ValueError, TypeError):
        return False


def _edited(old: Object, new: Object) -> Iterator[Change]:
    ref = reference(new)
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
