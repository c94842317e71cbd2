"""What becomes of a claim, by what this run's requests showed."""

from collections.abc import Iterator

import pytest

from hopcheck.catalogue.catalogue import make
from hopcheck.model import Finding, ObjectRef, Severity
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene
from hopcheck.verdict.contradicted import Claim, Claimed, contradicted, upheld
from tests.recorded import snapshot
from tests.steps.edits import Edit

# Every request succeeds; one of two does; none does; none could be made.
ALL, SOME, NONE, UNMADE = "healthy", "ep-some-refuse", "ing-no-host", ""


def scene_of(name: str) -> Scene:
    if name:
        return Scene(snapshot(name))
    edit = Edit()
    edit.http["requests"] = []
    return Scene(edit.snapshot())


def found(severity: Severity = Severity.ERROR) -> Finding:
    words = {"workload": "Deployment default/x", "by": "", "ns": "default", "resource": "x"}
    return make("END011", ObjectRef("Deployment", "x", "default"), severity=severity, **words)


def test_the_runs_are_what_they_are_taken_for() -> None:
    seen = [outcome_of(scene_of(name)) for name in (ALL, SOME, NONE, UNMADE)]
    assert [(one.made > 0, one.succeeded > 0, one.succeeded == one.made) for one in seen] == [
        (True, True, True),
        (True, True, False),
        (True, False, False),
        (False, False, True),
    ]


@pytest.mark.parametrize(
    ("claim", "by"),
    [
        (Claim.STOPS_EVERYTHING, {ALL, SOME}),
        (Claim.STOPS_A_PART, {ALL}),
        (Claim.STOPS_NOTHING_NOW, set[str]()),
    ],
)
def test_what_contradicts_a_claim(claim: Claim, by: set[str]) -> None:
    runs = (ALL, SOME, NONE, UNMADE)
    assert {name for name in runs if contradicted(scene_of(name), claim)} == by


def test_what_is_contradicted_is_withdrawn_unlooked_at() -> None:
    looked = []

    def look(scene: Scene) -> Iterator[Finding]:
        looked.append(scene)
        yield found()

    assert not upheld(scene_of(ALL), look, Claim.STOPS_EVERYTHING)
    assert not looked
    assert upheld(scene_of(NONE), look, Claim.STOPS_EVERYTHING) == (found(),)


@pytest.mark.parametrize("severity", Severity)
def test_or_it_is_said_as_what_it_is_otherwise(severity: Severity) -> None:
    def look(scene: Scene) -> Iterator[Finding]:
        yield found(severity)

    def said(name: str) -> list[Severity]:
        kept = upheld(scene_of(name), look, Claim.STOPS_A_PART, Severity.WARNING)
        return [one.severity for one in kept]

    assert said(NONE) == said(SOME) == [severity]
    assert said(ALL) == [Severity.WARNING if severity is Severity.ERROR else severity]


def test_a_finding_may_claim_for_itself() -> None:
    def look(scene: Scene) -> Iterator[Finding | Claimed]:
        yield Claimed(Claim.STOPS_EVERYTHING, found())
        yield Claimed(Claim.STOPS_A_PART, found(Severity.WARNING))
        yield found(Severity.INFO)

    def said(name: str) -> list[Severity]:
        return [one.severity for one in upheld(scene_of(name), look, Claim.STOPS_NOTHING_NOW)]

    assert said(NONE) == [Severity.ERROR, Severity.WARNING, Severity.INFO]
    assert said(SOME) == [Severity.WARNING, Severity.INFO]
    assert said(ALL) == [Severity.INFO]
