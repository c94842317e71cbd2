"""Sinks that drip, never end or lead elsewhere: a line within the limit, and nothing followed."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hopcheck.schedule.outlets import destination as places
from hopcheck.schedule.outlets import notify as notifying
from hopcheck.schedule.outlets.destination import DestinationError, destination
from hopcheck.schedule.outlets.incidents import Rules
from hopcheck.schedule.outlets.notify import Memory, notify
from hopcheck.schedule.outlets.settings import Outlets, SinkSettings
from tests.collect.test_deliver import answers, server, trickle
from tests.schedule.outlets.receiving import free_port
from tests.schedule.outlets.s3 import ENVIRONMENT
from tests.schedule.outlets.test_notify import T0, run, seen, settings

Talk = Callable[[socket.socket], None]
LIMIT_S = 0.5


def without_end(head: bytes, again: bytes) -> Talk:
    def talk(client: socket.socket) -> None:
        client.sendall(head)
        while True:
            client.sendall(again)
            time.sleep(0.01)

    return talk


HOSTILE: dict[str, Talk] = {
    "drips": trickle,
    "endless 1xx": without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless body": without_end(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 65_536),
    "no HTTP": answers(b"\xff\xff\xff\r\n\r\n"),
}


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "_LIMIT_S", LIMIT_S)
    monkeypatch.setattr(places, "_LIMIT_S", LIMIT_S)


@contextmanager
def hostile(talk: Talk) -> Iterator[str]:
    """An address that talks so to whoever connects."""
    with server(talk, ends=b"") as (where, _):
        yield where


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["url", "alertmanager"])
def test_a_message_has_its_limit(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "PAUSES_S", ())
    with hostile(HOSTILE[name]) as where:
        scheme = "json" if kind == "url" else "http"
        one = SinkSettings("pager", **{kind: f"{scheme}://{where}/"})
        began = time.monotonic()
        _, told = notify(Memory(), [seen()], Outlets(rules=Rules(1, 1), sinks=(one,)), now=T0)
        # Alertmanager has accepted by the status; what follows is not read.
        accepted = kind == "alertmanager" and name == "endless body"
        assert [sink for sink, _ in told.failures] == ([] if accepted else ["pager"])
        assert time.monotonic() - began < 20 * LIMIT_S


def test_a_redirect_is_a_refusal_and_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "PAUSES_S", ())
    taken = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with server(taken, ends=b"") as (elsewhere, held):
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n"
        with hostile(answers(moved % elsewhere.encode())) as where:
            memory, told = run(Memory(), settings(f"json://{where}/"), seen())
        assert [sink for sink, _ in told.failures] == ["pager"]
        assert held == []
        assert len(memory.undelivered) == 1


def test_whatever_a_service_raises_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    def broken(*_: object, **__: object) -> bool:
        raise RecursionError

    monkeypatch.setattr(notifying, "PAUSES_S", ())
    monkeypatch.setattr(apprise.Apprise, "notify", broken)
    _, told = run(Memory(), settings(f"json://127.0.0.1:{free_port()}/"), seen())
    assert told.failures == (("pager", "the service failed (RecursionError)"),)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bucket_has_its_limit_and_is_not_waited_for_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with hostile(HOSTILE[name]) as where:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{where}")
        place = destination("s3://b-c/x")
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(DestinationError):
                place.read("a")
        assert time.monotonic() - began < 20 * LIMIT_S
