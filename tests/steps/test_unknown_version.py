"""Nobody tells which Traefik runs: what all versions share is said, the rest is unknown."""

from typing import Any

import pytest

from hopcheck.behaviour.traefik.version import BEHAVIOURS, CHANGES
from hopcheck.engine.replay import replay
from hopcheck.model import Report, Status
from tests.steps.edits import TRAEFIK_NS, Edit
from tests.steps.scenes import SCENES
from tests.steps.test_gallery import EXPECTED, found

# What hangs on the version, and what is left of the findings.
DIFFERENT = {"ingress-wildcard-steals": "", "rule-of-v2": "REQ009",
             "ingress-of-another-with-a-resource": "*LOG002 REQ007 REQ009"}  # fmt: skip
IMAGES = ["traefik:latest", "traefik@sha256:0f1e2d", "registry.example.com/edge-proxy:7.2.1",
          "registry.example.com/traefik-custom:3.0.0"]  # fmt: skip


def hide_version(edit: Edit, image: str = "traefik:latest") -> Edit:
    for pod in edit.traefik_pods if f"pods@{TRAEFIK_NS}" in edit.lists else ():
        pod["spec"]["containers"][0]["image"] = image
    for replica in edit.replicas:
        replica["version"] = {"why": "unreachable"}
    return edit


def reasons(report: Report) -> dict[str, str]:
    return {s.step.value: s.reason or "" for s in report.steps if s.status is Status.UNKNOWN}


# What versions read differently: then nothing of it is accused, and the step says why.
BY_VERSION = {
    "ep-publishNotReady": "*LOG010 REQ009",
    "ir-v2-syntax": "REQ009",
    "ir-v2-template": "REQ009",
    "ir-condition": "REQ009",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_faults_are_the_same_for_all_versions(name: str) -> None:
    report = replay(hide_version(Edit(name)).snapshot())
    assert found(report) == BY_VERSION.get(name, EXPECTED[name][2])
    assert ("version" in str(reasons(report))) == (name in BY_VERSION)


@pytest.mark.parametrize("name", SCENES)
def test_edited_faults(name: str) -> None:
    report = replay(hide_version(SCENES[name][2]()).snapshot())
    assert found(report) == DIFFERENT.get(name, SCENES[name][1])
    unknown = [step for step, why in reasons(report).items() if "depends on its version" in why]
    assert bool(unknown) == (name in DIFFERENT)


@pytest.mark.parametrize("image", IMAGES)
def test_images_that_tell_no_version(image: str) -> None:
    report = replay(hide_version(SCENES["rule-of-v2"][2](), image).snapshot())
    assert found(report) == "REQ009"
    assert "ingress" in reasons(report)


@pytest.mark.parametrize(
    ("image", "expected"),
    [  # the rule is v2's, whatever the minor version; a tag that floats leaves the rest open
        ("traefik:v3", "*ING021 REQ009"),
        ("traefik:v3.6", "*ING021 REQ009"),
        ("traefik:v2", "*LOG002 REQ009"),
        ("traefik:v2.11.30", "*LOG002 REQ009"),
    ],
)
def test_a_tag_that_floats_tells_as_much_as_it_says(image: str, expected: str) -> None:
    assert found(replay(hide_version(SCENES["rule-of-v2"][2](), image).snapshot())) == expected


def endpoints(image: str, **conditions: Any) -> Report:
    edit = hide_version(Edit(), image)
    for endpoint in edit.endpoints:
        endpoint["conditions"] = conditions
    edit.unroute()
    edit.traefik_404()
    edit.no_other_scheme()
    edit.without_pods()
    return replay(edit.snapshot())


def test_which_endpoints_are_used_depends_on_the_version() -> None:
    # ready although its probe fails (publishNotReadyAddresses): dropped since 3.6.7
    odd = {"ready": True, "serving": False, "terminating": False}
    assert "END012" in found(endpoints("traefik:v3.6.7", **odd))
    assert "END012" not in found(endpoints("traefik:v3.6.6", **odd))
    for image in ("traefik:v3.6", "traefik:latest"):
        report = endpoints(image, **odd)
        assert "END012" not in found(report)
        assert "depends on its version" in reasons(report)["endpoints"]
    assert "END012" in found(endpoints("traefik:latest", ready=False, serving=False))


def test_an_api_that_tells_beats_the_tag() -> None:
    edit = SCENES["rule-of-v2"][2]()
    for pod in edit.traefik_pods:
        pod["spec"]["containers"][0]["image"] = "traefik:latest"
    assert found(replay(edit.snapshot())) == SCENES["rule-of-v2"][1]
    for replica in edit.replicas:
        replica["version"]["value"] = "dev"
    assert found(replay(edit.snapshot())) == "REQ009"


def test_every_behaviour_is_tried() -> None:
    """A new `at_least(…)` needs a version in CHANGES before and at which it changed."""
    import inspect
    import re

    from hopcheck.behaviour.traefik import version

    bounds = {
        tuple(int(n) for n in (*numbers, "0", "0")[:3])
        for call in re.findall(r"at_least\(([\d, ]+)\)", inspect.getsource(version))
        for numbers in [call.replace(" ", "").split(",")]
    }
    assert bounds <= {(v.major, v.minor, v.patch) for v in CHANGES}
    tried = {(v.major, v.minor, v.patch) for v in BEHAVIOURS}
    assert tried == (bounds | {(2, 11, 0)}) - {(3, 7, 0)}
