"""PROXY protocol version 2 headers (haproxy's proxy-protocol.txt, section 2.2)."""

from __future__ import annotations

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21
_TCP = {4: 0x11, 6: 0x21}


def header(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """The header for a TCP connection; both addresses are of the same family."""
    first, second = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    body = first.packed + second.packed + struct.pack("!HH", source[1], destination[1])
    return SIGNATURE + struct.pack("!BBH", _PROXY, _TCP[first.version], len(body)) + body


def local_header() -> bytes:
    """The header of the load balancer's own connections: health checks name no client."""
    return SIGNATURE + struct.pack("!BBH", _LOCAL, 0, 0)
