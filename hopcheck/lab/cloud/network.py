"""The data plane of a Network Load Balancer: one TCP or TLS listener on one address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hopcheck.lab.cloud import proxy_protocol, streams
from hopcheck.lab.cloud.health import TARGET_TLS

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NetworkPort:
    """Forwards each connection to a target; the model is read anew for each of them."""

    def __init__(self, cloud: Cloud, balancer: str, port: int, address: str) -> None:
        self._cloud = cloud
        self._balancer = balancer
        self._port = port
        self._address = address

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client connection."""
        upstream = await self._connect(writer)
        if upstream is None:
            streams.reset(writer)
            return
        await streams.pump((reader, writer), upstream)

    async def _connect(self, client: asyncio.StreamWriter) -> Streams | None:
        balancer = self._cloud.load_balancers.get(self._balancer)
        listener = balancer.listener(self._port) if balancer else None
        if balancer is None or listener is None:
            return None
        peer: tuple[str, int] = client.get_extra_info("peername")[:2]
        group = self._cloud.choose_group(listener.action)
        target = self._cloud.choose_target(balancer, group, self._address) if group else None
        if group is None or target is None:
            return None
        if not self._cloud.target_admits(group, target, target.port, peer[0]):
            await asyncio.sleep(self._cloud.connect_timeout)  # a dropped SYN is never answered
            return None
        place = self._cloud.place(group, target, target.port)
        if place is None:
            return None
        attributes = group.all_attributes()
        tls = TARGET_TLS if group.protocol == "TLS" and listener.protocol == "TLS" else None
        local: tuple[str, int] = client.get_extra_info("sockname")[:2]
        try:
            async with asyncio.timeout(self._cloud.connect_timeout):
                reader, writer = await asyncio.open_connection(*place)
                if attributes.get("proxy_protocol_v2.enabled") == "true":
                    # The destination is the port that the client believes it spoke to.
                    writer.write(proxy_protocol.header(peer, (local[0], self._port)))
                if tls is not None:
                    await writer.start_tls(tls)
        except (OSError, TimeoutError):
            return None
        return reader, writer
