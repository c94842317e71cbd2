"""What a step would have looked at and was not let: said of it, whatever its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hopcheck.model import Collected, Gap, Snapshot, Step, Why

# Resources of the Kubernetes API whose absence a step's own judge does not already report. Secrets
# are not among them: nobody should need that right, a certificate is judged as presented.
_KUBE: Mapping[Step, tuple[str, ...]] = {
    Step.TARGET_HEALTH: ("nodes",),
    Step.TRAEFIK_SERVICE: (
        "namespaces",
        "events",
        "deployments",
        "daemonsets",
        "replicasets",
        "statefulsets",
        "configmaps",
    ),
    Step.INGRESS: (
        "ingressclasses",
        "middlewares",
        "traefikservices",
        "tlsoptions",
        "tlsstores",
        "serverstransports",
        "httproutes",
        "gateways",
    ),
    Step.ENDPOINTS: ("networkpolicies",),
}
_REPLICA = {"log": "pods/log", "routers": "pods/proxy"}
_AWS = {
    "security_groups": "ec2:DescribeSecurityGroups",
    "network_interfaces": "ec2:DescribeNetworkInterfaces",
    "instances": "ec2:DescribeInstances",
}
_NOT_ALLOWED = (Why.DENIED, Why.UNAUTHENTICATED)


def denied(step: Step, snapshot: Snapshot) -> tuple[Gap, ...]:
    """A gap for what the step's evidence lacks because reading it is forbidden; at most one."""
    names: dict[str, str] = {}
    if step is Step.TRAEFIK_LOGS:
        for replica in snapshot.traefik.replicas:
            _note(names, ((_REPLICA[key], getattr(replica, key)) for key in _REPLICA))
    elif step is Step.TARGET_HEALTH and snapshot.aws.load_balancers.seen:
        _note(names, ((_AWS[key], getattr(snapshot.aws, key)) for key in _AWS))
    for resource in _KUBE.get(step, ()):
        held = (snapshot.kube.lists, snapshot.kube.objects)
        for where in held:
            _note(
                names,
                (
                    (resource, one)
                    for key, one in where.items()
                    if key.partition("@")[0] == resource
                ),
            )
    if not names:
        return ()
    return (
        Gap(
            "denied",
            Why.DENIED,
            next(iter(names.values())),
            required=False,
            params={"names": ", ".join(names)},
        ),
    )


def _note(names: dict[str, str], read: Iterable[tuple[str, Collected[Any]]]) -> None:
    for name, one in read:
        if one.why in _NOT_ALLOWED:
            names.setdefault(name, one.detail)
