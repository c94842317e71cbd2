"""The targets' health, and whether the health check asks what Traefik answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Finding, Severity
from hopcheck.scene.chain import GroupLink, TargetLink, TraefikPort
from hopcheck.scene.scene import Scene
from hopcheck.steps.rule import rule
from hopcheck.steps.target_health.front import BEHIND, SHOWN, WAY, of_group
from hopcheck.steps.target_health.groups import judged_groups
from hopcheck.steps.target_health.targets import is_local, nodes_with_traefik

_CODES = re.compile(r"codes: \[([\d, ]+)\]")


def _unhealthy(group: GroupLink) -> list[TargetLink]:
    return group.in_state("unhealthy", "unhealthy.draining")


def _unexpected(scene: Scene) -> Iterator[tuple[GroupLink, list[TargetLink]]]:
    """The groups with unhealthy targets that are not meant to be, and these targets."""
    for group in judged_groups(scene):
        unhealthy = _unhealthy(group)
        if unhealthy and not _expected(scene, group, unhealthy):
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
    for group in judged_groups(scene):
        unhealthy = _unhealthy(group)
        if unhealthy and _expected(scene, group, unhealthy):
            yield of_group(
                "TGT022",
                group,
                variant=None if is_local(scene) else "host_port",
                count=len(unhealthy),
                total=len(group.targets),
                targets=listing(target.name for target in unhealthy),
                ns=scene.instance.namespace if scene.instance else "",
            )


def _check_port(group: GroupLink) -> str:
    return group.obj.health_check_port or "traffic-port"


def _known(scene: Scene, group: GroupLink) -> set[int]:
    """Ports at which something of Traefik answers a check of these targets."""
    found: set[int] = set()
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
    for group, _ in _unexpected(scene):
        check, known = _check_port(group), _known(scene, group)
        if check != "traffic-port" and known & set(group.numbers) and int(check) not in known:
            yield of_group(
                "TGT015",
                group,
                check_port=check,
                traffic_port=listing(group.numbers),
            )


@rule(
    reads=WAY,
    uses=SHOWN,
    unless=(the_health_check_asks_a_port_of_traefik,),
)
def the_health_check_asks_what_traefik_answers(scene: Scene) -> Iterator[Finding]:
    """An HTTP health check asks a path that Traefik answers with the status it wants.

    A connection that was not made (Target.Timeout) got as far as no path.
    """
    for group, unhealthy in _unexpected(scene):
        protocol = group.obj.health_check_protocol or "TCP"
        reasons = {target.reason for target in unhealthy}
        answered = "Target.ResponseCodeMismatch" in reasons
        asks_ping = _asks_ping(scene, group) or reasons == {"Target.Timeout"}
        if protocol not in ("HTTP", "HTTPS") or (asks_ping and not answered):
            continue
        ready = any(pod.ready for pod in (scene.instance.pods if scene.instance else ()))
        if not ready or not _known(scene, group) & set(group.numbers):
            continue
        codes = _CODES.search(unhealthy[0].described.target_health.description)  # an NLB names none
        ping = _ping_port(scene, group)
        alb = scene.way is not None and scene.way.balancer.type == "application"
        yield of_group(
            "TGT016",
            group,
            variant="ping" if ping else "alb" if alb else None,
            ping_port=ping,
            ping_entry=scene.static.ping_entry_point,
            protocol=protocol,
            path=group.obj.health_check_path or "/",
            matcher=(group.obj.matcher and group.obj.matcher.http_code) or "200-399",
            answer=codes[1] if codes else "404",
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
    port = _at(scene, number)
    if port is None or port.entry_point is None or not scene.static.known:
        return True
    static = scene.static
    path = group.obj.health_check_path or "/"
    return static.ping and static.ping_entry_point == port.entry_point.name and path == "/ping"


def _at(scene: Scene, number: int) -> TraefikPort | None:
    return next((p for p in scene.own_ports if number in (p.node_port, p.container_port)), None)


@rule(reads=("dns", "aws"), uses=BEHIND)
def every_target_is_healthy(scene: Scene) -> Iterator[Finding]:
    """Every target is healthy."""
    for group, unhealthy in _unexpected(scene):
        # Requests avoid unhealthy targets while any is healthy: capacity is lost, not requests.
        partial = len(unhealthy) < len(group.targets)
        cordoned = all(t.node is not None and t.node.spec.unschedulable for t in unhealthy)
        mild = Severity.INFO if _untold(scene) or cordoned else Severity.WARNING
        yield of_group(
            "TGT017",
            group,
            severity=mild if partial else None,
            count=len(unhealthy),
            total=len(group.targets),
            reason=listing(sorted({t.reason or text("said", "no_reason") for t in unhealthy})),
            targets=listing(target.name for target in unhealthy),
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
