"""The rows of reports/index.html."""

from __future__ import annotations

import msgspec

from hopcheck.model import Verdict


class Day(msgspec.Struct, frozen=True):
    """One UTC day of a host: how many complete runs had which verdict, and the worst of them."""

    date: str  # "2026-02-25"
    runs: int = 0
    worst: Verdict | None = None  # None: no run that day
    verdicts: dict[str, int] = {}


class IndexRow(msgspec.Struct, frozen=True):
    """One row of the index: a slug's newest run. `link` is relative to the reports directory."""

    host: str
    url: str
    verdict: str
    headline: str
    started_at: str
    link: str = ""  # of the directory: report.json, from which the rest is read, has none
    since: str | None = None  # RFC 3339; None: healthy, or not known
    days: tuple[Day, ...] = ()  # oldest first, the last is today; empty: no history
