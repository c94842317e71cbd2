"""Target groups of a listener: are there targets, on the right port, healthy, and if not why."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct, field

from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Finding, Gap, Obj, ObjectRef, Severity, Why
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene, meta, pod_ready, spec
from hopcheck.steps.target_health import membership, mixed_targets, zones
from hopcheck.steps.target_health.groups import Group, ports_in, reason_of, target_name
from hopcheck.steps.target_health.membership import TRANSIENT

_CODES = re.compile(r"codes: \[([\d, ]+)\]")


class Groups(Struct):
    """What was found in all target groups of a listener."""

    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def judge_groups(scene: Scene, balancer: Obj, listener: Obj) -> Groups:
    """Judge every target group that the listener forwards this host's requests to."""
    result = Groups()
    members: list[dict[str, Any]] = []
    names: list[str] = []
    for forward in scene.forwards(listener):
        if forward.weight == 0:
            continue
        group = scene.group(forward.target_group_arn)
        name = str(group.get("TargetGroupName") or forward.target_group_arn)
        names.append(name)
        if group.get("TargetType") == "alb":
            continue
        health = scene.health(forward.target_group_arn)
        if not health.seen:
            result.gaps.append(
                Gap(
                    "target_health",
                    health.why or Why.NOT_SELECTED,
                    health.detail,
                    params={"tg": name, "party": "aws"},
                )
            )
            continue
        one = Group(forward.target_group_arn, name, group, health.get(), forward.share)
        members += [
            {"name": target_name(d), "state": Group.state(d), "detail": reason_of(d)}
            for d in one.described
        ]
        _judge_group(scene, balancer, listener, one, result)
    result.facts["target-group.label"] = listing(names)
    result.facts["target-group.members"] = members
    healthy = sum(member["state"] == "healthy" for member in members)
    result.facts["target-group.detail"] = text("found", "targets", ok=healthy, total=len(members))
    result.facts["targets"] = members
    nodes = _node_names(scene, members)
    if nodes:
        result.facts["node.label"] = listing(nodes, 3)
    elif any(str(member["name"]).rpartition(":")[0] in scene.pod_addresses for member in members):
        result.facts["node.na"] = text("na", "pods_are_targets")
    return result


def _node_names(scene: Scene, members: list[dict[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    for member in members:
        ident, _, port = str(member["name"]).rpartition(":")
        node = scene.node_ids.get(ident)
        if node is not None:
            found[f"{meta(node).get('name')}:{port}"] = None
    return list(found)


def _judge_group(scene: Scene, balancer: Obj, listener: Obj, group: Group, result: Groups) -> None:
    lb = balancer.get("LoadBalancerName")
    if not group.described:
        result.findings.append(_no_targets(listener, group, str(lb)))
        return
    others = membership.strangers(scene, balancer, listener, group)
    if others:
        result.findings += others
        return
    if len(group.in_state("draining")) == len(group.described):
        result.findings.append(_no_targets(listener, group, str(lb), variant="draining"))
        return
    result.findings += _ports(scene, group)
    result.findings += mixed_targets.judge(scene, group)
    result.findings += membership.unused(scene, balancer, group)
    result.findings += membership.not_registered(scene, group)
    result.findings += zones.judge(scene, balancer, group)
    result.findings += _proxy_protocol(scene, group)
    moving = group.in_state(*TRANSIENT)
    if moving:
        result.findings.append(
            make(
                "TGT021",
                group.ref,
                tg=group.name,
                tg_arn=group.arn,
                count=len(moving),
                total=len(group.described),
                states=listing(sorted({f"{Group.state(d)} ({reason_of(d)})" for d in moving})),
            )
        )
    unsure = group.in_state("unavailable")
    if unsure:
        result.gaps.append(
            Gap(
                "target_health",
                Why.ERROR,
                reason_of(unsure[0]),
                required=len(unsure) == len(group.described),
                params={"tg": group.name, "party": "aws"},
            )
        )
    result.findings += membership.stale(scene, group)
    result.findings += _unhealthy(scene, group)


def _no_targets(listener: Obj, group: Group, lb: str, variant: str | None = None) -> Finding:
    return make(
        "TGT010",
        group.ref,
        variant=variant,
        tg=group.name,
        tg_arn=group.arn,
        lb=lb,
        port=listener.get("Port"),
        share=group.share,
        related=(ObjectRef("LoadBalancer", lb),),
    )


def _ports(scene: Scene, group: Group) -> list[Finding]:
    """Every target's port must be a port of this cluster's Traefik."""
    service = scene.traefik_service
    wrong: dict[tuple[str, int], int] = {}
    node_ports = {
        p.node_port for p in mixed_targets.all_ports(scene) if p.node_port
    } | scene.host_ports
    pod_ports = {p.container_port for p in scene.ports if p.container_port} | {
        e.port for e in scene.static.entry_points.values() if e.port
    }
    for described in group.described:
        target = described.get("Target") or {}
        kind, port = membership.kind_of(scene, target), int(target.get("Port") or 0)
        known = node_ports if kind == "node" else pod_ports if kind == "pod" else None
        if known and kind and port not in known and not _forwarded(scene, group, port):
            wrong[(kind, port)] = wrong.get((kind, port), 0) + 1
    found = []
    for (kind, port), count in wrong.items():
        if service is None:
            break
        wanted = scene.wanted_port(scene.target.scheme)
        known_ports = node_ports if kind == "node" else pod_ports
        namespace, name = meta(service).get("namespace"), meta(service).get("name")
        best = (wanted.node_port if kind == "node" else wanted.container_port) if wanted else None
        found.append(
            make(
                "TGT014",
                group.ref,
                variant="ip" if kind == "pod" else None,
                tg=group.name,
                tg_arn=group.arn,
                target_port=port,
                service=f"{namespace}/{name}",
                node_ports=listing(sorted(p for p in known_ports if p)),
                wanted=(wanted.name or wanted.port) if wanted else "",
                wanted_port=best or "",
                ns=namespace,
                svc=name,
                count=count,
                total=len(group.described),
                share=group.share * count / len(group.described),
                related=(ObjectRef("Service", str(name), namespace),),
            )
        )
    return found


def _forwarded(scene: Scene, group: Group, port: int) -> bool:
    """Whether something that is no Service of the cluster passes the port on, and does it well.

    Forwarders on the nodes (servicelb's pods, a proxy in the host network): a target on the port
    is healthy, no Service has the port, and every request succeeds. One forwarder of several may
    be down: then its target is unhealthy, and the port is right all the same.
    """
    made = outcome_of(scene)
    owned = any(
        one.get("nodePort") == port
        for service in scene.services
        for one in spec(service).get("ports") or ()
    )
    healthy = any(
        (described.get("Target") or {}).get("Port") == port
        for described in group.in_state("healthy")
    )
    return healthy and not owned and made.made > 0 and made.succeeded == made.made


def _proxy_protocol(scene: Scene, group: Group) -> list[Finding]:
    attribute = scene.attribute(group.arn, "proxy_protocol_v2.enabled")
    if attribute != "true" or not scene.static.known:
        return []
    ports = ports_in(scene, group.arn)
    entries = [
        p.entry_point
        for p in scene.ports
        if p.entry_point is not None and (p.node_port in ports or p.container_port in ports)
    ]
    if outcome_of(scene).succeeded:
        return []
    instance = scene.instance
    related = (ObjectRef(instance.kind, instance.name, instance.namespace),) if instance else ()
    return [
        make(
            "TGT018",
            group.ref,
            tg=group.name,
            tg_arn=group.arn,
            entry=entry.name,
            attribute=attribute,
            entry_state=text("said", "no_proxy_protocol"),
            related=related,
        )
        for entry in entries
        if not entry.proxy_protocol
    ]


def _nodes_with_traefik(scene: Scene) -> set[str]:
    pods = scene.instance.pods if scene.instance else ()
    return {str(spec(pod).get("nodeName")) for pod in pods if pod_ready(pod)}


def _is_local(scene: Scene) -> bool:
    service = scene.traefik_service
    return service is not None and spec(service).get("externalTrafficPolicy") == "Local"


def _needs_own_pod(scene: Scene) -> bool:
    """Whether a node serves only by a Traefik pod of its own: policy Local, or hostPorts alone."""
    return _is_local(scene) or (scene.traefik_service is None and bool(scene.host_ports))


def _untold(scene: Scene) -> bool:
    """Whether it cannot be told if some nodes are meant to fail their health check.

    That is so where the Service was not seen, or its policy is Local and pods or nodes were not.
    """
    if scene.traefik_service is None and not scene.kube.list("services").seen:
        return True
    return _is_local(scene) and (scene.instance is None or not scene.node_ids)


def _expected_under_local(scene: Scene, group: Group, unhealthy: list[Obj]) -> bool:
    """Whether every unhealthy target is a node without a ready Traefik pod of its own."""
    if not _needs_own_pod(scene) or not scene.instance:
        return False
    serving = _nodes_with_traefik(scene)
    nodes = [scene.node_ids.get((d.get("Target") or {}).get("Id", "")) for d in unhealthy]
    return bool(group.in_state("healthy")) and all(
        node is not None and meta(node).get("name") not in serving for node in nodes
    )


def _unhealthy(scene: Scene, group: Group) -> list[Finding]:
    unhealthy = group.in_state("unhealthy", "unhealthy.draining")
    if not unhealthy:
        return []
    count, total = len(unhealthy), len(group.described)
    names = listing(target_name(d) for d in unhealthy)
    common: dict[str, Any] = {"tg": group.name, "tg_arn": group.arn}
    if _expected_under_local(scene, group, unhealthy):
        namespace = scene.instance.namespace if scene.instance else ""
        return [
            make(
                "TGT022",
                group.ref,
                variant=None if _is_local(scene) else "host_port",
                tg=group.name,
                count=count,
                total=total,
                targets=names,
                ns=namespace,
            )
        ]
    found = _health_check(scene, group, unhealthy)
    reasons = listing(sorted({reason_of(d) or text("said", "no_reason") for d in unhealthy}))
    ports = listing(sorted(ports_in(scene, group.arn)))
    # Requests avoid unhealthy targets while any is healthy: capacity is lost, not requests.
    partial = count < total
    mild = Severity.INFO if _untold(scene) or _cordoned(scene, unhealthy) else Severity.WARNING
    found.append(
        make(
            "TGT017",
            group.ref,
            severity=mild if partial else None,
            count=count,
            total=total,
            reason=reasons,
            targets=names,
            target_port=ports,
            share=group.share * count / total,
            **common,
        )
    )
    return found


def _cordoned(scene: Scene, unhealthy: list[Obj]) -> bool:
    """Whether each of these targets is a node that somebody has taken out (kubectl cordon)."""
    nodes = [scene.node_ids.get(str((d.get("Target") or {}).get("Id"))) for d in unhealthy]
    return all(node is not None and bool(spec(node).get("unschedulable")) for node in nodes)


def _health_check(scene: Scene, group: Group, unhealthy: list[Obj]) -> list[Finding]:
    """The health check itself is wrong: its port, or what it asks there."""
    obj = group.obj
    check = str(obj.get("HealthCheckPort") or "traffic-port")
    traffic = sorted(ports_in(scene, group.arn))
    node_ports = {p.node_port for p in scene.ports if p.node_port} | scene.host_ports
    own = {p.container_port for p in scene.ports} | {
        e.port for e in scene.static.entry_points.values()
    }
    service = scene.traefik_service
    health_port = spec(service).get("healthCheckNodePort") if service else None
    common: dict[str, Any] = {"tg": group.name, "tg_arn": group.arn}
    ip_targets = obj.get("TargetType") == "ip"
    known = node_ports | ({health_port} if health_port else set()) | (own if ip_targets else set())
    traffic_fine = any(port in known for port in traffic)
    if check != "traffic-port" and known and int(check or 0) not in known and traffic_fine:
        return [
            make("TGT015", group.ref, check_port=check, traffic_port=listing(traffic), **common)
        ]
    protocol = str(obj.get("HealthCheckProtocol") or "TCP")
    answered = [d for d in unhealthy if reason_of(d) == "Target.ResponseCodeMismatch"]
    if protocol in ("HTTP", "HTTPS") and (answered or not _answers_check(scene, obj, traffic)):
        said = str((unhealthy[0].get("TargetHealth") or {}).get("Description") or "")
        codes = _CODES.search(said)  # an NLB names none
        if _some_pod_ready(scene) and traffic_fine:
            return [
                make(
                    "TGT016",
                    group.ref,
                    protocol=protocol,
                    path=obj.get("HealthCheckPath", "/"),
                    matcher=(obj.get("Matcher") or {}).get("HttpCode", "200-399"),
                    answer=codes[1] if codes else "404",
                    **common,
                )
            ]
    return []


def _some_pod_ready(scene: Scene) -> bool:
    return any(pod_ready(pod) for pod in (scene.instance.pods if scene.instance else ()))


def _answers_check(scene: Scene, obj: Obj, traffic: list[int]) -> bool:
    """Whether Traefik's ping is what the HTTP health check asks, as far as known."""
    check = str(obj.get("HealthCheckPort") or "traffic-port")
    number = int(check) if check.isdigit() else (traffic[0] if traffic else 0)
    port = next((p for p in scene.ports if number in (p.node_port, p.container_port)), None)
    if port is None or port.entry_point is None or not scene.static.known:
        return True
    static = scene.static
    path = str(obj.get("HealthCheckPath") or "/")
    return static.ping and static.ping_entry_point == port.entry_point.name and path == "/ping"
