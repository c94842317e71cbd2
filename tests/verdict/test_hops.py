"""The path's hops: their states say what was seen, and no more."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from hopcheck.engine.replay import replay
from hopcheck.model import Collected, Hop, PathHop
from hopcheck.model.aws import Target
from hopcheck.model.kubernetes import Pod, PodStatus
from hopcheck.report.evidence import load

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
LETTERS = {
    "ok": "o",
    "partial": "p",
    "broken": "B",
    "consequence": "c",
    "unknown": "?",
    "not_applicable": "-",
}
# DNS, load balancer, target group, node, Traefik Service, Traefik pod, route, Service, pod.
EXPECTED = {
    "healthy": "ooooooooo",
    "app-5xx": "ooooooooB",
    "dns-nxdomain": "Boooooooo",
    "ep-none-ready": "oooooocoB",
    "ing-no-host": "ooooooB??",
    "ing-svc-missing": "ooooooB??",
    "nlb-no-443": "oBccooooo",
    "svc-selector": "oooooocBc",
    "svc-targetport-num": "oooooooBo",
    "tg-empty": "ocBcooooo",
    "tg-health-port": "ooB?ooooo",
    "tpod-replica-skew": "oooooopoo",
    "tpod-static-bad": "ooccoBooo",
    "tsvc-selector": "ooccBoooo",
}


def path(name: str) -> tuple[PathHop, ...]:
    return replay(load(SNAPSHOTS / f"{name}.json.gz")).path


@pytest.mark.parametrize("name", EXPECTED)
def test_the_state_of_each_hop(name: str) -> None:
    assert "".join(LETTERS[hop.state] for hop in path(name)) == EXPECTED[name]


def test_a_hop_that_was_not_seen_says_why() -> None:
    service, pod = path("ing-svc-missing")[-2:]
    assert service.detail.startswith("Service default/my-app-svc does not exist")
    assert pod.detail == service.detail


def test_real_names_ports_and_addresses() -> None:
    hops = {hop.hop: hop for hop in path("healthy")}
    assert hops[Hop.LOAD_BALANCER].detail == "network, internet-facing, TCP 443"
    assert hops[Hop.NODE].label == "node-1:30001, node-2:30001, node-3:30001"
    assert hops[Hop.TRAEFIK_SERVICE].detail == "NodePort, 443:30001 → websecure"
    assert hops[Hop.SERVICE].label == "default/my-app-service:80"
    assert [member.detail for member in hops[Hop.POD].members] == [
        "127.230.240.60:8080",
        "127.230.240.61:8080",
    ]


def test_targets_that_are_pods_leave_no_node_on_the_way() -> None:
    snapshot = load(SNAPSHOTS / "healthy.json.gz")
    address = "127.230.240.50"  # of a Traefik pod
    groups = tuple(replace(one, target_type="ip") for one in snapshot.aws.target_groups.get())
    health = {
        arn: Collected(
            value=tuple(
                replace(one, target=Target(id=address, port=8443)) for one in described.get()[:1]
            )
        )
        for arn, described in snapshot.aws.target_health.items()
    }
    aws = replace(snapshot.aws, target_groups=Collected(value=groups), target_health=health)
    hops = {hop.hop: hop for hop in replay(replace(snapshot, aws=aws)).path}
    assert hops[Hop.NODE].state == "not_applicable"
    assert "the targets are pods" in hops[Hop.NODE].detail
    assert [member.name for member in hops[Hop.TARGET_GROUP].members] == [f"{address}:8443"]


def test_a_pod_without_address_shows_no_none() -> None:
    snapshot = load(SNAPSHOTS / "healthy.json.gz")

    def pending(pod: Pod) -> Pod:
        spec = replace(pod.spec, node_name="")
        return replace(pod, status=PodStatus(phase="Pending"), spec=spec)

    lists = {
        key: Collected(value=tuple(pending(pod) for pod in listed.get()))
        if key.startswith("pods")
        else listed
        for key, listed in snapshot.kube.lists.items()
    }
    report = replay(replace(snapshot, kube=replace(snapshot.kube, lists=lists)))
    members = next(hop for hop in report.path if hop.hop is Hop.TRAEFIK_POD).members
    assert [member.state for member in members] == ["Pending", "Pending"]
    assert all("None" not in member.detail for member in members)
