"""What a shard leaves for the merge, and the merge: one index, one history, one who notifies."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable

import msgspec
from msgspec import Struct

from hopcheck.schedule.outlets.destination import Destination, DestinationError, stored
from hopcheck.schedule.outlets.incidents import Outcome

_POLL_S = 2.0
MERGED = "shards/merged.json"


class Part(Struct, frozen=True):
    """A shard's run as published (shards/I-of-N.json)."""

    outcome: Outcome
    metrics: str
    format: str = "hopcheck-shard-1"


class Merged(Struct, frozen=True):
    """When the parts that were merged last had finished, by their key."""

    finished: dict[str, str] = {}


def part_key(index: int, count: int) -> str:
    """Where a shard leaves its part."""
    return f"shards/{index}-of-{count}.json"


def leave(place: Destination, index: int, count: int, part: Part) -> None:
    """Publish a shard's part, after everything it names. Raises DestinationError."""
    place.write(part_key(index, count), msgspec.json.encode(part))


def gather(
    place: Destination,
    count: int,
    wait_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, Part], list[str]]:
    """The parts that are newer than the last merge, by key; and the keys of those that are not.

    Waits up to `wait_s` for all of them. Raises DestinationError when the last merge cannot be
    told; a part that cannot be read counts as not there.
    """
    before = stored(place, MERGED, Merged) or Merged()
    found: dict[str, Part] = {}
    until = time.monotonic() + wait_s
    while True:
        for key in (part_key(index, count) for index in range(count)):
            part = found.get(key) or _part(place, key)
            if part is not None and part.outcome.finished_at > before.finished.get(key, ""):
                found[key] = part
        left = until - time.monotonic()
        if len(found) == count or left <= 0:
            missing = [part_key(i, count) for i in range(count) if part_key(i, count) not in found]
            return found, missing
        sleep(min(_POLL_S, left))


def remember(place: Destination, parts: dict[str, Part]) -> None:
    """Note what was merged. Raises DestinationError."""
    before = stored(place, MERGED, Merged) or Merged()
    finished = before.finished | {key: part.outcome.finished_at for key, part in parts.items()}
    place.write(MERGED, msgspec.json.encode(Merged(finished)))


def together(parts: dict[str, Part], *, whole: bool, now: dt.datetime) -> Outcome:
    """The parts as one run; `whole` says that no shard is missing."""
    outcomes = [part.outcome for part in parts.values()]
    known = [o.known for o in outcomes]
    return Outcome(
        observations=tuple(seen for o in outcomes for seen in o.observations),
        quiet=tuple(url for o in outcomes for url in o.quiet),
        known=tuple(url for urls in known for url in urls or ())
        if whole and all(urls is not None for urls in known)
        else None,
        runs=tuple(run for o in outcomes for run in o.runs),
        verdicts=sum((Counter(o.verdicts) for o in outcomes), Counter()),
        defects=sum(o.defects for o in outcomes),
        seconds=max((o.seconds for o in outcomes), default=0.0),
        finished_at=max((o.finished_at for o in outcomes), default=now.isoformat()),
    )


def _part(place: Destination, key: str) -> Part | None:
    try:
        return stored(place, key, Part)
    except DestinationError:
        return None
