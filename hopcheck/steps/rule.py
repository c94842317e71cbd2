"""A rule of the checklist: what holds when all is well, and the function that looks for it.

A rule is a small pure function of the scene. Its name and the first sentence of its docstring say
the healthy condition; what it finds is what is wrong on its link of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from msgspec import Struct

from hopcheck.model import Finding
from hopcheck.scene.scene import Scene

Party = Literal["dns", "aws", "kube", "traefik", "http"]


class Rule(Struct, frozen=True):
    """One rule. `reads`: whose evidence is collected for it; `uses`: whose it looks at if there."""

    name: str
    sentence: str
    look: Callable[[Scene], Iterable[Finding]]
    reads: frozenset[str]
    uses: frozenset[str] = frozenset()

    def __call__(self, scene: Scene) -> tuple[Finding, ...]:
        """What is wrong; nothing where all is well, or where it cannot be told."""
        return tuple(self.look(scene))


def rule(
    *, reads: Iterable[Party], uses: Iterable[Party] = ()
) -> Callable[[Callable[[Scene], Iterable[Finding]]], Rule]:
    """Make a rule of a function. Its docstring's first line is the condition that holds."""

    def made(function: Callable[[Scene], Iterable[Finding]]) -> Rule:
        sentence = (function.__doc__ or "").strip().partition("\n")[0]
        return Rule(
            function.__name__, sentence.rstrip("."), function, frozenset(reads), frozenset(uses)
        )

    return made


class Checklist(Protocol):
    """The fixture of the shipped checks: the step, judged by the RULES of its check file."""

    def conclude(self) -> None:
        """Fail, warn, skip or pass as the step came out, each rule a subtest."""
