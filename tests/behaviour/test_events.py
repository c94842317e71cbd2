"""What controllers and AWS say of a load balancer, by its kind: their words, as reported."""

import pytest

from hopcheck.behaviour.kubernetes.events import failure_kind
from hopcheck.catalogue.catalogue import entry
from hopcheck.model.kubernetes import Event

WORDS = {
    "subnets": (
        "couldn't auto-discover subnets: unable to resolve at least one subnet (0 match VPC and "
        "tags: [kubernetes.io/role/elb])",
        "unable to resolve at least one subnet. Evaluated 0 subnets: 0 are tagged for other "
        "clusters, and 0 have insufficient available IP addresses",
        "couldn't auto-discover subnets: subnets count less than minimal required count: 1 < 2",
        "failed to ensure load balancer: could not find any suitable subnets for creating the ELB",
    ),
    "space": (
        "InvalidSubnet: Not enough IP space available in subnet-0a. ELB requires at least 8 free "
        "IP addresses in each subnet.",
        "InsufficientFreeAddressesInSubnet: Insufficient Free Addresses In Subnet.",
    ),
    "groups": (
        "expected exactly one securityGroup tagged with kubernetes.io/cluster/c for eni eni-0, "
        "got: [sg-0 sg-1] (clusterName: c)",
        "expected exactly one securityGroup tagged with kubernetes.io/cluster/c for eni eni-0, "
        "got: [] (clusterName: c)",
        "Multiple tagged security groups found for instance i-0; ensure only the k8s security group"
        " is tagged; the tagged groups were sg-0(a) sg-1(b)",
        "Multiple untagged security groups found for instance i-0; ensure the k8s security group is"
        " tagged",
    ),
    "rights": (
        "AccessDenied: User: arn:aws:sts::1:assumed-role/r/1 is not authorized to perform: "
        "elasticloadbalancing:AddTags on resource: arn because no identity-based policy allows it",
        "AccessDeniedException: User is not authorized: waf-regional:GetWebACLForResource",
        "UnauthorizedOperation: You are not authorized to perform this operation. Encoded "
        "authorization failure message: x",
        "operation error EC2: DescribeSubnets, get identity: get credentials: failed to refresh "
        "cached credentials, no EC2 IMDS role found",
        "WebIdentityErr: failed to retrieve credentials",
        "AccessDenied: not authorized to perform: acm:ListCertificates",
        "AccessDenied: not authorized to perform: ec2:DescribeSubnets for free IP addresses",
    ),
    "quota": (
        "TooManyLoadBalancers: Exceeded quota of account 123456789012",
        "TooManyTargetGroups: The maximum number of target groups has been reached",
        "RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group",
        "AddressLimitExceeded: The maximum number of addresses has been reached.",
    ),
    "certificate": ("no certificate found for host: app.example.com", "CertificateNotFound: arn"),
    "ranges": ("LoadBalancerSourceRanges: [x] is not valid", "invalid CIDR address: 203.0.113.7"),
    "port": (
        "InvalidParameter: 1 validation error(s) found. minimum field value of 1, "
        "CreateTargetGroupInput.Port.",
        "TargetGroup port is empty. When using Instance targets, your service must be of type "
        "'NodePort' or 'LoadBalancer'",
        "service type must be either 'NodePort' or 'LoadBalancer': default/a",
    ),
    "taken": (
        "DuplicateLoadBalancerName: A load balancer with the same name 'a' exists, but with "
        "different settings",
    ),
    "aws": (
        "InternalFailure: An internal failure occurred.",
        "Throttling: Rate exceeded",
        "TooManyRequestsException: slow down",
        "RequestLimitExceeded: Request limit exceeded.",
    ),
    None: (
        "conflicting scheme: map[internal:{} internet-facing:{}]",
        "InvalidSubnet: VPC vpc-0a has no internet gateway",
        "InvalidGroup.NotFound: The security group 'sg-0' does not exist",
        "Internal error occurred: failed calling webhook: tls: failed to verify certificate: x509",
        "ResourceInUse: Target group 'arn' is currently in use by a listener or a rule",
        "backend not found",
        "",
    ),
}


@pytest.mark.parametrize(
    ("kind", "words"), [(k, one) for k, every in WORDS.items() for one in every]
)
def test_words_are_of_their_kind(kind: str | None, words: str) -> None:
    assert failure_kind(Event(message=f"Failed build model due to {words}")) == kind


def test_each_kind_has_its_own_advice_and_none_else() -> None:
    assert {*entry("SVC018").variants} == {*WORDS, "nodes"} - {None}


def test_a_want_of_nodes_is_told_by_its_reason() -> None:
    assert failure_kind(Event(reason="UnAvailableLoadBalancer", message="no nodes")) == "nodes"
