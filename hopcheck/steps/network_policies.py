"""NetworkPolicies between Traefik and the pods, by Kubernetes' own rules."""

from __future__ import annotations

from typing import Any

from hopcheck.behaviour.kubernetes.graph import selects
from hopcheck.catalogue.catalogue import make, text
from hopcheck.model import Finding, Obj, ObjectRef
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


def blocking_policy(scene: Scene, service: Obj, used: list[tuple[str, int, Obj]]) -> Finding | None:
    """The policy that selects the pods while none admits Traefik on the port; None if admitted."""
    namespace = str(meta(service).get("namespace"))
    instance = scene.instance
    policies = scene.kube.list("networkpolicies", namespace).or_else(()) or ()
    pods = [p for p in scene.kube.list("pods", namespace).or_else(()) or () if selects(service, p)]
    if not policies or not pods or instance is None or not instance.pods:
        return None
    selecting = _selecting(scene, namespace, pods[0], "Ingress")
    if not selecting:
        return None
    port = used[0][1]
    peer = instance.pods[0]
    if any(
        _admits(scene, rule, namespace, peer, instance.namespace, port, pods[0])
        for policy in selecting
        for rule in spec(policy).get("ingress") or ()
    ):
        return None
    name = str(meta(selecting[0])["name"])
    rules = sum(len(spec(policy).get("ingress") or ()) for policy in selecting)
    return make(
        "END010",
        ObjectRef("NetworkPolicy", name, namespace),
        policy=f"{namespace}/{name}",
        service=f"{namespace}/{meta(service)['name']}",
        traefik_ns=instance.namespace,
        port=port,
        admits=text("said", "policy", count=rules, namespace=instance.namespace),
        ns=namespace,
        name=name,
        related=(
            ObjectRef("Service", str(meta(service)["name"]), namespace),
            *(ObjectRef("NetworkPolicy", str(meta(p)["name"]), namespace) for p in selecting[1:3]),
        ),
    )


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


def egress_policy(scene: Scene, service: Obj, used: list[tuple[str, int, Obj]]) -> Finding | None:
    """The policy that holds for Traefik's pods while none lets them out to these; None if one does.

    The first pod stands for all: what one Service selects is alike.
    """
    namespace, instance = str(meta(service).get("namespace")), scene.instance
    pods = [p for p in scene.kube.list("pods", namespace).or_else(()) or () if selects(service, p)]
    if instance is None or not instance.pods or not pods:
        return None
    selecting = _selecting(scene, instance.namespace, instance.pods[0], "Egress")
    port, peer = used[0][1], pods[0]
    if not selecting or any(
        _admits(scene, rule, instance.namespace, peer, namespace, port, peer, "to")
        for policy in selecting
        for rule in spec(policy).get("egress") or ()
    ):
        return None
    name = str(meta(selecting[0])["name"])
    rules = sum(len(spec(policy).get("egress") or ()) for policy in selecting)
    return make(
        "END010",
        ObjectRef("NetworkPolicy", name, instance.namespace),
        variant="egress",
        policy=f"{instance.namespace}/{name}",
        service=f"{namespace}/{meta(service)['name']}",
        traefik_ns=instance.namespace,
        port=port,
        admits=text("said", "egress", count=rules, namespace=namespace),
        ns=instance.namespace,
        name=name,
        related=(
            ObjectRef("Service", str(meta(service)["name"]), namespace),
            ObjectRef(instance.kind, instance.name, instance.namespace),
        ),
    )


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
    key: str = "from",
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
