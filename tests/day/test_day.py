"""A sample of the simulated day on the live lab; `make day` plays all of it."""

from pathlib import Path

from tests.day.plan import short, whole
from tests.day.running import play, wrong


def test_a_short_day_goes_as_planned(tmp_path: Path) -> None:
    day = short()
    outcome = play(day, tmp_path)
    assert wrong(day, outcome) == [], outcome.output[-3000:]


def test_the_whole_day_is_long_enough() -> None:
    day = whole()
    assert day.hosts == 20
    assert len(day.runs) >= 200
    kinds = {told.kind for told in day.told}
    assert kinds == {"broken", "changed", "recovered"}
