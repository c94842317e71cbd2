"""Security groups of the load balancer and of the nodes: does a rule let the traffic through."""

from __future__ import annotations

from collections.abc import Iterable

from hopcheck.catalogue import listing, make
from hopcheck.judge.targets import ports_in
from hopcheck.model import ErrorKind, Finding, Obj, ObjectRef
from hopcheck.outcome import outcomes
from hopcheck.way.scene import Scene

_ANYWHERE = ("0.0.0.0/0", "::/0")  # a CIDR, nothing is bound


def judge(scene: Scene, balancer: Obj, listener: Obj) -> list[Finding]:
    """Blame a group only where requests really do not arrive, or targets are unhealthy."""
    groups = scene.aws.security_groups
    if not groups.seen or not groups.get():
        return []
    by_id = {str(group.get("GroupId")): group for group in groups.get()}
    if not _connections_fail(scene) and not _all_unhealthy(scene, listener):
        return []
    found = _of_balancer(scene, balancer, listener, by_id)
    return found or _of_nodes(scene, balancer, listener, by_id)


def _connections_fail(scene: Scene) -> bool:
    waits = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
    probes = [c.get() for c in scene.snapshot.http.requests if c.seen and c.get().exchanges]
    return bool(probes) and all(p.exchanges[-1].error in waits for p in probes)


def _all_unhealthy(scene: Scene, listener: Obj) -> bool:
    described = [
        one
        for forward in scene.forwards(listener)
        for one in scene.health(forward.target_group_arn).or_else(()) or ()
    ]
    states = [(d.get("TargetHealth") or {}).get("State") for d in described]
    return bool(states) and all(state == "unhealthy" for state in states)


def _rules_for(groups: Iterable[Obj], port: int) -> list[Obj]:
    found = []
    for group in groups:
        for rule in group.get("IpPermissions") or ():
            protocol = str(rule.get("IpProtocol", "-1"))
            if protocol not in ("-1", "tcp", "6"):
                continue
            if protocol == "-1" or int(rule.get("FromPort", 0)) <= port <= int(
                rule.get("ToPort", 65535)
            ):
                found.append(rule)
    return found


def _sources(rules: Iterable[Obj]) -> list[str]:
    found: list[str] = []
    for rule in rules:
        found += [str(r.get("CidrIp")) for r in rule.get("IpRanges") or ()]
        found += [str(r.get("CidrIpv6")) for r in rule.get("Ipv6Ranges") or ()]
        found += [str(r.get("GroupId")) for r in rule.get("UserIdGroupPairs") or ()]
        found += [str(r.get("PrefixListId")) for r in rule.get("PrefixListIds") or ()]
    return found


def _words(rules: list[Obj], port: int) -> str:
    return f"rules for {port} admit {listing(_sources(rules))}" if rules else f"no rule for {port}"


def _of_balancer(
    scene: Scene, balancer: Obj, listener: Obj, by_id: dict[str, Obj]
) -> list[Finding]:
    ids = [i for i in balancer.get("SecurityGroups") or () if i in by_id]
    if not ids or not _connections_fail(scene):
        return []
    port = int(listener["Port"])
    rules = _rules_for((by_id[i] for i in ids), port)
    if any(source in _ANYWHERE for source in _sources(rules)):
        return []
    name = str(balancer.get("LoadBalancerName"))
    return [
        make(
            "TGT007",
            ObjectRef("SecurityGroup", ids[0]),
            sg=ids[0],
            what=f"load balancer {name}",
            source="this client",
            port=port,
            rules=_words(rules, port),
            related=(ObjectRef("LoadBalancer", name),),
        )
    ]


def _of_nodes(scene: Scene, balancer: Obj, listener: Obj, by_id: dict[str, Obj]) -> list[Finding]:
    instances = {i.get("InstanceId"): i for i in scene.aws.instances.or_else(()) or ()}
    own = set(balancer.get("SecurityGroups") or ())
    for forward in scene.forwards(listener):
        arn = forward.target_group_arn
        preserved = scene.attribute(arn, "preserve_client_ip.enabled") == "true"
        name = str(scene.group(arn).get("TargetGroupName"))
        for described in scene.health(arn).or_else(()) or ():
            instance = instances.get((described.get("Target") or {}).get("Id"))
            ids = [
                str(g.get("GroupId"))
                for g in (instance or {}).get("SecurityGroups") or ()
                if g.get("GroupId") in by_id
            ]
            if not ids:
                continue
            for port in sorted(ports_in(scene, arn)):
                rules = _rules_for((by_id[i] for i in ids), port)
                sources = _sources(rules)
                blocked = not rules or (
                    preserved
                    and _connections_fail(scene)
                    and not outcomes(scene.snapshot).succeeded
                    and not any(s in _ANYWHERE for s in sources)
                    and not own & set(sources)
                )
                if blocked:
                    source = (
                        "the clients' addresses" if preserved and rules else "the load balancer"
                    )
                    return [
                        make(
                            "TGT007",
                            ObjectRef("SecurityGroup", ids[0]),
                            sg=ids[0],
                            what="the target nodes",
                            source=source,
                            port=port,
                            rules=_words(rules, port),
                            related=(ObjectRef("TargetGroup", name),),
                        )
                    ]
    return []
