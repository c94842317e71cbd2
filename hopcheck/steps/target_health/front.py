"""Which load balancer and which chain step 2 looks at, and their names in the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hopcheck.behaviour.aws.loadbalancer import front_of
from hopcheck.catalogue.catalogue import listing, make
from hopcheck.model import Finding, ObjectRef, Words
from hopcheck.model.aws import LoadBalancer
from hopcheck.scene.chain import Chain, GroupLink, TargetLink
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import cluster_address, ref_of


def balancer_of(scene: Scene) -> LoadBalancer | None:
    """The load balancer that the name leads to.

    Where it leads to none and to nothing else that is known, or to somebody else's, one in front
    of this Traefik: what stands behind it can be said all the same.
    """
    if scene.meant is not None:
        return scene.meant
    if scene.balancer is not None or cluster_address(scene) or front_of(scene.chain):
        return scene.balancer
    return scene.feeding[0] if scene.feeding else None


def way_of(scene: Scene) -> Chain | None:
    """The chain behind `balancer_of`."""
    if scene.balancer is not None:
        return scene.way
    balancer = balancer_of(scene)
    return scene.way_of(balancer) if balancer is not None else None


def service_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    """Traefik's Service, as the other end of a target's port."""
    return (ref_of(scene.traefik_service),) if scene.traefik_service is not None else ()


def of_group(
    code: str,
    group: GroupLink,
    some: Sequence[TargetLink] = (),
    *,
    at: ObjectRef | None = None,
    **params: Any,
) -> Finding:
    """A finding about a target group, or about `some` of its targets; `at`: who is at fault."""
    words: Words = {
        "tg": group.name,
        "tg_arn": group.arn,
        "lb": group.balancer.load_balancer_name,
        "count": len(some),
        "total": len(group.targets),
        "targets": listing(target.name for target in some),
    }
    return make(code, at or group.ref, **(words | params))


def of_listener(code: str, balancer: LoadBalancer, port: int, **params: Any) -> Finding:
    """A finding about the listener on a port, or about the want of one."""
    name = balancer.load_balancer_name
    params |= {"lb": name, "lb_arn": balancer.load_balancer_arn, "port": port}
    return make(code, ObjectRef("Listener", f"{name}:{port}"), **params)
