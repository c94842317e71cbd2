"""Judge stored evidence again: no network, no clock, the same findings."""

from __future__ import annotations

import msgspec

from hopcheck import steps as judges
from hopcheck.config.options import Options
from hopcheck.model import Report, Snapshot, Step
from hopcheck.verdict.assess import assess


def replay(snapshot: Snapshot, options: Options | None = None) -> Report:
    """All seven steps judged on `snapshot`, as the run that recorded it did."""
    report = assess(
        snapshot,
        {step: judges.judge(step, snapshot) for step in Step},
        options or Options(),
        durations={},
        duration_s=0.0,
    )
    return msgspec.structs.replace(report, replayed=True, redaction=snapshot.redaction)
