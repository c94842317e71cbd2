"""What both kinds of load balancer do with bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

CHUNK = 65_536


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST, as a load balancer does that has nobody to forward to."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # already closed by the peer
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def pump(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    target: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Copy both ways until both directions have ended; a reset on one side resets the other."""
    up = asyncio.create_task(_copy(client[0], target[1]))
    down = asyncio.create_task(_copy(target[0], client[1]))
    try:
        await asyncio.gather(up, down)
    except OSError:
        reset(client[1])
        reset(target[1])
    finally:
        up.cancel()
        down.cancel()
        client[1].close()
        target[1].close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
    else:  # TLS has no half-close
        sink.close()
