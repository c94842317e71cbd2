"""The Tables that `kubectl get` prints: columns and cells for each kind.

Source: pkg/printers/internalversion/printers.go of Kubernetes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

Obj = dict[str, Any]
Cells = list[Any]

_NONE = "<none>"


def table(plural: str, objects: Iterable[Obj], metadata: Obj, *, whole: bool = False) -> Obj:
    """A `meta.k8s.io/v1 Table` of the objects; its rows carry their metadata or them `whole`."""
    narrow, wide, cells = _TABLES.get(plural, ("Created At", "", _created))
    # Events alone are shown without their names.
    named = plural != "events"
    columns = [_column("Name", 0)] if named else []
    columns += [_column(name, 0) for name in narrow.split(",") if name]
    columns += [_column(name, 1) for name in wide.split(",") if name]

    def row(obj: Obj) -> Obj:
        name = [obj["metadata"]["name"]] if named else []
        return {"cells": name + cells(obj), "object": obj if whole else partial(obj)}

    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": [row(obj) for obj in objects],
    }


def partial(obj: Obj) -> Obj:
    """The object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _column(name: str, priority: int) -> Obj:
    return {
        "name": name,
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": name,
        "priority": priority,
    }


def age(moment: str | None) -> str:
    """How long ago a time was, in kubectl's words."""
    if not moment:
        return "<unknown>"
    seconds = max(0, int(time.time() - datetime.fromisoformat(moment).timestamp()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def _age(obj: Obj) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _created(obj: Obj) -> Cells:
    return [obj["metadata"].get("creationTimestamp", "")]


def _pairs(labels: dict[str, str] | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or _NONE


def _joined(values: Iterable[Any]) -> str:
    return ",".join(str(value) for value in values) or _NONE


def pod_status(pod: Obj) -> str:
    """The STATUS column: the phase, or the reason a container gives."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason:
            return str(reason)
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _pod(pod: Obj) -> Cells:
    spec, status = pod["spec"], pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    ready = sum(bool(c.get("ready")) for c in containers)
    restarts = sum(c.get("restartCount", 0) for c in containers)
    return [
        f"{ready}/{len(spec.get('containers', []))}",
        pod_status(pod),
        str(restarts),
        _age(pod),
        status.get("podIP") or _NONE,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        _NONE,
    ]


def _service(service: Obj) -> Cells:
    spec = service["spec"]
    kind = spec["type"]
    balancer = (service.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
    external = [i.get("ip") or i.get("hostname") for i in balancer] + spec.get("externalIPs", [])
    if kind == "ExternalName":
        external = [spec.get("externalName", "")]
    elif kind == "LoadBalancer" and not external:
        external = ["<pending>"]
    ports = [
        f"{p['port']}:{p['nodePort']}/{p['protocol']}"
        if p.get("nodePort")
        else f"{p['port']}/{p['protocol']}"
        for p in spec.get("ports") or []
    ]
    return [
        kind,
        spec.get("clusterIP") or _NONE,
        _joined(external),
        _joined(ports),
        _age(service),
        _pairs(spec.get("selector")),
    ]


def _shortened(values: list[str], most: int = 3) -> str:
    shown = ",".join(values[:most]) or _NONE
    more = len(values) - most
    return f"{shown} + {more} more..." if more > 0 else shown


def _endpoints(obj: Obj) -> Cells:
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    return [_shortened(pairs), _age(obj)]


def _slice(obj: Obj) -> Cells:
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or []]
    addresses = [a for e in obj.get("endpoints") or [] for a in e["addresses"]]
    unset = "<unset>"
    return [
        obj["addressType"],
        _shortened(ports) if ports else unset,
        _shortened(addresses) if addresses else unset,
        _age(obj),
    ]


def _ingress(obj: Obj) -> Cells:
    spec = obj["spec"]
    balancer = (obj.get("status") or {}).get("loadBalancer", {}).get("ingress") or []
    return [
        spec.get("ingressClassName") or _NONE,
        ",".join(rule.get("host") or "*" for rule in spec.get("rules") or []) or "*",
        ",".join(i.get("ip") or i.get("hostname", "") for i in balancer),
        "80, 443" if spec.get("tls") else "80",
        _age(obj),
    ]


def _ingress_class(obj: Obj) -> Cells:
    parameters = obj["spec"].get("parameters") or {}
    named = f"{parameters.get('kind')}/{parameters.get('name')}" if parameters else _NONE
    return [obj["spec"].get("controller", ""), named, _age(obj)]


def _containers(obj: Obj) -> Cells:
    containers = obj["spec"].get("template", {}).get("spec", {}).get("containers", [])
    return [
        _joined(c["name"] for c in containers),
        _joined(c.get("image", "") for c in containers),
        _pairs((obj["spec"].get("selector") or {}).get("matchLabels")),
    ]


def _counts(*fields: str) -> Callable[[Obj], Cells]:
    def cells(obj: Obj) -> Cells:
        values: Cells = []
        for name in fields:
            part = obj["spec"] if name == "replicas" else obj.get("status") or {}
            values.append(part.get(name, 0))
        return values

    return cells


def _deployment(obj: Obj) -> Cells:
    wanted, ready, updated, available = _counts(
        "replicas", "readyReplicas", "updatedReplicas", "availableReplicas"
    )(obj)
    return [f"{ready}/{wanted}", updated, available, _age(obj), *_containers(obj)]


def _daemon_set(obj: Obj) -> Cells:
    counts = _counts(
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )(obj)
    template = obj["spec"].get("template", {}).get("spec", {})
    return [*counts, _pairs(template.get("nodeSelector")), _age(obj), *_containers(obj)]


def _replica_set(obj: Obj) -> Cells:
    counts = _counts("replicas", "fullyLabeledReplicas", "readyReplicas")(obj)
    return [*counts, _age(obj), *_containers(obj)]


def _stateful_set(obj: Obj) -> Cells:
    wanted, ready = _counts("replicas", "readyReplicas")(obj)
    return [f"{ready}/{wanted}", _age(obj), *_containers(obj)[:2]]


def _node(obj: Obj) -> Cells:
    status = obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or []}
    state = "Ready" if conditions.get("Ready") == "True" else "NotReady"
    if obj.get("spec", {}).get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    addresses = {a["type"]: a["address"] for a in status.get("addresses") or []}
    return [
        state,
        _joined(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))),
        _age(obj),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", _NONE),
        addresses.get("ExternalIP", _NONE),
        info.get("osImage", "<unknown>"),
        info.get("kernelVersion", "<unknown>"),
        info.get("containerRuntimeVersion", "<unknown>"),
    ]


def _event(obj: Obj) -> Cells:
    about = obj.get("involvedObject") or {}
    seen = obj.get("lastTimestamp") or obj.get("eventTime")
    return [
        age(seen or obj["metadata"].get("creationTimestamp")),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        obj.get("message", ""),
    ]


_TABLES: dict[str, tuple[str, str, Callable[[Obj], Cells]]] = {
    "pods": ("Ready,Status,Restarts,Age", "IP,Node,Nominated Node,Readiness Gates", _pod),
    "services": ("Type,Cluster-IP,External-IP,Port(s),Age", "Selector", _service),
    "endpoints": ("Endpoints,Age", "", _endpoints),
    "endpointslices": ("AddressType,Ports,Endpoints,Age", "", _slice),
    "ingresses": ("Class,Hosts,Address,Ports,Age", "", _ingress),
    "ingressclasses": ("Controller,Parameters,Age", "", _ingress_class),
    "deployments": (
        "Ready,Up-to-date,Available,Age",
        "Containers,Images,Selector",
        _deployment,
    ),
    "daemonsets": (
        "Desired,Current,Ready,Up-to-date,Available,Node Selector,Age",
        "Containers,Images,Selector",
        _daemon_set,
    ),
    "replicasets": ("Desired,Current,Ready,Age", "Containers,Images,Selector", _replica_set),
    "statefulsets": ("Ready,Age", "Containers,Images", _stateful_set),
    "nodes": (
        "Status,Roles,Age,Version",
        "Internal-IP,External-IP,OS-Image,Kernel-Version,Container-Runtime",
        _node,
    ),
    "namespaces": (
        "Status,Age",
        "",
        lambda o: [(o.get("status") or {}).get("phase", ""), _age(o)],
    ),
    "events": ("Last Seen,Type,Reason,Object,Message", "", _event),
    "configmaps": ("Data,Age", "", lambda o: [len(o.get("data") or {}), _age(o)]),
    "secrets": (
        "Type,Data,Age",
        "",
        lambda o: [o.get("type", "Opaque"), len(o.get("data") or {}), _age(o)],
    ),
    "serviceaccounts": ("Secrets,Age", "", lambda o: [len(o.get("secrets") or []), _age(o)]),
    "networkpolicies": (
        "Pod-Selector,Age",
        "",
        lambda o: [_pairs((o["spec"].get("podSelector") or {}).get("matchLabels")), _age(o)],
    ),
    "customresourcedefinitions": ("Created At", "", _created),
}
