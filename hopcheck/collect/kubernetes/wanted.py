"""What to read of a cluster for one host: resources, namespaces, single objects (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from hopcheck.behaviour.kubernetes.graph import backends_of, relevant
from hopcheck.behaviour.traefik.discovery import (
    candidate_namespaces,
    traefik_container,
    traefik_pods,
    traefik_services,
)
from hopcheck.config.options import Options
from hopcheck.model import Obj


class Kind(Struct, frozen=True):
    """Where a resource's collection is found."""

    prefix: str
    namespaced: bool = True


_CORE = Kind("/api/v1")
_NETWORKING = Kind("/apis/networking.k8s.io/v1")
_DISCOVERY = Kind("/apis/discovery.k8s.io/v1")
_APPS = Kind("/apis/apps/v1")
_TRAEFIK = Kind("/apis/traefik.io/v1alpha1")
_GATEWAY = Kind("/apis/gateway.networking.k8s.io/v1")

LISTED_IN_ALL: Mapping[str, Kind] = {
    "ingresses": _NETWORKING,
    "services": _CORE,
    "pods": _CORE,
    "ingressclasses": Kind("/apis/networking.k8s.io/v1", namespaced=False),
    "nodes": Kind("/api/v1", namespaced=False),
    "namespaces": Kind("/api/v1", namespaced=False),
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
LISTED_BY_NAMESPACE: Mapping[str, Kind] = {
    "pods": _CORE,
    "endpointslices": _DISCOVERY,
    "networkpolicies": _NETWORKING,
    "deployments": _APPS,
    "daemonsets": _APPS,
    "statefulsets": _APPS,
    "replicasets": _APPS,
    "events": _CORE,
}
_SINGLE: Mapping[str, Kind] = {"secrets": _CORE, "configmaps": _CORE}
_KINDS: Mapping[str, Kind] = {**LISTED_IN_ALL, **LISTED_BY_NAMESPACE, **_SINGLE}

# What is reduced to the host's: in the order in which their backends are followed.
ROUTES = ("ingresses", "ingressroutes", "ingressroutetcps", "httproutes")

# Traefik v2 reads its own objects from the group of old too; v3 does not.
LEGACY_PREFIX = "/apis/traefik.containo.us/v1alpha1"
LEGACY = (
    "ingressroutes",
    "ingressroutetcps",
    "middlewares",
    "traefikservices",
    "tlsoptions",
    "tlsstores",
    "serverstransports",
)
_NOT_V2 = re.compile(r":v?(?:[3-9]|\d\d)\b")

_TRAEFIK_NAMESPACES = 8
_APP_NAMESPACES = 10
_SINGLES = 20
_MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares"

Seen = Mapping[str, Sequence[Obj]]


class Wanted(Struct, frozen=True):
    """Namespaces to list and Secrets to look at, as (namespace, name)."""

    traefik_namespaces: tuple[str, ...]
    app_namespaces: tuple[str, ...]
    secrets: tuple[tuple[str, str], ...]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces, each once."""
        return tuple(dict.fromkeys((*self.traefik_namespaces, *self.app_namespaces)))


def path_of(resource: str, namespace: str | None, prefix: str | None = None) -> str:
    """The API path of a collection: in `namespace`, or in all for None."""
    prefix = prefix or _KINDS[resource].prefix
    return f"{prefix}/namespaces/{namespace}/{resource}" if namespace else f"{prefix}/{resource}"


def may_be_v2(pods: Iterable[Obj]) -> bool:
    """Whether a Traefik among `pods` may be v2: no image is seen, or one without a later tag."""
    images = [str((traefik_container(pod) or {}).get("image")) for pod in traefik_pods(pods)]
    return not images or any(_NOT_V2.search(image) is None for image in images)


def _meta(obj: Obj) -> Obj:
    return obj.get("metadata") or {}


def _space(obj: Obj) -> str:
    return str(_meta(obj).get("namespace", ""))


def wanted(seen: Seen, host: str, options: Options) -> Wanted:
    """What to read next, after the objects of `seen` (by resource)."""
    matched = _host_routes(seen, host)
    chain = _middlewares(matched, seen.get("middlewares", ()))
    services = {
        (_space(item), str(_meta(item).get("name"))): item
        for item in seen.get("traefikservices", ())
    }
    spaces: dict[str, None] = {}
    for route in matched:
        spaces.update((namespace, None) for namespace, _, _ in backends_of(route, services))
    for middleware in chain:
        if ((middleware.get("spec") or {}).get("errors") or {}).get("service"):
            service = middleware["spec"]["errors"]["service"]
            spaces[service.get("namespace") or _space(middleware)] = None
    secrets = (*_tls_secrets(matched), *_other_secrets(chain, seen)) if options.secrets else ()
    return Wanted(
        traefik_namespaces=_traefik_namespaces(seen, options)[:_TRAEFIK_NAMESPACES],
        app_namespaces=tuple(spaces)[:_APP_NAMESPACES],
        secrets=tuple(dict.fromkeys(secrets))[:_SINGLES],
    )


def _traefik_namespaces(seen: Seen, options: Options) -> tuple[str, ...]:
    services, pods = seen.get("services", ()), seen.get("pods", ())
    option = options.traefik_service
    named = [namespace for namespace, _ in traefik_services(services, pods, option)]
    running = [_space(pod) for pod in traefik_pods(pods)]
    hinted = [] if running else candidate_namespaces(services, option)
    return tuple(dict.fromkeys((*named, *running, *hinted)))


def _host_routes(seen: Seen, host: str) -> list[Obj]:
    """Routes that may serve the host; where there is none, those most like it."""
    matched: list[Obj] = []
    near: list[Obj] = []
    for resource in ROUTES:
        routes = seen.get(resource, ())
        chosen = relevant(routes, host)
        matched += [routes[index] for index in chosen.matched]
        near += [routes[index] for index in chosen.near]
    return matched or near


def _middlewares(routes: Iterable[Obj], known: Sequence[Obj]) -> list[Obj]:
    """Middlewares that the routes refer to, by annotation or by IngressRoute."""
    names: set[str] = set()
    for route in routes:
        listed = str((_meta(route).get("annotations") or {}).get(_MIDDLEWARES, ""))
        names |= {part.strip().partition("@")[0] for part in listed.split(",")}
        for rule in (route.get("spec") or {}).get("routes") or ():
            for reference in rule.get("middlewares") or ():
                space = reference.get("namespace") or _space(route)
                names.add(f"{space}-{reference.get('name')}")
    return [item for item in known if f"{_space(item)}-{_meta(item).get('name')}" in names]


def _tls_secrets(routes: Iterable[Obj]) -> list[tuple[str, str]]:
    found = []
    for route in routes:
        tls = (route.get("spec") or {}).get("tls") or ()
        names = [entry.get("secretName") for entry in (tls if isinstance(tls, tuple) else [tls])]
        found += [(_space(route), str(name)) for name in names if name]
    return found


def _other_secrets(middlewares: Iterable[Obj], seen: Seen) -> list[tuple[str, str]]:
    """Secrets of authentication middlewares and of TLS stores' default certificates."""
    found = []
    for middleware in middlewares:
        spec = middleware.get("spec") or {}
        tls = (spec.get("forwardAuth") or {}).get("tls") or {}
        names = [(spec.get(kind) or {}).get("secret") for kind in ("basicAuth", "digestAuth")]
        names += [tls.get(key) for key in ("caSecret", "certSecret")]
        found += [(_space(middleware), str(name)) for name in names if name]
    for store in seen.get("tlsstores", ()):
        default = (store.get("spec") or {}).get("defaultCertificate") or {}
        if default.get("secretName"):
            found.append((_space(store), str(default["secretName"])))
    return found


def config_maps(pods: Iterable[Obj]) -> list[tuple[str, str]]:
    """ConfigMaps mounted into Traefik's own containers: (namespace, name)."""
    found: dict[tuple[str, str], None] = {}
    for pod in traefik_pods(pods):
        container = traefik_container(pod) or {}
        mounted = {mount.get("name") for mount in container.get("volumeMounts") or ()}
        for volume in (pod.get("spec") or {}).get("volumes") or ():
            if volume.get("name") in mounted:
                found.update(((_space(pod), name), None) for name in _sources(volume))
    return list(found)[:_SINGLES]


def _sources(volume: Obj) -> list[str]:
    parts = [volume, *((volume.get("projected") or {}).get("sources") or ())]
    names = [str((part.get("configMap") or {}).get("name") or "") for part in parts]
    # Every pod has the cluster's CA mounted; it says nothing of Traefik.
    return [name for name in names if name and name != "kube-root-ca.crt"]
