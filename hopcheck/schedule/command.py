"""``hopcheck run``: every host of the configuration, in one process."""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import Struct

from hopcheck.catalogue.catalogue import text
from hopcheck.config.file import Config, load_config
from hopcheck.config.options import build_options, given
from hopcheck.model.report import EXIT, UNWRITTEN
from hopcheck.schedule.fleet_model import FleetResult, Shard, parse_shard
from hopcheck.schedule.guard import end_by_sigterm
from hopcheck.schedule.plan import concurrency, planned, write_mode

if TYPE_CHECKING:
    from hopcheck.history.with_past import Fetch
    from hopcheck.schedule.fleet_run import FleetRun, OwnChecks
    from hopcheck.schedule.outlets.publishing import Publishing

INTERRUPTED = 130
_COLOURS = {"broken": "red", "defect": "red", "degraded": "yellow", "unknown": "magenta"}


class Asked(Struct, frozen=True):
    """What the command was told: the configuration, options that beat it, and the shard."""

    config: Config
    options: dict[str, Any]
    shard: Shard | None
    concurrency: int
    mode: str


def asked_of(options: dict[str, Any]) -> Asked:
    """Read the file and the options of the command. Raises UsageError."""
    config = load_config(options.pop("config"), Path.cwd())
    shard = options.pop("shard")
    overriding = {key: options.pop(key) for key in ("concurrency", "write")}
    config = msgspec.structs.replace(config, fleet=config.fleet | given(overriding))
    number = parse_shard(shard) if shard else None
    return Asked(config, given(options), number, concurrency(config), write_mode(config))


async def diagnose(
    asked: Asked,
    runs: list[FleetRun],
    fetch: Fetch | None = None,
    own_checks: OwnChecks | None = None,
) -> None:
    """Read the cluster where hosts are to be discovered, diagnose every host, write the files.

    `runs` receives the FleetRun, which holds the result, also after an interruption. (Returned by
    the main task, asyncio's signal handling would put it in words: 0.2 s for 1,000 hosts.) `fetch`
    brings evidence of earlier runs that is kept elsewhere, `own_checks` runs a host's own checks.
    """
    from hopcheck.collect.shared import Shared
    from hopcheck.engine.write import write
    from hopcheck.schedule.fleet_run import FleetRun

    many = partial(write, index=False, record=False, fetch=fetch)
    shared = Shared(build_options({**asked.config.defaults, **asked.options}))
    try:
        run = FleetRun(
            await planned(asked.config, asked.options, shared, asked.shard),
            shared,
            concurrency=asked.concurrency,
            own_checks=own_checks,
            write=None if asked.mode == "nothing" else many,
        )
        runs.append(run)
        await run.run()
    finally:
        await shared.close()


def run(
    options: dict[str, Any],
    *,
    as_json: bool,
    quiet: bool,
    exit_zero: bool = False,
    own_checks: OwnChecks | None = None,
) -> int:
    """The exit code by the contract (`exit_zero`: 0 for every verdict). Raises UsageError."""
    from hopcheck.schedule.outlets.publishing import Publishing

    asked = asked_of(options)
    publishing = Publishing(asked.config, asked.options.get("reports"))
    asked.options["reports"] = str(publishing.base)
    end_by_sigterm()
    runs: list[FleetRun] = []
    try:
        publishing.before()
        asyncio.run(diagnose(asked, runs, publishing.fetch, own_checks))
        result = runs[0].result()
    except KeyboardInterrupt:
        if not runs:
            return INTERRUPTED
        result = runs[0].result(complete=False)
    tell(result, as_json=as_json, quiet=quiet)
    if asked.mode != "nothing":
        keep(result, publishing)
    for each in result.hosts:
        if each.write_error:
            words = text("note", "not_written", error=each.write_error)
            click.echo(f"hopcheck: {each.target.host}: {words}", err=True)
    if not result.complete:
        return INTERRUPTED
    code = 0 if exit_zero and result.exit_code in EXIT.values() else result.exit_code
    return code or (UNWRITTEN if any(each.write_error for each in result.hosts) else 0)


def keep(result: FleetResult, publishing: Publishing) -> None:
    """Write the summary and the index, tell and publish; none of it changes a verdict."""
    from hopcheck.history.index import update_index
    from hopcheck.schedule.summary import write_summary

    publishing.bring_heads(result)
    for line in remember(publishing.base, result):
        click.echo(f"hopcheck: {line}", err=True)
    try:
        write_summary(publishing.base, result)
        if result.shard is None:  # the merge makes the index of all of them
            update_index(publishing.base, dt.datetime.now(dt.UTC))
    except OSError as error:
        click.echo(f"hopcheck: {text('note', 'no_summary', error=error)}", err=True)
    for line in publishing.after(result):
        click.echo(f"hopcheck: {line}", err=True)


def remember(base: Path, result: FleetResult) -> list[str]:
    """Add all runs to the history at once; what kept them from it, in words.

    A run that is killed before this is found by its directory, the next time.
    """
    from hopcheck.history.database import History, HistoryError
    from hopcheck.history.retention import prune

    now = dt.datetime.now(dt.UTC)
    notes = []
    with History(base) as history:
        try:
            with history.batch():
                for each in result.hosts:
                    if each.report is None or each.written is None:
                        continue
                    where, kept = Path(each.written), each.host.run
                    history.record(where.parent.name, each.report, where.name)
                    prune(history, base, where.parent.name, now, kept.keep_runs, kept.keep_days)
        except HistoryError as error:
            notes.append(str(error))
        if history.said:
            notes.append(history.said)
    return notes


def tell(result: FleetResult, *, as_json: bool, quiet: bool) -> None:
    """Print the run: JSON alone, or one line a host with the worst first (quiet: no healthy)."""
    from hopcheck.schedule.summary import lines, notes, to_json

    if as_json:
        click.echo(to_json(result), nl=False)
        return
    for state, line in lines(result):
        if not (quiet and state in ("healthy", "maintenance")):
            click.echo(click.style(line, fg=_COLOURS.get(state)))
    for note in notes(result):
        click.echo(note)
