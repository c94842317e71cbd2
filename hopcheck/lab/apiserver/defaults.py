"""The defaults the API server fills in when an object is written.

Source: pkg/apis/*/v1/defaults.go and the default IngressClass admission of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Obj = dict[str, Any]
Objects = Mapping[str, Mapping[tuple[str, str], Obj]]

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_NODE_PORTS = range(30000, 32768)


def set_defaults(plural: str, new: Obj, old: Obj | None, objects: Objects) -> None:
    """Fill in `new` what the API server would; `old` is the object it replaces, if any."""
    rule = _RULES.get(plural)
    if rule is not None:
        rule(new, old, objects)


def _namespace(new: Obj, _old: Obj | None, _objects: Objects) -> None:
    metadata = new["metadata"]
    labels = metadata.setdefault("labels", {})
    labels.setdefault("kubernetes.io/metadata.name", metadata["name"])
    new.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    new.setdefault("status", {}).setdefault("phase", "Active")


def _pod(new: Obj, _old: Obj | None, _objects: Objects) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    for container in spec.get("containers", []):
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")
    status = new.setdefault("status", {})
    status.setdefault("phase", "Pending")
    images = {c["name"]: c.get("image", "") for c in spec.get("containers", [])}
    for container in status.get("containerStatuses") or []:
        required = {"state": {}, "lastState": {}, "ready": False, "restartCount": 0, "imageID": ""}
        for key, value in required.items():
            container.setdefault(key, value)
        container.setdefault("image", images.get(container["name"], ""))
    if status.get("podIP"):
        status["podIPs"] = [{"ip": status["podIP"]}, *status.get("podIPs", [])[1:]]


def _ingress(new: Obj, old: Obj | None, objects: Objects) -> None:
    """The default class is given at creation only, and not beside the old annotation."""
    spec = new.setdefault("spec", {})
    annotations = new["metadata"].get("annotations") or {}
    new.setdefault("status", {}).setdefault("loadBalancer", {})
    if old or spec.get("ingressClassName") or "kubernetes.io/ingress.class" in annotations:
        return
    defaults = [
        name
        for (_, name), obj in sorted(objects.get("ingressclasses", {}).items())
        if (obj["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
    ]
    if defaults:
        spec["ingressClassName"] = defaults[0]


def _service(new: Obj, old: Obj | None, objects: Objects) -> None:
    spec = new.setdefault("spec", {})
    before = old["spec"] if old else {}
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    new.setdefault("status", {}).setdefault("loadBalancer", {})
    if kind == "ExternalName":
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = before.get("clusterIP") or _cluster_ip(objects)
    spec["clusterIPs"] = [spec["clusterIP"], *spec.get("clusterIPs", [])[1:]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    exposed = kind in ("NodePort", "LoadBalancer")
    if exposed:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    else:
        spec.pop("externalTrafficPolicy", None)
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    allocates = exposed and spec.get("allocateLoadBalancerNodePorts", True)
    _service_ports(new, before, objects, exposed=exposed, allocates=allocates)


def _service_ports(
    new: Obj, before: Obj, objects: Objects, *, exposed: bool, allocates: bool
) -> None:
    earlier = {port["port"]: port.get("nodePort") for port in before.get("ports", [])}
    ports = new["spec"].get("ports") or []
    for port in ports:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])
        if not exposed:
            port.pop("nodePort", None)
        elif not port.get("nodePort") and allocates:
            taken = {p.get("nodePort") for p in ports} | _node_ports(objects)
            kept = earlier.get(port["port"])
            port["nodePort"] = kept or next(n for n in _NODE_PORTS if n not in taken)


def _node_ports(objects: Objects) -> set[int | None]:
    services = objects.get("services", {}).values()
    return {p.get("nodePort") for s in services for p in s["spec"].get("ports") or []}


def _cluster_ip(objects: Objects) -> str:
    """The next free address of 10.100.0.0/16, where EKS puts Services."""
    taken = {s["spec"].get("clusterIP") for s in objects.get("services", {}).values()}
    candidates = (f"10.100.{n // 250}.{n % 250 + 1}" for n in range(64000))
    return next(address for address in candidates if address not in taken)


_RULES: dict[str, Callable[[Obj, Obj | None, Objects], None]] = {
    "namespaces": _namespace,
    "pods": _pod,
    "ingresses": _ingress,
    "services": _service,
}
