"""From the configuration, and what a cluster's routes name, to the hosts of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from hopcheck.behaviour.kubernetes.hosts import hosts_of, names_host
from hopcheck.catalogue.catalogue import text
from hopcheck.config.file import Config, host_runs
from hopcheck.config.options import HostRun, UsageError
from hopcheck.config.target import parse_target
from hopcheck.model import Collected, Why
from hopcheck.model.kubernetes import Object
from hopcheck.schedule.fleet_model import FleetHost, FleetPlan, LeftOut, Shard
from hopcheck.schedule.windows import BadWindowError, Window, parse_window

if TYPE_CHECKING:
    from hopcheck.collect.shared import Shared

DISCOVER = "discover"
CONCURRENCY = 50
WRITE = ("all", "nothing")

Source = Literal["configured", "discovered"]


# The cluster's routes, as `hopcheck.collect.shared.Shared.routes` reads them.
Routes = Mapping[str, Collected[tuple[Object, ...]]]


async def planned(
    config: Config, command_line: Mapping[str, Any], shared: Shared, shard: Shard | None = None
) -> FleetPlan:
    """`plan`, with the routes of the cluster where hosts are to be discovered."""
    routes: Routes = {}
    if config.fleet.get("hosts") == DISCOVER:
        routes = await shared.routes(shared.run.options)
    return plan(config, command_line, routes, shard)


def plan(
    config: Config, command_line: Mapping[str, Any], routes: Routes, shard: Shard | None = None
) -> FleetPlan:
    """The hosts of the configuration, less what other shards take.

    `routes` count only for ``hosts = "discover"``. Hosts named in the file are always among
    them, discovered or not: one that has gone from the cluster is what one wants to hear of.
    Raises UsageError where the configuration is wrong or names no host.
    """
    samples = _samples(config)
    listed = config.fleet.get("hosts", [])
    if isinstance(listed, str) and listed != DISCOVER:
        raise UsageError(text("usage", "hosts", source=config.source, value=listed))
    named = [name for name in config.hosts if "*" not in name]
    named += [*samples.values(), *([] if listed == DISCOVER else listed)]
    wild = [name for name in named if "*" in name and name.lower() not in samples]
    left_out = [LeftOut(name, text("fleet", "wildcard")) for name in wild]
    found: list[str] = []
    problems: list[str] = []
    if listed == DISCOVER:
        found, more, problems = _discovered(config, routes, samples)
        left_out += more
    hosts = _hosts([n for n in named if "*" not in n], command_line, config, "configured")
    known = {host.run.target.host for host in hosts}
    names = [name for name in found if name not in known]
    hosts += _hosts(names, command_line, config, "discovered")
    if not (hosts or problems or left_out):
        raise UsageError(text("usage", "no_host_configured"))
    return FleetPlan(
        hosts=tuple(h for h in hosts if shard is None or shard.takes(h.run.target.host)),
        left_out=tuple(left_out),
        problems=tuple(problems),
        shard=shard,
    )


def _samples(config: Config) -> dict[str, str]:
    """Wildcard host -> the name that stands for it."""
    found = {}
    for name, table in config.hosts.items():
        sample = table.get("sample")
        if sample is None:
            continue
        if "*" not in name or not names_host(name.lower(), sample.lower()):
            raise UsageError(
                text("usage", "sample", source=config.source, name=name, sample=sample)
            )
        found[name.lower()] = sample.lower()
    return found


def _discovered(
    config: Config, lists: Routes, samples: Mapping[str, str]
) -> tuple[list[str], list[LeftOut], list[str]]:
    """What the routes name, and which routes could not be read ('no such API': there are none)."""
    routes = [route for listed in lists.values() if listed.seen for route in listed.get()]
    hosts, left_out = discover(
        routes,
        include=config.fleet.get("include", ()),
        exclude=config.fleet.get("exclude", ()),
        samples=samples,
    )
    problems = [
        text("fleet", "unread", resource=resource, why=_why(listed))
        for resource, listed in sorted(lists.items())
        if listed.why not in (None, Why.NOT_FOUND)
    ]
    return hosts, left_out, problems


def discover(
    routes: Iterable[Object],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    samples: Mapping[str, str] | None = None,
) -> tuple[list[str], list[LeftOut]]:
    """The hosts of Ingresses, IngressRoutes and IngressRouteTCPs, and what was left out.

    `include` and `exclude` are shell patterns (``*.example.com``); without `include` all are
    taken, and `exclude` wins. A wildcard host becomes its entry in `samples` or is left out. A
    route that names no host at all (a regular expression, any host) is left out by its own name.
    """
    found: dict[str, None] = {}
    left: dict[str, LeftOut] = {}
    for route in routes:
        names = [name for name in hosts_of(route) if name]
        if not names:
            label = f"{route.kind or '?'} {route.namespace}/{route.name}"
            left[label] = LeftOut(label, text("fleet", "names_no_host"))
        for name in names:
            if not _wanted(name, include, exclude):
                continue
            usable, reason = _usable(name, samples or {})
            if usable is None:
                left[name] = LeftOut(name, reason)
            else:
                found[usable] = None
    return sorted(found), [left[name] for name in sorted(left)]


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether the patterns let `name` through; an empty `include` lets everything through."""
    if any(fnmatchcase(name, pattern.lower()) for pattern in exclude):
        return False
    return not include or any(fnmatchcase(name, pattern.lower()) for pattern in include)


def _usable(name: str, samples: Mapping[str, str]) -> tuple[str | None, str]:
    if "*" in name:
        sample = samples.get(name)
        return sample, "" if sample else text("fleet", "wildcard")
    try:
        return parse_target(name).host, ""
    except UsageError:
        return None, text("fleet", "no_host_name")


def _why(listed: Collected[Any]) -> str:
    words = text("why", (listed.why or Why.ERROR).value)
    return f"{words}: {listed.detail}" if listed.detail else words


def _hosts(
    names: Iterable[str], command_line: Mapping[str, Any], config: Config, source: Source
) -> list[FleetHost]:
    found: list[FleetHost] = []
    for name in dict.fromkeys(names):
        for run in host_runs([name], command_line, config):
            windows = _windows(config, name, run)
            found.append(FleetHost(run, windows, source))
    return found


def _windows(config: Config, name: str, run: HostRun) -> tuple[Window, ...]:
    values = config.values_for(run.target.host) | config.hosts.get(name, {})
    try:
        return tuple(parse_window(line) for line in values.get("maintenance", ()))
    except BadWindowError as error:
        raise UsageError(
            text("usage", "host_value", source=config.source, name=name, error=error)
        ) from None


def concurrency(config: Config) -> int:
    """How many hosts are asked at the same time. Raises UsageError."""
    number = config.fleet.get("concurrency", CONCURRENCY)
    if not 1 <= number <= 1000:
        raise UsageError(text("usage", "concurrency", value=number))
    return int(number)


def write_mode(config: Config) -> str:
    """What is written for a host that is healthy as before. Raises UsageError."""
    mode = str(config.fleet.get("write", WRITE[0]))
    if mode not in WRITE:
        raise UsageError(text("usage", "write", value=mode, known=", ".join(WRITE)))
    return mode
