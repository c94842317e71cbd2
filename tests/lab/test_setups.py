"""Healthy set-ups live: one a family from a fixed seed, and those that only a live run can show.

All of them are run by `make accuracy`; tests/judge/test_setups.py judges the evidence of all.
"""

import random
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hopcheck.lab.demo import compare
from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.running import RunningLab
from hopcheck.lab.setups import SETUPS
from hopcheck.lab.trials import SetUp

FAMILIES = sorted({setup.family for setup in SETUPS.values()})
SAMPLE = [
    random.Random(f"{family} 1").choice([n for n, s in SETUPS.items() if s.family == family])
    for family in FAMILIES
]
# The order in which parties are asked, and how fast: not in any recorded evidence.
LIVE = ["two-instances", "fifty-broken-ingresses"]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


@pytest.mark.parametrize("name", [*SAMPLE, *LIVE])
def test_no_false_alarm(lab: RunningLab, diagnoser: Diagnoser, name: str) -> None:
    (result,) = lab.run(SetUp(name).run(lab.lab, diagnoser))
    lab.heal()
    assert result.wrong == ""


@pytest.mark.parametrize("name", ["host-network", "nlb-local-one-zone", "alb-pods"])
def test_the_lab_comes_back(lab: RunningLab, diagnoser: Diagnoser, name: str) -> None:
    """After a set-up that moves Traefik to other addresses, ends one, or changes the account."""
    lab.run(lab.lab.arrange(name))
    lab.heal()
    healed = lab.run(diagnoser.diagnose())
    assert compare(healed.report, None) == ""
    assert [step["status"] for step in healed.report["steps"]] == ["pass"] * 7


def test_the_command_line_knows_its_set_ups() -> None:
    command = [sys.executable, "-m", "hopcheck.lab"]
    listed = subprocess.run([*command, "setups"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == list(SETUPS)
    wrong = subprocess.run(
        [*command, "demo", "--setup", "alb-rule"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "alb-rules" in wrong.stderr


def test_a_further_traefik_is_forgotten_when_the_lab_is_healed(lab: RunningLab) -> None:
    lab.run(SETUPS["two-instances"].arrange(lab.lab))
    lab.heal()
    lab.inject("tpod-rbac")
    lab.heal()


def test_the_errors_of_one_fault_are_past_before_the_next(lab: RunningLab) -> None:
    lab.inject("tls-secret-empty")
    traefik = list(lab.lab._traefik.values())
    assert all(one.complains() for one in traefik)
    lab.heal()
    lab.run(lab.lab.complaints_past())
    assert not any(one.complains() for one in traefik)
