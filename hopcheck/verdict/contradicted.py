"""What rules claim, held against what this run's requests showed: the one place that does.

A rule looks at what is declared or seen on its link of the way, and says how much that stops. What
is claimed to stop everything cannot be so where a request succeeded. The same is done for every
rule, whatever its step, so that a claim's strength is a word beside the rule and no look in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto

import msgspec
from msgspec import Struct

from hopcheck.model import Finding, Severity
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene


class Claim(Enum):
    """How much of the host's requests a finding says it stops, if it is right."""

    STOPS_EVERYTHING = auto()  # one request that succeeded contradicts it
    STOPS_A_PART = auto()  # it takes every request to succeed to contradict it
    # No answer contradicts it: it is about what a request may meet by a draw, what fails tomorrow
    # or elsewhere, what was proven by another party's own word, or the requests themselves.
    STOPS_NOTHING_NOW = auto()


class Claimed(Struct, frozen=True):
    """A finding with a claim of its own, of a rule that makes none for all that it finds."""

    claim: Claim
    finding: Finding


Look = Callable[[Scene], Iterable[Finding | Claimed]]


def contradicted(scene: Scene, claim: Claim) -> bool:
    """Whether this run's requests show that it cannot be right; never where none could be made."""
    # The requests are only counted where they may contradict.
    match claim:
        case Claim.STOPS_EVERYTHING:
            return outcome_of(scene).succeeded > 0
        case Claim.STOPS_A_PART:
            seen = outcome_of(scene)
            return 0 < seen.made == seen.succeeded
        case Claim.STOPS_NOTHING_NOW:
            return False


def upheld(
    scene: Scene, look: Look, claim: Claim, otherwise: Severity | None = None
) -> tuple[Finding, ...]:
    """What a rule finds, as far as the requests do not contradict what it claims.

    What is contradicted is withdrawn; or, where `otherwise` is given, an error becomes that.
    """
    refuted = contradicted(scene, claim)
    if refuted and otherwise is None:
        return ()  # whatever it would find: it need not look
    kept: list[Finding] = []
    for one in look(scene):
        if isinstance(one, Claimed):
            if not contradicted(scene, one.claim):
                kept.append(one.finding)
        elif refuted and otherwise is not None and one.severity is Severity.ERROR:
            kept.append(msgspec.structs.replace(one, severity=otherwise))
        else:
            kept.append(one)
    return tuple(kept)
