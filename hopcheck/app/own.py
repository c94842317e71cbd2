"""pytest in this process, on the shipped checks and one's own: whose these are, what they said."""

from __future__ import annotations

import inspect
import os
import shlex
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from hopcheck.catalogue.catalogue import text
from hopcheck.engine.checklist import module_of
from hopcheck.engine.host import HostSession, Session
from hopcheck.model import OwnStep, Status
from hopcheck.schedule.guard import TooLongError, limited

_WORDS = 2_000  # of a failure: the rest is in the check
_OFF = ("terminal", "cacheprovider", "doctest", "junitxml", "debugging", "logging",
        "unraisableexception", "faulthandler")  # fmt: skip
_one_at_a_time = threading.Lock()


def is_check(fixtures: Sequence[str]) -> bool:
    """Whether a test is about a host: it uses this suite's `target`, directly or not."""
    return "target" in fixtures and "hop_session" in fixtures


def is_below(path: Path, host: HostSession) -> bool:
    """Whether a file is in one of the host's directories of own checks."""
    return any(path.is_relative_to(Path(one).resolve()) for one in host.run.options.checks)


def id_of(host: HostSession) -> str:
    """What pytest shows of a host, beside the name of a check."""
    asked = host.run.target
    return asked.host if asked.url == f"https://{asked.host}/" else asked.url


def _name(item: pytest.Item, host: HostSession) -> str:
    """The check's name, with its own parameters: one is a step of the report, not two of a name."""
    name = getattr(item, "originalname", None) or item.name
    given = item.name.removeprefix(name).strip("[]").replace(id_of(host), "").strip("-")
    return f"{name}[{given}]" if given else str(name)


def hosts_of(item: pytest.Item, session: Session) -> list[HostSession]:
    """The hosts that a check of one's own was run for; [] where it is one of the seven, or none."""
    fixtures = getattr(item, "fixturenames", ())
    if "checklist" in fixtures:
        return []
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if "target" in params and str(params["target"]) in session.hosts:
        return [session.hosts[str(params["target"])]]
    return [host for host in session.hosts.values() if is_below(item.path, host)]


def note(
    host: HostSession, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    """Keep the outcome of a check: its docstring is the sentence, its failure's words the finding.

    What it could not look at (it skips, a fixture fails, no time is left) is unknown.
    """
    if report.when == "teardown" or (report.when == "setup" and report.passed):
        return
    status, reason = Status.PASS, None
    if report.skipped:
        told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = told.removeprefix("Skipped: ")
        by_word = reason.partition(":")[0] == Status.NOT_APPLICABLE.value
        status = Status.NOT_APPLICABLE if by_word else Status.UNKNOWN
        reason = reason.removeprefix(f"{status.value}: ")
    elif report.failed and call.excinfo is not None:
        raised = call.excinfo
        unseen = report.when == "setup" or isinstance(raised.value, TooLongError)
        status = Status.UNKNOWN if unseen else Status.FAIL
        reason = raised.exconly().removeprefix("AssertionError: ").removeprefix("Failed: ")
    function = getattr(item, "function", None)
    name = _name(item, host)
    words = (inspect.getdoc(function) or "").partition("\n")[0].partition(". ")[0].rstrip(".")
    title = words or name.removeprefix("test_").replace("_", " ")
    said = reason[:_WORDS] if reason else None
    host.own.append(OwnStep(name, title, status, said, round(report.duration, 3)))


class Guard:
    """What keeps checks of one's own from taking a run of the command line along.

    A plugin of pytest: each has the time of its host and prints to standard error; a file that
    cannot be loaded is unknown.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Bound a check's fixtures; collecting, which may be among them, has its own deadline."""
        return (yield from self._bounded(item, 2))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Bound a check."""
        return (yield from self._bounded(item, 1))

    def _bounded(self, item: pytest.Item, deadlines: int) -> Generator[None, None, None]:
        hosts = hosts_of(item, self._session)
        if not hosts:
            return (yield)
        seconds = deadlines * max(host.run.options.deadline for host in hosts)
        with redirect_stdout(sys.stderr), limited(seconds):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Keep that a file of checks could not be loaded: what they check is unknown."""
        report = yield
        path = collector.path
        for host in self._session.hosts.values():
            if report.failed and is_below(path, host):
                words = str(report.longrepr)[-_WORDS:]
                host.own.append(OwnStep(path.stem, path.name, Status.UNKNOWN, words, 0.0))
        return report


class Handover:
    """A Session that the command line has prepared; registered as plugin ``hopcheck-handover``."""

    __name__ = "hopcheck-handover"

    def __init__(self, session: Session) -> None:
        self.session = session


def run_checks(session: Session, shipped: Sequence[Path] = ()) -> int:
    """Run the shipped checks of these directories, then the hosts' own; pytest's exit code."""
    # Plugins and options of the surroundings belong to other test suites.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    own = dict.fromkeys(one for host in session.hosts.values() for one in host.run.options.checks)
    arguments = [
        "-c",
        str(Path(__file__).with_name("checks.ini")),
        "--rootdir",
        str(next(iter((*shipped, *own)))),
        "--noconftest",
        "--import-mode=importlib",
        "--continue-on-collection-errors",
        "-s",
    ]
    if own:  # a helper module beside the checks can be imported
        arguments += ["-o", f"pythonpath={shlex.join(own)}"]
    for name in _OFF:
        arguments += ["-p", f"no:{name}"]
    arguments += ["-p", "hopcheck.pytest_plugin", *map(str, shipped), *own]
    conftests = [Path(one) / "conftest.py" for one in own]
    # The conftest.py of the surroundings are not read, those of own checks are.
    plugins = [module_of(p, f"conftest_of_{p.parent.name}") for p in conftests if p.is_file()]
    return int(pytest.main(arguments, plugins=[Handover(session), *plugins]))


def own_checks(host: HostSession) -> None:
    """Run a host's own checks on the evidence that is there, and add them to its report.

    For hosts of a fleet: in a thread that is left behind where a check does not end by the host's
    deadline; then, and while an earlier host's still runs, they are unknown.
    """
    seconds = host.run.options.deadline
    before = len(host.own)

    def work() -> None:
        with _one_at_a_time:
            session = Session((), keep=lambda _host: False)
            session.hosts = {host.run.target.url: host}
            run_checks(session)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        words = text("why", "timed_out")
        names = [Path(one).name for one in host.run.options.checks]
        host.own = [OwnStep(name, name, Status.UNKNOWN, words, seconds) for name in names]
    if len(host.own) > before:
        host.assess()
