"""NetworkPolicies between Traefik and the pods, by Kubernetes' own rules."""

from __future__ import annotations

from typing import Any

from hopcheck.model import Obj
from hopcheck.scene.scene import Scene, meta, spec


def matches_labels(selector: Obj | None, labels: dict[str, Any]) -> bool:
    """A LabelSelector against labels; an empty selector matches everything."""
    chosen = selector or {}
    if any(labels.get(k) != v for k, v in (chosen.get("matchLabels") or {}).items()):
        return False
    for term in chosen.get("matchExpressions") or ():
        key, values = term.get("key"), term.get("values") or []
        present = key in labels
        holds = {
            "In": present and labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": present,
            "DoesNotExist": not present,
        }.get(str(term.get("operator")), True)
        if not holds:
            return False
    return True


def shut_in(scene: Scene, pod: Obj, port: int) -> list[Obj]:
    """The policies that hold for `pod` while none admits Traefik on the port; [] if one does."""
    instance = scene.instance
    if instance is None or not instance.pods:
        return []
    return _shut(scene, "Ingress", pod, instance.pods[0], pod, port)


def shut_out(scene: Scene, pod: Obj, port: int) -> list[Obj]:
    """The policies that hold for Traefik's pods while none lets them out to `pod`; [] if one does.

    The first pod stands for all: what one Service selects is alike.
    """
    instance = scene.instance
    if instance is None or not instance.pods:
        return []
    return _shut(scene, "Egress", instance.pods[0], pod, pod, port)


def _shut(scene: Scene, way: str, holder: Obj, peer: Obj, asked: Obj, port: int) -> list[Obj]:
    """The policies that hold for `holder`, where none lets `peer` through to a port of `asked`."""
    here, there = str(meta(holder).get("namespace")), str(meta(peer).get("namespace"))
    selecting = _selecting(scene, here, holder, way)
    key = "from" if way == "Ingress" else "to"
    admitted = any(
        _admits(scene, rule, here, peer, there, port, asked, key)
        for policy in selecting
        for rule in spec(policy).get(way.lower()) or ()
    )
    return [] if admitted else selecting


def _selecting(scene: Scene, namespace: str, pod: Obj, direction: str) -> list[Obj]:
    """The policies of a namespace that hold for the pod in "Ingress" or "Egress"."""
    labels = meta(pod).get("labels") or {}
    found = []
    for policy in scene.kube.list("networkpolicies", namespace).or_else(()) or ():
        # Without policyTypes a policy is for Ingress, and for Egress where it has such rules.
        usual = ["Ingress", *(["Egress"] if spec(policy).get("egress") else ())]
        types = spec(policy).get("policyTypes") or usual
        if direction in types and matches_labels(spec(policy).get("podSelector"), labels):
            found.append(policy)
    return found


def closed_entrance(scene: Scene, port: int) -> Obj | None:
    """The policy that holds for Traefik's pods while none admits an address on the port.

    What comes through load balancer and nodes has an address, and no pod's labels.
    """
    instance = scene.instance
    if instance is None or not instance.pods:
        return None
    selecting = _selecting(scene, instance.namespace, instance.pods[0], "Ingress")
    for policy in selecting:
        for rule in spec(policy).get("ingress") or ():
            ports = rule.get("ports") or ()
            peers = rule.get("from") or ()
            by_address = not peers or any(one.get("ipBlock") for one in peers)
            if by_address and (not ports or any(_port(p, port, instance.pods[0]) for p in ports)):
                return None
    return selecting[0] if selecting else None


def _admits(
    scene: Scene,
    rule: Obj,
    namespace: str,
    peer: Obj,
    peer_namespace: str,
    port: int,
    pod: Obj,
    key: str,
) -> bool:
    ports = rule.get("ports") or ()
    if ports and not any(_port(one, port, pod) for one in ports):
        return False
    sources = rule.get(key)
    if not sources:
        return True
    return any(_source(scene, one, namespace, peer, peer_namespace) for one in sources)


def _port(one: Obj, port: int, pod: Obj) -> bool:
    if one.get("protocol", "TCP") != "TCP":
        return False
    wanted = one.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        named = {
            p.get("name"): p.get("containerPort")
            for c in spec(pod).get("containers") or ()
            for p in c.get("ports") or ()
        }
        return named.get(wanted) == port
    end = one.get("endPort") or wanted
    return int(wanted) <= port <= int(end)


def _source(scene: Scene, one: Obj, namespace: str, peer: Obj, peer_namespace: str) -> bool:
    block = one.get("ipBlock")
    if block:
        return _in_block(block, (peer.get("status") or {}).get("podIP"))
    if "namespaceSelector" in one:
        spaces = scene.kube.list("namespaces")
        found = next(
            (n for n in spaces.or_else(()) or () if meta(n).get("name") == peer_namespace), None
        )
        labels = (meta(found).get("labels") if found else None) or {}
        labels = {"kubernetes.io/metadata.name": peer_namespace, **labels}
        # Unknown namespace labels: the benefit of the doubt.
        if found is not None and not matches_labels(one["namespaceSelector"], labels):
            return False
    elif peer_namespace != namespace:
        return False
    if "podSelector" not in one:
        return True
    return matches_labels(one["podSelector"], meta(peer).get("labels") or {})


def _in_block(block: Obj, address: str | None) -> bool:
    import ipaddress

    try:
        own = ipaddress.ip_address(str(address))
        inside = own in ipaddress.ip_network(str(block.get("cidr")), strict=False)
        out = [ipaddress.ip_network(str(n), strict=False) for n in block.get("except") or ()]
    except ValueError:
        return True
    return inside and not any(own in network for network in out)
