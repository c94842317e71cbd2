"""After a run: what has changed, told to whom; what could not be told is kept and tried again."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from hopcheck.catalogue.catalogue import text
from hopcheck.schedule.outlets.alerts import alerts
from hopcheck.schedule.outlets.incidents import Message, Observation, State, advance, messages
from hopcheck.schedule.outlets.settings import Outlets, SinkSettings
from hopcheck.schedule.outlets.sinks import PAUSES_S, persist, post_alerts, send

BUDGET_S = 60.0  # for all sinks of a run together
_KEEP = dt.timedelta(hours=24)
_MOST_KEPT = 50


class Undelivered(Struct, frozen=True):
    """A message that a sink did not take."""

    sink: str
    message: Message
    first_tried: str


class Memory(Struct, frozen=True):
    """What notifications need to remember from run to run (incidents.json)."""

    state: State = State()
    undelivered: tuple[Undelivered, ...] = ()
    format: str = "hopcheck-notify-1"


class Told(Struct, frozen=True):
    """What a run told: the messages, and what failed by sink, in words."""

    messages: tuple[Message, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()


def load_memory(data: bytes | None) -> Memory:
    """The memory from its file. Raises ValueError for what is not one."""
    if data is None:
        return Memory()
    try:
        return msgspec.json.decode(data, type=Memory)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def notify(
    memory: Memory,
    observations: Sequence[Observation],
    outlets: Outlets,
    *,
    now: dt.datetime,
    quiet: Iterable[str] = (),
    known: Iterable[str] | None = None,
    pauses: Sequence[float] = PAUSES_S,
) -> tuple[Memory, Told]:
    """Tell every sink what changed; never raises for a sink that fails."""
    state, events = advance(memory.state, observations, outlets.rules, quiet=quiet, known=known)
    said = messages(events)
    deadline = time.monotonic() + BUDGET_S
    again = [kept for kept in memory.undelivered if _worth(kept, now)]
    failures: list[tuple[str, str]] = []
    left: list[Undelivered] = []
    for settings in outlets.sinks:
        if settings.alertmanager is not None:
            reason = _tell_alertmanager(settings, memory.state, state, now, pauses, deadline)
            if reason is not None:
                failures.append((settings.name, reason))
            continue
        waiting = [kept for kept in again if kept.sink == settings.name]
        fresh = [
            Undelivered(settings.name, message, now.isoformat())
            for message in said
            if settings.wants(message.owners)
        ]
        kept, reasons = _deliver(settings, [*waiting, *fresh], now, pauses, deadline)
        left += kept
        failures += [(settings.name, reason) for reason in reasons]
    memory = Memory(state=state, undelivered=tuple(left[-_MOST_KEPT:]))
    return memory, Told(messages=said, failures=tuple(failures))


def _worth(kept: Undelivered, now: dt.datetime) -> bool:
    return now - dt.datetime.fromisoformat(kept.first_tried) < _KEEP


def _deliver(
    settings: SinkSettings,
    waiting: Sequence[Undelivered],
    now: dt.datetime,
    pauses: Sequence[float],
    deadline: float,
) -> tuple[list[Undelivered], list[str]]:
    """In order; after the first failure the rest waits too, so that news stays in order."""
    url = settings.url or ""
    for number, one in enumerate(waiting):
        if time.monotonic() >= deadline:
            return list(waiting[number:]), [text("notify", "budget")]
        reason = persist(
            partial(send, url, one.message, now.isoformat()),
            pauses,
            deadline=deadline,
        )
        if reason is not None:
            return list(waiting[number:]), [reason]
    return [], []


def _tell_alertmanager(
    settings: SinkSettings,
    before: State,
    after: State,
    now: dt.datetime,
    pauses: Sequence[float],
    deadline: float,
) -> str | None:
    told = [
        alert
        for alert in alerts(before, after, now=now, hold=settings.hold)
        if settings.wants((alert["labels"].get("owner", ""),))
    ]
    if not told or settings.alertmanager is None:
        return None
    url = settings.alertmanager
    return persist(lambda: post_alerts(url, told), pauses, deadline=deadline)
