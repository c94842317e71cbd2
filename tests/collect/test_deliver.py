"""What Alertmanager and a Pushgateway are sent, by real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from hopcheck.collect.web.deliver import deliver
from hopcheck.schedule.outlets.incidents import Outcome
from hopcheck.schedule.outlets.publishing import METRICS, expose
from hopcheck.schedule.outlets.settings import Outlets

Talk = Callable[[socket.socket], None]


@contextmanager
def server(
    talk: Talk, context: ssl.SSLContext | None = None, ends: bytes = b"ENDS"
) -> Iterator[tuple[str, list[bytes]]]:
    """Its "ADDRESS:PORT", and the requests as they came, each up to what it ends with."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def one(plain: socket.socket) -> None:
        plain.settimeout(5)
        with context.wrap_socket(plain, server_side=True) if context else plain as client:
            data = client.recv(65536)
            while ends not in data and (more := client.recv(65536)):
                data += more
            seen.append(data)
            talk(client)

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                one(plain)
            except OSError:
                plain.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}", seen
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(6)


def answers(raw: bytes) -> Talk:
    return lambda client: client.sendall(raw)


def trickle(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    for _ in range(40):
        client.sendall(b"a")
        time.sleep(0.05)


ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def post(where: str, limit_s: float = 5.0) -> str | None:
    headers = {"Content-Type": "application/json"}
    return deliver("POST", f"{where}/api", b"[1] ENDS", headers, limit_s=limit_s)


def test_it_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # for the way out alone
    with server(answers(ACCEPTED)) as (address, seen):
        assert post(f"http://{address}") is None
    assert seen[0].startswith(b"POST /api HTTP/1.1\r\n")
    assert b"Content-Type: application/json\r\n" in seen[0]
    assert seen[0].endswith(b"\r\n\r\n[1] ENDS")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "illegal status line"),
        (b"", "without sending a response"),
    ],
)
def test_it_is_not(raw: bytes, reason: str) -> None:
    with server(answers(raw)) as (address, _):
        said = post(f"http://{address}")
    assert said is not None
    assert reason in said


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        said = post(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert said is not None
    assert "refused" in said


def test_an_answer_that_trickles_has_its_limit() -> None:
    began = time.monotonic()
    with server(trickle) as (address, _):
        assert post(f"http://{address}", limit_s=0.4) == "TimeoutError"
        assert time.monotonic() - began < 3


def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with server(answers(ACCEPTED), context) as (address, seen):
        said = post(f"https://{address}")
    assert said is not None
    assert "certificate verify failed" in said
    assert not seen


@pytest.mark.parametrize("url", ["http://", "http://a b/", "gopher://127.0.0.1/"])
def test_a_url_that_is_none(url: str) -> None:
    assert deliver("POST", url, b"", {})


@pytest.mark.parametrize("refused", [False, True])
def test_metrics_are_pushed(refused: bool, tmp_path: Path) -> None:
    raw = ACCEPTED.replace(b"202 Accepted", b"400 Bad Request") if refused else ACCEPTED
    with server(answers(raw)) as (address, seen):
        outlets = Outlets(pushgateway=address, job="ENDS")
        failures = expose(Outcome(finished_at="2026-01-01T00:00:00Z"), outlets, tmp_path)
    assert failures == ([("pushgateway", "HTTP 400")] if refused else [])
    assert seen[0].startswith(b"PUT /metrics/job/ENDS HTTP/1.1\r\n")
    assert (tmp_path / METRICS).exists()
