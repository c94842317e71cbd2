"""Maintenance windows: written as one line of text, evaluated for a given time (pure).

Two forms: ``Sun 02:00-04:00 Europe/Berlin`` (days, hours, time zone; every day and UTC where they
are left out; "Mon-Fri", "Sat,Sun"; an end at or before the start is on the next day) and an
absolute interval of two RFC 3339 times, ``2026-02-25T03:00:00Z/2026-02-25T05:00:00Z``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct

from hopcheck.catalogue import catalogue

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z,\-]*)\s+)?(?P<from>\d\d?:\d\d)-(?P<to>\d\d?:\d\d)"
    r"(?:\s+(?P<zone>[A-Za-z][\w/+\-]*|[+-]\d\d:\d\d))?"
)
_MINUTES = 24 * 60


class BadWindowError(ValueError):
    """The text is no maintenance window; the message is one clear line."""


def _bad(key: str, shown: str, **params: str) -> BadWindowError:
    return BadWindowError(catalogue.text("usage", key, value=shown, **params))


class Window(Struct, frozen=True):
    """One maintenance window; either `begins` and `ends` or the weekly fields are set.

    `days` are 0 (Monday) to 6, `first` and `last` minutes of the day in `zone`.
    """

    text: str
    begins: datetime | None = None
    ends: datetime | None = None
    days: tuple[int, ...] = ()
    first: int = 0
    last: int = 0
    zone: str = "UTC"

    def holds(self, now: datetime) -> bool:
        """Whether `now` (aware) is in the window; its end is not."""
        if self.begins is not None and self.ends is not None:
            return self.begins <= now < self.ends
        local = now.astimezone(_zone(self.zone))
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.first < self.last:
            return day in self.days and self.first <= minute < self.last
        # Over midnight: the window belongs to the day on which it begins.
        return (day in self.days and minute >= self.first) or (
            (day - 1) % 7 in self.days and minute < self.last
        )


def parse_window(text: str) -> Window:
    """The window that `text` describes. Raises BadWindowError."""
    shown = ascii(text[:80])
    if "/" in text and "T" in text.partition("/")[0]:
        begins, ends = (_moment(part, shown) for part in text.split("/", 1))
        if ends <= begins:
            raise _bad("window_order", shown)
        return Window(text=text, begins=begins, ends=ends)
    match = _WEEKLY.fullmatch(text.strip())
    if match is None:
        raise _bad("window", shown)
    zone = match["zone"] or "UTC"
    try:
        _zone(zone)
    except (LookupError, ValueError, OSError):
        raise _bad("window_zone", shown, zone=zone) from None
    return Window(
        text=text,
        days=_days(match["days"], shown),
        first=_minute(match["from"], shown),
        last=_minute(match["to"], shown),
        zone=zone,
    )


def window_at(windows: Iterable[Window], now: datetime) -> Window | None:
    """The first of `windows` that holds at `now`, if any does."""
    return next((window for window in windows if window.holds(now)), None)


def _zone(name: str) -> tzinfo:
    if name[0] in "+-":
        offset = timedelta(hours=int(name[1:3]), minutes=int(name[4:6]))
        return timezone(offset if name[0] == "+" else -offset)
    return ZoneInfo(name)


def _moment(text: str, shown: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _bad("window_time", shown, part=text[:40]) from None
    if moment.tzinfo is None:
        raise _bad("window_no_zone", shown, part=text[:40])
    return moment


def _days(text: str | None, shown: str) -> tuple[int, ...]:
    if text is None or text.lower() == "daily":
        return tuple(range(7))
    found: dict[int, None] = {}
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        begin, end = _day(first, shown), _day(last, shown) if dash else _day(first, shown)
        found.update((day % 7, None) for day in range(begin, end + 1 + (7 if end < begin else 0)))
    return tuple(sorted(found))


def _day(name: str, shown: str) -> int:
    if name[:3] not in _DAYS or len(name) not in (3, 6, 7, 8, 9):
        raise _bad("window_day", shown, part=name[:20])
    return _DAYS.index(name[:3])


def _minute(text: str, shown: str) -> int:
    hours, _, minutes = text.partition(":")
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > _MINUTES:
        raise _bad("window_clock", shown, part=text)
    return total
