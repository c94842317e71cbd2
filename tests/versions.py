"""The scenarios on one Traefik of each minor version: ``python -m tests.versions [--write FILE]``.

Runs tests/scenarios/test_versions.py and Traefik's conformance test once a version, one after the
other, and writes the table of results into FILE between its marks. The exit code is 1 where a
version fails or could not be installed.
"""

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from hopcheck import __version__

# The newest patch of each minor version that the package index has (of 3.1 it has none), and both
# sides of the change of 3.6.7: which endpoints are used.
VERSIONS = ("3.0.4", "3.2.3", "3.3.6", "3.4.3", "3.5.3", "3.6.6", "3.6.15", "3.7.15")
TESTS = (
    "tests/scenarios/test_versions.py",
    "tests/lab/test_conformance.py::test_traefik_reads_routes_and_follows_changes[other]",
)
NOTE = f"(`make versions`, hopcheck {__version__})"
BEGIN, END = "<!-- versions:begin -->", "<!-- versions:end -->"


class Result(NamedTuple):
    version: str
    passed: int
    total: int
    seconds: float
    remarks: str

    @property
    def good(self) -> bool:
        return self.total > 0 and self.passed == self.total


def run(version: str) -> Result:
    with tempfile.TemporaryDirectory() as directory:
        junit = Path(directory) / "junit.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--timeout", "120", f"--junitxml={junit}",
             *TESTS],
            env={**os.environ, "HOPCHECK_TEST_TRAEFIK": version},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not junit.exists():
            return Result(version, 0, 0, 0.0, (done.stderr or done.stdout).strip()[-200:])
        suite = ElementTree.parse(junit).getroot()[0]
    cases = suite.findall("testcase")
    bad = [
        case for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = [case for case in cases if case.find("skipped") is not None]
    remarks = ", ".join(case.get("name", "") for case in bad)
    if skipped:
        remarks = f"{len(skipped)} skipped: {skipped[0].find('skipped').get('message', '')}"  # type: ignore[union-attr]
    passed = len(cases) - len(bad) - len(skipped)
    return Result(version, passed, len(cases), float(suite.get("time", "0")), remarks)


HEAD = "| Traefik | passed | seconds | on | remarks |\n|---|---|---|---|---|"


def row(result: Result) -> str:
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    return (
        f"| {result.version} | {result.passed} of {result.total} | {result.seconds:.0f} | {today} "
        f"| {result.remarks or 'none'} |"
    )


def merged(before: str, results: list[Result]) -> str:
    """The table with the new rows; rows of versions that were not run now stay as they were."""
    rows = {
        line.split("|")[1].strip(): line
        for line in before.splitlines()
        if line.startswith("| ") and line.split("|")[1].strip()[0].isdigit()
    }
    rows |= {result.version: row(result) for result in results}
    ordered = sorted(rows, key=lambda version: [int(part) for part in version.split(".")])
    return "\n".join([HEAD, *(rows[version] for version in ordered), "", NOTE])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    given = parser.parse_args()
    results = []
    for version in given.versions:
        results.append(run(version))
        print(*results[-1], flush=True)
    if given.write:
        before, _, rest = given.write.read_text("utf-8").partition(BEGIN)
        old, _, after = rest.partition(END)
        given.write.write_text(f"{before}{BEGIN}\n{merged(old, results)}\n{END}{after}", "utf-8")
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
