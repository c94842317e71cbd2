"""After a run: what has changed, told to whom; what could not be told is kept and tried again.

By apprise's services and to Alertmanager; a failure becomes a word.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from hopcheck.catalogue.catalogue import text
from hopcheck.collect.ask import within
from hopcheck.collect.web.deliver import deliver
from hopcheck.schedule.outlets.incidents import Kind, Message, Observation, State, advance, messages
from hopcheck.schedule.outlets.settings import Outlets, SinkSettings
from hopcheck.schedule.outlets.wording import alerts, body, title

BUDGET_S = 60.0  # for all sinks of a run together
PAUSES_S = (1.0, 3.0)  # before the second and the third try
_LIMIT_S = 10.0
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


def notify(
    memory: Memory,
    observations: Sequence[Observation],
    outlets: Outlets,
    *,
    now: dt.datetime,
    quiet: Iterable[str] = (),
    known: Iterable[str] | None = None,
) -> tuple[Memory, Told]:
    """Tell every sink what changed; never raises for a sink that fails."""
    state, events = advance(memory.state, observations, outlets.rules, quiet=quiet, known=known)
    said = messages(events)
    deadline = time.monotonic() + BUDGET_S
    again = [kept for kept in memory.undelivered if _worth(kept, now)]
    failures: list[tuple[str, str]] = []
    left: list[Undelivered] = []
    for sink in outlets.sinks:
        if sink.alertmanager is not None:
            reason = None
            found = alerts(memory.state, state, now=now, hold=sink.hold)
            told = [one for one in found if sink.wants((one["labels"].get("owner", ""),))]
            if told:
                attempt = partial(post_alerts, sink.alertmanager, told)
                reason = persist(attempt, deadline)
        else:
            waiting = [kept for kept in again if kept.sink == sink.name]
            waiting += [
                Undelivered(sink.name, message, now.isoformat())
                for message in said
                if sink.wants(message.owners)
            ]
            kept, reason = _deliver(sink, waiting, now, deadline)
            left += kept
        if reason is not None:
            failures.append((sink.name, reason))
    memory = Memory(state=state, undelivered=tuple(left[-_MOST_KEPT:]))
    return memory, Told(messages=said, failures=tuple(failures))


def _worth(kept: Undelivered, now: dt.datetime) -> bool:
    return now - dt.datetime.fromisoformat(kept.first_tried) < _KEEP


def _deliver(
    sink: SinkSettings, waiting: Sequence[Undelivered], now: dt.datetime, deadline: float
) -> tuple[Sequence[Undelivered], str | None]:
    """In order; after the first failure the rest waits too, so that news stays in order."""
    for number, one in enumerate(waiting):
        if time.monotonic() >= deadline:
            return waiting[number:], text("notify", "budget")
        attempt = partial(send, sink.url or "", one.message, now.isoformat())
        reason = persist(attempt, deadline)
        if reason is not None:
            return waiting[number:], reason
    return [], None


def send(url: str, message: Message, now: str) -> str | None:
    """Deliver once, to Slack, PagerDuty, mail or what else apprise's URL names; why not, or None.

    The URL, which holds credentials, is in no text of ours.
    """
    try:
        import apprise
        import requests
    except ImportError:
        return "pip install 'hopcheck[synthetic]'"
    service = apprise.Apprise()
    if not service.add(url):
        return text("notify", "sink_url")
    kind = apprise.NotifyType.SUCCESS if message.kind is Kind.RECOVERED else None
    # A redirect would be followed with another method and without the body, to anywhere: it is a
    # refusal, as any answer but 2xx. Neither that nor an end can be asked of apprise.
    requests.Session.get_redirect_target = lambda *_: None  # type: ignore[method-assign]
    call = partial(
        service.notify,
        title=title(message),
        body=body(message, now=now),
        notify_type=kind or apprise.NotifyType.FAILURE,
        body_format=apprise.NotifyFormat.TEXT,
        timeout=_LIMIT_S,
    )
    try:
        accepted = within(_LIMIT_S, call)
    except Exception as error:  # noqa: BLE001  # of any service; it may hold the URL
        return text("notify", "sink_failed", kind=type(error).__name__)
    return None if accepted else text("notify", "sink_refused")


def post_alerts(url: str, told: Sequence[dict[str, Any]]) -> str | None:
    """Tell Alertmanager once; why it did not accept, or None."""
    where = f"{url.rstrip('/')}/api/v2/alerts"
    data = json.dumps(told).encode()
    return deliver("POST", where, data, {"Content-Type": "application/json"}, limit_s=_LIMIT_S)


def persist(attempt: Callable[[], str | None], deadline: float) -> str | None:
    """Try, and again after each pause while time is left (`deadline`: of time.monotonic)."""
    reason = attempt()
    for pause in PAUSES_S:
        if reason is None or time.monotonic() + pause >= deadline:
            break
        time.sleep(pause)
        reason = attempt()
    return reason
