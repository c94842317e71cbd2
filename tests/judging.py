"""Steps judged by the shipped rules, and snapshots with some parties' evidence alone."""

from collections.abc import Iterable

import msgspec

from hopcheck import steps
from hopcheck.engine.checklist import shipped_rules
from hopcheck.model import (
    AwsEvidence,
    DnsEvidence,
    HttpEvidence,
    Judgement,
    KubeEvidence,
    Snapshot,
    Step,
    TraefikEvidence,
)
from hopcheck.scene.scene import Scene

EMPTY = {
    "dns": DnsEvidence(),
    "aws": AwsEvidence(),
    "kube": KubeEvidence(),
    "traefik": TraefikEvidence(),
    "http": HttpEvidence(),
}


def judge(step: Step, snapshot: Snapshot) -> Judgement:
    return steps.judge(step, Scene(snapshot), shipped_rules()[step])


def restricted(snapshot: Snapshot, parties: Iterable[str]) -> Snapshot:
    """The snapshot with the evidence of `parties` alone; the rest reads as not selected."""
    hidden = {party: empty for party, empty in EMPTY.items() if party not in parties}
    return msgspec.structs.replace(snapshot, **hidden)
