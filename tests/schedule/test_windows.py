"""Maintenance windows: days, hours, time zones, midnight, absolute intervals."""

from datetime import datetime

import pytest

from hopcheck.schedule.windows import BadWindowError, parse_window, window_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("window", "now", "holds"),
    [
        # 2026-02-22 is a Sunday.
        ("Sun 02:00-04:00", "2026-02-22T02:00:00Z", True),
        ("Sun 02:00-04:00", "2026-02-22T03:59:59Z", True),
        ("Sun 02:00-04:00", "2026-02-22T04:00:00Z", False),
        ("Sun 02:00-04:00", "2026-02-23T03:00:00Z", False),
        ("sunday 02:00-04:00", "2026-02-22T03:00:00Z", True),
        ("02:00-04:00", "2026-02-25T03:00:00Z", True),
        ("daily 02:00-04:00", "2026-02-25T03:00:00Z", True),
        ("Mon-Fri 09:00-17:00", "2026-02-27T16:00:00Z", True),
        ("Mon-Fri 09:00-17:00", "2026-02-28T16:00:00Z", False),
        ("Sat,Sun 09:00-17:00", "2026-02-28T16:00:00Z", True),
        ("Fri-Mon 09:00-10:00", "2026-02-22T09:30:00Z", True),
        ("Fri-Mon 09:00-10:00", "2026-02-25T09:30:00Z", False),
        # Over midnight: of the day on which it begins.
        ("Sat 23:00-01:00", "2026-02-28T23:30:00Z", True),
        ("Sat 23:00-01:00", "2026-03-01T00:59:00Z", True),
        ("Sat 23:00-01:00", "2026-02-28T00:30:00Z", False),
        ("Sun 00:00-24:00", "2026-02-22T23:59:00Z", True),
        # Seoul is nine hours ahead: Sunday 02:30 there is Saturday 17:30 UTC.
        ("Sun 02:00-04:00 Asia/Seoul", "2026-02-21T17:30:00Z", True),
        ("Sun 02:00-04:00 Asia/Seoul", "2026-02-22T02:30:00Z", False),
        ("Sun 02:00-04:00 +09:00", "2026-02-21T17:30:00Z", True),
        # By the wall clock: summer time moves the window with it.
        ("02:00-03:00 Europe/Berlin", "2026-01-15T01:30:00Z", True),
        ("02:00-03:00 Europe/Berlin", "2026-07-15T00:30:00Z", True),
        ("2026-02-25T03:00:00Z/2026-02-25T05:00:00Z", "2026-02-25T03:00:00Z", True),
        ("2026-02-25T03:00:00Z/2026-02-25T05:00:00Z", "2026-02-25T05:00:00Z", False),
        ("2026-02-25T12:00:00+09:00/2026-02-25T14:00:00+09:00", "2026-02-25T04:00:00Z", True),
    ],
)
def test_holds(window: str, now: str, holds: bool) -> None:
    assert parse_window(window).holds(at(now)) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sometimes", "write 'Sun"),
        ("Sun 25:00-26:00", "no time of a day"),
        ("Sun 02:70-03:00", "no time of a day"),
        ("Xyz 02:00-03:00", "no day"),
        ("Sun 02:00-03:00 Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("2026-02-25T03:00:00/2026-02-25T05:00:00", "add Z"),
        ("2026-02-25T05:00:00Z/2026-02-25T03:00:00Z", "ends before"),
        ("2026-02-25T05:00:00Z/later", "no RFC 3339"),
    ],
)
def test_errors_say_what_to_write(text: str, words: str) -> None:
    with pytest.raises(BadWindowError, match=words):
        parse_window(text)


def test_the_first_window_that_holds() -> None:
    windows = [parse_window("Sun 02:00-04:00"), parse_window("daily 03:00-05:00")]
    found = window_at(windows, at("2026-02-22T03:30:00Z"))
    assert found is not None
    assert found.text == "Sun 02:00-04:00"
    assert window_at(windows, at("2026-02-22T06:00:00Z")) is None
