"""The command line: ``hopcheck diagnose``, ``demo``, ``faults``, ``explain``, ``doctor``."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from hopcheck import __version__
from hopcheck.app import diagnose as running
from hopcheck.catalogue.catalogue import codes, entry, text
from hopcheck.catalogue.language import speak
from hopcheck.config.file import host_runs, load_config
from hopcheck.config.options import Option, UsageError, hold_reports, options_at
from hopcheck.model import Step

USAGE = 2
# Evidence is large, lives to the end of a run and holds few cycles: looking for them as often as
# Python does by default takes a tenth of a fleet's time.
_COLLECT_AFTER = (20_000, 20, 100)


def _speak(_context: click.Context, _parameter: click.Parameter, code: str | None) -> None:
    speak(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hopcheck")
def cli() -> None:
    """Say which hop between a host name and its Pod is broken, what to fix, how to see it."""
    speak(None)


def _codes(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Codes of findings with their titles, for a shell that completes."""
    found = [code for code in codes() if code.startswith(begun.upper())]
    return [CompletionItem(code, help=entry(code).title) for code in found]


def _steps(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [step.value for step in Step if step.value.startswith(begun)]


# What an option of the table is on this command line beside it.
_MORE: dict[str, dict[str, Any]] = {
    "skip": {"shell_complete": _codes},
    "require_step": {"shell_complete": _steps},
    "watch": {"is_flag": False, "flag_value": ""},
    "shards": {"type": click.IntRange(1, 1000), "required": True},
    "wait": {"type": click.FloatRange(0, 86_400), "default": 0},
    "lang": {"callback": _speak, "expose_value": False, "is_eager": True},
}


class _Option(click.Option):
    """An option of the table; its help is in the language in use when it is shown."""

    # click sets its own, which is none.
    help = property(lambda self: self._row.help(), lambda _self, _given: None)

    def __init__(self, row: Option) -> None:
        self._row = row
        made: dict[str, Any] = {"metavar": row.metavar or None, "multiple": row.repeated}
        if row.kind == "flag":  # where the file may say it, one that is not given says nothing
            made |= {"is_flag": True, "default": None if "file" in row.at else False}
        elif row.choices:
            made["type"] = click.Choice(row.choices)
        elif row.kind == "count":
            made["type"] = int
        spelled = row.flags or (f"--{row.flag}",)
        super().__init__((*spelled, row.key), **made | _MORE.get(row.key, {}))


def _command(**more: Any) -> Callable[[Callable[..., None]], click.Command]:
    """A command of this program, with the options that the table has for it."""

    def made(function: Callable[..., None]) -> click.Command:
        command = cli.command(**more)(function)
        command.params += [_Option(row) for row in options_at(str(command.name))]
        return command

    return made


@_command()
@click.argument("hosts", nargs=-1, metavar="HOST-or-URL…")
def diagnose(
    hosts: tuple[str, ...],
    config: str | None,
    quiet: bool,
    verbose: bool,
    watch: str | None,
    **options: Any,
) -> None:
    """Walk the way to each HOST and say what is broken.

    Exit code: 0 healthy, 1 broken, 4 degraded, 3 it could not be told, 2 usage, 70 a defect of
    hopcheck, 130 interrupted. With --watch it is that of the last run.
    """
    from hopcheck.collect.kubernetes.credentials import begin

    look = running.Look(as_json=options.pop("json"), quiet=quiet, verbose=verbose)
    stored = options.pop("from")
    hosts, every_s = _watching(hosts, watch)
    file = load_config(config, Path.cwd())
    if stored:
        if hosts or every_s is not None:
            raise UsageError(text("usage", "from"))
        sys.exit(running.replayed(stored, options, file, look))
    if not hosts:
        raise UsageError(text("usage", "no_host"))
    runs = host_runs(hosts, options, file)
    hold_reports(runs)
    begin(runs[0].options)
    sys.exit(running.diagnosed(runs, look, every_s))


def _watching(hosts: tuple[str, ...], watch: str | None) -> tuple[tuple[str, ...], float | None]:
    """Hosts and the watch's interval; ``--watch myapp.example.com`` names a host, no interval."""
    if watch is None:
        return hosts, None
    try:
        every_s = float(watch)
    except ValueError:
        return (*((watch,) if watch else ()), *hosts), 10.0
    if not 1 <= every_s <= 86_400:
        raise UsageError(text("usage", "watch", watch=watch))
    return hosts, every_s


@_command()
def run(json: bool, quiet: bool, exit_zero: bool, **options: Any) -> None:
    """Diagnose every host of the configuration in one process, sharing what they share.

    Hosts are those of hopcheck.toml's [[host]] tables, or with hosts = "discover" every host that
    the cluster's routes name. Exit code: the worst host's, as with diagnose.
    """
    from hopcheck.app.own import own_checks
    from hopcheck.schedule import command

    sys.exit(
        command.run(options, as_json=json, quiet=quiet, exit_zero=exit_zero, own_checks=own_checks)
    )


@_command()
def merge(config: str | None, reports: str | None, shards: int, wait: float) -> None:
    """Merge what N shards (run --shard I/N) have published into one index, and notify.

    Exit code 3 where a shard published nothing new within --wait.
    """
    from hopcheck.schedule.outlets import commands

    sys.exit(commands.merge(config, reports, shards, wait))


@_command()
def serve(listen: str | None, **options: Any) -> None:
    """Serve /metrics, /probe?target=HOST, /healthz and the published reports over HTTP."""
    from hopcheck.schedule.outlets import commands

    sys.exit(commands.serve(options, listen))


@_command()
def runbook(**options: Any) -> None:
    """Print the runbook with the configured hosts and their links, as Markdown for a wiki."""
    from hopcheck.schedule.outlets import commands

    click.echo(commands.write_runbook(options), nl=False)


def _usage(message: str) -> NoReturn:
    click.echo(f"hopcheck: {message}", err=True)
    sys.exit(USAGE)


@_command()
@click.argument("a", metavar="A", type=click.Path(path_type=Path))
@click.argument("b", metavar="B", type=click.Path(path_type=Path))
def diff(a: Path, b: Path, json: bool) -> None:
    """Compare two runs: directories, evidence.json or report.json.

    Exit code: 0 the same, 1 different, 2 usage.
    """
    from json import dumps

    from hopcheck.app import diff as differ
    from hopcheck.report.evidence import BadEvidenceError
    from hopcheck.report.terminal import make_console

    try:
        found = differ.diff(differ.read(a), differ.read(b))
    except BadEvidenceError as error:
        _usage(str(error))
    if json:
        click.echo(dumps(differ.to_dict(found), indent=2, ensure_ascii=False))
    else:
        for line in differ.lines(found, make_console().width):
            click.echo(line)
    sys.exit(0 if found.same else 1)


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete hopcheck's commands and options."""
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    if found is None:
        _usage(text("usage", "shell", shell=shell))
    # Not the class's own source(): bash's looks for a bash of its liking first.
    click.echo(ShellComplete.source(found(cli, {}, "hopcheck", "_HOPCHECK_COMPLETE")))


@_command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(fault: str | None, arguments: tuple[str, ...]) -> None:
    """Start the embedded lab, diagnose myapp.example.com on it, stop the lab."""
    _lab("demo", *(("--fault", fault) if fault else ()), *arguments)


@cli.command()
def faults() -> None:
    """List the faults that the lab can inject, one a line."""
    _lab("faults")


def _lab(*arguments: str) -> NoReturn:
    """Hand over to the lab, which the package itself never imports."""
    from importlib.util import find_spec

    if find_spec("aiohttp") is None or find_spec("trustme") is None:
        _usage(text("usage", "lab"))
    command = [sys.executable, "-m", "hopcheck.lab", *arguments]
    os.execv(command[0], command)  # noqa: S606  # this very interpreter, no shell


@_command()
@click.argument("code", shell_complete=_codes)
def explain(code: str) -> None:
    """Print the page of a finding's CODE, in either case (Markdown where it is piped)."""
    from hopcheck.report.explain import page, plain, show

    try:
        words = plain(page(code))
    except KeyError as error:
        _usage(str(error.args[0]))
    if sys.stdout.isatty():
        show(words)
    else:
        click.echo(words)


@_command()
def doctor(config: str | None, **options: Any) -> None:
    """Tell which credentials, rights and parties are there, and what each step will see."""
    from hopcheck.app.doctor import run_doctor
    from hopcheck.config.options import build_options, given

    file = load_config(config, Path.cwd())
    sys.exit(run_doctor(build_options(file.defaults | given(options))))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; whatever escapes is a defect of hopcheck (exit 70), never a bare traceback."""
    try:
        _main(arguments)
    finally:
        if arguments is None:  # the process ends: a signal has nothing left to interrupt
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _main(arguments: Sequence[str] | None) -> None:
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        cli.main(args=arguments, prog_name="hopcheck", standalone_mode=False)
    except click.UsageError as error:
        _usage(error.format_message())
    except UsageError as error:
        _usage(str(error))
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(running.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # the last resort: log it and say so in one line
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            # What is still to be written would fail once more as Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            _usage(text("usage", "output", error=error.strerror))
        sys.exit(running.defect(traceback.format_exc()))
