"""How the name leads to the load balancer, or past any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.setups.gallery import Obj, edit_traefik_service, setup
from hopcheck.lab.topology import HOST, LOAD_BALANCER, REGION

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

FAMILY = "names"


def lead(lab: Lab, kind: str, *values: str) -> None:
    """Give the host these records alone."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, kind, list(values))


def _own_name(lab: Lab) -> str:
    return lab.cloud.load_balancers[LOAD_BALANCER].dns_name


@setup(FAMILY, "dns-alias")
async def alias(lab: Lab) -> None:
    """A Route 53 alias: the A records are the load balancer's, and no CNAME shows."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", lambda: lab.cloud.addresses(LOAD_BALANCER))


@setup(FAMILY, "dns-one-address")
async def one_address(lab: Lab) -> None:
    """An A record with one of the load balancer's two elastic addresses."""
    lead(lab, "A", next(iter(lab.plan.zones.values())))


@setup(FAMILY, "dns-chain")
async def chain(lab: Lab) -> None:
    """The host is a CNAME to a shared name, which is one to the load balancer (dualstack.)."""
    lead(lab, "CNAME", "edge.example.com")
    lab.dns.zone("example.com").set("edge.example.com", "CNAME", [f"dualstack.{_own_name(lab)}"])
    _name(lab, f"dualstack.{_own_name(lab)}")


def _name(lab: Lab, name: str) -> None:
    zone = lab.dns.zone(f"elb.{REGION}.amazonaws.com")
    zone.set(name, "A", lambda: lab.cloud.addresses(LOAD_BALANCER))


@setup(FAMILY, "dns-wildcard-record")
async def wildcard(lab: Lab) -> None:
    """Only *.example.com has a record."""
    lead(lab, "CNAME", "unused.example.com")
    lab.dns.zone("example.com").delete(HOST)
    lab.dns.zone("example.com").set("*.example.com", "CNAME", [_own_name(lab)])


@setup(FAMILY, "dns-zonal-name")
async def zonal(lab: Lab) -> None:
    """The CNAME names one zone of the load balancer."""
    zone, address = next(iter(lab.plan.zones.items()))
    name = f"{zone}.{_own_name(lab)}"
    lead(lab, "CNAME", name)
    lab.dns.zone(f"elb.{REGION}.amazonaws.com").set(name, "A", [address])


@setup(FAMILY, "aws-none", "puppppp", without="aws")
async def no_aws(_lab: Lab) -> None:
    """Nobody here has AWS credentials; everything else can be seen."""


@setup(FAMILY, "aws-other-account", "puppppp")
async def other_account(lab: Lab) -> None:
    """The credentials are those of an account that has nothing to do with the host."""
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    stranger = "k8s-shop-1f2e3d4c5b6a7988.elb.ap-northeast-2.amazonaws.com"
    addresses = [zone.address for zone in balancer.zones]
    lead(lab, "CNAME", stranger)
    lab.dns.zone(f"elb.{REGION}.amazonaws.com").set(stranger, "A", addresses)
    # The data plane stays, the API shows another load balancer in its place.
    lab.cloud.hidden.add(LOAD_BALANCER)


@setup(FAMILY, "metallb", "pnppppp", without="aws")
async def metallb(lab: Lab) -> None:
    """On premises: a Service of type LoadBalancer whose address MetalLB announces."""
    _announce(lab)


@setup(FAMILY, "metallb-with-aws", "pnppppp")
async def metallb_with_aws(lab: Lab) -> None:
    """The same, diagnosed by somebody whose AWS credentials belong to something else."""
    _announce(lab)
    lab.cloud.load_balancers.clear()
    lab.cloud.target_groups.clear()


def _announce(lab: Lab) -> None:
    address = lab.address(34)

    def edit(obj: Obj) -> None:
        obj["spec"]["type"] = "LoadBalancer"
        obj["status"]["loadBalancer"] = {"ingress": [{"ip": address, "ipMode": "VIP"}]}

    edit_traefik_service(lab, edit)
    lead(lab, "A", address)


@setup(FAMILY, "external-ips", "pnppppp", without="aws")
async def external_ips(lab: Lab) -> None:
    """On premises: the Service's externalIPs, which a router sends to the nodes."""
    edit_traefik_service(lab, lambda obj: obj["spec"].update(externalIPs=[lab.address(34)]))
    lead(lab, "A", lab.address(34))


@setup(FAMILY, "k3s", "pnppppp", without="aws direct")
async def k3s(lab: Lab) -> None:
    """k3s: the Service's load balancer addresses are the nodes' own (servicelb)."""

    def edit(obj: Obj) -> None:
        obj["spec"]["type"] = "LoadBalancer"
        nodes = [{"ip": node.address, "ipMode": "VIP"} for node in lab.plan.nodes]
        obj["status"]["loadBalancer"] = {"ingress": nodes}

    edit_traefik_service(lab, edit)
    lead(lab, "A", *(node.address for node in lab.plan.nodes))


@setup(FAMILY, "node-port-url", "pnppppp", target=f"https://{HOST}:30001/", without="aws")
async def node_port_url(lab: Lab) -> None:
    """No load balancer: clients use the nodes' names and the nodePort."""
    lead(lab, "A", *(node.address for node in lab.plan.nodes))


@setup(FAMILY, "unknown-proxy", "puppppp", without="aws")
async def unknown_proxy(lab: Lab) -> None:
    """On premises: a load balancer that the cluster does not know passes TCP to the nodePorts."""
    lead(lab, "A", *lab.plan.zones.values())


@setup(FAMILY, "unmatched-proxy", "puppppp")
async def unmatched_proxy(lab: Lab) -> None:
    """A load balancer of some other kind, and an AWS account with NLBs of other clusters."""
    from hopcheck.lab.cloud import Listener, LoadBalancer, Target, TargetGroup, Zone, forward

    lab.cloud.hidden.add(LOAD_BALANCER)
    lead(lab, "A", *lab.plan.zones.values())
    strangers = [Target("i-0ffffffffffff0001", 31000), Target("i-0ffffffffffff0002", 31000)]
    lab.cloud.add(
        TargetGroup("other-cluster", "TCP", 31000, targets=strangers),
        LoadBalancer(
            "other-cluster",
            [Zone("ap-northeast-2a", lab.address(36))],
            listeners=[Listener(443, "TCP", forward("other-cluster"))],
        ),
    )


@setup(FAMILY, "short-lived-records")
async def short_lived(lab: Lab) -> None:
    """The records live for five seconds, and the host has TXT and CAA records at its parent."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "CNAME", [_own_name(lab)], ttl=5)
    zone.set("example.com", "TXT", ['"v=spf1 -all"'])
    zone.set("example.com", "CAA", ['0 issue "amazon.com"'])


@setup(FAMILY, "dns-two-load-balancers")
async def two_balancers(lab: Lab) -> None:
    """The records hold the addresses of two load balancers, both of which lead here."""
    from hopcheck.lab.setups.load_balancers import another

    balancer = another(lab, "myapp-second")
    lead(lab, "A", *lab.plan.zones.values(), *(zone.address for zone in balancer.zones))


@setup(FAMILY, "split-horizon")
async def split_horizon(lab: Lab) -> None:
    """Another resolver gives the addresses of an internal load balancer, on purpose."""
    from hopcheck.lab.setups.load_balancers import another

    balancer = another(lab, "myapp-internal")
    second = (await lab.add_resolver()).zone("example.com")
    second.delete(HOST)
    second.set(HOST, "A", [zone.address for zone in balancer.zones])


@setup(FAMILY, "other-port", target=f"https://{HOST}:8443/")
async def other_port(lab: Lab) -> None:
    """The site is on port 8443, and on no other."""
    from hopcheck.lab.cloud import Listener, forward
    from hopcheck.lab.topology import TARGETS_HTTPS

    own = Listener(8443, "TCP", forward(TARGETS_HTTPS))
    lab.cloud.load_balancers[LOAD_BALANCER].listeners = [own]


@setup(FAMILY, "aws-partly-denied", "puppppp")
async def partly_denied(lab: Lab) -> None:
    """The AWS role may list load balancers and not see their targets' health."""
    lab.cloud.denied = {"elasticloadbalancing:DescribeTargetHealth"}


@setup(FAMILY, "aws-details-denied")
async def details_denied(lab: Lab) -> None:
    """The AWS role lacks everything that is optional."""
    described = ("TargetGroupAttributes", "LoadBalancerAttributes", "Rules")
    lab.cloud.denied = {f"elasticloadbalancing:Describe{name}" for name in described}
    lab.cloud.denied |= {f"ec2:Describe{n}" for n in ("NetworkInterfaces", "SecurityGroups")}
    lab.cloud.denied |= {"ec2:DescribeInstances"}


@setup(FAMILY, "aws-expired", "puppppp")
async def expired(lab: Lab) -> None:
    """The AWS session has expired."""
    lab.cloud.credentials = "expired"


@setup(FAMILY, "aws-throttled")
async def throttled(lab: Lab) -> None:
    """AWS throttles the first call."""
    lab.cloud.throttle = 1
