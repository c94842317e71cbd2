"""One HTTP GET, for the lab's own probes (a client library costs start-up time)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl


async def get(
    address: str,
    port: int,
    path: str,
    *,
    host: str | None = None,
    tls: ssl.SSLContext | None = None,
    limit_s: float = 1.0,
) -> tuple[int, bytes]:
    """GET `path` at `address`:`port`, for `host` where it is another; the status and the body.

    Raises OSError when there is no HTTP answer within `limit_s` seconds (TimeoutError included).
    """
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(
            address, port, ssl=tls, server_hostname=host if tls else None
        )
        try:
            # HTTP/1.0: the body ends where the connection does, never chunked.
            name = host or f"{address}:{port}"
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
            with contextlib.suppress(OSError):  # reset while closing: the answer was read
                await writer.wait_closed()
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1][:3].isdigit():
        raise ConnectionError(f"{address}:{port} did not answer in HTTP")
    return int(words[1][:3]), body
