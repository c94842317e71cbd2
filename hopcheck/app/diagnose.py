"""What ``hopcheck diagnose`` does: run the checks, print, watch, judge stored evidence again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hopcheck import __version__
from hopcheck.catalogue.catalogue import text
from hopcheck.config.file import Config, replay_options
from hopcheck.config.options import HostRun, UsageError
from hopcheck.model import Report
from hopcheck.model.report import DEFECT, EXIT, UNWRITTEN, worst

if TYPE_CHECKING:
    from hopcheck.engine.host import HostSession, Session
    from hopcheck.report.terminal import Progress

INTERRUPTED = 130
_LINE = 200  # cells of a round

Reports = Mapping[str, Report]  # by the URL of each host


class Look(NamedTuple):
    """What is printed of a report."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


def diagnosed(runs: Sequence[HostRun], look: Look, every_s: float | None) -> int:
    """Diagnose, print, and watch where `every_s` says how often; the exit code."""
    from hopcheck.engine.host import Session
    from hopcheck.report.terminal import Progress, make_console

    progress = Progress(make_console(stderr=True))
    session = Session(
        tuple(runs),
        on_start=(lambda _host: None) if look.quiet else progress.start,
        on_event=progress.event,
        on_step=(lambda _step: None) if look.quiet else progress.step,
    )
    with _Interrupts():
        ended = _checked(session, progress)
    code = _exit_code(session, ended)
    watching = every_s is not None and code not in (DEFECT, INTERRUPTED)
    if not (watching and look.as_json):  # one JSON document alone, at the end
        _show_session(session, look)
    if every_s is None or not watching:
        return code
    return _watch(tuple(runs), look, every_s, session, code)


class _Interrupts:
    """Notes a Ctrl-C that Python could not raise (it came within a destructor or a callback)."""

    def __init__(self) -> None:
        self.lost = False

    def __enter__(self) -> _Interrupts:
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._note
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._hook

    def _note(self, raised: sys.UnraisableHookArgs) -> None:
        if raised.exc_type is KeyboardInterrupt:
            self.lost = True
        else:
            self._hook(raised)


def _checked(session: Session, progress: Progress) -> int:
    """Run pytest in this process on the shipped checks and the user's; pytest's exit code.

    Raises UsageError for what the user named and is not there.
    """
    from hopcheck.app.own import run_checks
    from hopcheck.engine.checklist import checks_directory
    from hopcheck.schedule.guard import end_by_sigterm

    end_by_sigterm()
    try:
        code = run_checks(session, [checks_directory()])
    finally:
        progress.stop()
    if session.misnamed:
        raise UsageError(session.misnamed)
    return code


def _exit_code(session: Session, code: int) -> int:
    import pytest

    reports = [host.report for host in session.hosts.values() if host.report is not None]
    if code == pytest.ExitCode.INTERRUPTED:
        return INTERRUPTED
    defects = [words for host in session.hosts.values() for words in host.defects.values()]
    if defects or len(reports) < len(session.hosts) or code == pytest.ExitCode.INTERNAL_ERROR:
        return defect("\n".join(defects) or f"pytest ended with {code!r}")
    unwritten = any(host.write_error for host in session.hosts.values())
    return worst(EXIT[report.verdict] for report in reports) or (UNWRITTEN if unwritten else 0)


def _show_session(session: Session, look: Look) -> None:
    hosts = [host for host in session.hosts.values() if host.report is not None]
    where = [str(host.written) if host.written else host.write_error for host in hosts]
    _show([host.report for host in hosts if host.report is not None], where, look)
    for host in hosts:
        if host.write_error:
            _note("not_written", error=host.write_error)
        for note in host.notes:
            click.echo(f"hopcheck: {note}", err=True)


def _show(reports: Sequence[Report], where: Sequence[str | None], look: Look) -> None:
    """Print the reports on standard output, as JSON alone where that was asked for."""
    from hopcheck.report.json import to_dict
    from hopcheck.report.terminal import make_console, print_report

    if look.as_json:
        made = [to_dict(report) for report in reports]
        body = made[0] if len(made) == 1 else made
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    console = make_console()
    for report, place in zip(reports, where, strict=True):
        print_report(report, console, verbose=look.verbose, quiet=look.quiet, where=place)


def changed(before: Reports, now: Reports) -> bool:
    """Whether any host is not as it was; what was interrupted tells nothing."""
    return any(
        (report.verdict, report.fingerprint) != (before[url].verdict, before[url].fingerprint)
        for url, report in now.items()
        if url in before and report.complete
    )


def round_line(report: Report) -> str:
    """A round in one line: when, verdict, host, what is to be fixed."""
    from hopcheck.report.labels import verdict_word
    from hopcheck.report.since import clock
    from hopcheck.report.text import one_line

    word = verdict_word(report).upper()
    causes = ", ".join(f"{one.code} {one.object}" for one in report.root_causes)
    when = clock(report.started_at, report.started_at)
    parts = [when, word, report.target.display_host or report.target.host]
    return one_line("  ".join([*parts, causes] if causes else parts), _LINE)


def watched(
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


def _watch(runs: tuple[HostRun, ...], look: Look, every_s: float, first: Session, code: int) -> int:
    """Round after round; reports are written of, and printed for, a round that differs."""
    from hopcheck.engine.host import Session
    from hopcheck.report.terminal import Progress, make_console

    began, last = _reports(first), first

    def differs(host: HostSession) -> bool:
        url = host.run.target.url
        return host.report is not None and changed(began, {url: host.report})

    def again() -> Reports | None:
        nonlocal code, last
        session = Session(runs, keep=differs)
        with _Interrupts() as interrupts:
            ended = _exit_code(session, _checked(session, Progress(make_console(stderr=True))))
        if ended == INTERRUPTED or interrupts.lost:
            return None
        code, last = ended, session
        return None if ended == DEFECT else _reports(session)

    def say(line: str) -> None:
        click.echo(line, err=look.as_json)

    click.echo(text("label", "watching", seconds=f"{every_s:g}"), err=True)
    now = watched(began, again, every_s, say)
    if look.as_json or (last is not first and changed(began, now)):
        _show_session(last, look)
    return code


def _reports(session: Session) -> dict[str, Report]:
    return {url: h.report for url, h in session.hosts.items() if h.report is not None}


def replayed(stored: Sequence[str], options: Mapping[str, Any], file: Config, look: Look) -> int:
    """Judge stored evidence again. Nothing is written unless --reports is on the command line."""
    from hopcheck.engine.replay import replay
    from hopcheck.engine.write import write_replayed
    from hopcheck.report.evidence import BadEvidenceError, evidence_of, load, strictly

    try:
        snapshots = [load(Path(name)) for name in stored]
    except BadEvidenceError as error:
        raise UsageError(str(error)) from None
    reports: list[Report] = []
    where: list[str | None] = []
    unwritten = 0
    for name, snapshot in zip(stored, snapshots, strict=True):
        if snapshot.redaction == "strict":
            _note("strict", file=name)
        chosen = replay_options(snapshot.target.host, options, file)
        report, evidence = replay(snapshot, chosen), evidence_of(snapshot)
        if chosen.redact_strict:
            report, evidence = strictly(report, evidence)
        reports.append(report)
        where.append(None)
        if options.get("reports"):
            try:
                base = Path(str(options["reports"]))
                where[-1] = str(write_replayed(report, evidence, base))
            except OSError as error:
                unwritten = UNWRITTEN
                _note("not_written", error=error)
    _show(reports, where, look)
    return worst(EXIT[report.verdict] for report in reports) or unwritten


def defect(words: str) -> int:
    """Keep the traceback in a file and ask for a report in one line."""
    log = Path("hopcheck-error.log")
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"hopcheck {__version__}, Python {sys.version}\n{words}\n")
        where = str(log.resolve())
    except OSError as error:
        last = words.strip().splitlines()[-1]
        where = text("note", "no_log", error=error, last=last)
    _note("defect", where=where)
    return DEFECT


def _note(key: str, **params: object) -> None:
    click.echo(f"hopcheck: {text('note', key, **params)}", err=True)
