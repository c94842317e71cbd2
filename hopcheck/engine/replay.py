"""Judge stored evidence again: no network, no clock, the same findings."""

from __future__ import annotations

import msgspec

from hopcheck.config.options import HostRun, Options
from hopcheck.engine.checklist import shipped_rules
from hopcheck.engine.host import HostSession, Recorded
from hopcheck.model import Report, Snapshot


def replay(snapshot: Snapshot, options: Options | None = None) -> Report:
    """All seven steps judged on `snapshot`, as the run that recorded it did."""
    host = HostSession(HostRun(snapshot.target, options or Options(), reports=""))
    host.select(shipped_rules())
    host.take(Recorded(snapshot), collected=True)
    for step in host.rules:
        host.judge(step)
    return msgspec.structs.replace(host.assess(), replayed=True, redaction=snapshot.redaction)
