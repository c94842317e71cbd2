"""The seven steps: a scene and the check file's rules in, a Judgement out. No I/O, no clock.

Each rule states what is wrong on its own hop; `hopcheck.verdict.cause` alone knows what explains
what. A step's folder holds its rules and, in `step.py`, `sight(scene)`: what was seen of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

import msgspec

from hopcheck.model import Judgement, Step
from hopcheck.scene.scene import Scene
from hopcheck.steps import any_version as versions
from hopcheck.steps.rule import Rule
from hopcheck.steps.unseen import denied, without_guesses

PARTIES = ("dns", "aws", "kube", "traefik", "http")


def reads(rules: Iterable[Rule]) -> frozenset[str]:
    """The parties whose evidence is collected for these rules."""
    return frozenset[str]().union(*(rule.reads for rule in rules))


def judge(step: Step, scene: Scene, rules: Sequence[Rule]) -> Judgement:
    """What was seen of the step, and what its rules find, in their order."""
    name = step.value.replace("-", "_")
    sight: Callable[[Scene], Judgement] = import_module(f"hopcheck.steps.{name}.step").sight

    def walked(scene: Scene) -> Judgement:
        findings = tuple(finding for rule in rules for finding in rule(scene))
        return msgspec.structs.replace(sight(scene), findings=findings)

    judged = without_guesses(step, scene, versions.agreed(step, scene, walked))
    if judged.not_applicable is not None or not judged.seen:
        return judged
    return msgspec.structs.replace(judged, gaps=(*judged.gaps, *denied(step, scene)))
