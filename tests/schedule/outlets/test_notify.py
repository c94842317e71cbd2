"""Messages as they arrive: by the real apprise at a real HTTP server, whatever fails on the way."""

import datetime as dt
from collections.abc import Iterator

import msgspec
import pytest

from hopcheck.catalogue import language
from hopcheck.config.options import UsageError
from hopcheck.model import Verdict
from hopcheck.schedule.outlets.incidents import Cause, Kind, Observation, Rules
from hopcheck.schedule.outlets.notify import Memory, Told, notify
from hopcheck.schedule.outlets.settings import Outlets, SinkSettings, read_outlets
from tests.schedule.outlets.receiving import Receiver, receiver

T0 = dt.datetime(2026, 2, 25, 3, 0, tzinfo=dt.UTC)
ROOT = Cause(
    "SVC008", "Deployment gw/traefik", "traefik-service", "Traefik refuses its configuration",
    "Traefik exits at start.", "Correct the flag.", ("kubectl -n gw logs traefik-1", "b", "c"),
)  # fmt: skip
LINK = "https://hopcheck.example.com/a.example.com/latest/report.html"


def seen(name: str = "a", *, ok: bool = False, run: int = 0, owner: str = "shop") -> Observation:
    return Observation(
        key=f"{name}.example.com",
        name=f"{name}.example.com",
        url=f"https://{name}.example.com/",
        verdict=Verdict.HEALTHY if ok else Verdict.BROKEN,
        fingerprint="" if ok else "f",
        headline=f"{name} is broken: Traefik exits at start",
        seen_at=(T0 + dt.timedelta(minutes=run)).isoformat(),
        causes=() if ok else (ROOT,),
        owner=owner,
        link=LINK,
    )


@pytest.fixture
def sink() -> Iterator[tuple[Receiver, str]]:
    with receiver() as (held, address):
        yield held, f"json://{address}/"


def settings(url: str, **more: object) -> Outlets:
    return Outlets(rules=Rules(1, 1), sinks=(SinkSettings("pager", url=url, **more),))


def run(
    memory: Memory, outlets: Outlets, *observations: Observation, minutes: int = 0
) -> tuple[Memory, Told]:
    """One run; the memory goes through its file, as between two processes."""
    memory = msgspec.json.decode(msgspec.json.encode(memory), type=Memory)
    return notify(memory, observations, outlets, now=T0 + dt.timedelta(minutes=minutes))


def test_new_and_recovered_arrive_with_what_is_to_be_done(sink: tuple[Receiver, str]) -> None:
    held, url = sink
    memory, told = run(Memory(), settings(url), seen())
    assert (len(told.messages), told.failures) == (1, ())
    (body,) = held.bodies
    assert body["title"] == "[broken] a.example.com: a is broken: Traefik exits at start"
    assert body["type"] == "failure"
    assert body["message"].splitlines() == [
        "Root cause: SVC008 Deployment gw/traefik: Traefik exits at start.",
        "Fix: Correct the flag.",
        "  $ kubectl -n gw logs traefik-1",
        "  $ b",
        f"Since: {T0.isoformat()}",
        "Owner: shop",
        f"Report: {LINK}#SVC008",
    ]
    memory, told = run(memory, settings(url), seen())
    assert told.messages == ()
    run(memory, settings(url), seen(ok=True), minutes=9)
    assert held.titles[1:] == ["[recovered] a.example.com"]
    assert held.bodies[1]["type"] == "success"
    assert "2026-02-25T03:09:00+00:00" in held.bodies[1]["message"]


def test_messages_are_korean_and_the_memory_is_not(sink: tuple[Receiver, str]) -> None:
    held, url = sink
    english, _ = run(Memory(), settings(url), seen())
    held.bodies.clear()
    language.use("ko")
    memory, _ = run(Memory(), settings(url), seen())
    assert memory.state == english.state
    assert held.titles == ["[장애] a.example.com: a is broken: Traefik exits at start"]
    said = [line.partition(":")[0] for line in held.bodies[0]["message"].splitlines()]
    assert [one for one in said if not one.startswith("  $")] == [
        "근본 원인", "조치", "시작", "담당", "보고서",
    ]  # fmt: skip
    # What was told in English is the same incident in Korean.
    _, told = run(english, settings(url), seen())
    assert told.messages == ()
    held.bodies.clear()
    run(memory, settings(url), seen(ok=True), minutes=9)
    assert held.titles == ["[복구] a.example.com"]
    held.bodies.clear()
    run(Memory(), settings(url), *(seen(f"h{n}") for n in range(3)))
    assert held.titles == [
        "[장애] 호스트 3개: Traefik refuses its configuration (SVC008 Deployment gw/traefik)"
    ]


def test_a_storm_is_one_message_that_names_the_hosts(sink: tuple[Receiver, str]) -> None:
    held, url = sink
    many = [seen(f"h{n}", owner=f"team{n % 2}") for n in range(25)]
    run(Memory(), settings(url), *many)
    (body,) = held.bodies
    assert body["title"] == (
        "[broken] 25 hosts: Traefik refuses its configuration (SVC008 Deployment gw/traefik)"
    )
    assert "h0.example.com, h1.example.com" in body["message"]
    assert "and 5 more" in body["message"]
    assert "Owner: team0, team1" in body["message"]


def test_a_sink_hears_of_its_owners_hosts_alone(sink: tuple[Receiver, str]) -> None:
    held, url = sink
    outlets = settings(url, owners=("shop",))
    run(Memory(), outlets, seen("b", owner="billing"))
    assert held.bodies == []
    run(Memory(), outlets, seen("a"))
    assert len(held.bodies) == 1


def test_a_failure_is_tried_again_at_once(sink: tuple[Receiver, str]) -> None:
    held, url = sink
    held.answers = [500, 503]
    _, told = run(Memory(), settings(url), seen())
    assert (len(held.bodies), told.failures) == (1, ())


def test_what_was_not_taken_is_told_in_the_next_run(
    sink: tuple[Receiver, str],
) -> None:
    held, url = sink
    held.answers = [500] * 3
    memory, told = run(Memory(), settings(url), seen())
    assert told.failures == (("pager", "the message was not accepted"),)
    assert held.bodies == []
    memory, told = run(memory, settings(url), seen(ok=True), minutes=5)
    assert [title.partition("]")[0] for title in held.titles] == ["[broken", "[recovered"]
    assert memory.undelivered == ()


def test_old_news_is_dropped(sink: tuple[Receiver, str]) -> None:
    held, url = sink
    held.answers = [500] * 3
    memory, _ = run(Memory(), settings(url), seen())
    run(memory, settings(url), seen(), minutes=25 * 60)
    assert held.bodies == []


def test_one_sink_that_fails_keeps_no_other_from_hearing(sink: tuple[Receiver, str]) -> None:
    held, url = sink
    dead = SinkSettings("dead", url="json://127.0.0.1:9/")
    outlets = Outlets(rules=Rules(1, 1), sinks=(dead, SinkSettings("alive", url=url)))
    _, told = run(Memory(), outlets, seen())
    assert [name for name, _ in told.failures] == ["dead"]
    assert len(held.bodies) == 1


def test_no_credential_of_a_sink_is_in_what_is_said_of_it() -> None:
    outlets = settings("json://user:hunter2@127.0.0.1:9/")
    memory, told = run(Memory(), outlets, seen())
    assert "hunter2" not in repr(told)
    assert b"hunter2" not in msgspec.json.encode(memory)


def test_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER_URL", "json://127.0.0.1/")
    tables = {
        "notify": {
            "after": 3,
            "sink": [{"url_env": "PAGER_URL"}, {"alertmanager": "http://am:9093"}],
        }
    }
    outlets = read_outlets(tables, None)
    assert outlets.rules == Rules(3, 3)
    assert [(s.name, s.url, s.alertmanager) for s in outlets.sinks] == [
        ("sink 1", "json://127.0.0.1/", None),
        ("alertmanager", None, "http://am:9093"),
    ]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"notify": {"afer": 1}}, "did you mean 'after'"),
        ({"notify": {"after": 0}}, "from 1 to 100"),
        ({"notify": {"after": True}}, "must be of type int"),
        ({"notify": {"sink": [{}]}}, "one of url, url_env or alertmanager"),
        ({"notify": {"sink": [{"url": "a", "alertmanager": "http://b"}]}}, "one of url"),
        ({"notify": {"sink": [{"url_env": "NOT_SET_ANYWHERE"}]}}, "NOT_SET_ANYWHERE is not set"),
        ({"notify": {"sink": [{"alertmanager": "file:///etc"}]}}, "http or https"),
        ({"notify": {"sink": [{"url": "a", "name": "x"}, {"url": "b", "name": "x"}]}}, "'x'"),
        ({"notify": {"sink": [{"url": "a", "ower": []}]}}, "did you mean 'owners'"),
        ({"metrics": {"textfil": ""}}, "did you mean 'textfile'"),
        ({"serve": []}, "must be a table"),
    ],
)
def test_settings_that_are_wrong(tables: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_outlets(tables, "hopcheck.toml")


def test_kinds_are_the_texts_of_the_catalogue() -> None:
    assert {kind.value for kind in Kind} == {"new", "changed", "recovered"}
