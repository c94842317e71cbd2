"""The plan of a day of scheduled runs: what is broken when, and who has to be told of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

AFTER = 2  # consecutive runs until somebody is told, of trouble and of its end

# A host's own fault: its Ingress names a Service, or a port, that does not exist.
SERVICE, PORT = "ING004", "ING005"
# Traefik may not read Ingresses any more: every host.
STORM = "SVC011"


@dataclass(frozen=True)
class Run:
    """What is wrong while one run looks."""

    faults: dict[int, str] = field(default_factory=dict)  # host's number -> its own fault
    storm: bool = False
    maintenance: frozenset[int] = frozenset()
    sink_down: bool = False


@dataclass(frozen=True)
class Told:
    """A message: in which run it arrives, of what kind, the code it names, the hosts."""

    run: int
    kind: str
    code: str
    hosts: frozenset[int]


class Day:
    """Runs in a row, one each so many minutes; each part is followed by healthy runs."""

    def __init__(self, hosts: int, gap: int, minutes: int) -> None:
        self.hosts = hosts
        self.minutes = minutes
        self.gap = max(gap, AFTER)
        self.runs: list[Run] = []
        self.told: list[Told] = []
        self.quiet(AFTER)

    def quiet(self, count: int | None = None) -> None:
        """Healthy runs."""
        self.runs += [Run()] * (self.gap if count is None else count)

    def _tell(self, offset: int, kind: str, code: str, hosts: Sequence[int]) -> None:
        self.told.append(Told(len(self.runs) + offset, kind, code, frozenset(hosts)))

    def one_fault(self, host: int, length: int) -> None:
        """Broken for a while: told once, and once that it is over."""
        self._tell(AFTER - 1, "broken", SERVICE, [host])
        self._tell(length + AFTER - 1, "recovered", SERVICE, [host])
        self.runs += [Run({host: SERVICE})] * length
        self.quiet()

    def a_blip(self, host: int) -> None:
        """Broken in a single run: nobody is told."""
        self.runs.append(Run({host: SERVICE}))
        self.quiet()

    def flapping(self, host: int, times: int) -> None:
        """Broken in every other run: nobody is told."""
        self.runs += [Run({host: SERVICE}), Run()] * times
        self.quiet()

    def another_cause(self, host: int, length: int) -> None:
        """The root cause becomes another one: told as a change."""
        self._tell(AFTER - 1, "broken", SERVICE, [host])
        self._tell(length + AFTER - 1, "changed", PORT, [host])
        self._tell(2 * length + AFTER - 1, "recovered", PORT, [host])
        self.runs += [Run({host: SERVICE})] * length + [Run({host: PORT})] * length
        self.quiet()

    def a_storm(self, length: int) -> None:
        """One cause for all hosts: one message that names them all, and one when it is over."""
        every = range(self.hosts)
        self._tell(AFTER - 1, "broken", STORM, every)
        self._tell(length + AFTER - 1, "recovered", STORM, every)
        self.runs += [Run(storm=True)] * length
        self.quiet()

    def in_maintenance(self, host: int, length: int) -> None:
        """Broken within its maintenance window and beyond: told after the window."""
        self._tell(length + AFTER - 1, "broken", SERVICE, [host])
        self._tell(length + AFTER + 1 + AFTER - 1, "recovered", SERVICE, [host])
        self.runs += [Run({host: SERVICE}, maintenance=frozenset({host}))] * length
        self.runs += [Run({host: SERVICE})] * (AFTER + 1)
        self.quiet()

    def with_the_sink_down(self, host: int) -> None:
        """The message cannot be delivered at first: it arrives with the first run that can."""
        self._tell(AFTER + 1, "broken", SERVICE, [host])
        self._tell(AFTER + 2 + AFTER - 1, "recovered", SERVICE, [host])
        broken = {host: SERVICE}
        self.runs += [Run(broken)] * (AFTER - 1) + [Run(broken, sink_down=True)] * 2
        self.runs += [Run(broken)]
        self.quiet()


def short() -> Day:
    """A sample: a change, a storm and a sink that is down, on five hosts."""
    day = Day(5, AFTER, 30)
    day.another_cause(1, AFTER)
    day.a_storm(AFTER)
    day.with_the_sink_down(2)
    return day


def whole(gap: int = 11) -> Day:
    """At least 200 runs over 20 hosts, every part twice."""
    day = Day(20, gap, 5)
    for first in (0, 10):
        day.one_fault(first + 1, 8)
        day.a_blip(first + 2)
        day.flapping(first + 3, 6)
        day.a_storm(6)
        day.another_cause(first + 4, 5)
        day.in_maintenance(first + 5, 5)
        day.with_the_sink_down(first + 6)
    return day
