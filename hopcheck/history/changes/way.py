"""Which Kubernetes objects are on the way to a host, in one snapshot (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import msgspec

from hopcheck.behaviour.kubernetes.graph import backends_of, relevant, workload_of
from hopcheck.model import Collected, KubeEvidence, Obj, Snapshot, Why
from hopcheck.scene.scene import Scene, all_pods

Key = tuple[str, str, str]  # resource (plural), namespace or "", name

ROUTES = ("ingresses", "ingressroutes", "ingressroutetcps", "httproutes")
_REFERRED = ("middlewares", "traefikservices", "tlsoptions", "serverstransports")
_WORKLOADS = {"Deployment": "deployments", "DaemonSet": "daemonsets", "StatefulSet": "statefulsets"}
_STORE = "tlsstores"


def meta(obj: Obj) -> Obj:
    """An object's metadata."""
    return obj.get("metadata") or {}


def key_of(resource: str, obj: Obj) -> Key:
    """The key of an object of `resource`."""
    return resource, str(meta(obj).get("namespace") or ""), str(meta(obj).get("name") or "")


class Side:
    """One of the two snapshots that are compared."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.kube: KubeEvidence = snapshot.kube
        self.scene = Scene(snapshot)
        self._lists: dict[tuple[str, str], tuple[Collected[tuple[Obj, ...]], dict[str, Obj]]] = {}

    def find(self, key: Key) -> Collected[Obj]:
        """The object, or why there is none; NOT_FOUND only where it would have been seen."""
        resource, namespace, name = key
        single = self.kube.objects.get(f"{resource}@{namespace}/{name}")
        if single is not None:
            return single
        listed, by_name = self._named(resource, namespace)
        if not listed.seen:  # a kind that is not served is no object that was deleted
            return Collected(why=Why.NOT_SELECTED, source=listed.source)
        if name in by_name:
            return Collected(value=by_name[name], source=listed.source)
        whole = self._all_of(resource, namespace)
        return Collected(why=Why.NOT_FOUND if whole else Why.NOT_SELECTED, source=listed.source)

    def _named(
        self, resource: str, namespace: str
    ) -> tuple[Collected[tuple[Obj, ...]], dict[str, Obj]]:
        """The list that would hold an object, and its objects by name; looked up once."""
        key = (resource, namespace)
        if key not in self._lists:
            listed = self.kube.list(resource, namespace or None)
            items = listed.or_else(()) or ()
            self._lists[key] = listed, {str(meta(item).get("name")): item for item in items}
        return self._lists[key]

    def _all_of(self, resource: str, namespace: str) -> bool:
        """Whether the list that would hold the object was read, and kept, as a whole."""
        if resource in ("secrets", "configmaps"):
            return False
        name = f"{resource}@{namespace}"
        name = name if namespace and name in self.kube.lists else resource
        listed = self.kube.lists.get(name)
        if listed is None or not listed.seen or listed.truncated:
            return False
        return len(listed.get()) >= self.kube.totals.get(name, 0)

    def listed(self, resource: str, namespace: str | None = None) -> tuple[Obj, ...]:
        """The objects of a list, none where it was not read."""
        return self.kube.list(resource, namespace).or_else(()) or ()

    @cached_property
    def routes(self) -> list[tuple[str, Obj]]:
        """Those that may serve the host, with their resource."""
        found: list[tuple[str, Obj]] = []
        for resource in ROUTES:
            whole = [item for item in self.listed(resource) if not item.get("slim")]
            matched = relevant(whole, self.snapshot.target.host).matched
            found += [(resource, whole[index]) for index in matched]
        return found

    @cached_property
    def services(self) -> list[tuple[str, str]]:
        """Traefik's Service and the routes' backends, whether they exist or not."""
        known = {key_of("", item)[1:]: item for item in self.listed("traefikservices")}
        found: dict[tuple[str, str], None] = {}
        traefik = self.scene.traefik_service
        if traefik is not None:
            found[key_of("", traefik)[1:]] = None
        for _, route in self.routes:
            found.update(((space, name), None) for space, name, _ in backends_of(route, known))
        return list(found)


def keys_on_the_way(sides: Iterable[Side]) -> list[Key]:
    """The objects on the way in any of the snapshots, in the order in which a request meets them.

    What is on the way in one is compared in all: an edit may be what took it off the way.
    """
    both = list(sides)
    services = list(dict.fromkeys(name for side in both for name in side.services))
    keys: dict[Key, None] = {}
    for side in both:
        keys.update((key_of(resource, route), None) for resource, route in side.routes)
    for side in both:
        keys.update(dict.fromkeys(_referred(side)))
    for side in both:
        keys.update(
            (key_of("ingressclasses", item), None) for item in side.listed("ingressclasses")
        )
        keys.update((key_of(_STORE, item), None) for item in side.listed(_STORE))
    keys.update((("services", *name), None) for name in services)
    for side in both:
        keys.update(dict.fromkeys(_workloads(side, services)))
    spaces = list(dict.fromkeys(space for space, _ in services))
    for side in both:
        for resource in ("secrets", "configmaps"):
            keys.update(dict.fromkeys(_singles(side, resource)))
        for space in spaces:
            policies = side.listed("networkpolicies", space)
            keys.update((key_of("networkpolicies", item), None) for item in policies)
    keys.update((("namespaces", "", space), None) for space in spaces)
    for side in both:
        keys.update(dict.fromkeys(_nodes(side)))
    return list(keys)


def _referred(side: Side) -> Iterator[Key]:
    """Middlewares and the like that the routes name, and those that these name in turn."""
    candidates = [
        (key_of(resource, item), item) for resource in _REFERRED for item in side.listed(resource)
    ]
    names = set(_texts([route["spec"] for _, route in side.routes]))
    for _, route in side.routes:
        for value in (meta(route).get("annotations") or {}).values():
            names |= {part.strip().partition("@")[0] for part in str(value).split(",")}
    pending, grown = candidates, True
    while grown:
        grown = False
        for key, item in list(pending):
            _, namespace, name = key
            if name in names or f"{namespace}-{name}" in names:
                names |= set(_texts(item.get("spec")))
                pending = [other for other in pending if other[0] != key]
                grown = True
                yield key


def _texts(value: Any) -> Iterator[str]:
    value = msgspec.to_builtins(value)
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _workloads(side: Side, services: Iterable[tuple[str, str]]) -> Iterator[Key]:
    """Traefik's workload, those whose pods the Services select, and pods that have none."""
    instance = side.scene.instance
    if instance is not None and instance.kind in _WORKLOADS:
        yield _WORKLOADS[instance.kind], instance.namespace, instance.name
    for namespace, name in services:
        service = side.find(("services", namespace, name))
        selector = ((service.or_else({}) or {}).get("spec") or {}).get("selector") or {}
        for resource in _WORKLOADS.values():
            for item in side.listed(resource, namespace):
                template = meta((item.get("spec") or {}).get("template") or {})
                if _selects(selector, template):
                    yield key_of(resource, item)
        for pod in all_pods(side.kube):
            if meta(pod).get("namespace") == namespace and _selects(selector, meta(pod)):
                kind, owner = workload_of(pod)
                if kind in _WORKLOADS:
                    yield _WORKLOADS[kind], namespace, owner
                yield key_of("pods", pod)


def _selects(selector: Obj, metadata: Obj) -> bool:
    labels = metadata.get("labels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _singles(side: Side, resource: str) -> Iterator[Key]:
    for name in side.kube.objects:
        found, _, rest = name.partition("@")
        namespace, _, single = rest.partition("/")
        if found == resource:
            yield resource, namespace, single


def _nodes(side: Side) -> Iterator[Key]:
    """Nodes that are targets or that run Traefik."""
    named = {
        str((pod.get("spec") or {}).get("nodeName"))
        for pod in (side.scene.instance.pods if side.scene.instance else ())
    }
    targets = {
        str((described.get("Target") or {}).get("Id"))
        for found in side.snapshot.aws.target_health.values()
        for described in found.or_else(()) or ()
    }
    for address, node in side.scene.node_ids.items():
        if address in targets or meta(node).get("name") in named:
            yield key_of("nodes", node)
