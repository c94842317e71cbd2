"""Reports about load balancers, their targets and security groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.cloud import (
    HealthCheck,
    Listener,
    Target,
    TargetGroup,
    admit,
    forward,
    instance,
    redirect,
)
from hopcheck.lab.faults.balancer import certificate, end_tls, https_listener, redirect_web, use_alb
from hopcheck.lab.faults.gallery import REQUEST, TARGET_HEALTH, TRAEFIK_SERVICE
from hopcheck.lab.field.gallery import Mend, Named, nothing, report
from hopcheck.lab.settings import BALANCER_GROUP, NODE_GROUP
from hopcheck.lab.setups.gallery import Obj, edit_traefik_service, flags, get
from hopcheck.lab.setups.load_balancers import to_pods
from hopcheck.lab.setups.traefiks import host_ports
from hopcheck.lab.topology import (
    APP,
    GATEWAY,
    INGRESS,
    LOAD_BALANCER,
    SERVICE,
    TARGETS_HTTP,
    TARGETS_HTTPS,
    TRAEFIK,
)

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_LISTENER = Named(TARGET_HEALTH, "Listener", f"{LOAD_BALANCER}:443")
_NODES = Named(TARGET_HEALTH, "SecurityGroup", NODE_GROUP)
_APPLICATION = f"Application {APP}/{SERVICE}"
_ALB_TARGETS = "myapp-alb"
_NODE_PORTS = (30000, 32767)
_OTHER_GROUP = "sg-0a1b2c3d4e5f6000f"  # of no load balancer of ours


def _admit_to_nodes(lab: Lab, *rules: Obj) -> None:
    lab.cloud.enforce_security_groups = True
    group = next(one for one in lab.cloud.security_groups if one["GroupId"] == NODE_GROUP)
    group["IpPermissions"] = list(rules)


@report("f20", _LISTENER, happens="400|404.*", innocent=(f"Ingress {APP}/{INGRESS}",))
async def tls_ends_twice(lab: Lab) -> Mend:
    """The NLB ends TLS and sends plain text to the pods' port that expects TLS."""
    to_pods(lab)
    end_tls(lab, TARGETS_HTTPS)

    async def mend() -> None:
        listener = https_listener(lab)
        listener.protocol, listener.certificates = "TCP", []

    return mend


@report("f23", _NODES, happens="504 of the load balancer", innocent=(
    f"TargetGroup {_ALB_TARGETS}", f"Deployment {GATEWAY}/{TRAEFIK}",
))  # fmt: skip
async def nodes_closed_to_alb(lab: Lab) -> Mend:
    """The nodes' group does not admit the ALB to the nodePort: Target.Timeout."""
    use_alb(lab)
    _admit_to_nodes(lab, admit(22, cidrs=["10.0.0.0/8"]))

    async def mend() -> None:
        _admit_to_nodes(lab, admit(_NODE_PORTS, groups=[BALANCER_GROUP]))

    return mend


@report(
    "f24",
    Named(TRAEFIK_SERVICE, "Deployment", TRAEFIK, GATEWAY),
    Named(REQUEST, "Deployment", TRAEFIK, GATEWAY),
    happens="418",
    says="(?i)redirect",
    never="--expect-status",
    innocent=(_APPLICATION,),
)
async def redirect_of_https(lab: Lab) -> Mend:
    """The ALB ends TLS, and entryPoint web redirects what it knows to be https: 418."""
    use_alb(lab)
    await redirect_web(lab)
    await flags(lab, "--entryPoints.web.forwardedHeaders.trustedIPs=10.0.0.0/8,127.0.0.0/8")

    async def mend() -> None:  # the ALB's own listener on 80 redirects
        await flags(lab, without=("--entryPoints.web.http.redirections",))

    return mend


@report(
    "f25",
    Named(TARGET_HEALTH, "TargetGroup", TARGETS_HTTPS),
    happens="no answer",
    says=r"(?i)\bregister",
    innocent=(f"Listener {LOAD_BALANCER}:443", f"LoadBalancer {LOAD_BALANCER}"),
)
async def nodes_replaced(lab: Lab) -> Mend:
    """Every registered instance is terminated; the nodes of today are not registered."""
    new = {one.name: f"i-0b2c3d4e5f6a7000{number}" for number, one in enumerate(lab.plan.nodes)}
    gone = [
        instance(one.instance, one.zone, lab.address(90 + number), state="terminated")
        for number, one in enumerate(lab.plan.nodes)
    ]
    lab.cloud.instances = gone + [
        instance(new[one.name], one.zone, one.address, security_groups=[NODE_GROUP])
        for one in lab.plan.nodes
    ]
    for one in lab.plan.nodes:

        def remade(obj: Obj, own: str = f"aws:///{one.zone}/{new[one.name]}") -> None:
            obj["spec"]["providerID"] = own

        lab.store.patch("nodes", None, one.name, remade)
    # Nothing answers the SYN for a target that is gone.
    lab.cloud.dark.update(lab.plan.zones.values())

    async def mend() -> None:
        lab.cloud.dark.clear()
        for name in (TARGETS_HTTP, TARGETS_HTTPS):
            group = lab.cloud.target_groups[name]
            group.targets = [Target(ident, group.port) for ident in new.values()]

    return mend


@report("f26", _NODES, happens="no answer", says=BALANCER_GROUP)
async def nodes_admit_another_group(lab: Lab) -> Mend:
    """The nodes admit the nodePorts from another group than the NLB carries."""
    _admit_to_nodes(lab, admit(_NODE_PORTS, groups=[_OTHER_GROUP]))

    async def mend() -> None:
        _admit_to_nodes(lab, admit(_NODE_PORTS, groups=[BALANCER_GROUP]))

    return mend


@report(
    "f27",
    Named(TARGET_HEALTH, "TargetGroup", _ALB_TARGETS),
    happens="200",
    says="9000",
    never="TCP|(?i:nodeport)",
)
async def ping_on_web(lab: Lab) -> Mend:
    """The ALB checks /ping at the pods' web port, and ping is on another: it fails open."""
    use_alb(lab)
    pods = [Target(pod.address, pod.ports["web"], pod.node.zone) for pod in lab.plan.traefik]
    check = HealthCheck("HTTP", path="/ping", matcher="200")
    port = lab.plan.traefik[0].ports["web"]
    lab.cloud.add(TargetGroup(_ALB_TARGETS, "HTTP", port, "ip", pods, check))

    async def mend() -> None:
        check.port = str(lab.plan.traefik[0].ports["traefik"])

    return mend


@report(
    "f28",
    _LISTENER,
    happens="refused",
    says="(?i)certificate",
    innocent=(f"Listener {LOAD_BALANCER}:80",),
)
async def redirect_to_nowhere(lab: Lab) -> Mend:
    """The ALB redirects http to https and has no listener on 443."""
    use_alb(lab)
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.listeners = [Listener(80, "HTTP", redirect())]

    async def mend() -> None:
        own = Listener(443, "HTTPS", forward(_ALB_TARGETS), certificates=[certificate(lab)])
        balancer.listeners.append(own)

    return mend


@report("f29", happens="200", innocent=(f"SecurityGroup {NODE_GROUP}",))
async def tainted_node(lab: Lab) -> Mend:
    """A DaemonSet on hostPorts with its ClusterIP Service; one target is a node without a pod."""
    service = get(lab, "services", GATEWAY, TRAEFIK)
    every = {name: list(lab.cloud.target_groups[name].targets) for name in _BOTH}
    await host_ports(lab)
    for name in _BOTH:
        group = lab.cloud.target_groups[name]
        group.targets = [Target(one.id, group.port) for one in every[name]]
    for port in service["spec"]["ports"]:
        port.pop("nodePort")
    service["spec"]["type"] = "ClusterIP"
    lab.store.put(service)
    edit_traefik_service(lab, lambda obj: obj["spec"].pop("externalTrafficPolicy", None))
    taint = {"key": "dedicated", "value": "batch", "effect": "NoSchedule"}
    last = lab.plan.nodes[-1].name
    lab.store.patch("nodes", None, last, lambda obj: obj["spec"].update(taints=[taint]))
    return nothing


_BOTH = (TARGETS_HTTP, TARGETS_HTTPS)
