"""What controllers say of an object: events as client-go's recorder writes them.

The words are those of kubernetes-sigs/aws-load-balancer-controller (pkg/k8s/events.go and the
errors of its packages), kubernetes/cloud-provider (controllers/service/controller.go) and AWS's
APIs, which both quote.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hopcheck.lab.apiserver.store import timestamp
from hopcheck.lab.topology import GATEWAY, TRAEFIK

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_KINDS = {"Service": "v1", "Ingress": "networking.k8s.io/v1"}


def say(
    lab: Lab,
    reason: str,
    message: str,
    *,
    kind: str = "Service",
    name: str = TRAEFIK,
    normal: bool = False,
    ago: float = 0,
) -> None:
    """Write an event of an object in Traefik's namespace, last seen so many seconds ago."""
    moment = time.time() - ago
    cloud = reason.endswith(("LoadBalancer", "LoadBalancerFailed"))
    lab.store.put(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{int(moment * 1e6):x}", "namespace": GATEWAY},
            "involvedObject": {
                "apiVersion": _KINDS.get(kind, "elbv2.k8s.aws/v1beta1"),
                "kind": kind,
                "namespace": GATEWAY,
                "name": name,
            },
            "type": "Normal" if normal else "Warning",
            "reason": reason,
            "message": message,
            "count": 7,
            "source": {"component": "service-controller" if cloud else kind.lower()},
            "firstTimestamp": timestamp(moment - 600),
            "lastTimestamp": timestamp(moment),
        }
    )
