"""What to read of a cluster for one host: resources, namespaces, single objects (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.graph import Graph
from hopcheck.behaviour.kubernetes.hosts import ROUTES, RouteIndex
from hopcheck.behaviour.kubernetes.references import references
from hopcheck.behaviour.traefik.discovery import (
    candidate_namespaces,
    traefik_container,
    traefik_pods,
    traefik_services,
)
from hopcheck.config.options import Options
from hopcheck.model.kubernetes import Pod

_CORE = "/api/v1"
_NETWORKING = "/apis/networking.k8s.io/v1"
_DISCOVERY = "/apis/discovery.k8s.io/v1"
_APPS = "/apis/apps/v1"
_TRAEFIK = "/apis/traefik.io/v1alpha1"
_GATEWAY = "/apis/gateway.networking.k8s.io/v1"

# Where a resource's collection is found.
LISTED_IN_ALL: Mapping[str, str] = {
    "ingresses": _NETWORKING,
    "services": _CORE,
    "pods": _CORE,
    "ingressclasses": _NETWORKING,
    "nodes": _CORE,
    "namespaces": _CORE,
    "ingressroutes": _TRAEFIK,
    "ingressroutetcps": _TRAEFIK,
    "middlewares": _TRAEFIK,
    "traefikservices": _TRAEFIK,
    "tlsoptions": _TRAEFIK,
    "tlsstores": _TRAEFIK,
    "serverstransports": _TRAEFIK,
    "httproutes": _GATEWAY,
    "gateways": _GATEWAY,
}
CLUSTER_SCOPED = ("ingressclasses", "nodes", "namespaces", "clusterissuers")
LISTED_BY_NAMESPACE: Mapping[str, str] = {
    "pods": _CORE,
    "endpointslices": _DISCOVERY,
    "networkpolicies": _NETWORKING,
    "deployments": _APPS,
    "daemonsets": _APPS,
    "statefulsets": _APPS,
    "replicasets": _APPS,
    "events": _CORE,
}
# What cert-manager makes of a Certificate, and who issues it: asked where one is in doubt.
ISSUANCE: Mapping[str, str] = {
    "certificaterequests": "/apis/cert-manager.io/v1",
    "orders": "/apis/acme.cert-manager.io/v1",
    "challenges": "/apis/acme.cert-manager.io/v1",
    "issuers": "/apis/cert-manager.io/v1",
    "clusterissuers": "/apis/cert-manager.io/v1",
}
_PREFIXES = {
    **LISTED_IN_ALL, **LISTED_BY_NAMESPACE, **ISSUANCE,
    "secrets": _CORE, "configmaps": _CORE, "certificates": "/apis/cert-manager.io/v1",
}  # fmt: skip

# Traefik v2 reads its own objects from the group of old too; v3 does not.
LEGACY_PREFIX = "/apis/traefik.containo.us/v1alpha1"
LEGACY = [resource for resource, prefix in LISTED_IN_ALL.items() if prefix == _TRAEFIK]
_NOT_V2 = re.compile(r":v?(?:[3-9]|\d\d)\b")

_TRAEFIK_NAMESPACES = 8
_APP_NAMESPACES = 10
_SINGLES = 20

Seen = Mapping[str, Sequence[Any]]


class Wanted(Struct, frozen=True):
    """Namespaces to list and Secrets to look at, as (namespace, name)."""

    traefik_namespaces: tuple[str, ...]
    app_namespaces: tuple[str, ...]
    secrets: tuple[tuple[str, str], ...]


def path_of(resource: str, namespace: str | None, prefix: str | None = None) -> str:
    """The API path of a collection: in `namespace`, or in all for None."""
    prefix = prefix or _PREFIXES[resource]
    return f"{prefix}/namespaces/{namespace}/{resource}" if namespace else f"{prefix}/{resource}"


def may_be_v2(pods: Iterable[Pod]) -> bool:
    """Whether a Traefik among `pods` may be v2: no image is seen, or one without a later tag."""
    found = (traefik_container(pod) for pod in traefik_pods(pods))
    images = [container.image for container in found if container is not None]
    return not images or any(_NOT_V2.search(image) is None for image in images)


def wanted(seen: Seen, host: str, options: Options) -> Wanted:
    """What to read next, after the objects of `seen` (by resource)."""
    graph = Graph(seen)
    starts = [*graph.routes(host), *graph.all("tlsstores")]
    if not graph.routes(host):  # those most like it
        for resource in ROUTES:
            routes = seen.get(resource, ())
            starts += [routes[index] for index in RouteIndex(routes).relevant(host).near]
    named = graph.walk(starts)
    spaces = (space for resource, space, _ in named if resource == "services")
    secrets = [(space, name) for resource, space, name in named if resource == "secrets"]
    return Wanted(
        traefik_namespaces=_traefik_namespaces(seen, options)[:_TRAEFIK_NAMESPACES],
        app_namespaces=tuple(dict.fromkeys(spaces))[:_APP_NAMESPACES],
        secrets=tuple(secrets)[:_SINGLES] if options.secrets else (),
    )


def _traefik_namespaces(seen: Seen, options: Options) -> tuple[str, ...]:
    services, pods = seen.get("services", ()), seen.get("pods", ())
    option = options.traefik_service
    named = [namespace for namespace, _ in traefik_services(services, pods, option)]
    running = [pod.namespace for pod in traefik_pods(pods)]
    hinted = [] if running else candidate_namespaces(services, option)
    return tuple(dict.fromkeys((*named, *running, *hinted)))


def config_maps(pods: Iterable[Pod]) -> list[tuple[str, str]]:
    """ConfigMaps mounted into Traefik's own containers: (namespace, name)."""
    found: dict[tuple[str, str], None] = {}
    for pod in traefik_pods(pods):
        container = traefik_container(pod)
        mounted = {mount.name for mount in container.volume_mounts} if container else set()
        own = tuple(volume for volume in pod.spec.volumes if volume.name in mounted)
        for named in references(replace(pod, spec=replace(pod.spec, volumes=own))):
            # Every pod has the cluster's CA mounted; it says nothing of Traefik.
            if named.resource == "configmaps" and named.name != "kube-root-ca.crt":
                found[named.namespace, named.name] = None
    return list(found)[:_SINGLES]
