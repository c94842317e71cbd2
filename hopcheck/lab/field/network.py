"""Reports of packets that are lost between Traefik and the pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.faults.gallery import ENDPOINTS
from hopcheck.lab.field.gallery import Mend, Named, report
from hopcheck.lab.pods import HEALTHY, Behaviour
from hopcheck.lab.setups.gallery import Obj
from hopcheck.lab.topology import APP, APP_PODS, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_APP_NODE = "node-3"  # which runs no Traefik


def _move(lab: Lab, *pods: str) -> None:
    """Let the pods be on a node of their own, where no Traefik runs."""
    for name in pods:

        def edit(obj: Obj) -> None:
            obj["spec"]["nodeName"] = _APP_NODE
            obj["status"]["hostIP"] = lab.plan.nodes[-1].address

        lab.store.patch("pods", APP, name, edit)


@report(
    "f5",
    Named(ENDPOINTS, "Service", SERVICE, APP),
    Named(ENDPOINTS, "Node", _APP_NODE),
    happens="no answer",
    says="(?i)network|firewall",
    never="(?i)database",
    innocent=(f"Application {APP}/{SERVICE}",),
    ways=("", "direct"),
)
async def between_nodes(lab: Lab) -> Mend:
    """Packets between Traefik's nodes and the node of the application's pods are dropped."""
    _move(lab, *APP_PODS)
    await lab.set_app(None, Behaviour(dark=True))

    async def mend() -> None:
        await lab.set_app(None, HEALTHY)

    return mend


@report(
    "f14",
    Named(ENDPOINTS, "Pod", APP_PODS[1], APP),
    Named(ENDPOINTS, "Node", _APP_NODE),
    Named(ENDPOINTS, "Service", SERVICE, APP),
    happens=r"200 \+ no answer",
    says=f"{APP_PODS[1]}|{_APP_NODE}",
    never="(?i)label",
)
async def one_pod_dark(lab: Lab) -> Mend:
    """Packets to one of two pods are dropped; the pods belong to no workload."""
    for name in APP_PODS:
        lab.store.patch("pods", APP, name, lambda obj: obj["metadata"].pop("ownerReferences"))
    lab.store.delete("deployments", APP, "my-app")
    lab.store.delete("replicasets", APP, "my-app-6f7c9d5b84")
    await lab.set_app(APP_PODS[1], Behaviour(dark=True))

    async def mend() -> None:
        await lab.set_app(APP_PODS[1], HEALTHY)

    return mend
