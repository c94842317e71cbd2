"""The wheel, installed into an empty place, is the same suite."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parent.parent
CHECKS = ["test_dns", "test_target_health", "test_traefik_service", "test_ingress",
          "test_endpoints", "test_traefik_logs", "test_request"]  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked where nothing else of the project is."""
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation",
         "--no-index", "--quiet", "--wheel-dir", str(built)],
        check=True, timeout=100, cwd=built,
    )  # fmt: skip
    (wheel,) = built.glob("*.whl")
    place = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(place)
    return place


def python(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -I -S would hide the dependencies: only the project itself is taken from the wheel.
    code = (
        f"import sys; sys.path[:0] = [{str(installed)!r}, {sysconfig.get_path('purelib')!r}]; "
        "import runpy; sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-S", "-c", code, *arguments], cwd=cwd, text=True, capture_output=True,
        timeout=60, env={"PATH": os.environ["PATH"], "HOME": str(cwd)},
    )  # fmt: skip


def test_the_same_seven_checks_are_collected(installed: Path, tmp_path: Path) -> None:
    done = python(
        installed, tmp_path, "pytest", "-p", "hopcheck.pytest_plugin", "--collect-only", "-q",
        "--noconftest", "--rootdir", str(tmp_path),
        "-c", str(installed / "hopcheck/app/checks.ini"),
        str(installed / "hopcheck/checks"), "--host", "a.example",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.rpartition("::")[2] for line in done.stdout.splitlines() if "::" in line]
    assert names == [f"{name}[a.example]" for name in CHECKS]


def test_it_diagnoses_from_any_directory(installed: Path, tmp_path: Path) -> None:
    done = python(installed, tmp_path, "hopcheck", "diagnose", "a.example", "--resolver",
                  "127.0.0.1:1", "--timeout", "1", "--quiet")  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "UNKNOWN" in done.stdout
    (report,) = (tmp_path / "reports/a.example").glob("2*/report.html")
    assert report.stat().st_size > 1000


@pytest.mark.parametrize(("language", "said"), [("en", "## Meaning"), ("ko", "## 의미")])
def test_it_explains_its_findings(
    language: str, said: str, installed: Path, tmp_path: Path
) -> None:
    done = python(installed, tmp_path, "hopcheck", "explain", "ING004", "--lang", language)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout.splitlines()


def test_a_check_of_ones_own(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import pytest\n"
        "@pytest.mark.hop(reads=('dns',))\n"
        "def test_mine(target, dns_evidence):\n"
        "    assert target.host == 'a.example'\n"
        "    assert not any(answer.seen for answer in dns_evidence.answers)\n"
    )
    done = python(installed, tmp_path, "pytest", "-p", "hopcheck.pytest_plugin", "-q",
                  "--host", "a.example", "--hop-resolver", "127.0.0.1:1", "--hop-timeout", "1",
                  "test_mine.py")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


CLIENTS = """
from kubernetes import client


def test_kube(kube):
    assert kube.configuration.host == "https://127.0.0.1:1"
    assert client.CoreV1Api(kube).api_client is kube


def test_aws(aws):
    assert aws.client("elbv2").meta.region_name == "eu-west-1"


def test_resolver(resolver):
    assert [(s.address, s.port) for s in resolver.nameservers] == [("127.0.0.1", 1)]


def test_http(http, target):
    answer = http.get(target.url)
    assert (answer.status_code, answer.text) == (200, "a.example:8080")
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: secret}}]
"""


class NamesItsHost(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.headers["host"]).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_the_clients_follow_the_runs_options(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_clients.py").write_text(CLIENTS)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    (tmp_path / "hopcheck.toml").write_text('aws_region = "eu-west-1"\n')
    with ThreadingHTTPServer(("127.0.0.1", 0), NamesItsHost) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = python(
            installed, tmp_path, "pytest", "-p", "hopcheck.pytest_plugin", "-q", "test_clients.py",
            "--url", "http://a.example:8080/", "--hop-resolver", "127.0.0.1:1",
            "--hop-kubeconfig", "kubeconfig", "--hop-timeout", "5",
            "--hop-connect-to", f"a.example:8080:127.0.0.1:{server.server_port}",
        )  # fmt: skip
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_checks_without_a_host_are_refused(installed: Path, tmp_path: Path) -> None:
    done = python(
        installed,
        tmp_path,
        "pytest",
        "-p",
        "hopcheck.pytest_plugin",
        "--noconftest",
        "-c",
        str(installed / "hopcheck/app/checks.ini"),
        str(installed / "hopcheck/checks"),
    )
    assert done.returncode != 0
    assert "no host was given" in done.stdout + done.stderr


def test_the_wheel_brings_the_suites_own_clients(installed: Path) -> None:
    (metadata,) = installed.glob("hopcheck-*.dist-info/METADATA")
    lines = metadata.read_text("utf-8").splitlines()
    needed = {
        re.split(r"[^\w-]", line.removeprefix("Requires-Dist: "))[0]
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert {"pytest", "kubernetes", "dnspython", "httpx", "boto3"} <= needed
    assert "h11" not in needed
