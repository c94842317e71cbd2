"""What a step would have looked at and was not let: said of it, whatever its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from hopcheck.catalogue.catalogue import listing
from hopcheck.model import Collected, Gap, Judgement, Severity, Step, Why
from hopcheck.model.kubernetes import (
    EndpointSlice,
    Ingress,
    IngressClass,
    IngressRoute,
    Node,
    Object,
    Pod,
    Service,
)
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene

# Resources of the Kubernetes API whose absence a step's own sight does not already report. Secrets
# are not among them: nobody should need that right, a certificate is judged as presented.
_KUBE: Mapping[Step, tuple[str, ...]] = {
    Step.TARGET_HEALTH: ("nodes",),
    Step.TRAEFIK_SERVICE: (
        "namespaces", "events", "deployments", "daemonsets", "replicasets", "statefulsets",
        "configmaps",
    ),
    Step.INGRESS: (
        "ingressclasses", "middlewares", "traefikservices", "tlsoptions", "tlsstores",
        "serverstransports", "httproutes", "gateways", "certificates", "certificaterequests",
        "orders", "challenges", "issuers", "clusterissuers",
    ),
    Step.ENDPOINTS: ("networkpolicies",),
}  # fmt: skip
_REPLICA = {"log": "pods/log", "routers": "pods/proxy"}
_AWS = {
    "security_groups": "ec2:DescribeSecurityGroups",
    "network_interfaces": "ec2:DescribeNetworkInterfaces",
    "instances": "ec2:DescribeInstances",
}
_Read = tuple[str, Collected[Any]]
_Refusal = tuple[Why, str]  # the reason, and what the server said
_NOT_ALLOWED = (Why.DENIED, Why.UNAUTHENTICATED)


def denied(step: Step, scene: Scene) -> tuple[Gap, ...]:
    """A gap for what the step's evidence lacks because reading it is forbidden; at most one."""
    snapshot, read = scene.snapshot, list[_Read]()
    if step is Step.TRAEFIK_LOGS:
        replicas = snapshot.traefik.replicas
        read = [(_REPLICA[key], getattr(one, key)) for one in replicas for key in _REPLICA]
    elif step is Step.ENDPOINTS:
        read = [("pods/proxy", one) for one in snapshot.http.hops]
    elif step is Step.TARGET_HEALTH and snapshot.aws.load_balancers.seen:
        read = [(_AWS[key], getattr(snapshot.aws, key)) for key in _AWS]
    lists = (*snapshot.kube.lists.items(), *snapshot.kube.objects.items())
    of_kube = ((key.partition("@")[0], one) for key, one in lists)
    refused = scene.once("refused", lambda: _refused(of_kube))
    own = (name for name in _KUBE.get(step, ()) if name in refused)
    names = _refused(read) | {name: refused[name] for name in own}
    if not names:
        return ()
    why, detail = next(iter(names.values()))
    return (Gap("denied", why, detail, required=False, params={"names": ", ".join(names)}),)


def _refused(read: Iterable[_Read]) -> dict[str, _Refusal]:
    """What may not be read, and what the server said of it first."""
    names: dict[str, _Refusal] = {}
    for name, one in read:
        if one.why is not None and one.why in _NOT_ALLOWED:
            names.setdefault(name, (one.why, one.detail))
    return names


# What a step draws conclusions from, in the namespaces of its hop.
_DECLARED: Mapping[Step, tuple[type[Object], ...]] = {
    Step.TARGET_HEALTH: (Node,),
    Step.TRAEFIK_SERVICE: (Pod, Service),
    Step.INGRESS: (Ingress, IngressClass, IngressRoute, Service),
    Step.ENDPOINTS: (Pod, Service, EndpointSlice),
    Step.TRAEFIK_LOGS: (Pod,),
}


def without_guesses(step: Step, scene: Scene, judged: Judgement) -> Judgement:
    """The judgement without what it concludes from objects that could not be read whole.

    One that lost a field may have had what a rule looks for: of its hop nothing is known.
    """
    names = sorted(_unread(step, scene))
    if not names:
        return judged
    gap = Gap("unread", Why.INVALID, params={"names": listing(names)})
    kept = tuple(one for one in judged.findings if one.severity is Severity.INFO)
    return replace(judged, findings=kept, gaps=(*judged.gaps, gap))


def _unread(step: Step, scene: Scene) -> set[str]:
    found: set[str] = set()
    for front in scene.load_balancers if step is Step.TARGET_HEALTH else ():
        if front.load_balancer_arn in scene.aws.listeners:  # its details were read
            way = scene.way_of(front)
            groups = () if way is None else way.groups
            targets = (target.described for group in groups for target in group.targets)
            parts = (front, *scene.listeners(front), *(group.obj for group in groups), *targets)
            if any(part.unread for part in parts):
                found.add(f"LoadBalancer {front.load_balancer_name}")
    spaces = {""}
    if step in (Step.INGRESS, Step.ENDPOINTS):
        routing = routing_of(scene)
        spaces |= {one.namespace for one in (*routing.carrying, routing.winner) if one is not None}
    elif scene.instance is not None:
        spaces.add(scene.instance.namespace)
    elif step is Step.TRAEFIK_SERVICE:  # one that was not read may be Traefik
        spaces |= {one.namespace for one in (*scene.pods, *scene.services)}
    for kind in _DECLARED.get(step, ()):
        for one in scene.kube.every(kind):
            if one.unread and one.namespace in spaces:
                found.add(f"{kind.__name__} {one.namespace}/{one.name}")
    return found
