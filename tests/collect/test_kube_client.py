"""The client against servers of its own: connections, bodies, proxies, 401, what is no HTTP."""

import asyncio
import base64
import contextlib
import gzip
import json
import ssl

import pytest
import trustme

from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes import client as kube_client
from hopcheck.collect.kubernetes.client import KubeClient
from hopcheck.config.options import Options
from hopcheck.model import Why
from tests.lab.serving import ADMIN, Serving


async def head(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def plain(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def kubeconfig(path, server: str, user: dict | None = None, **cluster) -> str:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    return str(path)


@pytest.fixture
def against(tmp_path):
    """The result of `ask(client)`, with each connection served by `answer(reader, writer)`."""

    def ask_against(answer, ask, user=None, prefix="", timeout=5.0):
        async def main():
            async def serve(reader, writer):
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await answer(reader, writer)
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}"
            run = Run(Options(kubeconfig=kubeconfig(tmp_path / "k", url, user), timeout=timeout))
            try:
                async with asyncio.timeout(10), KubeClient(run) as client:
                    return await ask(client)
            finally:
                server.close()

        return asyncio.run(main())

    return ask_against


def test_one_connection_serves_many_requests(against):
    connections, heads = [], []

    async def answer(reader, writer):
        connections.append(writer)
        while True:
            heads.append(await head(reader))
            writer.write(plain(b"{}"))

    async def ask(client):
        for _ in range(3):
            await client.get("/api", {"a": "b c"}, accept="x/y")

    user = {"token": "t", "as": "me", "as-groups": ["g", "h"]}
    against(answer, ask, user=user, prefix="/k8s/clusters/c-1/")
    assert len(connections) == 1
    assert len(heads) == 3
    assert heads[0].startswith("GET /k8s/clusters/c-1/api?a=b+c HTTP/1.1\r\n")
    lines = heads[0].splitlines()
    assert {"Accept: x/y", "Accept-Encoding: gzip", "Authorization: Bearer t"} <= set(lines)
    assert [line for line in lines if line.startswith("Impersonate-Group")] == [
        "Impersonate-Group: g",
        "Impersonate-Group: h",
    ]


def test_no_more_connections_than_allowed(against):
    open_now, most = [], []

    async def answer(reader, writer):
        open_now.append(writer)
        most.append(len(open_now))
        while True:
            await head(reader)
            await asyncio.sleep(0.01)
            writer.write(plain(b"{}"))

    async def ask(client):
        await asyncio.gather(*(client.get("/") for _ in range(40)))

    against(answer, ask)
    assert max(most) == 12


def test_a_connection_closed_while_idle_is_replaced(against):
    count = []

    async def answer(reader, writer):
        count.append(1)
        await head(reader)
        writer.write(plain(b"{}"))

    async def ask(client):
        await client.get("/")
        return await client.get("/")

    assert against(answer, ask) == {}
    assert len(count) == 2


def test_a_connection_that_is_closed_as_it_is_used_again_is_replaced(against):
    heads = []

    async def answer(reader, writer):
        heads.append(await head(reader))
        writer.write(plain(b"{}"))
        heads.append(await head(reader))  # and closed without an answer

    async def ask(client):
        await client.get("/first")
        return await client.get("/second")

    assert against(answer, ask) == {}
    assert [one.split()[1] for one in heads] == ["/first", "/second", "/second"]


def packed(body: bytes) -> bytes:
    return gzip.compress(body)


def test_gzip_and_chunks(against):
    body = packed(json.dumps({"x": "y" * 100_000}).encode())

    async def answer(reader, writer):
        await head(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), 50):
            piece = body[start : start + 50]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        writer.write(b"0\r\n\r\n")

    assert against(answer, lambda client: client.get("/")) == {"x": "y" * 100_000}


def failure(against, answer, **options) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        against(answer, lambda client: client.get("/"), **options)
    return caught.value


def test_a_body_that_unpacks_to_very_much_is_refused(against, monkeypatch):
    monkeypatch.setattr(kube_client, "_BODY_BYTES", 1_048_576)
    body = packed(b"\0" * 50_000_000)

    async def answer(reader, writer):
        await head(reader)
        writer.write(plain(body, "Content-Encoding: gzip"))

    found = failure(against, answer)
    assert (found.why, found.detail) == (Why.INVALID, "the answer is larger than 1 MiB")


def test_a_body_without_end_is_refused(against, monkeypatch):
    monkeypatch.setattr(kube_client, "_BODY_BYTES", 1_048_576)
    sent = []

    async def answer(reader, writer):
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            sent.append(65_536)
            await writer.drain()

    found = failure(against, answer)
    assert (found.why, found.detail) == (Why.INVALID, "the answer is larger than 1 MiB")
    assert sum(sent) < 64 * 1_048_576  # what the sockets in between hold, and no more


@pytest.mark.parametrize("slow", [b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\n\r\n{"])
def test_a_header_or_body_byte_by_byte_times_out(against, slow):
    async def answer(reader, writer):
        await head(reader)
        writer.write(slow)
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    found = failure(against, answer, timeout=0.5)
    assert (found.why, found.detail) == (Why.TIMED_OUT, "no answer within 0.5 s")


def test_after_calls_that_timed_out_others_are_answered(against):
    """All connections hang and are given up: none is lost for the calls that follow."""

    async def answer(reader, writer):
        while True:
            if "/slow" in await head(reader):
                await reader.read()
            writer.write(plain(b"{}"))

    async def ask(client):
        await client.get("/")
        slow = [client.get("/slow") for _ in range(12)]
        lost = await asyncio.gather(*slow, return_exceptions=True)
        assert {error.why for error in lost} == {Why.TIMED_OUT}
        return await asyncio.gather(*(client.get("/") for _ in range(12)))

    assert against(answer, ask, timeout=0.5) == [{}] * 12


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        plain(b"no gzip", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000,
    ],
)
def test_what_is_no_http_is_invalid(against, said):
    async def answer(reader, writer):
        await head(reader)
        writer.write(said)
        await writer.drain()

    assert failure(against, answer).why is Why.INVALID


def test_closed_without_an_answer(against):
    async def answer(reader, _):
        await head(reader)

    found = failure(against, answer)
    assert found.why is Why.UNREACHABLE
    assert "disconnected" in found.detail


def test_a_token_that_is_no_header(against):
    async def answer(reader, writer):
        raise AssertionError("nothing is sent")

    assert failure(against, answer, user={"token": "a\nb"}).why is Why.MISCONFIGURED


# --- 401 ----------------------------------------------------------------------------------------


def token_plugin(tmp_path, tokens: list[str]) -> dict:
    """A user whose plugin gives each of `tokens` in turn, the last one for ever."""
    for number, token in enumerate(tokens):
        credential = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": token},
        }
        (tmp_path / f"token-{number}").write_text(json.dumps(credential))
    script = tmp_path / "plugin"
    script.write_text(
        f"#!/bin/sh\ncd {tmp_path}\necho >> calls\n"
        "n=$(($(wc -l < calls) - 1))\n"
        f"test -f token-$n || n={len(tokens) - 1}\ncat token-$n\n"
    )
    script.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script)}}


def accepting(*tokens: str):
    """A server that knows `tokens`, which the test may change."""
    known = set(tokens)
    heads = []

    async def answer(reader, writer):
        while True:
            heads.append(await head(reader))
            if any(f"Bearer {token}\r\n" in heads[-1] for token in known):
                writer.write(plain(b"{}"))
            else:
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    return answer, known, heads


def test_an_expired_token_is_loaded_again(against, tmp_path):
    answer, known, _ = accepting("first")

    async def ask(client):
        await client.get("/")
        known.clear()
        known.add("second")  # the first one has expired
        before = await asyncio.gather(*(client.get("/") for _ in range(8)))
        known.clear()
        known.add("third")
        return before + await asyncio.gather(*(client.get("/") for _ in range(8)))

    user = token_plugin(tmp_path, ["first", "second", "third"])
    assert against(answer, ask, user=user) == [{}] * 16
    assert (tmp_path / "calls").read_text() == "\n" * 3


def test_what_is_refused_again_is_not_loaded_for_ever(against, tmp_path):
    answer, _, heads = accepting()

    async def ask(client):
        calls = [client.get("/") for _ in range(8)]
        lost = await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(Unavailable):
            await client.get("/")
        return {error.why for error in lost}

    user = token_plugin(tmp_path, ["first", "second", "third"])
    assert against(answer, ask, user=user) == {Why.UNAUTHENTICATED}
    assert (tmp_path / "calls").read_text() == "\n" * 2
    assert len(heads) <= 16


def test_a_token_that_is_still_the_same_is_not_shown_twice(against):
    answer, _, heads = accepting()
    found = failure(against, answer, user={"token": "expired"})
    assert found.why is Why.UNAUTHENTICATED
    assert len(heads) == 1


# --- TLS ----------------------------------------------------------------------------------------


def serving_tls(tmp_path, name: str, *, client_ca: trustme.CA | None = None, **cluster):
    """What /version says of a TLS server called `name`; `cluster` joins the kubeconfig's."""
    ca, user = trustme.CA(), None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    ca_data = base64.b64encode(ca.cert_pem.bytes()).decode()
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        issued = client_ca.issue_cert("user@example.com")
        pair = [issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()]
        cert, key = (base64.b64encode(one).decode() for one in pair)
        user = {"client-certificate-data": cert, "client-key-data": key}
    seen = []
    context.sni_callback = lambda _socket, asked, _context: seen.append(asked)

    async def main():
        async def serve(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await head(reader)
                    shown = writer.get_extra_info("peercert")
                    writer.write(plain(json.dumps({"shown": bool(shown), "sni": seen}).encode()))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with Proxy().started() as proxy:
            if cluster.get("proxy-url"):
                cluster["proxy-url"] = proxy
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            data = {"certificate-authority-data": ca_data, **cluster}
            run = Run(Options(kubeconfig=kubeconfig(tmp_path / "k", url, user, **data)))
            try:
                async with KubeClient(run) as client:
                    return await client.get("/version")
            finally:
                server.close()

    return asyncio.run(main())


@pytest.mark.parametrize("proxied", [{}, {"proxy-url": "http://proxy"}])
def test_the_tls_server_name_is_asked_for_and_verified(tmp_path, proxied):
    found = serving_tls(tmp_path, "kubernetes", **{"tls-server-name": "kubernetes"}, **proxied)
    assert found["sni"] == ["kubernetes"]
    with pytest.raises(Unavailable, match="not valid for 'other'") as caught:
        serving_tls(tmp_path, "kubernetes", **{"tls-server-name": "other"}, **proxied)
    assert caught.value.why is Why.INVALID  # it is reached: no network or VPN would help
    with pytest.raises(Unavailable, match=r"not valid for '127\.0\.0\.1'"):
        serving_tls(tmp_path, "kubernetes", **proxied)


def test_a_client_certificate_is_shown(tmp_path):
    assert serving_tls(tmp_path, "127.0.0.1", client_ca=trustme.CA())["shown"] is True


# --- proxies ------------------------------------------------------------------------------------


class Proxy:
    """A CONNECT proxy; `status` 200 lets through. `seen` holds the request heads."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.seen: list[str] = []

    @contextlib.asynccontextmanager
    async def started(self):
        """The URL that it has while it runs."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield f"http://me:p%40ss@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def serve(self, reader, writer):
        self.seen.append(await head(reader))
        if self.seen[-1].startswith("GET"):
            writer.write(plain(b"{}"))
            return
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


def through(tmp_path, proxy: Proxy, server: str, **cluster):
    async def main():
        async with proxy.started() as url:
            user = {"token": ADMIN}
            path = kubeconfig(tmp_path / "k", server, user, **{"proxy-url": url, **cluster})
            async with KubeClient(Run(Options(kubeconfig=path))) as client:
                return await client.get("/version")

    return asyncio.run(main())


CREDENTIALS = base64.b64encode(b"me:p@ss").decode()


def test_https_through_a_proxy(tmp_path):
    proxy = Proxy()
    with Serving(tmp_path) as serving:
        url = serving.server.url
        ca = {"certificate-authority": str(serving.ca_file)}
        assert through(tmp_path, proxy, url, **ca)["gitVersion"].startswith("v1.")
    assert proxy.seen[0].startswith(f"CONNECT {url.removeprefix('https://')} HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {CREDENTIALS}" in proxy.seen[0]
    assert ADMIN not in "".join(proxy.seen)


def test_a_proxy_that_refuses(tmp_path):
    with pytest.raises(Unavailable, match="the proxy refused the connection: HTTP 407") as caught:
        through(tmp_path, Proxy(407), "https://api.example.com")
    assert caught.value.why is Why.UNREACHABLE


def test_http_through_a_proxy_names_the_whole_url(tmp_path):
    proxy = Proxy()
    assert through(tmp_path, proxy, "http://api.example.com") == {}
    assert proxy.seen[0].startswith("GET http://api.example.com/version HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {CREDENTIALS}" in proxy.seen[0]


# --- a pod's own address ------------------------------------------------------------------------


def test_a_pods_address_is_asked_without_proxy_and_credentials(against, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    heads = []

    async def answer(reader, writer):
        heads.append(await head(reader))
        writer.write(plain(b"{}"))

    async def ask(client):
        await client.get("/version")
        port = int(client.access.server.rpartition(":")[2])
        return await client.direct("127.0.0.1", port, "/api/version", params={"page": 1})

    assert against(answer, ask).status == 200
    assert heads[1].startswith("GET /api/version?page=1 HTTP/1.1\r\n")
    assert "authorization" not in heads[1].lower()


# --- what passes, and who it was ------------------------------------------------------------------


def said(status: str, body: bytes = b"{}", *headers: str) -> bytes:
    return plain(body, *headers).replace(b"200 OK", status.encode(), 1)


@pytest.mark.parametrize(
    "first",
    [said("500 Internal Server Error", b"{}", "Retry-After: 0"), said("502 x"), b""],
    ids=["500", "502", "dropped"],
)
def test_what_passes_is_asked_again(against, monkeypatch, first):
    monkeypatch.setattr(kube_client.random, "random", lambda: 0.0)
    heads = []

    async def answer(reader, writer):
        heads.append(await head(reader))
        writer.write(plain(b"{}") if len(heads) > 1 else first)

    assert against(answer, lambda client: client.get("/version")) == {}
    assert len(heads) == 2


def test_a_page_of_a_proxy_is_no_refusal_of_the_api_server(against):
    page = said("403 Forbidden", b"<html>Blocked</html>", "Content-Type: text/html")

    async def answer(reader, writer):
        await head(reader)
        writer.write(page)

    found = failure(against, answer)
    assert (found.why, found.detail) == (
        Why.INVALID,
        "HTTP 403, a page: it is not the API server that says it",
    )


def test_what_is_no_http_is_shown_as_text(against):
    async def answer(reader, writer):
        await head(reader)
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    assert failure(against, answer).detail == "not HTTP: illegal status line: SSH-2.0-OpenSSH_9.6"
