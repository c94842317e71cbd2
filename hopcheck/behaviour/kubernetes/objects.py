"""What single Kubernetes objects say of themselves (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hopcheck.behaviour.aws.loadbalancer import plain_name
from hopcheck.model.kubernetes import Pod, Service

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<no>!?)\s*(?P<key>[^\s!=,()]+)$")


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


def label_matches(selector: str, labels: Mapping[str, str]) -> bool | None:
    """Whether `labels` satisfy `selector` ("a=b,c in (d,e),!f"); None: it cannot be read.

    An empty selector takes everything. `!=` and `notin` hold where the label is absent.
    """
    for part in re.split(r",(?![^(]*\))", selector):
        text = part.strip()
        if text:
            answer = _one(text, labels)
            if not answer:
                return answer
    return True


def _one(text: str, labels: Mapping[str, str]) -> bool | None:
    found = _SET.match(text)
    if found:
        values = {value.strip() for value in found["values"].split(",")}
        return (labels.get(found["key"]) in values) == (found["op"] == "in")
    found = _EQUAL.match(text)
    if found:
        return (labels.get(found["key"]) == found["value"]) == (found["op"] != "!=")
    found = _EXISTS.match(text)
    if found:
        return (found["key"] in labels) != bool(found["no"])
    return None
