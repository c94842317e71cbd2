"""The pytest plugin: options, parametrization by host, and the reports at the end.

Loaded by ``-p hopcheck.pytest_plugin`` or by the root conftest, never by an entry point.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hopcheck.app import own
from hopcheck.app.fixtures import SESSION, step_of
from hopcheck.catalogue.catalogue import text
from hopcheck.catalogue.language import speak
from hopcheck.config.file import host_runs, load_config
from hopcheck.config.options import options_at
from hopcheck.engine.host import HostSession, Session
from hopcheck.report.text import for_terminal, one_line
from hopcheck.steps import PARTIES

REPORTS_WRITTEN = pytest.StashKey[list[HostSession]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--host``, ``--url`` and ``--hop-…``."""
    group = parser.getgroup("hopcheck", "hopcheck: the way of a request, hop by hop")
    group.addoption("--host", action="append", default=[], metavar="HOST", help="diagnose HOST")
    group.addoption("--url", action="append", default=[], metavar="URL", help="diagnose URL")
    for row in options_at("pytest"):
        more: dict[str, Any] = {"metavar": row.metavar or "|".join(row.choices)}
        if row.kind == "flag":
            more = {"action": "store_true"}
        elif row.repeated:
            more["action"] = "append"
        dest = f"hop_{row.key}"
        group.addoption(f"--hop-{row.flag}", dest=dest, default=None, help=row.help(), **more)


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
        hosts = [*config.getoption("host"), *config.getoption("url")]
        config.stash[SESSION] = Session(host_runs(hosts, given, file))
    except ValueError as error:  # UsageError is one
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever uses `target`, and what the user has added, once for each host."""
    hosts = metafunc.config.stash[SESSION].hosts
    named = {url for url, host in hosts.items() if own.is_below(metafunc.definition.path, host)}
    if named and "target" not in metafunc.fixturenames:
        metafunc.fixturenames.append("target")
    if named or own.is_check(metafunc.fixturenames):
        chosen = {url: host for url, host in hosts.items() if url in named or not named}
        metafunc.parametrize(
            "target",
            list(chosen),
            indirect=True,
            ids=[_id(host) for host in chosen.values()],
            scope="session",
        )


def _id(host: HostSession) -> str:
    asked = host.run.target
    return asked.host if asked.url == f"https://{asked.host}/" else asked.url


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Refuse to run checks without a host, rather than skip them all and look green."""
    checks = [i for i in items if isinstance(i, pytest.Function) and own.is_check(i.fixturenames)]
    if checks and not config.stash[SESSION].hosts:
        raise pytest.UsageError(text("usage", "no_host_pytest"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the selected checks read."""
    hop = session.config.stash[SESSION]
    for item in session.items:
        if not isinstance(item, pytest.Function) or not own.is_check(item.fixturenames):
            continue
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
    """Note what a check of one's own says."""
    report = yield
    for host in own.hosts_of(item, item.config.stash[SESSION]):
        own.note(host, item, call, report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports of all hosts of which something was judged or collected."""
    config = session.config
    written = config.stash.setdefault(REPORTS_WRITTEN, [])
    if SESSION not in config.stash or config.getoption("collectonly"):
        return
    from hopcheck.engine.write import write  # with the history, which only a run's end needs

    for host in config.stash[SESSION].finish():
        if host.collection is None or not config.stash[SESSION].keep(host):
            continue
        try:
            write(host)
        except OSError as error:
            # The verdict stands without files; the command line and the summary say why.
            host.write_error = str(error)
        written.append(host)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name verdict, root causes and the report after pytest's own summary."""
    for host in config.stash.get(REPORTS_WRITTEN, []):
        if host.report is None:
            continue
        terminalreporter.section(f"hopcheck {host.run.target.host}", sep="-")
        word = text("label", f"verdict.{host.report.verdict.value}")
        terminalreporter.line(f"{word}: {for_terminal(host.report.headline)}")
        for finding in host.report.root_causes:
            terminalreporter.line(f"{finding.code} {one_line(str(finding.object), 200)}")
            fix = text("note", "fix", fix=one_line(finding.fix, 400))
            terminalreporter.line(f"  {fix}")
        terminalreporter.line(text("note", "report", where=host.written or host.write_error))
        for note in host.notes:
            terminalreporter.line(one_line(note, 400))


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
