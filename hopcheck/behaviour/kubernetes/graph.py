"""The objects of a cluster as one graph: what is on the way of a host is a walk over it (pure).

Forwards it follows what objects name (`hopcheck.behaviour.kubernetes.references`); backwards it
finds by labels what stands behind a Service: slices, pods, workloads. What else to read, what a
host of many is shown, what changed and which reference leads nowhere are all asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from hopcheck.behaviour.kubernetes.hosts import ROUTES, RouteIndex
from hopcheck.behaviour.kubernetes.references import Key, Reference, joined_name, references
from hopcheck.model.evidence import KubeEvidence
from hopcheck.model.kubernetes import (
    EndpointSlice,
    Meta,
    Object,
    Pod,
    Service,
    Workload,
)

SERVICE_NAME = "kubernetes.io/service-name"
WORKLOADS = {
    "Deployment": "deployments",
    "DaemonSet": "daemonsets",
    "StatefulSet": "statefulsets",
    "ReplicaSet": "replicasets",
}
_JOINED = ("middlewares", "tlsoptions", "serverstransports")


def selects(service: Service, pod: Pod) -> bool:
    """Whether the Service's selector picks the pod (an empty selector picks none)."""
    selector = service.spec.selector
    if not selector or service.namespace != pod.namespace:
        return False
    labels = pod.metadata.labels
    return all(labels.get(key) == value for key, value in selector.items())


def workload_of(pod: Pod) -> tuple[str, str]:
    """(kind, name) of what made the pod: a ReplicaSet's Deployment rather than the ReplicaSet.

    The Deployment's name is the ReplicaSet's without the pod-template-hash it ends with.
    """
    owner = next((one for one in pod.metadata.owner_references if one.controller), None)
    if owner is None:
        return "Pod", pod.name
    suffix = pod.metadata.labels.get("pod-template-hash")
    if owner.kind == "ReplicaSet" and suffix and owner.name.endswith(f"-{suffix}"):
        return "Deployment", owner.name[: -len(suffix) - 1]
    return owner.kind, owner.name


class Labelled:
    """Objects by namespace and by each of their labels (a workload's: its pods'), for selectors."""

    def __init__(self, objects: Iterable[Any]) -> None:
        self.spaces: dict[str, list[Any]] = {}
        self._by_label: dict[tuple[str, str, str], list[Any]] = {}
        for obj in objects:
            self.spaces.setdefault(obj.namespace, []).append(obj)
            for key, value in self._labels(obj).items():
                self._by_label.setdefault((obj.namespace, key, value), []).append(obj)

    def _labels(self, obj: Any) -> Mapping[str, str]:
        meta: Meta = obj.spec.template.metadata if isinstance(obj, Workload) else obj.metadata
        return meta.labels

    def selected(self, namespace: str, selector: Mapping[str, str]) -> list[Any]:
        """What the selector picks; nothing for an empty one."""
        if not selector:
            return []
        sets = [self._by_label.get((namespace, k, v), []) for k, v in selector.items()]
        return [
            obj
            for obj in min(sets, key=len)
            if all(self._labels(obj).get(key) == value for key, value in selector.items())
        ]


class Graph:
    """The objects of some lists by resource (plural); each index is made when it is asked for."""

    def __init__(self, objects: Mapping[str, Iterable[Any]]) -> None:
        self._lists: dict[str, dict[tuple[str, str], Any]] = {
            resource: {obj.key: obj for obj in listed} for resource, listed in objects.items()
        }
        self._indexed: dict[str, RouteIndex[Any]] = {}
        self._labelled: dict[str, Labelled] = {}

    @classmethod
    def of(cls, kube: KubeEvidence) -> Graph:
        """The graph of all that was listed, or read alone."""
        objects: dict[str, list[Any]] = {}
        for held in (kube.lists, kube.objects):
            for key, found in held.items():
                if found.seen and found.value:
                    many = found.value if isinstance(found.value, tuple) else (found.value,)
                    objects.setdefault(key.partition("@")[0], []).extend(many)
        return cls(objects)

    def all(self, resource: str) -> list[Any]:
        """Every object of a resource, each once."""
        return list(self._lists.get(resource, {}).values())

    def get(self, resource: str, namespace: str, name: str) -> Any | None:
        """One object."""
        return self._lists.get(resource, {}).get((namespace, name))

    @cached_property
    def _joined(self) -> dict[tuple[str, str], Object]:
        return {
            (resource, joined_name(*obj.key)): obj
            for resource in _JOINED
            for obj in self._lists.get(resource, {}).values()
        }

    def target(self, reference: Reference) -> Any | None:
        """The object that is named, None where there is none here."""
        if reference.joined:
            return self._joined.get((reference.resource, reference.name))
        return self.get(*reference.key)

    # --- the way of a host

    def routes(self, host: str) -> list[Any]:
        """Routes that may serve `host`, by kind; of those that are kept in part none."""
        found = []
        for resource in ROUTES:
            if resource not in self._indexed:
                whole = [obj for obj in self.all(resource) if not obj.slim]
                self._indexed[resource] = RouteIndex(whole)
            found += self._indexed[resource].of(host)
        return found

    def walk(self, starts: Iterable[Object]) -> dict[Key, Any | None]:
        """What `starts` name, and what that names in turn, in the order met, each once.

        None where the object is not among these (then by the namespace "" and "ns-name" where its
        namespace cannot be told).
        """
        found: dict[Key, Any | None] = {}
        waiting = list(starts)
        while waiting:
            for reference in references(waiting.pop(0)):
                obj = self.target(reference)
                key = reference.key if obj is None else (reference.resource, *obj.key)
                if key not in found:
                    found[key] = obj
                    if obj is not None:
                        waiting.append(obj)
        return found

    def services(self, starts: Iterable[Object]) -> list[tuple[str, str]]:
        """The Services behind `starts` as (namespace, name), whether they exist or not."""
        return [(space, name) for kind, space, name in self.walk(starts) if kind == "services"]

    # --- behind a Service

    def labelled(self, resource: str) -> Labelled:
        """The objects of a resource by their labels."""
        if resource not in self._labelled:
            self._labelled[resource] = Labelled(self.all(resource))
        return self._labelled[resource]

    @cached_property
    def _slices(self) -> dict[tuple[str, str], list[EndpointSlice]]:
        found: dict[tuple[str, str], list[EndpointSlice]] = {}
        for one in self.all("endpointslices"):
            name = one.metadata.labels.get(SERVICE_NAME, "")
            found.setdefault((one.namespace, name), []).append(one)
        return found

    def slices_of(self, service: Service) -> list[EndpointSlice]:
        """The EndpointSlices of a Service."""
        return self._slices.get(service.key, [])

    def pods_of(self, service: Service) -> list[Pod]:
        """Pods that the Service selects, and those that its slices name."""
        selected = self.labelled("pods").selected(service.namespace, service.spec.selector)
        found = {pod.key: pod for pod in selected}
        for one in self.slices_of(service):
            for endpoint in one.endpoints:
                if endpoint.target_ref is not None:
                    pod = self.get("pods", service.namespace, endpoint.target_ref.name)
                    if pod is not None:
                        found[pod.key] = pod
        return list(found.values())

    def workloads_of(self, service: Service) -> list[Workload]:
        """Workloads whose pods the Service selects, whether these exist or not."""
        return [
            one
            for resource in WORKLOADS.values()
            for one in self.labelled(resource).selected(service.namespace, service.spec.selector)
        ]
