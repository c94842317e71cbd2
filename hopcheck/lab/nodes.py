"""Nodes: they forward nodePorts and cluster IPs to endpoints, as kube-proxy does.

A port with no usable endpoint, or with none that accepts connections, is closed, so that clients
are refused: behind kube-proxy it is the pod that answers a SYN. (kube-proxy drops the packets
where externalTrafficPolicy is Local and the node has no pod: what a load balancer's health check
sees is a failure either way.)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hopcheck.lab.apiserver.store import Store
from hopcheck.lab.cloud.dark import DarkPort
from hopcheck.lab.relay import Endpoint, Relay

Obj = dict[str, Any]
_WATCHED = frozenset({"Service", "EndpointSlice", "Node"})
_PRIVILEGED = 1024
_SHIFT = 20000
_INTERVAL_S = 0.5
_CONNECT_S = 0.3


def unprivileged(port: int) -> int:
    """The port that stands for a cluster IP's `port` where binding it would need root."""
    return port if port >= _PRIVILEGED else port + _SHIFT


@dataclass(frozen=True)
class Route:
    """Where a listener forwards to; listeners of one Service port share the turns of `group`.

    `source`: the address that pods see instead of the client's, as behind a nodePort of
    externalTrafficPolicy Cluster (the node's own).
    """

    group: str
    endpoints: tuple[Endpoint, ...]
    source: str | None = None


class Nodes:
    """All nodes' listeners, kept true to Services, EndpointSlices and Nodes.

    `cluster_ips` says whether cluster IPs are loopback addresses to listen on as well; their
    ports below 1024 are found at `unprivileged(port)`.
    """

    def __init__(self, store: Store, *, cluster_ips: bool) -> None:
        self._store = store
        self._cluster_ips = cluster_ips
        self._routes: dict[Endpoint, Route] = {}
        self._turns: Counter[str] = Counter()
        self._relays: dict[Endpoint, Relay] = {}
        self.dark: set[str] = set()  # nodes' addresses at which packets to nodePorts are lost
        self._dark_ports: dict[Endpoint, DarkPort] = {}
        self._lock = asyncio.Lock()
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.on_error: Callable[[str], None] = lambda _text: None

    async def start(self) -> None:
        """Open the listeners of today and follow every change."""
        loop = asyncio.get_running_loop()

        def changed(_kind: str, obj: Obj) -> None:
            # Changes may come from another thread; a closed loop has nothing to follow.
            if obj.get("kind") in _WATCHED and not loop.is_closed():
                loop.call_soon_threadsafe(self._dirty.set)

        self._store.subscribe(changed)
        await self.settle()
        self._task = loop.create_task(self._loop())

    async def stop(self) -> None:
        """Close every listener."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(relay.stop() for relay in self._relays.values()))
        self._darken(set())

    async def settle(self) -> None:
        """Make the listeners true to the store now. Raises OSError when a port is taken."""
        async with self._lock:
            wanted = self._wanted()
            every = {endpoint for route in wanted.values() for endpoint in route.endpoints}
            accepted = await asyncio.gather(*(_accepts(one) for one in every))
            alive = {one for one, yes in zip(every, accepted, strict=True) if yes}
            self._routes = {
                where: route for where, route in wanted.items() if alive & set(route.endpoints)
            }
            dark = {where for where in self._routes if where[0] in self.dark}
            for where in [one for one in self._relays if one not in self._routes.keys() - dark]:
                await self._relays.pop(where).stop()
            self._darken(dark)
            for where in self._routes:
                if where not in self._relays and where not in dark:
                    relay = Relay(
                        *where,
                        pick=partial(self._pick, where),
                        source=partial(self._source, where),
                    )
                    await relay.start()
                    self._relays[where] = relay

    def _darken(self, wanted: set[Endpoint]) -> None:
        """Lose all packets at exactly these ports."""
        for where in self._dark_ports.keys() - wanted:
            self._dark_ports.pop(where).close()
        for where in wanted - self._dark_ports.keys():
            self._dark_ports[where] = DarkPort(*where)

    async def _loop(self) -> None:
        while True:
            # Changes of the store at once; a pod that has stopped listening, at the next turn.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_S):
                    await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.settle()
            except OSError as error:  # said, and tried again at the next turn
                self.on_error(f"nodes: {error}")

    def _pick(self, where: Endpoint) -> Endpoint | None:
        route = self._routes.get(where)
        if route is None:
            return None
        self._turns[route.group] += 1
        return route.endpoints[self._turns[route.group] % len(route.endpoints)]

    def _source(self, where: Endpoint) -> str | None:
        route = self._routes.get(where)
        return None if route is None else route.source

    def _wanted(self) -> dict[Endpoint, Route]:
        """Each address and port to listen on, with its endpoints; none without endpoints."""
        nodes = {one["metadata"]["name"]: _internal_ip(one) for one in self._store.list("nodes")}
        routes: dict[Endpoint, Route] = {}
        slices_of: dict[tuple[str, str], list[Obj]] = {}
        for one in self._store.snapshot("endpointslices")[0]:
            owner = (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
            slices_of.setdefault((one["metadata"]["namespace"], owner), []).append(one)
        for service in self._store.snapshot("services")[0]:
            spec, metadata = service["spec"], service["metadata"]
            slices = slices_of.get((metadata["namespace"], metadata["name"]), [])
            local = spec.get("externalTrafficPolicy") == "Local"
            for port in spec.get("ports", []):
                name = port.get("name", "")
                group = f"{metadata['namespace']}/{metadata['name']}:{name}"
                usable = _endpoints(slices, name)
                everywhere = Route(group, tuple(endpoint for endpoint, _node in usable))
                if self._cluster_ips and usable:
                    for address in _service_addresses(service):
                        routes[address, unprivileged(port["port"])] = everywhere
                if not port.get("nodePort"):
                    continue
                for node, address in nodes.items():
                    own = Route(f"{group}@{node}", tuple(e for e, n in usable if n == node))
                    route = own if local else replace(everywhere, source=address)
                    if route.endpoints:
                        routes[address, port["nodePort"]] = route
        return routes | self._host_ports(nodes)

    def _host_ports(self, nodes: dict[str, str]) -> dict[Endpoint, Route]:
        """The ports that pods open on their nodes; a host network needs no forwarding."""
        found: dict[Endpoint, Route] = {}
        for pod in self._store.list("pods"):
            address = nodes.get(pod["spec"].get("nodeName", ""))
            inside = (pod.get("status") or {}).get("podIP")
            for container in pod["spec"].get("containers", []):
                for port in container.get("ports") or []:
                    if address and inside not in (None, address) and port.get("hostPort"):
                        group = f"{pod['metadata']['name']}:{port['hostPort']}"
                        where = (address, unprivileged(port["hostPort"]))
                        found[where] = Route(group, ((inside, port["containerPort"]),))
        return found

    def shifted(self) -> list[Endpoint]:
        """Addresses with the ports that clients ask for where `unprivileged` moved these."""
        moved = (_SHIFT, _SHIFT + _PRIVILEGED)
        return [
            (a, port - _SHIFT) for a, port in sorted(self._routes) if moved[0] < port < moved[1]
        ]


async def _accepts(endpoint: Endpoint) -> bool:
    """Whether the endpoint accepts connections; silence is no refusal."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _reader, writer = await asyncio.open_connection(*endpoint)
    except TimeoutError:
        return True
    except OSError:
        return False
    writer.close()
    return True


def _service_addresses(service: Obj) -> list[str]:
    """Cluster IP, external IPs and a load balancer's addresses, as far as they are the lab's."""
    status = (service.get("status") or {}).get("loadBalancer") or {}
    found = [service["spec"].get("clusterIP") or "", *(service["spec"].get("externalIPs") or [])]
    found += [str(entry.get("ip") or "") for entry in status.get("ingress") or []]
    return [address for address in found if address.startswith("127.")]


def _internal_ip(node: Obj) -> str:
    addresses = node["status"]["addresses"]
    return next(str(one["address"]) for one in addresses if one["type"] == "InternalIP")


def _endpoints(slices: list[Obj], port_name: str) -> list[tuple[Endpoint, str | None]]:
    """The ready endpoints of a Service port, each with its node's name."""
    found: list[tuple[Endpoint, str | None]] = []
    for one in slices:
        ports = [port for port in one.get("ports") or [] if port.get("name", "") == port_name]
        for endpoint in one.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            found.extend(
                ((endpoint["addresses"][0], port["port"]), endpoint.get("nodeName"))
                for port in ports
            )
    return found
