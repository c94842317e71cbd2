"""NetworkPolicies between Traefik and the pods, by Kubernetes' own rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Literal

from hopcheck.behaviour.kubernetes.objects import named_port
from hopcheck.model.kubernetes import (
    IpBlock,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    Pod,
    PolicyPeer,
    PolicyPort,
)
from hopcheck.scene.scene import Scene

_Direction = Literal["Ingress", "Egress"]
_Rule = tuple[Sequence[PolicyPeer] | None, Sequence[PolicyPort] | None]


def matches_labels(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """A LabelSelector against labels; an empty selector matches everything."""
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for term in selector.match_expressions:
        present = term.key in labels
        holds = {
            "In": present and labels.get(term.key) in term.values,
            "NotIn": labels.get(term.key) not in term.values,
            "Exists": present,
            "DoesNotExist": not present,
        }.get(term.operator, True)
        if not holds:
            return False
    return True


def shut_in(scene: Scene, pod: Pod, port: int) -> list[NetworkPolicy]:
    """The policies that hold for `pod` while none admits Traefik on the port; [] if one does."""
    traefik = _traefik(scene)
    return [] if traefik is None else _shut(scene, "Ingress", pod, traefik, pod, port)


def shut_out(scene: Scene, pod: Pod, port: int) -> list[NetworkPolicy]:
    """The policies that hold for Traefik's pods while none lets them out to `pod`; [] if one does.

    The first pod stands for all: what one Service selects is alike.
    """
    traefik = _traefik(scene)
    return [] if traefik is None else _shut(scene, "Egress", traefik, pod, pod, port)


def _shut(
    scene: Scene, direction: _Direction, holder: Pod, peer: Pod, asked: Pod, port: int
) -> list[NetworkPolicy]:
    """The policies of `holder` while none lets `peer` through to a port of `asked`."""
    selecting = _selecting(scene, holder, direction)
    for peers, ports in (one for policy in selecting for one in _rules(policy, direction)):
        means = not peers or any(_means(scene, one, holder.namespace, peer) for one in peers)
        if means and _on_port(ports, port, asked):
            return []
    return selecting


def _rules(policy: NetworkPolicy, direction: _Direction) -> list[_Rule]:
    """Whom each rule means and on which ports; None or nothing for all."""
    if direction == "Ingress":
        return [(rule.from_, rule.ports) for rule in policy.spec.ingress or ()]
    return [(rule.to, rule.ports) for rule in policy.spec.egress or ()]


def _traefik(scene: Scene) -> Pod | None:
    return next(iter(scene.instance.pods), None) if scene.instance is not None else None


def _selecting(scene: Scene, pod: Pod, direction: _Direction) -> list[NetworkPolicy]:
    """The policies that hold for the pod in that direction."""
    found = []
    for policy in scene.kube.of(NetworkPolicy, pod.namespace).or_else(()) or ():
        # Without policyTypes a policy is for Ingress, and for Egress where it has such rules.
        usual = ("Ingress", "Egress") if policy.spec.egress else ("Ingress",)
        holds = direction in (policy.spec.policy_types or usual)
        if holds and matches_labels(policy.spec.pod_selector, pod.metadata.labels):
            found.append(policy)
    return found


def may_turn_away(scene: Scene, pods: Sequence[Pod]) -> bool:
    """Whether a policy may refuse the API server what it lets Traefik do, or policies are unseen.

    Some network plugins refuse, as nobody listening does, where others drop.
    """
    spaces = {pod.namespace for pod in pods}
    unseen = any(not scene.kube.of(NetworkPolicy, space).seen for space in spaces)
    return unseen or any(_selecting(scene, pod, "Ingress") for pod in pods)


def closed_entrance(scene: Scene, port: int) -> NetworkPolicy | None:
    """The policy that holds for Traefik's pods while none admits an address on the port.

    What comes through load balancer and nodes has an address, and no pod's labels.
    """
    traefik = _traefik(scene)
    if traefik is None:
        return None
    selecting = _selecting(scene, traefik, "Ingress")
    for peers, ports in (one for policy in selecting for one in _rules(policy, "Ingress")):
        by_address = not peers or any(peer.ip_block is not None for peer in peers)
        if by_address and _on_port(ports, port, traefik):
            return None
    return selecting[0] if selecting else None


def _on_port(ports: Sequence[PolicyPort] | None, port: int, pod: Pod) -> bool:
    return not ports or any(_is_port(one, port, pod) for one in ports)


def _is_port(one: PolicyPort, port: int, pod: Pod) -> bool:
    if one.protocol not in ("", "TCP"):
        return False
    if isinstance(one.port, str):
        return named_port(pod, one.port) == port
    return one.port is None or one.port <= port <= (one.end_port or one.port)


def _means(scene: Scene, one: PolicyPeer, namespace: str, peer: Pod) -> bool:
    if one.ip_block is not None:
        return _in_block(one.ip_block, peer.status.pod_ip)
    if one.namespace_selector is not None:
        spaces = scene.kube.of(Namespace).or_else(()) or ()
        found = next((space for space in spaces if space.name == peer.namespace), None)
        # Unknown namespace labels: the benefit of the doubt.
        if found is not None:
            labels = {"kubernetes.io/metadata.name": peer.namespace, **found.metadata.labels}
            if not matches_labels(one.namespace_selector, labels):
                return False
    elif peer.namespace != namespace:
        return False
    return one.pod_selector is None or matches_labels(one.pod_selector, peer.metadata.labels)


def _in_block(block: IpBlock, address: str) -> bool:
    try:
        own = ip_address(address)
        inside = own in ip_network(block.cidr, strict=False)
        out = [ip_network(one, strict=False) for one in block.except_]
    except ValueError:
        return True
    return inside and not any(own in network for network in out)
