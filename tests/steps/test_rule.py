"""A rule's guards, and that the lists of steps 4 and 5 can be read as a checklist."""

from collections.abc import Iterator

import pytest

from hopcheck.catalogue.catalogue import make
from hopcheck.engine.checklist import shipped_rules
from hopcheck.model import Finding, ObjectRef, Step
from hopcheck.scene.scene import Scene
from hopcheck.steps import judge
from hopcheck.steps.rule import BESIDE_KUBE, Rule, rule
from hopcheck.verdict.contradicted import Claim
from tests.recorded import snapshot
from tests.steps.edits import Edit, collected

RULES = shipped_rules()
LISTS = {step.value: RULES[step] for step in (Step.INGRESS, Step.ENDPOINTS)}


def spoken() -> Iterator[Finding]:
    words = {"workload": "Deployment default/x", "by": "", "ns": "default", "resource": "x"}
    yield make("END011", ObjectRef("Deployment", "x", "default"), **words)


@rule(reads=("kube",))
def always(scene: Scene) -> Iterator[Finding]:
    """Nothing is ever well."""
    yield from spoken()


@rule(reads=("kube",), claims=Claim.STOPS_EVERYTHING)
def without_success(scene: Scene) -> Iterator[Finding]:
    """Nothing succeeds."""
    yield from spoken()


@rule(reads=("kube",), claims=Claim.STOPS_A_PART)
def without_full_success(scene: Scene) -> Iterator[Finding]:
    """Not everything succeeds."""
    yield from spoken()


@rule(reads=("kube",), unless=(without_success,))
def second(scene: Scene) -> Iterator[Finding]:
    """Nobody else speaks."""
    yield from spoken()


# Every request succeeds; one of two does; none does.
@pytest.mark.parametrize(
    ("name", "speak"),
    [
        ("healthy", [True, False, False, True]),
        ("ep-some-refuse", [True, False, True, True]),
        ("ing-no-host", [True, True, True, False]),
    ],
)
def test_the_guards(name: str, speak: list[bool]) -> None:
    scene = Scene(snapshot(name))
    rules = (always, without_success, without_full_success, second)
    assert [bool(each(scene)) for each in rules] == speak


def test_without_requests_the_guards_do_not_hold() -> None:
    edit = Edit()
    edit.http["requests"] = []
    scene = Scene(edit.snapshot())
    assert without_success(scene)
    assert without_full_success(scene)


def test_a_rule_is_its_function() -> None:
    assert (always.name, always.sentence) == ("always", "Nothing is ever well")
    assert always.reads == {"kube"}
    assert without_success.unless == ()


@pytest.mark.parametrize("step", LISTS)
def test_the_list_reads_as_a_checklist(step: str) -> None:
    rules: tuple[Rule, ...] = LISTS[step]
    names = [each.name for each in rules]
    assert len(set(names)) == len(names)
    assert len({each.sentence for each in rules}) == len(rules)
    for each in rules:
        assert len(each.sentence.split()) > 4
        assert "kube" in each.reads
        assert each.reads | each.uses == {"kube", *BESIDE_KUBE}
        assert set(each.unless) <= set(rules)


def test_no_rule_speaks_of_a_healthy_host() -> None:
    scene = Scene(snapshot("healthy"))
    assert not [r.name for rules in LISTS.values() for r in rules if r(scene)]


def _chain(edit: Edit, name: str, *links: str) -> None:
    middlewares = [{"name": link} for link in links]
    edit.add("middlewares", "Middleware", name, {"chain": {"middlewares": middlewares}})


def test_a_chain_that_names_itself_ends() -> None:
    edit = Edit()
    edit.lists.setdefault("middlewares", collected([]))
    edit.annotate(router__middlewares="default-outer@kubernetescrd")
    _chain(edit, "outer", "inner")
    _chain(edit, "inner", "outer", "missing")
    scene = Scene(edit.snapshot())
    found = judge(Step.INGRESS, scene, LISTS["ingress"]).findings
    assert [(f.code, f.object.name) for f in found] == [("ING014", "inner")]
