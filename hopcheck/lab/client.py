"""A client of the lab's own: asks the host as a browser would and says what came of it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import dns.message
import dns.rdatatype

from hopcheck.lab.dns import DnsServer
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST, LOAD_BALANCER

_TRIES = 8  # for each address: nodes, Traefik pods and application pods take turns
_LIMIT_S = 5.5
_REDIRECTS = 5
# What counts as a good answer (contract: --expect-status); an application's own 404 does at "/".
_GOOD = frozenset({*range(200, 400), 401, 403, 404, 405, 429})
# Traefik's own 404 is none: no router matched.
_NO_ROUTER = b"404 page not found\n"


@dataclass(frozen=True)
class Truth:
    """How many requests of a client were made and how many succeeded; `words` of the failures."""

    made: int
    good: int
    words: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether every request succeeded."""
        return 0 < self.made == self.good

    @property
    def fails(self) -> bool:
        """Whether none did."""
        return self.good == 0


async def ask(lab: Lab) -> Truth:
    """GET https://<host>/ at each of the host's addresses, several times."""
    addresses = resolve(lab.dns)
    if not addresses:
        return Truth(1, 0, ("the name gives no address",))
    tries = [address for address in addresses for _ in range(_TRIES)]
    failures = await asyncio.gather(*(_get(lab, address) for address in tries))
    bad = [words for words in failures if words]
    return Truth(len(tries), len(tries) - len(bad), tuple(dict.fromkeys(bad)))


def resolve(resolver: DnsServer) -> list[str]:
    """The host's IPv4 addresses by one of the lab's resolvers."""
    query = dns.message.make_query(f"{HOST}.", dns.rdatatype.A)
    answer = resolver.answer(query.to_wire())
    if answer is None:
        return []
    found = [item for rrset in answer.answer for item in rrset]
    return [item.to_text() for item in found if item.rdtype == dns.rdatatype.A]


async def _get(lab: Lab, address: str) -> str:
    """One request with its redirects on the same host; "" when it succeeded, else what failed."""
    url = f"https://{HOST}/"
    try:
        async with asyncio.timeout(_LIMIT_S):
            for _ in range(_REDIRECTS):
                status, location = await _exchange(lab, address, url)
                if not location or urlsplit(location).hostname not in (None, HOST):
                    break
                url = location if "://" in location else f"https://{HOST}{location}"
            else:
                return "redirects without end"
    except ssl.SSLError as error:
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason}"
    except TimeoutError:
        return "no answer in time"
    except (OSError, EOFError, ValueError) as error:
        return f"{type(error).__name__}"
    return "" if status in _GOOD else f"HTTP {status or '404 of Traefik'}"


async def _exchange(lab: Lab, address: str, url: str) -> tuple[int, str]:
    """The status (0 for Traefik's own 404) and the Location header of one GET."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    if port in (80, 443):
        port = lab.cloud.bound_port(LOAD_BALANCER, address, port)
    context = ssl.create_default_context(cafile=lab.certificates.public_ca) if tls else None
    reader, writer = await asyncio.open_connection(
        address, port, ssl=context, server_hostname=HOST if tls else None
    )
    try:
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        request = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        body = await reader.read(len(_NO_ROUTER))
    finally:
        writer.close()
    first, *lines = head.split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (one.partition(":") for one in lines)}
    status = int(first.split(" ", 2)[1])
    if status == 404 and body == _NO_ROUTER:
        return 0, ""
    return status, headers.get("location", "") if 300 <= status < 400 else ""
