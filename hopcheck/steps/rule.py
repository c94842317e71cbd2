"""A rule of the checklist: what holds when all is well, and the function that looks for it.

A rule is a small pure function of the scene. Its name and the first sentence of its docstring say
the healthy condition; what it finds is what is wrong on its link of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, Protocol

from msgspec import Struct

from hopcheck.model import Finding, Severity
from hopcheck.scene.scene import Scene
from hopcheck.verdict.contradicted import Claim, Look, upheld

Party = Literal["dns", "aws", "kube", "traefik", "http"]

# All parties but the cluster: at which entryPoint a request arrives, and what it showed.
BESIDE_KUBE: Final[tuple[Party, ...]] = ("dns", "aws", "traefik", "http")
# Where a target leads is told by the cluster, what a claim is worth by the requests.
WAY: Final[tuple[Party, ...]] = ("dns", "aws", "kube")
SHOWN: Final[tuple[Party, ...]] = ("traefik", "http")
BEHIND: Final[tuple[Party, ...]] = ("kube", *SHOWN)


class Rule(Struct, frozen=True):
    """One rule. `reads`: whose evidence is collected for it; `uses`: whose it looks at if there.

    `claims`: how much of the requests what it finds stops, as far as a finding says nothing else;
    `otherwise`: how severe it is where the requests contradict that, in place of being withdrawn.
    `unless`: rules of the same step that see the cause nearer at its source; where one of them
    speaks it does not.
    """

    name: str
    sentence: str
    look: Look
    reads: frozenset[str]
    uses: frozenset[str] = frozenset()
    claims: Claim = Claim.STOPS_NOTHING_NOW
    otherwise: Severity | None = None
    unless: tuple[Rule, ...] = ()

    def __call__(self, scene: Scene) -> tuple[Finding, ...]:
        """What is wrong; nothing where all is well, or where it cannot be told."""
        found = upheld(scene, self.look, self.claims, self.otherwise)
        return found if found and not any(other(scene) for other in self.unless) else ()


def rule(
    *,
    reads: Iterable[Party],
    uses: Iterable[Party] = (),
    claims: Claim = Claim.STOPS_NOTHING_NOW,
    otherwise: Severity | None = None,
    unless: Iterable[Rule] = (),
) -> Callable[[Look], Rule]:
    """Make a rule of a function. Its docstring's first line is the condition that holds."""

    def made(function: Look) -> Rule:
        sentence = (function.__doc__ or "").strip().partition("\n")[0]
        return Rule(
            function.__name__,
            sentence.rstrip("."),
            function,
            frozenset(reads),
            frozenset(uses),
            claims,
            otherwise,
            tuple(unless),
        )

    return made


class Checklist(Protocol):
    """The fixture of the shipped checks: the step, judged by the RULES of its check file."""

    def conclude(self) -> None:
        """Fail, warn, skip or pass as the step came out, each rule a subtest."""
