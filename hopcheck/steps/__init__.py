"""Pure judges: a Snapshot in, a Judgement out. No I/O, no clock.

Each judge states what is wrong on its own hop; `hopcheck.verdict.cause` alone knows what
explains what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

import msgspec

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
from hopcheck.steps import any_version as versions
from hopcheck.steps.unseen import denied

PARTIES = ("dns", "aws", "kube", "traefik", "http")

# Which parties' evidence each judge reads; nothing else is shown to it. All read all five: whether
# a request succeeded may hang on Traefik's access log (whose 404 it was), and at which entryPoint
# it arrives, on the load balancer that the name leads to.
READS: Mapping[Step, frozenset[str]] = dict.fromkeys(Step, frozenset(PARTIES))

_EMPTY: Mapping[str, object] = {
    "dns": DnsEvidence(),
    "aws": AwsEvidence(),
    "kube": KubeEvidence(),
    "traefik": TraefikEvidence(),
    "http": HttpEvidence(),
}


def restricted(snapshot: Snapshot, parties: frozenset[str]) -> Snapshot:
    """The snapshot with the evidence of `parties` alone; the rest reads as not selected."""
    hidden = {party: _EMPTY[party] for party in PARTIES if party not in parties}
    return msgspec.structs.replace(snapshot, **hidden)


def judge(step: Step, snapshot: Snapshot) -> Judgement:
    """Judge one step on the evidence it declares to read."""
    function: Callable[[Snapshot], Judgement] = import_module(
        f"hopcheck.steps.{step.value.replace('-', '_')}.step"
    ).judge
    shown = restricted(snapshot, READS[step])
    judged = versions.agreed(step, shown, function)
    if judged.not_applicable is not None or not judged.seen:
        return judged
    return msgspec.structs.replace(judged, gaps=(*judged.gaps, *denied(step, shown)))
