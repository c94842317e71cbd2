"""``python -m tests.conform [--count N] [--seed S] [--versions V…]``: the suite's predictions.

Each case is loaded into the lab's API server before the real Traefik of each version. Printed are
the disagreements (the first of them with the least objects that show one) and a summary; the exit
code is 1 where there are any, or where a version could not be had.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.conform.real import Bench
from tests.conform.running import VERSIONS, Result, binaries, least, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--load", type=int, default=250, help="cases loaded at once")
    parser.add_argument("--show", type=int, default=5, help="disagreements shown with objects")
    parser.add_argument(
        "--versions", nargs="*", default=VERSIONS, help="3.3.6, or 2.11.53=/path/to/traefik"
    )
    given = parser.parse_args()
    programs, lacking = binaries(given.versions)
    numbers = range(given.first, given.first + given.count)
    compared: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    wrong: list[Result] = []
    with tempfile.TemporaryDirectory() as directory, Bench(Path(directory)) as bench:
        for result in run(bench, given.seed, numbers, given.load, programs):
            compared[result.version] += 1
            if result.disagreements and result.explained:
                explained[result.version] += 1
            elif result.disagreements:
                wrong.append(result)
        for at, result in enumerate(wrong):
            shown = at < given.show
            small = least(bench, result, programs[result.version]) if shown else None
            print(result.text(small), flush=True)
    disagree = Counter(result.version for result in wrong)
    print(f"seed {given.seed}, cases {numbers.start} to {numbers.stop - 1}:")
    for version in programs:
        print(
            f"  {version}: {compared[version]} compared, {disagree[version]} disagree, "
            f"{explained[version]} explained (docs/versions.md)"
        )
    for version, why in lacking.items():
        print(f"  {version}: not compared: {why}")
    return 1 if wrong or lacking else 0


if __name__ == "__main__":
    sys.exit(main())
