"""Records evidence: ``python -m tests.record [NAME…]`` writes tests/snapshots/.

A file for each fault; one for all healthy set-ups, which are much alike: a JSON object a line.
"""

import asyncio
import gzip
import json
import lzma
import sys
from typing import Any

from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.lab import Lab
from hopcheck.lab.setups import SETUPS
from hopcheck.lab.topology import HOST
from tests.recorded import HEALTHY, SNAPSHOTS, packed

_LOG_LINES = 40  # of a set-up: the lab's log also holds what was arranged before it


def pack(recorded: dict[str, Any]) -> None:
    """Write these set-ups into the file, the others as they were; those that are no more go."""
    for evidence in recorded.values():
        for replica in evidence["traefik"]["replicas"]:
            replica["log"]["value"] = (replica["log"]["value"] or [])[-_LOG_LINES:]
    every = {name: json.loads(one) for name, one in packed().items()} | recorded
    lines = [
        json.dumps({"name": name, "evidence": every[name]}) for name in SETUPS if name in every
    ]
    HEALTHY.write_bytes(lzma.compress("\n".join(lines).encode(), preset=9))


async def record(names: list[str]) -> None:
    healthy: dict[str, Any] = {}
    async with Lab() as lab, Diagnoser(lab) as diagnoser:
        for name in names:
            words, environment = [HOST, *lab.arguments()], lab.environment()
            if name in SETUPS:
                await lab.arrange(name)
                words = SETUPS[name].arguments(lab)
                environment = SETUPS[name].environment(lab)
            elif name != "healthy":
                await lab.inject(name)
                words = [*lab.arguments(), *FAULTS[name].asked]
            await diagnoser.diagnose(words, environment)
            evidence = await asyncio.to_thread(diagnoser.evidence)
            if evidence is None:
                raise LookupError(f"{name}: no evidence was written")
            if name in SETUPS:
                healthy[name] = json.loads(evidence.read_bytes())
            else:
                packed = gzip.compress(evidence.read_bytes(), mtime=0)
                (SNAPSHOTS / f"{name}.json.gz").write_bytes(packed)
            if name != "healthy":
                await lab.heal()
    pack(healthy)


if __name__ == "__main__":
    SNAPSHOTS.mkdir(exist_ok=True)
    every_one = ["healthy", *(fault.name for fault in FAULTS.values() if fault.inject), *SETUPS]
    asyncio.run(record(sys.argv[1:] or every_one))
