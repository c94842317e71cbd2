"""The HTTP client against servers of its own: keep-alive, gzip, proxies, what is no HTTP."""

import asyncio
import base64
import contextlib
import gzip
import ssl

import pytest

from hopcheck.collect.ask import Unavailable
from hopcheck.collect.kubernetes.http1 import HttpClient
from hopcheck.model import Why
from tests.lab.serving import ADMIN, Serving


async def head(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def plain(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def against(answer, ask, **options):
    """The result of `ask(client)`, with each connection served by `answer(reader, writer)`."""

    async def main():
        async def serve(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await answer(reader, writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = HttpClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", **options)
        try:
            async with asyncio.timeout(5):
                return await ask(client)
        finally:
            await client.aclose()
            server.close()

    return asyncio.run(main())


def test_one_connection_serves_many_requests():
    connections, heads = [], []

    async def answer(reader, writer):
        connections.append(writer)
        while True:
            heads.append(await head(reader))
            writer.write(plain(b"{}"))

    async def ask(client):
        for _ in range(3):
            await client.get("/api", {"a": "b c"}, accept="x/y")

    against(answer, ask, headers=[("Authorization", "Bearer t")])
    assert len(connections) == 1
    assert len(heads) == 3
    assert heads[0].startswith("GET /api?a=b+c HTTP/1.1\r\n")
    assert "Accept: x/y\r\n" in heads[0]
    assert "Authorization: Bearer t\r\n" in heads[0]


def test_no_more_connections_than_allowed():
    open_now, most = [], []

    async def answer(reader, writer):
        open_now.append(writer)
        most.append(len(open_now))
        while True:
            await head(reader)
            writer.write(plain(b"{}"))

    async def ask(client):
        await asyncio.gather(*(client.get("/") for _ in range(20)))

    against(answer, ask, connections=3)
    assert max(most) == 3


def test_a_connection_closed_while_idle_is_replaced():
    count = []

    async def answer(reader, writer):
        count.append(1)
        await head(reader)
        writer.write(plain(b"1"))

    async def ask(client):
        await client.get("/")
        await asyncio.sleep(0)
        return await client.get("/")

    assert against(answer, ask).body == b"1"
    assert len(count) == 2


def test_gzip_and_chunks():
    body = gzip.compress(b"x" * 100_000)

    async def answer(reader, writer):
        await head(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), 50):
            piece = body[start : start + 50]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        writer.write(b"0\r\n\r\n")

    assert against(answer, lambda client: client.get("/")).body == b"x" * 100_000


def test_a_body_that_unpacks_to_very_much_is_refused():
    body = gzip.compress(b"\0" * 50_000_000)

    async def answer(reader, writer):
        await head(reader)
        writer.write(plain(body, "Content-Encoding: gzip"))

    with pytest.raises(Unavailable, match="larger than 1 MiB"):
        against(answer, lambda client: client.get("/", max_bytes=1_048_576))


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        plain(b"no gzip", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000,
    ],
)
def test_what_is_no_http_is_invalid(said):
    async def answer(reader, writer):
        await head(reader)
        writer.write(said)
        await writer.drain()

    with pytest.raises(Unavailable) as caught:
        against(answer, lambda client: client.get("/"))
    assert caught.value.why is Why.INVALID


def test_closed_without_an_answer():
    async def answer(reader, _):
        await head(reader)

    with pytest.raises(ConnectionError, match="without an answer"):
        against(answer, lambda client: client.get("/"))


@pytest.mark.parametrize(
    ("server", "proxy"),
    [
        ("ftp://a", None),
        ("https://", None),
        ("https://a:port", None),
        ("https://a", "socks5://proxy:1080"),
    ],
)
def test_urls_that_cannot_be_used(server, proxy):
    with pytest.raises(Unavailable) as caught:
        HttpClient(server, proxy=proxy)
    assert caught.value.why is Why.MISCONFIGURED


class Proxy:
    """A CONNECT proxy; `status` 200 lets through. `seen` holds the request heads."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.seen: list[str] = []

    async def serve(self, reader, writer):
        self.seen.append(await head(reader))
        writer.write(f"HTTP/1.1 {self.status} x\r\n\r\n".encode())
        if self.status != 200:
            writer.close()
            return
        host, _, port = self.seen[-1].split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))

    async def pump(self, reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


def through(tmp_path, proxy: Proxy):
    async def main(url, ca_file):
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = HttpClient(
            url,
            headers=[("Authorization", f"Bearer {ADMIN}")],
            tls=ssl.create_default_context(cafile=ca_file),
            proxy=f"http://me:p%40ss@127.0.0.1:{port}",
        )
        try:
            async with asyncio.timeout(5):
                return await client.get("/version")
        finally:
            await client.aclose()
            server.close()

    with Serving(tmp_path) as serving:
        url = serving.server.url
        return url, asyncio.run(main(url, serving.ca_file))


def test_https_through_a_proxy(tmp_path):
    proxy = Proxy()
    url, answer = through(tmp_path, proxy)
    assert answer.status == 200
    assert answer.json()["gitVersion"].startswith("v1.")
    authority = url.removeprefix("https://")
    assert proxy.seen[0].startswith(f"CONNECT {authority} HTTP/1.1\r\n")
    credentials = base64.b64encode(b"me:p@ss").decode()
    assert f"Proxy-Authorization: Basic {credentials}" in proxy.seen[0]
    assert ADMIN not in "".join(proxy.seen)


def test_a_proxy_that_refuses(tmp_path):
    with pytest.raises(Unavailable, match="the proxy refused the connection: HTTP 407") as caught:
        through(tmp_path, Proxy(407))
    assert caught.value.why is Why.UNREACHABLE


def test_http_through_a_proxy_names_the_whole_url():
    heads = []

    async def answer(reader, writer):
        heads.append(await head(reader))
        writer.write(plain(b"{}"))

    async def main():
        async def serve(reader, writer):
            await answer(reader, writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = HttpClient("http://api.example.com", proxy=f"http://127.0.0.1:{port}")
        async with server:
            await client.get("/version")
            await client.aclose()

    asyncio.run(main())
    assert heads[0].startswith("GET http://api.example.com:80/version HTTP/1.1\r\n")
