"""``hopcheck diff``."""

import json
from pathlib import Path

import msgspec
import pytest

from hopcheck.app.diff import diff, lines, read, to_dict
from hopcheck.engine.write import write
from hopcheck.report.json import to_json
from tests.app.test_cli import run
from tests.engine.test_replay import session, unpacked
from tests.report.examples import BROKEN


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    return unpacked(tmp_path, "healthy")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    return unpacked(tmp_path, "svc-targetport-num")


def test_the_same(tmp_path: Path, healthy: Path) -> None:
    done = run(tmp_path, "diff", str(healthy), str(healthy))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "no difference"
    data = json.loads(run(tmp_path, "diff", str(healthy), str(healthy), "--json").stdout)
    assert (data["same"], data["gone"], data["new"], data["changes"]) == (True, [], [], [])


def test_a_healthy_and_a_broken_one(tmp_path: Path, healthy: Path, broken: Path) -> None:
    done = run(tmp_path, "diff", str(healthy), str(broken))
    assert done.returncode == 1
    assert "Verdict: healthy → broken" in done.stdout
    assert "  * END003 error Service default/my-app-service" in done.stdout
    assert (
        "    Service default/my-app-service spec.ports[0].targetPort 8080 → 8081\n" in done.stdout
    )
    assert "Gone" not in done.stdout
    back = diff(read(broken), read(healthy))
    assert [one.code for one in back.gone] == [one.code for one in back.a.findings]
    assert back.new == ()


def test_json(healthy: Path, broken: Path) -> None:
    data = to_dict(diff(read(healthy), read(broken)))
    assert data["a"]["verdict"] == "healthy"
    assert data["b"]["source"] == str(broken)
    assert data["changes"][0]["field"] == "spec.ports[0].targetPort"
    assert {one["code"] for one in data["new"]} >= {"END003", "REQ009"}
    json.dumps(data)


def test_a_runs_directory_and_its_files_are_the_same(tmp_path: Path) -> None:
    run_ = write(session(tmp_path, "svc-targetport-num"))
    sides = [read(run_), read(run_ / "report.json"), read(run_ / "evidence.json")]
    for one in sides:
        assert diff(sides[0], one).same
        assert one.snapshot is not None


def test_a_report_alone_has_no_facts(tmp_path: Path, healthy: Path) -> None:
    (tmp_path / "report.json").write_bytes(to_json(BROKEN))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "report.json").write_bytes(to_json(BROKEN))
    alone = read(tmp_path / "sub" / "report.json")
    found = diff(alone, alone)
    assert found.changes is None
    assert found.same
    other = msgspec.structs.replace(alone, fingerprint="other")
    text = "\n".join(lines(diff(alone, other)))
    assert "Facts were not compared" in text


@pytest.mark.parametrize("arguments", [[], ["a"], ["nowhere", "nowhere"], [".", "."]])
def test_usage(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, "diff", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
