"""What the user named and is not there: one sentence, the near name, what there is; exit code 2."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hopcheck.lab.demo import child_environment, compare
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.running import RunningLab

ROOT = Path(__file__).parents[2]
HOST = "myapp.example.com"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        running.settle()
        yield running


def run(lab: RunningLab, cwd: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**child_environment(lab.lab), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **env}
    environment = {name: value for name, value in environment.items() if value}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, timeout=60,
        env=environment,
    )  # fmt: skip


NAMED: list[tuple[list[str], str, dict[str, str]]] = [
    (["--context", "lba"], "context 'lba': there is none of that name; did you mean 'lab'? (what "
     "there is: lab)", {}),
    (["--kubeconfig", "no-config"], "kubeconfig 'no-config': there is none of that name; did you "
     "mean 'a-config'? (what there is: a-config", {}),
    (["--namespace", "defualt"], "namespace 'defualt': there is none of that name; did you mean "
     "'default'? (what there is: default, api-gateway-system, kube-system)", {}),
    (["--traefik-service", "api-gateway-system/treafik"], "Traefik's Service 'api-gateway-system/"
     "treafik': there is none of that name; did you mean 'api-gateway-system/traefik'? (what", {}),
    (["--ca-file", "b-ca"], "--ca-file 'b-ca': there is none of that name; did you mean 'a-ca'?",
     {}),
    (["--ca-file", "a-ca"], "--ca-file a-ca: no certificate in PEM can be read there", {}),
    ([], "AWS profile 'prdo': there is none of that name; did you mean 'prod'? (what there is: "
     "prod)", {"AWS_PROFILE": "prdo"}),
    (["--config", "profile.toml"], "AWS profile 'pord': there is none of that name; did you mean "
     "'prod'?", {}),
    (["--config", "region.toml"], "AWS region 'eu-cental-1': there is none of that name; did you "
     "mean 'eu-central-1'? (what there is: eu-central-1, ", {"AWS_ENDPOINT_URL": ""}),
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "a-config").write_text("")
    (tmp_path / "a-ca").write_text("nothing")
    (tmp_path / "profile.toml").write_text('aws_profile = "pord"')
    (tmp_path / "region.toml").write_text('aws_region = "eu-cental-1"')
    (tmp_path / "aws").write_text("[profile prod]\ncredential_process = false\n")
    return tmp_path


@pytest.mark.parametrize(("options", "words", "env"), NAMED, ids=lambda one: str(one)[:30])
def test_one_sentence_and_exit_code_2(
    lab: RunningLab, place: Path, options: list[str], words: str, env: dict[str, str]
) -> None:
    env = {"AWS_CONFIG_FILE": "aws" if "profile" in words else "", **env}
    done = run(
        lab, place, "hopcheck", "diagnose", HOST, "--quiet", *lab.arguments(), *options, **env
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"hopcheck: {words}"), line
    assert not (place / "reports").exists()


def test_a_profile_that_is_refused_is_unknown(lab: RunningLab, place: Path) -> None:
    done = run(lab, place, "hopcheck", "diagnose", HOST, "--quiet", *lab.arguments(),
               AWS_CONFIG_FILE="aws", AWS_PROFILE="prod", AWS_ACCESS_KEY_ID="")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HEALTHY (6 OF 7 SEEN)  ")
    assert "is healthy as far as seen (6 of 7)" in done.stdout


@pytest.mark.parametrize("more", [[], ["-n", "2"]])
def test_plain_pytest_says_it_once(lab: RunningLab, place: Path, more: list[str]) -> None:
    done = run(lab, place, "pytest", "-p", "hopcheck.pytest_plugin", "--noconftest", "--rootdir",
               str(place), "-c", str(ROOT / "hopcheck/app/checks.ini"), str(ROOT / "checks"),
               "--host", HOST, "--hop-context", "lba", *more)  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, said
    assert said.count("ERROR: context 'lba': there is none of that name") == 1, said
    assert not any(word in said for word in ("INTERNALERROR", "Traceback"))
    assert not (place / "reports").exists()


def test_the_doctor_and_many_hosts_say_it_too(lab: RunningLab, place: Path) -> None:
    (place / "hopcheck.toml").write_text(f'[[host]]\nname = "{HOST}"\n')
    for words in (["doctor"], ["run"]):
        done = run(lab, place, "hopcheck", *words, "--context", "lba")
        assert done.returncode == 2, done.stdout + done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("hopcheck: context 'lba': there is none of that name"), line


def test_in_a_fleet_an_object_that_is_gone_stops_no_run(lab: RunningLab, place: Path) -> None:
    (place / "hopcheck.toml").write_text(
        f'traefik_service = "api-gateway-system/gone"\n[[host]]\nname = "{HOST}"\n'
    )
    done = run(lab, place, "hopcheck", "run", *lab.arguments())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fault", ["", "svc-selector", "tsvc-selector"])
def test_a_namespace_bounds_the_application_alone(lab: RunningLab, place: Path, fault: str) -> None:
    """Traefik is in another one, and is looked for where it is."""
    if fault:
        lab.inject(fault)
    try:
        done = run(lab, place, "hopcheck", "diagnose", HOST, "--json", *lab.arguments(),
                   "--namespace", "default")  # fmt: skip
    finally:
        lab.heal()
    report = json.loads(done.stdout)
    assert compare(report, FAULTS[fault] if fault else None) == ""
    assert "unknown" not in [step["status"] for step in report["steps"]] or fault


def test_in_a_fleet_a_report_that_is_not_written_is_no_success(
    lab: RunningLab, place: Path
) -> None:
    (place / "hopcheck.toml").write_text(f'[[host]]\nname = "{HOST}"\n')
    (place / "reports").mkdir()
    (place / f"reports/{HOST}").write_text("a file")
    done = run(lab, place, "hopcheck", "run", *lab.arguments())
    assert done.returncode == 2, done.stdout + done.stderr
    assert "could not be written" in done.stderr
