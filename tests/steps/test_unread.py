"""Who is not accused where what would show the real cause could not be read."""

import pytest

from hopcheck.engine.replay import replay
from tests.recorded import snapshot
from tests.steps.test_blindness import denied_list


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("svc-selector", "endpointslices@default"),
        ("ep-none-ready", "endpointslices@default"),
        ("ing-class-other", "ingressclasses"),
    ],
)
def test_traefik_is_not_accused_of_a_route_that_may_lead_nowhere(name: str, key: str) -> None:
    report = replay(denied_list(snapshot(name), key))
    loaded = [f for step in report.steps for f in step.findings if f.code == "LOG002"]
    assert [str(f.object) for f in loaded] == ["Host myapp.example.com"]
    assert key.partition("@")[0] in loaded[0].message
    assert report.root_causes == ()


@pytest.mark.parametrize("key", ["pods@default", "endpointslices@default"])
def test_the_application_is_not_accused_of_what_a_policy_may_do(key: str) -> None:
    report = replay(denied_list(snapshot("np-blocks-traefik"), key))
    assert report.root_causes == ()
    waits = [f for step in report.steps for f in step.findings if f.code == "REQ003"]
    assert [f.object.kind for f in waits] == ["Host"]
