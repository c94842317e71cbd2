"""What single Kubernetes objects say of themselves (pure)."""

from __future__ import annotations

from typing import Any

from hopcheck.behaviour.aws.loadbalancer import plain_name
from hopcheck.model import KubeEvidence
from hopcheck.model.kubernetes import Object, Pod, Service


def all_pods(kube: KubeEvidence) -> list[Pod]:
    """Every pod that was listed anywhere, each once."""
    return _listed_anywhere(kube, "pods")


def services(kube: KubeEvidence) -> list[Service]:
    """Every Service that was listed anywhere, each once."""
    return _listed_anywhere(kube, "services")


def _listed_anywhere(kube: KubeEvidence, resource: str) -> list[Any]:
    found: dict[tuple[str, str], Object] = {}
    for key, listed in kube.lists.items():
        if key.partition("@")[0] == resource:
            for obj in listed.or_else(()) or ():
                found[obj.key] = obj
    return list(found.values())


def outside_names(service: Service) -> list[str]:
    """Addresses and DNS names by which a Service is reached from outside, load balancers' first."""
    entries = service.status.load_balancer.ingress
    found = [entry.ip for entry in entries]
    found += [plain_name(entry.hostname) for entry in entries]
    return [name for name in (*found, *service.spec.external_ips) if name]


def node_ports_of(service: Service) -> set[int]:
    """The nodePorts of a Service."""
    return {port.node_port for port in service.spec.ports if port.node_port}


def named_port(pod: Pod | None, name: str) -> int | None:
    """The number of the pod's container port of that name, if it has one."""
    for container in pod.spec.containers if pod is not None else ():
        for port in container.ports:
            if port.name == name:
                return port.container_port
    return None
