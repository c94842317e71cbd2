"""What a fleet run is asked and what it gives: hosts, their results, and the run as a whole.

A run may take one shard of the hosts: rendezvous hashing, the same on every machine. Each host goes
to the shard whose hash with it is the highest. N shards partition the hosts, and adding a shard
moves only the hosts that it takes (about 1/N of them).
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from msgspec import Struct, field

from hopcheck.catalogue.catalogue import text
from hopcheck.config.options import HostRun, UsageError
from hopcheck.model import Report, Target, Verdict
from hopcheck.model.report import DEFECT, EXIT, worst
from hopcheck.report.store import slug
from hopcheck.schedule.windows import Window

_MOST_SHARDS = 1000


class Shard(Struct, frozen=True):
    """Shard `index` (from 0) of `count`."""

    index: int
    count: int

    def takes(self, host: str) -> bool:
        """Whether `host` is this shard's."""
        return shard_of(host, self.count) == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(given: str) -> Shard:
    """Read ``I/N`` with I from 0 to N-1, as an Indexed Job counts. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", given)
    if match is None or not int(match[1]) < int(match[2]) <= _MOST_SHARDS:
        raise UsageError(text("usage", "shard", value=given[:40], most=_MOST_SHARDS))
    return Shard(int(match[1]), int(match[2]))


def shard_of(host: str, count: int) -> int:
    """The shard of `host` among `count`."""
    return max(
        range(count),
        key=lambda index: (hashlib.sha256(f"{index} {host}".encode()).digest(), index),
    )


class FleetHost(Struct, frozen=True):
    """One host to diagnose, with its options and what only a fleet knows of it."""

    run: HostRun
    maintenance: tuple[Window, ...] = ()
    source: Literal["configured", "discovered"] = "configured"

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.run.target.display_host or self.run.target.host

    @property
    def owner(self) -> str | None:
        """Who is to be told."""
        return self.run.options.owner

    @property
    def link(self) -> str | None:
        """The stable link to the host's newest report, where a base URL is configured."""
        base = self.run.base_url
        return f"{base.rstrip('/')}/{slug(self.run.target)}/latest/report.html" if base else None


class LeftOut(Struct, frozen=True):
    """A host that the cluster names and that is not diagnosed, with the reason in words."""

    host: str
    reason: str


class FleetPlan(Struct, frozen=True):
    """What a run has to do; `problems` are sources of hosts that could not be read, in words."""

    hosts: tuple[FleetHost, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    problems: tuple[str, ...] = ()
    shard: Shard | None = None


class HostResult(Struct, frozen=True):
    """What became of one host.

    Exactly one of these holds: there is a `report`; a maintenance window was open and nothing was
    asked (`maintenance` is its text); or the suite failed before it could report (`defects`).
    `defects` beside a report are tracebacks of the steps whose judge failed ("" for the host as a
    whole). Times are RFC 3339 UTC, `seconds` from the host's first question to its report.
    """

    host: FleetHost
    started_at: str
    finished_at: str
    seconds: float = 0.0
    report: Report | None = None
    maintenance: str | None = None
    defects: dict[str, str] = field(default_factory=dict)
    probed: bool = False  # every hop was looked at, because the first look was not healthy
    written: str | None = None  # the run's directory
    write_error: str | None = None

    @property
    def target(self) -> Target:
        """The host and the URL on it."""
        return self.host.run.target

    @property
    def exit_code(self) -> int:
        """The contract's exit code for this host alone; 0 in maintenance."""
        if self.defects:
            return DEFECT
        return EXIT[self.report.verdict] if self.report is not None else 0


class FleetResult(Struct, frozen=True):
    """A fleet run as a whole; `hosts` in the plan's order, skipped ones among them."""

    started_at: str
    finished_at: str
    hosts: tuple[HostResult, ...]
    left_out: tuple[LeftOut, ...] = ()
    problems: tuple[str, ...] = ()
    shard: Shard | None = None
    complete: bool = True  # False: interrupted; hosts that were not finished are absent
    api_requests: int = 0  # to Kubernetes API servers, pages and proxied requests included
    aws_calls: int = 0
    seconds: float = 0.0

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports, of all hosts that have one."""
        return tuple(result.report for result in self.hosts if result.report is not None)

    @property
    def skipped(self) -> tuple[HostResult, ...]:
        """The hosts whose maintenance window was open."""
        return tuple(result for result in self.hosts if result.maintenance is not None)

    @property
    def defective(self) -> tuple[HostResult, ...]:
        """The hosts in which the suite itself failed."""
        return tuple(result for result in self.hosts if result.defects)

    @property
    def exit_code(self) -> int:
        """The worst host's, in the contract's order; at least 3 where hosts could not be told."""
        unread = {EXIT[Verdict.UNKNOWN]} if self.problems else set()
        return worst({result.exit_code for result in self.hosts} | unread)
