"""Annotations by which load balancers are made, and what a misspelt one was meant to be (pure).

Sources: kubernetes-sigs/aws-load-balancer-controller, pkg/annotations/constants.go (v2.17) and
docs/guide/service/annotations.md, docs/guide/ingress/annotations.md; kubernetes/cloud-provider-aws,
pkg/providers/v1/aws.go (the second list, its alone).
"""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.traefik.near import within
from hopcheck.model.kubernetes import Object, Service

# After "aws-load-balancer-".
_OF_SERVICES = """
type nlb-target-type name scheme internal proxy-protocol proxy-protocol-per-target-group
ip-address-type access-log-enabled access-log-s3-bucket-name access-log-s3-bucket-prefix
cross-zone-load-balancing-enabled ssl-cert ssl-ports ssl-negotiation-policy backend-protocol
additional-resource-tags healthcheck-healthy-threshold healthcheck-unhealthy-threshold
healthcheck-timeout healthcheck-interval healthcheck-protocol healthcheck-port healthcheck-path
healthcheck-success-codes target-group-attributes subnets eip-allocations
eip-allocations-discovery-tags private-ipv4-addresses ipv6-addresses alpn-policy target-node-labels
attributes security-groups manage-backend-security-group-rules
inbound-sg-rules-on-private-link-traffic security-group-prefix-lists listener-attributes
multi-cluster-target-group enable-prefix-for-ipv6-source-nat source-nat-ipv6-prefixes
minimum-load-balancer-capacity enable-icmp-for-path-mtu-discovery enable-tcp-udp-listener
disable-nlb-sg quic-enabled-ports quic-enabled-containers

access-log-emit-interval connection-draining-enabled connection-draining-timeout
connection-idle-timeout extra-security-groups
"""
_OF_INGRESSES = """
load-balancer-name group.name group.order tags ip-address-type scheme subnets
customer-owned-ipv4-pool load-balancer-attributes wafv2-acl-arn wafv2-acl-name waf-acl-id web-acl-id
shield-advanced-protection security-groups listen-ports ssl-redirect inbound-cidrs certificate-arn
ssl-policy target-type backend-protocol backend-protocol-version target-group-attributes
healthcheck-port healthcheck-protocol healthcheck-path healthcheck-interval-seconds
healthcheck-timeout-seconds healthy-threshold-count unhealthy-threshold-count success-codes
auth-type auth-idp-cognito auth-idp-oidc auth-on-unauthenticated-request auth-scope
auth-session-cookie auth-session-timeout jwt-validation target-node-labels
manage-backend-security-group-rules mutual-authentication security-group-prefix-lists
listener-attributes multi-cluster-target-group minimum-load-balancer-capacity ipam-ipv4-pool-id
use-regex-path-match target-control-port create-acm-cert acm-pca-arn actions conditions transforms
"""
_SERVICE = "service.beta.kubernetes.io/"
_ALB = "alb.ingress.kubernetes.io/"
_LOAD_BALANCER = "aws-load-balancer-"
_SLIPS = 2  # letters


def misspelt(obj: Object) -> Iterator[tuple[str, str]]:
    """Annotations that nobody reads, each with the one that it reads like.

    Only what is a slip away from a known one: others may be of a newer controller.
    """
    prefixes, known = [_ALB], _OF_INGRESSES.split()
    if isinstance(obj, Service):
        prefixes = [_SERVICE, "service.kubernetes.io/"]
        known = [_LOAD_BALANCER + one for one in _OF_SERVICES.split()]
    for key in obj.metadata.annotations:
        prefix, slash, own = key.partition("/")
        if prefix + slash not in prefixes or own in known or own.partition(".")[0] in known:
            continue
        near = [f"{prefix}/{one}" for one in known if within(own.lower(), one, _SLIPS)]
        if len(near) == 1 and near[0] not in obj.metadata.annotations:
            yield key, near[0]


def type_of(service: Service) -> str:
    """The kind of load balancer that annotations ask for, "" for the cloud provider's default."""
    return service.metadata.annotations.get(f"{_SERVICE}{_LOAD_BALANCER}type", "")
