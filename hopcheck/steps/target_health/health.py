"""The targets' health, and whether the health check asks what Traefik answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hopcheck.behaviour.aws.loadbalancer import (
    admits,
    chosen_rule,
    interface_addresses,
    own_answer,
)
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import NOT_SELECTED, ErrorKind, Exchange, Finding, Probe, Severity
from hopcheck.model.aws import LoadBalancer
from hopcheck.scene.chain import GroupLink, TargetLink
from hopcheck.scene.outcome import Producer, producer, requests_made, succeeded
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import lb_ref
from hopcheck.steps.rule import BEHIND, SHOWN, WAY, rule
from hopcheck.steps.target_health.front import of_group
from hopcheck.steps.target_health.groups import judged_groups, zone_of
from hopcheck.steps.target_health.passage import security_groups_let_the_traffic_through
from hopcheck.steps.target_health.targets import is_local, nodes_with_traefik

_CODES = re.compile(r"codes: \[([\d, ]+)\]")


def _unhealthy(
    scene: Scene, *, on_purpose: bool = False
) -> Iterator[tuple[GroupLink, list[TargetLink]]]:
    """The groups with unhealthy targets, and these: what is not meant to be, or what is."""
    for group in judged_groups(scene):
        unhealthy = group.in_state("unhealthy", "unhealthy.draining")
        if unhealthy and _expected(scene, group, unhealthy) == on_purpose:
            yield group, unhealthy


def _expected(scene: Scene, group: GroupLink, unhealthy: list[TargetLink]) -> bool:
    """Whether every unhealthy target is a node that serves by its own pod alone and has none."""
    serving = nodes_with_traefik(scene)
    local = is_local(scene) and scene.instance is not None
    return bool(group.in_state("healthy")) and all(
        target.node is not None
        and target.node_name not in serving
        and (local or not target.open_here)
        for target in unhealthy
    )


@rule(reads=WAY, uses=SHOWN)
def nodes_without_a_pod_are_unhealthy_on_purpose(scene: Scene) -> Iterator[Finding]:
    """Every node that is a target has a Traefik pod, or needs none of its own."""
    variant = None if is_local(scene) else "host_port"
    namespace = scene.instance.namespace if scene.instance else ""
    for group, unhealthy in _unhealthy(scene, on_purpose=True):
        yield of_group("TGT022", group, unhealthy, variant=variant, ns=namespace)


def _check_port(group: GroupLink) -> str:
    return group.obj.health_check_port or "traffic-port"


def _known(scene: Scene, group: GroupLink) -> set[int]:
    """Ports at which something of Traefik answers a check of these targets; none at an ALB."""
    found: set[int] = set()
    if group.obj.target_type == "alb":
        return found
    if group.of_addresses:
        found |= {port.container_port for port in scene.own_ports if port.container_port}
    if group.of_addresses and all(target.id in scene.pod_addresses for target in group.targets):
        return found  # pods have no nodePorts
    service = scene.traefik_service
    health = service.spec.health_check_node_port if service is not None else None
    found |= {health} if health else set()
    return found | {port.node_port for port in scene.own_ports if port.node_port}


@rule(reads=WAY, uses=SHOWN)
def the_health_check_asks_a_port_of_traefik(scene: Scene) -> Iterator[Finding]:
    """The health check asks the port of the traffic, or another port of Traefik."""
    for group, _ in _unhealthy(scene):
        check, known = _check_port(group), _known(scene, group)
        if check != "traffic-port" and known & set(group.numbers) and int(check) not in known:
            ping = _ping_port(scene, group) if _protocol(group) in _ASKS else None
            yield of_group(
                "TGT015",
                group,
                variant="ping" if ping else None,
                check_port=check,
                traffic_port=listing(group.numbers),
                known=listing(sorted(known)),
                ping_port=ping,
                ping_entry=scene.static.ping_entry_point,
                same_port="traffic-port" if _protocol(group) == "TCP" else "",
            )


_ASKS = ("HTTP", "HTTPS")
_SOME_ADDRESS = "192.0.2.1"
# Checks that came to nobody, or that AWS could not make: nothing is known of an answer.
_UNANSWERED = {"Target.Timeout", "Elb.InternalError"}


def _protocol(group: GroupLink) -> str:
    return group.obj.health_check_protocol or "TCP"


@rule(reads=WAY, uses=SHOWN, unless=(the_health_check_asks_a_port_of_traefik,))
def the_health_check_asks_what_traefik_answers(scene: Scene) -> Iterator[Finding]:
    """An HTTP health check asks a path that Traefik answers with the status it wants.

    AWS's reason says whether there was an answer at all; a Network Load Balancer's does not, and
    what keeps its checks out comes first.
    """
    for group, unhealthy in _unhealthy(scene):
        reasons = {target.reason for target in unhealthy}
        if _passed(group):
            continue
        answered = "Target.ResponseCodeMismatch" in reasons
        lost = reasons <= _UNANSWERED or security_groups_let_the_traffic_through(scene)
        if _protocol(group) not in _ASKS or (not answered and (lost or _asks_ping(scene, group))):
            continue
        ready = any(pod.ready for pod in (scene.instance.pods if scene.instance else ()))
        if not ready or not _known(scene, group) & set(group.numbers):
            continue
        told = (_CODES.search(one.described.target_health.description) for one in unhealthy)
        codes = next((found[1] for found in told if found), "")  # an NLB names none
        if not codes and not answered and admits(_matcher(group), _NO_ROUTER):
            continue
        ping, network = _ping_port(scene, group), group.balancer.type == "network"
        alb = "alb" if codes and codes < "5" else None  # a fault is not to be taken for health
        said = "unseen" if not codes else "not_found" if codes == "404" else "other"
        yield _unwanted(
            group,
            codes,
            variant="ping" if ping else "nlb" if network else alb,
            ping_port=ping,
            ping_entry=scene.static.ping_entry_point,
            # What kind of check it is stays, as the answer that is wanted does.
            ask=ping if _protocol(group) == "HTTP" and admits(_matcher(group), "200") else "",
            said=text("health_check", said, answer=codes),
        )


_NO_ROUTER = "404"  # what Traefik answers where no rule takes the request


def _passed(group: GroupLink) -> bool:
    """Whether a target that is Traefik passes the very check: it asks nothing wrong then."""
    return any(target.leads is not None for target in group.in_state("healthy"))


def _matcher(group: GroupLink) -> str:
    return (group.obj.matcher and group.obj.matcher.http_code) or "200-399"


def _unwanted(group: GroupLink, answer: str, **params: Any) -> Finding:
    params |= {"protocol": _protocol(group), "path": group.obj.health_check_path or "/"}
    return of_group("TGT016", group, answer=answer, matcher=_matcher(group), **params)


@rule(reads=("dns", "aws"), uses=BEHIND)
def an_alb_behind_answers_its_health_check_as_wanted(scene: Scene) -> Iterator[Finding]:
    """An Application Load Balancer that is a target answers the health check as wanted.

    Told where it answers by itself, as its rule for a Host that is an address says: what comes
    of a request that it forwards is not known.
    """
    for group, (target, *_) in _unhealthy(scene):
        alb, port = scene.balancer_by_arn(target.id), target.check_port or target.port
        listener = scene.listener(alb, port) if alb is not None else None
        if alb is None or listener is None or listener.protocol != _protocol(group):
            continue
        rules = scene.aws.rules.get(listener.listener_arn, NOT_SELECTED).or_else(()) or ()
        chosen = chosen_rule(rules, _SOME_ADDRESS, group.obj.health_check_path or "/")
        answer = own_answer(chosen.actions[-1]) if chosen and chosen.actions else ""
        if chosen and answer and not admits(_matcher(group), answer):
            where = {"alb": alb.load_balancer_name, "port": port, "rule": chosen.priority}
            said = text("health_check", "behind", answer=answer, **where)
            ping = {"ping_port": None, "ping_entry": None}
            yield _unwanted(
                group, answer, variant="behind", said=said, related=(lb_ref(alb),), **ping
            )


def _ping_port(scene: Scene, group: GroupLink) -> int | None:
    """The port on which such targets answer /ping, where that is known."""
    static, kind = scene.static, group.kind_at(next(iter(group.numbers), 0))
    if not static.known or not static.ping:
        return None
    entries = ((port, port.entry_point) for port in scene.own_ports)
    numbers = (p.number(kind) for p, e in entries if e and e.name == static.ping_entry_point)
    return next((number for number in numbers if number), None)


def _asks_ping(scene: Scene, group: GroupLink) -> bool:
    """Whether Traefik's ping is what the HTTP health check asks, as far as known."""
    check = _check_port(group)
    number = int(check) if check.isdigit() else next(iter(group.numbers), 0)
    port = next((p for p in scene.own_ports if number in (p.node_port, p.container_port)), None)
    if port is None or port.entry_point is None or not scene.static.known:
        return True
    static = scene.static
    path = group.obj.health_check_path or "/"
    return static.ping and static.ping_entry_point == port.entry_point.name and path == "/ping"


@rule(reads=("dns", "aws"), uses=BEHIND)
def every_target_is_healthy(scene: Scene) -> Iterator[Finding]:
    """Every target is healthy."""
    for group, unhealthy in _unhealthy(scene):
        # Requests avoid unhealthy targets while any is healthy: capacity is lost, not requests.
        partial = len(unhealthy) < len(group.targets)
        cordoned = all(t.node is not None and t.node.spec.unschedulable for t in unhealthy)
        mild = Severity.INFO if _untold(scene) or cordoned else Severity.WARNING
        yield of_group(
            "TGT017",
            group,
            unhealthy,
            variant="behind" if group.obj.target_type == "alb" else None,
            severity=mild if partial else None,
            reason=listing(sorted({t.reason or text("said", "no_reason") for t in unhealthy})),
            target_port=listing(group.numbers),
            share=group.share * len(unhealthy) / len(group.targets),
        )


def _untold(scene: Scene) -> bool:
    """Whether it cannot be told if some nodes are meant to fail their health check.

    That is so where the Service was not seen, or its policy is Local and pods or nodes were not.
    """
    if scene.traefik_service is None and not scene.kube.list("services").seen:
        return True
    return is_local(scene) and (scene.instance is None or not scene.node_ids)


# --- its zones

_CROSS_ZONE = "load_balancing.cross_zone.enabled"


@rule(reads=("dns", "aws"), uses=BEHIND)
def every_zone_has_a_healthy_target(scene: Scene) -> Iterator[Finding]:
    """Without cross-zone balancing every zone of the load balancer has a healthy target.

    An error where requests go to such a zone; else information: AWS takes it out of DNS.
    """
    for group in judged_groups(scene):
        balancer = group.balancer
        enabled = [zone.zone_name for zone in balancer.availability_zones]
        zones = {zone_of(scene, target) for target in group.targets}
        served = {zone_of(scene, target) for target in group.in_state("healthy")}
        empty = [zone for zone in enabled if zone not in served]
        if _crosses_zones(scene, group):
            continue
        if not served or None in zones or "all" in served:
            continue
        if not empty or len(empty) == len(enabled):
            continue
        failing = _failing(scene, balancer, empty)
        own = group.attributes.get(_CROSS_ZONE) == "false"
        if not failing and balancer.type != "network":
            continue  # an ALB's name may keep its zones
        share = len(failing) / len(requests_made(scene.snapshot)) if failing else 0.0
        yield of_group(
            "TGT024",
            group,
            variant="used" if failing else None,
            severity=Severity.ERROR if failing else None,
            lb_arn=balancer.load_balancer_arn,
            crossing="true" if failing and not own else "",
            own_crossing="true" if failing and own else "",
            zones=listing(empty),
            served=listing(sorted(str(zone) for zone in served)),
            fails=listing(p.address for p in failing),
            share=group.share * share if failing else None,
            related=(lb_ref(balancer),),
        )


def _crosses_zones(scene: Scene, group: GroupLink) -> bool:
    """Whether the group gets requests of every zone, or that could not be read."""
    own = group.attributes.get(_CROSS_ZONE)
    arn = group.balancer.load_balancer_arn
    general = scene.aws.load_balancer_attributes.get(arn, NOT_SELECTED).or_else({}) or {}
    return (own if own in ("true", "false") else general.get(_CROSS_ZONE)) != "false"


def address_zones(scene: Scene, balancer: LoadBalancer) -> Mapping[str, str]:
    """The zones of the load balancer's addresses, as far as they are known."""
    found: dict[str, str] = {}
    for zone in balancer.availability_zones:
        for entry in zone.load_balancer_addresses:
            for address in (entry.ip_address, entry.private_ipv4_address, entry.ipv6_address):
                found[address] = zone.zone_name
    path = balancer.load_balancer_arn.partition(":loadbalancer/")[2]
    for interface in scene.aws.network_interfaces.or_else(()) or ():
        if interface.description == f"ELB {path}":
            for address in interface_addresses(interface):
                found[address] = interface.availability_zone
    return found


# No error, or one that a request meets behind the load balancer.
_PASSED = (None, ErrorKind.READ_TIMEOUT, ErrorKind.TOO_MANY_REDIRECTS)


def _stopped(last: Exchange) -> bool:
    """Whether a request came no further than the load balancer."""
    own = producer(last) is Producer.ALB and (last.status or 0) >= 502
    return own or last.error not in _PASSED


def _failing(scene: Scene, balancer: LoadBalancer, empty: list[str]) -> list[Probe]:
    """Requests without an answer from behind at addresses that are in one of these zones."""
    made = requests_made(scene.snapshot)
    failing = [p for p in made if _stopped(p.exchanges[-1]) and not succeeded(scene, p)]
    if not failing or len(failing) == len(made) or scene.match.foreign or scene.meant:
        return []
    known = address_zones(scene, balancer)
    if all(p.address in known for p in failing):
        return [p for p in failing if known[p.address] in empty]
    # Which address is where was not asked: as many fail as there are such zones.
    return failing if len(failing) <= len(empty) else []
