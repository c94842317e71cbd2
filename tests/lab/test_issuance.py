"""What cert-manager's objects cost: nothing where nothing is in doubt, a few calls where it is."""

from collections.abc import Iterator

import pytest

from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def asked(lab: RunningLab, diagnoser: Diagnoser) -> list[str]:
    """The paths for which one run asked the API server."""
    lab.lab.server.requests.clear()
    assert lab.run(diagnoser.diagnose([HOST, *lab.arguments()])).words == ""
    return [path for _, path in lab.lab.server.requests]


def test_a_healthy_host_costs_no_call_more_and_a_broken_one_at_most_twice_as_many(
    lab: RunningLab, diagnoser: Diagnoser
) -> None:
    healthy = asked(lab, diagnoser)
    assert not [path for path in healthy if "cert-manager.io" in path]
    lab.inject("tls-secret-missing")
    try:
        broken = [path for path in asked(lab, diagnoser) if "cert-manager.io" in path]
        # No such resource here: that is all there is to ask.
        assert broken == ["/apis/cert-manager.io/v1/namespaces/default/certificates"]
        lab.heal()
        lab.inject("cm-challenge-class")
        broken = asked(lab, diagnoser)
    finally:
        lab.heal()
    assert len([path for path in broken if "cert-manager.io" in path]) == 6
    assert len(broken) <= 2 * len(healthy)
