"""Which Kubernetes objects are on the way to a host, in one snapshot (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from hopcheck.behaviour.kubernetes.graph import WORKLOADS, Graph, workload_of
from hopcheck.behaviour.kubernetes.references import Key
from hopcheck.model import Collected, KubeEvidence, Snapshot, Why
from hopcheck.model.kubernetes import Object
from hopcheck.scene.scene import Scene

# What routes name is compared in this order, whichever names it first.
_REFERRED = ("middlewares", "traefikservices", "tlsoptions", "serverstransports")
_EVERYWHERE = ("ingressclasses", "tlsstores")
_COMPARED = ("deployments", "daemonsets", "statefulsets")


def key_of(resource: str, obj: Object) -> Key:
    """The key of an object of `resource`."""
    return resource, *obj.key


class Side:
    """One of the two snapshots that are compared."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.kube: KubeEvidence = snapshot.kube
        self.scene = Scene(snapshot)
        self.graph = Graph.of(snapshot.kube)
        self._lists: dict[tuple[str, str], tuple[Collected[tuple[Any, ...]], dict[str, Any]]] = {}

    def find(self, key: Key) -> Collected[Any]:
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
    ) -> tuple[Collected[tuple[Any, ...]], dict[str, Any]]:
        """The list that would hold an object, and its objects by name; looked up once."""
        key = (resource, namespace)
        if key not in self._lists:
            listed = self.kube.list(resource, namespace or None)
            items = listed.or_else(()) or ()
            self._lists[key] = listed, {item.name: item for item in items}
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

    def listed(self, resource: str, namespace: str | None = None) -> tuple[Any, ...]:
        """The objects of a list, none where it was not read."""
        return self.kube.list(resource, namespace).or_else(()) or ()

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
    both = list(sides)
    services = list(dict.fromkeys(name for side in both for name in side.services))
    spaces = list(dict.fromkeys(space for space, _ in services))
    keys: dict[Key, None] = {}
    for side in both:
        keys.update((key_of(route.plural, route), None) for route in side.routes)
    for side in both:
        named = [key for key, obj in side.named.items() if obj is not None]
        keys.update((key, None) for kind in _REFERRED for key in named if key[0] == kind)
    for kind in _EVERYWHERE:
        keys.update((key_of(kind, obj), None) for side in both for obj in side.graph.all(kind))
    keys.update((("services", *name), None) for name in services)
    for side in both:
        keys.update(dict.fromkeys(_workloads(side, services)))
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
                yield key_of(one.plural, one)
        for pod in side.graph.labelled("pods").selected(namespace, service.spec.selector):
            kind, owner = workload_of(pod)
            if WORKLOADS.get(kind) in _COMPARED:
                yield WORKLOADS[kind], namespace, owner
            yield key_of("pods", pod)


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
            yield key_of("nodes", node)
