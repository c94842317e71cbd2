"""EndpointSlices and Endpoints follow Services and pods by Kubernetes' rules."""

import pytest

from hopcheck.lab.apiserver.store import Store
from hopcheck.lab.controllers import EndpointController
from tests.lab.serving import NODE, pod, service

LABELS = {"kubernetes.io/service-name": "my-app"}


@pytest.fixture
def store():
    store = Store()
    EndpointController(store)
    store.put(NODE)
    return store


def slices(store):
    return store.list("endpointslices", "default", LABELS)


def endpoints_of(store):
    return {e["addresses"][0]: e["conditions"] for s in slices(store) for e in s["endpoints"] or []}


def test_a_ready_pod_is_an_endpoint_with_node_zone_and_target(store):
    store.put(service())
    stored = store.put(pod("a", "127.0.9.1"))
    (found,) = slices(store)
    assert found["addressType"] == "IPv4"
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert found["endpoints"] == [
        {
            "addresses": ["127.0.9.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {
                "kind": "Pod",
                "namespace": "default",
                "name": "a",
                "uid": stored["metadata"]["uid"],
            },
            "nodeName": "node-1",
            "zone": "ap-northeast-2a",
        }
    ]
    labels = found["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    owner = found["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Service", "my-app")
    subsets = store.get("endpoints", "default", "my-app")["subsets"]
    assert [a["ip"] for a in subsets[0]["addresses"]] == ["127.0.9.1"]
    assert subsets[0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_readiness_is_followed_and_the_slice_keeps_its_name(store):
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    name = slices(store)[0]["metadata"]["name"]
    store.put(pod("a", "127.0.9.1", ready=False))
    assert endpoints_of(store)["127.0.9.1"] == {
        "ready": False,
        "serving": False,
        "terminating": False,
    }
    (subset,) = store.get("endpoints", "default", "my-app")["subsets"]
    assert "addresses" not in subset
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["127.0.9.1"]
    assert [s["metadata"]["name"] for s in slices(store)] == [name]


def test_a_terminating_pod_serves_but_is_not_ready(store):
    store.put(service())
    leaving = pod("a", "127.0.9.1")
    leaving["metadata"]["deletionTimestamp"] = "2026-02-25T03:00:00Z"
    store.put(leaving)
    assert endpoints_of(store)["127.0.9.1"] == {
        "ready": False,
        "serving": True,
        "terminating": True,
    }
    assert "subsets" not in store.get("endpoints", "default", "my-app")


def test_publish_not_ready_addresses(store):
    store.put(service(publishNotReadyAddresses=True))
    store.put(pod("a", "127.0.9.1", ready=False))
    assert endpoints_of(store)["127.0.9.1"]["ready"] is True
    assert endpoints_of(store)["127.0.9.1"]["serving"] is False
    (subset,) = store.get("endpoints", "default", "my-app")["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == ["127.0.9.1"]


@pytest.mark.parametrize(
    "left_out",
    [
        pod("a", "127.0.9.1", phase="Succeeded"),
        pod("a", "127.0.9.1", phase="Failed"),
        pod("a", ""),
        pod("a", "127.0.9.1", labels={"app": "other"}),
    ],
    ids=["succeeded", "failed", "no address", "other labels"],
)
def test_where_no_pod_counts_there_is_one_placeholder(store, left_out):
    store.put(service())
    store.put(left_out)
    (found,) = slices(store)
    assert found["endpoints"] is None
    assert found["ports"] is None
    assert "subsets" not in store.get("endpoints", "default", "my-app")


def test_a_named_port_that_no_container_has_is_left_out(store):
    ports = [
        {"name": "http", "port": 80, "targetPort": "http"},
        {"name": "admin", "port": 81, "targetPort": "admin"},
    ]
    store.put(service(ports=ports))
    store.put(pod("a", "127.0.9.1"))
    (found,) = slices(store)
    assert [p["name"] for p in found["ports"]] == ["http"]


def test_a_pod_without_any_of_the_ports_stays_in_the_slice_without_ports(store):
    store.put(service(ports=[{"name": "http", "port": 80, "targetPort": "nowhere"}]))
    store.put(pod("a", "127.0.9.1"))
    (found,) = slices(store)
    assert found["ports"] is None
    assert [e["addresses"] for e in found["endpoints"]] == [["127.0.9.1"]]
    assert "subsets" not in store.get("endpoints", "default", "my-app")


def test_a_number_is_taken_as_it_is_and_defaults_to_the_port(store):
    store.put(service(ports=[{"port": 9999}]))
    store.put(pod("a", "127.0.9.1"))
    (found,) = slices(store)
    assert found["ports"] == [{"name": "", "port": 9999, "protocol": "TCP"}]


def test_pods_with_different_ports_are_in_different_slices(store):
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    store.put(pod("b", "127.0.9.2", ports=[{"name": "http", "containerPort": 9090}]))
    found = {s["ports"][0]["port"]: s["endpoints"][0]["addresses"] for s in slices(store)}
    assert found == {8080: ["127.0.9.1"], 9090: ["127.0.9.2"]}
    store.delete("pods", "default", "b")
    assert [s["ports"][0]["port"] for s in slices(store)] == [8080]


def test_more_than_a_hundred_endpoints_fill_several_slices(store):
    for number in range(101):
        store.put(pod(f"p{number:03}", f"127.0.10.{number + 1}"))
    store.put(service())
    assert sorted(len(s["endpoints"]) for s in slices(store)) == [1, 100]


def test_a_changed_selector_empties_and_refills(store):
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    store.patch(
        "services", "default", "my-app", lambda s: s["spec"].update(selector={"app": "myapp"})
    )
    assert [s["endpoints"] for s in slices(store)] == [None]
    store.put(pod("a", "127.0.9.1", labels={"app": "myapp"}))
    assert list(endpoints_of(store)) == ["127.0.9.1"]


def test_services_without_selector_and_external_names_are_left_alone(store):
    store.put(service(selector={}))
    store.put(service("outside", type="ExternalName", externalName="example.org"))
    store.put(pod("a", "127.0.9.1"))
    assert store.list("endpointslices") == []
    assert store.list("endpoints") == []


def test_a_slice_of_another_manager_is_left_alone(store):
    mine = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "hand-made", "namespace": "default", "labels": LABELS},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.9.99"]}],
        "ports": [{"name": "http", "port": 1}],
    }
    store.put(mine)
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    assert store.get("endpointslices", "default", "hand-made")["endpoints"] == mine["endpoints"]
    assert len(slices(store)) == 2


def test_what_is_deleted_or_edited_by_hand_is_made_again(store):
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    name = slices(store)[0]["metadata"]["name"]
    store.delete("endpointslices", "default", name)
    assert list(endpoints_of(store)) == ["127.0.9.1"]
    name = slices(store)[0]["metadata"]["name"]
    store.patch("endpointslices", "default", name, lambda s: s.update(endpoints=None))
    assert list(endpoints_of(store)) == ["127.0.9.1"]


def test_deleting_the_service_removes_its_slices_and_endpoints(store):
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    store.delete("services", "default", "my-app")
    assert store.list("endpointslices") == []
    assert store.list("endpoints") == []


def test_a_headless_service_is_marked(store):
    store.put(service(clusterIP="None"))
    store.put(pod("a", "127.0.9.1"))
    assert "service.kubernetes.io/headless" in slices(store)[0]["metadata"]["labels"]


def test_what_was_there_before_the_controller_is_caught_up():
    store = Store()
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    EndpointController(store)
    assert list(endpoints_of(store)) == ["127.0.9.1"]


def test_nothing_is_written_where_nothing_changes(store):
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    version = store.version
    store.put(service())
    store.put(pod("a", "127.0.9.1"))
    assert store.version == version
