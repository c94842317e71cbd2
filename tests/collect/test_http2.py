"""HTTP/2 by ALPN, and hosts that work by one version of HTTP and not by the other."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from h2.errors import ErrorCodes
from msgspec.structs import replace

from hopcheck import __version__
from hopcheck.collect.ask import Run
from hopcheck.collect.web.probe import probe_hops, request_host
from hopcheck.config.options import ConnectTo, Options
from hopcheck.model import ErrorKind, Exchange, Hop, HttpEvidence, Target
from hopcheck.scene.http_versions import TURNS, only_version
from hopcheck.scene.probes import HopTarget
from tests.collect.test_http import HOST, OK, answering, asked, authority, failed, go, serving

Connection = h2.connection.H2Connection
Answer = Callable[[Connection, asyncio.StreamWriter], Awaitable[None]]
STATUS = [(":status", "200"), ("server", "t"), ("set-cookie", "sid=abc; Path=/")]


def by(*protocols: str, leaf: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    return context


class Server:
    """Both versions on one port; what was asked, by version."""

    def __init__(self, http2: Answer | None, http1: Any) -> None:
        self.http2, self.http1 = http2, http1
        self.asked: list[str] = []
        self.headers: list[list[tuple[str, str]]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        if session.selected_alpn_protocol() != "h2":
            self.asked.append("1")
            await self.http1(reader, writer)
            return
        self.asked.append("2")
        if self.http2 is None:  # a load balancer has agreed for what is behind it
            await reader.read(24)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await reader.read()
            return
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        connection = Connection(config=config)
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.headers.append(list(event.headers or ()))  # type: ignore[arg-type]
                    await self.http2(connection, writer)
            writer.write(connection.data_to_send())
            if writer.is_closing():
                return


def reset(code: int) -> Answer:
    async def answer(connection: Connection, writer: asyncio.StreamWriter) -> None:
        connection.reset_stream(1, code)

    return answer


def goaway(code: int, last: int = 0) -> Answer:
    async def answer(connection: Connection, writer: asyncio.StreamWriter) -> None:
        connection.close_connection(code, last_stream_id=last)

    return answer


def raw(data: bytes) -> Answer:
    async def answer(connection: Connection, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return answer


async def fine(connection: Connection, writer: asyncio.StreamWriter) -> None:
    connection.send_headers(1, STATUS)
    connection.send_data(1, b"ok", end_stream=True)


async def silent(connection: Connection, writer: asyncio.StreamWriter) -> None:
    return


async def closed(connection: Connection, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def cut(connection: Connection, writer: asyncio.StreamWriter) -> None:
    connection.send_headers(1, [*STATUS, ("content-length", "9")])
    connection.send_data(1, b"ab")
    writer.write(connection.data_to_send())
    writer.close()


async def stream(connection: Connection, writer: asyncio.StreamWriter) -> None:
    connection.send_headers(1, STATUS)
    connection.send_data(1, b": hi\n\n")


async def gateway(connection: Connection, writer: asyncio.StreamWriter) -> None:
    connection.send_headers(1, [(":status", "502")], end_stream=True)


async def graceful(connection: Connection, writer: asyncio.StreamWriter) -> None:
    """The last request of a connection, as nginx answers it (RFC 9113, section 6.8)."""
    connection.send_headers(1, STATUS)
    connection.send_data(1, b"ok", end_stream=True)
    answer = connection.data_to_send()
    connection.close_connection(ErrorCodes.NO_ERROR, last_stream_id=1)
    writer.write(connection.data_to_send() + answer)


@asynccontextmanager
async def both(
    tmp_path: Path, http2: Answer | None, http1: Any = None, protocols: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Server, int, Options]]:
    ca, options = authority(tmp_path)
    server = Server(http2, http1 or answering(OK))
    context = by(*(protocols or ("h2", "http/1.1")), leaf=ca.issue_cert(HOST))
    async with serving(server, context) as port:
        yield server, port, options


def request(
    tmp_path: Path, http2: Answer, answer: Any = None, **options: Any
) -> tuple[HttpEvidence, Server]:
    """The host's request to one address."""
    protocols = options.pop("protocols", ())
    found: list[tuple[HttpEvidence, Server]] = []

    async def test() -> None:
        async with both(tmp_path, http2, answer, protocols) as (server, port, given):
            given = replace(given, connect_to=(ConnectTo(to_port=port),), **options)
            target = Target(HOST)
            found.append((await request_host(target, Run(given), ["127.0.0.1"], None), server))

    go(test())
    return found[0]


def only(evidence: HttpEvidence) -> str | None:
    return only_version([one.get() for one in evidence.versions])


def last(evidence: HttpEvidence) -> Exchange:
    return evidence.requests[0].get().exchanges[-1]


# --- one request -----------------------------------------------------------------------------


def test_request_and_answer_by_http2(tmp_path: Path) -> None:
    async def test() -> None:
        async with both(tmp_path, fine) as (server, port, options):
            exchange = await asked(port, scheme="https", options=options, path="/a b?x=1")
        assert (exchange.status, exchange.http_version, exchange.error) == (200, "HTTP/2", None)
        assert (exchange.body, exchange.body_bytes) == ("ok", 2)
        assert exchange.header("set-cookie") == "sid=REDACTED; Path=/"
        assert exchange.tls is not None
        assert (exchange.tls.alpn, exchange.tls.verified) == ("h2", True)
        assert exchange.timing.first_byte is not None
        sent = dict(server.headers[0])
        assert (sent[":authority"], sent[":path"]) == (f"{HOST}:{port}", "/a%20b?x=1")
        assert sent["user-agent"] == f"hopcheck/{__version__}"
        assert "connection" not in sent

    go(test())


def test_http1_is_forced(tmp_path: Path) -> None:
    async def test() -> None:
        async with both(tmp_path, fine) as (server, port, options):
            exchange = await asked(port, scheme="https", options=replace(options, http1=True))
        assert (exchange.status, exchange.http_version) == (200, "HTTP/1.1")
        assert exchange.tls is not None
        assert exchange.tls.alpn == "http/1.1"
        assert server.asked == ["1"]

    go(test())


def test_a_certificate_that_does_not_verify_is_read_by_http2_too(tmp_path: Path) -> None:
    async def test() -> None:
        async with both(tmp_path, fine) as (_, port, _options):
            exchange = await asked(port, scheme="https")
        assert (exchange.status, exchange.http_version) == (200, "HTTP/2")
        assert exchange.tls is not None
        assert (exchange.tls.verified, exchange.tls.verify_code) == (False, 20)

    go(test())


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (reset(ErrorCodes.INTERNAL_ERROR), (ErrorKind.RESET, "first_byte"), "RST_STREAM INTERNAL"),
        (goaway(ErrorCodes.PROTOCOL_ERROR), (ErrorKind.RESET, "first_byte"), "GOAWAY PROTOCOL"),
        (goaway(ErrorCodes.NO_ERROR), (ErrorKind.RESET, "first_byte"), "GOAWAY NO_ERROR"),
        (None, (ErrorKind.PROTOCOL, "first_byte"), "HTTP/1.1 400"),
        (raw(b"\0" * 900_000), (ErrorKind.PROTOCOL, "first_byte"), ""),
        (raw(b"\0\0\1\1\4\0\0\0\1\xbf"), (ErrorKind.PROTOCOL, "first_byte"), ""),
        (silent, (ErrorKind.READ_TIMEOUT, "first_byte"), ""),
        (closed, (ErrorKind.RESET, "first_byte"), "closed"),
        (cut, (ErrorKind.RESET, "body"), ""),
    ],
)
def test_answers_that_fail(
    answer: Answer | None, expected: tuple[ErrorKind, str], words: str, tmp_path: Path
) -> None:
    async def test() -> None:
        async with both(tmp_path, answer) as (server, port, options):
            exchange = await asked(port, scheme="https", options=options, timeout=0.5)
        assert failed(exchange) == expected
        assert words in exchange.error_text
        assert exchange.http_version == "HTTP/2"
        assert server.asked == ["2"]

    go(test())


def test_an_endless_body_is_bounded(tmp_path: Path) -> None:
    async def endless(connection: Connection, writer: asyncio.StreamWriter) -> None:
        connection.send_headers(1, STATUS)
        while connection.local_flow_control_window(1) > 9000:
            connection.send_data(1, b"a" * 1000)
            writer.write(connection.data_to_send())
            await writer.drain()

    async def test() -> None:
        async with both(tmp_path, endless) as (_, port, options):
            exchange = await asked(port, scheme="https", options=options)
        assert (exchange.status, exchange.error, exchange.body) == (200, None, "a" * 2048)
        assert exchange.body_bytes < 100_000

    go(test())


def test_a_silent_stream_is_a_success(tmp_path: Path) -> None:
    async def test() -> None:
        async with both(tmp_path, stream) as (_, port, options):
            exchange = await asked(port, scheme="https", options=replace(options, timeout=5.0))
        assert (exchange.status, exchange.error, exchange.body) == (200, None, ": hi\n\n")
        assert exchange.timing.total < 2

    go(test())


@pytest.mark.parametrize(
    "answer", [reset(ErrorCodes.HTTP_1_1_REQUIRED), goaway(ErrorCodes.NO_ERROR, 1), graceful]
)
def test_http1_answers_where_http2_asks_for_it_or_ends_gracefully(
    answer: Answer, tmp_path: Path
) -> None:
    async def test() -> None:
        async with both(tmp_path, answer) as (server, port, options):
            exchange = await asked(port, scheme="https", options=options)
        assert (exchange.status, exchange.http_version) == (200, "HTTP/1.1")
        assert server.asked == ["2", "1"]

    go(test())


# --- by one version and not by the other -----------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [reset(ErrorCodes.PROTOCOL_ERROR), goaway(ErrorCodes.PROTOCOL_ERROR), closed, gateway],
)
def test_works_by_http1_alone(answer: Answer, tmp_path: Path) -> None:
    evidence, server = request(tmp_path, answer)
    assert (last(evidence).status, last(evidence).http_version) == (200, "HTTP/1.1")
    assert only(evidence) == "HTTP/1.1"
    assert server.asked == ["1" if other else "2" for other in TURNS]
    first = evidence.versions[0].get().exchanges[-1]
    assert (first.http_version, first.status == 502 or first.error is not None) == ("HTTP/2", True)


def test_works_by_http2_alone(tmp_path: Path) -> None:
    evidence, server = request(tmp_path, fine, answering(b""))
    assert (last(evidence).status, last(evidence).http_version) == (200, "HTTP/2")
    assert only(evidence) == "HTTP/2"
    assert server.asked == ["1" if other else "2" for other in TURNS]


def test_http2_is_told_of_where_http1_was_forced_and_fails(tmp_path: Path) -> None:
    evidence, _ = request(tmp_path, fine, answering(b""), http1=True)
    assert (last(evidence).status, last(evidence).http_version) == (200, "HTTP/2")
    assert only(evidence) == "HTTP/2"


def test_both_versions_work(tmp_path: Path) -> None:
    evidence, server = request(tmp_path, fine)
    assert server.asked == ["2", "1"]
    assert only(evidence) is None
    assert last(evidence).http_version == "HTTP/2"


def test_neither_version_works(tmp_path: Path) -> None:
    evidence, server = request(tmp_path, closed, answering(b""))
    assert server.asked == ["2", "1"]
    assert only(evidence) is None
    assert last(evidence).error is ErrorKind.RESET


def test_a_server_of_http1_alone_is_asked_once(tmp_path: Path) -> None:
    evidence, server = request(tmp_path, fine, answering(b""), protocols=("http/1.1",))
    assert server.asked == ["1", "1"]
    assert (only(evidence), last(evidence).error) == (None, ErrorKind.RESET)


@pytest.mark.parametrize("pods", ["xo", "xoo", "xxo", "xoox", "xoxo", "xxoo", "xooxo"])
def test_a_rotation_of_pods_is_not_the_version(pods: str, tmp_path: Path) -> None:
    """Some pods break every connection, in turn: what a round robin gives."""
    number = iter(range(100))

    def broken() -> bool:
        return pods[next(number) % len(pods)] == "x"

    async def http2(connection: Connection, writer: asyncio.StreamWriter) -> None:
        await (closed if broken() else fine)(connection, writer)

    async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(b"" if broken() else OK)(reader, writer)

    evidence, _ = request(tmp_path, http2, http1)
    assert only(evidence) is None
    assert last(evidence).error is ErrorKind.RESET


@pytest.mark.parametrize(("http1", "error"), [(OK, None), (b"", ErrorKind.RESET)])
def test_a_hop_that_http2_alone_breaks_is_reached(
    http1: bytes, error: ErrorKind | None, tmp_path: Path
) -> None:
    async def test() -> None:
        async with both(tmp_path, closed, answering(http1)) as (server, port, options):
            hop = HopTarget(Hop.TRAEFIK_POD, "traefik-1", "127.0.0.1", port, "https")
            (made,) = await probe_hops(Target(HOST), Run(options), [hop])
        assert made.get().exchanges[-1].error is error
        assert server.asked == ["2", "1"]

    go(test())
