"""Nodes: they forward nodePorts and cluster IPs to endpoints, as kube-proxy does.

A port with no usable endpoint is closed, so that clients are refused. (kube-proxy drops the
packets where externalTrafficPolicy is Local and the node has no pod: what a load balancer's
health check sees is a failure either way.)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from hopcheck.lab.apiserver.store import Store
from hopcheck.lab.relay import Endpoint, Relay

Obj = dict[str, Any]
_WATCHED = frozenset({"Service", "EndpointSlice", "Node"})
_PRIVILEGED = 1024
_SHIFT = 20000


def unprivileged(port: int) -> int:
    """The port that stands for a cluster IP's `port` where binding it would need root."""
    return port if port >= _PRIVILEGED else port + _SHIFT


class Nodes:
    """All nodes' listeners, kept true to Services, EndpointSlices and Nodes.

    `cluster_ips` says whether cluster IPs are loopback addresses to listen on as well; their
    ports below 1024 are found at `unprivileged(port)`.
    """

    def __init__(self, store: Store, *, cluster_ips: bool) -> None:
        self._store = store
        self._cluster_ips = cluster_ips
        self._routes: dict[Endpoint, list[Endpoint]] = {}
        self._relays: dict[Endpoint, Relay] = {}
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

    async def settle(self) -> None:
        """Make the listeners true to the store now. Raises OSError when a port is taken."""
        async with self._lock:
            self._routes = self._wanted()
            for where in [one for one in self._relays if one not in self._routes]:
                await self._relays.pop(where).stop()
            for where in self._routes:
                if where not in self._relays:
                    relay = Relay(*where, pick=self._picker(where))
                    await relay.start()
                    self._relays[where] = relay

    async def _loop(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.settle()
            except OSError as error:  # said, and tried again at the next change
                self.on_error(f"nodes: {error}")

    def _picker(self, where: Endpoint) -> Callable[[], Endpoint | None]:
        turn = 0

        def pick() -> Endpoint | None:
            nonlocal turn
            endpoints = self._routes.get(where)
            if not endpoints:
                return None
            turn += 1
            return endpoints[turn % len(endpoints)]

        return pick

    def _wanted(self) -> dict[Endpoint, list[Endpoint]]:
        """Each address and port to listen on, with its endpoints; none without endpoints."""
        nodes = {one["metadata"]["name"]: _internal_ip(one) for one in self._store.list("nodes")}
        routes: dict[Endpoint, list[Endpoint]] = {}
        for service in self._store.list("services"):
            spec = service["spec"]
            slices = self._store.list(
                "endpointslices",
                service["metadata"]["namespace"],
                {"kubernetes.io/service-name": service["metadata"]["name"]},
            )
            local = spec.get("externalTrafficPolicy") == "Local"
            for port in spec.get("ports", []):
                usable = _endpoints(slices, port.get("name", ""))
                everywhere = [endpoint for endpoint, _node in usable]
                cluster_ip = spec.get("clusterIP", "None")
                if self._cluster_ips and cluster_ip.startswith("127.") and everywhere:
                    routes[cluster_ip, unprivileged(port["port"])] = everywhere
                if not port.get("nodePort"):
                    continue
                for name, address in nodes.items():
                    mine = [one for one, node in usable if node == name] if local else everywhere
                    if mine:
                        routes[address, port["nodePort"]] = mine
        return routes


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
