"""Stored evidence in the shapes that judges rely on, whatever wrote or edited the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from hopcheck.model.aws import described
from hopcheck.model.evidence import (
    AwsEvidence,
    Collected,
    DnsEvidence,
    HttpEvidence,
    KubeEvidence,
    Replica,
    Snapshot,
    Why,
)
from hopcheck.model.kubernetes import kubernetes_object
from hopcheck.model.traefik import of_traefik

_AWS = {
    "load_balancers": "LoadBalancers",
    "target_groups": "TargetGroups",
    "security_groups": "SecurityGroups",
    "network_interfaces": "NetworkInterfaces",
    "instances": "Instances",
}
_AWS_BY_ARN = {
    "listeners": "Listeners",
    "rules": "Rules",
    "target_health": "TargetHealthDescriptions",
}
_TRAEFIK = ("overview", "entrypoints", "routers", "tcp_routers", "services", "middlewares")


def _same(value: Any) -> Any:
    return value


def _read(found: Collected[Any], shape: Callable[[Any], Any] = _same) -> Collected[Any]:
    """One of value and reason is there: without both the file does not tell."""
    if found.value is not None:
        return replace(found, value=shape(found.value))
    return replace(found, why=Why.INVALID) if found.why is None else found


def _all(found: Mapping[str, Collected[Any]], shape: Callable[[Any], Any] = _same) -> Any:
    return {key: _read(one, shape) for key, one in found.items()}


def _objects(resource: str, items: Any) -> tuple[Any, ...]:
    shaped = (kubernetes_object(resource, item) for item in items)
    return tuple(item for item in shaped if item is not None)


def _object(resource: str, obj: Any) -> Any:
    return kubernetes_object(resource, obj) or {}


def _kubernetes(kube: KubeEvidence) -> KubeEvidence:
    return replace(
        kube,
        server=_read(kube.server),
        lists={
            key: _read(found, partial(_objects, key.partition("@")[0]))
            for key, found in kube.lists.items()
        },
        objects={
            key: _read(found, partial(_object, key.partition("@")[0]))
            for key, found in kube.objects.items()
        },
    )


def _aws(aws: AwsEvidence) -> AwsEvidence:
    changed: dict[str, Any] = {"identity": _read(aws.identity)}
    for name, key in _AWS.items():
        changed[name] = _read(getattr(aws, name), partial(described, key))
    for name, key in _AWS_BY_ARN.items():
        changed[name] = _all(getattr(aws, name), partial(described, key))
    for name in ("target_group_attributes", "load_balancer_attributes"):
        changed[name] = _all(getattr(aws, name))
    return replace(aws, **changed)


def _replica(replica: Replica) -> Replica:
    changed = {name: _read(getattr(replica, name), partial(of_traefik, name)) for name in _TRAEFIK}
    for name in ("version", "metrics", "log", "previous_log"):
        changed[name] = _read(getattr(replica, name))
    return replace(replica, **changed)


def _dns(dns: DnsEvidence) -> DnsEvidence:
    return replace(
        dns,
        answers=tuple(map(_read, dns.answers)),
        getaddrinfo=_read(dns.getaddrinfo),
        names=_all(dns.names),
    )


def _http(http: HttpEvidence) -> HttpEvidence:
    return replace(
        http,
        requests=tuple(map(_read, http.requests)),
        other_scheme=_read(http.other_scheme),
        hops=tuple(map(_read, http.hops)),
    )


def shaped_snapshot(snapshot: Snapshot) -> Snapshot:
    """The snapshot with every answer in its shape. Reading it twice changes nothing more."""
    replicas = tuple(map(_replica, snapshot.traefik.replicas))
    return replace(
        snapshot,
        dns=_dns(snapshot.dns),
        aws=_aws(snapshot.aws),
        kube=_kubernetes(snapshot.kube),
        traefik=replace(snapshot.traefik, replicas=replicas),
        http=_http(snapshot.http),
    )
