from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec.structs import replace

from hopcheck import __version__
from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes.client import KubeClient
from hopcheck.collect.web.probe import probe, probe_hops, request_host
from hopcheck.config.options import ConnectTo, Options
from hopcheck.model import Collected, ErrorKind, Exchange, Hop, Probe, Target, Why
from hopcheck.scene.probes import HopTarget

HOST = "myapp.example.com"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def go(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test

    asyncio.run(limited())


@asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    async def safely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            return
        finally:
            writer.transport.abort() if tls is None and writer.is_closing() else writer.close()

    server = await asyncio.start_server(safely, host, 0, ssl=tls, limit=2**20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(raw: bytes, *, then: float = 0.0, seen: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        writer.write(raw)
        await writer.drain()
        await asyncio.sleep(then)

    return handler


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def ask(
    port: int, *, scheme: Any = "http", options: Options | None = None, **more: Any
) -> Collected[Probe]:
    given: dict[str, Any] = {
        "hop": Hop.POD,
        "member": "m",
        "address": "127.0.0.1",
        "port": port,
        "scheme": scheme,
        "host": HOST,
        "path": "/",
    }
    return await probe(Run(options or Options(timeout=2.0)), **{**given, **more})


async def asked(port: int, **more: Any) -> Exchange:
    return (await ask(port, **more)).get().exchanges[-1]


def authority(tmp_path: Path) -> tuple[trustme.CA, Options]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return ca, Options(timeout=2.0, ca_file=str(tmp_path / "ca.pem"))


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextmanager
def blocking_tls(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server without asyncio, whose server side drops the alert of a failed handshake."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            plain.settimeout(5)
            with plain:
                try:
                    with context.wrap_socket(plain, server_side=True) as secure:
                        secure.recv(4096)
                except OSError:
                    plain.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


# --- what is sent and what is seen -----------------------------------------------------------


def test_request_and_answer_are_told_in_full() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        raw = (
            b"HTTP/1.1 503 Service Unavailable\r\nServer: t\r\nSet-Cookie: sid=abc; Path=/\r\n"
            b"Content-Length: 3\r\n\r\nn\xffo"
        )
        async with serving(answering(raw, seen=seen)) as port:
            result = await ask(port, path="/a b?x=1", authority=HOST, dns_s=0.25)
        exchange = result.get().exchanges[0]
        head = seen[0].decode().split("\r\n")
        assert head[0] == "GET /a%20b?x=1 HTTP/1.1"
        assert f"Host: {HOST}" in head
        assert f"User-Agent: hopcheck/{__version__}" in head
        assert "Accept: */*" in head
        assert result.source == f"GET http://{HOST}/a%20b?x=REDACTED @127.0.0.1:{port}"
        assert exchange.url == f"http://{HOST}/a%20b?x=REDACTED"
        assert (exchange.address, exchange.port) == ("127.0.0.1", port)
        assert (exchange.status, exchange.http_version) == (503, "HTTP/1.1")
        assert exchange.header("set-cookie") == "sid=REDACTED; Path=/"
        assert (exchange.body, exchange.body_bytes) == ("n�o", 3)
        assert (exchange.error, exchange.error_phase, exchange.tls) == (None, None, None)
        timing = exchange.timing
        assert timing.dns == 0.25
        assert timing.tls is None
        assert timing.connect is not None
        assert timing.first_byte is not None
        assert timing.total > 0.25 + timing.connect + timing.first_byte

    go(test())


def test_host_header_has_a_port_that_is_not_the_schemes() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        async with serving(answering(OK, seen=seen)) as port:
            await ask(port)
        assert f"Host: {HOST}:{port}\r\n".encode() in seen[0]

    go(test())


def test_only_the_first_bytes_of_a_long_body_are_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"a" * 1024 + b"\r\n")
            await writer.drain()

    async def test() -> None:
        async with serving(endless) as port:
            exchange = await asked(port)
        assert (exchange.status, exchange.error) == (200, None)
        assert exchange.body == "a" * 2048
        assert 2048 <= exchange.body_bytes < 100_000

    go(test())


def test_a_silent_stream_is_a_success() -> None:
    async def test() -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n"
        async with serving(answering(raw, then=10)) as port:
            exchange = await asked(port, options=Options(timeout=5))
        assert (exchange.status, exchange.error, exchange.body) == (200, None, ": hi\n\n")
        assert exchange.timing.total < 2

    go(test())


def test_interim_answers_are_passed_over() -> None:
    async def test() -> None:
        async with serving(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)) as port:
            assert (await asked(port)).status == 200

    go(test())


# --- each failure, for real ------------------------------------------------------------------


def failed(exchange: Exchange) -> tuple[ErrorKind | None, str | None]:
    return exchange.error, exchange.error_phase


def test_refused() -> None:
    async def test() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))  # bound, not listening
            result = await ask(bound.getsockname()[1])
        exchange = result.get().exchanges[-1]
        assert failed(exchange) == (ErrorKind.REFUSED, "connect")
        assert exchange.error_text == "Connection refused"
        assert exchange.status is None

    go(test())


def test_connect_timeout() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            clients = [socket.socket() for _ in range(4)]  # the backlog is full: SYNs are dropped
            for client in clients:
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            began = loop.time()
            exchange = await asked(full.getsockname()[1], timeout=0.3)
            for client in clients:
                client.close()
        assert failed(exchange) == (ErrorKind.CONNECT_TIMEOUT, "connect")
        assert exchange.timing.connect is None
        assert 0.25 < loop.time() - began < 1.5

    go(test())


@pytest.mark.parametrize(
    ("number", "ipv6", "kind"),
    [
        (errno.EHOSTUNREACH, False, ErrorKind.UNREACHABLE),
        (errno.ENETUNREACH, False, ErrorKind.UNREACHABLE),
        (errno.EHOSTUNREACH, True, ErrorKind.UNREACHABLE),
        (errno.ENETUNREACH, True, ErrorKind.LOCAL),
        (errno.EADDRNOTAVAIL, True, ErrorKind.LOCAL),
        (errno.EPERM, False, ErrorKind.LOCAL),
        (errno.ETIMEDOUT, False, ErrorKind.CONNECT_TIMEOUT),
    ],
)
def test_what_the_kernel_says_of_routes(
    number: int, ipv6: bool, kind: ErrorKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Routes cannot be had on every machine, so the kernel's answer alone is set."""

    async def test() -> None:
        async def refused(*_: object) -> None:
            raise OSError(number, "asyncio's words")

        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refused)
        exchange = await asked(80, address="::1" if ipv6 else "127.0.0.1")
        assert failed(exchange) == (kind, "connect")
        assert exchange.error_text == os.strerror(number)

    go(test())


def test_no_file_left_is_local() -> None:
    async def test() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            exchange = await asked(80)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert failed(exchange) == (ErrorKind.LOCAL, "connect")
        assert exchange.error_text == "Too many open files"

    go(test())


def test_name_that_does_not_resolve() -> None:
    async def test() -> None:
        options = Options(timeout=2, connect_to=(ConnectTo(to_host="no-such-name.invalid"),))
        exchange = await asked(80, options=options)
        assert failed(exchange) == (ErrorKind.RESOLVE, "dns")

    go(test())


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await reader.read(1)
    writer.transport.abort()


@pytest.mark.parametrize(
    ("handler", "expected", "words"),
    [
        (_reset, (ErrorKind.RESET, "first_byte"), "reset"),
        (answering(b""), (ErrorKind.RESET, "first_byte"), "closed"),
        (answering(b"HTTP/1.1 200 OK\r\nA: b"), (ErrorKind.RESET, "first_byte"), "closed"),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"),
            (ErrorKind.RESET, "body"),
            "2",
        ),
        (answering(b"", then=9), (ErrorKind.READ_TIMEOUT, "first_byte"), ""),
        (answering(b"HTTP/1.1 200 OK\r\nA: b", then=9), (ErrorKind.READ_TIMEOUT, "first_byte"), ""),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", then=9),
            (ErrorKind.READ_TIMEOUT, "body"),
            "",
        ),
        (
            answering(b"SSH-2.0-OpenSSH_9.6\r\n", then=9),
            (ErrorKind.PROTOCOL, "first_byte"),
            "SSH-2.0",
        ),
        (answering(b"\x00\x00\x12\x04\x00", then=9), (ErrorKind.PROTOCOL, "first_byte"), ""),
        (answering(b"HTTP/1.1 abc\r\n\r\n"), (ErrorKind.PROTOCOL, "first_byte"), "status"),
        (
            answering(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 10**6),
            (ErrorKind.PROTOCOL, "first_byte"),
            "",
        ),
        (
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            (ErrorKind.PROTOCOL, "body"),
            "chunk",
        ),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_answers_that_fail(handler: Handler, expected: tuple[ErrorKind, str], words: str) -> None:
    async def test() -> None:
        async with serving(handler) as port:
            exchange = await asked(port, timeout=0.5)
        assert failed(exchange) == expected
        assert words in exchange.error_text
        assert exchange.status == (200 if expected[1] == "body" else None)

    go(test())


def test_endless_headers_are_bounded() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: b\r\n" * 100)
            await writer.drain()

    async def test() -> None:
        async with serving(endless) as port:
            exchange = await asked(port)
        assert exchange.error in (ErrorKind.PROTOCOL, ErrorKind.READ_TIMEOUT)
        assert exchange.error_phase == "first_byte"

    go(test())


def test_the_runs_deadline_accuses_nobody() -> None:
    async def test() -> None:
        async with serving(answering(b"", then=9)) as port:
            result = await ask(port, options=Options(timeout=5, deadline=0.3))
        assert result.why is Why.TIMED_OUT

    go(test())


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("X-A: b", None),
        ("Content-Length: 9", ErrorKind.RESET),
        ("Transfer-Encoding: chunked", ErrorKind.RESET),
    ],
)
def test_reset_after_the_status(header: str, error: ErrorKind | None) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await reader.read(4096)
        writer.write(f"HTTP/1.1 400 Bad Request\r\n{header}\r\n\r\n".encode())
        await asyncio.sleep(0.05)  # lest the reset overtakes the answer
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async def test() -> None:
        async with serving(reset) as port:
            exchange = await asked(port)
        assert (exchange.status, exchange.error) == (400, error)

    go(test())


# --- TLS -------------------------------------------------------------------------------------


def test_https_verified(tmp_path: Path) -> None:
    async def test() -> None:
        ca, options = authority(tmp_path)
        async with serving(answering(OK), server_side(ca.issue_cert(HOST))) as port:
            exchange = await asked(port, scheme="https", options=options)
        assert (exchange.status, exchange.error) == (200, None)
        assert exchange.tls is not None
        assert exchange.tls.verified
        assert (exchange.tls.verify_code, exchange.tls.verify_error) == (None, None)
        assert exchange.tls.version == "TLSv1.3"
        assert exchange.tls.cipher
        assert exchange.tls.chain[0].names == (HOST,)
        assert exchange.timing.tls is not None

    go(test())


def test_an_unverified_session_is_still_seen(tmp_path: Path) -> None:
    async def test() -> None:
        ca = trustme.CA()
        async with serving(answering(OK), server_side(ca.issue_cert("other.example.com"))) as port:
            exchange = await asked(port, scheme="https")
            unjudged = await asked(port, scheme="https", verify=False)
        assert (exchange.status, exchange.error, exchange.body) == (200, None, "ok")
        assert exchange.tls is not None
        assert not exchange.tls.verified
        assert exchange.tls.verify_code == 20
        assert exchange.tls.verify_error == (
            "unable to get local issuer certificate; "
            f"hostname mismatch, certificate is not valid for '{HOST}'"
        )
        assert exchange.tls.chain[0].names == ("other.example.com",)
        assert unjudged.tls is not None
        assert unjudged.tls.chain == exchange.tls.chain
        assert (unjudged.tls.verified, unjudged.tls.verify_code) == (False, None)

    go(test())


def test_unrecognized_name(tmp_path: Path) -> None:
    async def test() -> None:
        ca, options = authority(tmp_path)
        context = server_side(ca.issue_cert(HOST))
        names: list[str | None] = []

        def refuse(_: object, name: str | None, __: object) -> int:
            names.append(name)
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        context.sni_callback = refuse  # type: ignore[assignment]
        with blocking_tls(context) as port:
            exchange = await asked(port, scheme="https", options=options)
        assert failed(exchange) == (ErrorKind.TLS_ALERT, "tls")
        assert "unrecognized name" in exchange.error_text
        assert names == [HOST]

    go(test())


def test_client_certificate_wanted(tmp_path: Path) -> None:
    async def test() -> None:
        ca, options = authority(tmp_path)
        context = server_side(ca.issue_cert(HOST))
        context.verify_mode = ssl.CERT_REQUIRED
        ca.configure_trust(context)
        with blocking_tls(context) as port:
            exchange = await asked(port, scheme="https", options=options)
        assert failed(exchange) == (ErrorKind.TLS_ALERT, "tls")
        assert "certificate required" in exchange.error_text
        assert exchange.tls is not None
        assert exchange.tls.verified

    go(test())


@pytest.mark.parametrize(
    ("handler", "kind", "words"),
    [
        (_reset, ErrorKind.RESET, ""),
        ("plain", ErrorKind.TLS_PROTOCOL, "'HTTP/1.1 400 Bad Request'"),
        ("hung", ErrorKind.TLS_TIMEOUT, ""),
        ("closed", ErrorKind.RESET, "EOF"),
    ],
)
def test_handshakes_that_fail(handler: Any, kind: ErrorKind, words: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        if handler == "plain":
            await reader.read(4096)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif handler == "hung":
            await asyncio.sleep(9)
        else:
            await reader.read(4096)

    async def test() -> None:
        async with serving(talk if isinstance(handler, str) else handler) as port:
            exchange = await asked(port, scheme="https", timeout=0.5)
        assert failed(exchange) == (kind, "tls")
        assert words in exchange.error_text
        assert exchange.status is None

    go(test())


def test_ca_file_that_is_none(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "bad.pem").write_text("no certificate")
        for name in ("bad.pem", "missing.pem"):
            result = await ask(1, scheme="https", options=Options(ca_file=str(tmp_path / name)))
            assert result.why is Why.MISCONFIGURED
            assert name in result.detail

    go(test())


# --- redirects -------------------------------------------------------------------------------


def located(location: str, *headers: str) -> bytes:
    more = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n{more}Content-Length: 0\r\n\r\n".encode()


def test_http_to_https_on_the_same_host_by_connect_to(tmp_path: Path) -> None:
    async def test() -> None:
        ca, options = authority(tmp_path)
        async with (
            serving(answering(OK), server_side(ca.issue_cert(HOST))) as secure,
            serving(answering(located(f"https://{HOST.upper()}./x?t=1#f"))) as plain,
        ):
            rules = (ConnectTo(port=443, to_port=secure), ConnectTo(port=80, to_port=plain))
            options = replace(options, connect_to=rules)
            target = Target(HOST)
            made = await request_host(target, Run(options), ["127.0.0.1"], 0.1)
            requests, other = made.requests, made.other_scheme
        assert [exchange.status for exchange in requests[0].get().exchanges] == [200]
        assert requests[0].get().exchanges[0].timing.dns == 0.1
        first, second = other.get().exchanges
        assert (first.status, first.url, first.port) == (302, f"http://{HOST}/", 80)
        assert (second.status, second.url, second.port) == (
            200,
            f"https://{HOST}/x?t=REDACTED",
            443,
        )
        assert second.timing.dns is None
        assert second.tls is not None
        assert second.tls.verified

    go(test())


def test_loop_is_told_at_once() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        async with serving(answering(located("/"), seen=seen)) as port:
            exchanges = (await ask(port, follow=True)).get().exchanges
        assert len(exchanges) == len(seen) == 1
        assert exchanges[0].error is ErrorKind.TOO_MANY_REDIRECTS
        assert (exchanges[0].status, exchanges[0].error_phase) == (302, None)

    go(test())


def test_endless_redirects_stop_at_ten() -> None:
    async def test() -> None:
        seen: list[bytes] = []

        async def further(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(located(f"/{len(seen)}"))

        async with serving(further) as port:
            exchanges = (await ask(port, follow=True)).get().exchanges
        assert len(exchanges) == len(seen) == 10
        assert [exchange.error for exchange in exchanges] == [None] * 9 + [
            ErrorKind.TOO_MANY_REDIRECTS
        ]

    go(test())


def test_redirect_that_sets_a_cookie_is_no_loop() -> None:
    async def test() -> None:
        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            known = b"Cookie: sid=s3cret\r\n" in head
            writer.write(OK if known else located("/", "Set-Cookie: sid=s3cret; Path=/"))

        async with serving(once) as port:
            result = await ask(port, follow=True)
        assert [exchange.status for exchange in result.get().exchanges] == [302, 200]
        assert "s3cret" not in repr(result)

    go(test())


@pytest.mark.parametrize("follow", [True, False])
def test_another_host_is_not_followed(follow: bool) -> None:
    async def test() -> None:
        async with serving(answering(located("https://login.example.net/?code=1"))) as port:
            result = (await ask(port, follow=follow)).get()
        assert result.redirected_to == "https://login.example.net/?code=REDACTED"
        assert [exchange.error for exchange in result.exchanges] == [None]

    go(test())


@pytest.mark.parametrize("location", ["http://[::1", "http://a:99999999/", ""])
def test_broken_location_ends_the_way(location: str) -> None:
    async def test() -> None:
        async with serving(answering(located(location))) as port:
            result = (await ask(port, follow=True)).get()
        assert (len(result.exchanges), result.redirected_to) == (1, None)
        assert (result.exchanges[0].status, result.exchanges[0].error) == (302, None)

    go(test())


# --- who is asked ----------------------------------------------------------------------------


def test_every_address_is_asked_and_one_bad_one_seen() -> None:
    async def test() -> None:
        async with serving(answering(OK), host="127.0.0.1") as port:
            target = Target(HOST, scheme="http", port=port)
            addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
            made = await request_host(target, Run(Options()), addresses, None)
            requests, other = made.requests, made.other_scheme
        assert [each.get().member for each in requests] == ["127.0.0.1", "127.0.0.2"]
        assert [each.get().exchanges[-1].error for each in requests] == [None, ErrorKind.REFUSED]
        assert {each.get().hop for each in requests} == {Hop.LOAD_BALANCER}
        assert other.why is Why.NOT_NEEDED

    go(test())


def test_more_than_eight_addresses() -> None:
    async def test() -> None:
        target = Target(HOST, scheme="http", port=9)
        addresses = [f"127.0.0.{last}" for last in range(1, 12)]
        requests = (await request_host(target, Run(Options()), addresses, None)).requests
        assert [each.truncated for each in requests] == [False] * 7 + [True]

    go(test())


def test_no_address() -> None:
    async def test() -> None:
        made = await request_host(Target(HOST), Run(Options()), [], None)
        assert made.requests == ()
        assert made.other_scheme.why is Why.UNREACHABLE
        async with serving(answering(OK)) as port:
            rule = ConnectTo(host=HOST, to_host="127.0.0.1", to_port=port)
            run = Run(Options(timeout=0.3, connect_to=(rule,)))
            made = await request_host(Target(HOST, "http", 80), run, [], None)
        assert made.requests[0].get().exchanges[-1].status == 200

    go(test())


def test_hops_get_the_same_request_concurrently() -> None:
    async def test() -> None:
        seen: list[bytes] = []

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(0.2)
            writer.write(OK)

        async with serving(slow) as port:
            hops = [
                HopTarget(Hop.NODE, f"node-{number}", "127.0.0.1", port, "http")
                for number in range(19)
            ]
            hops.append(
                HopTarget(Hop.POD, "pod a/b", "127.0.0.1", port, "http", namespace="a", name="b")
            )
            # A rule for the host's name or for any host is about the client's way, not about hops.
            rules = (ConnectTo(host=HOST, to_port=1), ConnectTo(to_port=1))
            began = time.monotonic()
            run = Run(Options(connect_to=rules))
            results = await probe_hops(Target(HOST, path="/p"), run, hops)
        assert time.monotonic() - began < 2.0  # one after the other: 4 s
        assert [each.get().exchanges[-1].status for each in results] == [200] * 20
        assert [each.get().member for each in results] == [hop.member for hop in hops]
        assert (results[-1].get().namespace, results[-1].get().name) == ("a", "b")
        assert all(f"Host: {HOST}\r\n".encode() in head for head in seen)
        assert sum(b"X-Forwarded-Proto: https\r\n" in head for head in seen) == 1

    go(test())


def test_hops_connect_by_a_rule_for_their_address() -> None:
    async def test() -> None:
        async with serving(answering(OK)) as port:
            rule = ConnectTo(host="10.0.1.10", port=30000, to_host="127.0.0.1", to_port=port)
            hop = HopTarget(Hop.NODE, "node-1", "10.0.1.10", 30000, "http")
            (result,) = await probe_hops(Target(HOST), Run(Options(connect_to=(rule,))), [hop])
        exchange = result.get().exchanges[-1]
        assert (exchange.status, exchange.address, exchange.port) == (200, "10.0.1.10", 30000)

    go(test())


def test_proxy_header_comes_first() -> None:
    async def test() -> None:
        seen: list[bytes] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readexactly(28))
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)

        async with serving(handler) as port:
            result = await ask(port, proxy_protocol=True)
        header, request = seen
        assert header[:16] == b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
        assert header[16:24] == socket.inet_aton("127.0.0.1") * 2
        assert int.from_bytes(header[26:28], "big") == port
        assert request.startswith(b"GET / HTTP/1.1\r\n")
        assert result.get().proxy_protocol
        assert result.get().exchanges[-1].status == 200

    go(test())


def test_ipv6() -> None:
    async def test() -> None:
        try:
            server = serving(answering(OK), host="::1")
            async with server as port:
                exchange = await asked(port, address="::1", proxy_protocol=False)
        except OSError as error:
            pytest.skip(f"no IPv6 loopback: {error}")
        assert (exchange.status, exchange.error) == (200, None)

    go(test())


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.0.1", "fe80::1%lo", "::ffff:169.254.169.254", "fd00:ec2::254"],
)
def test_nothing_is_sent_to_link_local_and_metadata_addresses(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connected(*_: Any) -> None:
        raise AssertionError("a connection was tried")

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connected)
        exchange = await asked(80, address=address)
        assert exchange.error is ErrorKind.LOCAL
        assert "link-local and metadata" in exchange.error_text
        by_name = await asked(80, options=Options(connect_to=(ConnectTo(None, None, address, 80),)))
        assert "link-local and metadata" in by_name.error_text
        async with KubeClient(Run(Options())) as client:
            with pytest.raises(Unavailable) as refused:
                await client.direct(address, 8080, "/api/version")
        assert refused.value.why is Why.NOT_REACHABLE_FROM_HERE

    go(main())


def test_a_stall_of_this_process_is_not_held_against_the_host() -> None:
    """The loop does not run for longer than the time-out; the answer is there when it does."""
    heard, may_answer = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65_536)
            heard.set()
            may_answer.wait(10)
            connection.sendall(OK)

    async def stalled() -> None:
        asked_for = asyncio.ensure_future(
            ask(listener.getsockname()[1], options=Options(timeout=0.5, deadline=15))
        )
        await asyncio.to_thread(heard.wait, 10)
        time.sleep(1.2)  # noqa: ASYNC251  # the stall
        await asyncio.to_thread(may_answer.set)
        exchange = (await asked_for).get().exchanges[-1]
        assert (exchange.error, exchange.status) == (None, 200)
        assert exchange.timing.total is not None
        assert exchange.timing.total < 1.0  # nor is the application called slow

    threading.Thread(target=serve, daemon=True).start()
    go(stalled())
