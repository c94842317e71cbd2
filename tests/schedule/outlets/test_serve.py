"""The page that is always there, over real HTTP, scraped by a real Prometheus if there is one."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hopcheck.config.options import Misnamed
from hopcheck.engine.replay import replay
from hopcheck.model import Report
from hopcheck.report.evidence import load
from hopcheck.schedule.outlets.destination import Destination, DestinationError, Directory, Stored
from hopcheck.schedule.outlets.incidents import Outcome
from hopcheck.schedule.outlets.metrics import of_hosts, of_run, registry
from hopcheck.schedule.outlets.serve import PROBES_AT_ONCE, Site, split_listen
from tests.schedule.outlets.receiving import free_port

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"
HOST = "myapp.example.com"
IDLE_S = 0.4
PROMETHEUS = shutil.which("prometheus")


def report(name: str) -> Report:
    return replay(load(SNAPSHOTS / f"{name}.json.gz"))


class Diagnoses:
    """Answers probes with a canned report; `hang` waits for ever, `asked` notes who asked."""

    def __init__(self) -> None:
        self.report: Report | None = report("healthy")
        self.hang = False
        self.error: Exception | None = None
        self.asked: list[tuple[str, float]] = []

    async def __call__(self, host: str, limit: float) -> Report | None:
        self.asked.append((host, limit))
        if self.error:
            raise self.error
        if self.hang:
            await asyncio.Event().wait()
        return self.report


@contextmanager
def serving(published: Destination, diagnoses: Diagnoses) -> Iterator[str]:
    async def configured() -> frozenset[str]:
        return frozenset({HOST, f"https://{HOST}:8443/health"})

    site = Site(published, diagnoses, configured, ("*.shop.example.com",))
    loop = asyncio.new_event_loop()
    port = free_port()

    tasks: list[asyncio.Task[None]] = []

    async def start() -> web.AppRunner:
        runner = web.AppRunner(site.application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        assert runner.server is not None
        tasks.append(loop.create_task(site.end_idle(runner.server, IDLE_S)))
        return runner

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield f"http://127.0.0.1:{port}"
        loop.call_soon_threadsafe(tasks[0].cancel)
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def diagnoses() -> Diagnoses:
    return Diagnoses()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    out = Directory(tmp_path / "out")
    out.write("index.html", b"<p>index")
    out.write(f"{HOST}/latest/report.html", b"<p>report")
    out.write("history.db", b"SQLite")
    out.write("notified.json", b"{}")
    run = of_run(Outcome(verdicts={"broken": 1}, seconds=2.0))
    metrics = registry(of_hosts([report("ing-svc-missing")]), run)
    out.write("metrics.prom", generate_latest(metrics))
    (tmp_path / "secret.html").write_text("outside")
    return out.base


@pytest.fixture
def url(base: Path, diagnoses: Diagnoses) -> Iterator[str]:
    with serving(Directory(base), diagnoses) as found:
        yield found


def get(url: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


def samples(text: str) -> dict[str, float]:
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_reports_stand_at_stable_addresses(url: str) -> None:
    status, body, headers = get(f"{url}/{HOST}/latest/report.html")
    assert (status, body) == (200, "<p>report")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert get(f"{url}/")[1] == "<p>index"
    assert get(f"{url}/healthz")[:2] == (200, "ok\n")


@pytest.mark.parametrize(
    "path",
    ["history.db", "notified.json", "nobody/latest/report.html", "../secret.html",
     "%2e%2e/secret.html", "a/%2e%2e/%2e%2e/secret.html", ".lock", "a//b.html", f"{HOST}/",
     "/etc/passwd", "a.html%00", f"{HOST}/latest/report.exe"],
)  # fmt: skip
def test_nothing_else_is_served(url: str, path: str) -> None:
    status, body, _ = get(f"{url}/{path}")
    assert (status, "outside" in body) == (404, False)


def test_the_metrics_of_the_newest_run(url: str, base: Path) -> None:
    found = samples(get(f"{url}/metrics")[1])
    assert (
        found[f'hopcheck_broken_hop{{"code": "ING004", "host": "{HOST}", "step": "ingress"}}'] == 1
    )
    (base / "metrics.prom").unlink()
    assert get(f"{url}/metrics")[:2] == (200, "")


def test_a_probe_gives_blackbox_exporters_names_and_ours(url: str, diagnoses: Diagnoses) -> None:
    status, body, _ = get(f"{url}/probe?target={HOST}")
    found = samples(body)
    assert status == 200
    assert found["probe_success{}"] == 1
    assert found["probe_http_status_code{}"] == 200
    for phase in ("resolve", "connect", "tls", "processing", "transfer"):
        assert found[f'probe_http_duration_seconds{{"phase": "{phase}"}}'] >= 0
    assert found[f'hopcheck_verdict{{"host": "{HOST}", "verdict": "healthy"}}'] == 1
    diagnoses.report = report("dns-nxdomain")
    found = samples(get(f"{url}/probe?target={HOST}")[1])
    assert found["probe_success{}"] == 0
    assert found[f'hopcheck_broken_hop{{"code": "DNS001", "host": "{HOST}", "step": "dns"}}'] == 1


def test_it_is_no_open_relay(url: str, diagnoses: Diagnoses) -> None:
    assert get(f"{url}/probe?target=internal.example.org")[0] == 403
    assert get(f"{url}/probe?target=169.254.169.254")[0] == 403
    assert get(f"{url}/probe?target={quote('a b')}")[0] == 400
    assert get(f"{url}/probe")[0] == 400
    assert diagnoses.asked == []
    assert get(f"{url}/probe?target=x.shop.example.com")[0] == 200


@pytest.mark.parametrize("asked", [HOST, f"http://{HOST}", f"https://{HOST}:8443/health"])
def test_a_configured_host_may_be_asked(url: str, asked: str) -> None:
    assert get(f"{url}/probe?target={quote(asked)}")[0] == 200


@pytest.mark.parametrize(
    "asked", [f"{HOST}:22", f"https://{HOST}/logout", "http://x.shop.example.com:8080/"]
)
def test_neither_port_nor_path_is_the_strangers_to_choose(
    url: str, diagnoses: Diagnoses, asked: str
) -> None:
    assert get(f"{url}/probe?target={quote(asked)}")[0] == 403
    assert diagnoses.asked == []


def test_who_finds_no_place_is_told_so_and_not_that_the_host_fails(
    url: str, diagnoses: Diagnoses
) -> None:
    diagnoses.hang = True

    def ask(seconds: str) -> int:
        more = {"X-Prometheus-Scrape-Timeout-Seconds": seconds}
        return get(f"{url}/probe?target={HOST}", **more)[0]

    with ThreadPoolExecutor() as pool:
        first = [pool.submit(ask, "8") for _ in range(PROBES_AT_ONCE)]
        deadline = time.monotonic() + 5
        while len(diagnoses.asked) < PROBES_AT_ONCE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert ask("1") == 503
        assert [one.result() for one in first] == [200] * PROBES_AT_ONCE


@pytest.mark.parametrize("given", ["nan", "-nan", "soon"])
def test_a_time_out_that_is_no_number_is_none(url: str, diagnoses: Diagnoses, given: str) -> None:
    get(f"{url}/probe?target={HOST}", **{"X-Prometheus-Scrape-Timeout-Seconds": given})
    ((_, limit),) = diagnoses.asked
    assert 20 < limit < 30


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a"])
def test_a_connection_on_which_nothing_is_asked_is_closed(url: str, said: bytes) -> None:
    """One that is served takes longer here, and is not."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as stranger:
        stranger.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""


def test_a_probe_is_back_before_prometheus_gives_up(url: str, diagnoses: Diagnoses) -> None:
    diagnoses.hang = True
    began = time.monotonic()
    _, body, _ = get(f"{url}/probe?target={HOST}", **{"X-Prometheus-Scrape-Timeout-Seconds": "1.5"})
    assert time.monotonic() - began < 1.5
    assert samples(body)["probe_success{}"] == 0
    assert diagnoses.asked[0][1] <= 1.0


def test_a_defect_is_a_failed_probe_and_no_verdict(url: str, diagnoses: Diagnoses) -> None:
    diagnoses.report = None
    found = samples(get(f"{url}/probe?target={HOST}")[1])
    assert found["probe_success{}"] == 0
    assert not [name for name in found if name.startswith("hopcheck_verdict")]


def test_what_it_was_told_and_is_not_there_is_said(url: str, diagnoses: Diagnoses) -> None:
    diagnoses.error = Misnamed("context", "prdo", ["prod"])
    status, body, _ = get(f"{url}/probe?target={HOST}")
    assert status == 500
    assert body.startswith("context 'prdo': there is none of that name; did you mean 'prod'?")


def test_a_destination_that_fails_is_said(diagnoses: Diagnoses, tmp_path: Path) -> None:
    class Broken(Directory):
        def read(self, key: str) -> Stored | None:
            raise DestinationError("s3://bucket: GET: AccessDenied")

    with serving(Broken(tmp_path), diagnoses) as url:
        assert get(f"{url}/metrics")[:2] == (503, "s3://bucket: GET: AccessDenied\n")
        assert get(f"{url}/{HOST}/latest/report.html")[0] == 503
        assert get(f"{url}/healthz")[0] == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [(":9115", (None, 9115)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80))],
)
def test_where_to_listen(text: str, expected: tuple[str | None, int]) -> None:
    assert split_listen(text) == expected


@pytest.mark.parametrize("text", ["", "9115", "localhost:", "a:b", ":70000"])
def test_nowhere_to_listen(text: str) -> None:
    with pytest.raises(ValueError, match="listen"):
        split_listen(text)


CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: hopcheck
    static_configs: [{{targets: ["{address}"]}}]
  - job_name: hopcheck-probe
    metrics_path: /probe
    static_configs: [{{targets: ["{host}"]}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: "{address}"}}
"""


@pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus here: apt-get install prometheus")
def test_a_real_prometheus_scrapes_it(url: str, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        CONFIG.format(address=url.removeprefix("http://"), host=HOST)
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROMETHEUS), f"--config.file={tmp_path / 'prometheus.yml'}",
             f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log,
        )  # fmt: skip
    api = f"http://127.0.0.1:{port}/api/v1/query?query="
    wanted = {
        'hopcheck_broken_hop{job="hopcheck"}': "1",
        'probe_success{job="hopcheck-probe"}': "1",
        'hopcheck_verdict{job="hopcheck-probe",verdict="healthy"}': "1",
    }
    seen: dict[str, str] = {}
    try:
        end = time.monotonic() + 30
        while seen != wanted and time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "log").read_text()
            for query in wanted:
                try:
                    found = json.loads(get(api + quote(query))[1])["data"]["result"]
                except (OSError, ValueError):  # it is still starting, and says so
                    break
                if found:
                    seen[query] = found[0]["value"][1]
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(15)
    assert seen == wanted
