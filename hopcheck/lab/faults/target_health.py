"""Faults of the load balancer, its listeners, target groups and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.cloud import forward
from hopcheck.lab.faults.gallery import DEGRADED, TARGET_HEALTH, Expect, fault
from hopcheck.lab.topology import LOAD_BALANCER, TARGETS_HTTP, TARGETS_HTTPS

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_PAGE_NODE_PORT = 31443  # the nodePort of section 2.2 of the page, not that of section 5.1


def _group(code: str) -> Expect:
    return Expect(code, "TargetGroup", TARGETS_HTTPS)


def _listener(code: str) -> Expect:
    return Expect(code, "Listener", f"{LOAD_BALANCER}:443")


@fault("tg-nodeport-drift", TARGET_HEALTH, _group("TGT014"), exit_code=DEGRADED)
async def nodeport_drift(lab: Lab) -> None:
    """The target group sends to 31443, the Service's nodePort is another."""
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    group.port = _PAGE_NODE_PORT
    for target in group.targets:
        target.port = _PAGE_NODE_PORT


@fault("nlb-no-443", TARGET_HEALTH, _listener("TGT002"), exit_code=DEGRADED)
async def no_443(lab: Lab) -> None:
    """The NLB's listener on 443 is deleted, that on 80 is there."""
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.listeners = [one for one in balancer.listeners if one.port != 443]


@fault("nlb-swapped", TARGET_HEALTH, _listener("TGT004"))
async def swapped(lab: Lab) -> None:
    """The listeners on 443 and 80 forward to each other's target group."""
    for listener in lab.cloud.load_balancers[LOAD_BALANCER].listeners:
        group = TARGETS_HTTP if listener.port == 443 else TARGETS_HTTPS
        listener.action = forward(group)


@fault("tg-empty", TARGET_HEALTH, _group("TGT010"), exit_code=DEGRADED)
async def empty(lab: Lab) -> None:
    """The target group for https has no targets."""
    lab.cloud.target_groups[TARGETS_HTTPS].targets.clear()


@fault("tg-health-port", TARGET_HEALTH, _group("TGT015"), exit_code=DEGRADED)
async def health_port(lab: Lab) -> None:
    """The health check asks a port that nobody listens on; the NLB fails open."""
    lab.cloud.target_groups[TARGETS_HTTPS].check.port = "30999"


@fault("tg-ppv2-only", TARGET_HEALTH, _group("TGT018"), exit_code=DEGRADED)
async def proxy_protocol(lab: Lab) -> None:
    """The target group sends PROXY protocol v2, Traefik does not expect it."""
    lab.cloud.target_groups[TARGETS_HTTPS].attributes["proxy_protocol_v2.enabled"] = "true"
