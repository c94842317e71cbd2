"""A sample of `make conform`: the suite's predictions against the real Traefik of the lab."""

from collections.abc import Iterator

import pytest

from hopcheck.behaviour.traefik import routes, servers
from tests.behaviour.real_traefik import binary
from tests.conform.grammar import Case, case, settings
from tests.conform.real import Bench, Seen, flags
from tests.conform.running import INSTALLED, Result, judged, least
from tests.conform.smaller import renumbered

SEED, COUNT = 7, 200


class Sample:
    """The cases, and what the real Traefik made of them."""

    def __init__(self, bench: Bench, args: list[str]) -> None:
        self.bench, self.args = bench, args
        self.cases = [case(SEED, number) for number in range(COUNT)]
        self.seen: list[Seen] = []

    def judged(self) -> list[Result]:
        """The cases that are disagreed on, explained ones left out."""
        results = (
            judged(self.bench, one, seen, INSTALLED, self.args)
            for one, seen in zip(self.cases, self.seen, strict=True)
        )
        return [result for result in results if result.disagreements and not result.explained]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    with Bench(tmp_path_factory.mktemp("conform")) as bench:
        found = Sample(bench, flags(settings(SEED, 0), INSTALLED))
        with bench.loaded(found.cases):
            found.seen = bench.see(found.cases, INSTALLED, binary(), found.args)
        yield found


def test_predicted_and_real_agree(sample: Sample) -> None:
    assert [result.text(None) for result in sample.judged()] == []


def test_the_sample_tells_something(sample: Sample) -> None:
    answers = [answer for seen in sample.seen for answer in seen.answers]
    assert len(answers) == 8 * COUNT
    assert sum(bool(answer.server) for answer in answers) > COUNT // 2
    assert sum(answer.status == 404 for answer in answers) > COUNT
    assert COUNT // 3 < sum(bool(one.wrong) for one in sample.cases) < 2 * COUNT // 3


PLANTED = {
    "which server": (servers, "uses_endpoint", lambda version, conditions: True),
    "which router": (routes, "rank", lambda route, view: (-route.priority, 0)),
    "whether there is one": (routes, "refused", lambda *_: False),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_wrong_prediction_is_reported(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    module, name, wrong = PLANTED[what]
    monkeypatch.setattr(module, name, wrong)
    assert sample.judged()


def test_what_is_reported_is_small(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "refused", lambda *_: False)
    result = sample.judged()[0]
    small = least(sample.bench, result, binary())
    assert len(small.objects) < len(result.case.objects)
    # A route, and no more than what it needs to be read.
    assert len(small.objects) <= 3
    assert any(obj["kind"] in ("Ingress", "IngressRoute") for obj in small.objects)


def test_the_same_seed_gives_the_same_objects() -> None:
    def drawn(seed: int) -> list[Case]:
        return [case(seed, number) for number in range(50)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_a_case_is_moved_without_a_trace(sample: Sample) -> None:
    moved = renumbered(sample.cases[5], 900_001)
    assert "k5-" not in str(moved.objects)
    assert "k5." not in str([*moved.objects, *moved.requests]).lower()
