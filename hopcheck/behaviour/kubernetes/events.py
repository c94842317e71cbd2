"""Events of those who make load balancers, read against what became of it since (pure).

Reasons and words: kubernetes-sigs/aws-load-balancer-controller, pkg/k8s/events.go and the errors of
controllers/, pkg/service, pkg/ingress, pkg/networking; kubernetes/cloud-provider,
controllers/service/controller.go; kubernetes/cloud-provider-aws, pkg/providers/v1; MetalLB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hopcheck.model.kubernetes import Event

_OF_NODES = "UnAvailableLoadBalancer"
# Of AWS Load Balancer Controller and EKS Auto Mode; of service controllers; of MetalLB.
_FAILURES = """
FailedBuildModel FailedDeployModel FailedAddFinalizer FailedUpdateStatus FailedLoadGroupID
ConflictingIngressClass FailedNetworkReconcile BackendNotFound SyncLoadBalancerFailed
CreatingLoadBalancerFailed UpdateLoadBalancerFailed LoadBalancerUpdateFailed UnAvailableLoadBalancer
AllocationFailed
"""
_UPDATED = "UpdatedLoadBalancer"
_SUCCESSES = frozenset({"SuccessfullyReconciled", "EnsuredLoadBalancer", _UPDATED, "IPAllocated"})
# What an error is of, by the words of AWS and the controllers; the first that fits. Each is a
# variant of the finding, with its own fix.
_KINDS = {
    "rights": r"AccessDenied|UnauthorizedOperation|not authorized|AuthFailure|InvalidIdentityToken"
    r"|WebIdentity|ExpiredToken|NoCredentialProviders|failed to refresh cached credentials"
    r"|no EC2 IMDS role",
    "quota": r"TooMany(?!Requests)\w+|\w*LimitExceeded\b(?<!RequestLimitExceeded)|Exceeded quota",
    "space": r"Not enough IP space|InsufficientFreeAddresses|free IP addresses",
    "subnets": r"auto-discover subnets|at least one subnet|suitable subnets|subnets count less",
    "groups": r"securityGroup tagged|tagged security groups",
    "certificate": r"CertificateNotFound|UnsupportedCertificate|no certificate found",
    "ranges": r"(?i)\bcidr|source ?ranges?",
    "port": r"TargetGroup port is empty|CreateTargetGroupInput\.Port|service type must be",
    "taken": r"Duplicate\w*Name|with the same name|already in use",
    "aws": r"Internal(?:Failure|Error|ServerError)|ServiceUnavailable|Throttling|TooManyRequests"
    r"|RequestLimitExceeded",
}


def tells(event: Event) -> bool:
    """Whether an event is worth keeping: a warning, or what overtakes one."""
    return event.type == "Warning" or event.reason in _SUCCESSES


def standing(events: Iterable[Event], kind: str, name: str, since: str = "") -> Event | None:
    """The newest failure to make or keep an object's load balancer; None where it was overcome.

    `since`: what was said before the object was made is of a former one of its name. A load
    balancer is made as well where there are no nodes for it.
    """
    own = [
        one
        for one in events
        if (one.involved_object.kind, one.involved_object.name) == (kind, name)
        and one.seen_at >= since
    ]
    failures = (one for one in own if one.type == "Warning" and one.reason in _FAILURES.split())
    last = max(failures, key=lambda one: one.seen_at, default=None)
    if last is None:
        return None
    past = {_UPDATED} if last.reason == _OF_NODES else _SUCCESSES
    overtaken = any(one.reason in past and one.seen_at >= last.seen_at for one in own)
    return None if overtaken else last


def failure_kind(event: Event) -> str | None:
    """What a failure is of; None for words that are not known."""
    if event.reason == _OF_NODES:
        return "nodes"
    return next((kind for kind, words in _KINDS.items() if re.search(words, event.message)), None)
