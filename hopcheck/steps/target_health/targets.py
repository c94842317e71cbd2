"""The targets: whose they are, on which port, and whether AWS uses them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hopcheck.behaviour.aws.loadbalancer import chosen_rule, instance_of_node, target_groups_of
from hopcheck.behaviour.kubernetes.graph import selects
from hopcheck.behaviour.kubernetes.objects import node_ports_of
from hopcheck.behaviour.traefik.static import EntryPoint
from hopcheck.catalogue.catalogue import Raw, has_text, listing, text
from hopcheck.model import NOT_SELECTED, Finding, Hop, ObjectRef, Severity, Words
from hopcheck.model.aws import Listener, ListenerRule
from hopcheck.model.kubernetes import Node, Pod
from hopcheck.scene.chain import TRANSIENT, Chain, GroupLink, Kind, TargetLink, chain_of
from hopcheck.scene.outcome import (
    Producer,
    pods_serve,
    producer,
    requests_made,
    succeeded,
)
from hopcheck.scene.probes import probes_at, through_traefik
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import last_exchanges, lb_ref, ref_of, traefik_refs, workload_refs
from hopcheck.steps.rule import BEHIND, SHOWN, WAY, rule
from hopcheck.steps.target_health.front import of_group, service_refs, way_of
from hopcheck.steps.target_health.groups import groups_of, is_strange, judged_groups, zone_of
from hopcheck.steps.target_health.listeners import led_elsewhere
from hopcheck.verdict.contradicted import Claim, Claimed

_EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
# Nodes that no load balancer is meant to reach (Kubernetes, "Well-Known Labels").
_NOT_MEANT = {
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    _EXCLUDE,
}


@rule(reads=("dns", "aws"), uses=BEHIND)
def the_group_has_targets(scene: Scene) -> Iterator[Finding]:
    """Targets are registered in the group, and not all of them are on their way out."""
    for group in groups_of(scene):
        draining = bool(group.targets) and len(group.in_state("draining")) == len(group.targets)
        if group.targets and (not draining or is_strange(scene)):
            continue
        excluded = _excluded(scene) if group.obj.target_type == "instance" else []
        yield of_group(
            "TGT010",
            group,
            variant="excluded" if excluded else "draining" if draining else None,
            nodes=listing(excluded),
            members=_members(_today(scene, group)),
            port=group.listener.port,
            share=group.share,
            related=(lb_ref(group.balancer),),
        )


def _today(scene: Scene, group: GroupLink) -> list[tuple[str, int | None]]:
    """The nodes that may be targets, where the group's own port is the one for the request."""
    wanted = scene.wanted_port(scene.target.scheme)
    fits = group.obj.target_type == "instance" and wanted and wanted.node_port == group.obj.port
    nodes = scene.kube.of(Node).or_else(()) or () if fits else ()
    meant = [node for node in nodes if not node.metadata.labels.keys() & _NOT_MEANT]
    return [(one, None) for node in meant if (one := instance_of_node(node))]


def _members(targets: Iterable[tuple[str, int | None]]) -> Raw:
    """Targets as the AWS CLI takes them."""
    words = (f"Id={name},Port={port}" if port else f"Id={name}" for name, port in targets)
    return Raw(" ".join(map(shlex.quote, words)))


def _not_traefiks(
    scene: Scene,
    group: GroupLink,
    these: Sequence[TargetLink],
    variant: str | None = None,
    **params: Any,
) -> Finding:
    """Targets that are none of this cluster's Traefik; each variant is an error."""
    params = {"owner": "", "pods": "", "there": "", "address": ""} | params
    params["ns"] = scene.instance.namespace if scene.instance else ""
    if variant is not None:
        params["severity"] = Severity.ERROR
        params["share"] = group.share * len(these) / len(group.targets)
    return of_group("TGT019", group, these, variant=variant, **params)


def _excluded(scene: Scene) -> list[str]:
    """The nodes with the label that keeps controllers off, where these leave none to register."""
    nodes = scene.kube.of(Node).or_else(()) or ()
    if any(not node.metadata.labels.keys() & _NOT_MEANT for node in nodes):
        return []
    return sorted(node.name for node in nodes if _EXCLUDE in node.metadata.labels)


@rule(reads=("dns", "aws"), uses=BEHIND, claims=Claim.STOPS_A_PART)
def an_alb_behind_is_there(scene: Scene) -> Iterator[Finding]:
    """An Application Load Balancer that is a target is one of the account's.

    Told where all of them were listed, of the same account and region.
    """
    listed = scene.aws.load_balancers
    for group in groups_of(scene) if listed.seen and not listed.truncated else ():
        place = group.balancer.load_balancer_arn.partition(":loadbalancer/")[0] + ":loadbalancer/"
        own = [t for t in group.targets if t.id.startswith(place) and t.state != "draining"]
        gone = [target for target in own if scene.balancer_by_arn(target.id) is None]
        if gone:
            names = {b.load_balancer_name for b in scene.load_balancers if b.type == "application"}
            there, related = listing(sorted(names)) or "-", (lb_ref(group.balancer),)
            yield _not_traefiks(scene, group, gone, "alb", there=there, related=related)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def no_rule_before_traefiks_takes_the_request(scene: Scene) -> Iterator[Finding]:
    """The first rule of an ALB's listener that matches is the one that leads to Traefik.

    Another on purpose leads past it to what serves: told only where requests fail, and where the
    application's pods, asked directly, serve what an application answered otherwise.
    """
    way = way_of(scene) if scene.ends.ports else None
    if way is None or not way.targets or any(target.leads for target in way.targets):
        return
    own = any(producer(last) is Producer.APPLICATION for last in last_exchanges(scene))
    if own and not pods_serve(scene):
        return
    later = _rule_to_traefik(scene, way)
    if later is None:
        return
    for group in way.groups:
        names = listing(target.name for target in group.targets)
        action = text("action", "target_group", tg=group.name, targets=names)
        words: Words = {"variant": "before", "later": later.priority, "share": group.share}
        words["related"] = (group.ref, *traefik_refs(scene))
        yield led_elsewhere(scene, group, action, **words)


def _rule_to_traefik(scene: Scene, way: Chain) -> ListenerRule | None:
    """The first rule for the host and path that leads to a port of Traefik."""
    told = scene.aws.rules.get(way.listener.listener_arn, NOT_SELECTED)
    rules = list(told.or_else(()) or ())
    while found := chosen_rule(rules, scene.target.host, scene.target.path):
        forwards = target_groups_of(Listener(default_actions=found.actions))
        led = chain_of(way.balancer, way.listener, forwards, scene.aws, scene.ends)
        if any(target.leads for target in led.targets):
            return found
        rules.remove(found)
    return None


@rule(
    reads=WAY,
    uses=SHOWN,
    claims=Claim.STOPS_EVERYTHING,
    unless=(no_rule_before_traefiks_takes_the_request,),
)
def the_targets_are_this_clusters(scene: Scene) -> Iterator[Finding]:
    """A target at least is a node or a Traefik pod of this cluster.

    Told only where requests fail, this cluster has a Traefik, and nodes and pods could be seen.
    """
    for group in groups_of(scene) if is_strange(scene) else ():
        if not group.targets or _of_other_pods(scene, group):
            continue
        if group.of_addresses and len(group.in_state("unhealthy")) == len(group.targets):
            yield _not_traefiks(scene, group, group.targets, "all", related=traefik_refs(scene))
        else:
            names = listing(target.name for target in group.targets)
            action = text("action", "target_group", tg=group.name, targets=names)
            related = (group.ref, lb_ref(group.balancer))
            yield led_elsewhere(
                scene, group, action, variant="elsewhere", share=group.share, related=related
            )


# --- their ports


@rule(reads=WAY, uses=SHOWN, unless=(no_rule_before_traefiks_takes_the_request,))
def targets_are_on_a_port_of_traefik(scene: Scene) -> Iterator[Finding | Claimed]:
    """Every target is registered on a port at which Traefik is reached."""
    for group in judged_groups(scene):
        wrong: dict[tuple[Kind, int], list[TargetLink]] = {}
        for target in group.targets:
            if target.kind is not None and target.leads is None and _numbers(scene, target.kind):
                wrong.setdefault((target.kind, target.port), []).append(target)
        for (kind, port), these in wrong.items():
            forwarded = _may_be_forwarded(scene, group, port)
            claim = Claim.STOPS_A_PART if forwarded else Claim.STOPS_NOTHING_NOW
            yield Claimed(claim, _off_every_port(scene, group, kind, these))


def _numbers(scene: Scene, kind: Kind) -> list[int]:
    return sorted({number for one in scene.own_ports if (number := one.number(kind))})


def _off_every_port(scene: Scene, group: GroupLink, kind: Kind, these: list[TargetLink]) -> Finding:
    wanted = scene.wanted_port(scene.target.scheme)
    by_host_port = kind == "node" and scene.host_ports and not any(p.node_port for p in scene.ports)
    number = these[0].port
    owners = [ref_of(s) for s in scene.services if kind == "node" and number in node_ports_of(s)]
    variant = "ip" if kind == "pod" else "host_port" if by_host_port else None
    return _off_port(
        scene,
        group,
        these,
        variant="owned" if owners else variant,
        owner=listing(owners),
        node_ports=listing(_numbers(scene, kind)),
        wanted=(wanted.name or wanted.port) if wanted else "",
        wanted_port=(wanted.number(kind) if wanted else None) or "",
        related=(*_ends(scene), *owners),
    )


def _ends(scene: Scene) -> tuple[ObjectRef, ...]:
    return service_refs(scene) or traefik_refs(scene)


def _off_port(scene: Scene, group: GroupLink, these: list[TargetLink], **params: Any) -> Finding:
    """Targets on a port that is not Traefik's: its Service is named, its workload without one."""
    service = scene.traefik_service or scene.instance
    namespace, name = (service.namespace, service.name) if service is not None else ("", "")
    words = {"owner": "", "service": f"{namespace}/{name}", "ns": namespace, "svc": name}
    if params["variant"] != "owned" and params["wanted_port"]:  # else they may be that one's
        words["right"] = _members((target.id, params["wanted_port"]) for target in these)
        words["wrong"] = _members((target.id, target.port) for target in these)
    share = group.share * len(these) / len(group.targets)
    return of_group(
        "TGT014", group, these, target_port=these[0].port, share=share, **(words | params)
    )


def _may_be_forwarded(scene: Scene, group: GroupLink, port: int) -> bool:
    """Whether something that is no Service of the cluster may pass the port on.

    Forwarders on the nodes (servicelb's pods, a proxy in the host network): a target on the port
    is healthy, and no Service has the port. One forwarder of several may be down: then its target
    is unhealthy, and the port is right all the same, as requests that all succeed show.
    """
    owned = any(port in node_ports_of(service) for service in scene.services)
    healthy = any(target.port == port for target in group.in_state("healthy"))
    return healthy and not owned


@rule(reads=WAY, uses=SHOWN)
def targets_of_a_group_lead_to_one_entrypoint(scene: Scene) -> Iterator[Finding]:
    """All targets of a group lead to the same entryPoint of Traefik.

    Where all lead to another one it is the listener's fault, or the group of another scheme.
    """
    for group in judged_groups(scene):
        plain = group.listener.ends_tls and group.sends_plain
        wanted = scene.wanted_port("http" if plain else scene.target.scheme)
        if wanted is None or wanted.entry_point is None:
            continue
        known = [t for t in group.targets if t.leads is not None and t.leads.entry_point]
        right = [t for t in known if t.leads is not None and t.leads.same_entry(wanted)]
        others = sorted({t.port for t in known if t not in right})
        for port in others if right else ():
            astray = [target for target in group.targets if target.port == port]
            yield _off_port(
                scene,
                group,
                astray,
                variant="entry",
                node_ports=listing(sorted({target.port for target in right})),
                wanted=wanted.entry_point.name,
                wanted_port=min(target.port for target in right),
                related=(*(ObjectRef("Target", one.name) for one in astray), *_ends(scene)),
            )


def _sending_proxy_protocol(scene: Scene) -> Iterator[tuple[GroupLink, EntryPoint]]:
    """The groups that send the PROXY protocol, with each entryPoint that they lead to."""
    for group in judged_groups(scene):
        if group.attributes.get("proxy_protocol_v2.enabled") == "true":
            reached = (group.leads(number) for number in group.numbers)
            entries = {p.entry_point.name: p.entry_point for p in reached if p and p.entry_point}
            yield from ((group, entry) for entry in entries.values())


def _deaf(group: GroupLink, entry: str, **params: Any) -> Finding:
    """An entryPoint does not accept the PROXY protocol that the group sends."""
    state = text("said", "no_proxy_protocol")
    params |= {"entry": entry, "attribute": "true", "entry_state": state}
    return of_group("TGT018", group, **params)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def both_ends_speak_proxy_protocol_or_neither(scene: Scene) -> Iterator[Finding]:
    """Where the group sends the PROXY protocol, the entryPoint behind it accepts it."""
    sending = list(_sending_proxy_protocol(scene)) if scene.static.known else []
    for group, entry in sending:
        if not entry.proxy_protocol:
            alone = all(other is entry for one, other in sending if one is group)
            refs, off = traefik_refs(scene), "false" if alone else ""
            yield _deaf(group, entry.name, workload="", related=refs, off=off)


@rule(reads=WAY, uses=SHOWN)
def every_pod_accepts_the_proxy_protocol_that_is_sent(scene: Scene) -> Iterator[Finding]:
    """Where the group sends the PROXY protocol, every Traefik pod behind it accepts it.

    Which of them a connection meets is a draw: no good answer says that all is well.
    """
    pods = [pod for pod in (scene.instance.pods if scene.instance else ()) if pod.ready]
    for group, meant in _sending_proxy_protocol(scene):
        own = ((pod, scene.static_of(pod).entry_points.get(meant.name)) for pod in pods)
        deaf = [pod for pod, entry in own if entry is not None and not entry.proxy_protocol]
        if not deaf or len(deaf) == len(pods):
            continue
        owner = next(iter(workload_refs(deaf, deaf[0].namespace)))
        yield _deaf(
            group,
            meant.name,
            at=owner,
            variant="part",
            workload=str(owner),
            count=len(deaf),
            total=len(pods),
            share=group.share * len(deaf) / len(pods),
            related=(group.ref, *map(ref_of, deaf[:3])),
        )


# --- whether they are used, and who is missing

_UNUSED = {"Target.NotInUse": "TGT011", "Target.NotRegistered": "TGT013"}


@rule(reads=("dns", "aws"), uses=BEHIND)
def aws_uses_every_target(scene: Scene) -> Iterator[Finding]:
    """No target is registered in vain: its zone is enabled, its instance runs, its group is used.

    Information where they are all in zones that the load balancer does not have: it is told its
    zones on purpose, and Auto Scaling groups register nodes of every zone.
    """
    for group in judged_groups(scene):
        enabled = {zone.zone_name for zone in group.balancer.availability_zones}
        serving = group.in_state("healthy", *TRANSIENT)
        by_reason: dict[str, list[TargetLink]] = {}
        for target in group.in_state("unused"):
            if has_text("unused", target.reason):
                by_reason.setdefault(target.reason, []).append(target)
        for reason, these in by_reason.items():
            own = {zone_of(scene, target) for target in these}
            outside = reason == "Target.NotInUse" and None not in own and not own & enabled
            mild = Severity.INFO if outside and enabled else Severity.WARNING
            yield of_group(
                _UNUSED.get(reason, "TGT012"),
                group,
                these,
                severity=mild if serving else Severity.ERROR,
                share=group.share * len(these) / len(group.targets),
                reason=reason,
                meaning=text("unused", reason),
                unused=len(these),
                missing=listing(target.name for target in these),
                detail="",
                **_replacing(scene, group, these),
            )


def _replacing(scene: Scene, group: GroupLink, these: list[TargetLink]) -> Words:
    """What AWS says of instances that do not run, and the nodes of today in their place."""
    gone = any(target.reason == "Target.InvalidState" for target in these)
    registered = {target.node_name for target in group.targets}
    nodes = {
        f"{node.name} ({instance})"
        for node in scene.kube.of(Node).or_else(()) or ()
        if gone and node.name not in registered and not node.metadata.labels.keys() & _NOT_MEANT
        if (instance := instance_of_node(node)) is not None
    }
    said = listing(sorted({one.described.target_health.description for one in these} - {""}))
    return {
        "variant": "replaced" if nodes else None,
        "said": f" ({said})" if gone and said else "",
        "nodes": listing(sorted(nodes)),
        "target_port": listing(group.numbers),
    }


@rule(reads=WAY, uses=SHOWN)
def nodes_with_a_pod_are_registered_under_policy_local(scene: Scene) -> Iterator[Finding | Claimed]:
    """Under externalTrafficPolicy Local every node with a Traefik pod is a target.

    Information where another one is: the pods of those left out get nothing, and no request fails
    of that. Where none is, and another group has them, this group is what lacks them.
    """
    for group in judged_groups(scene) if is_local(scene) else ():
        registered = {target.node_name for target in group.targets if target.node is not None}
        nodes = scene.node_ids.values()
        meant = {node.name for node in nodes if not node.metadata.labels.keys() & _NOT_MEANT}
        serving = nodes_with_traefik(scene)
        missing = sorted(meant & serving - registered)
        if missing and serving & registered:
            yield of_group(
                "TGT013",
                group,
                severity=Severity.INFO,
                missing=listing(missing),
                detail=text("said", "local_without_target"),
                related=tuple(ObjectRef("Node", name) for name in missing[:3]),
            )
        full = _groups_with(scene, {*missing}) if registered and not serving & registered else []
        if full:
            detail = text("said", "registered_beside", groups=listing(full))
            found = of_group(
                "TGT013",
                group,
                severity=Severity.ERROR,
                missing=listing(missing),
                detail=detail,
                share=group.share,
                related=(*service_refs(scene), *(ObjectRef("TargetGroup", name) for name in full)),
            )
            yield Claimed(Claim.STOPS_A_PART, found)


def _groups_with(scene: Scene, nodes: set[str]) -> list[str]:
    """The target groups in which one of these nodes stands for Traefik."""
    groups = {g.target_group_arn: g for g in scene.aws.target_groups.or_else(()) or ()}
    return sorted(
        groups[arn].target_group_name
        for arn, health in scene.aws.target_health.items()
        if arn in groups
        and any(
            link.leads is not None and link.node_name in nodes
            for link in map(scene.ends.link, health.or_else(()) or ())
        )
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
            states = listing(sorted({f"{t.state} ({t.reason})" for t in moving}))
            yield of_group("TGT021", group, moving, states=states)


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
        others = [t for t in others if t.id not in _of_other_pods(scene, group)]
        if others and len(others) < len(group.targets):
            yield _not_traefiks(scene, group, others)


@rule(reads=(*WAY, "http"), uses=("traefik",))
def targets_of_others_serve_the_host(scene: Scene) -> Iterator[Finding]:
    """Targets that are none of this cluster serve the host as its own do.

    Of those that were asked directly and answered; it is a draw which a request meets.
    """
    seen = (*requests_made(scene.snapshot), *through_traefik(scene))
    if not any(succeeded(scene, probe) for probe in seen):
        return  # what answers elsewhere says nothing of the host
    probes = (p for p in probes_at(scene, Hop.TARGET_GROUP) if p.exchanges[-1].error is None)
    failing = {(p.name, p.port): p.exchanges[-1] for p in probes if not succeeded(scene, p)}
    for group in judged_groups(scene) if failing else ():
        others = _of_other_pods(scene, group)
        strange = [t for t in group.targets if t.kind is None and t.id not in others]
        these = [target for target in strange if (target.id, target.port) in failing]
        last = [failing[target.id, target.port] for target in these]
        said = [f"{e.status} {e.tls.verify_error if e.tls else ''}".strip() for e in last]
        if these:
            there = listing(dict.fromkeys(said))
            yield _not_traefiks(scene, group, these, "foreign", there=there, address=these[0].id)


def _of_other_pods(scene: Scene, group: GroupLink) -> dict[str, Pod]:
    """The pods of this cluster, none of Traefik's, that are targets, by their address."""
    strangers = {t.id for t in group.targets if t.kind is None and t.state != "draining"}
    return {
        address: pod
        for pod in (scene.pods if group.of_addresses and strangers else ())
        if pod.status.phase not in ("Succeeded", "Failed")
        for address in strangers.intersection(pod.addresses)
    }


@rule(
    reads=WAY,
    uses=SHOWN,
    claims=Claim.STOPS_A_PART,
    unless=(no_rule_before_traefiks_takes_the_request,),
)
def no_address_is_another_pods(scene: Scene) -> Iterator[Finding]:
    """No ip target is a pod of this cluster that is not Traefik's.

    Where all are, they may be proxies before Traefik: not told where it answers.
    """
    strange = is_strange(scene)
    told = {producer(last) for last in last_exchanges(scene)} if strange else set()
    for group in groups_of(scene) if scene.node_ids and Producer.TRAEFIK not in told else ():
        pods = _of_other_pods(scene, group)
        these = [target for target in group.targets if target.id in pods]
        if these and (strange or any(target.kind for target in group.targets)):
            own = [pods[target.id] for target in these]
            services = [s for s in scene.services if any(selects(s, pod) for pod in own)]
            owners = tuple(map(ref_of, services)) or workload_refs(own, own[0].namespace)
            yield _not_traefiks(
                scene,
                group,
                these,
                "pods",
                pods=listing(sorted({str(ref_of(pod)) for pod in own})),
                owner=listing(owners),
                there=listing(_ends(scene)),
                related=(*owners, *map(ref_of, own[:3])),
            )
