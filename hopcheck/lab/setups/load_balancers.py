"""Load balancers of other kinds, with other targets, and with neighbours that are broken."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, Literal

from hopcheck.lab.cloud import (
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
from hopcheck.lab.events import say
from hopcheck.lab.setups.gallery import Obj, edit_traefik_service, flags, get, put, setup
from hopcheck.lab.setups.names import lead
from hopcheck.lab.topology import (
    GATEWAY,
    HOST,
    LOAD_BALANCER,
    REGION,
    TARGETS_HTTP,
    TARGETS_HTTPS,
    TRAEFIK,
    TRAEFIK_PODS,
)

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

FAMILY = "load balancer"
Kind = Literal["instance", "ip"]
_PING = HealthCheck("HTTP", port="30900", path="/ping")


def certificate(lab: Lab, *names: str) -> Certificate:
    """A certificate of ACM for the host (or `names`), from the authority that clients trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lab.certificates.public.issue_cert(*(names or (HOST,))).configure_cert(context)
    return Certificate(f"arn:aws:acm:{REGION}:123456789012:certificate/0b1c2d3e", context)


def point_to(lab: Lab, balancer: LoadBalancer) -> None:
    """Put a load balancer into the account, with its own name, and lead the host to it."""
    lab.cloud.add(balancer)
    parent = balancer.dns_name.partition(".")[2]
    lab.dns.zone(parent).set(balancer.dns_name, "A", lambda: lab.cloud.addresses(balancer.name))
    lead(lab, "CNAME", balancer.dns_name)


def _zones(lab: Lab, first: int = 32) -> list[Zone]:
    return [Zone(name, lab.address(first + n)) for n, name in enumerate(lab.plan.zones)]


def _pods(lab: Lab, entry: str) -> list[Target]:
    return [Target(pod.address, pod.ports[entry], pod.node.zone) for pod in lab.plan.traefik]


def _nodes(lab: Lab, entry: str, kind: Kind = "instance") -> list[Target]:
    port = lab.plan.node_ports[entry]
    if kind == "ip":
        return [Target(node.address, port, node.zone) for node in lab.plan.nodes]
    return [Target(node.instance, port) for node in lab.plan.nodes]


def _retarget(lab: Lab, kind: Kind, web: list[Target], websecure: list[Target]) -> None:
    for name, found in ((TARGETS_HTTP, web), (TARGETS_HTTPS, websecure)):
        group = lab.cloud.target_groups[name]
        group.target_type, group.targets, group.port = kind, found, found[0].port


def to_pods(lab: Lab) -> None:
    """Let the NLB send to Traefik's own addresses."""
    _retarget(lab, "ip", _pods(lab, "web"), _pods(lab, "websecure"))


def _alb(
    lab: Lab, group: TargetGroup, *, rules: list[Rule] | None = None, behind: bool = False
) -> LoadBalancer:
    """An ALB with the certificate on 443 and a redirect on 80, in place of the NLB."""
    lab.cloud.load_balancers.clear()
    lab.cloud.target_groups.clear()
    lab.cloud.add(group)
    action = fixed_response(404, "no such site") if rules else forward(group.name)
    return LoadBalancer(
        "myapp-alb",
        _zones(lab),
        type="application",
        scheme="internal" if behind else "internet-facing",
        listeners=[
            Listener(443, "HTTPS", action, rules=rules or [], certificates=[certificate(lab)]),
            Listener(80, "HTTP", redirect()),
        ],
    )


@setup(FAMILY, "alb-instances")
async def alb_instances(lab: Lab) -> None:
    """An ALB with the certificate, instance targets on web's nodePort, http redirected."""
    port = lab.plan.node_ports["web"]
    group = TargetGroup("myapp-alb", "HTTP", port, targets=_nodes(lab, "web"), check=_PING)
    point_to(lab, _alb(lab, group))


@setup(FAMILY, "alb-pods")
async def alb_pods(lab: Lab) -> None:
    """An ALB whose targets are Traefik's pods, as the AWS load balancer controller makes it."""
    check = HealthCheck("HTTP", path="/", matcher="200-404")
    group = TargetGroup("k8s-web", "HTTP", 8080, "ip", _pods(lab, "web"), check)
    point_to(lab, _alb(lab, group))


@setup(FAMILY, "alb-rules", target=f"https://{HOST}/shop/cart")
async def alb_rules(lab: Lab) -> None:
    """An ALB shared by many sites: host and path rules, and a fixed 404 for all else."""
    nodes, port = _nodes(lab, "web"), lab.plan.node_ports["web"]
    lab_group = TargetGroup("myapp-alb", "HTTP", port, targets=nodes, check=_PING)
    rules = [
        Rule(5, fixed_response(503, "closed"), hosts=["closed.example.com"]),
        Rule(10, forward("myapp-alb"), hosts=["*.example.com"], paths=["/shop/*", "/shop"]),
        Rule(20, forward("empty"), hosts=[HOST]),
    ]
    point_to(lab, _alb(lab, lab_group, rules=rules))
    lab.cloud.add(TargetGroup("empty", "HTTP", 31111))


@setup(FAMILY, "alb-https-targets")
async def alb_https(lab: Lab) -> None:
    """An ALB that encrypts again: HTTPS targets on websecure's nodePort."""
    port, check = lab.plan.node_ports["websecure"], HealthCheck("HTTPS", matcher="200-499")
    group = TargetGroup("myapp-alb", "HTTPS", port, targets=_nodes(lab, "websecure"), check=check)
    point_to(lab, _alb(lab, group))


@setup(FAMILY, "alb-behind-nlb")
async def alb_behind_nlb(lab: Lab) -> None:
    """An NLB for fixed addresses, whose target is an ALB."""
    port = lab.plan.node_ports["web"]
    group = TargetGroup("myapp-alb", "HTTP", port, targets=_nodes(lab, "web"), check=_PING)
    alb = _alb(lab, group, behind=True)
    arn = f"arn:aws:elasticloadbalancing:{REGION}:{lab.cloud.account}:loadbalancer/{alb.path}"
    zones = [Zone(name, address) for name, address in lab.plan.zones.items()]
    to_alb = [
        TargetGroup(f"alb-{number}", "TCP", number, "alb", [Target(arn, number, "all")], check)
        for number, check in ((443, HealthCheck("HTTPS", matcher="200-499")), (80, HealthCheck()))
    ]
    listeners = [Listener(one.port, "TCP", forward(one.name)) for one in to_alb]
    lab.cloud.add(alb, *to_alb)
    point_to(lab, LoadBalancer("front", zones, listeners=listeners))


@setup(FAMILY, "nlb-internal")
async def internal(lab: Lab) -> None:
    """An internal NLB, with private addresses in public DNS."""
    lab.cloud.load_balancers[LOAD_BALANCER].scheme = "internal"


@setup(FAMILY, "nlb-pods")
async def nlb_pods(lab: Lab) -> None:
    """Ip targets: Traefik's pods on their own ports, and a Service without nodePorts."""
    to_pods(lab)
    edit_traefik_service(lab, lambda obj: obj["spec"].update(type="ClusterIP"))


@setup(FAMILY, "nlb-node-addresses")
async def node_addresses(lab: Lab) -> None:
    """Ip targets that are the nodes' addresses on nodePorts (section 5.3 of the page)."""
    _retarget(lab, "ip", _nodes(lab, "web", "ip"), _nodes(lab, "websecure", "ip"))


@setup(FAMILY, "nlb-tls")
async def nlb_tls(lab: Lab) -> None:
    """The NLB ends TLS with its own certificate and sends plain HTTP to entryPoint web."""
    _listener(lab, Listener(443, "TLS", forward(TARGETS_HTTP), certificates=[certificate(lab)]))


@setup(FAMILY, "nlb-tls-again")
async def nlb_tls_again(lab: Lab) -> None:
    """The NLB ends TLS and encrypts again towards websecure; Traefik has no certificate."""
    lab.cloud.target_groups[TARGETS_HTTPS].protocol = "TLS"
    _listener(lab, Listener(443, "TLS", forward(TARGETS_HTTPS), certificates=[certificate(lab)]))
    lab.store.patch("ingresses", "default", "my-app-ingress", lambda o: o["spec"].pop("tls"))


def _listener(lab: Lab, listener: Listener) -> None:
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    others = [one for one in balancer.listeners if one.port != listener.port]
    balancer.listeners = [*others, listener]


@setup(FAMILY, "nlb-proxy-protocol")
async def proxy_protocol(lab: Lab) -> None:
    """PROXY protocol v2 at both ends."""
    for name in (TARGETS_HTTP, TARGETS_HTTPS):
        lab.cloud.target_groups[name].attributes["proxy_protocol_v2.enabled"] = "true"
    trusted = "proxyProtocol.trustedIPs=10.0.0.0/8,127.0.0.0/8"
    await flags(lab, f"--entryPoints.web.{trusted}", f"--entryPoints.websecure.{trusted}")


@setup(FAMILY, "nlb-ping")
async def ping_check(lab: Lab) -> None:
    """The health check asks /ping on the nodePort of entryPoint traefik."""
    for name in (TARGETS_HTTP, TARGETS_HTTPS):
        port = str(lab.plan.node_ports["traefik"])
        lab.cloud.target_groups[name].check = HealthCheck("HTTP", port=port, path="/ping")


@setup(FAMILY, "nlb-local")
async def local(lab: Lab) -> None:
    """ExternalTrafficPolicy Local, two pods and three nodes: one target is unhealthy."""
    edit_traefik_service(lab, lambda obj: obj["spec"].update(externalTrafficPolicy="Local"))


@setup(FAMILY, "nlb-local-one-zone")
async def local_one_zone(lab: Lab) -> None:
    """Local with a single Traefik pod: the other zone has failed out of DNS."""
    edit_traefik_service(lab, lambda obj: obj["spec"].update(externalTrafficPolicy="Local"))
    await lab.stop_traefik(TRAEFIK_PODS[1])


@setup(FAMILY, "nlb-weights")
async def weights(lab: Lab) -> None:
    """Blue and green: all weight on this cluster's target group, none on an empty one."""
    lab.cloud.add(TargetGroup("myapp-green", "TCP", 32443))
    action = forward(TARGETS_HTTPS, "myapp-green")
    action.targets = [(TARGETS_HTTPS, 100), ("myapp-green", 0)]
    _listener(lab, Listener(443, "TCP", action))


@setup(FAMILY, "nlb-moving-targets")
async def moving(lab: Lab) -> None:
    """A node comes, another goes: targets initial and draining beside healthy ones."""
    states = (
        TargetState("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
        TargetState("draining", "Target.DeregistrationInProgress", "Target deregistration"),
    )
    for name, entry in ((TARGETS_HTTP, "web"), (TARGETS_HTTPS, "websecure")):
        group, port = lab.cloud.target_groups[name], lab.plan.node_ports[entry]
        for number, state in enumerate(states):
            gone = Target(f"i-0bbbbbbbbbbbb000{number}", port, "ap-northeast-2a", forced=state)
            group.targets.append(gone)


@setup(FAMILY, "nlb-neighbours")
async def neighbours(lab: Lab) -> None:
    """The NLB also serves a broken port of somebody else, and another NLB is down."""
    dead = [Target(node.instance, 32555) for node in lab.plan.nodes]
    lab.cloud.add(
        TargetGroup("postgres", "TCP", 32555, targets=dead),
        TargetGroup("nobody", "TCP", 32556),
        LoadBalancer(
            "legacy",
            _zones(lab),
            listeners=[Listener(443, "TCP", forward("nobody"))],
            state="active_impaired",
        ),
    )
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.listeners.append(Listener(5432, "TCP", forward("postgres")))


def another(lab: Lab, name: str) -> LoadBalancer:
    """A second NLB that leads to the same nodePorts."""
    listeners = [
        Listener(443, "TCP", forward(TARGETS_HTTPS)),
        Listener(80, "TCP", forward(TARGETS_HTTP)),
    ]
    balancer = LoadBalancer(name, _zones(lab), scheme="internal", listeners=listeners)
    lab.cloud.add(balancer)
    return balancer


@setup(FAMILY, "nlb-shared-nodes")
async def shared_nodes(lab: Lab) -> None:
    """Two NLBs, public and internal, lead to the same nodePorts; the host uses the second."""
    point_to(lab, another(lab, "myapp-internal"))


@setup(FAMILY, "nlb-tcp-udp")
async def tcp_udp(lab: Lab) -> None:
    """The listener and its target group are TCP_UDP, for HTTP/3."""
    lab.cloud.target_groups[TARGETS_HTTPS].protocol = "TCP_UDP"
    _listener(lab, Listener(443, "TCP_UDP", forward(TARGETS_HTTPS)))


@setup(FAMILY, "nlb-zonal-shift")
async def zonal_shift(lab: Lab) -> None:
    """A zone was shifted away on purpose; cross-zone load balancing is on."""
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.shifted_zones = {"ap-northeast-2c"}
    balancer.attributes["load_balancing.cross_zone.enabled"] = "true"


@setup(FAMILY, "nlb-some-nodes")
async def some_nodes(lab: Lab) -> None:
    """Only two of the nodes are targets: the third is a control-plane node."""
    for name in (TARGETS_HTTP, TARGETS_HTTPS):
        del lab.cloud.target_groups[name].targets[2]
    node = lab.plan.nodes[2].name
    lab.store.patch(
        "nodes",
        None,
        node,
        lambda o: o["metadata"]["labels"].update({"node-role.kubernetes.io/control-plane": ""}),
    )


@setup(FAMILY, "service-load-balancer")
async def service_load_balancer(lab: Lab) -> None:
    """Traefik's Service is of type LoadBalancer and names the NLB in its status."""
    name = lab.cloud.load_balancers[LOAD_BALANCER].dns_name

    def edit(obj: Obj) -> None:
        obj["spec"]["type"] = "LoadBalancer"
        obj["status"]["loadBalancer"] = {"ingress": [{"hostname": name}]}

    edit_traefik_service(lab, edit)


@setup(FAMILY, "service-without-node-ports")
async def without_node_ports(lab: Lab) -> None:
    """LoadBalancer without allocated nodePorts: ip targets need none."""
    to_pods(lab)
    found = get(lab, "services", GATEWAY, TRAEFIK)
    lab.store.delete("services", GATEWAY, TRAEFIK)
    found["spec"] |= {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}
    for port in found["spec"]["ports"]:
        port.pop("nodePort", None)
    lab.store.put(found)


@setup(FAMILY, "redirect-to-8443", target=f"http://{HOST}/")
async def redirect_8443(lab: Lab) -> None:
    """Http is redirected to https on 8443, where the load balancer has its listener."""
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    for listener in balancer.listeners:
        listener.port = 8443 if listener.port == 443 else listener.port
    to = "--entryPoints.web.http.redirections.entryPoint.to=websecure"
    await flags(lab, to)


@setup(FAMILY, "plain-http", target=f"http://{HOST}/")
async def plain_http(_lab: Lab) -> None:
    """The http URL of a site that serves both."""


@setup(FAMILY, "nlb-zone-off")
async def zone_off(lab: Lab) -> None:
    """A node is in a zone that the load balancer does not have, on purpose."""
    node = lab.plan.nodes[2]
    for instance in lab.cloud.instances:
        if instance["InstanceId"] == node.instance:
            instance["Placement"]["AvailabilityZone"] = "ap-northeast-2b"
    zone = {"topology.kubernetes.io/zone": "ap-northeast-2b"}
    lab.store.patch("nodes", None, node.name, lambda obj: obj["metadata"]["labels"].update(zone))


@setup(FAMILY, "nlb-node-maintenance")
async def node_maintenance(lab: Lab) -> None:
    """A node is drained and rebooted: cordoned, not ready, an unhealthy target."""
    node = lab.plan.nodes[2]
    lab.nodes.dark.add(node.address)

    def edit(obj: Obj) -> None:
        obj["spec"]["unschedulable"] = True
        obj["status"]["conditions"] = [
            {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
        ]

    lab.store.patch("nodes", None, node.name, edit)


def _made(lab: Lab, **annotations: str) -> None:
    """Traefik's Service as its controller leaves it: the NLB is in its status."""
    name = lab.cloud.load_balancers[LOAD_BALANCER].dns_name
    prefix = "service.beta.kubernetes.io/aws-load-balancer"

    def edit(obj: Obj) -> None:
        obj["spec"] |= {"type": "LoadBalancer", "loadBalancerClass": "service.k8s.aws/nlb"}
        notes = {f"{prefix}-{key.replace('_', '-')}": value for key, value in annotations.items()}
        obj["metadata"].setdefault("annotations", {}).update(notes)
        obj["metadata"]["creationTimestamp"] = "2026-01-15T09:00:00Z"
        obj["status"]["loadBalancer"] = {"ingress": [{"hostname": name}]}

    edit_traefik_service(lab, edit)


_NO_SUBNET = (
    "Failed build model due to unable to resolve at least one subnet (0 match VPC and tags)"
)


@setup(FAMILY, "lb-failures-overcome")
async def failures_overcome(lab: Lab) -> None:
    """The controller failed for a while, of the Service and its binding, and then succeeded."""
    _made(lab, scheme="internet-facing", nlb_target_type="instance")
    for seconds in (1500, 900, 600):
        say(lab, "FailedBuildModel", _NO_SUBNET, ago=seconds)
    say(lab, "SuccessfullyReconciled", "Successfully reconciled", normal=True, ago=300)
    binding = partial(say, lab, kind="TargetGroupBinding", name=TARGETS_HTTPS, ago=900)
    binding("BackendNotFound", "backend not found: services traefik not found")
    binding("SuccessfullyReconciled", "Successfully reconciled", normal=True)


@setup(FAMILY, "lb-other-class")
async def other_class(lab: Lab) -> None:
    """Another Service of Traefik's namespace, of another class, whose controller fails."""
    _made(lab, a_setting_of_a_newer_controller="on")
    spec = {"type": "LoadBalancer", "loadBalancerClass": "tailscale", "selector": {"app": "vpn"}}
    put(lab, "Service", "vpn", {**spec, "ports": [{"port": 443}]}, GATEWAY)
    say(lab, "FailedBuildModel", _NO_SUBNET, name="vpn")


@setup(FAMILY, "lb-second-pending")
async def second_pending(lab: Lab) -> None:
    """Traefik has a second Service, whose load balancer cannot be made, and nobody's way it is."""
    _made(lab)
    found = get(lab, "services", GATEWAY, TRAEFIK)
    ports = [
        {k: port[k] for k in ("name", "port", "targetPort")} for port in found["spec"]["ports"]
    ]
    spec = {"type": "LoadBalancer", "selector": found["spec"]["selector"], "ports": ports}
    put(lab, "Service", "traefik-internal", spec, GATEWAY)
    words = "Error syncing load balancer: failed to ensure load balancer: TooManyLoadBalancers: "
    words += "Exceeded quota of account 123456789012"
    say(lab, "SyncLoadBalancerFailed", words, name="traefik-internal")
