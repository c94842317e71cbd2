"""The same state gives the same answer, live: one of two workloads behind Traefik's Service fails.

Which replica a request meets is drawn anew in every run. Twenty orders of the same evidence are
tried in tests/scene/test_same_answer.py, which costs a twentieth.
"""

from collections.abc import Callable, Iterator

import pytest

from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.running import RunningLab
from hopcheck.lab.setups.instances import behind_the_same_service

TIMES = 8


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def reads_nothing(args: list[str]) -> list[str]:
    return [word for word in args if "providers.kubernetes" not in word]


def listens_elsewhere(args: list[str]) -> list[str]:
    return [w.replace(":8443", ":8444") if "websecure.address" in w else w for w in args]


@pytest.mark.parametrize(
    ("change", "code"), [(reads_nothing, "SVC012"), (listens_elsewhere, "SVC005")]
)
def test_one_of_two_workloads(
    lab: RunningLab, diagnoser: Diagnoser, change: Callable[[list[str]], list[str]], code: str
) -> None:
    lab.run(behind_the_same_service(lab.lab, change))
    try:
        lab.settle()
        said = []
        for _ in range(TIMES):
            report = lab.run(diagnoser.diagnose()).report
            roots = [(f["code"], f["object"]["name"]) for f in report["root_causes"]]
            said.append((report["verdict"], roots))
    finally:
        lab.heal()
    assert said == [("degraded", [(code, "a-traefik-next")])] * TIMES
