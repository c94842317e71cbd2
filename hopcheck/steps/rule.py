"""A rule of the checklist: what holds when all is well, and the function that looks for it.

A rule is a small pure function of the scene. Its name and the first sentence of its docstring say
the healthy condition; what it finds is what is wrong on its link of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, Protocol

from msgspec import Struct

from hopcheck.model import Finding
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene

Party = Literal["dns", "aws", "kube", "traefik", "http"]
Shown = Literal["any_succeeded", "all_succeeded"]

# All parties but the cluster: at which entryPoint a request arrives, and what it showed.
BESIDE_KUBE: Final[tuple[Party, ...]] = ("dns", "aws", "traefik", "http")


class Rule(Struct, frozen=True):
    """One rule. `reads`: whose evidence is collected for it; `uses`: whose it looks at if there.

    `silent_when`: what this run's requests have to show for it to say nothing. `unless`: rules of
    the same step that see the cause nearer at its source; where one of them speaks it does not.
    """

    name: str
    sentence: str
    look: Callable[[Scene], Iterable[Finding]]
    reads: frozenset[str]
    uses: frozenset[str] = frozenset()
    silent_when: Shown | None = None
    unless: tuple[Rule, ...] = ()

    def __call__(self, scene: Scene) -> tuple[Finding, ...]:
        """What is wrong; nothing where all is well, or where it cannot be told."""
        found = tuple(self.look(scene))
        if not found or (self.silent_when is not None and _shows(scene, self.silent_when)):
            return ()
        return () if any(other(scene) for other in self.unless) else found


def _shows(scene: Scene, what: Shown) -> bool:
    seen = outcome_of(scene)
    least = 1 if what == "any_succeeded" else max(seen.made, 1)
    return seen.succeeded >= least


def rule(
    *,
    reads: Iterable[Party],
    uses: Iterable[Party] = (),
    silent_when: Shown | None = None,
    unless: Iterable[Rule] = (),
) -> Callable[[Callable[[Scene], Iterable[Finding]]], Rule]:
    """Make a rule of a function. Its docstring's first line is the condition that holds."""

    def made(function: Callable[[Scene], Iterable[Finding]]) -> Rule:
        sentence = (function.__doc__ or "").strip().partition("\n")[0]
        return Rule(
            function.__name__,
            sentence.rstrip("."),
            function,
            frozenset(reads),
            frozenset(uses),
            silent_when,
            tuple(unless),
        )

    return made


class Checklist(Protocol):
    """The fixture of the shipped checks: the step, judged by the RULES of its check file."""

    def conclude(self) -> None:
        """Fail, warn, skip or pass as the step came out, each rule a subtest."""
