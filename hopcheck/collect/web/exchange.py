"""One request and its answer, by httpx, with each phase's time and failure told apart.

httpx's transport is the seam: the one here connects to one address while it names another, sends a
PROXY header before the TLS handshake, reads the answer of a session whose certificate does not
verify, and keeps what the peer said where that was no HTTP. HTTP/1.1 and HTTP/2 themselves are
httpcore's. The client above the transport is left out: redirects, cookies and proxies are judged
here, not obeyed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal

import anyio
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import httpcore
import httpx
from msgspec import Struct
from msgspec.structs import replace

from hopcheck import __version__
from hopcheck.collect.ask import Run, barred, in_thread, without_raw
from hopcheck.collect.web.tls import (
    HTTP1,
    HTTP2,
    Contexts,
    PlainStream,
    TlsStream,
    contexts,
    described,
    failure,
)
from hopcheck.model import ErrorKind, Exchange, Timing, TlsInfo
from hopcheck.model.redact import redact_headers, redact_text, redact_url

BODY_BYTES = 2_048
_HEAD_BYTES = 256 * 1024  # an answer's head beyond this is no HTTP worth the name
_CHUNK = 16_384
_HEADER_CHARS = 2_000
_HEADERS = 200
_BODY_PATIENCE = 1.0  # seconds for the first bytes of a body that announces no length

Scheme = Literal["http", "https"]
Phase = Literal["dns", "connect", "tls", "send", "first_byte", "body"]


class Request(Struct, frozen=True):
    """One request to send."""

    scheme: Scheme
    authority: str  # the Host header
    host: str  # SNI, and the name that the certificate must cover
    path: str
    address: str
    port: int
    connect_to: tuple[str, int]
    proxy_protocol: bool = False
    verify: bool = True
    forwarded: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()
    http1: bool = False  # HTTP/2 is not offered

    @property
    def url(self) -> str:
        """The URL as sent, not redacted."""
        return f"{self.scheme}://{self.authority}{self.path}"


class Progress:
    """How far an exchange came: what there is to tell when it fails."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.phase: Phase = "connect"
        self.clock = clock
        self.began = self.mark = clock()
        self.times: dict[str, float] = {}
        self.tls: TlsInfo | None = None
        self.first_bytes = b""
        self.status: int | None = None
        self.version: str | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()
        self.body_bytes = 0
        self.ipv6 = False
        self.refused: OSError | None = None  # the request could not be written to its end
        self.ended = False  # the peer has closed

    def done(self, phase: str, following: Phase) -> None:
        """Note the time of `phase` and enter the one following."""
        now = self.clock()
        self.times[phase] = now - self.mark
        self.mark = now
        self.phase = following

    def restart(self) -> None:
        """Begin again on a new connection: its times are the exchange's times."""
        self.began = self.mark = self.clock()
        self.times.clear()
        self.phase = "connect"
        self.version = None
        self.refused, self.ended = None, False

    def header(self, name: str) -> str | None:
        """The first header of that name (in lower case), not redacted."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def announced(self) -> bool:
        """Whether the answer says how long its body is."""
        return self.header("content-length") is not None


class _NotHttpError(Exception):
    """The peer's answer is not HTTP."""


class _ClosedError(Exception):
    """The peer closed before or within its answer."""


async def _connect(progress: Progress, address: str, port: int) -> PlainStream:
    kind = socket.SOCK_STREAM
    try:
        found = socket.getaddrinfo(address, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:  # a name, from --connect-to
        progress.phase = "dns"
        found = await in_thread(lambda: socket.getaddrinfo(address, port, type=kind))
        progress.done("dns", "connect")
    family, _, _, _, where = found[0]
    if barred(str(where[0])):
        raise OSError("nothing is sent to link-local and metadata addresses")
    progress.ipv6 = family == socket.AF_INET6
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return PlainStream(sock)


def proxy_header(sock: socket.socket) -> bytes:
    """The PROXY protocol v2 header of a connected socket, as a Network Load Balancer sends it.

    Source: haproxy's doc/proxy-protocol.txt, section 2.2.
    """
    here, there = sock.getsockname(), sock.getpeername()
    addresses = b"".join(
        socket.inet_pton(sock.family, end[0].partition("%")[0]) for end in (here, there)
    )
    body = addresses + b"".join(end[1].to_bytes(2, "big") for end in (here, there))
    family = b"\x21" if sock.family == socket.AF_INET6 else b"\x11"  # TCP over IPv6 or IPv4
    return b"\r\n\r\n\x00\r\nQUIT\n\x21" + family + len(body).to_bytes(2, "big") + body


async def _plain(request: Request, progress: Progress) -> PlainStream:
    """Connect, and send the PROXY header where one is wanted."""
    stream = await _connect(progress, *request.connect_to)
    progress.done("connect", "tls" if request.scheme == "https" else "send")
    if request.proxy_protocol:
        try:
            await stream.send(proxy_header(stream.sock))
        except BaseException:
            stream.close()
            raise
    return stream


async def _secure(request: Request, progress: Progress, context: ssl.SSLContext) -> TlsStream:
    """Connect and shake hands."""
    plain = await _plain(request, progress)
    try:
        stream = TlsStream(plain, context, request.host, HTTP1 if request.http1 else HTTP2)
        try:
            await stream.handshake()
        finally:
            progress.first_bytes = stream.first_bytes
    except BaseException:
        plain.close()
        raise
    progress.done("tls", "send")
    return stream


async def _session(
    request: Request, progress: Progress, pair: Contexts | None
) -> PlainStream | TlsStream:
    """The open stream to send the request on; over TLS with `pair`."""
    if pair is None:
        return await _plain(request, progress)
    failed: ssl.SSLCertVerificationError | None = None
    try:
        context = pair.verifying if request.verify else pair.unverified
        stream = await _secure(request, progress, context)
    except ssl.SSLCertVerificationError as error:
        failed = error
        # Known already, should the second connection fail.
        progress.tls = TlsInfo(verify_code=error.verify_code, verify_error=error.verify_message)
        progress.restart()
        stream = await _secure(request, progress, pair.unverified)
    progress.tls = described(
        stream.session, request.host, verify=request.verify, chain_error=failed
    )
    return stream


def _decoded(headers: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("ascii", "replace").lower(), value.decode("utf-8", "replace"))
        for name, value in headers[:_HEADERS]
    )


class _Wire(httpcore.AsyncNetworkStream):
    """The session as httpcore reads and writes it; notes when the phases begin and end."""

    def __init__(self, stream: PlainStream | TlsStream, progress: Progress) -> None:
        self._stream, self._progress = stream, progress
        self._received = 0
        self._start = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109  # the exchange's limit is enough
        """What has arrived. Raises OSError, _ClosedError, _NotHttpError."""
        progress = self._progress
        if progress.phase == "send":
            progress.mark = progress.clock()
            progress.phase = "first_byte"
        data = await self._stream.receive()
        progress.ended = not data
        if progress.phase == "first_byte":
            self._head(data)
        return data

    def _head(self, data: bytes) -> None:
        """Hold what comes before the status against what it may be."""
        progress = self._progress
        self._received += len(data)
        if self._received > _HEAD_BYTES:
            raise _NotHttpError(f"more than {_HEAD_BYTES} bytes of headers")
        http2 = progress.version is not None
        if not http2 and self._received == len(data) > 0:  # HTTP/1.1: what comes is the answer
            progress.done("first_byte", "first_byte")
        self._start = (self._start + data)[:64].lstrip(b"\r\n")
        # Who agrees to HTTP/2 and answers so has something behind it that does not speak it.
        http1 = self._start.startswith(b"HTTP/1") if http2 else b"HTTP/".startswith(self._start[:5])
        if http1 == http2:
            heard = self._start.decode("utf-8", "replace").splitlines()[0]
            raise _NotHttpError(redact_text(heard))
        if not data:
            raise _ClosedError("closed by the peer before the end of the headers")

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Send all of it. Raises httpcore.WriteError: the peer may have said why it closed."""
        try:
            await self._stream.send(buffer)
        except (ConnectionResetError, BrokenPipeError) as error:
            self._progress.refused = error
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close at once."""
        self._stream.close()


class _Http11(httpcore.AsyncHTTP11Connection):
    MAX_INCOMPLETE_EVENT_SIZE = _HEAD_BYTES


class _Http2(httpcore.AsyncHTTP2Connection):
    """One stream: httpcore else takes 99 locks for those that the peer has not allowed yet."""

    async def _send_connection_init(self, request: httpcore.Request) -> None:
        await super()._send_connection_init(request)
        codes = h2.settings.SettingCodes
        own = {codes(code): value for code, value in self._h2_state.local_settings.items()}
        own[codes.MAX_CONCURRENT_STREAMS] = 1
        self._h2_state.local_settings = h2.settings.Settings(client=True, initial_values=own)


class _Body(httpx.AsyncByteStream):
    """The answer's body as httpcore reads it."""

    def __init__(self, source: Any) -> None:
        self._source = source

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._source.__aiter__()) as parts:
            async for part in parts:
                yield part


class Transport(httpx.AsyncBaseTransport):
    """A connection of its own for one request, to where that leads; HTTP/2 where ALPN agrees."""

    def __init__(self, way: Request, progress: Progress, pair: Contexts | None) -> None:
        self._way, self._progress, self._pair = way, progress, pair
        self._stream: PlainStream | TlsStream | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer's status and headers, its body still to be read.

        Raises OSError (ssl.SSLError among them), httpcore's protocol errors, and ours.
        """
        progress = self._progress
        self._stream = await _session(self._way, progress, self._pair)
        wire = _Wire(self._stream, progress)
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, target=request.url.raw_path
        )
        headers = request.headers.raw
        connection: httpcore.AsyncConnectionInterface
        if progress.tls is not None and progress.tls.alpn == "h2":
            progress.version = "HTTP/2"
            connection = _Http2(url.origin, wire)
        else:
            headers = [*headers, (b"Connection", b"close")]
            connection = _Http11(url.origin, wire)
        answer = await connection.handle_async_request(
            httpcore.Request(
                request.method,
                url,
                headers=headers,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close the connection, at once and without ceremony."""
        if self._stream is not None:
            self._stream.close()


def _message(request: Request) -> httpx.Request:
    """The request as httpx sends it. Raises ValueError for what cannot be sent."""
    headers = [
        ("Host", request.authority),
        ("User-Agent", f"hopcheck/{__version__}"),
        ("Accept", "*/*"),
        *request.forwarded,
    ]
    if request.cookies:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in request.cookies)))
    return httpx.Request(
        "GET",
        f"{request.scheme}://hop/",  # where it goes and what it names, the transport knows
        headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in headers],
        extensions={"target": request.path.encode("ascii")},
    )


async def _read_body(answer: httpx.Response, progress: Progress) -> None:
    """Read the first bytes of the body.

    An answer without announced length may be a stream that has nothing to say yet: it gets a
    second, and silence is no failure. One with Content-Length is waited for.
    """
    silence = asyncio.timeout(None if progress.announced else _BODY_PATIENCE)
    stream: Any = answer.stream
    try:
        async with silence, aclosing(aiter(stream)) as parts:
            async for part in parts:
                progress.body += part
                progress.body_bytes += len(part)
                if progress.body_bytes >= BODY_BYTES:
                    return
    except TimeoutError:
        if not silence.expired():  # the kernel's ETIMEDOUT
            raise
    except ConnectionResetError:
        # A body that lasts until the connection ends has ended; Go resets so after its own 400.
        lasting = progress.version != "HTTP/2" and not progress.announced
        if not lasting or progress.header("transfer-encoding") is not None:
            raise


def _connect_failure(error: OSError, progress: Progress) -> ErrorKind:
    if isinstance(error, ConnectionRefusedError):
        return ErrorKind.REFUSED
    if error.errno == errno.ENETUNREACH and progress.ipv6:
        return ErrorKind.LOCAL  # this machine has no IPv6 route
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN):
        return ErrorKind.UNREACHABLE
    return ErrorKind.LOCAL


_TIMEOUTS: dict[Phase, ErrorKind] = {
    "dns": ErrorKind.RESOLVE,
    "connect": ErrorKind.CONNECT_TIMEOUT,
    "tls": ErrorKind.TLS_TIMEOUT,
}


def _said_by_http2(error: BaseException) -> Any:
    """What ended a request by HTTP/2: h2's event or error; else None."""
    if isinstance(error, h2.exceptions.H2Error):
        return error
    told = error.args[0] if error.args and isinstance(error, httpcore.ProtocolError) else None
    return told if isinstance(told, h2.events.Event | h2.exceptions.H2Error) else None


def _needs_http1(error: BaseException) -> bool:
    """Whether HTTP/2 failed in a way that says nothing of the host: HTTP/1.1 is asked instead.

    HTTP_1_1_REQUIRED (browsers and curl do the same), and what h2 cannot read: the answer after a
    graceful GOAWAY, headers beyond its limit.
    """
    said = _said_by_http2(error)
    if isinstance(said, h2.events.StreamReset | h2.events.ConnectionTerminated):
        if said.error_code == h2.errors.ErrorCodes.HTTP_1_1_REQUIRED:
            return True
        graceful = said.error_code == h2.errors.ErrorCodes.NO_ERROR
        return graceful and getattr(said, "last_stream_id", 0) > 0
    if isinstance(said, h2.exceptions.DenialOfServiceError):
        return True
    return isinstance(said, h2.exceptions.ProtocolError) and "state ConnectionState.CLOSED" in str(
        said
    )


def _protocol_failure(error: Exception, progress: Progress) -> tuple[ErrorKind, str]:
    """How an exchange failed that no system call and no TLS failed, and the words for it."""
    said, words = _said_by_http2(error), without_raw(str(error))
    if isinstance(said, h2.events.StreamReset | h2.events.ConnectionTerminated):
        frame = "RST_STREAM" if isinstance(said, h2.events.StreamReset) else "GOAWAY"
        code = said.error_code
        return ErrorKind.RESET, f"{frame} {getattr(code, 'name', code)}"
    if progress.ended or isinstance(error, _ClosedError | httpcore.ConnectionNotAvailable):
        return ErrorKind.RESET, words
    if progress.phase in ("first_byte", "body"):
        return ErrorKind.PROTOCOL, words
    return ErrorKind.LOCAL, words  # this cannot be sent


def _failure(error: Exception, progress: Progress) -> tuple[ErrorKind, str]:
    """How the exchange failed, and the words for it: the system's, OpenSSL's or httpcore's."""
    words = str(error)
    if isinstance(error, OSError) and error.errno:  # asyncio's own words hide the system's
        words = os.strerror(error.errno) if error.errno > 0 else error.strerror or words
    if isinstance(error, ssl.SSLError):
        kind, words = failure(error, progress.first_bytes)
        if kind is ErrorKind.TLS_ALERT:
            progress.phase = "tls"  # TLS 1.3: the client's certificate is refused afterwards
    elif isinstance(error, TimeoutError):
        kind = _TIMEOUTS.get(progress.phase, ErrorKind.READ_TIMEOUT)
    elif isinstance(error, socket.gaierror):
        kind = ErrorKind.RESOLVE
    elif isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        kind = ErrorKind.RESET
    elif isinstance(error, OSError):
        kind = _connect_failure(error, progress)
    else:
        kind, words = _protocol_failure(error, progress)
    return kind, words


_FAILURES = (
    OSError,
    ValueError,  # not to be sent, or a :status that is no number
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
    httpcore.WriteError,
    h2.exceptions.H2Error,
    _NotHttpError,
    _ClosedError,
)


async def _send_and_read(request: Request, progress: Progress, pair: Contexts | None) -> None:
    async with Transport(request, progress, pair) as transport:
        try:
            answer = await transport.handle_async_request(_message(request))
        except (ConnectionError, _ClosedError, httpcore.WriteError):
            if progress.refused is None:
                raise
            progress.phase = "send"
            raise progress.refused from None
        progress.status = answer.status_code
        progress.version = answer.http_version
        progress.headers = _decoded(answer.headers.raw)
        if progress.version == "HTTP/2":
            progress.done("first_byte", "body")
        progress.phase = "body"
        await _read_body(answer, progress)


async def send(
    run: Run, request: Request, deadline: float, dns_s: float | None
) -> tuple[Exchange, Progress]:
    """Send one request by `deadline` (the run's `awake`); what was seen, as evidence and raw."""
    # Not on the exchange's clock: the authorities, and the half of anyio that httpcore loads late.
    pair = contexts(run) if request.scheme == "https" else None
    anyio.current_time()
    progress = Progress(run.awake)
    kind: ErrorKind | None = None
    words = ""
    try:
        async with run.limit(deadline - run.awake()):
            try:
                await _send_and_read(request, progress, pair)
            except _FAILURES as error:
                if progress.version != "HTTP/2" or not _needs_http1(error):
                    raise
                progress = Progress(run.awake)
                await _send_and_read(replace(request, http1=True), progress, pair)
    except _FAILURES as error:
        if not (isinstance(error, TimeoutError) and progress.phase == "body") or progress.announced:
            kind, words = _failure(error, progress)
    total = run.awake() - progress.began
    times = progress.times
    seen = Exchange(
        url=redact_url(request.url),
        address=request.address,
        port=request.port,
        status=progress.status,
        headers=tuple(
            (name, value[:_HEADER_CHARS]) for name, value in redact_headers(progress.headers)
        ),
        body=redact_text(progress.body[:BODY_BYTES].decode("utf-8", "replace")),
        body_bytes=progress.body_bytes,
        http_version=progress.version,
        tls=progress.tls,
        timing=Timing(
            dns=dns_s if dns_s is not None else times.get("dns"),
            connect=times.get("connect"),
            tls=times.get("tls"),
            first_byte=times.get("first_byte"),
            total=total + (dns_s or 0.0),
        ),
        error=kind,
        error_text=redact_text(words)[:_HEADER_CHARS],
        error_phase=progress.phase if kind is not None else None,
    )
    return seen, progress
