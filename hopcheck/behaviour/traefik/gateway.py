"""HTTPRoutes of the Gateway API: recognised, so that nobody else is accused; not yet evaluated."""

from __future__ import annotations

from collections.abc import Iterable

from hopcheck.behaviour.kubernetes.hosts import names_host
from hopcheck.behaviour.traefik.rules import matches
from hopcheck.behaviour.traefik.version import Version
from hopcheck.model import KubeEvidence, Obj, Replica

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
    for route in _listed(kube, "httproutes"):
        if route.get("slim"):  # of other hosts
            continue
        claimed = _controllers(route)
        if claimed and CONTROLLER not in claimed:
            continue
        named = _hostnames(kube, route)
        if not named and not claimed and enabled is False:
            continue
        if not named or any(_means(name, host) for name in named):
            meta = route.get("metadata") or {}
            name = f"{meta.get('namespace', '')}/{meta.get('name', '')}"
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
        http, tcp = replica.routers.or_else(()) or (), replica.tcp_routers.or_else(()) or ()
        for protocol, routers in (("http", http), ("tcp", tcp)):
            for router in routers:
                if router.get("provider") != PROVIDER or router.get("status") == "disabled":
                    continue
                rule = str(router.get("rule", ""))
                if entry_point in (router.get("using") or ()) and matches(
                    rule,
                    host,
                    path,
                    version=version,
                    protocol="tcp" if protocol == "tcp" else "http",
                ):
                    found[f"router {router.get('name')}"] = None
    return tuple(found)


def _listed(kube: KubeEvidence, resource: str) -> list[Obj]:
    keys = [key for key in kube.lists if key == resource or key.startswith(f"{resource}@")]
    return [obj for key in keys for obj in kube.lists[key].or_else(()) or ()]


def _controllers(route: Obj) -> set[str]:
    parents = (route.get("status") or {}).get("parents") or ()
    return {str(each.get("controllerName")) for each in parents if each.get("controllerName")}


def _hostnames(kube: KubeEvidence, route: Obj) -> list[str]:
    """The route's hostnames, else those of the listeners that it attaches to; [] for any host."""
    own = [str(each) for each in (route.get("spec") or {}).get("hostnames") or ()]
    if own:
        return own
    names: list[str] = []
    for ref in (route.get("spec") or {}).get("parentRefs") or ():
        listeners = _listeners(kube, route, ref)
        if listeners is None or not all(each.get("hostname") for each in listeners):
            return []
        names += [str(each["hostname"]) for each in listeners]
    return names


def _listeners(kube: KubeEvidence, route: Obj, ref: Obj) -> list[Obj] | None:
    """The listeners that a parentRef means; None where the Gateway was not seen."""
    namespace = ref.get("namespace") or (route.get("metadata") or {}).get("namespace")
    for gateway in _listed(kube, "gateways"):
        meta = gateway.get("metadata") or {}
        if (meta.get("namespace"), meta.get("name")) == (namespace, ref.get("name")):
            listeners = (gateway.get("spec") or {}).get("listeners") or ()
            wanted = ref.get("sectionName")
            chosen = [each for each in listeners if wanted in (None, each.get("name"))]
            return chosen or None
    return None


def _means(name: str, host: str) -> bool:
    return names_host(name.lower().rstrip("."), host.lower().rstrip("."), labels=None)


def _refusals(route: Obj) -> Iterable[str]:
    """Conditions by which Traefik says that it does not serve the route."""
    for parent in (route.get("status") or {}).get("parents") or ():
        if parent.get("controllerName") == CONTROLLER:
            for one in parent.get("conditions") or ():
                if one.get("status") == "False":
                    yield f"{one.get('type')}: {one.get('reason') or 'False'}"
