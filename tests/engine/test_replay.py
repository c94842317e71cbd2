"""Stored evidence judged again: the same findings, and neither network nor clock."""

import datetime as dt
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from hopcheck.config.options import Options
from hopcheck.engine.host import HostSession
from hopcheck.engine.replay import replay
from hopcheck.engine.write import write
from hopcheck.model import Report, Step, Verdict
from hopcheck.report.evidence import BadEvidenceError, load
from hopcheck.report.json import to_dict
from hopcheck.verdict.assess import assess
from tests.app.test_cli import SCHEMA, run
from tests.history.writer import session_of
from tests.judging import judge
from tests.recorded import SNAPSHOTS, names
from tests.recorded import report as report_of
from tests.recorded import snapshot as recorded

NAMES = [name for name in names() if "/" not in name]


def session(base: Path, name: str) -> HostSession:
    host = session_of(base, msgspec.structs.replace(report_of(name), replayed=False))
    host.collection.snapshot = lambda: recorded(name)  # type: ignore[method-assign, union-attr]
    return host


def judged(report: Report) -> dict[str, Any]:
    kept = ("verdict", "fingerprint", "headline", "root_causes", "path")
    data = to_dict(report)
    steps = [{**step, "duration_s": 0} for step in data["steps"]]
    return {**{key: data[key] for key in kept}, "steps": steps}


@pytest.mark.parametrize("name", NAMES)
def test_what_was_written_replays_to_the_same(tmp_path: Path, name: str) -> None:
    host = session(tmp_path, name)
    path = write(host)
    assert host.report is not None
    again = replay(load(path))
    assert judged(again) == judged(host.report)
    assert again.replayed
    assert load(path / "evidence.json") == host.collection.snapshot()  # type: ignore[union-attr]


def forbidden(*_: object, **__: object) -> None:
    raise AssertionError("a replay looked at the clock or the network")


class NoClock(dt.datetime):
    now = utcnow = today = forbidden  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["healthy", "svc-targetport-num", "tpod-replica-skew"])
def test_no_network_and_no_clock(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    snapshot = recorded(name)
    expected = replay(snapshot)
    with monkeypatch.context() as patch:
        for module in [m for n, m in sys.modules.items() if n.startswith("hopcheck")]:
            for key, value in list(vars(module).items()):
                if value is dt.datetime:
                    patch.setattr(module, key, NoClock)
        patch.setattr("datetime.datetime", NoClock)
        for clock in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"):
            patch.setattr(f"time.{clock}", forbidden)
        for call in ("socket.socket", "socket.create_connection", "socket.getaddrinfo"):
            patch.setattr(call, forbidden)
        found = replay(snapshot)
    assert found == expected


# Refuses sockets, processes and writing in the whole program, whoever asks for them.
GUARDED = """
import sys

def guard(event, arguments):
    writing = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event.split(".")[0] in ("socket", "subprocess") or event == "os.system" or writing:
        raise RuntimeError(f"{event} {arguments}")

from hopcheck.app.cli import main
sys.addaudithook(guard)
main(sys.argv[1:])
"""


def unpacked(tmp_path: Path, name: str) -> Path:
    file = tmp_path / f"{name}.json"
    file.write_bytes(gzip.decompress((SNAPSHOTS / f"{name}.json.gz").read_bytes()))
    return file


def test_the_command_opens_no_socket_and_writes_nothing(tmp_path: Path) -> None:
    file = unpacked(tmp_path, "svc-targetport-num")
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, "diagnose", "--from", str(file), "--json"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert [one["code"] for one in report["root_causes"]] == ["END003"]
    assert report["replayed"] is True
    assert list(tmp_path.iterdir()) == [file]


def test_several_and_the_worst_of_them(tmp_path: Path) -> None:
    files = [unpacked(tmp_path, name) for name in ("healthy", "tg-ppv2-only")]
    options = [word for file in files for word in ("--from", str(file))]
    done = run(tmp_path, "diagnose", *options, "--quiet")
    assert done.returncode == 4
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["HEALTHY", "DEGRADED"]
    verbose = run(tmp_path, "diagnose", *options[:2], "-v")
    assert verbose.returncode == 0
    assert len(verbose.stdout.splitlines()) > 25


def test_written_only_where_it_is_said_and_never_latest(tmp_path: Path) -> None:
    file = unpacked(tmp_path, "svc-targetport-num")
    (tmp_path / "hopcheck.toml").write_text('reports = "elsewhere"\n')
    assert run(tmp_path, "diagnose", "--from", str(file)).returncode == 1
    assert not (tmp_path / "elsewhere").exists()
    done = run(tmp_path, "diagnose", "--from", str(file), "--reports", "again")
    (written,) = (tmp_path / "again" / "myapp.example.com").iterdir()
    assert f"Report: again/myapp.example.com/{written.name}" in done.stdout
    assert written.name.startswith("20261123T")  # the time of the run that was recorded
    assert judged(replay(load(written))) == judged(replay(load(file)))


def test_options_that_judge_count(tmp_path: Path) -> None:
    file = unpacked(tmp_path, "tls-secret-missing")
    done = run(tmp_path, "diagnose", "--from", str(file), "--skip", "ING016", "--json")
    report = json.loads(done.stdout)
    assert report["skipped"][0]["code"] == "ING016"


BAD = {
    "nothing": None,
    "text": b"hello",
    "binary": b"\xff\xfe\x00",
    "other json": b"[1, 2]",
    "no format": b'{"target": {"host": "a.example.com"}}',
    "old format": b'{"format": "hopcheck-evidence-0", "target": {"host": "a.example.com"}}',
    "hostile format": b'{"format": "\\u001b[2J\\nx"}',
    "broken": b'{"format": "hopcheck-evidence-1", "target": 5}',
    "report": b'{"schema_version": "1", "host": "a.example.com"}',
    "gz": b"\x1f\x8bnonsense",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_evidence_is_one_clear_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / ("e.json.gz" if name == "gz" else "e.json")
    content = BAD[name]
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadEvidenceError) as caught:
        load(file)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["old format", "report"])
def test_the_command_says_it_and_exits_with_2(tmp_path: Path, name: str) -> None:
    (tmp_path / "e.json").write_bytes(BAD[name] or b"")
    done = run(tmp_path, "diagnose", "--from", "e.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_stored_evidence_and_a_host_exclude_each_other(tmp_path: Path) -> None:
    for more in (["a.example.com"], ["--watch", "5"]):
        done = run(tmp_path, "diagnose", "--from", "e.json", *more)
        assert done.returncode == 2
        assert "--from" in done.stderr


def test_strictly_redacted_evidence_says_so(tmp_path: Path) -> None:
    host = session(tmp_path / "reports", "svc-targetport-num")
    options = msgspec.structs.replace(host.run.options, redact_strict=True)
    host.run = msgspec.structs.replace(host.run, options=options)
    path = write(host)
    assert load(path).redaction == "strict"
    assert b"123456789012" not in (path / "evidence.json").read_bytes()
    done = run(tmp_path, "diagnose", "--from", str(path), "--quiet")
    assert done.returncode == 1
    assert "strictly redacted" in done.stderr


def test_an_interrupted_run_is_not_called_healthy() -> None:
    snapshot = recorded("healthy")
    judgements = {step: judge(step, snapshot) for step in Step}
    assert replay(snapshot).verdict is Verdict.HEALTHY
    cut = assess(snapshot, judgements, Options(), durations={}, duration_s=0.0, complete=False)
    assert cut.verdict is Verdict.UNKNOWN
    assert "interrupted" in cut.headline


def test_verdicts_are_those_of_the_options() -> None:
    snapshot = recorded("healthy")
    assert replay(snapshot).verdict is Verdict.HEALTHY
    assert replay(snapshot, Options(strict=True)).verdict is Verdict.HEALTHY


@pytest.mark.parametrize(
    ("words", "locale"),
    [(["--lang", "ko"], "C.UTF-8"), ([], "ko_KR.UTF-8"), (["--lang", "en"], "ko_KR.UTF-8")],
)
def test_the_language_changes_no_exit_code(tmp_path: Path, words: list[str], locale: str) -> None:
    file = unpacked(tmp_path, "svc-targetport-num")
    command = [sys.executable, "-m", "hopcheck", "diagnose", "--from", str(file), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path,
        env={**os.environ, "LANG": locale},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    korean = "en" not in words
    assert done.stdout.startswith("장애 (2" if korean else "BROKEN (REPLAY OF 2")
    assert ("근본 원인  END003 Service default/my-app-service" in done.stdout) is korean
    wrong = subprocess.run(
        [*command, "--skip", "X1"], capture_output=True, text=True, encoding="utf-8",
        cwd=tmp_path, env={**os.environ, "LANG": locale},
    )  # fmt: skip
    assert wrong.returncode == 2
    assert ("알 수 없는 코드" in wrong.stderr) is korean
