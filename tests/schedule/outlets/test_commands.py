"""Scheduled runs as they are: processes on the lab, a real bucket, nothing kept between them."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopcheck.lab.many import add_hosts
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST
from hopcheck.schedule.outlets.destination import Bucket
from tests.schedule.outlets.receiving import Receiver, free_port, receiver

BASE_URL = "https://hopcheck.example.com"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def with_more_hosts(lab: RunningLab) -> list[str]:
    """The lab's host and four more; healing the lab removes those."""
    names = lab.call(lambda: add_hosts(lab.lab, 4))
    lab.settle()
    return [HOST, *names]


@pytest.fixture
def sink() -> Iterator[tuple[Receiver, str]]:
    with receiver() as found:
        yield found


class Pods:
    """Each command in an empty directory of its own, as a CronJob's pod has it."""

    def __init__(self, lab: RunningLab, directory: Path, config: str) -> None:
        self._lab = lab
        self._directory = directory
        self._config = config
        self._count = 0
        self.more: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return kept | self._lab.environment() | self.more

    def place(self) -> Path:
        self._count += 1
        place = self._directory / f"pod-{self._count}"
        place.mkdir()
        (place / "hopcheck.toml").write_text(self._config)
        return place

    def __call__(self, *arguments: str, lab: bool = True) -> subprocess.CompletedProcess[str]:
        more = [*self._lab.arguments(), "--direct-probes"] if lab else []
        done = subprocess.run(
            [sys.executable, "-m", "hopcheck", *arguments, *more], cwd=self.place(),
            env=self.environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert "defect" not in done.stderr, done.stderr
        return done


def config(publish: str, address: str, *hosts: str) -> str:
    tables = "".join(f'[[host]]\nname = "{host}"\nowner = "shop"\n' for host in hosts)
    return (
        f'publish = "{publish}"\nbase_url = "{BASE_URL}"\nsecrets = false\n{tables}'
        f'[[notify.sink]]\nname = "pager"\nurl = "json://{address}/"\n'
    )


def test_pods_that_keep_nothing_tell_each_change_once(
    lab: RunningLab, tmp_path: Path, sink: tuple[Receiver, str], bucket: Bucket, s3_endpoint: str
) -> None:
    held, address = sink
    pods = Pods(lab, tmp_path, config(bucket.name, address, HOST))
    pods.more = {"AWS_ENDPOINT_URL_S3": s3_endpoint}

    assert pods("run").returncode == 0
    lab.inject("ing-svc-missing")
    try:
        first, second, third = pods("run"), pods("run"), pods("run", "--exit-zero")
    finally:
        lab.heal()
    assert [p.returncode for p in (first, second, third)] == [1, 1, 0]
    assert held.titles == [f"[broken] {HOST}: {report(bucket)['headline']}"]
    assert "told: [broken]" in second.stderr
    (body,) = held.bodies
    assert "Root cause: ING004 Ingress default/my-app-ingress" in body["message"]
    assert f"Report: {BASE_URL}/{HOST}/latest/report.html#ING004" in body["message"]
    assert "Owner: shop" in body["message"]

    broken = report(bucket)
    # The last healthy run's evidence was made by another pod, and came from the bucket.
    assert [
        (change["object"]["name"], change["before"], change["after"])
        for change in broken["changes"]
        if change["object"]["kind"] == "Ingress"
    ] == [("my-app-ingress", "my-app-service", "my-app-svc")]
    assert broken["since"] < broken["started_at"]

    assert pods("run").returncode == 0
    assert pods("run").returncode == 0
    assert held.titles[1:] == [f"[recovered] {HOST}"]
    page = bucket.read(f"{HOST}/latest/report.html")
    assert page is not None
    assert report(bucket)["headline"].encode() in page
    for key in ("index.html", "metrics.prom", "history.db", "notified.json", "fleet.json"):
        assert bucket.read(key), key
    runs = [name for name in bucket.children(f"{HOST}/") if name != "latest"]
    assert len(runs) == 6


def report(place: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.read(f"{HOST}/latest/report.json"))
    return found


def test_shards_are_merged_and_one_alone_tells(
    lab: RunningLab, tmp_path: Path, sink: tuple[Receiver, str]
) -> None:
    held, address = sink
    hosts = with_more_hosts(lab)
    published = tmp_path / "published"
    text = config(str(published), address, *hosts)
    text = text.replace("[[notify.sink]]", "[notify]\nafter = 1\n[[notify.sink]]")
    pods = Pods(lab, tmp_path, text)
    lab.inject("tpod-rbac")
    try:
        shards = [pods("run", "--shard", f"{n}/2") for n in range(2)]
        assert held.bodies == []
        assert not (published / "index.html").exists()
        merged = pods("merge", "--shards", "2", "--wait", "5", lab=False)
    finally:
        lab.heal()
    assert [s.returncode for s in shards] == [1, 1], shards[0].stderr
    assert merged.returncode == 0, merged.stderr
    (body,) = held.bodies
    assert body["title"].startswith("[broken] 5 hosts: ")
    assert "SVC011" in body["title"]
    for host in hosts:
        assert host in body["message"]
        assert host in (published / "index.html").read_text()
        assert f'hopcheck_up{{host="{host}"}} 0.0' in (published / "metrics.prom").read_text()
    assert 'hopcheck_hosts{verdict="broken"} 5.0' in (published / "metrics.prom").read_text()

    # What was merged is not merged again, and a shard that is late is named.
    with_more_hosts(lab)
    try:
        assert pods("run", "--shard", "0/2").returncode == 0
    finally:
        lab.heal()
    late = pods("merge", "--shards", "2", lab=False)
    assert late.returncode == 3
    assert "shards/1-of-2.json: nothing new was published" in late.stderr
    assert "0-of-2" not in late.stderr


def test_the_runbook_has_the_hosts_links(lab: RunningLab, tmp_path: Path) -> None:
    pods = Pods(lab, tmp_path, f'base_url = "{BASE_URL}"\nhosts = "discover"\n')
    hosts = with_more_hosts(lab)
    try:
        done = pods("runbook", lab=False)
    finally:
        lab.heal()
    assert done.returncode == 0, done.stderr
    for host in hosts:
        assert f"| {host} | - | {BASE_URL}/{host}/latest/report.html |" in done.stdout


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_serve_diagnoses_what_it_is_asked_and_ends_when_told(
    lab: RunningLab, tmp_path: Path
) -> None:
    pods = Pods(lab, tmp_path, f'publish = "{tmp_path / "out"}"\n[[host]]\nname = "{HOST}"\n')
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "hopcheck", "serve", "--listen", f"127.0.0.1:{port}",
         *lab.arguments(), "--direct-probes"],
        cwd=pods.place(), env=pods.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line == f"hopcheck: serving on 127.0.0.1:{port}\n"
        url = f"http://127.0.0.1:{port}"
        assert get(f"{url}/healthz") == (200, "ok\n")
        status, body = get(f"{url}/probe?target={HOST}")
        assert status == 200
        assert "probe_success 1.0" in body
        assert (
            f'hopcheck_step_status{{host="{HOST}",status="pass",step="traefik-logs"}} 1.0' in body
        )
        assert get(f"{url}/probe?target=elsewhere.example.com")[0] == 403
        lab.inject("svc-selector")
        try:
            _, body = get(f"{url}/probe?target={HOST}")
        finally:
            lab.heal()
        assert "probe_success 0.0" in body
        assert f'hopcheck_broken_hop{{code="END001",host="{HOST}",step="endpoints"}} 1.0' in body
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('publish = "gs://bucket"\n', "s3://BUCKET/PREFIX"),
        ('publish = "/a"\nreports = "/b"\n', "leave out reports"),
        ("[notify]\nafetr = 1\n", "did you mean 'after'"),
        ('notfy = "x"\n', "did you mean 'notify'"),
    ],
)
def test_a_wrong_configuration_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "hopcheck.toml").write_text(text + f'[[host]]\nname = "{HOST}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "run"], cwd=tmp_path, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
