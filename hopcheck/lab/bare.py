"""The least that a check of many hosts can do: resolve and request each once. For comparison.

``python -m hopcheck.lab.bare HOSTS RESOLVER CA-FILE PORT``: a plain asyncio program with one SSL
context and a semaphore, without a library for HTTP.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import dns.message
import dns.rdatatype

AT_ONCE = 50


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.data: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  # asyncio's
        if not self.data.done():
            self.data.set_result(data)


async def resolve(name: str, resolver: str) -> str:
    """The first A record. Raises StopIteration where there is none, TimeoutError."""
    address, _, port = resolver.rpartition(":")
    loop = asyncio.get_running_loop()
    transport, answer = await loop.create_datagram_endpoint(
        _Answer, remote_addr=(address, int(port))
    )
    try:
        transport.sendto(dns.message.make_query(name, "A").to_wire())
        async with asyncio.timeout(10):
            message = dns.message.from_wire(await answer.data)
    finally:
        transport.close()
    return next(
        str(record.address)
        for rrset in message.answer
        if rrset.rdtype == dns.rdatatype.A
        for record in rrset
    )


async def bare(hosts: list[str], resolver: str, ca_file: str, port: int) -> int:
    """How many hosts answer 200."""
    context = ssl.create_default_context(cafile=ca_file)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(host: str) -> bool:
        async with slots:
            address = await resolve(host, resolver)
            reader, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=host
            )
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.transport.abort()
            return answer.startswith(b"HTTP/1.1 200")

    return sum(await asyncio.gather(*(one(host) for host in hosts)))


if __name__ == "__main__":
    names = Path(sys.argv[1]).read_text("utf-8").split()
    good = asyncio.run(bare(names, sys.argv[2], sys.argv[3], int(sys.argv[4])))
    if good < len(names):
        sys.exit(f"only {good} of {len(names)} hosts answered 200")
