"""Records the gallery's evidence: ``python -m tests.record [NAME…]`` writes tests/snapshots/."""

import asyncio
import gzip
import sys
import tempfile
from pathlib import Path

from hopcheck.lab.demo import child_environment
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST

SNAPSHOTS = Path(__file__).parent / "snapshots"


def newest(directory: Path) -> Path:
    (evidence,) = directory.glob("*/2*/evidence.json")
    return evidence


async def record(names: list[str]) -> None:
    async with Lab() as lab:
        for name in names:
            asked: tuple[str, ...] = (HOST,)
            if name != "healthy":
                asked = FAULTS[name].asked
                await lab.inject(name)
            with tempfile.TemporaryDirectory() as directory:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "hopcheck", "diagnose", *asked, *lab.arguments(),
                    "--quiet", "--reports", directory, env=child_environment(lab),
                )  # fmt: skip
                await process.wait()
                evidence = await asyncio.to_thread(newest, Path(directory))
                packed = gzip.compress(evidence.read_bytes(), mtime=0)
                (SNAPSHOTS / f"{name}.json.gz").write_bytes(packed)
            if name != "healthy":
                await lab.heal()


if __name__ == "__main__":
    SNAPSHOTS.mkdir(exist_ok=True)
    asyncio.run(record(sys.argv[1:] or ["healthy", *(f.name for f in FAULTS.values() if f.inject)]))
