"""When somebody is told: after how many runs, of what, and with whom together."""

import datetime as dt

import msgspec
import pytest

from hopcheck.model import Verdict
from hopcheck.schedule.outlets.incidents import (
    Cause,
    Event,
    Kind,
    Message,
    Observation,
    Rules,
    State,
    advance,
    messages,
)

T0 = dt.datetime(2026, 2, 25, 3, 0, tzinfo=dt.UTC)
KEY = "a.example.com"
ROOT = Cause("SVC008", "Deployment gw/traefik", "traefik-service", "title", "message", "fix")
OTHER = Cause("ING004", "Ingress shop/a", "ingress", "title", "message", "fix")


def seen(what: str, run: int = 0, key: str = KEY, causes: tuple[Cause, ...] = ()) -> Observation:
    """`what`: "ok", "?" (unknown), a fingerprint of a broken run, or "~f" of a degraded one."""
    verdict = {"ok": Verdict.HEALTHY, "?": Verdict.UNKNOWN}.get(what, Verdict.BROKEN)
    if what.startswith("~"):
        verdict, what = Verdict.DEGRADED, what[1:]
    at = (T0 + dt.timedelta(minutes=5 * run)).isoformat()
    return Observation(
        key, key, f"https://{key}/", verdict, what, f"headline {what}", at, causes=causes
    )


def told(runs: str, rules: Rules | None = None, quiet: str = "") -> list[str]:
    """What is told in each of `runs`; those of `quiet` are in maintenance."""
    state, found = State(), []
    for number, what in enumerate(runs.split()):
        off = bool(quiet) and quiet.split()[number] == "q"
        state, events = advance(
            state, [] if off else [seen(what, number)], rules or Rules(), quiet=[KEY] if off else []
        )
        found += [f"{number}:{e.kind}:{e.observation.fingerprint}" for e in events]
    return found


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ("ok ok ok", []),
        ("a", []),
        ("a ok a ok a ok a ok", []),
        ("a a a a", ["1:new:a"]),
        ("a b b b", ["1:new:b"]),
        ("a a ok a a", ["1:new:a"]),
        ("a a ok ok ok", ["1:new:a", "3:recovered:a"]),
        ("a a b b b", ["1:new:a", "3:changed:b"]),
        ("a a b a b a", ["1:new:a"]),
        ("~a ~a a a", ["1:new:a", "3:changed:a"]),
        ("a a ~a ~a", ["1:new:a"]),
        ("? ? ? a ? a", ["5:new:a"]),
        ("a a ? ? ok ? ok", ["1:new:a", "6:recovered:a"]),
        # It reopens within the hour: twice as many runs are needed.
        ("a a ok ok a a a a", ["1:new:a", "3:recovered:a", "7:new:a"]),
    ],
)  # fmt: skip
def test_what_is_told_and_when(runs: str, expected: list[str]) -> None:
    assert told(runs) == expected


def test_the_thresholds_are_the_configurations() -> None:
    assert told("a a a a", Rules(after=1)) == ["0:new:a"]
    assert told("a a a ok", Rules(after=3, recover_after=1)) == ["2:new:a", "3:recovered:a"]


def test_maintenance_is_quiet_and_counts_for_nothing() -> None:
    assert told("a a a a a", quiet="- q q - -") == ["4:new:a"]
    assert told("a a ok ok ok ok", quiet="- - q q - -") == ["1:new:a", "5:recovered:a"]


def test_an_incident_knows_since_when() -> None:
    state = State()
    for number in range(2):
        state, events = advance(state, [seen("a", number)], Rules())
    assert events[0].observation.since == T0.isoformat()


def test_a_host_that_is_no_longer_configured_is_forgotten() -> None:
    state, _ = advance(State(), [seen("a")], Rules())
    state, events = advance(state, [], Rules(), known=["b.example.com"])
    assert (state.hosts, events) == ({}, ())


def test_the_state_survives_being_written() -> None:
    state, _ = advance(State(), [seen("a", causes=(ROOT,))], Rules(after=1))
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state


def events(*causes_of_hosts: tuple[Cause, ...], kind: Kind = Kind.NEW) -> list[Event]:
    return [
        Event(kind, seen("f", key=f"h{n}.example.com", causes=causes), "t")
        for n, causes in enumerate(causes_of_hosts)
    ]


def grouped(found: tuple[Message, ...]) -> list[tuple[str | None, int]]:
    return [(m.cause.code if m.cause else None, len(m.events)) for m in found]


def test_a_storm_with_one_cause_is_one_message() -> None:
    found = messages(events((ROOT,), (ROOT,), (OTHER,), (ROOT,)))
    assert grouped(found) == [("SVC008", 3), ("ING004", 1)]


def test_a_host_with_a_fault_of_its_own_besides_belongs_to_the_storm() -> None:
    assert grouped(messages(events((OTHER, ROOT), (ROOT,)))) == [("SVC008", 2)]


def test_hosts_without_a_known_cause_have_nothing_in_common() -> None:
    assert grouped(messages(events((), ()))) == [(None, 1), (None, 1)]


def test_the_kinds_are_told_apart() -> None:
    both = [*events((ROOT,)), *events((ROOT,), kind=Kind.RECOVERED)]
    assert [m.kind for m in messages(both)] == [Kind.NEW, Kind.RECOVERED]
