"""Everything of a lab that a fault may change, by what it belongs to, to see what one touches."""

from __future__ import annotations

import contextlib
from typing import Any

from hopcheck.lab import settings, topology
from hopcheck.lab.lab import Lab

# Kept by the API server, the kubelet and controllers.
_KEPT_ELSEWHERE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


def state(lab: Lab) -> dict[str, Any]:
    """What is set now, by name: objects, load balancers, listeners, groups, records, processes."""
    found: dict[str, Any] = {}
    for obj in settings.kept_objects(lab.store):
        found[_owner(obj)] = (*found.get(_owner(obj), ()), _content(obj))
    for balancer in lab.cloud.load_balancers.values():
        own = {k: v for k, v in vars(balancer).items() if k != "listeners"}
        found[f"LoadBalancer {balancer.name}"] = repr(own)
        for listener in balancer.listeners:
            found[f"Listener {balancer.name}:{listener.port}"] = repr(listener)
    for group in lab.cloud.target_groups.values():
        found[f"TargetGroup {group.name}"] = repr(group)
    for key, value in lab.cloud.save().state.items():
        if key not in ("load_balancers", "target_groups"):
            found[f"cloud {key}"] = repr(value)
    zones, rcodes, *_ = lab.dns.state()
    for zone in zones.values():
        for name, records in zone.records.items():
            fixed = [(one.rrtype, one.values) for one in records if not callable(one.values)]
            found[f"DNSRecord {name}"] = repr(fixed)
    for name, rcode in rcodes.items():
        found[f"DNSRecord {name}"] = f"{found.get(f'DNSRecord {name}')} {rcode}"
    for pod in lab.store.list("pods", topology.APP):
        with contextlib.suppress(KeyError):  # a pod that is an object only
            container: Any = lab.kubelet.container(topology.APP, pod["metadata"]["name"])
            key = _owner(pod)
            found[key] = (*found[key], repr(container.behaviour))
    found["rights"] = repr(lab.server.rights())
    found["isolated"] = lab.isolated()
    found["dark nodes"] = frozenset(lab.nodes.dark)
    return found


def touched(before: dict[str, Any], after: dict[str, Any]) -> frozenset[str]:
    """The names whose state differs."""
    return frozenset(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )


def named(kind: str, namespace: str | None, name: str) -> str:
    """An object's name in `state`; pods, and what runs in them, are their workload's."""
    if kind == "Application":
        return f"Pods {namespace}/my-app"
    if kind in ("Pod", "ReplicaSet", "Deployment", "DaemonSet"):
        known = (one for one in (topology.TRAEFIK, "my-app") if name.startswith(one))
        return f"Pods {namespace}/{next(known, name)}"
    if namespace is None:
        return f"{kind} {name}"
    return f"{kind} {namespace}/{name}"


def _owner(obj: dict[str, Any]) -> str:
    meta = obj["metadata"]
    return named(obj["kind"], meta.get("namespace", ""), meta["name"])


def _content(obj: dict[str, Any]) -> str:
    meta = {k: v for k, v in obj["metadata"].items() if k not in _KEPT_ELSEWHERE}
    return repr({**obj, "metadata": meta, "status": None})
