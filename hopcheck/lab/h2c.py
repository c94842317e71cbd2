"""The least HTTP/2 server in plain text (RFC 9113, prior knowledge): 200 to every request."""

from __future__ import annotations

import asyncio
import contextlib

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_STATUS_200 = b"\x88"  # HPACK's static table, entry 8


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until the client leaves; another protocol is cut off."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        preface = await reader.readexactly(len(_PREFACE))
        writer.write(_frame(_SETTINGS, 0, 0))
        while preface == _PREFACE:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
            elif kind == _HEADERS:
                writer.write(_frame(_HEADERS, _END_HEADERS, stream, _STATUS_200))
                writer.write(_frame(_DATA, _END_STREAM, stream, b"served over HTTP/2\n"))
            await writer.drain()
    writer.close()
