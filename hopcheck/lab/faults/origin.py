"""Faults of who makes Traefik's load balancer: what he cannot do, and what he says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.cloud import Target
from hopcheck.lab.events import say
from hopcheck.lab.faults.gallery import DEGRADED, TRAEFIK_SERVICE, Expect, fault
from hopcheck.lab.topology import (
    GATEWAY,
    HOST,
    LOAD_BALANCER,
    TARGETS_HTTP,
    TARGETS_HTTPS,
    TRAEFIK,
)

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]
_NLB = "service.beta.kubernetes.io/aws-load-balancer-"
_LONG_AGO = "2026-01-15T09:00:00Z"
_SYNC = "Error syncing load balancer: failed to ensure load balancer: "
_BUILD, _DEPLOY = "Failed build model due to ", "Failed deploy model due to "
_CLUSTER = "kubernetes.io/cluster/prod"


def _of(code: str) -> Expect:
    return Expect(code, "Service", TRAEFIK, GATEWAY)


def _alone(lab: Lab, **spec: Any) -> None:
    """Traefik's Service waits for its load balancer, and no record can name one."""
    lab.cloud.load_balancers.pop(LOAD_BALANCER)
    for name in (TARGETS_HTTP, TARGETS_HTTPS):
        lab.cloud.target_groups.pop(name)
    _exposed(lab, **spec)
    lab.dns.zone("example.com").delete(HOST)


def _exposed(
    lab: Lab, *, annotations: dict[str, str] | None = None, made: str = "", **spec: object
) -> None:
    """Make Traefik's Service one of type LoadBalancer, long ago; `made`: what its status names."""

    def edit(obj: Obj) -> None:
        obj["spec"] |= {"type": "LoadBalancer", **spec}
        obj["metadata"].setdefault("annotations", {}).update(annotations or {})
        obj["metadata"]["creationTimestamp"] = _LONG_AGO
        obj["status"] = {"loadBalancer": {"ingress": [{"hostname": made}]} if made else {}}

    lab.store.patch("services", GATEWAY, TRAEFIK, edit)


@fault("lb-subnets-untagged", TRAEFIK_SERVICE, _of("SVC018"))
async def subnets_untagged(lab: Lab) -> None:
    """AWS Load Balancer Controller: no subnet has the tag by which it finds them."""
    _alone(lab, loadBalancerClass="service.k8s.aws/nlb")
    words = "unable to resolve at least one subnet (0 match VPC and tags: [kubernetes.io/role/elb])"
    say(lab, "FailedBuildModel", _BUILD + words)


@fault("lb-subnets-unsuitable", TRAEFIK_SERVICE, _of("SVC018"))
async def subnets_unsuitable(lab: Lab) -> None:
    """The cloud provider's service controller finds no subnet for the load balancer."""
    _alone(lab)
    say(lab, "EnsuringLoadBalancer", "Ensuring load balancer", normal=True)
    say(
        lab,
        "SyncLoadBalancerFailed",
        f"{_SYNC}could not find any suitable subnets for creating the ELB",
    )


@fault("lb-no-space", TRAEFIK_SERVICE, _of("SVC018"))
async def no_space(lab: Lab) -> None:
    """The subnet has fewer free addresses than a load balancer needs."""
    _alone(lab)
    words = "InvalidSubnet: Not enough IP space available in subnet-0597ccd9e8d2a050e. "
    words += "ELB requires at least 8 free IP addresses in each subnet."
    say(lab, "SyncLoadBalancerFailed", _SYNC + words)


@fault("lb-access-denied", TRAEFIK_SERVICE, _of("SVC018"))
async def access_denied(lab: Lab) -> None:
    """The controller's IAM policy is of an older version and lacks an action."""
    _alone(lab, loadBalancerClass="service.k8s.aws/nlb")
    say(
        lab,
        "FailedDeployModel",
        f"{_DEPLOY}AccessDenied: User: arn:aws:sts::123456789012:assumed-role/lbc/1718 is not "
        "authorized to perform: elasticloadbalancing:AddTags on resource: arn:aws:"
        "elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/k8s-apigatew-traefik-1a2b/* "
        "because no identity-based policy allows the elasticloadbalancing:AddTags action",
    )


@fault("lb-quota", TRAEFIK_SERVICE, _of("SVC018"))
async def quota(lab: Lab) -> None:
    """The account's quota of load balancers is used up."""
    _alone(lab)
    words = "TooManyLoadBalancers: Exceeded quota of account 123456789012"
    say(lab, "SyncLoadBalancerFailed", _SYNC + words)


@fault("lb-two-tagged-groups", TRAEFIK_SERVICE, _of("SVC018"))
async def two_tagged_groups(lab: Lab) -> None:
    """A node has two security groups with the cluster's tag: the provider will not choose."""
    _alone(lab)
    words = "Multiple tagged security groups found for instance i-035b6e84cf3f12234; ensure only "
    words += "the k8s security group is tagged; the tagged groups were sg-0761bffe57ddf3038(a) "
    say(lab, "SyncLoadBalancerFailed", f"{_SYNC}{words}sg-06554582ebb6d300a(b)")


@fault("lb-source-range", TRAEFIK_SERVICE, _of("SVC018"))
async def source_range(lab: Lab) -> None:
    """One of loadBalancerSourceRanges is no CIDR."""
    _alone(lab, loadBalancerSourceRanges=["203.0.113.7"])
    words = "service.Spec.LoadBalancerSourceRanges: [203.0.113.7] is not valid. Expecting a list of"
    words += " IP ranges. For example, 10.0.0.0/24. Error msg: netutils.ParseIPNets(203.0.113.7)"
    say(lab, "SyncLoadBalancerFailed", f"{_SYNC}{words} got error invalid CIDR address")


@fault("lb-words-unknown", TRAEFIK_SERVICE, _of("SVC018"))
async def words_unknown(lab: Lab) -> None:
    """The controller fails for a reason that no rule knows: it is quoted."""
    _alone(lab, loadBalancerClass="service.k8s.aws/nlb")
    words = "unsupported EIP configuration for an internal Network Load Balancer"
    say(lab, "FailedBuildModel", _BUILD + words)


@fault(
    "lb-binding-security-groups",
    TRAEFIK_SERVICE,
    Expect("SVC018", "TargetGroupBinding", TARGETS_HTTPS, GATEWAY),
    exit_code=DEGRADED,
)
async def binding_groups(lab: Lab) -> None:
    """Two tagged groups on a pod's interface: the controller registers no new address."""
    _exposed(lab, made=lab.cloud.load_balancers[LOAD_BALANCER].dns_name)
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    group.target_type = "ip"
    group.targets = [Target(lab.plan.stale_address, 8443, lab.plan.nodes[0].zone)]
    words = f"expected exactly one securityGroup tagged with {_CLUSTER} for eni eni-0ba86d5bdcb3, "
    words += "got: [sg-0254281e95b14afd8 sg-0dd453bbba4f02fc8] (clusterName: prod)"
    say(lab, "FailedNetworkReconcile", words, kind="TargetGroupBinding", name=TARGETS_HTTPS)


@fault("lb-alb-ingress", TRAEFIK_SERVICE, Expect("SVC018", "Ingress", "edge", GATEWAY))
async def alb_ingress(lab: Lab) -> None:
    """The ALB in front of Traefik is made from an Ingress, and one subnet is not enough."""
    _alone(lab, type="NodePort")
    backend = {"service": {"name": TRAEFIK, "port": {"name": "web"}}}
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": "edge",
                "namespace": GATEWAY,
                "annotations": {"alb.ingress.kubernetes.io/scheme": "internet-facing"},
                "creationTimestamp": _LONG_AGO,
            },
            "spec": {"ingressClassName": "alb", "defaultBackend": backend},
        }
    )
    words = "couldn't auto-discover subnets: subnets count less than minimal required count: 1 < 2"
    say(lab, "FailedBuildModel", _BUILD + words, kind="Ingress", name="edge")


@fault("lb-class-unknown", TRAEFIK_SERVICE, _of("SVC019"))
async def class_unknown(lab: Lab) -> None:
    """The Service's loadBalancerClass is misspelt: nobody takes it, nobody says so."""
    _alone(lab, loadBalancerClass="service.k8s.aws/nbl")


@fault("lb-no-controller", TRAEFIK_SERVICE, _of("SVC019"))
async def no_controller(lab: Lab) -> None:
    """An annotation asks for a controller that is not installed."""
    _alone(lab, annotations={f"{_NLB}type": "external", f"{_NLB}nlb-target-type": "ip"})


@fault("lb-scheme-misspelt", TRAEFIK_SERVICE, _of("SVC020"))
async def scheme_misspelt(lab: Lab) -> None:
    """The annotation for the scheme is misspelt: the load balancer is internal."""
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.scheme = "internal"
    lab.cloud.dark.update(lab.plan.zones.values())
    _exposed(lab, made=balancer.dns_name, annotations={f"{_NLB}schema": "internet-facing"})
