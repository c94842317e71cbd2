"""The lab's AWS: load balancers that carry real traffic, and the APIs that describe them."""

from hopcheck.lab.cloud.cloud import Cloud
from hopcheck.lab.cloud.ec2 import admit, instance, security_group
from hopcheck.lab.cloud.model import (
    Action,
    Certificate,
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Target,
    TargetGroup,
    TargetState,
    Zone,
    fixed_response,
    forward,
    redirect,
)

__all__ = [
    "Action",
    "Certificate",
    "Cloud",
    "HealthCheck",
    "Listener",
    "LoadBalancer",
    "Rule",
    "Target",
    "TargetGroup",
    "TargetState",
    "Zone",
    "admit",
    "fixed_response",
    "forward",
    "instance",
    "redirect",
    "security_group",
]
