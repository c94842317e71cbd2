"""Application pods: real HTTP servers whose behaviour a fault can change."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from hopcheck.lab import h2c
from hopcheck.lab.cloud.dark import DarkPort

_LOG_LINES = 2000


@dataclass(frozen=True)
class Behaviour:
    """What the application does. The default is a healthy one.

    `port` overrides the declared port; `listening` false refuses connections at the pod's
    address (bound to loopback only); `delay` is seconds; `only_host` answers every other Host
    with the application's own 404; `dark` drops every packet, as a network policy does; `headers`
    are added to each answer; `refuses_plain` makes a TLS server answer plain HTTP with 400, as Go's
    and nginx do; `https_only` redirects to https what it is told came by http; `h2c` speaks HTTP/2
    in plain text and nothing else; `location` is that of a redirect, at the path `only_at` where
    given; where there are any, every path but those it `knows` gets its own 404; `exit_code` makes
    the container end with `exit_log` as its last words (137 with `exit_reason` "OOMKilled" is what
    the kernel does).
    """

    status: int = 200
    body: str = ""
    delay: float = 0.0
    hang: bool = False
    listening: bool = True
    port: int | None = None
    redirect_loop: bool = False
    https_only: bool = False
    only_host: str = ""
    reset: bool = False
    not_http: bool = False
    tls: ssl.SSLContext | None = None
    refuses_plain: bool = False
    dark: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    h2c: bool = False
    location: str = ""
    only_at: str = ""
    knows: tuple[str, ...] = ()
    ready: bool = True
    exit_code: int | None = None
    exit_reason: str = "Error"
    exit_log: str = ""


HEALTHY = Behaviour()


class AppPod:
    """One application container at `address`:`port` (or where its behaviour says)."""

    def __init__(self, name: str, address: str, port: int) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.behaviour = HEALTHY
        self.exit_code: int | None = None
        self.exit_reason = "Error"
        self._lines: deque[tuple[datetime, str]] = deque(maxlen=_LOG_LINES)
        self._previous: deque[tuple[datetime, str]] = deque(maxlen=_LOG_LINES)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._dark: DarkPort | None = None
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Run the container. Raises OSError when the address cannot be bound."""
        behaviour = self.behaviour
        self._ended = asyncio.Event()
        self._previous, self._lines = self._lines, deque(maxlen=_LOG_LINES)
        self.exit_code, self.exit_reason = behaviour.exit_code, behaviour.exit_reason
        if self.exit_code is not None:
            self._say(behaviour.exit_log or f"exiting with code {self.exit_code}")
            return
        port = behaviour.port or self.port
        self._say(f"listening on {'0.0.0.0' if behaviour.listening else '127.0.0.1'}:{port}")  # noqa: S104
        if not behaviour.listening:
            return
        if behaviour.dark:
            self._dark = DarkPort(self.address, port)
            return
        if behaviour.not_http or behaviour.refuses_plain:
            answer = _greet if behaviour.not_http else _refuse_plain
            self._server = await asyncio.start_server(answer, self.address, port)
            return
        if behaviour.h2c:
            self._server = await asyncio.start_server(h2c.serve, self.address, port)
            return
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(
            self._runner, self.address, port, ssl_context=behaviour.tls, reuse_address=True
        ).start()

    async def stop(self) -> None:
        """End the container; requests that hang are let go."""
        self._ended.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._dark is not None:
            self._dark.close()
            self._dark = None

    async def not_ready(self) -> str | None:
        """The words of a failed ``cat /tmp/ready``, the container's readiness probe."""
        if self.behaviour.ready:
            return None
        return "cat: can't open '/tmp/ready': No such file or directory"

    def log(self) -> list[tuple[datetime, str]]:
        """What this container wrote, with the times."""
        return list(self._lines)

    def previous_log(self) -> list[tuple[datetime, str]]:
        """What the container before it wrote."""
        return list(self._previous)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        behaviour = self.behaviour
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        if behaviour.hang:
            await self._ended.wait()
        if behaviour.reset and request.transport is not None:
            request.transport.abort()
        status, text = behaviour.status, behaviour.body or f"{self.name} serves {request.path}\n"
        headers = dict(behaviour.headers)
        if behaviour.only_at not in ("", request.path):
            status = 200
        elif behaviour.location:
            headers["Location"] = behaviour.location
        if behaviour.knows and request.path not in behaviour.knows:
            status, text = 404, f"{self.name}: nothing at {request.path}\n"
        if behaviour.only_host and request.host.partition(":")[0] != behaviour.only_host:
            status, text = 404, f"{self.name}: no site named {request.host}\n"
        told = request.headers.get("X-Forwarded-Proto")
        if behaviour.redirect_loop or (behaviour.https_only and told != "https"):
            status, text = 301, ""
            headers["Location"] = f"https://{request.host}{request.path_qs}"
        self._say(f"{request.method} {request.path} {status}")
        return web.Response(status=status, text=text, headers=headers)

    def _say(self, text: str) -> None:
        self._lines.append((datetime.now(UTC), text))


async def _refuse_plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What net/http's TLS server says to plain HTTP; a TLS handshake is cut off."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        if (await reader.readexactly(1)).isalpha():
            text = "Client sent an HTTP request to an HTTPS server.\n"
            writer.write(f"HTTP/1.0 400 Bad Request\r\n\r\n{text}".encode())
            await writer.drain()
    writer.close()


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.com ESMTP ready\r\n")
    await writer.drain()
    writer.close()
