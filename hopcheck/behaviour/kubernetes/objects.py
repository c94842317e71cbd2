"""What single Kubernetes objects say of themselves (pure)."""

from __future__ import annotations

from hopcheck.behaviour.aws.loadbalancer import plain_name
from hopcheck.model import KubeEvidence, Obj


def meta(obj: Obj) -> Obj:
    """An object's metadata."""
    return getattr(obj, "metadata", None) or obj.get("metadata") or {}


def spec(obj: Obj) -> Obj:
    """An object's spec."""
    return getattr(obj, "spec", None) or obj.get("spec") or {}


def all_pods(kube: KubeEvidence) -> list[Obj]:
    """Every pod that was listed anywhere, each once."""
    return _listed_anywhere(kube, "pods")


def services(kube: KubeEvidence) -> list[Obj]:
    """Every Service that was listed anywhere, each once."""
    return _listed_anywhere(kube, "services")


def _listed_anywhere(kube: KubeEvidence, resource: str) -> list[Obj]:
    found: dict[tuple[str, str], Obj] = {}
    for key, listed in kube.lists.items():
        if key.partition("@")[0] == resource:
            for obj in listed.or_else(()) or ():
                found[(meta(obj).get("namespace", ""), meta(obj).get("name", ""))] = obj
    return list(found.values())


def pod_ready(pod: Obj) -> bool:
    """Whether the pod's condition Ready is True."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def outside_names(service: Obj) -> list[str]:
    """Addresses and DNS names by which a Service is reached from outside, load balancers' first."""
    status = (service.get("status") or {}).get("loadBalancer") or {}
    entries = status.get("ingress") or ()
    found = [str(entry.get("ip") or "") for entry in entries]
    found += [plain_name(str(entry.get("hostname") or "")) for entry in entries]
    return [name for name in (*found, *(spec(service).get("externalIPs") or ())) if name]


def node_ports_of(service: Obj) -> set[int]:
    """The nodePorts of a Service."""
    ports = (port.get("nodePort") for port in spec(service).get("ports") or ())
    return {int(port) for port in ports if port}


def named_port(pod: Obj | None, name: str) -> int | None:
    """The number of the pod's container port of that name, if it has one."""
    for container in containers(pod) if pod is not None else ():
        for port in container.get("ports") or ():
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


def containers(pod: Obj) -> list[Obj]:
    """The pod's containers (init containers left out)."""
    return list((pod.get("spec") or {}).get("containers") or ())


def key_of(obj: Obj) -> tuple[str, str]:
    """(namespace, name)."""
    return meta(obj).get("namespace", ""), meta(obj).get("name", "")
