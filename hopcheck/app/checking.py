"""pytest in this process, on the shipped checks and on the user's own."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from hopcheck.app.pytest_plugin import Handover
from hopcheck.catalogue.catalogue import text
from hopcheck.engine.checklist import module_of
from hopcheck.engine.host import HostSession, Session
from hopcheck.model import OwnStep, Status

_OFF = ("terminal", "cacheprovider", "doctest", "junitxml", "debugging", "logging",
        "unraisableexception", "faulthandler")  # fmt: skip
_one_at_a_time = threading.Lock()


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
