"""The path's hops: their states say what was seen, and no more."""

from pathlib import Path

import pytest

from hopcheck.model import Hop, PathHop
from hopcheck.replay import load, replay

SNAPSHOTS = Path(__file__).parent / "snapshots"
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
