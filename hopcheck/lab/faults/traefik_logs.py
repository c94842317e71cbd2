"""Faults of what single Traefik replicas have loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.faults.gallery import DEGRADED, TRAEFIK_LOGS, Expect, fault
from hopcheck.lab.topology import APP, GATEWAY, INGRESS, TRAEFIK_PODS

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab


@fault(
    "tpod-replica-skew",
    TRAEFIK_LOGS,
    Expect("LOG001", "Pod", TRAEFIK_PODS[1], GATEWAY),
    exit_code=DEGRADED,
)
async def replica_skew(lab: Lab) -> None:
    """The Ingress is created anew after one replica has lost sight of the API server."""
    ingress = lab.store.get("ingresses", APP, INGRESS)
    if ingress is None:
        raise LookupError(f"no Ingress {INGRESS}: inject into a healthy lab")
    lab.store.delete("ingresses", APP, INGRESS)
    await lab.settle()
    lab.cut_off(TRAEFIK_PODS[1])
    lab.store.put(ingress)
