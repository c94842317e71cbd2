"""``python -m tests.day``: the whole simulated day, and whether it went as planned."""

import sys
import tempfile
from pathlib import Path

from tests.day.plan import whole
from tests.day.running import play, wrong


def main() -> int:
    day = whole()
    with tempfile.TemporaryDirectory() as directory:
        outcome = play(day, Path(directory))
    for told in outcome.told:
        hosts = ", ".join(str(host) for host in sorted(told.hosts))
        print(f"run {told.run:3}: {told.kind:10} {told.code}  hosts {hosts}")
    found = wrong(day, outcome)
    print(
        f"{len(day.runs)} runs over {day.hosts} hosts in {outcome.seconds:.0f} s; "
        f"{len(outcome.told)} messages, {len(day.told)} planned; "
        f"files: {max(outcome.files)} at most, {outcome.files[-1]} at the end"
    )
    print("\n".join(found) or "as planned: messages, history, files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
