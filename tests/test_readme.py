"""The README's first screen is what the program prints."""

import io

from rich.console import Console

from hopcheck.engine.replay import replay
from hopcheck.report.evidence import load
from hopcheck.report.terminal import print_report
from tests.readme import FAULT, MARKS, README
from tests.recorded import SNAPSHOTS


def test_the_terminal_is_current() -> None:
    """All that a replay tells too: neither seconds nor since when. `python -m tests.readme`."""
    report = replay(load(SNAPSHOTS / f"{FAULT}.json.gz"))
    out = io.StringIO()
    print_report(report, Console(file=out, width=100, highlight=False))
    *lines, seconds = out.getvalue().splitlines()
    assert seconds.endswith(" s")
    written = README.read_text("utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0].splitlines()
    assert [line for line in lines if line not in written] == []
    assert len(lines) > 15
