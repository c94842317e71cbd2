"""Faults of target groups, targets and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.cloud import Target, admit
from hopcheck.lab.cloud.model import IP_UNUSABLE, REGISTERING, UNAVAILABLE
from hopcheck.lab.faults.gallery import (
    DEGRADED,
    HEALTHY,
    TARGET_HEALTH,
    TRAEFIK_SERVICE,
    UNKNOWN,
    Expect,
    fault,
    recorded,
)
from hopcheck.lab.settings import NODE_GROUP
from hopcheck.lab.topology import GATEWAY, HOST, TARGETS_HTTPS, TRAEFIK

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_PAGE_NODE_PORT = 31443  # the nodePort of section 2.2 of the page, not that of section 5.1
_NODES = Expect("TGT007", "SecurityGroup", NODE_GROUP)


def _group(code: str) -> Expect:
    return Expect(code, "TargetGroup", TARGETS_HTTPS)


@fault("tg-empty", TARGET_HEALTH, _group("TGT010"), exit_code=DEGRADED)
async def empty(lab: Lab) -> None:
    """The target group for https has no targets."""
    lab.cloud.target_groups[TARGETS_HTTPS].targets.clear()


@fault("tg-all-draining", TARGET_HEALTH, _group("TGT010"), exit_code=DEGRADED)
async def all_draining(lab: Lab) -> None:
    """Every target of the group for https is being deregistered."""
    for target in lab.cloud.target_groups[TARGETS_HTTPS].targets:
        target.draining = True


@fault("tg-not-in-use", TARGET_HEALTH, _group("TGT011"), exit_code=DEGRADED)
async def not_in_use(lab: Lab) -> None:
    """All targets are in a zone that the load balancer does not have."""
    for node in lab.plan.nodes:
        _instance(lab, node.instance)["Placement"]["AvailabilityZone"] = "ap-northeast-2b"
    zones = lab.cloud.target_groups["myapp-web"].targets
    for target in zones:  # port 80 is not part of this fault
        target.zone = "all"


def _instance(lab: Lab, ident: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = next(
        one for one in lab.cloud.instances if one["InstanceId"] == ident
    )
    return found


@fault("tg-invalid-state", TARGET_HEALTH, _group("TGT012"))
async def invalid_state(lab: Lab) -> None:
    """The instances are stopped: Target.InvalidState, and their nodes are gone."""
    for node in lab.plan.nodes:
        _instance(lab, node.instance)["State"] = {"Code": "80", "Name": "stopped"}
    lab.nodes.dark.update(node.address for node in lab.plan.nodes)


@fault("tg-ip-unusable", TARGET_HEALTH, _group("TGT012"), exit_code=DEGRADED)
async def ip_unusable(lab: Lab) -> None:
    """The targets are addresses that a load balancer uses itself."""
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    group.target_type = "ip"
    group.targets = [
        Target(node.address, lab.plan.node_ports["websecure"], node.zone, forced=IP_UNUSABLE)
        for node in lab.plan.nodes
    ]


@fault("tg-not-registered", TARGET_HEALTH, warns=(_group("TGT013"),), exit_code=HEALTHY)
async def not_registered(lab: Lab) -> None:
    """With externalTrafficPolicy Local, a node that runs Traefik is no target."""

    def edit(service: dict[str, dict[str, str]]) -> None:
        service["spec"]["externalTrafficPolicy"] = "Local"

    lab.store.patch("services", GATEWAY, TRAEFIK, edit)
    first = lab.plan.traefik[0].node.instance
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    group.targets = [one for one in group.targets if one.id != first]


@fault("tg-nodeport-drift", TARGET_HEALTH, _group("TGT014"), exit_code=DEGRADED)
async def nodeport_drift(lab: Lab) -> None:
    """The target group sends to 31443, the Service's nodePort is another."""
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    group.port = _PAGE_NODE_PORT
    for target in group.targets:
        target.port = _PAGE_NODE_PORT


@fault("tg-nodeport-drift-one", TARGET_HEALTH, _group("TGT014"), exit_code=DEGRADED)
async def nodeport_drift_one(lab: Lab) -> None:
    """One of three targets is registered on 31443, which is no nodePort of the Service."""
    lab.cloud.target_groups[TARGETS_HTTPS].targets[0].port = _PAGE_NODE_PORT


@fault("tg-health-port", TARGET_HEALTH, _group("TGT015"), exit_code=DEGRADED)
async def health_port(lab: Lab) -> None:
    """The health check asks a port that nobody listens on; the NLB fails open."""
    lab.cloud.target_groups[TARGETS_HTTPS].check.port = "30999"


@fault("tg-health-path", TARGET_HEALTH, _group("TGT016"), exit_code=DEGRADED)
async def health_path(lab: Lab) -> None:
    """The health check asks for / on entryPoint web and gets Traefik's 404."""
    check = lab.cloud.target_groups[TARGETS_HTTPS].check
    check.protocol, check.path = "HTTP", "/"
    check.port = str(lab.plan.node_ports["web"])


def _node_rules(lab: Lab) -> list[dict[str, object]]:
    lab.cloud.enforce_security_groups = True
    group = next(one for one in lab.cloud.security_groups if one["GroupId"] == NODE_GROUP)
    rules: list[dict[str, object]] = group["IpPermissions"]
    return rules


@fault("tg-sg-nodeport", TARGET_HEALTH, _NODES)
async def node_group(lab: Lab) -> None:
    """The nodes' security group has no rule for the nodePorts."""
    _node_rules(lab)[:] = [admit(22, cidrs=["10.0.0.0/8"])]


@fault("tg-sg-health-ok-client-blocked", TARGET_HEALTH, _NODES)
async def clients_blocked(lab: Lab) -> None:
    """The nodes admit the load balancer's addresses only, and the clients' are preserved."""
    inside = [f"{address}/32" for address in lab.plan.zones.values()]
    _node_rules(lab)[:] = [admit((30000, 32767), cidrs=inside)]


@fault("tg-ppv2-only", TARGET_HEALTH, _group("TGT018"), exit_code=DEGRADED)
async def proxy_protocol(lab: Lab) -> None:
    """The target group sends PROXY protocol v2, Traefik does not expect it."""
    lab.cloud.target_groups[TARGETS_HTTPS].attributes["proxy_protocol_v2.enabled"] = "true"


def _pods_as_targets(lab: Lab) -> None:
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    group.target_type = "ip"
    group.targets = [
        Target(pod.address, pod.ports["websecure"], pod.node.zone) for pod in lab.plan.traefik
    ]


@fault("tg-ip-port", TARGET_HEALTH, _group("TGT014"), exit_code=DEGRADED)
async def pods_on_another_port(lab: Lab) -> None:
    """The ip targets are Traefik's pods, on a port that no entryPoint has."""
    _pods_as_targets(lab)
    for target in lab.cloud.target_groups[TARGETS_HTTPS].targets:
        target.port = 8444


@fault("tg-ip-stale-pods", TARGET_HEALTH, warns=(_group("TGT019"),), exit_code=HEALTHY)
async def stale_pods(lab: Lab) -> None:
    """One of the ip targets is the address of a pod that is long gone."""
    _pods_as_targets(lab)
    gone = Target(lab.plan.stale_address, 8443, lab.plan.nodes[0].zone)
    lab.cloud.target_groups[TARGETS_HTTPS].targets.append(gone)


@fault("tg-ip-stale-all", TARGET_HEALTH, _group("TGT019"), exit_code=DEGRADED)
async def stale_all(lab: Lab) -> None:
    """All ip targets are addresses of pods that are long gone."""
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    group.target_type = "ip"
    group.targets = [Target(lab.plan.stale_address, 8443, lab.plan.nodes[0].zone)]


recorded(
    "tg-hairpin",
    TARGET_HEALTH,
    summary="Inside the cluster, the client's own node is the target: its requests time out.",
    why="loopback has no routing that an NLB's client addresses would break",
    warns=(_group("TGT023"),),
    exit_code=UNKNOWN,
)


def _leave_one_zone(lab: Lab) -> None:
    first = lab.plan.nodes[0].zone
    group = lab.cloud.target_groups[TARGETS_HTTPS]
    gone = {node.instance for node in lab.plan.nodes if node.zone != first}
    group.targets = [one for one in group.targets if one.id not in gone]


@fault("tg-zone-gap", TARGET_HEALTH, _group("TGT024"), exit_code=DEGRADED)
async def zone_gap(lab: Lab) -> None:
    """Cross-zone is off, one zone has no target, and A records name its address all the same."""
    _leave_one_zone(lab)
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", list(lab.plan.zones.values()))


@fault("tg-zone-gap-dns", TARGET_HEALTH, warns=(_group("TGT024"),), exit_code=HEALTHY)
async def zone_gap_in_dns(lab: Lab) -> None:
    """Cross-zone is off, one zone has no target, and its address is gone from DNS."""
    _leave_one_zone(lab)


@fault("tg-initial", TARGET_HEALTH, warns=(_group("TGT021"),), exit_code=HEALTHY)
async def initial(lab: Lab) -> None:
    """One target is being registered."""
    lab.cloud.target_groups[TARGETS_HTTPS].targets[0].forced = REGISTERING


@fault("tg-draining", TARGET_HEALTH, warns=(_group("TGT021"),), exit_code=HEALTHY)
async def draining(lab: Lab) -> None:
    """One target is being deregistered."""
    lab.cloud.target_groups[TARGETS_HTTPS].targets[0].draining = True


@fault("tg-health-unavailable", TARGET_HEALTH, unseen=True, exit_code=HEALTHY)
async def health_unavailable(lab: Lab) -> None:
    """AWS cannot tell the targets' health at the moment: the step is unknown, not failed."""
    lab.cloud.health_unavailable.add(TARGETS_HTTPS)


@fault("tg-health-internal-error", TARGET_HEALTH, unseen=True, exit_code=HEALTHY)
async def health_internal_error(lab: Lab) -> None:
    """AWS gives 'unavailable' for every target: the step is unknown, not failed."""
    for target in lab.cloud.target_groups[TARGETS_HTTPS].targets:
        target.forced = UNAVAILABLE


# --- nodes: what no declaration shows

_GAP = Expect("SVC016", "Service", TRAEFIK, GATEWAY)


@fault("node-drops", TRAEFIK_SERVICE, _GAP, exit_code=DEGRADED)
async def node_drops(lab: Lab) -> None:
    """One node loses the packets to its nodePorts, though everything declared is right."""
    lab.nodes.dark.add(lab.plan.nodes[-1].address)


@fault("nodes-drop", TRAEFIK_SERVICE, _GAP)
async def nodes_drop(lab: Lab) -> None:
    """Every node loses the packets to its nodePorts, though everything declared is right."""
    lab.nodes.dark.update(node.address for node in lab.plan.nodes)
