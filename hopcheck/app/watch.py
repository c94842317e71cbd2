"""``diagnose --watch``: again and again until the verdict or the fingerprint changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from hopcheck.model import Report
from hopcheck.report.labels import label
from hopcheck.report.since import clock
from hopcheck.report.text import one_line

Reports = Mapping[str, Report]  # by the URL of each host
_LINE = 200


def changed(before: Reports, now: Reports) -> bool:
    """Whether any host is not as it was; what was interrupted tells nothing."""
    return any(
        (report.verdict, report.fingerprint) != (before[url].verdict, before[url].fingerprint)
        for url, report in now.items()
        if url in before and report.complete
    )


def round_line(report: Report) -> str:
    """A round in one line: when, verdict, host, what is to be fixed."""
    word = label(f"verdict.{report.verdict.value}").upper()
    causes = ", ".join(f"{one.code} {one.object}" for one in report.root_causes)
    when = clock(report.started_at, report.started_at)
    parts = [when, word, report.target.display_host or report.target.host]
    return one_line("  ".join([*parts, causes] if causes else parts), _LINE)


def watch(
    first: Reports,
    again: Callable[[], Reports | None],
    every_s: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Reports:
    """Call `again` every `every_s` seconds until a host has changed; the last whole round.

    `again` gives None for a round that was interrupted. Each round is said in a line for each
    host; Ctrl-C ends the watch.
    """
    last = first
    try:
        while True:
            sleep(every_s)
            now = again()
            if now is None:
                return last
            last = now
            for report in now.values():
                say(round_line(report))
            if changed(first, now):
                return last
    except KeyboardInterrupt:
        return last
