"""The controller that keeps EndpointSlices and Endpoints true to Services and pods.

Sources: k8s.io/endpointslice (reconciler, utils) and pkg/controller/endpoint of Kubernetes 1.33.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any

from hopcheck.lab.apiserver.selectors import matches
from hopcheck.lab.apiserver.store import Store

Obj = dict[str, Any]

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MAX_ENDPOINTS_PER_SLICE = 100

_MANAGER = "kube-controller-manager"
_HEADLESS = "service.kubernetes.io/headless"
_ENDPOINTS_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_ZONE = "topology.kubernetes.io/zone"
# Kubernetes draws the ends of generated names from these letters, so that they spell no word.
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class EndpointController:
    """Watches a store and writes EndpointSlices and Endpoints, before each change returns.

    Services without a selector and ExternalName Services are left alone, as are slices that
    others manage. A slice without endpoints or ports has null there, as the API server answers.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._members: dict[tuple[str, str], set[str]] = {}
        store.subscribe(self._changed)
        for service in store.list("services"):
            self._sync(service)

    def _changed(self, kind: str, obj: Obj) -> None:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace", "")
        match obj["kind"]:
            case "Service" if kind == "DELETED":
                self._clean(namespace, metadata["name"])
            case "Service":
                self._sync_named(namespace, metadata["name"])
            case "Pod":
                self._pod_changed(namespace, obj)
            case "Node":
                for service in self._store.list("services"):
                    self._sync(service)
            case "EndpointSlice":
                labels = metadata.get("labels") or {}
                if labels.get(MANAGED_BY) == SLICE_MANAGER:
                    self._sync_named(namespace, labels.get(SERVICE_NAME, ""))
            case "Endpoints":
                self._sync_named(namespace, metadata["name"])

    def _pod_changed(self, namespace: str, pod: Obj) -> None:
        metadata = pod["metadata"]
        for service in self._store.snapshot("services", namespace)[0]:
            selector = service["spec"].get("selector")
            name = service["metadata"]["name"]
            was = metadata["name"] in self._members.get((namespace, name), ())
            if was or (selector and matches(metadata.get("labels"), selector)):
                self._sync(service)

    def _sync_named(self, namespace: str, name: str) -> None:
        service = self._store.get("services", namespace, name)
        if service is not None:
            self._sync(service)

    def _sync(self, service: Obj) -> None:
        spec, metadata = service["spec"], service["metadata"]
        if not spec.get("selector") or spec.get("type") == "ExternalName":
            return
        namespace = metadata["namespace"]
        pods = [
            pod for pod in self._store.list("pods", namespace, spec["selector"]) if _is_member(pod)
        ]
        self._members[namespace, metadata["name"]] = {p["metadata"]["name"] for p in pods}
        for family in spec.get("ipFamilies") or ["IPv4"]:
            self._sync_slices(service, pods, family)
        self._store.put(_endpoints(service, pods), _MANAGER)

    def _sync_slices(self, service: Obj, pods: list[Obj], family: str) -> None:
        wanted = self._groups(service, pods, family)
        kept = self._own_slices(service["metadata"], family)
        # A slice keeps its name as long as some pods have its ports.
        for ports, endpoints in wanted:
            same = next((s for s in kept if s.get("ports") == ports), None)
            base = same or next(
                (s for s in kept if all(s.get("ports") != p for p, _ in wanted)), None
            )
            if base is not None:
                kept.remove(base)
            self._store.put(_slice(service, base, family, ports, endpoints), _MANAGER)
        for left in kept:
            self._store.delete(
                "endpointslices", left["metadata"]["namespace"], left["metadata"]["name"]
            )

    def _groups(
        self, service: Obj, pods: list[Obj], family: str
    ) -> list[tuple[list[Obj] | None, list[Obj] | None]]:
        """Ports and endpoints of each slice: pods with the same ports share slices."""
        by_ports: dict[str, list[Obj]] = {}
        for pod in pods:
            address = _address(pod, family)
            if address is not None:
                ports = json.dumps(_ports(service, pod))
                by_ports.setdefault(ports, []).append(self._endpoint(service, pod, address))
        groups: list[tuple[list[Obj] | None, list[Obj] | None]] = [
            (json.loads(ports) or None, chunk)
            for ports, endpoints in by_ports.items()
            for chunk in _chunks(endpoints)
        ]
        return groups or [(None, None)]

    def _own_slices(self, service: Obj, family: str) -> list[Obj]:
        labels = {SERVICE_NAME: service["name"], MANAGED_BY: SLICE_MANAGER}
        slices = self._store.list("endpointslices", service["namespace"], labels)
        return [s for s in slices if s["addressType"] == family]

    def _endpoint(self, service: Obj, pod: Obj, address: str) -> Obj:
        spec = pod["spec"]
        serving = _is_ready(pod)
        terminating = bool(pod["metadata"].get("deletionTimestamp"))
        always = bool(service["spec"].get("publishNotReadyAddresses"))
        endpoint: Obj = {
            "addresses": [address],
            "conditions": {
                "ready": always or (serving and not terminating),
                "serving": serving,
                "terminating": terminating,
            },
            "targetRef": _reference(pod),
        }
        if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
            endpoint["hostname"] = spec["hostname"]
        if spec.get("nodeName"):
            endpoint["nodeName"] = spec["nodeName"]
            node = self._store.get("nodes", None, spec["nodeName"]) or {"metadata": {}}
            zone = (node["metadata"].get("labels") or {}).get(_ZONE)
            if zone:
                endpoint["zone"] = zone
        return endpoint

    def _clean(self, namespace: str, name: str) -> None:
        """Remove what belonged to a deleted Service, as the garbage collector does."""
        self._members.pop((namespace, name), None)
        labels = {SERVICE_NAME: name, MANAGED_BY: SLICE_MANAGER}
        for item in self._store.list("endpointslices", namespace, labels):
            self._store.delete("endpointslices", namespace, item["metadata"]["name"])
        if self._store.get("endpoints", namespace, name) is not None:
            self._store.delete("endpoints", namespace, name)


def _is_member(pod: Obj) -> bool:
    """Terminal pods are left out, and those that have no address yet."""
    status = pod.get("status") or {}
    return status.get("phase") not in ("Succeeded", "Failed") and bool(status.get("podIP"))


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _address(pod: Obj, family: str) -> str | None:
    status = pod["status"]
    addresses = [status["podIP"], *(entry["ip"] for entry in status.get("podIPs") or [])]
    version = 6 if family == "IPv6" else 4
    return next((a for a in addresses if ip_address(a).version == version), None)


def _ports(service: Obj, pod: Obj) -> list[Obj]:
    """The ports of a Service on a pod; one whose name no container has is left out."""
    ports: list[Obj] = []
    for port in service["spec"].get("ports") or []:
        number = _target_port(port, pod)
        if number is not None:
            found = {"name": port.get("name", ""), "port": number, "protocol": port["protocol"]}
            if port.get("appProtocol"):
                found["appProtocol"] = port["appProtocol"]
            ports.append(found)
    return ports


def _target_port(port: Obj, pod: Obj) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    sidecars = [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    for container in [*spec.get("containers", []), *sidecars]:
        for candidate in container.get("ports") or []:
            named = candidate.get("name") == target
            if named and candidate.get("protocol", "TCP") == port["protocol"]:
                return int(candidate["containerPort"])
    return None


def _reference(pod: Obj) -> Obj:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def _chunks(items: list[Obj]) -> Iterable[list[Obj]]:
    for start in range(0, len(items), MAX_ENDPOINTS_PER_SLICE):
        yield items[start : start + MAX_ENDPOINTS_PER_SLICE]


def _labels(service: Obj) -> dict[str, str]:
    """What both kinds take over from the Service."""
    labels = dict(service["metadata"].get("labels") or {})
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    return labels


def _slice(
    service: Obj,
    base: Obj | None,
    family: str,
    ports: list[Obj] | None,
    endpoints: list[Obj] | None,
) -> Obj:
    metadata = service["metadata"]
    name = metadata["name"]
    generated = "".join(random.choices(_NAME_LETTERS, k=5))  # noqa: S311  # a name, no secret
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": base["metadata"]["name"] if base else f"{name}-{generated}",
            "generateName": f"{name}-",
            "namespace": metadata["namespace"],
            "labels": _labels(service) | {SERVICE_NAME: name, MANAGED_BY: SLICE_MANAGER},
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": name,
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    }


def _endpoints(service: Obj, pods: Sequence[Obj]) -> Obj:
    """The v1 Endpoints: ready and not ready addresses, grouped by ports."""
    spec, metadata = service["spec"], service["metadata"]
    always = bool(spec.get("publishNotReadyAddresses"))
    subsets: dict[str, Obj] = {}
    for pod in pods:
        address = _address(pod, (spec.get("ipFamilies") or ["IPv4"])[0])
        if address is None or (pod["metadata"].get("deletionTimestamp") and not always):
            continue
        ports = _ports(service, pod)
        if not ports and spec.get("ports"):
            continue
        shown = [{k: v for k, v in p.items() if k != "name" or v} for p in ports]
        subset = subsets.setdefault(json.dumps(ports), {"ports": shown} if shown else {})
        state = "addresses" if always or _is_ready(pod) else "notReadyAddresses"
        entry: Obj = {"ip": address, "targetRef": _reference(pod)}
        if pod["spec"].get("nodeName"):
            entry["nodeName"] = pod["spec"]["nodeName"]
        subset.setdefault(state, []).append(entry)
    labels = _labels(service) | {_ENDPOINTS_MANAGED_BY: "endpoint-controller"}
    obj: Obj = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]}
        | {"labels": labels},
    }
    if subsets:
        obj["subsets"] = list(subsets.values())
    return obj
