"""What is asked through the API server's pod proxy, of a healthy path and of a broken one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hopcheck.lab.faults import FAULTS
from hopcheck.lab.faults.gallery import FROM_OUTSIDE
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import APP, GATEWAY
from tests.lab.test_demo import diagnose

PROXIED = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/:]+):(\d+)/proxy(/.*)")


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def asked(lab: RunningLab, directory: Path) -> list[tuple[str, str, int, str]]:
    """Namespace, pod, port and path of what one run asked through the pod proxy."""
    lab.lab.server.requests.clear()
    diagnose(lab, directory, *FROM_OUTSIDE)
    paths = (path for _, path in lab.lab.server.requests)
    found = (told.groups() for path in paths if (told := PROXIED.fullmatch(path)))
    return [(space, pod, int(port), path) for space, pod, port, path in found]


def test_a_broken_path_costs_a_question_for_each_pod(lab: RunningLab, tmp_path: Path) -> None:
    usual = asked(lab, tmp_path)
    # Traefik's own API and metrics: no application, and no entryPoint for the sake of its port.
    assert {space for space, _, _, _ in usual} == {GATEWAY}
    assert all(path.startswith(("/api/", "/metrics")) for _, _, _, path in usual)
    assert FAULTS["app-loopback-only-outside"].asked == FROM_OUTSIDE
    lab.inject("app-loopback-only-outside")
    try:
        more = asked(lab, tmp_path)
    finally:
        lab.heal()
    ports = {pod.name: pod.ports["http"] for pod in lab.lab.plan.app}
    added = [one for one in more if one[0] == APP]
    assert sorted(added) == sorted((APP, name, port, "/") for name, port in ports.items())
    assert len(more) == len(usual) + len(added)
