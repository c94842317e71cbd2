"""What one host of many needs of the shared view: found by index, never by a search (pure).

`ClusterIndex` and `ReplicaIndex` are built once a run; each host's evidence then holds its own
routes, Services, slices and pods, and shares everything that is the cluster's. It is the first
look only: a host that is not healthy by it is looked at whole, by what `diagnose` would read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.graph import backends_of, hosts_of
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
    Obj,
    Replica,
    TraefikEvidence,
)

ROUTES = ("ingresses", "ingressroutes", "ingressroutetcps", "httproutes")
# Of few all are kept; of many those of the namespaces concerned.
_SMALL = ("middlewares", "traefikservices", "tlsoptions", "tlsstores", "serverstransports")
_FEW = 50
_WORKLOADS = ("deployments", "daemonsets", "statefulsets", "replicasets")
_OF_NAMESPACE = ("pods", "endpointslices", "networkpolicies", *_WORKLOADS)
_SERVICE_NAME = "kubernetes.io/service-name"

T = TypeVar("T")
Key = tuple[str, str]


def _meta(obj: Obj) -> Obj:
    return obj.get("metadata") or {}


def _key(obj: Obj) -> Key:
    meta = _meta(obj)
    return str(meta.get("namespace", "")), str(meta.get("name", ""))


class _Routes:
    """Routes of one kind by the hosts that they name."""

    def __init__(self, routes: Sequence[Obj]) -> None:
        self._routes = routes
        self._exact: dict[str, list[int]] = {}
        self._parents: dict[str, list[int]] = {}
        self._any: list[int] = []
        for place, route in enumerate(routes):
            for host in hosts_of(route):
                if not host:
                    self._any.append(place)
                elif host.startswith("*."):
                    self._parents.setdefault(host[2:], []).append(place)
                else:
                    self._exact.setdefault(host, []).append(place)

    def of(self, host: str) -> list[Obj]:
        """Routes that may serve `host`, in the order listed."""
        parent = host.partition(".")[2]
        places = {*self._exact.get(host, ()), *self._parents.get(parent, ()), *self._any}
        # Gateway API: a wildcard stands for one or more labels.
        while "." in parent:
            parent = parent.partition(".")[2]
            places.update(self._parents.get(parent, ()))
        return [self._routes[place] for place in sorted(places)]


class _Labelled:
    """Objects by namespace and by each of their labels, for selectors."""

    def __init__(self, objects: Iterable[Obj], labels: str) -> None:
        self._template = labels == "template"
        self.spaces: dict[str, list[Obj]] = {}
        self._by_label: dict[tuple[str, str, str], list[Obj]] = {}
        for obj in objects:
            space = _key(obj)[0]
            self.spaces.setdefault(space, []).append(obj)
            for key, value in self._labels(obj).items():
                self._by_label.setdefault((space, str(key), str(value)), []).append(obj)

    def _labels(self, obj: Obj) -> Obj:
        if self._template:
            template = (obj.get("spec") or {}).get("template") or {}
            return (template.get("metadata") or {}).get("labels") or {}
        return _meta(obj).get("labels") or {}

    def selected(self, space: str, selector: Obj) -> list[Obj]:
        """What the selector picks; nothing for an empty one."""
        if not selector:
            return []
        sets = [self._by_label.get((space, str(k), str(v)), []) for k, v in selector.items()]
        smallest = min(sets, key=len)
        return [
            obj
            for obj in smallest
            if all(self._labels(obj).get(key) == value for key, value in selector.items())
        ]


class ClusterIndex:
    """One cluster's evidence, as whole lists, ready to be asked for single hosts."""

    def __init__(self, whole: KubeEvidence, options: Options) -> None:
        self.whole = whole
        self._routes = {resource: _Routes(self._all(resource)) for resource in ROUTES}
        self._services = {_key(service): service for service in self._all("services")}
        self._fronts = _fronts(self._services.values())
        pods = self._all("pods")
        self._pods = _Labelled(pods, "own")
        self._pods_by_key = {_key(pod): pod for pod in pods}
        self._workloads = {r: _Labelled(self._all(r), "template") for r in _WORKLOADS}
        self._policies = _by_namespace(self._all("networkpolicies"))
        self._slices: dict[Key, list[Obj]] = {}
        slices = self._all("endpointslices")
        self._slices_in = _by_namespace(slices)
        for one in slices:
            name = str((_meta(one).get("labels") or {}).get(_SERVICE_NAME, ""))
            self._slices.setdefault((_key(one)[0], name), []).append(one)
        self._small = {resource: self._all(resource) for resource in _SMALL}
        self._by_space = {name: _by_namespace(items) for name, items in self._small.items()}
        # As annotations name them: "<namespace>-<name>@kubernetescrd".
        self._middlewares = {"-".join(_key(obj)): obj for obj in self._small["middlewares"]}
        self._traefik_services = {_key(obj): obj for obj in self._small["traefikservices"]}
        self._homes = self._find_homes(options)
        self._home_lists = {
            f"{resource}@{space}": self._of_space(
                resource, space, self._home_items(resource, space)
            )
            for space in self._homes
            for resource in _OF_NAMESPACE
        }
        self._home_services = [s for s in self._services.values() if _key(s)[0] in self._homes]
        self._common = {
            key: found
            for key, found in whole.lists.items()
            if key.partition("@")[0] not in (*ROUTES, *_SMALL, *_OF_NAMESPACE, "services")
            or (key == "pods" and not found.seen)
        }

    def _all(self, resource: str) -> tuple[Obj, ...]:
        found: dict[Key, Obj] = {}
        for key, listed in self.whole.lists.items():
            if key.partition("@")[0] == resource and listed.seen:
                found.update((_key(obj), obj) for obj in listed.get())
        return tuple(found.values())

    def _find_homes(self, options: Options) -> tuple[str, ...]:
        """Namespaces of Traefik, in which everything is kept."""
        running = traefik_pods(self._pods_by_key.values())
        few = {_key(pod)[0] for pod in running}
        # Only Services that may be Traefik's are held against pods.
        services = [s for s in self._services.values() if _key(s)[0] in few]
        named = traefik_services(services, running, options.traefik_service)
        hinted = (
            []
            if running
            else candidate_namespaces(self._services.values(), options.traefik_service)
        )
        return tuple(dict.fromkeys([*(space for space, _ in named), *few, *hinted]))

    def _home_items(self, resource: str, space: str) -> list[Obj]:
        if resource == "pods":
            return self._pods.spaces.get(space, [])
        if resource == "endpointslices":
            return self._slices_in.get(space, [])
        if resource == "networkpolicies":
            return self._policies.get(space, [])
        return self._workloads[resource].spaces.get(space, [])

    def _of_space(
        self, resource: str, space: str, items: Sequence[Obj]
    ) -> Collected[tuple[Obj, ...]]:
        """`items` as the list of a namespace; the reason where that could not be read."""
        lists = self.whole.lists
        listed = lists.get(f"{resource}@{space}") or lists.get(resource) or NOT_SELECTED
        return replace(listed, value=tuple(items)) if listed.seen else listed

    def evidence(self, host: str, addresses: Sequence[str]) -> KubeEvidence:
        """What is declared about `host`, which has `addresses`."""
        routes = {resource: index.of(host) for resource, index in self._routes.items()}
        every = [route for many in routes.values() for route in many]
        spaces = {_key(route)[0] for route in every}
        services: dict[Key, Obj] = {_key(service): service for service in self._home_services}
        lists = {**self._common, **self._home_lists}
        small = self._small_lists(every, spaces)
        wanted = [
            (space, name)
            for route in (*every, *small["traefikservices"], *small["middlewares"])
            for space, name, _ in _references(route, self._traefik_services)
        ]
        for key in wanted:
            if key in self._services:
                services[key] = self._services[key]
        for address in addresses:
            services.update(self._fronts.get(address, {}))
        for space in {space for space, _ in wanted} - {*self._homes}:
            own = [s for (s_space, name), s in services.items() if s_space == space]
            lists.update(self._application(space, own))
        for resource, many in {**routes, **small}.items():
            lists.update(self._replaced(resource, many))
        lists.update(self._replaced("services", list(services.values())))
        totals = {key: self._total(key) for key in lists if "@" in key}
        return replace(self.whole, lists=lists, totals=self.whole.totals | totals)

    def _total(self, key: str) -> int:
        """How many objects the list of a namespace has of which a host's evidence holds a part."""
        resource, _, space = key.partition("@")
        if resource in _OF_NAMESPACE:
            return len(self._home_items(resource, space))
        return self.whole.totals.get(key, 0)

    def _replaced(
        self, resource: str, items: Sequence[Obj]
    ) -> dict[str, Collected[tuple[Obj, ...]]]:
        """The resource's lists with these of their objects alone."""
        found = {}
        for key, listed in self.whole.lists.items():
            name, _, space = key.partition("@")
            if name == resource:
                kept = tuple(item for item in items if not space or _key(item)[0] == space)
                found[key] = replace(listed, value=kept) if listed.seen else listed
        return found

    def _small_lists(self, routes: Sequence[Obj], spaces: set[str]) -> dict[str, tuple[Obj, ...]]:
        named = {*spaces, *self._homes}
        tokens: set[str] = set()
        for route in routes:
            named |= _namespaces_in(route.get("spec"))
            for value in (_meta(route).get("annotations") or {}).values():
                tokens |= {part.strip().partition("@")[0] for part in str(value).split(",")}
        for token in tokens & self._middlewares.keys():
            middleware = self._middlewares[token]
            named |= {_key(middleware)[0]} | _namespaces_in(middleware.get("spec"))
        return {
            resource: items
            if len(items) <= _FEW
            else tuple(
                item for space in sorted(named) for item in self._by_space[resource].get(space, ())
            )
            for resource, items in self._small.items()
        }

    def _application(
        self, space: str, services: Sequence[Obj]
    ) -> dict[str, Collected[tuple[Obj, ...]]]:
        """The lists of a namespace as far as `services` reach."""
        slices = [one for s in services for one in self._slices.get(_key(s), ())]
        selectors = [(s.get("spec") or {}).get("selector") or {} for s in services]
        pods = {
            _key(pod): pod for selector in selectors for pod in self._pods.selected(space, selector)
        }
        for one in slices:
            for endpoint in one.get("endpoints") or ():
                key = (space, str((endpoint.get("targetRef") or {}).get("name", "")))
                if key in self._pods_by_key:
                    pods[key] = self._pods_by_key[key]
        items: dict[str, Sequence[Obj]] = {
            "pods": list(pods.values()),
            "endpointslices": slices,
            "networkpolicies": self._policies.get(space, []),
        }
        for resource, index in self._workloads.items():
            found = {_key(o): o for sel in selectors for o in index.selected(space, sel)}
            items[resource] = list(found.values())
        return {f"{r}@{space}": self._of_space(r, space, many) for r, many in items.items()}


def _by_namespace(objects: Iterable[Obj]) -> dict[str, list[Obj]]:
    found: dict[str, list[Obj]] = {}
    for obj in objects:
        found.setdefault(_key(obj)[0], []).append(obj)
    return found


def _fronts(services: Iterable[Obj]) -> dict[str, dict[Key, Obj]]:
    """Services by the outer addresses that they have themselves."""
    found: dict[str, dict[Key, Obj]] = {}
    for service in services:
        entries = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        own = [entry.get("ip") for entry in entries]
        for address in (*own, *((service.get("spec") or {}).get("externalIPs") or ())):
            if address:
                found.setdefault(str(address), {})[_key(service)] = service
    return found


def _references(obj: Obj, known: dict[Key, Obj]) -> list[tuple[str, str, object]]:
    """Services that a route, a TraefikService or an errors middleware names."""
    errors = ((obj.get("spec") or {}).get("errors") or {}).get("service")
    if errors and errors.get("name"):
        return [(str(errors.get("namespace") or _key(obj)[0]), str(errors["name"]), None)]
    return list(backends_of(obj, known))


def _namespaces_in(value: object) -> set[str]:
    """Namespaces that references within `value` name."""
    found: set[str] = set()
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        if isinstance(value.get("namespace"), str):
            found.add(value["namespace"])
        for inner in value.values():
            found |= _namespaces_in(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= _namespaces_in(inner)
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
        self._routers = _by_rule(replica.routers)
        self._tcp = _by_rule(replica.tcp_routers)
        self._services: dict[str, Obj] = {
            str(service.get("name")): service for service in replica.services.or_else(()) or ()
        }
        lines = replica.log.or_else(()) or ()
        self._log = _telling([line for line in lines if line.kind != "access"])
        self._access: dict[str, list[LogLine]] = {}
        for line in lines:
            # Who gave an answer that is no success is all that is read of them (`outcome`).
            if line.kind == "access" and line.fields.get("DownstreamStatus", "") >= "400":
                asked = line.fields.get("RequestHost", "").partition(":")[0]
                self._access.setdefault(asked, []).append(line)

    def of(self, host: str) -> Replica:
        whole = self._whole
        routers, tcp = self._routers.of(host), self._tcp.of(host)
        own = self._access.get(host)
        log = (*self._log, *own) if own else self._log
        return replace(
            whole,
            routers=_with(whole.routers, routers),
            tcp_routers=_with(whole.tcp_routers, tcp),
            services=_with(whole.services, self._of_routers(routers)),
            middlewares=_with(whole.middlewares, ()),
            log=_with(whole.log, log),
        )

    def _of_routers(self, routers: Sequence[Obj]) -> list[Obj]:
        found: dict[str, Obj] = {}
        for router in routers:
            name = str(router.get("service", ""))
            provider = str(router.get("name", "")).rpartition("@")[2]
            for candidate in (name, f"{name}@{provider}"):
                if candidate in self._services:
                    found[candidate] = self._services[candidate]
        return list(found.values())


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

    def __init__(self, routers: Sequence[Obj]) -> None:
        self._by_host: dict[str, list[Obj]] = {}
        self._always: list[Obj] = []
        for router in routers:
            rule = str(router.get("rule", ""))
            hosts = {
                host.lower() for call in _HOST_CALL.findall(rule) for host in _QUOTED.findall(call)
            }
            if not hosts or "Regexp(" in rule or "{" in rule or "*" in hosts:
                self._always.append(router)
            for host in hosts:
                self._by_host.setdefault(host, []).append(router)

    def of(self, host: str) -> list[Obj]:
        wild = f"*.{host.partition('.')[2]}"
        named = [*self._by_host.get(host, ()), *self._by_host.get(wild, ()), *self._always]
        return list({id(router): router for router in named}.values())


def _by_rule(routers: Collected[tuple[Obj, ...]]) -> _Rules:
    return _Rules(routers.or_else(()) or ())


def _with(listed: Collected[tuple[T, ...]], items: Sequence[T]) -> Collected[tuple[T, ...]]:
    return replace(listed, value=tuple(items)) if listed.seen else listed
