"""Random single edits of the healthy lab: the edited object is named, and nobody is slandered.

A sample of the fixed series here; all of it by ``make accuracy``.
"""

import asyncio
from random import Random

import pytest

from hopcheck.lab.client import Truth
from hopcheck.lab.diagnosis import Diagnoser, Diagnosis
from hopcheck.lab.lab import Lab
from hopcheck.lab.mutation import draw, score
from hopcheck.lab.mutation.edit import Edit

SAMPLE = 10


@pytest.mark.timeout(240)
def test_a_sample_of_the_series() -> None:
    async def run() -> list[score.Score]:
        scores = []
        async with Lab() as lab, Diagnoser(lab) as diagnoser:
            series = await draw.draw(lab)
            for mutation in Random(draw.SEED).sample(series, SAMPLE):
                scores.append(await score.score(lab, diagnoser, mutation))
                await lab.heal()
        return scores

    scores = asyncio.run(run())
    wrong = [f"{one.mutation} ({one.sees}): {one.wrong}" for one in scores if one.wrong]
    assert not wrong, "\n".join(wrong)
    # A sample in which nothing broke, or nothing went on, would show nothing.
    assert {"fails", "works"} <= {one.sees for one in scores}


def test_the_series_is_the_same_each_time() -> None:
    async def names() -> list[str]:
        async with Lab() as lab:
            return [str(one) for one in await draw.draw(lab, count=40)]

    first, second = asyncio.run(names()), asyncio.run(names())
    assert first == second
    assert len(set(first)) == 40


SERVICE = ("Service", "default", "app")


async def nothing(_lab: Lab) -> None:
    """Edits nothing."""


EDIT = Edit("Service app spec", frozenset({SERVICE}), nothing, frozenset({"END014"}))
WORKS, FAILS, PARTLY = Truth(4, 4), Truth(4, 0), Truth(4, 2)


def finding(code: str, name: str, related: str = "", severity: str = "error") -> dict[str, object]:
    def thing(of: str) -> dict[str, str]:
        return {"kind": "Service", "namespace": "default", "name": of}

    return {"code": code, "object": thing(name), "severity": severity,
            "related": [thing(related)] if related else []}  # fmt: skip


def said(
    verdict: str, *roots: dict[str, object], more: tuple[dict[str, object], ...] = ()
) -> Diagnosis:
    steps = [{"findings": [*roots, *more]}]
    return Diagnosis(1, {"verdict": verdict, "root_causes": list(roots), "steps": steps})


@pytest.mark.parametrize(
    ("truth", "diagnosis", "right"),
    [
        (FAILS, said("broken", finding("END003", "app")), True),
        (FAILS, said("broken", finding("ING005", "other", related="app")), True),
        (FAILS, said("broken", finding("ING005", "other")), False),
        (FAILS, said("broken", finding("END003", "app"), finding("ING005", "other")), False),
        (FAILS, said("broken", finding("END014", "other")), True),  # bounds it at its hop
        (FAILS, said("broken", finding("TGT020", "other")), False),  # at another hop
        (FAILS, said("broken"), False),
        (FAILS, said("unknown"), False),
        (FAILS, said("healthy", finding("END003", "app")), False),
        (WORKS, said("healthy"), True),
        (WORKS, said("degraded", finding("END003", "app")), True),
        (WORKS, said("degraded", finding("ING005", "other")), False),
        (WORKS, said("broken", finding("END003", "app")), False),
        (PARTLY, said("degraded", finding("END013", "app")), True),
        (PARTLY, said("healthy", more=(finding("END006", "app", severity="warning"),)), True),
        (PARTLY, said("healthy", more=(finding("END011", "app", severity="info"),)), False),
        (PARTLY, said("healthy"), False),
        (FAILS, Diagnosis(70, {}, "no report, exit code 70"), False),
    ],
)
def test_what_counts_as_right(truth: Truth, diagnosis: Diagnosis, right: bool) -> None:
    assert bool(score.judge(EDIT, truth, diagnosis)) is not right
