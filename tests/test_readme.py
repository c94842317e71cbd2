"""The README's first screen is what the program prints."""

import io

from msgspec.structs import replace
from rich.console import Console

from hopcheck.engine.replay import replay
from hopcheck.report.evidence import load
from hopcheck.report.terminal import print_report
from tests.readme import FAULT, MARKS, README
from tests.recorded import SNAPSHOTS


def test_the_terminal_is_current() -> None:
    """What a replay tells too: neither seconds nor what changed. `python -m tests.readme`."""
    report = replace(replay(load(SNAPSHOTS / f"{FAULT}.json.gz")), replayed=False)
    out = io.StringIO()
    print_report(report, Console(file=out, width=100, highlight=False))
    lines = out.getvalue().splitlines()
    written = README.read_text("utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    screen = written[written.index("\nBROKEN ") : written.index(" steps seen, ")]
    before, _, rest = screen.partition("\nSince ")  # of this very lab
    shown = [*before.splitlines(), *f"Fix {rest.partition(chr(10) + 'Fix ')[2]}".splitlines()]
    assert [line for line in shown[:-1] if line not in lines] == []
    assert len(shown) > 15
