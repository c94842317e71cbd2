"""``hopcheck run``: every host of the configuration, in one process."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hopcheck.config import Config, UsageError, build_options, load_config
from hopcheck.fleet.model import FleetResult
from hopcheck.fleet.plan import concurrency, plan, write_mode
from hopcheck.fleet.shards import BadShardError, Shard, parse_shard
from hopcheck.session import HostSession

INTERRUPTED = 130
_COLOURS = {"broken": "red", "defect": "red", "degraded": "yellow", "unknown": "magenta"}


class Settings:
    """What the command was told: the configuration, options that beat it, and the shard."""

    def __init__(self, config: Config, options: Mapping[str, Any], shard: Shard | None) -> None:
        self.config = config
        self.options = {k: v for k, v in options.items() if v not in (None, (), [])}
        self.shard = shard
        self.concurrency = concurrency(config)
        self.mode = write_mode(config)
        self.reports = Path(
            str(self.options.get("reports") or config.defaults.get("reports", "reports"))
        )


def settings(options: dict[str, Any]) -> Settings:
    """Read the file and the options of the command. Raises UsageError."""
    config = load_config(options.pop("config"), Path.cwd())
    shard = options.pop("shard")
    overriding = {key: options.pop(key) for key in ("concurrency", "write")}
    fleet = {**config.fleet, **{k: v for k, v in overriding.items() if v is not None}}
    config = Config(config.defaults, config.hosts, config.source, fleet)
    try:
        return Settings(config, options, parse_shard(shard) if shard else None)
    except BadShardError as error:
        raise UsageError(str(error)) from None


async def diagnose(asked: Settings, runs: list[Any]) -> FleetResult:
    """Read the cluster where hosts are to be discovered, diagnose every host, write the files.

    `runs` receives the FleetRun, for what there is of it after an interruption.
    """
    from hopcheck.collect.shared import Shared
    from hopcheck.fleet.run import FleetRun

    options = build_options({**asked.config.defaults, **asked.options})
    shared = Shared(options)
    try:
        lists = {}
        if asked.config.fleet.get("hosts") == "discover":
            lists = await shared.routes(options)
        hosts = plan(asked.config, asked.options, lambda _options: lists, asked.shard)
        run = FleetRun(
            hosts,
            shared,
            concurrency=asked.concurrency,
            write=None if asked.mode == "nothing" else written,
        )
        runs.append(run)
        return await run.run()
    finally:
        await shared.close()


def written(host: HostSession) -> tuple[str | None, str | None]:
    """Write a host's files: (directory, error)."""
    from hopcheck.session import write

    try:
        return str(write(host, index=False)), None
    except OSError as error:
        return None, str(error)


def run(options: dict[str, Any], *, as_json: bool, quiet: bool) -> int:
    """The command; the exit code by the contract. Raises UsageError."""
    asked = settings(options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs: list[Any] = []
    try:
        result = asyncio.run(diagnose(asked, runs))
    except KeyboardInterrupt:
        if not runs:
            return INTERRUPTED
        result = runs[0].result(complete=False)
    tell(result, as_json=as_json, quiet=quiet)
    keep(asked, result)
    for each in result.hosts:
        if each.write_error:
            click.echo(
                f"hopcheck: {each.target.host}: the report could not be written: "
                f"{each.write_error}",
                err=True,
            )
    return result.exit_code if result.complete else INTERRUPTED


def keep(asked: Settings, result: FleetResult) -> None:
    """Write the summary and the index; that they cannot be written changes no verdict."""
    from hopcheck.fleet.summary import write_summary
    from hopcheck.report.index import update_index

    if asked.mode == "nothing":
        return
    try:
        write_summary(asked.reports, result)
        update_index(asked.reports, dt.datetime.now(dt.UTC))
    except OSError as error:
        click.echo(f"hopcheck: the summary could not be written: {error}", err=True)


def tell(result: FleetResult, *, as_json: bool, quiet: bool) -> None:
    """Print the run: JSON alone, or one line a host with the worst first (quiet: no healthy)."""
    from hopcheck.fleet.summary import lines, notes, to_json

    if as_json:
        click.echo(to_json(result), nl=False)
        return
    for state, line in lines(result):
        if not (quiet and state in ("healthy", "maintenance")):
            click.echo(click.style(line, fg=_COLOURS.get(state)))
    for note in notes(result):
        click.echo(note)
