"""``diagnose --watch``: until something changes."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from hopcheck.app import diagnose
from hopcheck.model import Report
from tests.app.test_cli import environment
from tests.report.examples import BROKEN, HEALTHY

URL = "https://myapp.example.com/"


def watched(*rounds: Report | None) -> tuple[Report, list[str], list[float]]:
    coming = iter(rounds)
    said: list[str] = []
    slept: list[float] = []

    def again() -> dict[str, Report] | None:
        report = next(coming)
        return None if report is None else {URL: report}

    last = diagnose.watched({URL: BROKEN}, again, 5.0, said.append, slept.append)
    return last[URL], said, slept


def test_until_the_verdict_changes() -> None:
    last, said, slept = watched(BROKEN, BROKEN, HEALTHY, BROKEN)
    assert last is HEALTHY
    assert slept == [5.0] * 3
    assert [line.split()[1] for line in said] == ["BROKEN", "BROKEN", "HEALTHY"]


def test_until_the_fingerprint_changes() -> None:
    other = msgspec.structs.replace(BROKEN, fingerprint="another", duration_s=9.0)
    assert watched(msgspec.structs.replace(BROKEN, headline="x"), other)[0] is other


def test_an_interrupted_round_tells_nothing() -> None:
    cut = msgspec.structs.replace(HEALTHY, complete=False)
    last, said, _ = watched(BROKEN, cut, None)
    assert last is cut
    assert len(said) == 2
    assert watched(BROKEN, None)[0] is BROKEN


def test_ctrl_c_ends_it() -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    assert diagnose.watched({URL: BROKEN}, lambda: None, 5.0, print, interrupted)[URL] is BROKEN


def test_a_round_is_one_line() -> None:
    assert diagnose.round_line(BROKEN) == (
        "03:00:00Z BROKEN myapp.example.com END001 Service default/my-app-service"
    )
    sick = msgspec.structs.replace(BROKEN, root_causes=BROKEN.root_causes * 50)
    assert len(diagnose.round_line(sick)) <= 200


class Application(BaseHTTPRequestHandler):
    status = 500

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def application() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    Thread(target=server.serve_forever, daemon=True).start()
    Application.status = 500
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def start(tmp_path: Path, url: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hopcheck", "diagnose", url, "--watch", "1", *more],
        cwd=tmp_path, env=environment(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def rounds(process: subprocess.Popen[str], how_many: int) -> None:
    """Read until so many lines of rounds were printed."""
    assert process.stdout is not None
    while how_many:
        line = process.stdout.readline()
        assert line, "the watch has ended"
        how_many -= bool(re.match(r"\d\d:\d\d:\d\dZ ", line))


def test_a_fix_is_seen(tmp_path: Path, application: str) -> None:
    process = start(tmp_path, application)
    rounds(process, 2)
    Application.status = 200
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert re.search(r"^\d\d:\d\d:\d\dZ HEALTHY \(1 OF 7 SEEN\) 127\.0\.0\.1$", stdout, re.M)
    assert re.search(
        r"^HEALTHY \(1 OF 7 SEEN\)  http://", stdout, re.M
    )  # the whole report of the last one
    assert "Traceback" not in stderr
    # The first and the last are written, the rounds between them are not.
    assert len(list(tmp_path.glob("reports/*/2*"))) == 2


def test_ctrl_c_gives_the_exit_code_of_the_last_run(tmp_path: Path, application: str) -> None:
    process = start(tmp_path, application, "--quiet")
    rounds(process, 1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert len(list(tmp_path.glob("reports/*/2*"))) == 1


def test_json_is_one_document(tmp_path: Path, application: str) -> None:
    process = start(tmp_path, application, "--json")
    assert process.stderr is not None
    while not re.match(r"\d\d:\d\d:\d\dZ BROKEN", line := process.stderr.readline()):
        assert line, "the watch has ended"
    Application.status = 200
    stdout, _ = process.communicate(timeout=30)
    assert json.loads(stdout)["verdict"] == "healthy"


@pytest.mark.parametrize("seconds", ["0", "-3", "1e9", "nan"])
def test_seconds_that_cannot_be(tmp_path: Path, seconds: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "diagnose", "a.example", f"--watch={seconds}"],
        capture_output=True, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
