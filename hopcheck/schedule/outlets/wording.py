"""Incidents told (pure): a message in plain text for any sink, and Alertmanager's alerts.

The alerts are those of its v2 API, `postableAlerts`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from hopcheck.catalogue.catalogue import text
from hopcheck.model import Verdict
from hopcheck.report.labels import label
from hopcheck.schedule.outlets.incidents import Incident, Kind, Message, State

_HOSTS = 20
_COMMANDS = 2


def title(message: Message) -> str:
    """One line: what became of what."""
    events, cause = message.events, message.cause
    verdicts = [event.observation.verdict for event in events]
    worst = Verdict.BROKEN if Verdict.BROKEN in verdicts else verdicts[0]
    verdict = label(f"verdict.{worst.value}")
    if len(events) == 1 or cause is None:
        one = events[0].observation
        return text(
            "notify", message.kind.value, verdict=verdict, host=one.name, headline=one.headline
        )
    return text(
        "notify",
        f"storm_{message.kind.value}",
        verdict=verdict,
        count=len(events),
        title=cause.title,
        code=cause.code,
        object=cause.owner,
    )


def body(message: Message, *, now: str) -> str:
    """Root cause, fix, since when, owner, hosts and link, each on a line of its own."""
    first = message.events[0].observation
    over = message.kind is Kind.RECOVERED
    lines = [_cause(message, over=over)]
    if message.cause is not None and not over:
        lines.append(text("notify", "fix", fix=message.cause.fix))
        lines += [f"  $ {command}" for command in message.cause.commands[:_COMMANDS]]
    lines += _others(message) if not over else []
    since = min((e.observation.since or e.opened_at) for e in message.events)
    key = "lasted" if over else "since"
    lines.append(text("notify", key, since=since, until=now))
    if len(message.events) > 1:
        lines.append(text("notify", "hosts", hosts=_names(message)))
    if message.owners:
        lines.append(text("notify", "owner", owner=", ".join(message.owners)))
    if first.link:
        anchor = f"#{message.cause.code}" if message.cause is not None and not over else ""
        lines.append(text("notify", "report", link=f"{first.link}{anchor}"))
    return "\n".join(lines)


def _cause(message: Message, *, over: bool) -> str:
    cause = message.cause
    if cause is None:
        return text("notify", "no_cause")
    return text(
        "notify",
        "was" if over else "cause",
        code=cause.code,
        object=cause.owner,
        message=cause.message,
    )


def _others(message: Message) -> list[str]:
    """Root causes that a host has besides the common one."""
    common = f"{message.cause.code} {message.cause.owner}" if message.cause is not None else None
    found = []
    for event in message.events:
        codes = [f"{cause.code} {cause.owner}" for cause in event.observation.causes]
        if rest := ", ".join(code for code in codes if code != common):
            found.append(text("notify", "also", host=event.observation.name, codes=rest))
    return found[:_HOSTS]


def _names(message: Message) -> str:
    names = [event.observation.name for event in message.events]
    shown = ", ".join(names[:_HOSTS])
    if len(names) <= _HOSTS:
        return shown
    return text("notify", "more", hosts=shown, count=len(names) - _HOSTS)


def alerts(before: State, after: State, *, now: dt.datetime, hold: int) -> list[dict[str, Any]]:
    """What Alertmanager has to hear after a run.

    Every open incident, again in each run, since an alert that is not repeated ends after `hold`
    seconds; and the end of those that were open before and are not any more (or not with these
    labels: another root cause is another alert).
    """
    open_now = _by_labels(after)
    until = now + dt.timedelta(seconds=hold)
    found = [_alert(labels, incident, until) for labels, incident in open_now.items()]
    over = {k: v for k, v in _by_labels(before).items() if k not in open_now}
    found += [_alert(labels, incident, now) for labels, incident in over.items()]
    return found


def _by_labels(state: State) -> dict[tuple[tuple[str, str], ...], Incident]:
    return {
        _labels(held.incident): held.incident
        for held in state.hosts.values()
        if held.incident is not None
    }


def _labels(incident: Incident) -> tuple[tuple[str, str], ...]:
    last = incident.last
    labels = {
        "alertname": "HopcheckHostBroken",
        "host": last.name,
        "url": last.url,
        "severity": "critical" if last.verdict is Verdict.BROKEN else "warning",
    }
    if last.owner:
        labels["owner"] = last.owner
    if last.causes:
        labels |= {
            "code": last.causes[0].code,
            "step": last.causes[0].step,
            "object": last.causes[0].owner,
        }
    return tuple(sorted(labels.items()))


def _alert(
    labels: tuple[tuple[str, str], ...], incident: Incident, ends: dt.datetime
) -> dict[str, Any]:
    last = incident.last
    notes = {"summary": last.headline}
    if last.causes:
        notes |= {"description": last.causes[0].message, "fix": last.causes[0].fix}
    if last.link:
        anchor = f"#{last.causes[0].code}" if last.causes else ""
        notes["runbook_url"] = f"{last.link}{anchor}"
    starts = min(dt.datetime.fromisoformat(last.since or incident.opened_at), ends)
    return {
        "labels": dict(labels),
        "annotations": notes,
        "startsAt": starts.isoformat(),
        "endsAt": ends.isoformat(),
        **({"generatorURL": last.link} if last.link else {}),
    }
