"""The data plane of an Application Load Balancer: one HTTP or HTTPS listener on one address.

One request a connection; an answer from a target passes through byte by byte, so that nothing of
the lab's own shows in it.
"""

from __future__ import annotations

import asyncio
import fnmatch
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from hopcheck.lab.cloud import streams
from hopcheck.lab.cloud.health import TARGET_TLS
from hopcheck.lab.cloud.model import Action, Listener, LoadBalancer, Rule

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

HEAD_LIMIT = 65_536
_HANDSHAKE = b"\x16"  # the first byte of a TLS client that says hello
# An ALB's own reason phrases, where they differ from the standard ones.
_PHRASES = {503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}


@dataclass(frozen=True)
class Request:
    """The head of a request."""

    method: str
    url: str
    version: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """The first header of that name in lower case, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def host(self) -> str:
        """The Host header without its port, in lower case."""
        return self.header("host").lower().partition(":")[0]


def parse(head: bytes) -> Request:
    """Parse a request's head. Raises ValueError when it is not HTTP/1."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, url, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    pairs = (line.partition(":") for line in lines if line)
    return Request(method, url, version, tuple((name, text.strip()) for name, _, text in pairs))


def choose_action(listener: Listener, request: Request) -> Action:
    """The action of the first rule, by priority, whose conditions hold, else the default one."""
    for rule in sorted(listener.rules, key=lambda rule: rule.priority):
        if _holds(rule, request):
            return rule.action
    return listener.action


def _holds(rule: Rule, request: Request) -> bool:
    path = request.url.partition("?")[0]
    hosts = not rule.hosts or any(_like(request.host, host.lower()) for host in rule.hosts)
    paths = not rule.paths or any(_like(path, pattern) for pattern in rule.paths)
    return hosts and paths


def _like(text: str, pattern: str) -> bool:
    # Only * and ? are wildcards to an ALB; fnmatch also knows brackets.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def own_answer(status: int, body: str | None = None, content_type: str = "text/html") -> bytes:
    """An answer of the load balancer itself: ``Server: awselb/2.0``, its HTML page by default."""
    phrase = _PHRASES.get(status, HTTPStatus(status).phrase)
    if body is None:
        title = f"{status} {phrase}"
        body = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
            f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        )
    content = body.encode()
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nServer: awselb/2.0\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


def own_redirect(action: Action, request: Request, scheme: str, port: int) -> bytes:
    """The load balancer's redirect, its placeholders filled from the request."""
    path, _, query = request.url.partition("?")
    parts = {
        "protocol": scheme,
        "host": request.host,
        "port": str(port),
        "path": path.lstrip("/"),
        "query": query,
    }

    def fill(text: str) -> str:
        for name, value in parts.items():
            text = text.replace(f"#{{{name}}}", value)
        return text

    location = (
        f"{fill(action.protocol).lower()}://{fill(action.host)}:{fill(action.port)}"
        f"{fill(action.path)}"
    )
    if asked := fill(action.query):
        location += f"?{asked}"
    head, _, body = own_answer(action.status).partition(b"\r\n\r\n")
    return head + f"\r\nLocation: {location}\r\n\r\n".encode() + body


class ApplicationPort:
    """Answers or forwards each request; the model is read anew for each of them."""

    def __init__(self, cloud: Cloud, balancer: str, port: int, address: str) -> None:
        self._cloud = cloud
        self._balancer = balancer
        self._port = port
        self._address = address

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client connection."""
        try:
            request = parse(await _read_head(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        except (ValueError, asyncio.LimitOverrunError):
            await _finish(writer, own_answer(400))
            return
        balancer = self._cloud.load_balancers.get(self._balancer)
        listener = balancer.listener(self._port) if balancer else None
        if balancer is None or listener is None:
            streams.reset(writer)
            return
        action = choose_action(listener, request)
        scheme = listener.protocol.lower()
        if action.type == "fixed-response":
            answer = own_answer(action.status, action.body, action.content_type)
            await _finish(writer, answer)
        elif action.type == "redirect":
            await _finish(writer, own_redirect(action, request, scheme, self._port))
        else:
            await self._forward(balancer, action, request, scheme, (reader, writer))

    async def _forward(
        self,
        balancer: LoadBalancer,
        action: Action,
        request: Request,
        scheme: str,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        group = self._cloud.choose_group(action)
        target = self._cloud.choose_target(balancer, group, self._address) if group else None
        if group is None or target is None:
            await _finish(client[1], own_answer(503))
            return
        peer: str = client[1].get_extra_info("peername")[0]
        place = self._cloud.place(group, target, target.port)
        if place is None or not self._cloud.target_admits(group, target, target.port, None):
            await _finish(client[1], own_answer(504))
            return
        try:
            async with asyncio.timeout(self._cloud.connect_timeout):
                upstream = await asyncio.open_connection(*place)
        except TimeoutError:
            await _finish(client[1], own_answer(504))
            return
        except OSError:
            await _finish(client[1], own_answer(502))
            return
        if group.protocol == "HTTPS":
            try:
                async with asyncio.timeout(self._cloud.connect_timeout):
                    await upstream[1].start_tls(TARGET_TLS)
            except OSError:  # a handshake that fails, or takes too long
                upstream[1].close()
                await _finish(client[1], own_answer(502))
                return
        upstream[1].write(self._head(request, scheme, peer))
        await self._answer(client, upstream)

    def _head(self, request: Request, scheme: str, peer: str) -> bytes:
        dropped = {"connection", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-for"}
        kept = [pair for pair in request.headers if pair[0].lower() not in dropped]
        before = request.header("x-forwarded-for")
        kept += [
            ("X-Forwarded-For", f"{before}, {peer}" if before else peer),
            ("X-Forwarded-Proto", scheme),
            ("X-Forwarded-Port", str(self._port)),
            ("Connection", "close"),
        ]
        lines = [f"{request.method} {request.url} HTTP/1.1", *(f"{k}: {v}" for k, v in kept)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def _answer(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Send the request's body up and the answer down; 502 or 504 when there is none."""
        body = asyncio.create_task(_send_body(client[0], upstream[1]))
        try:
            async with asyncio.timeout(self._cloud.idle_timeout):
                first = await upstream[0].read(streams.CHUNK)
            if not first.startswith(b"HTTP/"):
                await _finish(client[1], own_answer(502))
                return
            client[1].write(first)
            while data := await upstream[0].read(streams.CHUNK):
                client[1].write(data)
                await client[1].drain()
        except TimeoutError:
            await _finish(client[1], own_answer(504))
        except OSError:
            await _finish(client[1], own_answer(502))
        finally:
            body.cancel()
            upstream[1].close()
            client[1].close()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    first = await reader.readexactly(1)
    if first == _HANDSHAKE:
        return first  # no head: its end would never come
    return first + await reader.readuntil(b"\r\n\r\n")


async def _send_body(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy what the client sends; the target ends the exchange, so nothing is closed here."""
    try:
        while data := await source.read(streams.CHUNK):
            sink.write(data)
            await sink.drain()
    except OSError:
        sink.transport.abort()  # the client is gone: reading the answer ends with it


async def _finish(writer: asyncio.StreamWriter, answer: bytes) -> None:
    try:
        writer.write(answer)
        await writer.drain()
    except OSError:
        writer.transport.abort()  # nobody is left to be answered
    else:
        writer.close()
