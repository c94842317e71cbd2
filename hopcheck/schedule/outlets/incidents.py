"""When to speak up: incidents opened, changed and closed by what the runs saw (pure).

A run is one observation of each host. An incident opens after `after` consecutive runs that are
not healthy, changes when another fingerprint has been seen as often (or the verdict got worse),
and closes after `recover_after` healthy ones. A host that reopens within `FLAP_WINDOW` needs twice
as many runs each time. `unknown` is no news in either direction, and so is maintenance.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from hopcheck.model import Report, Verdict
from hopcheck.report.json import public_url
from hopcheck.report.store import slug
from hopcheck.verdict.cause import stable_owner

FLAP_WINDOW = dt.timedelta(hours=1)
_MOST = 8  # times `after`, for a host that keeps flapping


class Rules(Struct, frozen=True):
    """How many consecutive runs it takes."""

    after: int = 2
    recover_after: int = 2


class Kind(StrEnum):
    """What became of an incident in this run."""

    NEW = "new"
    CHANGED = "changed"
    RECOVERED = "recovered"


class Cause(Struct, frozen=True):
    """A root cause as a message tells it. `owner` is its object's nearest stable owner."""

    code: str
    owner: str
    step: str
    title: str
    message: str
    fix: str
    commands: tuple[str, ...] = ()


class Observation(Struct, frozen=True):
    """What one run saw of one host; `key` is its slug, which identifies it."""

    key: str
    name: str
    url: str
    verdict: Verdict
    fingerprint: str
    headline: str
    seen_at: str
    since: str | None = None
    causes: tuple[Cause, ...] = ()
    owner: str | None = None
    link: str | None = None


class Outcome(Struct, frozen=True):
    """What one run, or the shards of one, gave the outlets to tell of."""

    observations: tuple[Observation, ...] = ()
    quiet: tuple[str, ...] = ()  # slugs of hosts in maintenance
    known: tuple[str, ...] | None = None  # slugs of all configured hosts; None: not all are known
    runs: tuple[tuple[str, str], ...] = ()  # (slug, directory) of what was written
    verdicts: dict[str, int] = {}
    defects: int = 0
    seconds: float = 0.0
    finished_at: str = ""


class Incident(Struct, frozen=True):
    """An incident that somebody was told of (or is being told)."""

    last: Observation
    opened_at: str


class HostState(Struct, frozen=True):
    """What is remembered of one host between runs."""

    incident: Incident | None = None
    bad: int = 0  # consecutive runs that were not healthy
    good: int = 0  # consecutive healthy runs since the last that was not
    candidate: str | None = None  # the newest fingerprint that is not the incident's ...
    seen: int = 0  # ... and in how many consecutive runs
    began: str | None = None  # the first of the `bad` runs
    opened: tuple[str, ...] = ()  # when incidents were opened, within the flap window


class Event(Struct, frozen=True):
    """A change of one host's incident; for RECOVERED `observation` is the last bad one."""

    kind: Kind
    observation: Observation
    opened_at: str


class Message(Struct, frozen=True):
    """Events that belong together: one host's, or a storm of hosts with one common cause."""

    kind: Kind
    events: tuple[Event, ...]
    cause: Cause | None = None

    @property
    def owners(self) -> tuple[str, ...]:
        """Everybody whose hosts are concerned, each once."""
        return tuple(dict.fromkeys(e.observation.owner for e in self.events if e.observation.owner))


class State(Struct, frozen=True):
    """Everything that is remembered between runs, by the host's slug."""

    hosts: dict[str, HostState] = field(default_factory=dict)
    format: str = "hopcheck-incidents-1"


def observe(report: Report, *, owner: str | None, link: str | None) -> Observation:
    """What a report says that an incident needs."""
    return Observation(
        key=slug(report.target),
        name=report.target.display_host or report.target.host,
        url=public_url(report.target),
        verdict=report.verdict,
        fingerprint=report.fingerprint,
        headline=report.headline,
        seen_at=report.started_at,
        since=report.since,
        causes=tuple(
            Cause(
                code=finding.code,
                owner=str(stable_owner(finding)),
                step=finding.step.value,
                title=finding.title,
                message=finding.message,
                fix=finding.fix,
                commands=finding.commands,
            )
            for finding in report.root_causes
        ),
        owner=owner,
        link=link,
    )


def advance(
    state: State,
    observations: Iterable[Observation],
    rules: Rules,
    *,
    quiet: Iterable[str] = (),
    known: Iterable[str] | None = None,
) -> tuple[State, tuple[Event, ...]]:
    """The state after a run, and what changed.

    `quiet` are the keys of hosts whose maintenance window is open, `known` those of all hosts that
    are configured now: others are forgotten (None: nobody is).
    """
    hosts = dict(state.hosts)
    events: list[Event] = []
    for seen in observations:
        hosts[seen.key], event = _step(hosts.get(seen.key, HostState()), seen, rules)
        if event is not None:
            events.append(event)
    for host in quiet:
        if host in hosts:
            hosts[host] = replace(hosts[host], bad=0, good=0, candidate=None, seen=0, began=None)
    if known is not None:
        kept = set(known)
        hosts = {host: held for host, held in hosts.items() if host in kept}
    return replace(state, hosts=hosts), tuple(events)


def _step(held: HostState, seen: Observation, rules: Rules) -> tuple[HostState, Event | None]:
    if seen.verdict is Verdict.UNKNOWN:
        return held, None
    if seen.verdict is Verdict.HEALTHY:
        return _healthy(held, rules)
    held = replace(
        held,
        bad=held.bad + 1,
        good=0,
        began=held.began or seen.seen_at,
        candidate=seen.fingerprint,
        seen=held.seen + 1 if held.candidate == seen.fingerprint else 1,
    )
    if held.incident is None:
        return _failing(held, seen, rules)
    return _still_failing(held, held.incident, seen, rules)


def _healthy(held: HostState, rules: Rules) -> tuple[HostState, Event | None]:
    held = replace(held, bad=0, good=held.good + 1, candidate=None, seen=0, began=None)
    if held.incident is None or held.good < rules.recover_after:
        return held, None
    over = held.incident
    return replace(held, incident=None), Event(Kind.RECOVERED, over.last, over.opened_at)


def _failing(held: HostState, seen: Observation, rules: Rules) -> tuple[HostState, Event | None]:
    now = dt.datetime.fromisoformat(seen.seen_at)
    opened = tuple(t for t in held.opened if now - dt.datetime.fromisoformat(t) < FLAP_WINDOW)
    needed = min(rules.after * 2 ** len(opened), rules.after * _MOST)
    if held.bad < needed:
        return replace(held, opened=opened), None
    incident = Incident(replace(seen, since=seen.since or held.began), seen.seen_at)
    held = replace(held, incident=incident, opened=(*opened, seen.seen_at), seen=0, candidate=None)
    return held, Event(Kind.NEW, incident.last, incident.opened_at)


def _still_failing(
    held: HostState, incident: Incident, seen: Observation, rules: Rules
) -> tuple[HostState, Event | None]:
    told = incident.last
    worse = told.verdict is Verdict.DEGRADED and seen.verdict is Verdict.BROKEN
    if seen.fingerprint == told.fingerprint and not worse:
        # The newest words (shares, counts) for whoever asks later; nobody is told.
        last = replace(seen, verdict=told.verdict, since=told.since)
        held = replace(held, incident=replace(incident, last=last), candidate=None, seen=0)
        return held, None
    if held.seen < rules.after:
        return held, None
    changed = replace(incident, last=replace(seen, since=told.since))
    held = replace(held, incident=changed, candidate=None, seen=0)
    return held, Event(Kind.CHANGED, changed.last, incident.opened_at)


def messages(events: Sequence[Event]) -> tuple[Message, ...]:
    """One message for each group of events of a kind with a common root cause.

    Each event goes to that of its root causes which the most events of its kind share; an object
    that is named after the host itself is shared by nobody.
    """
    made: list[Message] = []
    for kind in Kind:
        waiting = [event for event in events if event.kind is kind]
        while waiting:
            cause, together = _largest(waiting)
            made.append(Message(kind, tuple(together), cause))
            waiting = [event for event in waiting if event not in together]
    return tuple(made)


def _largest(events: Sequence[Event]) -> tuple[Cause | None, list[Event]]:
    groups: dict[tuple[str, str], list[Event]] = {}
    causes: dict[tuple[str, str], Cause] = {}
    for event in events:
        for cause in event.observation.causes:
            key = (cause.code, cause.owner)
            causes.setdefault(key, cause)
            groups.setdefault(key, []).append(event)
    if not groups:
        return None, [events[0]]
    best = max(groups, key=lambda key: len(groups[key]))
    if len(groups[best]) == 1:
        first = events[0]
        return next(iter(first.observation.causes), None), [first]
    return causes[best], groups[best]
