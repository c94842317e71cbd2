"""The command line in real processes: bad input, missing parties, interruption, output."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jsonschema
import pytest

import hopcheck
from tests.recorded import SNAPSHOTS

SCHEMA = json.loads((Path(hopcheck.__file__).parent / "report/report.schema.json").read_text())
NOBODY = "127.0.0.1:1"  # a resolver that refuses


def environment(**more: str) -> dict[str, str]:
    kept = {
        k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV")
    }
    return {**kept, "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", **more}


def run(tmp_path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hopcheck", *arguments],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment(**env),
    )  # fmt: skip


class Application(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 500)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def application() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "arguments",
    [[], ["; rm -rf /"], ["http://u:p@h/"], ["a.example", "--timeout", "x"], ["--nope"],
     ["a.example", "--scheme", "ftp"], ["a.example", "--config", "none.toml"],
     ["a.example", "--skip", "ING999"], ["a.example", "--kubeconfig"],
     ["a.example", "--checks", "none"]],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, "diagnose", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_any_party_the_rest_is_unknown(tmp_path: Path) -> None:
    done = run(tmp_path, "diagnose", "a.example", "--resolver", NOBODY, "--json", "--timeout", "1")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert report["verdict"] == "unknown"
    assert {step["status"] for step in report["steps"]} == {"unknown"}
    assert all(step["reason"] for step in report["steps"])
    assert "KUBECONFIG" in report["steps"][2]["reason"]


def test_a_request_alone(tmp_path: Path, application: str) -> None:
    done = run(tmp_path, "diagnose", f"{application}/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HEALTHY (1 OF 7 SEEN)  ")
    assert "is healthy as far as seen (1 of 7, 1 not" in done.stdout
    assert "\x1b" not in done.stdout
    assert (tmp_path / "reports").is_dir()
    (latest,) = (tmp_path / "reports").glob("*/latest")
    names = {path.name for path in latest.iterdir()}
    assert names == {"report.json", "report.html", "junit.xml", "summary.md", "evidence.json"}


def test_the_worst_of_several_hosts(tmp_path: Path, application: str) -> None:
    done = run(tmp_path, "diagnose", f"{application}/", f"{application}/bad", "--json")
    assert done.returncode == 1
    assert [one["verdict"] for one in json.loads(done.stdout)] == ["healthy", "broken"]
    assert json.loads(done.stdout)[1]["root_causes"][0]["code"] == "REQ001"


def test_a_required_step_may_not_stay_unknown(tmp_path: Path, application: str) -> None:
    done = run(tmp_path, "diagnose", f"{application}/", "--require-step", "ingress", "--quiet")
    assert done.returncode == 3
    assert run(tmp_path, "diagnose", f"{application}/", "--strict", "--quiet").returncode == 3


def test_reports_that_cannot_be_written_leave_the_verdict(tmp_path: Path, application: str) -> None:
    (tmp_path / "reports").write_text("")
    done = run(tmp_path, "diagnose", f"{application}/")
    assert "HEALTHY" in done.stdout
    assert done.returncode == 2
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert run(tmp_path, "diagnose", f"{application}/bad").returncode == 1


def test_a_reports_directory_that_cannot_be_is_usage(tmp_path: Path, application: str) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "diagnose", f"{application}/", "--reports", "file/x")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("hopcheck: --reports file/x: reports cannot be written there")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_replay_says_of_when_it_is(tmp_path: Path, application: str) -> None:
    assert run(tmp_path, "diagnose", f"{application}/", "--quiet").returncode == 0
    (evidence,) = tmp_path.glob("reports/*/2*/evidence.json")
    when = json.loads((evidence.parent / "report.json").read_text())["started_at"]
    again = run(tmp_path, "diagnose", "--from", str(evidence), "--quiet", "--reports", "again")
    assert again.stdout.startswith(f"HEALTHY (1 OF 7 SEEN) (REPLAY OF {when})  http://"), again
    (page,) = tmp_path.glob("again/*/2*/report.html")
    assert f"(replay of {when})</b>" in page.read_text()
    (tmp_path / "file").write_text("")
    lost = run(tmp_path, "diagnose", "--from", str(evidence), "--reports", "file")
    assert lost.returncode == 2
    assert "could not be written" in lost.stderr


KUBECONFIGS = {
    "missing": None,
    "empty": "",
    "broken": "{{{",
    "wrong context": "apiVersion: v1\nkind: Config\ncurrent-context: gone\ncontexts: []\n",
    "plugin missing": "exec: {command: /no/such, apiVersion: client.authentication.k8s.io/v1}",
    "plugin fails": "exec: {command: 'false', apiVersion: client.authentication.k8s.io/v1}",
    "plugin hangs": "exec: {command: sleep, args: ['60'], "
    "apiVersion: client.authentication.k8s.io/v1}",
}


@pytest.mark.parametrize("name", KUBECONFIGS)
def test_kubeconfigs_that_do_not_work(tmp_path: Path, application: str, name: str) -> None:
    text = KUBECONFIGS[name]
    file = tmp_path / "config"
    if text is not None and text.startswith("exec:"):
        text = (
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
            "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\n"
            f"users: [{{name: u, user: {{{text}}}}}]\n"
        )
    if text is not None:
        file.write_text(text)
    started = time.monotonic()
    done = run(tmp_path, "diagnose", f"{application}/", "--json", "--timeout", "1",
               "--deadline", "5", KUBECONFIG=str(file))  # fmt: skip
    assert time.monotonic() - started < 15
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [step["status"] for step in report["steps"][2:6]] == ["unknown"] * 4
    assert report["steps"][2]["reason"]
    assert "Traceback" not in done.stderr


def test_ctrl_c_writes_the_report_so_far(tmp_path: Path) -> None:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "hopcheck", "diagnose", "a.example", "--timeout", "30",
         "--resolver", f"127.0.0.1:{silent.getsockname()[1]}"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    silent.settimeout(30)
    silent.recv(512)  # the query has come: it is under way
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)
    silent.close()
    assert process.returncode == 130
    assert "Traceback" not in stderr
    (file,) = (tmp_path / "reports/a.example").glob("2*/report.json")
    report = json.loads(file.read_text())
    assert report["complete"] is False
    assert not (tmp_path / "reports/a.example/latest").exists()


def test_explain(tmp_path: Path) -> None:
    assert "ING004" in run(tmp_path, "explain", "ing004").stdout
    done = run(tmp_path, "explain", "ING999")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean ING" in done.stderr


def test_doctor_says_what_to_set(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--resolver", NOBODY, "--timeout", "3")
    assert done.returncode == 3
    assert "KUBECONFIG" in done.stdout
    assert "AWS_PROFILE" in done.stdout
    assert len(done.stdout.splitlines()) <= 25


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_that_shell(tmp_path: Path, shell: str) -> None:
    script = run(tmp_path, "completion", shell).stdout
    assert f"{shell}_complete" in script
    assert "hopcheck" in script
    assert run(tmp_path, "completion", "tcsh").returncode == 2


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    (tmp_path / "hopcheck").write_text(f'#!/bin/sh\nexec {sys.executable} -m hopcheck "$@"\n')
    (tmp_path / "hopcheck").chmod(0o755)
    script = run(tmp_path, "completion", "bash").stdout
    ask = """
COMP_WORDS=(hopcheck diagnose --wa); COMP_CWORD=2; _hopcheck_completion hopcheck
echo "${COMPREPLY[@]}"
COMPREPLY=(); COMP_WORDS=(hopcheck exp); COMP_CWORD=1; _hopcheck_completion hopcheck
echo "${COMPREPLY[@]}"
COMPREPLY=(); COMP_WORDS=(hopcheck explain ing01); COMP_CWORD=2; _hopcheck_completion hopcheck
echo "${COMPREPLY[0]}"
COMPREPLY=(); COMP_WORDS=(hopcheck diagnose --require-step tr); COMP_CWORD=3
_hopcheck_completion hopcheck
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        [bash, "-c", script + ask], capture_output=True, text=True,
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}"),
    )  # fmt: skip
    assert done.stdout.split() == [
        "--watch",
        "explain",
        "ING010",
        "traefik-service",
        "traefik-logs",
    ], done.stderr


def test_quiet_is_one_line_for_each_host(tmp_path: Path, application: str) -> None:
    done = run(tmp_path, "diagnose", f"{application}/", f"{application}/bad", "--quiet")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["HEALTHY", "BROKEN"]
    assert done.stderr == ""


def test_the_base_url_is_the_link_of_the_summary(tmp_path: Path, application: str) -> None:
    base = "https://reports.example.com/hop/"
    assert run(tmp_path, "diagnose", f"{application}/", "--base-url", base).returncode == 0
    (latest,) = (tmp_path / "reports").glob("*/latest")
    link = f"{base}{latest.parent.name}/{latest.resolve().name}/report.html"
    assert f"- Report: `{link}`" in (latest / "summary.md").read_text()
    assert run(tmp_path, "diagnose", "a.example", "--base-url", "ftp://x").returncode == 2


def test_korean_on_a_terminal_that_has_no_hangul(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--lang", "ko", "--resolver", NOBODY, PYTHONIOENCODING="ascii")
    assert done.returncode == 3, done.stderr
    assert "Kubernetes" in done.stdout
    assert not (tmp_path / "hopcheck-error.log").exists()


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        ([], {}, "kubeconfig context"),
        (["--lang", "ko"], {}, "kubeconfig의 컨텍스트"),
        ([], {"LANG": "ko_KR.UTF-8"}, "kubeconfig의 컨텍스트"),
    ],
)
def test_help_is_in_the_language_in_use(
    tmp_path: Path, arguments: list[str], env: dict[str, str], words: str
) -> None:
    done = run(tmp_path, "doctor", *arguments, "--help", **{"PYTHONUTF8": "1"} | env)
    assert done.returncode == 0
    assert words in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        ["explain", "REQ003"],
        ["--help"],
        ["diagnose", "--json", "--from", str(SNAPSHOTS / "healthy.json.gz")],
    ],
)
def test_a_full_disk_is_no_defect(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hopcheck", *words],
            cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == ("hopcheck: standard output cannot be written: No space left on device\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_as_it_ends_is_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """It comes while Python itself ends, where nobody could catch what it raises."""
    program = (
        "import atexit, os, signal; from hopcheck.app.cli import main\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"  # as a diagnosis does
        f"atexit.register(lambda: os.kill(os.getpid(), {int(number)})); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
