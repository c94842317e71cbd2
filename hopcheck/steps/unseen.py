"""What a step would have looked at and was not let: said of it, whatever its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hopcheck.model import Collected, Gap, Step, Why
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
        "serverstransports", "httproutes", "gateways",
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
