"""One plain HTTP GET, for the lab's own probes (a client library costs start-up time)."""

from __future__ import annotations

import asyncio
import contextlib


async def get(address: str, port: int, path: str, *, limit_s: float = 1.0) -> tuple[int, bytes]:
    """GET http://`address`:`port``path`; the status and the body.

    Raises OSError when there is no HTTP answer within `limit_s` seconds (TimeoutError included).
    """
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            # HTTP/1.0: the body ends where the connection does, never chunked.
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}:{port}\r\n\r\n".encode())
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
            with contextlib.suppress(OSError):  # reset while closing: the answer was read
                await writer.wait_closed()
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1][:3].isdigit():
        raise ConnectionError(f"{address}:{port} did not answer in HTTP")
    return int(words[1][:3]), body
