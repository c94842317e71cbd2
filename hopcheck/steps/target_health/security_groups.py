"""Security groups of the load balancer and of the nodes: does a rule let the traffic through.

A group is blamed only where connections really get no answer or all targets are unhealthy, where
every group concerned could be read, and where its rules decide the matter: whose addresses this
client or a prefix list has is not known.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from hopcheck.behaviour.aws.security_groups import admits_all, rules_for, sources_of
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Finding, Obj, ObjectRef, Probe
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.scene import Scene
from hopcheck.steps.target_health.groups import ports_in

_SILENT = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)


def judge(scene: Scene, balancer: Obj, listener: Obj) -> list[Finding]:
    """At most one finding: the first group on the way that lets nothing through."""
    listed = scene.aws.security_groups
    if not listed.seen or not listed.get():
        return []
    by_id = {str(group.get("GroupId")): group for group in listed.get()}
    silent = _silent(scene)
    if not silent and not _all_unhealthy(scene, listener):
        return []
    return (
        _of_balancer(scene, balancer, listener, by_id, silent)
        or _outbound(scene, balancer, listener, by_id)
        or _of_nodes(scene, balancer, listener, by_id, silent)
    )


def _silent(scene: Scene) -> list[Probe]:
    """The host's requests, where none of them got any answer to its SYN."""
    made = requests_made(scene.snapshot)
    return made if all(p.exchanges[-1].error in _SILENT for p in made) else []


def _described(scene: Scene, listener: Obj) -> list[Obj]:
    return [
        one
        for forward in scene.forwards(listener)
        for one in scene.health(forward.target_group_arn).or_else(()) or ()
    ]


def _all_unhealthy(scene: Scene, listener: Obj) -> bool:
    states = [(d.get("TargetHealth") or {}).get("State") for d in _described(scene, listener)]
    return bool(states) and all(state == "unhealthy" for state in states)


# --- rules


def _words(rules: list[Obj], port: int) -> str:
    if not rules:
        return text("security_group", "no_rule", port=port)
    return text("security_group", "rules", port=port, sources=listing(sources_of(rules)))


def _readable(ids: Sequence[object], by_id: dict[str, Obj]) -> list[str]:
    """The ids, where every one of these groups was read; a group not seen may admit all."""
    wanted = [str(i) for i in ids]
    return wanted if all(i in by_id for i in wanted) else []


# --- the load balancer


def _of_balancer(
    scene: Scene, balancer: Obj, listener: Obj, by_id: dict[str, Obj], silent: list[Probe]
) -> list[Finding]:
    ids = _readable(balancer.get("SecurityGroups") or (), by_id)
    if not ids or not silent:
        return []
    port = int(listener["Port"])
    rules = rules_for((by_id[i] for i in ids), port)
    versions = {ipaddress.ip_address(p.address).version for p in silent}
    if any(admits_all(rules, version) for version in versions):
        return []
    # Behind an internal load balancer, and inside the network, rules for private addresses are
    # what one wants, and whether this client has one of them is not known.
    inside = balancer.get("Scheme") == "internal" or scene.snapshot.vantage.in_cluster
    if rules and inside:
        return []
    name = str(balancer.get("LoadBalancerName"))
    what = text("security_group", "balancer", name=name)
    client = text("security_group", "this_client")
    return [_finding(ids[0], what, client, port, rules, name, None)]


def _outbound(scene: Scene, balancer: Obj, listener: Obj, by_id: dict[str, Obj]) -> list[Finding]:
    """Outbound rules of the load balancer, which must let it reach its targets."""
    ids = _readable(balancer.get("SecurityGroups") or (), by_id)
    if not ids or not all("IpPermissionsEgress" in by_id[i] for i in ids):
        return []
    if not _all_unhealthy(scene, listener):
        return []
    for forward in scene.forwards(listener):
        for port in sorted(ports_in(scene, forward.target_group_arn)):
            if rules_for((by_id[i] for i in ids), port, outbound=True):
                continue
            name = str(balancer.get("LoadBalancerName"))
            what = text("security_group", "outbound", name=name)
            source = text("security_group", "the_balancer")
            return [_finding(ids[0], what, source, port, [], name, None)]
    return []


# --- the nodes


def _of_nodes(
    scene: Scene, balancer: Obj, listener: Obj, by_id: dict[str, Obj], silent: list[Probe]
) -> list[Finding]:
    own = {str(i) for i in balancer.get("SecurityGroups") or ()}
    for forward in scene.forwards(listener):
        arn = forward.target_group_arn
        name = str(scene.group(arn).get("TargetGroupName"))
        preserved = scene.attribute(arn, "preserve_client_ip.enabled") == "true"
        for described in scene.health(arn).or_else(()) or ():
            ids = _instance_groups(scene, described.get("Target") or {}, by_id)
            if not ids:
                continue
            state = (described.get("TargetHealth") or {}).get("State")
            for port, traffic in _ports(scene, described):
                rules = rules_for((by_id[i] for i in ids), port)
                if not rules and state == "unhealthy":
                    source = text("security_group", "the_balancer")
                elif (
                    traffic
                    and preserved
                    and silent
                    and state == "healthy"
                    and not scene.snapshot.vantage.in_cluster
                    and not own & set(sources_of(rules))
                    and not any(admits_all(rules, version) for version in (4, 6))
                ):
                    source = text("security_group", "clients")
                else:
                    continue
                what = text("security_group", "nodes")
                return [_finding(ids[0], what, source, port, rules, None, name)]
    return []


def _ports(scene: Scene, described: Obj) -> list[tuple[int, bool]]:
    """The ports that a target is asked on, each with whether it is the traffic's.

    One that is no port of Traefik's is another fault: no rule for it is missing.
    """
    known = {p.node_port for p in scene.ports if p.node_port} | scene.host_ports
    found = []
    port = int((described.get("Target") or {}).get("Port") or 0)
    check = str(described.get("HealthCheckPort") or "")
    for number, traffic in ((port, True), (int(check) if check.isdigit() else 0, False)):
        if number and (not known or number in known):
            found.append((number, traffic))
    return found


def _instance_groups(scene: Scene, target: Obj, by_id: dict[str, Obj]) -> list[str]:
    for instance in scene.aws.instances.or_else(()) or ():
        if target.get("Id") in (instance.get("InstanceId"), instance.get("PrivateIpAddress")):
            groups = [g.get("GroupId") for g in instance.get("SecurityGroups") or ()]
            return _readable(groups, by_id)
    return []


def _finding(
    group: str,
    what: str,
    source: str,
    port: int,
    rules: list[Obj],
    balancer: str | None,
    target_group: str | None,
) -> Finding:
    kind, name = ("LoadBalancer", balancer) if balancer else ("TargetGroup", target_group)
    return make(
        "TGT007",
        ObjectRef("SecurityGroup", group),
        sg=group,
        what=what,
        source=source,
        port=port,
        rules=_words(rules, port),
        related=(ObjectRef(kind, str(name)),),
    )
