"""What gets through: back to clients in the cluster, by security groups, and from the nodes.

A security group is blamed only where connections really get no answer or all targets are
unhealthy, where every group concerned could be read, and where its rules decide the matter: whose
addresses this client or a prefix list has is not known.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from hopcheck.behaviour.aws.security_groups import admits_all, rules_for, sources_of
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Finding, ObjectRef, Probe, Severity, Words
from hopcheck.model.aws import IpPermission, LoadBalancer, SecurityGroup
from hopcheck.scene.chain import Chain, TargetLink
from hopcheck.scene.outcome import hairpinned, preserving_group, requests_made
from hopcheck.scene.scene import Scene
from hopcheck.steps.bounds import between_balancer_and_nodes
from hopcheck.steps.names import lb_ref
from hopcheck.steps.rule import BEHIND, SHOWN, WAY, rule
from hopcheck.steps.target_health.front import of_group
from hopcheck.steps.target_health.groups import instance_of, interface_of
from hopcheck.verdict.contradicted import Claim, Claimed

# What is answered has been let through, and what AWS failed at says nothing.
_CONNECTED = ("Target.ResponseCodeMismatch", "Elb.InternalError")
_SILENT = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
_Groups = dict[str, SecurityGroup]  # by id


@rule(reads=("dns", "aws"), uses=BEHIND)
def clients_in_the_cluster_get_an_answer(scene: Scene) -> Iterator[Finding]:
    """A client on a target gets an answer through the load balancer.

    Time-outs from inside that may be the client's own node are information, no accusation.
    """
    silent, group = hairpinned(scene.snapshot), preserving_group(scene)
    if silent and group is not None:
        yield of_group("TGT023", group, fails=listing(sorted(silent)))


@rule(reads=WAY, uses=SHOWN)
def the_load_balancer_passes_on_what_nodes_answer(scene: Scene) -> list[Finding]:
    """What every node answers well is answered well through the load balancer."""
    if scene.balancer is None or scene.way is None or scene.meant is not None:
        return []
    return between_balancer_and_nodes(scene, scene.balancer)


@rule(reads=WAY, uses=SHOWN)
def security_groups_let_the_traffic_through(scene: Scene) -> Iterator[Finding | Claimed]:
    """The security groups of load balancer and nodes let through what the chain sends.

    At most one is named: the first group on the way that lets nothing through.
    """
    listed, way = scene.aws.security_groups, scene.way
    by_id = {group.group_id: group for group in listed.or_else(()) or ()}
    if not by_id or way is None or not (_silent(scene) or _all_unhealthy(way)):
        return
    for found in (_of_balancer, _outbound, _of_targets):
        if stated := found(scene, way, by_id):
            yield stated
            return


def _silent(scene: Scene) -> list[Probe]:
    """The host's requests, where none of them got any answer to its SYN."""
    made = requests_made(scene.snapshot) if scene.meant is None else []
    return made if all(p.exchanges[-1].error in _SILENT for p in made) else []


def _all_unhealthy(way: Chain) -> bool:
    return bool(way.targets) and all(target.state == "unhealthy" for target in way.targets)


def _readable(wanted: Sequence[str], by_id: _Groups) -> list[SecurityGroup]:
    """The groups, where every one of these was read; a group not seen may admit all."""
    return [by_id[i] for i in wanted] if all(i in by_id for i in wanted) else []


# --- the load balancer


def _of_balancer(scene: Scene, way: Chain, by_id: _Groups) -> Finding | None:
    groups, silent = _readable(way.balancer.security_groups, by_id), _silent(scene)
    if not groups or not silent:
        return None
    port = way.listener.port
    rules = rules_for(groups, port)
    versions = {ipaddress.ip_address(p.address).version for p in silent}
    if any(admits_all(rules, version) for version in versions):
        return None
    # Behind an internal load balancer, and inside the network, rules for private addresses are
    # what one wants, and whether this client has one of them is not known.
    inside = way.balancer.scheme == "internal" or scene.snapshot.vantage.in_cluster
    if rules and inside:
        return None
    what = text("security_group", "balancer", name=way.balancer.load_balancer_name)
    client = text("security_group", "this_client")
    return _finding(groups[0], what, client, port, rules, lb_ref(way.balancer))


def _outbound(scene: Scene, way: Chain, by_id: _Groups) -> Finding | None:
    """Outbound rules of the load balancer, which must let it reach its targets."""
    groups = _readable(way.balancer.security_groups, by_id)
    if not groups or any(one.ip_permissions_egress is None for one in groups):
        return None
    if not _all_unhealthy(way):
        return None
    held = [_held(scene, target) for target in way.targets]
    to = held[0][0] if all(one == held[0] for one in held) else []
    for port in (number for group in way.groups for number in group.numbers):
        rules = rules_for(groups, port, outbound=True)
        led = set(sources_of(rules))
        astray = to and held[0][1] and all(one.startswith("sg-") for one in led)
        if not rules or (astray and not led & {*to}):
            what = text("security_group", "outbound", name=way.balancer.load_balancer_name)
            source = text("security_group", "the_balancer")
            ref = lb_ref(way.balancer)
            return _finding(groups[0], what, source, port, rules, ref, *to[:1], variant="outbound")
    return None


# --- the targets


def _held(scene: Scene, target: TargetLink) -> tuple[list[str], str | None]:
    """The groups that a target has, and whose they are; None: perhaps not the target's at all.

    A pod may have an interface with groups of its own: that tells, where it was read.
    """
    own, instance = interface_of(scene, target), instance_of(scene, target)
    of_node = [one.group_id for one in instance.security_groups] if instance is not None else []
    if own is not None and own.security_groups:
        ids = [one.group_id for one in own.security_groups]
        return ids, "nodes" if set(ids) == set(of_node) else "targets"
    return of_node, None if target.kind == "pod" else "nodes"


def _of_targets(scene: Scene, way: Chain, by_id: _Groups) -> Claimed | None:
    own = set(way.balancer.security_groups)
    from_outside = bool(_silent(scene)) and not scene.snapshot.vantage.in_cluster
    clients = text("security_group", "clients")
    for group, target in ((one, target) for one in way.groups for target in one.targets):
        preserved = group.attributes.get("preserve_client_ip.enabled") == "true"
        ids, whose = _held(scene, target)
        groups = _readable(ids, by_id)
        for port, traffic in _ports(scene, target) if groups else ():
            rules = rules_for(groups, port)
            if (
                target.state == "unhealthy"
                and target.reason not in _CONNECTED
                and _keep_out(way.balancer, rules)
            ):
                source = text(
                    "security_group", "from_groups", names=listing(way.balancer.security_groups)
                )
                source = source if own else text("security_group", "the_balancer")
            elif (
                (traffic and preserved and from_outside and target.state == "healthy")
                and not own & set(sources_of(rules))
                and not any(admits_all(rules, version) for version in (4, 6))
            ):
                source = clients
            else:
                continue
            what = text("security_group", whose or "nodes")
            # A request that comes through shows its port open; of a check's port it says nothing.
            claim = Claim.STOPS_EVERYTHING if traffic else Claim.STOPS_NOTHING_NOW
            # Which addresses clients have is theirs to say who runs it.
            admitted = way.balancer.security_groups[:1] if source != clients and whose else ()
            more: Words = {} if whose else {"variant": "unread", "severity": Severity.WARNING}
            more |= {"address": target.id}
            found = _finding(groups[0], what, source, port, rules, group.ref, *admitted, **more)
            return Claimed(claim, found)
    return None


def _keep_out(balancer: LoadBalancer, rules: list[IpPermission]) -> bool:
    """Whether the rules admit members of groups alone, and of none that the load balancer has.

    A Network Load Balancer may have no group at all; what is not told of another's is not known.
    """
    own, sources = set(balancer.security_groups), set(sources_of(rules))
    known = bool(own) or balancer.type == "network" or not rules
    return known and not own & sources and all(one.startswith("sg-") for one in sources)


def _ports(scene: Scene, target: TargetLink) -> list[tuple[int, bool]]:
    """The ports that a target is asked on, each with whether it is the traffic's.

    One that is no port of Traefik's is another fault: no rule for it is missing. Nor is one where
    a hostPort is closed on this node, for want of a pod.
    """
    kind, service = target.kind or "node", scene.traefik_service
    known = {number for port in scene.own_ports if (number := port.number(kind))}
    if kind == "node" and known and service is not None and service.spec.health_check_node_port:
        known.add(service.spec.health_check_node_port)
    asked = ((target.port, True), (target.check_port, False)) if target.open_here else ()
    return [(number, own) for number, own in asked if number and (not known or number in known)]


def _finding(
    group: SecurityGroup,
    what: str,
    source: str,
    port: int,
    rules: list[IpPermission],
    related: ObjectRef,
    admitted: str = "",
    **more: Any,
) -> Finding:
    sources, told = listing(sources_of(rules)), "rules" if rules else "no_rule"
    return make(
        "TGT007",
        ObjectRef("SecurityGroup", group.group_id),
        sg=group.group_id,
        what=what,
        source=source,
        admitted=admitted,
        port=port,
        rules=text("security_group", told, port=port, sources=sources),
        related=(related,),
        **({"address": ""} | more),
    )
