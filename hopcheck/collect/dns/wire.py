"""Queries to one DNS server: UDP first, TCP where the answer is cut short.

dnspython makes and reads the messages; the sockets are our own, because a *connected* UDP socket
hears of a closed port at once (ICMP, RFC 1122 section 4.1.3.3), where an unconnected one waits.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Literal

from hopcheck.collect.ask import Unavailable
from hopcheck.model import Why

if TYPE_CHECKING:
    import dns.message

Family = Literal["A", "AAAA"]
EDNS_PAYLOAD = 1232  # DNS flag day 2020: fits any path without fragments


class Sender:
    """Sends queries to one resolver: UDP, sent twice at most, and TCP where that is cut short."""

    def __init__(self, where: tuple[int, tuple[Any, ...]], resend_after: float) -> None:
        self.family, self.address = where
        self.resend_after = resend_after

    async def __call__(
        self, name: str, rrtype: Family, *, checking: bool = True
    ) -> dns.message.Message:
        """The response; raises OSError, TimeoutError (by the caller's limit) or DNSException."""
        import dns.flags
        import dns.message
        import dns.name
        import dns.rcode

        absolute = dns.name.from_text(name.rstrip(".") + ".")
        flags = dns.flags.RD | (0 if checking else dns.flags.CD)
        query = dns.message.make_query(
            absolute, rrtype, use_edns=0, payload=EDNS_PAYLOAD, flags=flags
        )
        response = await self._exchange(query)
        # RFC 6891 section 7: old servers and boxes on the way know no EDNS.
        if response.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS):
            return await self._exchange(dns.message.make_query(absolute, rrtype, flags=flags))
        return response

    async def _exchange(self, query: dns.message.Message) -> dns.message.Message:
        wire = query.to_wire()
        response = await self._udp(query, wire)
        return response if response is not None else await self._tcp(query, wire)

    async def _udp(self, query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
        """The response, or None where it was truncated."""
        loop = asyncio.get_running_loop()
        with socket.socket(self.family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, self.address)
            await loop.sock_sendall(sock, wire)
            try:
                async with asyncio.timeout(self.resend_after):
                    return await _receive(sock, query)
            except TimeoutError:
                await loop.sock_sendall(sock, wire)
            return await _receive(sock, query)

    async def _tcp(self, query: dns.message.Message, wire: bytes) -> dns.message.Message:
        import dns.message

        host, port = str(self.address[0]), int(self.address[1])
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            words = f"truncated over UDP, and TCP fails: {error.strerror or error}"
            raise Unavailable(Why.UNREACHABLE, words) from error
        try:
            writer.write(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await reader.readexactly(2), "big")
            response = dns.message.from_wire(await reader.readexactly(size))
        finally:
            writer.close()
        if not query.is_response(response):
            raise Unavailable(Why.INVALID, "the answer over TCP is to another question")
        return response


async def _receive(sock: socket.socket, query: dns.message.Message) -> dns.message.Message | None:
    """The first datagram that answers `query`; others are stray or forged. None: truncated."""
    import dns.message

    loop = asyncio.get_running_loop()
    while True:
        wire = await loop.sock_recv(sock, 65535)
        if len(wire) < 12 or int.from_bytes(wire[:2], "big") != query.id:
            continue
        if wire[2] & 0x02:  # TC: what follows may be cut anywhere, it is not parsed
            return None
        response = dns.message.from_wire(wire)  # our id on a connected socket: not a stranger
        if query.is_response(response):
            return response
