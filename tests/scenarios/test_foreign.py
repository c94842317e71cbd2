"""Clusters that are not the lab's, without AWS: an own API server, hand-written manifests.

Traefik by its Helm chart, k3s's own, a DaemonSet with host ports. A front stands for the load
balancer and answers as the application, or word for word as Traefik would.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hopcheck.model import Report, Severity, Status, Step, Verdict
from tests.scenarios.foreign import cluster, manifests
from tests.scenarios.foreign.cluster import Cluster, World
from tests.scenarios.foreign.diagnosis import diagnose, root_causes
from tests.scenarios.foreign.faults import FAULTS, log

Base = Callable[[], list[dict[str, Any]]]
BASES: dict[str, Base] = {
    "chart": manifests.chart, "k3s": manifests.k3s, "host-ports": manifests.host_ports,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [key for key in os.environ if key.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with World(tmp_path_factory.mktemp("world")) as running:
            yield running


def told(report: Report) -> list[str]:
    """Every finding that is more than information."""
    return [
        f"{finding.code} {finding.message}"
        for step in report.steps
        for finding in step.findings
        if finding.severity is not Severity.INFO
    ]


@pytest.mark.parametrize("name", BASES)
def test_healthy(world: World, name: str) -> None:
    world.cluster, world.behaviour = Cluster(BASES[name]()), cluster.application
    report = diagnose(world)
    assert (report.verdict, told(report)) == (Verdict.HEALTHY, [])
    statuses = {step.step: step.status for step in report.steps}
    for step in (Step.DNS, Step.TRAEFIK_SERVICE, Step.INGRESS, Step.ENDPOINTS, Step.REQUEST):
        assert statuses[step] is Status.PASS


@pytest.mark.parametrize("name", BASES)
def test_old_errors_in_the_log_accuse_nobody(world: World, name: str) -> None:
    world.cluster, world.behaviour = Cluster(BASES[name]()), cluster.application
    log(
        world.cluster,
        '2026-02-25T03:00:00.1Z {"level":"error","ingress":"shop","namespace":"shop",'
        '"error":"service not found","message":"Cannot create service"}\n'
        "2026-02-25T03:00:01.1Z E0225 03:00:01.100000       1 reflector.go:158] failed to list "
        '*v1.Secret: secrets is forbidden: User "system:serviceaccount:traefik:traefik" cannot '
        'list resource "secrets" in API group "" at the cluster scope\n',
    )
    report = diagnose(world)
    assert (report.verdict, told(report)) == (Verdict.HEALTHY, [])


@pytest.mark.parametrize(
    "denied", [("pods",), ("services",), ("ingresses",), ("endpointslices",), ("nodes", "secrets"),
               tuple(cluster.PREFIXES)], ids=lambda d: "-".join(d[:2])
)  # fmt: skip
def test_what_may_not_be_read_accuses_nobody(world: World, denied: tuple[str, ...]) -> None:
    world.cluster, world.behaviour = Cluster(manifests.chart()), cluster.application
    world.cluster.denied = set(denied)
    report = diagnose(world)
    assert (report.verdict, told(report)) == (Verdict.HEALTHY, [])


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_named(world: World, name: str) -> None:
    fault = FAULTS[name]
    world.cluster, world.behaviour = Cluster(fault.base()), fault.behaviour
    fault.edit(world.cluster)
    report = diagnose(world)
    assert root_causes(report) == fault.expected, report.headline
    assert report.verdict == fault.verdict


def test_a_closed_connection_is_no_failed_handshake(world: World) -> None:
    world.cluster, world.behaviour = Cluster(manifests.chart()), cluster.silence
    (cause,) = diagnose(world).root_causes
    assert cause.title == "The connection is closed without an answer"
    assert "handshake" not in cause.message
