"""Who is registered in a target group: this cluster's nodes and pods, or others."""

from __future__ import annotations

from typing import Any

from hopcheck.behaviour.aws.alb_rules import chosen_rule
from hopcheck.catalogue.catalogue import has_text, listing, make, text
from hopcheck.model import Finding, Obj, ObjectRef, Severity
from hopcheck.model.aws import ListenerRule
from hopcheck.scene.outcome import Producer, outcome_of, producer
from hopcheck.scene.scene import Scene, meta, pod_ready, spec
from hopcheck.steps.target_health.groups import Group, reason_of, target_name
from hopcheck.steps.target_health.zones import zone_of

TRANSIENT = ("initial", "draining")
# Nodes that no load balancer is meant to reach (Kubernetes, "Well-Known Labels").
_NOT_MEANT = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node.kubernetes.io/exclude-from-external-load-balancers",
)


def kind_of(scene: Scene, target: Obj) -> str | None:
    """Give "node" for a node's instance or address, "pod" for a Traefik pod's; None: neither.

    Where nodes could not be listed, the hosts of the pods that were seen are nodes all the same.
    """
    ident = str(target.get("Id", ""))
    if ident in scene.pod_addresses and ident not in scene.node_ids:
        return "pod"
    if ident in scene.node_ids:
        return "node"
    if not scene.node_ids:
        hosts = {(pod.get("status") or {}).get("hostIP") for pod in scene.pods}
        own = {ident, *_private_addresses(scene, ident)}
        return "node" if own & hosts else None
    return None


def _private_addresses(scene: Scene, instance: str) -> list[str]:
    return [
        str(one.get("PrivateIpAddress"))
        for one in scene.aws.instances.or_else(()) or ()
        if one.get("InstanceId") == instance
    ]


def strangers(scene: Scene, balancer: Obj, listener: Obj, group: Group) -> list[Finding]:
    """No target is this cluster's: the wrong group, or one that nobody keeps up to date.

    Only where requests fail, this cluster has a Traefik, and its nodes and pods could be seen.
    """
    if not scene.node_ids or scene.instance is None or not scene.pod_addresses:
        return []
    # One group of several (blue and green, weights) may well belong to another cluster.
    every = [
        described
        for forward in scene.forwards(listener)
        for described in scene.health(forward.target_group_arn).or_else(()) or ()
    ]
    if any(kind_of(scene, d.get("Target") or {}) for d in every):
        return []
    made = outcome_of(scene)
    if made.succeeded or _application_answers(scene):
        return []
    names = listing(target_name(d) for d in group.described)
    total = len(group.described)
    if group.obj.get("TargetType") == "ip" and len(group.in_state("unhealthy")) == total:
        return [
            make(
                "TGT019",
                group.ref,
                variant="all",
                severity=Severity.ERROR,
                tg=group.name,
                tg_arn=group.arn,
                count=total,
                total=total,
                targets=names,
                ns=scene.instance.namespace,
                share=group.share,
                related=(
                    ObjectRef(scene.instance.kind, scene.instance.name, scene.instance.namespace),
                ),
            )
        ]
    name = str(balancer.get("LoadBalancerName"))
    rules = scene.aws.rules.get(listener.get("ListenerArn", ""))
    listed = (rules.or_else(()) or ()) if rules is not None else ()
    rule = chosen_rule(listed, scene.target.host, scene.target.path) or ListenerRule()
    return [
        make(
            "TGT009",
            ObjectRef("Listener", f"{name}:{listener['Port']}"),
            variant="elsewhere",
            lb=name,
            port=listener["Port"],
            host=scene.target.host,
            path=scene.target.path,
            rule=rule.get("Priority", "default"),
            action=text("action", "target_group", tg=group.name, targets=names),
            listener_arn=listener.get("ListenerArn", ""),
            share=group.share,
            related=(group.ref, ObjectRef("LoadBalancer", name)),
        )
    ]


def _application_answers(scene: Scene) -> bool:
    """Whether something that is neither Traefik nor the load balancer answers the host."""
    return any(
        c.seen and c.get().exchanges and producer(c.get().exchanges[-1]) is Producer.APPLICATION
        for c in scene.snapshot.http.requests
    )


def stale(scene: Scene, group: Group) -> list[Finding]:
    """Some ip targets are addresses of nobody, beside others that are this cluster's."""
    if group.obj.get("TargetType") != "ip" or not scene.pod_addresses:
        return []
    others = [
        d
        for d in group.described
        # Healthy ones are somebody's: another cluster's, behind the same target group.
        if kind_of(scene, d.get("Target") or {}) is None
        and group.state(d) not in (*TRANSIENT, "healthy")
    ]
    known = [d for d in group.described if d not in others]
    if not others or not known or not scene.node_ids:
        return []
    return [
        make(
            "TGT019",
            group.ref,
            tg=group.name,
            tg_arn=group.arn,
            count=len(others),
            total=len(group.described),
            targets=listing(target_name(d) for d in others),
            ns=scene.instance.namespace if scene.instance else "",
        )
    ]


def unused(scene: Scene, balancer: Obj, group: Group) -> list[Finding]:
    """Targets that AWS does not use, by its reason; a warning while others serve.

    Information where they are all in zones that the load balancer does not have: it is told its
    zones on purpose, and Auto Scaling groups register nodes of every zone.
    """
    lb = str(balancer.get("LoadBalancerName"))
    enabled = {str(z.get("ZoneName")) for z in balancer.get("AvailabilityZones") or ()}
    found = []
    by_reason: dict[str, list[Obj]] = {}
    for described in group.in_state("unused"):
        by_reason.setdefault(reason_of(described), []).append(described)
    healthy = group.in_state("healthy", *TRANSIENT)
    for reason, these in by_reason.items():
        if not has_text("unused", reason):
            continue
        zones = {zone_of(scene, d.get("Target") or {}) for d in these}
        outside = reason == "Target.NotInUse" and None not in zones and not zones & enabled
        mild = Severity.INFO if outside and enabled else Severity.WARNING
        common: dict[str, Any] = {
            "severity": mild if healthy else Severity.ERROR,
            "tg": group.name,
            "tg_arn": group.arn,
            "share": group.share * len(these) / len(group.described),
        }
        names = listing(target_name(d) for d in these)
        counted: dict[str, Any] = {
            "reason": reason,
            "meaning": text("unused", reason),
            "total": len(group.described),
        }
        if reason == "Target.NotInUse":
            found.append(make("TGT011", group.ref, lb=lb, unused=len(these), **counted, **common))
        elif reason == "Target.NotRegistered":
            found.append(make("TGT013", group.ref, missing=names, detail="", **common))
        else:
            found.append(
                make("TGT012", group.ref, count=len(these), targets=names, **counted, **common)
            )
    return found


def not_registered(scene: Scene, group: Group) -> list[Finding]:
    """Under externalTrafficPolicy Local, nodes with a Traefik pod that are no targets.

    Information only: their pods get nothing, and no request fails of that.
    """
    service = scene.traefik_service
    if service is None or spec(service).get("externalTrafficPolicy") != "Local":
        return []
    registered = {
        str(meta(node).get("name"))
        for d in group.described
        if (node := scene.node_ids.get(str((d.get("Target") or {}).get("Id")))) is not None
    }
    by_name = {str(meta(node).get("name")): node for node in scene.node_ids.values()}
    serving = {
        str(spec(pod).get("nodeName"))
        for pod in (scene.instance.pods if scene.instance else ())
        if pod_ready(pod)
    }
    missing = sorted(
        name
        for name in serving - registered
        if name in by_name
        and not any(label in (meta(by_name[name]).get("labels") or {}) for label in _NOT_MEANT)
    )
    if not missing or not serving & registered:
        return []
    return [
        make(
            "TGT013",
            group.ref,
            severity=Severity.INFO,
            tg=group.name,
            tg_arn=group.arn,
            missing=listing(missing),
            detail=text("said", "local_without_target"),
            related=tuple(ObjectRef("Node", name) for name in missing[:3]),
        )
    ]
