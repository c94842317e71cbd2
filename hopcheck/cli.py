"""The command line: ``hopcheck diagnose``, ``demo``, ``faults``, ``explain``, ``doctor``."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from hopcheck import __version__
from hopcheck.config import UsageError, host_runs, load_config
from hopcheck.model import Verdict

EXIT = {Verdict.HEALTHY: 0, Verdict.BROKEN: 1, Verdict.UNKNOWN: 3, Verdict.DEGRADED: 4}
USAGE, DEFECT, INTERRUPTED = 2, 70, 130
_WORST_FIRST = (DEFECT, 1, 4, 3, 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hopcheck")
def cli() -> None:
    """Say which hop between a host name and its Pod is broken, what to fix, how to see it."""


@cli.command(context_settings={"max_content_width": 100})
@click.argument("hosts", nargs=-1, metavar="HOST-or-URL…")
@click.option("--json", "as_json", is_flag=True, help="report.json alone on standard output")
@click.option("--reports", metavar="DIR", help="where reports go  [default: reports]")
@click.option("--base-url", metavar="URL", help="where DIR is served: the link in summary.md")
@click.option("--config", metavar="FILE", help="configuration file  [default: hopcheck.toml]")
@click.option("--kubeconfig", metavar="FILE")
@click.option("--context", metavar="NAME", help="kubeconfig context")
@click.option("--namespace", metavar="NS", help="look in this namespace only")
@click.option("--traefik-service", metavar="NS/NAME")
@click.option("--resolver", multiple=True, metavar="ADDR[:PORT]", help="instead of the system's")
@click.option("--connect-to", multiple=True, metavar="HOST:PORT:ADDR:PORT", help="as curl's")
@click.option("--ca-file", metavar="FILE", help="additional certificate authorities")
@click.option("--path", metavar="PATH")
@click.option("--scheme", type=click.Choice(["http", "https"]))
@click.option("--expect-status", metavar="CODES", help="[default: 200-399,401,403,405,429]")
@click.option("--timeout", metavar="SECONDS", help="for one call  [default: 5]")
@click.option("--deadline", metavar="SECONDS", help="for one host  [default: 30]")
@click.option(
    "--direct-probes/--no-direct-probes",
    default=None,
    help="send requests to node and pod addresses from here  [default: only in the cluster]",
)
@click.option(
    "--skip",
    multiple=True,
    metavar="CODE[=object]",
    help="leave a finding out (object: * and ? allowed)",
)
@click.option("--require-step", multiple=True, metavar="ID", help="it may not stay unknown")
@click.option("--strict", is_flag=True, default=None, help="no step may stay unknown")
@click.option("--redact", type=click.Choice(["default", "strict"]))
@click.option("--quiet", "-q", is_flag=True, help="verdict and fix only")
@click.option("-v", "--verbose", is_flag=True, help="all findings, evidence and facts")
def diagnose(
    hosts: tuple[str, ...],
    as_json: bool,
    config: str | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Walk the way to each HOST and say what is broken.

    Exit code: 0 healthy, 1 broken, 4 degraded, 3 it could not be told, 2 usage, 70 a defect of
    hopcheck, 130 interrupted.
    """
    if not hosts:
        _usage("no host was given: hopcheck diagnose myapp.example.com")
    try:
        runs = host_runs(hosts, options, load_config(config, Path.cwd()))
    except UsageError as error:
        _usage(str(error))
    sys.exit(_diagnose(runs, as_json=as_json, quiet=quiet, verbose=verbose))


@cli.command(context_settings={"max_content_width": 100})
@click.option("--json", "as_json", is_flag=True, help="the run's summary on standard output")
@click.option("--reports", metavar="DIR", help="where reports go  [default: reports]")
@click.option("--config", metavar="FILE", help="configuration file  [default: hopcheck.toml]")
@click.option("--shard", metavar="I/N", help="only this part of the hosts, I from 0 to N-1")
@click.option("--concurrency", type=int, help="hosts asked at the same time  [default: 50]")
@click.option("--write", type=click.Choice(["all", "nothing"]), help="[default: all]")
@click.option("--kubeconfig", metavar="FILE")
@click.option("--context", metavar="NAME", help="kubeconfig context")
@click.option("--namespace", metavar="NS", help="look in this namespace only")
@click.option("--traefik-service", metavar="NS/NAME")
@click.option("--resolver", multiple=True, metavar="ADDR[:PORT]", help="instead of the system's")
@click.option("--connect-to", multiple=True, metavar="HOST:PORT:ADDR:PORT", help="as curl's")
@click.option("--ca-file", metavar="FILE", help="additional certificate authorities")
@click.option("--timeout", metavar="SECONDS", help="for one call  [default: 5]")
@click.option("--deadline", metavar="SECONDS", help="for one host  [default: 30]")
@click.option("--direct-probes/--no-direct-probes", default=None)
@click.option("--strict", is_flag=True, default=None, help="no step may stay unknown")
@click.option("--redact", type=click.Choice(["default", "strict"]))
@click.option("--quiet", "-q", is_flag=True, help="only hosts that are not healthy")
@click.option("--exit-zero", is_flag=True, help="0 for every verdict (defects and usage are not)")
def run(as_json: bool, quiet: bool, exit_zero: bool, **options: Any) -> None:
    """Diagnose every host of the configuration in one process, sharing what they share.

    Hosts are those of hopcheck.toml's [[host]] tables, or with hosts = "discover" every host that
    the cluster's routes name. Exit code: the worst host's, as with diagnose.
    """
    from hopcheck.fleet import command

    try:
        sys.exit(command.run(options, as_json=as_json, quiet=quiet, exit_zero=exit_zero))
    except UsageError as error:
        _usage(str(error))


@cli.command(context_settings={"max_content_width": 100})
@click.option("--config", metavar="FILE", help="configuration file  [default: hopcheck.toml]")
@click.option("--reports", metavar="DIR", help="where reports are  [default: reports]")
@click.option("--shards", "count", type=click.IntRange(1, 1000), required=True, metavar="N")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 86_400), default=0, metavar="SECONDS")
def merge(config: str | None, reports: str | None, count: int, wait_s: float) -> None:
    """Merge what N shards (run --shard I/N) have published into one index, and notify.

    Exit code 3 where a shard published nothing new within --wait.
    """
    from hopcheck.outlets import commands

    try:
        sys.exit(commands.merge(config, reports, count, wait_s))
    except UsageError as error:
        _usage(str(error))


@cli.command(context_settings={"max_content_width": 100})
@click.option("--config", metavar="FILE", help="configuration file  [default: hopcheck.toml]")
@click.option("--reports", metavar="DIR", help="where reports are  [default: reports]")
@click.option("--listen", metavar="[ADDRESS]:PORT", help="[default: 127.0.0.1:9115]")
@click.option("--kubeconfig", metavar="FILE")
@click.option("--context", metavar="NAME", help="kubeconfig context")
@click.option("--resolver", multiple=True, metavar="ADDR[:PORT]", help="instead of the system's")
@click.option("--connect-to", multiple=True, metavar="HOST:PORT:ADDR:PORT", help="as curl's")
@click.option("--ca-file", metavar="FILE", help="additional certificate authorities")
@click.option("--direct-probes/--no-direct-probes", default=None)
def serve(listen: str | None, **options: Any) -> None:
    """Serve /metrics, /probe?target=HOST, /healthz and the published reports over HTTP."""
    from hopcheck.outlets import commands

    try:
        sys.exit(commands.serve(options, listen))
    except UsageError as error:
        _usage(str(error))


@cli.command(context_settings={"max_content_width": 100})
@click.option("--config", metavar="FILE", help="configuration file  [default: hopcheck.toml]")
@click.option("--kubeconfig", metavar="FILE")
@click.option("--context", metavar="NAME", help="kubeconfig context")
def runbook(**options: Any) -> None:
    """Print the runbook with the configured hosts and their links, as Markdown for a wiki."""
    from hopcheck.outlets import commands

    try:
        click.echo(commands.write_runbook(options), nl=False)
    except UsageError as error:
        _usage(str(error))


def _usage(message: str) -> NoReturn:
    click.echo(f"hopcheck: {message}", err=True)
    sys.exit(USAGE)


def checks_directory() -> Path:
    """Where the shipped checks are: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "checks"
    return inside if inside.is_dir() else package.parent / "checks"


def _diagnose(runs: Sequence[Any], *, as_json: bool, quiet: bool, verbose: bool) -> int:
    import pytest

    from hopcheck.pytest_plugin import Handover
    from hopcheck.report.terminal import Progress, make_console, print_report
    from hopcheck.session import Session

    console = make_console(stderr=as_json)
    progress = Progress(make_console(stderr=True))
    session = Session(
        tuple(runs),
        on_start=(lambda _host: None) if quiet else progress.start,
        on_event=progress.event,
        on_step=(lambda _step: None) if quiet else progress.step,
    )
    # Plugins and options of the surroundings belong to other test suites.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    package = Path(__file__).resolve().parent
    checks = checks_directory()
    arguments = ["-c", str(package / "checks.ini"), "--rootdir", str(checks), "--noconftest", "-s"]
    for name in ("terminal", "cacheprovider", "doctest", "junitxml", "debugging", "logging"):
        arguments += ["-p", f"no:{name}"]
    try:
        code = pytest.main(
            [*arguments, "-p", "hopcheck.pytest_plugin", str(checks)], plugins=[Handover(session)]
        )
    finally:
        progress.stop()
    hosts = [host for host in session.hosts.values() if host.report is not None]
    for host in hosts:
        if host.report is not None and not as_json:
            where = str(host.written) if host.written else host.write_error
            print_report(host.report, console, verbose=verbose, quiet=quiet, where=where)
    if as_json:
        _print_json([host.report for host in hosts])
    for host in hosts:
        if host.write_error:
            click.echo(f"hopcheck: the report could not be written: {host.write_error}", err=True)
        for note in host.notes:
            click.echo(f"hopcheck: {note}", err=True)
    if code == pytest.ExitCode.INTERRUPTED:
        return INTERRUPTED
    defects = [words for host in session.hosts.values() for words in host.defects.values()]
    if defects or len(hosts) < len(session.hosts) or code == pytest.ExitCode.INTERNAL_ERROR:
        return _defect("\n".join(defects) or f"pytest ended with {code!r}")
    codes = {EXIT[host.report.verdict] for host in hosts if host.report is not None}
    return next(code for code in _WORST_FIRST if code in codes)


def _print_json(reports: Sequence[Any]) -> None:
    import json

    from hopcheck.report.json import to_dict

    made = [to_dict(report) for report in reports]
    body = made[0] if len(made) == 1 else made
    click.echo(json.dumps(body, indent=2, ensure_ascii=False))


def _defect(words: str) -> int:
    """Keep the traceback in a file and ask for a report in one line."""
    log = Path("hopcheck-error.log")
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"hopcheck {__version__}, Python {sys.version}\n{words}\n")
        where = str(log.resolve())
    except OSError as error:
        where = f"(not written: {error}) {words.strip().splitlines()[-1]}"
    click.echo(f"hopcheck: a defect of hopcheck itself; please report it with {where}", err=True)
    return DEFECT


@cli.command(context_settings={"ignore_unknown_options": True})
@click.option("--fault", metavar="NAME", help="inject this fault first (see: hopcheck faults)")
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
        _usage("the lab is not installed: pip install 'hopcheck[lab]'")
    command = [sys.executable, "-m", "hopcheck.lab", *arguments]
    os.execv(command[0], command)  # noqa: S606  # this very interpreter, no shell


@cli.command()
@click.argument("code")
def explain(code: str) -> None:
    """Print the page of a finding's CODE, in either case (Markdown where it is piped)."""
    from hopcheck.explain import page

    try:
        words = page(code)
    except KeyError as error:
        _usage(str(error.args[0]))
    if not sys.stdout.isatty():
        click.echo(words)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(highlight=False)
    console.print(Markdown(words, hyperlinks=False), width=min(console.width, 100))


@cli.command()
@click.option("--kubeconfig", metavar="FILE")
@click.option("--context", metavar="NAME")
@click.option("--namespace", metavar="NS")
@click.option("--resolver", multiple=True, metavar="ADDR[:PORT]")
@click.option("--timeout", metavar="SECONDS")
def doctor(**options: Any) -> None:
    """Tell which credentials, rights and parties are there, and what each step will see."""
    from hopcheck.config import build_options
    from hopcheck.doctor import run_doctor

    try:
        sys.exit(run_doctor(build_options(options)))
    except UsageError as error:
        _usage(str(error))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; whatever escapes is a defect of hopcheck (exit 70), never a bare traceback."""
    try:
        cli.main(args=arguments, prog_name="hopcheck", standalone_mode=False)
    except click.UsageError as error:
        _usage(error.format_message())
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except Exception:  # noqa: BLE001  # the last resort: log it and say so in one line
        sys.exit(_defect(traceback.format_exc()))
