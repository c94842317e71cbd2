"""The gallery: each fault injected at its true place, with the root cause it must give.

One module a step; importing one fills `FAULTS`, in the order of the checklist.
"""

from hopcheck.lab.faults import (  # noqa: F401, I001  # imported to register, in the steps' order
    dns,
    balancer,
    target_health,
    origin,
    traefik_service,
    ingress,
    ingressroute,
    middlewares,
    tls,
    issuance,
    endpoints,
    traefik_logs,
    request,
)
from hopcheck.lab.faults.gallery import FAULTS, Expect, Fault

__all__ = ["FAULTS", "Expect", "Fault"]
