"""The targets: whose they are, on which port, and whether AWS uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hopcheck.catalogue.catalogue import has_text, listing, make, text
from hopcheck.model import Finding, ObjectRef, Severity, Words
from hopcheck.scene.chain import TRANSIENT, GroupLink, Kind, TargetLink
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import ref_of, traefik_refs, workload_refs
from hopcheck.steps.rule import rule
from hopcheck.steps.target_health.front import (
    BEHIND,
    SHOWN,
    WAY,
    lb_ref,
    of_group,
    service_refs,
    way_of,
)
from hopcheck.steps.target_health.groups import groups_of, is_strange, judged_groups
from hopcheck.steps.target_health.listeners import led_elsewhere
from hopcheck.steps.target_health.zones import zone_of
from hopcheck.verdict.contradicted import Claim, Claimed

# Nodes that no load balancer is meant to reach (Kubernetes, "Well-Known Labels").
_NOT_MEANT = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node.kubernetes.io/exclude-from-external-load-balancers",
)


@rule(reads=("dns", "aws"), uses=BEHIND)
def the_group_has_targets(scene: Scene) -> Iterator[Finding]:
    """Targets are registered in the group, and not all of them are on their way out."""
    way = way_of(scene)
    for group in groups_of(scene) if way is not None else ():
        draining = bool(group.targets) and len(group.in_state("draining")) == len(group.targets)
        if way is None or (group.targets and (not draining or is_strange(scene, way))):
            continue
        yield of_group(
            "TGT010",
            group,
            variant="draining" if draining else None,
            lb=way.balancer.load_balancer_name,
            port=way.listener.port,
            share=group.share,
            related=(lb_ref(way.balancer),),
        )


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def the_targets_are_this_clusters(scene: Scene) -> Iterator[Finding]:
    """A target at least is a node or a Traefik pod of this cluster.

    Told only where requests fail, this cluster has a Traefik, and nodes and pods could be seen.
    """
    way = way_of(scene)
    for group in groups_of(scene) if way is not None and is_strange(scene, way) else ():
        if way is None or not group.targets:
            continue
        names = listing(target.name for target in group.targets)
        if group.of_addresses and len(group.in_state("unhealthy")) == len(group.targets):
            yield of_group(
                "TGT019",
                group,
                variant="all",
                severity=Severity.ERROR,
                count=len(group.targets),
                total=len(group.targets),
                targets=names,
                ns=scene.instance.namespace if scene.instance else "",
                share=group.share,
                related=traefik_refs(scene),
            )
        else:
            action = text("action", "target_group", tg=group.name, targets=names)
            related = (group.ref, lb_ref(way.balancer))
            yield led_elsewhere(
                scene, way, action, variant="elsewhere", share=group.share, related=related
            )


# --- their ports


@rule(reads=WAY, uses=SHOWN)
def targets_are_on_a_port_of_traefik(scene: Scene) -> Iterator[Finding | Claimed]:
    """Every target is registered on a port at which Traefik is reached."""
    for group in judged_groups(scene):
        wrong: Counter[tuple[Kind, int]] = Counter()
        for target in group.targets:
            known = _numbers(scene, target.kind) if target.kind is not None else []
            if target.kind is None or not known or target.leads is not None:
                continue
            wrong[target.kind, target.port] += 1
        for (kind, port), count in wrong.items():
            forwarded = _may_be_forwarded(scene, group, port)
            claim = Claim.STOPS_A_PART if forwarded else Claim.STOPS_NOTHING_NOW
            yield Claimed(claim, _off_port(scene, group, kind, port, count))


def _numbers(scene: Scene, kind: Kind) -> list[int]:
    return sorted({number for one in scene.own_ports if (number := one.number(kind))})


def _off_port(scene: Scene, group: GroupLink, kind: Kind, port: int, count: int) -> Finding:
    wanted = scene.wanted_port(scene.target.scheme)
    best = wanted.number(kind) if wanted is not None else None
    by_host_port = kind == "node" and scene.host_ports and not any(p.node_port for p in scene.ports)
    return of_group(
        "TGT014",
        group,
        variant="ip" if kind == "pod" else "host_port" if by_host_port else None,
        target_port=port,
        node_ports=listing(_numbers(scene, kind)),
        wanted=(wanted.name or wanted.port) if wanted else "",
        wanted_port=best or "",
        count=count,
        total=len(group.targets),
        share=group.share * count / len(group.targets),
        related=service_refs(scene) or traefik_refs(scene),
        **_words(scene),
    )


def _words(scene: Scene) -> Words:
    """Traefik's Service, as texts name it; its workload where it has none."""
    service = scene.traefik_service or scene.instance
    namespace = service.namespace if service is not None else ""
    name = service.name if service is not None else ""
    return {
        "service": f"{namespace}/{name}",
        "ns": namespace,
        "svc": name,
    }


def _may_be_forwarded(scene: Scene, group: GroupLink, port: int) -> bool:
    """Whether something that is no Service of the cluster may pass the port on.

    Forwarders on the nodes (servicelb's pods, a proxy in the host network): a target on the port
    is healthy, and no Service has the port. One forwarder of several may be down: then its target
    is unhealthy, and the port is right all the same, as requests that all succeed show.
    """
    owned = any(one.node_port == port for service in scene.services for one in service.spec.ports)
    healthy = any(target.port == port for target in group.in_state("healthy"))
    return healthy and not owned


@rule(reads=WAY, uses=SHOWN)
def targets_of_a_group_lead_to_one_entrypoint(scene: Scene) -> Iterator[Finding]:
    """All targets of a group lead to the same entryPoint of Traefik.

    Where all lead to another one it is the listener's fault, or the group of another scheme.
    """
    way = way_of(scene)
    for group in judged_groups(scene):
        plain = way is not None and way.ends_tls and group.sends_plain
        wanted = scene.wanted_port("http" if plain else scene.target.scheme)
        if wanted is None or wanted.entry_point is None:
            continue
        known = [t for t in group.targets if t.leads is not None and t.leads.entry_point]
        right = [t for t in known if t.leads is not None and t.leads.same_entry(wanted)]
        others = sorted({t.port for t in known if t not in right})
        for port in others if right else ():
            astray = [target for target in group.targets if target.port == port]
            yield of_group(
                "TGT014",
                group,
                variant="entry",
                target_port=port,
                node_ports=listing(sorted({target.port for target in right})),
                wanted=wanted.entry_point.name,
                wanted_port=min(target.port for target in right),
                count=len(astray),
                total=len(group.targets),
                share=group.share * len(astray) / len(group.targets),
                related=(
                    *(ObjectRef("Target", target.name) for target in astray),
                    *(service_refs(scene) or traefik_refs(scene)),
                ),
                **_words(scene),
            )


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def both_ends_speak_proxy_protocol_or_neither(scene: Scene) -> Iterator[Finding]:
    """Where the group sends the PROXY protocol, the entryPoint behind it accepts it."""
    attribute = "proxy_protocol_v2.enabled"
    for group in judged_groups(scene) if scene.static.known else ():
        if group.attributes.get(attribute) != "true":
            continue
        reached = (group.leads(number) for number in group.numbers)
        entries = {p.entry_point.name: p.entry_point for p in reached if p and p.entry_point}
        for entry in entries.values():
            if not entry.proxy_protocol:
                yield of_group(
                    "TGT018",
                    group,
                    entry=entry.name,
                    attribute="true",
                    entry_state=text("said", "no_proxy_protocol"),
                    workload="",
                    count="",
                    total="",
                    related=traefik_refs(scene),
                )


@rule(reads=WAY, uses=SHOWN)
def every_pod_accepts_the_proxy_protocol_that_is_sent(scene: Scene) -> Iterator[Finding]:
    """Where the group sends the PROXY protocol, every Traefik pod behind it accepts it.

    Which of them a connection meets is a draw: no good answer says that all is well.
    """
    pods = [pod for pod in (scene.instance.pods if scene.instance else ()) if pod.ready]
    for group in judged_groups(scene):
        if group.attributes.get("proxy_protocol_v2.enabled") != "true":
            continue
        reached = (group.leads(number) for number in group.numbers)
        for name in {p.entry_point.name for p in reached if p and p.entry_point}:
            own = ((pod, scene.static_of(pod).entry_points.get(name)) for pod in pods)
            deaf = [pod for pod, entry in own if entry is not None and not entry.proxy_protocol]
            if not deaf or len(deaf) == len(pods):
                continue
            owner = next(iter(workload_refs(deaf, deaf[0].namespace)))
            yield make(
                "TGT018",
                owner,
                variant="part",
                tg=group.name,
                tg_arn=group.arn,
                entry=name,
                attribute="true",
                entry_state=text("said", "no_proxy_protocol"),
                workload=str(owner),
                count=len(deaf),
                total=len(pods),
                share=group.share * len(deaf) / len(pods),
                related=(group.ref, *map(ref_of, deaf[:3])),
            )


# --- whether they are used, and who is missing


@rule(reads=("dns", "aws"), uses=BEHIND)
def aws_uses_every_target(scene: Scene) -> Iterator[Finding]:
    """No target is registered in vain: its zone is enabled, its instance runs, its group is used.

    Information where they are all in zones that the load balancer does not have: it is told its
    zones on purpose, and Auto Scaling groups register nodes of every zone.
    """
    way = way_of(scene)
    for group in judged_groups(scene) if way is not None else ():
        zones = way.balancer.availability_zones if way is not None else ()
        enabled = {zone.zone_name for zone in zones}
        serving = group.in_state("healthy", *TRANSIENT)
        by_reason: dict[str, list[TargetLink]] = {}
        for target in group.in_state("unused"):
            by_reason.setdefault(target.reason, []).append(target)
        for reason, these in by_reason.items():
            if not has_text("unused", reason):
                continue
            own = {zone_of(scene, target) for target in these}
            outside = reason == "Target.NotInUse" and None not in own and not own & enabled
            mild = Severity.INFO if outside and enabled else Severity.WARNING
            common: Words = {
                "severity": mild if serving else Severity.ERROR,
                "share": group.share * len(these) / len(group.targets),
            }
            names = listing(target.name for target in these)
            counted: Words = {
                "reason": reason,
                "meaning": text("unused", reason),
                "total": len(group.targets),
            }
            if reason == "Target.NotInUse":
                lb = way.balancer.load_balancer_name if way is not None else ""
                yield of_group("TGT011", group, lb=lb, unused=len(these), **counted, **common)
            elif reason == "Target.NotRegistered":
                yield of_group("TGT013", group, missing=names, detail="", **common)
            else:
                yield of_group(
                    "TGT012", group, count=len(these), targets=names, **counted, **common
                )


@rule(reads=WAY, uses=SHOWN)
def nodes_with_a_pod_are_registered_under_policy_local(scene: Scene) -> Iterator[Finding]:
    """Under externalTrafficPolicy Local every node with a Traefik pod is a target.

    Information only: the pods of the others get nothing, and no request fails of that.
    """
    for group in judged_groups(scene) if is_local(scene) else ():
        registered = {target.node_name for target in group.targets if target.node is not None}
        by_name = {node.name: node for node in scene.node_ids.values()}
        serving = nodes_with_traefik(scene)
        missing = sorted(
            name
            for name in serving - registered
            if name in by_name
            and not any(label in by_name[name].metadata.labels for label in _NOT_MEANT)
        )
        if missing and serving & registered:
            yield of_group(
                "TGT013",
                group,
                severity=Severity.INFO,
                missing=listing(missing),
                detail=text("said", "local_without_target"),
                related=tuple(ObjectRef("Node", name) for name in missing[:3]),
            )


def is_local(scene: Scene) -> bool:
    """Whether a node hands on what it gets to its own pods alone."""
    service = scene.traefik_service
    return service is not None and service.spec.external_traffic_policy == "Local"


def nodes_with_traefik(scene: Scene) -> set[str | None]:
    """The names of the nodes on which a pod of the host's Traefik is ready."""
    pods = scene.instance.pods if scene.instance else ()
    return {pod.spec.node_name for pod in pods if pod.ready}


@rule(reads=("dns", "aws"), uses=BEHIND)
def no_target_is_on_its_way(scene: Scene) -> Iterator[Finding]:
    """No target is being registered or deregistered."""
    for group in judged_groups(scene):
        moving = group.in_state(*TRANSIENT)
        if moving:
            yield of_group(
                "TGT021",
                group,
                count=len(moving),
                total=len(group.targets),
                states=listing(sorted({f"{t.state} ({t.reason})" for t in moving})),
            )


@rule(reads=WAY, uses=SHOWN)
def every_address_is_a_pods(scene: Scene) -> Iterator[Finding]:
    """Every ip target is an address of a pod or node that is there."""
    for group in judged_groups(scene):
        if not group.of_addresses or not scene.pod_addresses or not scene.node_ids:
            continue
        # Healthy ones are somebody's: another cluster's, behind the same target group.
        others = [
            t for t in group.targets if t.kind is None and t.state not in (*TRANSIENT, "healthy")
        ]
        if others and len(others) < len(group.targets):
            yield of_group(
                "TGT019",
                group,
                count=len(others),
                total=len(group.targets),
                targets=listing(target.name for target in others),
                ns=scene.instance.namespace if scene.instance else "",
            )
