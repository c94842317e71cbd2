"""A message in words: a title and a short body, plain text, for any sink (pure)."""

from __future__ import annotations

from hopcheck.catalogue.catalogue import text
from hopcheck.model import Verdict
from hopcheck.report.labels import label
from hopcheck.schedule.outlets.incidents import Kind, Message

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
            "notify",
            message.kind.value,
            verdict=verdict,
            host=one.name,
            headline=one.headline,
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
