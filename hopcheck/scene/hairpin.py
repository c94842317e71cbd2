"""Requests from inside the cluster that cannot come back: the load balancer's hairpin.

With preserve_client_ip a target that connects to itself through an NLB gets no answer
(NLB guide, "Client IP preservation": NAT loopback is not supported). Whether a run in a pod hits
its own node depends on the target that the NLB chooses, so such a time-out proves nothing.
"""

from __future__ import annotations

from hopcheck.model import ErrorKind, Hop, Snapshot
from hopcheck.scene.chain import GroupLink
from hopcheck.scene.scene import Scene


def preserving_group(scene: Scene) -> GroupLink | None:
    """A target group on the host's way that keeps client addresses on cluster nodes."""
    if scene.way is None or scene.way.balancer.type != "network":
        return None
    for group in scene.way.groups:
        kept = group.attributes.get("preserve_client_ip.enabled") == "true"
        if kept and any(target.kind is not None for target in group.targets):
            return group
    return None


def hairpinned(snapshot: Snapshot) -> frozenset[str]:
    """Addresses whose connect time-out may be the hairpin; none for a run from outside.

    A nodePort that does not answer from here either speaks for another fault.
    """
    if not snapshot.vantage.in_cluster:
        return frozenset()
    silent = {
        probe.address
        for collected in snapshot.http.requests
        if collected.seen
        and (probe := collected.get()).exchanges
        and probe.exchanges[-1].error is ErrorKind.CONNECT_TIMEOUT
    }
    if not silent or preserving_group(Scene(snapshot)) is None:
        return frozenset()
    nodes = [c.get() for c in snapshot.http.hops if c.seen and c.get().hop is Hop.NODE]
    answered = [p for p in nodes if p.exchanges and p.exchanges[-1].error is None]
    return frozenset(silent) if answered or not nodes else frozenset()
