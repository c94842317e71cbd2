"""Which load balancer and which chain step 2 looks at, and their names in the report."""

from __future__ import annotations

from typing import Any, Final

from hopcheck.behaviour.aws.loadbalancer import front_of
from hopcheck.catalogue.catalogue import make, text
from hopcheck.model import Finding, ObjectRef
from hopcheck.model.aws import LoadBalancer
from hopcheck.scene.chain import Chain, GroupLink
from hopcheck.scene.scene import Scene
from hopcheck.steps.rule import Party

# Where a target leads is told by the cluster, what a claim is worth by the requests.
WAY: Final[tuple[Party, ...]] = ("dns", "aws", "kube")
SHOWN: Final[tuple[Party, ...]] = ("traefik", "http")
BEHIND: Final[tuple[Party, ...]] = ("kube", *SHOWN)


def balancer_of(scene: Scene) -> LoadBalancer | None:
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
            return text("address", "node", address=address, node=node.name)
        for service in scene.services:
            inside = any(entry.ip == address for entry in service.status.load_balancer.ingress)
            if address in service.spec.external_ips or inside:
                full = f"{service.namespace}/{service.name}"
                return text("address", "service", address=address, service=full)
    return ""


def lb_ref(balancer: LoadBalancer) -> ObjectRef:
    """The report's name of a load balancer."""
    return ObjectRef("LoadBalancer", balancer.load_balancer_name)


def listener_ref(balancer: LoadBalancer, port: object) -> ObjectRef:
    """The report's name of a listener."""
    return ObjectRef("Listener", f"{balancer.load_balancer_name}:{port}")


def service_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    """Traefik's Service, as the other end of a target's port."""
    service = scene.traefik_service
    if service is None:
        return ()
    return (ObjectRef("Service", service.name, service.namespace),)


def of_group(code: str, group: GroupLink, **params: Any) -> Finding:
    """A finding about a target group."""
    return make(code, group.ref, tg=group.name, tg_arn=group.arn, **params)


def of_listener(code: str, way: Chain, **params: Any) -> Finding:
    """A finding about the listener of the chain."""
    lb, port = way.balancer, way.listener.port
    params |= {"lb": lb.load_balancer_name, "lb_arn": lb.load_balancer_arn, "port": port}
    return make(code, listener_ref(lb, port), **params)
