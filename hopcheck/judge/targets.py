"""Target groups of a listener: are there targets, on the right port, healthy, and if not why."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from hopcheck.catalogue import listing, make, text
from hopcheck.judge import mixed_targets
from hopcheck.model import Finding, Gap, Obj, ObjectRef, Severity, Why
from hopcheck.outcome import outcomes
from hopcheck.way.loadbalancer import Forward
from hopcheck.way.scene import Scene, meta, pod_ready, spec

_UNUSED_MEANING = {
    "Target.NotInUse": "no listener uses the target group, or the target's zone is not enabled",
    "Target.InvalidState": "the instance is stopped or terminated",
    "Target.IpUnusable": "the address cannot be a target, a load balancer uses it",
    "Target.NotRegistered": "it is not registered",
}
_TRANSIENT = ("initial", "draining")


class Groups(Struct):
    """What was found in all target groups of a listener."""

    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class Group(Struct, frozen=True):
    """One target group with its described targets."""

    arn: str
    name: str
    obj: Obj
    described: tuple[Obj, ...]
    share: float

    @property
    def ref(self) -> ObjectRef:
        """The report's name of it."""
        return ObjectRef("TargetGroup", self.name)

    def in_state(self, *states: str) -> list[Obj]:
        """The descriptions whose state is one of `states`."""
        return [d for d in self.described if _state(d) in states]


def _state(described: Obj) -> str:
    return str((described.get("TargetHealth") or {}).get("State", ""))


def _reason(described: Obj) -> str:
    return str((described.get("TargetHealth") or {}).get("Reason", ""))


def _name(described: Obj) -> str:
    target = described.get("Target") or {}
    return f"{target.get('Id')}:{target.get('Port')}"


def ports_in(scene: Scene, arn: str) -> set[int]:
    """The ports on which a group's targets are registered."""
    return {
        int(port)
        for described in scene.health(arn).or_else(()) or ()
        if (port := (described.get("Target") or {}).get("Port"))
    }


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
            {"name": _name(d), "state": _state(d), "detail": _reason(d)} for d in one.described
        ]
        _judge_group(scene, balancer, listener, forward, one, result)
    result.facts["target-group.label"] = listing(names)
    result.facts["target-group.members"] = members
    healthy = sum(member["state"] == "healthy" for member in members)
    result.facts["target-group.detail"] = f"{healthy} of {len(members)} targets healthy"
    result.facts["targets"] = members
    nodes = _node_names(scene, members)
    if nodes:
        result.facts["node.label"] = listing(nodes, 3)
    elif members and all(
        str(member["name"]).rpartition(":")[0] in scene.pod_addresses for member in members
    ):
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


def _judge_group(
    scene: Scene, balancer: Obj, listener: Obj, forward: Forward, group: Group, result: Groups
) -> None:
    lb = balancer.get("LoadBalancerName")
    if not group.described:
        result.findings.append(
            make(
                "TGT010",
                group.ref,
                tg=group.name,
                tg_arn=group.arn,
                lb=lb,
                port=listener.get("Port"),
                share=forward.share,
                related=(ObjectRef("LoadBalancer", str(lb)),),
            )
        )
        return
    result.findings += _ports(scene, group)
    result.findings += mixed_targets.judge(scene, group)
    result.findings += _unused(group, str(lb))
    result.findings += _proxy_protocol(scene, group)
    moving = group.in_state(*_TRANSIENT)
    if moving:
        result.findings.append(
            make(
                "TGT021",
                group.ref,
                tg=group.name,
                tg_arn=group.arn,
                count=len(moving),
                total=len(group.described),
                states=listing(sorted({f"{_state(d)} ({_reason(d)})" for d in moving})),
            )
        )
    unsure = group.in_state("unavailable")
    if unsure:
        result.gaps.append(
            Gap(
                "target_health",
                Why.ERROR,
                _reason(unsure[0]),
                required=len(unsure) == len(group.described),
                params={"tg": group.name, "party": "aws"},
            )
        )
    result.findings += _stale(scene, group)
    result.findings += _unhealthy(scene, group)


def _port_kind(scene: Scene, target: Obj) -> str | None:
    """Give "node" for a node's instance or address, "pod" for a Traefik pod's; None: not known."""
    if target.get("Id") in scene.pod_addresses and target.get("Id") not in scene.node_ids:
        return "pod"
    if target.get("Id") in scene.node_ids:
        return "node"
    # An instance that is none of the nodes seen belongs to another cluster, or to none.
    if str(target.get("Id", "")).startswith("i-") and not scene.node_ids:
        return "node"
    return None


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
        kind, port = _port_kind(scene, target), int(target.get("Port") or 0)
        known = node_ports if kind == "node" else pod_ports if kind == "pod" else None
        if known and kind and port not in known:
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
                share=group.share * count / len(group.described),
                related=(ObjectRef("Service", str(name), namespace),),
            )
        )
    return found


def _unused(group: Group, lb: str) -> list[Finding]:
    found = []
    by_reason: dict[str, list[Obj]] = {}
    for described in group.in_state("unused"):
        by_reason.setdefault(_reason(described), []).append(described)
    healthy = group.in_state("healthy", *_TRANSIENT)
    for reason, unused in by_reason.items():
        meaning = _UNUSED_MEANING.get(reason)
        if meaning is None:
            continue
        severity = Severity.WARNING if healthy else Severity.ERROR
        count, total = len(unused), len(group.described)
        names = listing(_name(d) for d in unused)
        if reason == "Target.NotInUse":
            found.append(
                make(
                    "TGT011",
                    group.ref,
                    severity=severity,
                    tg=group.name,
                    tg_arn=group.arn,
                    lb=lb,
                    reason=reason,
                    meaning=meaning,
                    unused=count,
                    total=total,
                )
            )
        elif reason == "Target.NotRegistered":
            found.append(
                make(
                    "TGT013",
                    group.ref,
                    severity=severity,
                    tg=group.name,
                    tg_arn=group.arn,
                    missing=names,
                )
            )
        else:
            found.append(
                make(
                    "TGT012",
                    group.ref,
                    severity=severity,
                    tg=group.name,
                    tg_arn=group.arn,
                    count=count,
                    total=total,
                    reason=reason,
                    meaning=meaning,
                    targets=names,
                )
            )
    return found


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
    if outcomes(scene.snapshot).succeeded:
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
            entry_state="no proxyProtocol",
            related=related,
        )
        for entry in entries
        if not entry.proxy_protocol
    ]


def _stale(scene: Scene, group: Group) -> list[Finding]:
    if group.obj.get("TargetType") != "ip" or not scene.pod_addresses:
        return []
    strangers = [
        d
        for d in group.described
        if _port_kind(scene, d.get("Target") or {}) is None and _state(d) not in _TRANSIENT
    ]
    known = [d for d in group.described if d not in strangers]
    if not strangers or not known or not scene.node_ids:
        return []
    namespace = scene.instance.namespace if scene.instance else ""
    return [
        make(
            "TGT019",
            group.ref,
            tg=group.name,
            tg_arn=group.arn,
            count=len(strangers),
            total=len(group.described),
            targets=listing(_name(d) for d in strangers),
            ns=namespace,
        )
    ]


def _nodes_with_traefik(scene: Scene) -> set[str]:
    pods = scene.instance.pods if scene.instance else ()
    return {str(spec(pod).get("nodeName")) for pod in pods if pod_ready(pod)}


def _is_local(scene: Scene) -> bool:
    service = scene.traefik_service
    return service is not None and spec(service).get("externalTrafficPolicy") == "Local"


def _expected_under_local(scene: Scene, group: Group, unhealthy: list[Obj]) -> bool:
    """Whether every unhealthy target is a node without a ready Traefik pod of its own."""
    if not _is_local(scene) or not scene.instance:
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
    names = listing(_name(d) for d in unhealthy)
    common: dict[str, Any] = {"tg": group.name, "tg_arn": group.arn}
    if _expected_under_local(scene, group, unhealthy):
        namespace = scene.instance.namespace if scene.instance else ""
        return [
            make(
                "TGT022",
                group.ref,
                tg=group.name,
                count=count,
                total=total,
                targets=names,
                ns=namespace,
            )
        ]
    found = _health_check(scene, group, unhealthy)
    reasons = listing(sorted({_reason(d) or "no reason given" for d in unhealthy}))
    ports = listing(sorted(ports_in(scene, group.arn)))
    # Requests avoid unhealthy targets while any is healthy: capacity is lost, not requests.
    partial = count < total
    found.append(
        make(
            "TGT017",
            group.ref,
            severity=Severity.WARNING if partial else None,
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
    answered = [d for d in unhealthy if _reason(d) == "Target.ResponseCodeMismatch"]
    if protocol in ("HTTP", "HTTPS") and (answered or not _answers_check(scene, obj, traffic)):
        description = str((unhealthy[0].get("TargetHealth") or {}).get("Description") or "404")
        if _some_pod_ready(scene) and traffic_fine:
            return [
                make(
                    "TGT016",
                    group.ref,
                    protocol=protocol,
                    path=obj.get("HealthCheckPath", "/"),
                    matcher=(obj.get("Matcher") or {}).get("HttpCode", "200-399"),
                    answer=description.rstrip("."),
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
