"""The pytest plugin: options, parametrization by host, and the reports at the end.

Loaded by ``-p hopcheck.pytest_plugin`` or by the root conftest, never by an entry point.
"""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hopcheck.app import fixtures, own
from hopcheck.app.fixtures import SESSION, step_of
from hopcheck.catalogue.catalogue import text
from hopcheck.catalogue.language import speak
from hopcheck.config.file import host_runs, load_config
from hopcheck.config.options import Misnamed, hold_reports, options_at
from hopcheck.engine.host import HostSession, Session
from hopcheck.model import Report
from hopcheck.report.labels import verdict_word
from hopcheck.report.text import for_terminal, one_line
from hopcheck.steps import PARTIES

# What is said of each host at the end: (heading, lines).
SUMMARY = pytest.StashKey[list[tuple[str, list[str]]]]()
_HOSTS = ("host", "url")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add ``--hop-…``, and the short names as soon as the project has added its own options."""
    group = parser.getgroup("hopcheck", "hopcheck: the way of a request, hop by hop")
    for name in _HOSTS:
        group.addoption(
            f"--hop-{name}",
            dest=f"hop_{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"diagnose {name.upper()} (short: --{name})",
        )
    files = (getattr(one, "__file__", None) or "" for one in pluginmanager.get_plugins())
    if any(Path(file).name == "conftest.py" for file in files):
        _add_short_names(parser)  # a conftest brings this plugin: there is no later
    for row in options_at("pytest"):
        more: dict[str, Any] = {"metavar": row.metavar or "|".join(row.choices)}
        if row.kind == "flag":
            more = {"action": "store_true"}
        elif row.repeated:
            more["action"] = "append"
        dest = f"hop_{row.key}"
        group.addoption(f"--hop-{row.flag}", dest=dest, default=None, help=row.help(), **more)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, None, None]:
    """Leave ``--host`` and ``--url`` to a conftest that has options of that name."""
    yield
    _add_short_names(parser)


def _add_short_names(parser: pytest.Parser) -> None:
    for name in _HOSTS:
        with suppress(ValueError, ArgumentError):  # the project's own
            parser.addoption(
                f"--{name}", dest=f"hop_{name}", action="append", help=f"short for --hop-{name}"
            )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark and read the options. Bad ones end the run with one line (exit 4)."""
    config.addinivalue_line(
        "markers",
        "hop(reads): the parties whose evidence a check needs (default: those of its fixtures)",
    )
    handed = config.pluginmanager.get_plugin("hopcheck-handover")
    if handed is not None:
        config.stash[SESSION] = handed.session
        config.pluginmanager.register(own.Guard(handed.session), "hopcheck-guard")
        return
    given = {row.key: config.getoption(f"hop_{row.key}") for row in options_at("pytest")}
    try:
        speak(given.pop("lang"))
        file = load_config(given.pop("config"), Path.cwd())
        hosts = [one for name in _HOSTS for one in config.getoption(f"hop_{name}")]
        hold_reports(runs := host_runs(hosts, given, file))
        config.stash[SESSION] = Session(runs)
    except ValueError as error:  # UsageError is one
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever uses `target`, and what the user has added, once for each host."""
    hosts = metafunc.config.stash[SESSION].hosts
    named = {url for url, host in hosts.items() if own.is_below(metafunc.definition.path, host)}
    if named and "target" not in metafunc.fixturenames:
        metafunc.fixturenames.append("target")
    if hosts and (named or own.is_check(metafunc.fixturenames)):
        chosen = {url: host for url, host in hosts.items() if url in named or not named}
        metafunc.parametrize(
            "target",
            list(chosen),
            indirect=True,
            ids=[own.id_of(host) for host in chosen.values()],
            scope="session",
        )


def _checks(session: pytest.Session) -> list[pytest.Function]:
    items = [item for item in session.items if isinstance(item, pytest.Function)]
    return [item for item in items if own.is_check(item.fixturenames)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Refuse to run checks without a host, rather than skip them all and look green."""
    hosts = session.config.stash[SESSION].hosts
    if hosts or session.config.getoption("collectonly") or not _checks(session):
        return None
    _refuse(session, text("usage", "no_host_pytest"))
    return True


def _refuse(session: pytest.Session, words: str) -> None:
    """End the run as pytest's usage errors end, from a worker as well.

    What a worker raises is a crash to xdist; and the command line says it itself.
    """
    worker: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if worker is not None:
        worker["hopcheck_refused"] = words
    elif not session.config.pluginmanager.has_plugin("hopcheck-handover"):
        raise pytest.UsageError(words)
    session.shouldstop = words


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the selected checks read."""
    hop = session.config.stash[SESSION]
    for item in _checks(session) if hop.hosts else ():
        host = hop.hosts[str(item.callspec.params["target"])]
        if "checklist" in item.fixturenames:
            host.select({step_of(item): item.module.RULES})
        else:
            host.select({}, _reads(item))


def _reads(item: pytest.Function) -> Sequence[str]:
    """The parties whose evidence a check of one's own reads: its mark's, else its fixtures'."""
    mark = item.get_closest_marker("hop")
    if mark is not None and "reads" in mark.kwargs:
        return tuple(mark.kwargs["reads"])
    read = [party for party in PARTIES if f"{party}_evidence" in item.fixturenames]
    return read or (PARTIES if "snapshot" in item.fixturenames else ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what a check of one's own says. What is skipped stands in the check's file, not here."""
    report = yield
    raised = call.excinfo
    if raised is not None and raised.errisinstance(Misnamed) and item in _checks(item.session):
        _refuse(item.session, str(raised.value))
    if isinstance(report.longrepr, tuple) and report.longrepr[0] == fixtures.__file__:
        path, line, _ = item.reportinfo()
        report.longrepr = (str(path), (line or 0) + 1, report.longrepr[2])
    for host in own.hosts_of(item, item.config.stash[SESSION]):
        own.note(host, item, call, report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports of all hosts of which something was judged or collected."""
    config = session.config
    said = config.stash.setdefault(SUMMARY, [])
    hop = config.stash.get(SESSION, None)
    if hop is None or hop.misnamed or config.getoption("collectonly"):
        return
    from hopcheck.engine.write import write  # with the history, which only a run's end needs

    for host in hop.finish():
        if host.collection is None or not hop.keep(host):
            continue
        try:
            write(host)
        except OSError as error:
            # The verdict stands without files; the command line and the summary say why.
            host.write_error = str(error)
        if host.report is not None:
            said.append((f"hopcheck {host.run.target.host}", _summary(host, host.report)))
    if hasattr(config, "workeroutput"):
        config.workeroutput["hopcheck"] = said


def _summary(host: HostSession, report: Report) -> list[str]:
    """Verdict, root causes with their fixes, where the report is, and what else is to be said."""
    lines = [f"{verdict_word(report)}: {for_terminal(report.headline)}"]
    for finding in report.root_causes:
        lines.append(f"{finding.code} {one_line(str(finding.object), 200)}")
        lines.append(f"  {text('note', 'fix', fix=one_line(finding.fix, 400))}")
    lines.append(text("note", "report", where=host.written or host.write_error))
    return lines + [one_line(note, 400) for note in host.notes]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of xdist has to say of its hosts, or why it refused."""
    output = getattr(node, "workeroutput", {})  # none of one that crashed
    if refused := output.get("hopcheck_refused"):
        raise pytest.UsageError(refused)
    node.config.stash.setdefault(SUMMARY, []).extend(output.get("hopcheck", ()))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name verdict, root causes and the report after pytest's own summary."""
    for heading, lines in config.stash.get(SUMMARY, []):
        terminalreporter.section(heading, sep="-")
        for line in lines:
            terminalreporter.line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the steps of one host on one worker, which alone writes its report."""
    if not config.stash[SESSION].hosts:
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByHost(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.rpartition("[")[2]

    return ByHost(config, log)
