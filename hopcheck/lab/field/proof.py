"""What requests really get, in a few words: the proof that a lab is in the state that it claims."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from hopcheck.lab.client import resolve
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST

_TRIES = 8  # for each address: nodes, Traefik pods and application pods take turns
_LIMIT_S = 4.0
_REDIRECTS = 5
_NO_ROUTER = b"404 page not found\n"


async def seen(lab: Lab, url: str) -> str:
    """The different outcomes of several requests at each address, by each resolver.

    Such as "200", "404 of Traefik", "504 of the load balancer", "404 of Traefik at /login" (after
    a redirect), "refused", "reset", "no answer", "TLS: …", "no address"; " + " between them.
    """
    resolvers = [lab.dns, *([lab.second_dns] if lab.second_dns else [])]
    found = [resolve(one) for one in resolvers]
    tries = [one for one in {a for addresses in found for a in addresses} for _ in range(_TRIES)]
    outcomes = set(await asyncio.gather(*(_outcome(lab, address, url) for address in tries)))
    if not all(found):
        outcomes.add("no address")
    return " + ".join(sorted(outcomes))


async def prove(lab: Lab, url: str, wanted: str) -> None:
    """Raise RuntimeError where requests get something else than the regular expression says."""
    found = await seen(lab, url)
    if not re.fullmatch(wanted, found):
        raise RuntimeError(f"{url} gives {found!r}, not {wanted!r}")


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def words(self) -> str:
        if self.headers.get("server", "").startswith("awselb"):
            return f"{self.status} of the load balancer"
        own = self.status == 404 and self.body == _NO_ROUTER
        return f"{self.status} of Traefik" if own else str(self.status)


async def _outcome(lab: Lab, address: str, url: str) -> str:
    at = url
    try:
        async with asyncio.timeout(_LIMIT_S):
            for _ in range(_REDIRECTS):
                answer = await _get(lab, address, at)
                location = urljoin(at, answer.headers.get("location", ""))
                if answer.status not in range(300, 400) or urlsplit(location).hostname != HOST:
                    break
                at = location
            else:
                return "redirects without end"
    except ssl.SSLError as error:
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason}"
    except TimeoutError:
        return "no answer"
    except ConnectionRefusedError:
        return "refused"
    except (OSError, EOFError, ValueError):
        return "reset"
    path = urlsplit(at).path
    return answer.words + ("" if path == urlsplit(url).path else f" at {path}")


async def _get(lab: Lab, address: str, url: str) -> _Answer:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    context = ssl.create_default_context(cafile=lab.certificates.public_ca) if tls else None
    port = _port(lab, address, parts.port or (443 if tls else 80))
    reader, writer = await asyncio.open_connection(
        address, port, ssl=context, server_hostname=HOST if tls else None
    )
    try:
        # HTTP/1.0: the body ends where the connection does, never chunked.
        writer.write(f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return _Answer(int(first.split(" ", 2)[1]), headers, body)


def _port(lab: Lab, address: str, port: int) -> int:
    """The port that stands for a load balancer's `port` at its address."""
    for balancer in lab.cloud.load_balancers.values():
        if any(zone.address == address for zone in balancer.zones):
            return lab.cloud.bound_port(balancer, address, port)
    return port
