"""The README's terminal: ``python -m tests.readme`` runs what it shows, and writes what came."""

import subprocess
import sys
import tempfile
from pathlib import Path

from hopcheck.lab.accuracy import write_between
from hopcheck.lab.demo import child_environment

README = Path(__file__).parents[1] / "README.md"
FAULT = "tpod-static-bad"
MARKS = "<!-- terminal:begin -->", "<!-- terminal:end -->"


def shown() -> str:
    """What `make demo FAULT=…` prints. Raises RuntimeError where the fault was not named."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-m", "hopcheck.lab", "demo", "--fault", FAULT],
            capture_output=True, text=True, cwd=directory,
            env={**child_environment(), "PYTHONPATH": str(README.parent)},
        )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return f"```console\n$ make demo FAULT={FAULT}\n{done.stdout}```"


if __name__ == "__main__":
    write_between(README, *MARKS, shown())
