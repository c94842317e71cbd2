"""Fleet runs on the lab: what is shared is asked once, and no host touches another's result."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hopcheck import steps as judges
from hopcheck.collect.shared import Shared
from hopcheck.config.file import Config, host_runs
from hopcheck.lab.demo import child_environment
from hopcheck.lab.many import add_hosts, host
from hopcheck.lab.running import RunningLab
from hopcheck.model import Judgement, Step, Verdict
from hopcheck.scene.scene import Scene
from hopcheck.schedule import fleet_run
from hopcheck.schedule.fleet_model import FleetHost, FleetPlan, FleetResult
from hopcheck.schedule.fleet_run import FleetRun
from hopcheck.schedule.windows import parse_window
from hopcheck.steps.rule import Rule

MANY = 40
LISTED_ONCE = ("/apis/networking.k8s.io/v1/ingresses", "/api/v1/services", "/api/v1/pods")


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        running.call(lambda: add_hosts(running.lab, MANY))
        running.settle()
        yield running


@pytest.fixture(autouse=True)
def _nothing_of_the_users(lab: RunningLab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)


def options_of(lab: RunningLab) -> dict[str, Any]:
    words = iter(lab.arguments())
    options: dict[str, Any] = {"resolver": [], "connect_to": []}
    for word in words:
        name = word.removeprefix("--").replace("-", "_")
        if name == "direct_probes":
            options[name] = True
        elif name in ("resolver", "connect_to"):
            options[name].append(next(words))
        else:
            options[name] = next(words)
    return options


def hosts(lab: RunningLab, names: list[str], **more: Any) -> list[FleetHost]:
    runs = host_runs(names, options_of(lab) | more, Config())
    return [FleetHost(one) for one in runs]


def diagnosed(planned: list[FleetHost], concurrency: int = 20) -> FleetResult:
    async def work() -> FleetResult:
        shared = Shared(planned[0].run.options)
        try:
            plan = FleetPlan(hosts=tuple(planned))
            return await FleetRun(plan, shared, concurrency=concurrency).run()
        finally:
            await shared.close()

    return asyncio.run(work())


def verdicts(result: FleetResult) -> dict[str, Verdict | None]:
    return {r.target.host: r.report.verdict if r.report else None for r in result.hosts}


def healthy(result: FleetResult, but: Mapping[str, object] = {}) -> bool:
    return all(v is Verdict.HEALTHY for name, v in verdicts(result).items() if name not in but)


# --- sharing


def test_requests_do_not_grow_with_hosts(lab: RunningLab) -> None:
    asked = []
    for count in (10, MANY):
        lab.call(lab.lab.server.requests.clear)
        lab.call(lab.lab.cloud.requests.clear)
        planned = hosts(lab, [host(n) for n in range(count - 1)])
        # A host's own limits ask for no view of its own.
        planned += hosts(lab, [host(count - 1)], timeout="4", deadline="20")
        result = diagnosed(planned)
        assert len(result.reports) == count
        assert healthy(result)
        assert not any(one.probed for one in result.hosts)
        seen = [path for _, path in lab.call(lambda: list(lab.lab.server.requests))]
        for path in LISTED_ONCE:
            assert seen.count(path) == 1, path
        calls = lab.call(lambda: list(lab.lab.cloud.requests))
        assert len(calls) == result.aws_calls
        asked.append((result.api_requests, sorted(calls)))
    assert asked[0] == asked[1]


# --- isolation


def test_a_silent_host_and_a_broken_one_leave_the_others_alone(lab: RunningLab) -> None:
    silent, broken = host(1), host(2)
    lab.call(lambda: lab.lab.dns.rcodes.update({silent: "TIMEOUT"}))
    service = broken.partition(".")[0]
    lab.call(lambda: lab.lab.store.delete("services", "default", service))
    lab.settle()
    try:
        names = [host(n) for n in range(8)]
        result = diagnosed(hosts(lab, names, timeout="1", deadline="5"))
    finally:
        lab.heal()
        lab.call(lambda: add_hosts(lab.lab, MANY))
        lab.settle()
    found = verdicts(result)
    assert healthy(result, {silent: 1, broken: 1})
    assert found[silent] is Verdict.UNKNOWN
    assert found[broken] is Verdict.BROKEN
    by_host = {one.target.host: one for one in result.hosts}
    report = by_host[broken].report
    assert report is not None
    assert [(f.code, f.object.name) for f in report.root_causes] == [("ING004", service)]
    assert {name for name, one in by_host.items() if one.probed} == {silent, broken}
    assert result.exit_code == 1


def judge_that(host_name: str, fail: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = judges.judge

    def judge(step: Step, scene: Scene, rules: Sequence[Rule]) -> Judgement:
        if scene.target.host == host_name and step is Step.INGRESS:
            fail()
        return real(step, scene, rules)

    monkeypatch.setattr(judges, "judge", judge)


def test_a_judge_that_fails_is_its_hosts_defect(
    lab: RunningLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a defect")

    judge_that(host(3), fail, monkeypatch)
    result = diagnosed(hosts(lab, [host(n) for n in range(6)]))
    assert healthy(result, {host(3): 1})
    (defective,) = result.defective
    assert defective.target.host == host(3)
    assert "ZeroDivisionError: a defect" in defective.defects["ingress"]
    assert result.exit_code == 70


def test_a_judge_that_never_ends_is_its_hosts_defect(
    lab: RunningLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loop() -> None:
        while True:
            time.sleep(0.01)  # what the timer interrupts

    monkeypatch.setattr(fleet_run, "_JUDGE_SECONDS", 0.5)
    judge_that(host(3), loop, monkeypatch)
    result = diagnosed(hosts(lab, [host(n) for n in range(6)]))
    assert healthy(result, {host(3): 1})
    assert [one.target.host for one in result.defective] == [host(3)]
    assert "TooLongError" in result.defective[0].defects["ingress"]


def test_a_host_that_cannot_be_asked_is_its_own_defect(
    lab: RunningLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fleet_run.Collection.look

    async def look(self: Any) -> None:
        if self.target.host == host(4):
            raise ValueError("no look")
        await real(self)

    monkeypatch.setattr(fleet_run.Collection, "look", look)
    result = diagnosed(hosts(lab, [host(n) for n in range(6)]))
    assert healthy(result, {host(4): 1})
    assert "no look" in result.defective[0].defects[""]


# --- maintenance


def test_maintenance_asks_nothing(lab: RunningLab) -> None:
    window = parse_window("2020-01-01T00:00:00Z/2100-01-01T00:00:00Z")
    quiet, *others = hosts(lab, [host(0), host(1)])
    lab.call(lab.lab.dns.queries.clear)
    result = diagnosed([FleetHost(quiet.run, (window,)), *others])
    assert [one.target.host for one in result.skipped] == [host(0)]
    assert result.skipped[0].maintenance == window.text
    assert healthy(result, {host(0): 1})
    assert host(0) not in {name for name, _ in lab.call(lambda: list(lab.lab.dns.queries))}
    assert result.exit_code == 0


# --- the command


def test_the_command_discovers_and_writes_and_shards_partition(
    lab: RunningLab, tmp_path: Path
) -> None:
    (tmp_path / "hopcheck.toml").write_text(
        'hosts = "discover"\nexclude = ["app-00[1-9]*", "myapp.*"]\n'
        '[[host]]\nname = "app-0001.fleet.example.com"\nowner = "team-a"\n'
    )

    def run(*more: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "hopcheck", "run", "--json", *lab.arguments(), *more]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=child_environment(lab.lab),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.stdout, done.stderr.decode()
        return done.returncode, json.loads(done.stdout)

    code, summary = run()
    assert code == 0
    names = [one["host"] for one in summary["hosts"]]
    assert sorted(names) == [host(n) for n in range(10)]
    assert summary["counts"]["healthy"] == 10
    (owned,) = [one for one in summary["hosts"] if one["owner"]]
    assert (owned["host"], owned["owner"], owned["source"]) == (host(1), "team-a", "configured")
    for one in summary["hosts"]:
        files = {path.name for path in (tmp_path / one["report"]).iterdir()}
        assert {"report.json", "report.html", "junit.xml", "summary.md"} <= files
        assert (tmp_path / "reports" / one["host"] / "latest" / "report.json").is_file()
    assert (tmp_path / "reports" / "fleet.json").is_file()
    assert (tmp_path / "reports" / "index.html").is_file()
    parts = [run("--shard", f"{index}/2", "--write", "nothing")[1] for index in range(2)]
    taken = [one["host"] for part in parts for one in part["hosts"]]
    assert sorted(taken) == sorted(names)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_tells_what_it_has(
    lab: RunningLab, tmp_path: Path, number: signal.Signals
) -> None:
    silent = host(1)
    lab.call(lambda: lab.lab.dns.rcodes.update({silent: "TIMEOUT"}))
    (tmp_path / "hopcheck.toml").write_text(f'hosts = ["{host(0)}", "{silent}"]\n')
    command = [sys.executable, "-m", "hopcheck", "run", "--json", "--timeout", "25"]
    process = subprocess.Popen(
        [*command, *lab.arguments()],
        cwd=tmp_path,
        env=child_environment(lab.lab),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        latest = tmp_path / "reports" / host(0) / "latest"
        until = time.monotonic() + 40
        while not latest.exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        out, error = process.communicate(timeout=40)
    finally:
        process.kill()
        lab.call(lambda: lab.lab.dns.rcodes.pop(silent))
    assert process.returncode == 130, error.decode()
    summary = json.loads(out)
    assert [one["host"] for one in summary["hosts"]] == [host(0)]
    assert summary["complete"] is False
    assert "Traceback" not in error.decode()
