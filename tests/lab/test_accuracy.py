"""The accuracy command: figures, what is good enough, and a trial that cannot be made."""

import asyncio
from collections import deque
from pathlib import Path

import pytest

from hopcheck.lab import accuracy
from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.lab import Lab
from hopcheck.lab.trials import KINDS, Result, Trial


def result(kind: str, *, wrong: str = "", note: str = "", tried: bool = True) -> Result:
    return Result(kind, "a", "fails", "b", 0.5, wrong, note, tried)


def test_a_line_of_the_table() -> None:
    assert Result("fault", "x", "END001", "END002", 1.5, "bad").line() == (
        "WRONG fault  x | END001 | END002 |  1.5 s | bad"
    )
    assert result("fault", tried=False).line().startswith("-     ")


@pytest.mark.parametrize(
    ("kind", "wrong", "of", "good"),
    [
        *((kind, 0, 40, True) for kind in KINDS),
        ("fault", 1, 40, False),
        ("pair", 1, 40, False),
        ("healed", 1, 40, False),
        ("edit", 2, 40, True),
        ("edit", 3, 40, False),
    ],
)
def test_what_is_good_enough(kind: str, wrong: int, of: int, good: bool) -> None:
    results = [result(kind, wrong="x") for _ in range(wrong)]
    results += [result(kind) for _ in range(of - wrong)]
    assert accuracy.good_enough(results) is good


def test_the_figures() -> None:
    results = [result("fault"), result("fault", wrong="x"), result("fault", tried=False)]
    results += [result("pair", note="hidden"), result("pair"), result("edit")]
    table = accuracy.table(results)
    assert "| 1 | 2 |" in table
    assert "| 2 | 2 | 1 with one that the other hides |" in table
    assert "100.0 % (1 fails, 0 partly, 0 works)" in table
    assert table.endswith("1 further faults, which the lab cannot show, are recorded evidence.")


def test_a_trial_that_cannot_be_made_is_told_and_the_rest_goes_on() -> None:
    async def breaks(lab: Lab, _diagnoser: Diagnoser) -> list[Result]:
        await lab.stop()
        raise OSError("the port is taken")

    async def works(lab: Lab, diagnoser: Diagnoser) -> list[Result]:
        diagnosis = await diagnoser.diagnose()
        return [Result("healed", "b", "healthy", diagnosis.report["verdict"], 0.0)]

    results: list[Result] = []
    todo = deque([Trial("fault", "a", breaks), Trial("healed", "b", works)])
    asyncio.run(accuracy._work(todo, results))
    assert [one.name for one in results] == ["a", "b"]
    assert "the port is taken" in results[0].wrong
    assert results[1].found == "healthy"
    assert not todo


def test_only_what_stands_between_the_marks_is_written(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("a <!-- b --> old <!-- e --> c")
    accuracy.write_between(file, "<!-- b -->", "<!-- e -->", "new")
    assert file.read_text() == "a <!-- b -->\nnew\n<!-- e --> c"
    with pytest.raises(ValueError, match="lacks the marks"):
        accuracy.write_between(file, "<!-- x -->", "<!-- e -->", "new")
