"""A TCP forwarder: what nodes, and the way of a pod to the API server, are made of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

Endpoint = tuple[str, int]
_CHUNK = 65536
# How long a client may be silent before the far end is asked, should that speak first.
_SILENCE_S = 0.2


class Relay:
    """Listens on one address and forwards every connection to `pick()`'s endpoint.

    The endpoint is picked when the client has sent something: a health check that only connects
    takes no turn. It is asked from `source()`'s address, where that gives one (SNAT). A
    connection whose endpoint refuses, or for which `pick` has none, is reset.
    While frozen, connections stay open and nothing passes, as in a network partition; what was
    held back passes after `thaw()`.
    """

    def __init__(
        self,
        address: str,
        port: int,
        pick: Callable[[], Endpoint | None],
        source: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.address = address
        self.port = port
        self._pick = pick
        self._source = source
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow = asyncio.Event()
        self._flow.set()

    async def start(self) -> None:
        """Open the listener. Raises OSError when the address cannot be bound."""
        self._server = await asyncio.start_server(self._accept, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def frozen(self) -> bool:
        """Whether nothing passes."""
        return not self._flow.is_set()

    def freeze(self) -> None:
        """Let nothing pass any more, in either direction."""
        self._flow.clear()

    def thaw(self) -> None:
        """Let everything pass again."""
        self._flow.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            # stop() asked for it; asyncio.streams would log a cancelled handler as an error.
            writer.transport.abort()
        finally:
            if task is not None:
                self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SILENCE_S):
                first = await reader.read(_CHUNK)
            if not first:  # the client has closed
                writer.close()
                return
        endpoint = self._pick()
        if endpoint is None:
            writer.transport.abort()
            return
        source = self._source()
        local = None if source is None else (source, 0)
        try:
            far_reader, far_writer = await asyncio.open_connection(*endpoint, local_addr=local)
        except OSError:
            writer.transport.abort()
            return
        try:
            await self._flow.wait()
            far_writer.write(first)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:  # either side reset: so is the other
            writer.transport.abort()
            far_writer.transport.abort()
        finally:
            far_writer.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flow.wait()
            writer.write(data)
            await writer.drain()
        await self._flow.wait()
        if writer.can_write_eof():
            with contextlib.suppress(OSError):  # the far end is gone: nothing left to tell it
                writer.write_eof()
