"""The least that a check of many hosts can do: resolve and request each. For comparison.

``python -m hopcheck.lab.bare HOSTS RESOLVER CA-FILE PORT``: a plain asyncio program with one SSL
context and a semaphore, without a library for HTTP, that requests each host once.

``--as-asked``: what hopcheck asks at its first look and nothing else, by the packages it stands on:
both kinds of record, and every address by httpx with HTTP/2.
"""

from __future__ import annotations

import argparse
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


async def resolve(name: str, resolver: str, kind: str = "A") -> list[str]:
    """The records of that kind. Raises TimeoutError."""
    address, _, port = resolver.rpartition(":")
    loop = asyncio.get_running_loop()
    transport, answer = await loop.create_datagram_endpoint(
        _Answer, remote_addr=(address, int(port))
    )
    try:
        transport.sendto(dns.message.make_query(name, kind).to_wire())
        async with asyncio.timeout(10):
            message = dns.message.from_wire(await answer.data)
    finally:
        transport.close()
    wanted = dns.rdatatype.from_text(kind)
    return [
        str(record.address)
        for rrset in message.answer
        if rrset.rdtype == wanted
        for record in rrset
    ]


class Bare:
    """The hosts' way in, and what is asked there."""

    def __init__(self, resolver: str, ca_file: str, port: int) -> None:
        self._resolver, self._port = resolver, port
        self._context = ssl.create_default_context(cafile=ca_file)

    async def once(self, host: str) -> bool:
        """Whether the host's first address answers 200."""
        address, *_ = await resolve(host, self._resolver)
        reader, writer = await asyncio.open_connection(
            address, self._port, ssl=self._context, server_hostname=host
        )
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.transport.abort()
        return answer.startswith(b"HTTP/1.1 200")

    async def as_asked(self, host: str) -> bool:
        """Whether every address of the host answers 200, by HTTP/2 on a connection of its own."""
        found = await asyncio.gather(*(resolve(host, self._resolver, k) for k in ("A", "AAAA")))
        addresses = [address for kind in found for address in kind]
        answers = await asyncio.gather(*(self._by_httpx(host, each) for each in addresses))
        return bool(answers) and set(answers) == {200}

    async def _by_httpx(self, host: str, address: str) -> int:
        import httpx  # not for the other program, which does without

        request = httpx.Request(
            "GET",
            f"https://{f'[{address}]' if ':' in address else address}:{self._port}/",
            headers={"Host": host},
            extensions={"sni_hostname": host},
        )
        async with httpx.AsyncHTTPTransport(
            verify=self._context, http2=True, trust_env=False
        ) as transport:
            answer = await transport.handle_async_request(request)
            await answer.aread()
        return answer.status_code


async def run(hosts: list[str], bare: Bare, *, as_asked: bool) -> int:
    """How many hosts answer 200."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(host: str) -> bool:
        async with slots:
            return await (bare.as_asked(host) if as_asked else bare.once(host))

    return sum(await asyncio.gather(*(one(host) for host in hosts)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", type=Path)
    parser.add_argument("resolver")
    parser.add_argument("ca_file")
    parser.add_argument("port", type=int)
    parser.add_argument("--as-asked", action="store_true")
    options = parser.parse_args()
    names = options.hosts.read_text("utf-8").split()
    asked = Bare(options.resolver, options.ca_file, options.port)
    good = asyncio.run(run(names, asked, as_asked=options.as_asked))
    if good < len(names):
        sys.exit(f"only {good} of {len(names)} hosts answered 200")
