"""Keeps the listening sockets true to the model."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hopcheck.lab.cloud import streams
from hopcheck.lab.cloud.application import HEAD_LIMIT, ApplicationPort
from hopcheck.lab.cloud.dark import DarkPort
from hopcheck.lab.cloud.model import Listener, LoadBalancer, Zone
from hopcheck.lab.cloud.network import NetworkPort
from hopcheck.lab.cloud.ports import Ports

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
Key = tuple[str, int, str]  # load balancer, listener's port, address


@dataclass(frozen=True)
class Wanted:
    """How one address of a listener should be served; another value means another server."""

    type: str
    dark: bool = False
    tls: ssl.SSLContext | None = None


@dataclass
class Running:
    """One bound address of a listener."""

    wanted: Wanted
    server: asyncio.Server | DarkPort
    connections: set[asyncio.Task[None]] = field(default_factory=set)


class DataPlane:
    """The listening sockets of all load balancers."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._running: dict[Key, Running] = {}
        self._turn = asyncio.Lock()
        self.ports = Ports()

    async def reconcile(self) -> None:
        """Open and close sockets until they are what the model asks. Raises OSError."""
        async with self._turn:
            wanted = self._wanted()
            for key, running in list(self._running.items()):
                if running.wanted != wanted.get(key):
                    await self._close(key)
            for key, how in wanted.items():
                if key not in self._running:
                    self._running[key] = await self._open(key, how)

    async def stop(self) -> None:
        """Close all sockets and reset all connections."""
        async with self._turn:
            for key in list(self._running):
                await self._close(key)

    def _wanted(self) -> dict[Key, Wanted]:
        return self._unlistened() | {
            (balancer.name, listener.port, zone.address): Wanted(
                balancer.type,
                self._drops(balancer, listener, zone) or self._silent(balancer, listener, zone),
                listener.certificates[0].context if listener.certificates else None,
            )
            for balancer in self._cloud.load_balancers.values()
            if balancer.state in {"active", "active_impaired"}
            for listener in balancer.listeners
            if listener.protocol != "UDP"
            for zone in balancer.zones
            if not self._refuses(balancer, listener, zone)
        }

    def _unlistened(self) -> dict[Key, Wanted]:
        """Ports of NLBs that have no listener: what comes there is dropped, and not refused."""
        found: dict[Key, Wanted] = {}
        for name, address, port in self.ports.known():
            balancer = self._cloud.load_balancers.get(name)
            if balancer is None or balancer.type == "application":
                continue
            listener = balancer.listener(port)
            if listener is not None and listener.protocol != "UDP":
                continue
            alive = balancer.state in {"active", "active_impaired"}
            if alive and any(zone.address == address for zone in balancer.zones):
                found[name, port, address] = Wanted(balancer.type, dark=True)
        return found

    def _drops(self, balancer: LoadBalancer, listener: Listener, zone: Zone) -> bool:
        """Whether packets are dropped on the way to the address, whatever stands behind it."""
        admitted = self._cloud.balancer_admits(balancer, listener.port)
        return zone.address in self._cloud.dark or not admitted

    def _refuses(self, balancer: LoadBalancer, listener: Listener, zone: Zone) -> bool:
        """Whether clients of this address see their connection refused.

        An NLB passes the handshake of TCP to the target, and so its refusal too; with no
        registered target it refuses itself. What ends TCP itself (ALB, TLS) accepts first.
        """
        if balancer.type == "application" or self._drops(balancer, listener, zone):
            return False
        groups = [
            self._cloud.target_groups[name]
            for name in listener.target_groups()
            if name in self._cloud.target_groups
        ]
        if not any(group.targets for group in groups):
            return True
        routable = [
            (group, target, state)
            for group in groups
            for target, state in self._cloud.candidates(balancer, group, zone.name)
        ]
        if listener.protocol == "TLS" or not routable:
            return False
        return all(
            state.state != "healthy" and self._cloud.health.refuses(group, target)
            for group, target, state in routable
        )

    def _silent(self, balancer: LoadBalancer, listener: Listener, zone: Zone) -> bool:
        """Whether a TCP handshake through this address of an NLB is answered by no target."""
        if balancer.type == "application" or listener.protocol == "TLS":
            return False
        found = [
            (group, target, state)
            for name in listener.target_groups()
            if (group := self._cloud.target_groups.get(name)) is not None
            for target, state in self._cloud.candidates(balancer, group, zone.name)
        ]
        pool = [one for one in found if one[2].state == "healthy"] or found
        client = self._cloud.client_address
        return bool(pool) and all(
            not self._cloud.target_admits(group, target, target.port, client)
            or (state.state != "healthy" and self._cloud.health.silent(group, target))
            for group, target, state in pool
        )

    async def _open(self, key: Key, how: Wanted) -> Running:
        balancer, port, address = key
        real = self.ports.real(balancer, address, port)
        if how.dark:
            return Running(how, DarkPort(address, real))
        kind = NetworkPort if how.type == "network" else ApplicationPort
        connections: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(
            _tracked(kind(self._cloud, balancer, port, address).serve, connections),
            address,
            real,
            ssl=how.tls,
            limit=HEAD_LIMIT,
            reuse_address=True,
        )
        return Running(how, server, connections)

    async def _close(self, key: Key) -> None:
        running = self._running.pop(key)
        running.server.close()
        connections = list(running.connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def _tracked(serve: Serve, connections: set[asyncio.Task[None]]) -> Serve:
    """`serve`, with its task among `connections` for as long as it lasts."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            connections.add(task)
            task.add_done_callback(connections.discard)
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            # The task ends here either way; asyncio logs cancelled connections as errors.
            streams.reset(writer)

    return run
