"""What a step would have looked at and was not let: said of it, whatever its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hopcheck.model import Collected, Gap, KubeEvidence, Step, Why
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
_Refusal = tuple[Why, str]  # the reason, and what the server said
_NOT_ALLOWED = (Why.DENIED, Why.UNAUTHENTICATED)


def denied(step: Step, scene: Scene) -> tuple[Gap, ...]:
    """A gap for what the step's evidence lacks because reading it is forbidden; at most one."""
    snapshot = scene.snapshot
    names: dict[str, _Refusal] = {}
    if step is Step.TRAEFIK_LOGS:
        for replica in snapshot.traefik.replicas:
            _note(names, ((_REPLICA[key], getattr(replica, key)) for key in _REPLICA))
    elif step is Step.TARGET_HEALTH and snapshot.aws.load_balancers.seen:
        _note(names, ((_AWS[key], getattr(snapshot.aws, key)) for key in _AWS))
    refused = scene.once("refused", lambda: _refused(snapshot.kube))
    names |= {name: refused[name] for name in _KUBE.get(step, ()) if name in refused}
    if not names:
        return ()
    why, detail = next(iter(names.values()))
    return (Gap("denied", why, detail, required=False, params={"names": ", ".join(names)}),)


def _refused(kube: KubeEvidence) -> dict[str, _Refusal]:
    """The resources that may not be read, and what the API server said of it."""
    names: dict[str, _Refusal] = {}
    for held in (kube.lists, kube.objects):
        _note(names, ((key.partition("@")[0], one) for key, one in held.items()))
    return names


def _note(names: dict[str, _Refusal], read: Iterable[tuple[str, Collected[Any]]]) -> None:
    for name, one in read:
        if one.why is not None and one.why in _NOT_ALLOWED:
            names.setdefault(name, (one.why, one.detail))
