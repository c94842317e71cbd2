"""HTTPRoutes of the Gateway API: recognised, so that nobody else is accused; not yet evaluated."""

from __future__ import annotations

from collections.abc import Iterable

from hopcheck.behaviour.kubernetes.hosts import names_host
from hopcheck.behaviour.traefik.rule_syntax import Protocol
from hopcheck.behaviour.traefik.rules import matches
from hopcheck.behaviour.traefik.version import Version
from hopcheck.model import KubeEvidence, Replica
from hopcheck.model.kubernetes import Gateway, GatewayListener, HTTPRoute, ParentRef

# pkg/provider/kubernetes/gateway/kubernetes.go of github.com/traefik/traefik
CONTROLLER = "traefik.io/gateway-controller"
PROVIDER = "kubernetesgateway"


def gateway_routes_for(
    kube: KubeEvidence, host: str, *, enabled: bool | None = None
) -> tuple[str, ...]:
    """HTTPRoutes ("namespace/name") that may route `host` through Traefik, with their troubles.

    Those that another controller has claimed are not Traefik's. `enabled` is whether Traefik reads
    the Gateway API (None: not known): without it a route that nobody has claimed and that names no
    host does not count.
    """
    found = []
    for route in kube.every(HTTPRoute):
        if route.slim:  # of other hosts
            continue
        claimed = _controllers(route)
        if claimed and CONTROLLER not in claimed:
            continue
        named = _hostnames(kube, route)
        if not named and not claimed and enabled is False:
            continue
        if not named or any(_means(name, host) for name in named):
            name = f"{route.namespace}/{route.name}"
            said = ", ".join(_refusals(route))
            found.append(f"{name} ({said})" if said else name)
    return tuple(found)


def gateway_routers(
    replicas: Iterable[Replica], host: str, path: str, entry_point: str, version: Version | None
) -> tuple[str, ...]:
    """Routers that Traefik's API shows for the host of any route of the Gateway API.

    GRPCRoutes, TLSRoutes and TCPRoutes are not read from the cluster; here they show.
    """
    found: dict[str, None] = {}
    for replica in replicas:
        for http, listed in ((True, replica.routers), (False, replica.tcp_routers)):
            protocol: Protocol = "http" if http else "tcp"
            for router in listed.or_else(()) or ():
                if router.provider != PROVIDER or router.status == "disabled":
                    continue
                fits = matches(router.rule, host, path, version=version, protocol=protocol)
                if entry_point in router.using and fits:
                    found[f"router {router.name}"] = None
    return tuple(found)


def _controllers(route: HTTPRoute) -> set[str]:
    parents = route.status.parents
    return {each.controller_name for each in parents if each.controller_name}


def _hostnames(kube: KubeEvidence, route: HTTPRoute) -> list[str]:
    """The route's hostnames, else those of the listeners that it attaches to; [] for any host."""
    if route.spec.hostnames:
        return list(route.spec.hostnames)
    names: list[str] = []
    for ref in route.spec.parent_refs:
        listeners = _listeners(kube, route, ref)
        if listeners is None or not all(each.hostname for each in listeners):
            return []
        names += [each.hostname for each in listeners]
    return names


def _listeners(
    kube: KubeEvidence, route: HTTPRoute, ref: ParentRef
) -> list[GatewayListener] | None:
    """The listeners that a parentRef means; None where the Gateway was not seen."""
    namespace = ref.namespace or route.namespace
    for gateway in kube.every(Gateway):
        if gateway.key == (namespace, ref.name):
            wanted = ref.section_name
            return [one for one in gateway.spec.listeners if wanted in ("", one.name)] or None
    return None


def _means(name: str, host: str) -> bool:
    return names_host(name.lower().rstrip("."), host.lower().rstrip("."), labels=None)


def _refusals(route: HTTPRoute) -> Iterable[str]:
    """Conditions by which Traefik says that it does not serve the route."""
    for parent in route.status.parents:
        if parent.controller_name == CONTROLLER:
            for one in parent.conditions:
                if one.status == "False":
                    yield f"{one.type}: {one.reason or 'False'}"
