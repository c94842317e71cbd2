"""Which load balancer and which chain step 2 looks at, and their names in the report."""

from __future__ import annotations

from typing import Any, Final

from hopcheck.behaviour.aws.loadbalancer import front_of
from hopcheck.catalogue.catalogue import make, text
from hopcheck.model import Finding, Obj, ObjectRef
from hopcheck.scene.chain import Chain, GroupLink
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps.rule import Party

# Where a target leads is told by the cluster, what a claim is worth by the requests.
WAY: Final[tuple[Party, ...]] = ("dns", "aws", "kube")
SHOWN: Final[tuple[Party, ...]] = ("traefik", "http")
BEHIND: Final[tuple[Party, ...]] = ("kube", *SHOWN)


def balancer_of(scene: Scene) -> Obj | None:
    """The load balancer that the name leads to.

    Where it leads to none and to nothing else that is known, one in front of this Traefik: what
    stands behind it can be said all the same.
    """
    if scene.balancer is not None or cluster_address(scene) or front_of(scene.chain):
        return scene.balancer
    return scene.feeding[0] if scene.feeding else None


def way_of(scene: Scene) -> Chain | None:
    """The chain behind `balancer_of`."""
    if scene.balancer is not None:
        return scene.way
    balancer = balancer_of(scene)
    return scene.way_of(balancer) if balancer is not None else None


def cluster_address(scene: Scene) -> str:
    """Words of proof that the addresses are the cluster's own, with no AWS in between."""
    for address in scene.addresses:
        node = scene.node_ids.get(address)
        if node is not None:
            return text("address", "node", address=address, node=meta(node)["name"])
        for service in scene.services:
            status = (service.get("status") or {}).get("loadBalancer") or {}
            external = spec(service).get("externalIPs") or ()
            inside = any(entry.get("ip") == address for entry in status.get("ingress") or ())
            if address in external or inside:
                full = f"{meta(service)['namespace']}/{meta(service)['name']}"
                return text("address", "service", address=address, service=full)
    return ""


def lb_name(balancer: Obj) -> str:
    """A load balancer's name."""
    return str(balancer.get("LoadBalancerName"))


def lb_ref(balancer: Obj) -> ObjectRef:
    """The report's name of a load balancer."""
    return ObjectRef("LoadBalancer", lb_name(balancer))


def listener_ref(balancer: Obj, port: object) -> ObjectRef:
    """The report's name of a listener."""
    return ObjectRef("Listener", f"{lb_name(balancer)}:{port}")


def service_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    """Traefik's Service, as the other end of a target's port."""
    service = scene.traefik_service
    if service is None:
        return ()
    return (ObjectRef("Service", meta(service)["name"], meta(service).get("namespace")),)


def of_group(code: str, group: GroupLink, **params: Any) -> Finding:
    """A finding about a target group."""
    return make(code, group.ref, tg=group.name, tg_arn=group.arn, **params)


def of_listener(code: str, way: Chain, **params: Any) -> Finding:
    """A finding about the listener of the chain."""
    port = way.listener["Port"]
    lb = {"lb": lb_name(way.balancer), "lb_arn": way.balancer["LoadBalancerArn"]}
    return make(code, listener_ref(way.balancer, port), port=port, **lb, **params)
