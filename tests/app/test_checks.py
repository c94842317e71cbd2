"""The checks as pytest runs them: what they read, a line for each rule, and checks of one's own."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import hopcheck
from hopcheck.engine.checklist import shipped_rules
from hopcheck.lab.demo import child_environment
from hopcheck.lab.running import RunningLab
from hopcheck.model import HttpEvidence, Step
from hopcheck.report.evidence import load

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((Path(hopcheck.__file__).parent / "report/report.schema.json").read_text())
HOST = "myapp.example.com"
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        running.settle()
        yield running


@pytest.fixture
def faulty(lab: RunningLab) -> Iterator[RunningLab]:
    lab.inject("svc-selector")
    yield lab
    lab.heal()


def python(lab: RunningLab, cwd: Path, *arguments: str) -> Done:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60,
        env={**child_environment(lab.lab), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def plain(lab: RunningLab, cwd: Path, *arguments: str) -> Done:
    """Plain pytest on the shipped checks."""
    words = [word.replace("--", "--hop-", 1) for word in lab.arguments()]
    return python(
        lab, cwd, "pytest", "-p", "hopcheck.pytest_plugin", "--noconftest", "--rootdir", str(cwd),
        "-c", str(ROOT / "hopcheck/app/checks.ini"), str(ROOT / "checks"), "--host", HOST,
        *words, *arguments,
    )  # fmt: skip


def report_of(cwd: Path) -> dict[str, Any]:
    (path,) = (cwd / "reports" / HOST).glob("2*/report.json")
    report: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(report, SCHEMA)
    return report


def test_the_first_step_alone_reads_dns_alone(lab: RunningLab, tmp_path: Path) -> None:
    for party in (lab.lab.server, lab.lab.cloud):
        lab.call(party.requests.clear)
    done = plain(lab, tmp_path, "-k", "dns")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.call(lambda: list(lab.lab.server.requests)) == []
    assert lab.call(lambda: list(lab.lab.cloud.requests)) == []
    report = report_of(tmp_path)
    assert report["selected"] == ["dns"]
    statuses = {step["step"]: step["status"] for step in report["steps"]}
    assert statuses.pop("dns") == "pass"
    assert set(statuses.values()) == {"unknown"}
    (path,) = (tmp_path / "reports" / HOST).glob("2*/evidence.json")
    evidence = load(path)
    assert evidence.dns.answers
    assert evidence.http == HttpEvidence()
    assert not (tmp_path / "reports" / HOST / "latest").exists()


def test_every_rule_has_a_line_and_every_step_one_case(lab: RunningLab, tmp_path: Path) -> None:
    done = plain(lab, tmp_path, "-v", "--junitxml", "junit.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    for rules in shipped_rules().values():
        for rule in rules:
            assert f"SUBPASSED[{rule.sentence}]" in done.stdout, rule.name
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert suite.get("tests") == "7"
    assert len(suite.findall("testcase")) == 7
    assert not suite.findall("testcase/*[@message]")


def test_the_rule_that_does_not_hold_is_named(faulty: RunningLab, tmp_path: Path) -> None:
    done = plain(faulty, tmp_path, "-v", "--junitxml", "junit.xml")
    assert done.returncode == 1
    names = {rule.sentence for rule in shipped_rules()[Step.ENDPOINTS]}
    broken = [line for line in done.stdout.splitlines() if "test_endpoints" in line]
    assert any(f"SUBFAILED[{name}]" in line for name in names for line in broken)
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert suite.get("tests") == "7"
    (case,) = [c for c in suite if "test_endpoints" in str(c.get("name"))]
    assert [failure.tag for failure in case.findall("failure")] == ["failure"]
    assert "END" in str(case.find("failure").get("message"))  # type: ignore[union-attr]


OWN = '''
from kubernetes import client


def test_the_service_has_an_owner(kube, target):
    """The Service says who owns it. Else nobody is called."""
    assert target.host == "myapp.example.com"
    listed = client.CoreV1Api(kube).list_service_for_all_namespaces().items
    named = [service.metadata.name for service in listed]
    assert "traefik" in named
    print("to standard error")
    assert "nobody" in named, "nobody owns it"


def test_the_host_answers(http, target):
    """The host answers the suite's user."""
    answer = http.get(target.url)
    assert answer.status_code == 200
    assert str(answer.request.url).startswith("https://myapp.example.com")


def test_the_name_resolves(resolver, target):
    assert list(resolver.resolve(target.host, "A"))


def test_there_is_one_load_balancer(aws):
    found = aws.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert found


def test_what_is_not_here():
    import pytest
    pytest.skip("not_applicable: there is no such thing")


import pytest


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_colours(target, colour):
    """Every colour is there."""
    assert colour == "red", "no blue"
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/test_own.py").write_text(OWN)
    return tmp_path


def test_checks_of_ones_own_stand_after_the_seven(lab: RunningLab, own: Path) -> None:
    done = python(lab, own, "hopcheck", "diagnose", HOST, *lab.arguments(),
                  "--checks", "mine", "--json")  # fmt: skip
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert [(one["step"], one["status"]) for one in report["yours"]] == [
        ("test_the_service_has_an_owner", "fail"),
        ("test_the_host_answers", "pass"),
        ("test_the_name_resolves", "pass"),
        ("test_there_is_one_load_balancer", "pass"),
        ("test_what_is_not_here", "not_applicable"),
        ("test_colours[red]", "pass"),
        ("test_colours[blue]", "fail"),
    ], report["yours"]
    first = report["yours"][0]
    assert first["title"] == "The Service says who owns it"
    assert first["reason"].startswith("nobody owns it")
    assert [step["status"] for step in report["steps"]] == ["pass"] * 7
    assert report["coverage"] == {"seen": 7, "of": 7}
    assert report["verdict"] == "degraded"
    assert "The Service says who owns it" in report["headline"]
    assert done.returncode == 4
    assert "to standard error" in done.stderr
    (html,) = (own / "reports" / HOST).glob("2*/report.html")
    assert "nobody owns it" in html.read_text()
    suite = ET.parse(html.parent / "junit.xml").getroot()[0]
    cases = {str(case.get("name")): case for case in suite.iter("testcase")}
    failure = cases[f"test_the_service_has_an_owner[{HOST}]"].find("failure")
    assert failure is not None
    assert failure.get("message") == "The Service says who owns it"
    assert str(failure.text).startswith("nobody owns it")
    screen = python(lab, own, "hopcheck", "diagnose", HOST, *lab.arguments(), "--checks", "mine")
    rows = [row for row in screen.stdout.splitlines() if "Yours" in row]
    assert rows[0].startswith(
        " ✗   fail    Yours           The Service says who owns it: nobody owns"
    )
    assert rows[1].startswith(" ✓   pass    Yours           The host answers the suite's user")
    assert len(rows) == 7


def test_checks_of_the_file_run_in_a_fleet(lab: RunningLab, own: Path) -> None:
    (own / "hopcheck.toml").write_text(
        f'checks = "mine"\n[metrics]\ntextfile = "hop.prom"\n[[host]]\nname = "{HOST}"\n'
    )
    done = python(lab, own, "hopcheck", "run", *lab.arguments(), "--json")
    assert done.returncode == 4, done.stdout + done.stderr
    report = report_of(own)
    assert [one["status"] for one in report["yours"]] == [
        "fail", "pass", "pass", "pass", "not_applicable", "pass", "fail",
    ]  # fmt: skip
    assert report["coverage"]["seen"] == 7
    metrics = (own / "hop.prom").read_text()
    for name, status in (("test_the_service_has_an_owner", "fail"), ("test_colours[red]", "pass")):
        labels = f'host="{HOST}",status="{status}",step="{name}"'
        assert f"hopcheck_step_status{{{labels}}} 1.0" in metrics, metrics


def test_a_check_of_ones_own_takes_no_run_along(lab: RunningLab, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/test_bad.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "mine/conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef broken():\n    raise OSError('gone')\n"
    )
    (tmp_path / "mine/test_slow.py").write_text(
        "import time\n"
        "def test_for_ever():\n    while True: time.sleep(0.01)\n"
        "def test_fixture(broken): pass\n"
    )
    done = python(lab, tmp_path, "hopcheck", "diagnose", HOST, *lab.arguments(),
                  "--checks", "mine", "--deadline", "4")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = {one["step"]: one for one in report_of(tmp_path)["yours"]}
    assert {one["status"] for one in found.values()} == {"unknown"}
    assert set(found) == {"test_bad", "test_for_ever", "test_fixture"}
    assert "nothing_of_that_name" in found["test_bad"]["reason"]
    assert "gone" in found["test_fixture"]["reason"]


def test_a_directory_that_is_not_there_is_a_usage_error(lab: RunningLab, tmp_path: Path) -> None:
    done = python(lab, tmp_path, "hopcheck", "diagnose", HOST, "--checks", "nowhere")
    assert done.returncode == 2
    assert done.stderr == "hopcheck: --checks nowhere: no such directory\n"
    assert not list(tmp_path.iterdir())


def pytest_in(cwd: Path, *arguments: str) -> Done:
    """Plain pytest where there is no lab and nothing of the user's."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=cwd, capture_output=True, text=True,
        timeout=60, env={**child_environment(), "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
    )  # fmt: skip


@pytest.mark.parametrize("more", [[], ["-n", "2"], ["-k", "dns"]])
def test_without_a_host_it_says_so_in_one_sentence(tmp_path: Path, more: list[str]) -> None:
    done = pytest_in(
        ROOT, "checks", "-p", "no:cacheprovider", "--hop-reports", str(tmp_path), *more
    )
    said = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, said
    assert said.count("no host was given: pytest checks --host myapp.example.com") == 1, said
    assert not any(word in said for word in ("INTERNALERROR", "Traceback", "passed", "skipped"))


def test_what_only_looks_at_the_checks_needs_no_host() -> None:
    listed = pytest_in(ROOT, "checks", "-p", "no:cacheprovider", "--collect-only", "-q")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert len([line for line in listed.stdout.splitlines() if "::test_" in line]) == 7
    fixtures = pytest_in(ROOT, "checks", "-p", "no:cacheprovider", "--fixtures")
    assert fixtures.returncode == 0, fixtures.stdout + fixtures.stderr
    assert "kube_evidence" in fixtures.stdout
    assert "error" not in (listed.stderr + fixtures.stderr).lower()


ITS_OWN = """
def pytest_addoption(parser):
    parser.addoption("--host", default="nobody")
"""


@pytest.mark.parametrize("loaded", ["by -p", "by its conftest"])
def test_a_project_keeps_its_own_host_option(tmp_path: Path, loaded: str) -> None:
    named = ["-p", "hopcheck.pytest_plugin"] if loaded == "by -p" else []
    own = "" if named else 'pytest_plugins = ["hopcheck.pytest_plugin"]\n'
    (tmp_path / "conftest.py").write_text(own + ITS_OWN)
    (tmp_path / "test_theirs.py").write_text(
        "def test_theirs(request): assert request.config.getoption('host') == 'theirs'\n"
    )
    (tmp_path / "test_hop.py").write_text(
        "def test_hop(target): assert target.host == 'a.example'\n"
    )
    theirs = pytest_in(tmp_path, *named, "test_theirs.py", "--host", "theirs")
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr
    without = pytest_in(tmp_path, *named, "--host", "theirs")
    assert without.returncode == pytest.ExitCode.USAGE_ERROR, without.stdout + without.stderr
    assert "(--hop-host where" in without.stderr
    ours = pytest_in(tmp_path, *named, "--host", "theirs", "--hop-host", "a.example")
    assert ours.returncode == 0, ours.stdout + ours.stderr
    assert "2 passed" in ours.stdout


def test_workers_leave_the_summary_as_it_is(faulty: RunningLab, tmp_path: Path) -> None:
    done = plain(faulty, tmp_path, "-n", "2")
    assert done.returncode == 1
    _, summary = done.stdout.split(f"hopcheck {HOST}")
    assert "broken: " in summary
    (cause,) = report_of(tmp_path)["root_causes"]
    assert f"{cause['code']} Service " in summary
    assert f"fix: {cause['fix']}"[:60] in summary
    assert "report: reports/" in summary


def test_a_skip_points_to_the_check(tmp_path: Path) -> None:
    done = pytest_in(
        ROOT, "checks", "-p", "no:cacheprovider", "-rs", "--host", "a.example",
        "--hop-resolver", "127.0.0.1:1", "--hop-reports", str(tmp_path),
    )  # fmt: skip
    skips = [line for line in done.stdout.splitlines() if line.startswith(("SKIP", "SUBSKIP"))]
    assert skips, done.stdout
    assert all("checks/test_" in line and "fixtures.py" not in line for line in skips), skips


def test_what_follows_is_nobodys_to_mend(lab: RunningLab, tmp_path: Path) -> None:
    """Of a consequence nobody says how to mend it, but of what it is one, in the same words.

    Also of one that an earlier step sees: the targets fail, since Traefik's pods do.
    """
    lab.inject("tsvc-selector")
    try:
        done = plain(lab, tmp_path, "-v", "--junitxml", "junit.xml")
        told = python(lab, tmp_path, "hopcheck", "diagnose", HOST, *lab.arguments(), "-v")
    finally:
        lab.heal()
    reports = sorted((tmp_path / "reports" / HOST).glob("2*/report.json"))
    report = json.loads(reports[0].read_text())
    (root,) = report["root_causes"]
    findings = [one for step in report["steps"] for one in step["findings"]]
    following = [one for one in findings if one["caused_by"]]
    assert {one["step"] for one in following} >= {"target-health", "request"}, findings
    assert not any(one["fix"] for one in following)
    words = f"follows from {root['code']}; nothing to do here"
    cases = ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    failures = {str(case.get("name")): str(case.find("failure").text)  # type: ignore[union-attr]
                for case in cases if case.find("failure") is not None}  # fmt: skip
    own = ET.parse(reports[0].parent / "junit.xml").getroot().iter("testcase")
    failures |= {f"own {case.get('name')}": str(case.find("failure").text)  # type: ignore[union-attr]
                 for case in own if case.find("failure") is not None}  # fmt: skip
    for step in {one["step"] for one in following if one["severity"] == "error"}:
        for name in (f"test_{step.replace('-', '_')}[{HOST}]", f"own {step}[{HOST}]"):
            assert words in failures[name], name
            assert "fix:" not in failures[name].lower().replace(words, ""), name
    assert done.stdout.count(words) >= len({one["step"] for one in following})
    rows = [row for row in told.stdout.splitlines() if row.startswith((" ✗ 2", " ✗ 7"))]
    assert len(rows) == 2
    assert all(f"(follows from {root['code']}" in row for row in rows), rows
    assert " ".join(told.stdout.split()).count(words) >= len(following)
    page = (reports[0].parent / "report.html").read_text()
    plain_words = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert plain_words.count(words) == len(following)
