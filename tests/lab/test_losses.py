"""What faults take away from a running lab, and that healing gives it back."""

import socket
from collections.abc import Iterator

import pytest

from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import GATEWAY, HOST, LOAD_BALANCER


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def answers(address: str, port: int) -> bool:
    """Whether a TCP handshake is answered; False for silence, an error for a refusal."""
    try:
        socket.create_connection((address, port), timeout=0.3).close()
    except TimeoutError:
        return False
    return True


def test_a_node_loses_packets_to_its_node_ports(lab: RunningLab) -> None:
    first, *others = lab.lab.plan.nodes
    port = lab.lab.plan.node_ports["websecure"]
    lab.call(lambda: lab.lab.nodes.dark.add(first.address))
    lab.settle()
    try:
        assert not answers(first.address, port)
        assert all(answers(node.address, port) for node in others)
    finally:
        lab.heal()
    assert answers(first.address, port)


def test_an_address_of_the_load_balancer_loses_packets(lab: RunningLab) -> None:
    good, bad = lab.lab.plan.zones.values()
    cloud = lab.lab.cloud
    port = cloud.bound_port(LOAD_BALANCER, bad, 443)
    lab.call(lambda: cloud.dark.add(bad))
    lab.settle()
    try:
        assert not answers(bad, port)
        assert answers(good, port)
    finally:
        lab.heal()
    assert answers(bad, port)


def test_a_second_resolver_is_asked_until_the_lab_is_healed(lab: RunningLab) -> None:
    usual = lab.arguments().count("--resolver")
    second = lab.run(lab.lab.add_resolver())
    assert lab.arguments().count("--resolver") == usual + 1
    lab.call(lambda: second.zone("example.com").delete(HOST))
    assert lab.lab.dns.zone("example.com").find(HOST)
    lab.heal()
    assert lab.arguments().count("--resolver") == usual


def test_a_pod_taken_down_runs_again_after_healing(lab: RunningLab) -> None:
    pod = lab.lab.plan.traefik[0]
    status = {"phase": "Pending", "conditions": []}

    def change(obj: dict[str, object]) -> None:
        obj["status"] = status

    lab.run(lab.lab.take_down(GATEWAY, pod.name, change))
    with pytest.raises(ConnectionRefusedError):
        answers(pod.address, pod.ports["websecure"])
    found = lab.lab.store.get("pods", GATEWAY, pod.name)
    assert found is not None
    assert found["status"]["phase"] == "Pending"
    lab.heal()
    assert answers(pod.address, pod.ports["websecure"])
