"""A small HTTP/1.1 client for one server: keep-alive connections over h11 and asyncio's streams.

Not httpx: importing it costs a quarter of a second, and each of its requests two milliseconds,
of a run that should take 1.5 s in all. Only what the Kubernetes API needs: GET, gzip, TLS with a
name of its own, and an HTTP proxy. Time limits are the caller's (asyncio.timeout).
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from hopcheck.collect.ask import Unavailable
from hopcheck.model import Why

if TYPE_CHECKING:
    import h11

_READ_BYTES = 262_144
_GZIP = 31  # zlib's window bits for a gzip header


class Answer(Struct, frozen=True):
    """One HTTP answer. `relayed`: it came from the pod or Service behind the API's proxy."""

    status: int
    headers: dict[str, str]
    body: bytes
    relayed: bool = False

    def json(self) -> Any:
        """The body as JSON. Raises Unavailable(INVALID)."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unavailable(Why.INVALID, f"the answer is no JSON: {error}") from error


class _ClosedEarlyError(ConnectionError):
    """The server closed a connection before it answered anything on it."""


class _Connection:
    """One open connection and the state of its protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h11

        self.reader, self.writer = reader, writer
        self.state = h11.Connection(h11.CLIENT)
        self.used = False

    async def event(self) -> Any:
        """The next event of the answer."""
        import h11

        while (event := self.state.next_event()) is h11.NEED_DATA:
            data = await self.reader.read(_READ_BYTES)
            if not data and self.state.their_state is h11.SEND_RESPONSE:
                raise _ClosedEarlyError("the server closed the connection without an answer")
            self.state.receive_data(data)
        return event

    async def send(self, request: h11.Request) -> None:
        import h11

        self.writer.write(self.state.send(request) or b"")
        self.writer.write(self.state.send(h11.EndOfMessage()) or b"")
        await self.writer.drain()

    def close(self) -> None:
        # Not the polite way, which waits for the peer's TLS goodbye.
        self.writer.transport.abort()


class HttpClient:
    """GET from one server. `server` is a URL, a path prefix included; close with `aclose`."""

    def __init__(
        self,
        server: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        proxy: str | None = None,
        connections: int = 4,
    ) -> None:
        """Connect to nothing yet. Raises Unavailable(MISCONFIGURED) for URLs it cannot use."""
        parts = urlsplit(server)
        try:
            port = parts.port
        except ValueError as error:
            raise Unavailable(Why.MISCONFIGURED, f"server {server!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unavailable(Why.MISCONFIGURED, f"server {server!r} is no http or https URL")
        self._host = parts.hostname
        self._port = port or (443 if parts.scheme == "https" else 80)
        self._secure = parts.scheme == "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = f"{host}:{self._port}"
        self._prefix = parts.path.rstrip("/")
        self._headers = [("Host", self._authority), ("Accept-Encoding", "gzip"), *headers]
        self._tls = tls
        self._server_name = server_name or self._host
        self._proxy = _proxy(proxy) if proxy else None
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(connections)

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        accept: str = "*/*",
        max_bytes: int = 16_777_216,
    ) -> Answer:
        """One answer, whatever its status.

        Raises OSError where the connection fails (ssl.SSLError is one), Unavailable(INVALID) for
        what is no HTTP or larger than `max_bytes`.
        """
        import h11

        target = self._prefix + path + (f"?{urlencode(params)}" if params else "")
        if self._proxy and not self._secure:
            target = f"http://{self._authority}{target}"
        headers = [*self._headers, ("Accept", accept)]
        if self._proxy and not self._secure:
            headers += self._proxy.headers
        try:
            request = h11.Request(method="GET", target=target, headers=headers)
        except h11.LocalProtocolError as error:
            raise Unavailable(Why.MISCONFIGURED, f"no valid request: {error}") from error
        async with self._free:
            while True:
                connection = self._idle.pop() if self._idle else await self._open()
                kept = False
                try:
                    answer = await _exchange(connection, request, max_bytes)
                    kept = _reusable(connection)
                except (_ClosedEarlyError, ConnectionResetError, BrokenPipeError):
                    if not connection.used:
                        raise
                    continue  # closed by the server while idle: a fresh one will do
                except h11.RemoteProtocolError as error:
                    raise Unavailable(Why.INVALID, f"not HTTP: {error}") from error
                finally:
                    if kept:
                        self._idle.append(connection)
                    else:
                        connection.close()
                return answer

    async def aclose(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    async def _open(self) -> _Connection:
        tls = self._tls if self._secure else None
        if self._proxy is None:
            name = self._server_name if tls else None
            reader, writer = await asyncio.open_connection(
                self._host, self._port, ssl=tls, server_hostname=name
            )
            return _Connection(reader, writer)
        reader, writer = await asyncio.open_connection(self._proxy.host, self._proxy.port)
        if tls is not None:
            try:
                await self._tunnel(_Connection(reader, writer))
                await writer.start_tls(tls, server_hostname=self._server_name)
            except BaseException:
                writer.close()
                raise
        return _Connection(reader, writer)

    async def _tunnel(self, connection: _Connection) -> None:
        import h11

        headers = [("Host", self._authority), *(self._proxy.headers if self._proxy else ())]
        request = h11.Request(method="CONNECT", target=self._authority, headers=headers)
        connection.writer.write(connection.state.send(request) or b"")
        try:
            event = await connection.event()
        except h11.RemoteProtocolError as error:
            raise Unavailable(Why.INVALID, f"the proxy does not speak HTTP: {error}") from error
        status = getattr(event, "status_code", 0)
        if not 200 <= status < 300:
            raise Unavailable(Why.UNREACHABLE, f"the proxy refused the connection: HTTP {status}")


class _Proxy(Struct, frozen=True):
    host: str
    port: int
    headers: tuple[tuple[str, str], ...]


def _proxy(url: str) -> _Proxy:
    """An http:// proxy. Others (https, socks5) are named as what cannot be used."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise Unavailable(
            Why.MISCONFIGURED, f"a proxy of scheme {parts.scheme!r} cannot be used, only http"
        )
    headers: tuple[tuple[str, str], ...] = ()
    if parts.username:
        plain = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers = (("Proxy-Authorization", f"Basic {base64.b64encode(plain).decode()}"),)
    return _Proxy(parts.hostname, parts.port or 80, headers)


async def _exchange(connection: _Connection, request: h11.Request, max_bytes: int) -> Answer:
    import h11

    await connection.send(request)
    response = await connection.event()
    while isinstance(response, h11.InformationalResponse):
        response = await connection.event()
    headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
    unpack = zlib.decompressobj(_GZIP) if headers.get("content-encoding") == "gzip" else None
    body = bytearray()
    while isinstance(event := await connection.event(), h11.Data):
        try:
            body += unpack.decompress(event.data, max_bytes + 1) if unpack else event.data
        except zlib.error as error:
            raise Unavailable(Why.INVALID, f"broken gzip: {error}") from error
        if len(body) > max_bytes:
            raise Unavailable(Why.INVALID, f"the answer is larger than {max_bytes >> 20} MiB")
    return Answer(status=response.status_code, headers=headers, body=bytes(body))


def _reusable(connection: _Connection) -> bool:
    import h11

    if connection.state.our_state is h11.DONE and connection.state.their_state is h11.DONE:
        connection.state.start_next_cycle()
        connection.used = True
        return True
    return False
