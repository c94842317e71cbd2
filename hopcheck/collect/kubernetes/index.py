"""What one host of many needs of the shared view: found by index, never by a search (pure).

`ClusterIndex` and `ReplicaIndex` are built once a run; each host's evidence then holds its own
routes, Services, slices and pods, and shares everything that is the cluster's. It is the first
look only: a host that is not healthy by it is looked at whole, by what `diagnose` would read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.graph import WORKLOADS, Graph
from hopcheck.behaviour.kubernetes.hosts import ROUTES
from hopcheck.behaviour.traefik.discovery import (
    candidate_namespaces,
    traefik_pods,
    traefik_services,
)
from hopcheck.config.options import Options
from hopcheck.model import (
    NOT_SELECTED,
    Collected,
    KubeEvidence,
    LogLine,
    Replica,
    TraefikEvidence,
)
from hopcheck.model.kubernetes import Object, Service
from hopcheck.model.traefik import LoadedService, Router

# Of few all are kept; of many those that the host's routes name.
_SMALL = ("middlewares", "traefikservices", "tlsoptions", "tlsstores", "serverstransports")
_FEW = 50
_WORKLOADS = tuple(WORKLOADS.values())
_OF_NAMESPACE = ("pods", "endpointslices", "networkpolicies", *_WORKLOADS)

T = TypeVar("T")
Key = tuple[str, str]
Listed = Collected[tuple[Any, ...]]


class ClusterIndex:
    """One cluster's evidence, as whole lists, ready to be asked for single hosts."""

    def __init__(self, whole: KubeEvidence, options: Options) -> None:
        self.whole = whole
        self._graph = graph = Graph.of(whole)
        self._fronts = _fronts(graph.all("services"))
        self._homes = self._find_homes(options)
        self._home_lists = {
            f"{resource}@{space}": self._of_space(resource, space, self._items(resource, space))
            for space in self._homes
            for resource in _OF_NAMESPACE
        }
        self._home_services = [s for s in graph.all("services") if s.namespace in self._homes]
        self._common = {
            key: found
            for key, found in whole.lists.items()
            if key.partition("@")[0] not in (*ROUTES, *_SMALL, *_OF_NAMESPACE, "services")
            or (key == "pods" and not found.seen)
        }

    def _find_homes(self, options: Options) -> tuple[str, ...]:
        """Namespaces of Traefik, in which everything is kept."""
        running = traefik_pods(self._graph.all("pods"))
        few = {pod.namespace for pod in running}
        everything = self._graph.all("services")
        # Only Services that may be Traefik's are held against pods.
        services = [service for service in everything if service.namespace in few]
        named = traefik_services(services, running, options.traefik_service)
        hinted = [] if running else candidate_namespaces(everything, options.traefik_service)
        return tuple(dict.fromkeys([*(space for space, _ in named), *few, *hinted]))

    def _items(self, resource: str, space: str) -> list[Any]:
        return self._graph.labelled(resource).spaces.get(space, [])

    def _of_space(self, resource: str, space: str, items: Sequence[Any]) -> Listed:
        """`items` as the list of a namespace; the reason where that could not be read."""
        lists = self.whole.lists
        return _with(lists.get(f"{resource}@{space}") or lists.get(resource) or NOT_SELECTED, items)

    def evidence(self, host: str, addresses: Sequence[str]) -> KubeEvidence:
        """What is declared about `host`, which has `addresses`."""
        routes = self._graph.routes(host)
        named = self._graph.walk([*routes, *self._graph.all("tlsstores")])
        services: dict[Key, Service] = {service.key: service for service in self._home_services}
        services |= {o.key: o for (kind, _, _), o in named.items() if kind == "services" and o}
        for address in addresses:
            services.update(self._fronts.get(address, {}))
        lists = {**self._common, **self._home_lists}
        spaces = {space for kind, space, _ in named if kind == "services"}
        for space in spaces - {*self._homes}:
            lists.update(
                self._application(space, [s for s in services.values() if s.namespace == space])
            )
        for resource in ROUTES:
            lists.update(self._replaced(resource, [r for r in routes if r.plural == resource]))
        for resource, items in self._small_lists(routes, named).items():
            lists.update(self._replaced(resource, items))
        lists.update(self._replaced("services", list(services.values())))
        totals = {key: self._total(key) for key in lists if "@" in key}
        return replace(self.whole, lists=lists, totals=self.whole.totals | totals)

    def _total(self, key: str) -> int:
        """How many objects the list of a namespace has of which a host's evidence holds a part."""
        resource, _, space = key.partition("@")
        if resource in _OF_NAMESPACE:
            return len(self._items(resource, space))
        return self.whole.totals.get(key, 0)

    def _replaced(self, resource: str, items: Sequence[Any]) -> dict[str, Listed]:
        """The resource's lists with these of their objects alone."""
        found = {}
        for key, listed in self.whole.lists.items():
            name, _, space = key.partition("@")
            if name == resource:
                kept = [item for item in items if not space or item.namespace == space]
                found[key] = _with(listed, kept)
        return found

    def _small_lists(
        self, routes: Sequence[Object], named: Mapping[tuple[str, str, str], Object | None]
    ) -> dict[str, list[Any]]:
        """What the routes name, and what else is near: in their namespaces and Traefik's."""
        spaces = {*self._homes, *(route.namespace for route in routes)}
        spaces |= {obj.namespace for (kind, _, _), obj in named.items() if obj and kind in _SMALL}
        found = {}
        for resource in _SMALL:
            items = self._graph.all(resource)
            if len(items) > _FEW:
                items = [item for space in sorted(spaces) for item in self._items(resource, space)]
            found[resource] = items
        return found

    def _application(self, space: str, services: Sequence[Service]) -> dict[str, Listed]:
        """The lists of a namespace as far as `services` reach."""
        graph = self._graph
        items: dict[str, list[Any]] = {
            "pods": list({pod.key: pod for s in services for pod in graph.pods_of(s)}.values()),
            "endpointslices": [one for s in services for one in graph.slices_of(s)],
            "networkpolicies": self._items("networkpolicies", space),
        }
        found = [one for service in services for one in graph.workloads_of(service)]
        for resource in _WORKLOADS:
            own = {one.key: one for one in found if one.plural == resource}
            items[resource] = list(own.values())
        return {f"{r}@{space}": self._of_space(r, space, many) for r, many in items.items()}


def _fronts(services: Iterable[Service]) -> dict[str, dict[Key, Service]]:
    """Services by the outer addresses that they have themselves."""
    found: dict[str, dict[Key, Service]] = {}
    for service in services:
        own = [entry.ip for entry in service.status.load_balancer.ingress]
        for address in (*own, *service.spec.external_ips):
            if address:
                found.setdefault(address, {})[service.key] = service
    return found


# --- what Traefik says of itself -----------------------------------------------------------

_HOST_CALL = re.compile(r"\bHost(?:Header|SNI)?\(([^()]*)\)")
_LAST_WORDS = 20
_QUOTED = re.compile(r"[`\"']([^`\"']*)[`\"']")


class ReplicaIndex:
    """The answers of all replicas by host."""

    def __init__(self, whole: TraefikEvidence) -> None:
        self._replicas = [_OneReplica(replica) for replica in whole.replicas]

    def evidence(self, host: str) -> TraefikEvidence:
        """What each replica says of `host`: its routers and their services, its log."""
        return TraefikEvidence(tuple(replica.of(host) for replica in self._replicas))


class _OneReplica:
    def __init__(self, replica: Replica) -> None:
        self._whole = replica
        self._routers = _Rules(replica.routers.or_else(()))
        self._tcp = _Rules(replica.tcp_routers.or_else(()))
        self._services = {one.name: one for one in replica.services.or_else(())}
        lines = replica.log.or_else(())
        self._log = _telling([line for line in lines if line.kind != "access"])
        self._access: dict[str, list[LogLine]] = {}
        for line in lines:
            # Who gave an answer that is no success is all that is read of them (`outcome`).
            if line.kind == "access" and line.fields.get("DownstreamStatus", "") >= "400":
                asked = line.fields.get("RequestHost", "").partition(":")[0]
                self._access.setdefault(asked, []).append(line)

    def of(self, host: str) -> Replica:
        whole = self._whole
        routers = self._routers.of(host)
        return replace(
            whole,
            routers=_with(whole.routers, routers),
            tcp_routers=_with(whole.tcp_routers, self._tcp.of(host)),
            services=_with(whole.services, self._of_routers(routers)),
            middlewares=_with(whole.middlewares, ()),
            log=_with(whole.log, (*self._log, *self._access.get(host, ()))),
        )

    def _of_routers(self, routers: Iterable[Router]) -> list[LoadedService]:
        names: dict[str, None] = {}
        for router in routers:
            provider = router.name.rpartition("@")[2]
            names |= dict.fromkeys((router.service, f"{router.service}@{provider}"))
        return [self._services[name] for name in names if name in self._services]


def _telling(lines: Sequence[LogLine]) -> tuple[LogLine, ...]:
    """Lines by which a Traefik that works is judged: rights, reloads, and its last words.

    Whatever it says of a host's objects counts only where requests fail, and is read whole then.
    """
    kept = [
        line
        for line in lines[:-_LAST_WORDS]
        if "forbidden" in line.raw or line.message.startswith("Configuration received")
    ]
    return (*kept[-_LAST_WORDS:], *lines[-_LAST_WORDS:])


class _Rules:
    """Traefik's routers by the hosts that their rules name."""

    def __init__(self, routers: Iterable[Router]) -> None:
        self._by_host: dict[str, list[Router]] = {}
        self._always: list[Router] = []
        for router in routers:
            rule = router.rule
            hosts = {
                host.lower() for call in _HOST_CALL.findall(rule) for host in _QUOTED.findall(call)
            }
            if not hosts or "Regexp(" in rule or "{" in rule or "*" in hosts:
                self._always.append(router)
            for host in hosts:
                self._by_host.setdefault(host, []).append(router)

    def of(self, host: str) -> list[Router]:
        wild = f"*.{host.partition('.')[2]}"
        named = [*self._by_host.get(host, ()), *self._by_host.get(wild, ()), *self._always]
        return list({id(router): router for router in named}.values())


def _with(listed: Collected[tuple[T, ...]], items: Sequence[T]) -> Collected[tuple[T, ...]]:
    return replace(listed, value=tuple(items)) if listed.seen else listed
