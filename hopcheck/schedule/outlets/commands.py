"""The commands beside ``hopcheck run``: merge, serve, runbook."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from hopcheck.catalogue.catalogue import text
from hopcheck.config.file import Config, load_config
from hopcheck.config.options import UsageError, build_options, given
from hopcheck.model import Report
from hopcheck.schedule.fleet_model import FleetHost, FleetPlan
from hopcheck.schedule.outlets.destination import DestinationError
from hopcheck.schedule.outlets.publishing import Publishing
from hopcheck.schedule.plan import planned
from hopcheck.schedule.runbook import runbook

_UNKNOWN = 3
_FRESH_S = 300.0  # how long the cluster's hosts are remembered by `serve`


def merge(config_file: str | None, reports: str | None, count: int, wait_s: float) -> int:
    """Merge the shards' runs; 0, or 3 where a shard is missing or nothing could be read.

    Raises UsageError.
    """
    publishing = Publishing(load_config(config_file, Path.cwd()), reports)
    try:
        lines, missing = publishing.merge(count, wait_s)
    except (DestinationError, OSError) as error:
        click.echo(f"hopcheck: {error}", err=True)
        return _UNKNOWN
    for line in lines:
        click.echo(f"hopcheck: {line}", err=True)
    for key in missing:
        words = text("note", "nothing_new", what=key, seconds=f"{wait_s:g}")
        click.echo(f"hopcheck: {words}", err=True)
    return _UNKNOWN if missing else 0


def write_runbook(options: dict[str, Any]) -> str:
    """The runbook for the configured hosts, as Markdown. Raises UsageError."""
    config = load_config(options.pop("config"), Path.cwd())
    return runbook(asyncio.run(_planned(config, given(options))).hosts, docs=None)


async def _planned(config: Config, options: Mapping[str, Any]) -> FleetPlan:
    """The configured hosts; the cluster is read where they are to be discovered."""
    from hopcheck.collect.shared import Shared

    shared = Shared(build_options({**config.defaults, **options}))
    try:
        return await planned(config, options, shared)
    finally:
        await shared.close()


async def _probe(
    config: Config, options: Mapping[str, Any], host: str, limit: float
) -> Report | None:
    """Diagnose one host now, as ``hopcheck diagnose`` would, and write nothing.

    None where hopcheck itself failed.
    """
    from hopcheck.collect.shared import Shared
    from hopcheck.config.file import host_runs
    from hopcheck.schedule.fleet_run import FleetRun

    (run,) = host_runs([host], {**options, "deadline": limit}, config)
    shared = Shared(run.options)
    try:
        fleet = FleetRun(FleetPlan(hosts=(FleetHost(run),)), shared, concurrency=1)
        (one,) = (await fleet.run()).hosts
    finally:
        await shared.close()
    return None if one.defects else one.report


class Configured:
    """Names and URLs of the configured hosts; discovered ones are asked for every few minutes."""

    def __init__(self, config: Config, options: Mapping[str, Any]) -> None:
        self._config = config
        self._options = options
        self._names: frozenset[str] = frozenset()
        self._until = 0.0

    async def __call__(self) -> frozenset[str]:
        """The names; those of last time where the cluster cannot be read."""
        if time.monotonic() >= self._until:
            found = await _planned(self._config, self._options)
            targets = [host.run.target for host in found.hosts]
            names = frozenset(name for one in targets for name in (one.host, one.url))
            self._names = names | (self._names if found.problems else frozenset())
            self._until = time.monotonic() + _FRESH_S
        return self._names


def serve(options: dict[str, Any], listen: str | None) -> int:
    """Serve until SIGTERM or Ctrl-C. Raises UsageError."""
    try:
        from hopcheck.schedule.outlets.serve import split_listen
    except ImportError:
        raise UsageError(text("usage", "serve")) from None
    config = load_config(options.pop("config"), Path.cwd())
    publishing = Publishing(config, options.get("reports"))
    address = split_listen(listen or publishing.outlets.listen)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config, given(options), publishing, address))
    return 0


async def _serve(
    config: Config, options: dict[str, Any], publishing: Publishing, address: tuple[str | None, int]
) -> None:
    from aiohttp import web

    from hopcheck.schedule.outlets.serve import Site

    configured = Configured(config, options)
    await configured()
    probe = partial(_probe, config, options)
    site = Site(publishing.place, probe, configured, publishing.outlets.probe)
    runner = web.AppRunner(site.application(), access_log=None)
    await runner.setup()
    if runner.server is None:
        raise AssertionError  # it was set up
    ending = asyncio.create_task(site.end_idle(runner.server))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        try:
            await web.TCPSite(runner, *address).start()
        except OSError as error:
            raise UsageError(f"listen: {error.strerror or error}") from None
        shown = ", ".join(f"{name[0]}:{name[1]}" for name in runner.addresses)
        click.echo(f"hopcheck: {text('note', 'serving', where=shown)}", err=True)
        await stop.wait()
    finally:
        ending.cancel()
        await runner.cleanup()
