"""One HTTP/1.1 request and its answer, with each phase's time and failure told apart.

Not by httpx but by h11 (httpx's own HTTP/1.1 parser) over a socket, because a diagnosis needs what
httpx cannot do: a PROXY header before the TLS handshake, the certificate and the answer of a
session whose verification failed, and the peer's first bytes when it speaks something else. (It
also spares httpx's 0.25 s of import.)
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Literal

import h11
from msgspec import Struct

from hopcheck import __version__
from hopcheck.collect.ask import Run, in_thread
from hopcheck.collect.web.tls import Contexts, PlainStream, TlsStream, contexts, described, failure
from hopcheck.model import ErrorKind, Exchange, Timing, TlsInfo
from hopcheck.model.redact import redact_headers, redact_text, redact_url

BODY_BYTES = 2_048
_HEAD_BYTES = 256 * 1024  # an answer's head beyond this is no HTTP worth the name
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

    @property
    def url(self) -> str:
        """The URL as sent, not redacted."""
        return f"{self.scheme}://{self.authority}{self.path}"


class Progress:
    """How far an exchange came: what there is to tell when it fails."""

    def __init__(self) -> None:
        self.phase: Phase = "connect"
        self.began = self.mark = asyncio.get_running_loop().time()
        self.times: dict[str, float] = {}
        self.tls: TlsInfo | None = None
        self.first_bytes = b""
        self.status: int | None = None
        self.version: str | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()
        self.body_bytes = 0
        self.ipv6 = False

    def done(self, phase: str, following: Phase) -> None:
        """Note the time of `phase` and enter the one following."""
        now = asyncio.get_running_loop().time()
        self.times[phase] = now - self.mark
        self.mark = now
        self.phase = following

    def restart(self) -> None:
        """Begin again on a new connection: its times are the exchange's times."""
        self.began = self.mark = asyncio.get_running_loop().time()
        self.times.clear()
        self.phase = "connect"

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
        stream = TlsStream(plain, context, request.host)
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


def _encoded(request: Request, connection: h11.Connection) -> bytes:
    headers = [
        ("Host", request.authority),
        ("User-Agent", f"hopcheck/{__version__}"),
        ("Accept", "*/*"),
        ("Connection", "close"),
        *request.forwarded,
    ]
    if request.cookies:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in request.cookies)))
    head = h11.Request(
        method=b"GET",
        target=request.path.encode("ascii"),
        headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in headers],
    )
    return (connection.send(head) or b"") + (connection.send(h11.EndOfMessage()) or b"")


def _decoded(headers: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("ascii", "replace"), value.decode("utf-8", "replace"))
        for name, value in headers[:_HEADERS]
    )


async def _read_head(
    stream: PlainStream | TlsStream, connection: h11.Connection, progress: Progress
) -> None:
    """Read until the final status and headers are there (1xx answers are passed over)."""
    received = 0
    start = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            progress.status = event.status_code
            progress.version = f"HTTP/{event.http_version.decode('ascii', 'replace')}"
            progress.headers = _decoded(list(event.headers))
            progress.phase = "body"
            return
        if event is not h11.NEED_DATA:
            continue
        data = await stream.receive()
        if received == 0 and data:
            progress.done("first_byte", "first_byte")
        received += len(data)
        start = (start + data)[:64].lstrip(b"\r\n")
        if not b"HTTP/".startswith(start[:5]):
            heard = start.decode("utf-8", "replace").splitlines()[0]
            raise _NotHttpError(redact_text(heard))
        if received > _HEAD_BYTES:
            raise _NotHttpError(f"more than {_HEAD_BYTES} bytes of headers")
        if not data:
            raise _ClosedError("closed by the peer before the end of the headers")
        connection.receive_data(data)


async def _read_body(
    stream: PlainStream | TlsStream, connection: h11.Connection, progress: Progress
) -> None:
    """Read the first bytes of the body.

    An answer without announced length may be a stream that has nothing to say yet: it gets a
    second, and silence is no failure. One with Content-Length is waited for.
    """
    silence = asyncio.timeout(None if progress.announced else _BODY_PATIENCE)
    ended = False
    try:
        async with silence:
            while progress.body_bytes < BODY_BYTES:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    data = await stream.receive()
                    ended = not data
                    connection.receive_data(data)
                elif isinstance(event, h11.Data):
                    progress.body += event.data
                    progress.body_bytes += len(event.data)
                else:  # EndOfMessage
                    return
    except TimeoutError:
        if not silence.expired():  # the kernel's ETIMEDOUT
            raise
    except ConnectionResetError:
        # A body that lasts until the connection ends has ended; Go resets so after its own 400.
        if progress.announced or progress.header("transfer-encoding") is not None:
            raise
    except h11.RemoteProtocolError as error:
        if ended:
            raise _ClosedError(str(error)) from error
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


def _failure(error: Exception, progress: Progress) -> tuple[ErrorKind, str]:
    """How the exchange failed, and the words for it: the system's, OpenSSL's or h11's."""
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
    elif isinstance(
        error, _ClosedError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError
    ):
        kind = ErrorKind.RESET
    elif isinstance(error, OSError):
        kind = _connect_failure(error, progress)
    elif isinstance(error, h11.RemoteProtocolError | _NotHttpError):
        kind = ErrorKind.PROTOCOL
    else:  # h11.LocalProtocolError, ValueError: this cannot be sent
        kind = ErrorKind.LOCAL
    return kind, words


async def _send_and_read(request: Request, progress: Progress, pair: Contexts | None) -> None:
    stream = await _session(request, progress, pair)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        refused: OSError | None = None
        try:
            await stream.send(_encoded(request, connection))
        except (ConnectionResetError, BrokenPipeError) as error:
            refused = error  # the peer may have said why before it closed
        progress.mark = asyncio.get_running_loop().time()
        progress.phase = "first_byte"
        try:
            await _read_head(stream, connection, progress)
        except (ConnectionError, _ClosedError):
            if refused is None:
                raise
            progress.phase = "send"
            raise refused from None
        await _read_body(stream, connection, progress)
    finally:
        stream.close()


async def send(
    run: Run, request: Request, deadline: float, dns_s: float | None
) -> tuple[Exchange, Progress]:
    """Send one request by `deadline` (the loop's clock); what was seen, as evidence and raw."""
    pair = contexts(run) if request.scheme == "https" else None  # not on the exchange's clock
    progress = Progress()
    kind: ErrorKind | None = None
    words = ""
    try:
        async with asyncio.timeout_at(deadline):
            await _send_and_read(request, progress, pair)
    except (OSError, h11.ProtocolError, ValueError, _NotHttpError, _ClosedError) as error:
        if not (isinstance(error, TimeoutError) and progress.phase == "body") or progress.announced:
            kind, words = _failure(error, progress)
    total = asyncio.get_running_loop().time() - progress.began
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
