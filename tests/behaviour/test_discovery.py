"""Finding Traefik by what it is, not by a name."""

import pytest

from hopcheck.behaviour.kubernetes.graph import workload_of
from hopcheck.behaviour.traefik.discovery import (
    candidate_namespaces,
    container_port,
    entry_point_port,
    instances,
    is_traefik_container,
    traefik_services,
)
from hopcheck.model.kubernetes import Container, kubernetes_object
from tests.objects import made


def service(name, namespace="edge", selector=None, ports=("http",), kind="ClusterIP", labels=None):
    obj = {
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {
            "type": kind,
            "selector": selector or {},
            "ports": [{"name": port, "port": 80 + i} for i, port in enumerate(ports)],
        },
    }
    return kubernetes_object("services", obj)


def pod(name, namespace="edge", labels=None, image="traefik:v3.1", owner=None, **container):
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    obj = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels or {},
            "ownerReferences": owners,
        },
        "spec": {"containers": [{"name": "c", "image": image, **container}]},
    }
    return kubernetes_object("pods", obj)


@pytest.mark.parametrize(
    "image",
    [
        "traefik",
        "traefik:v3.1",
        "docker.io/library/traefik:3.6.7@sha256:abc",
        "registry.local:5000/rancher/mirrored-library-traefik:2.11.2",
        "ghcr.io/traefik/traefik-hub:v3",
    ],
)
def test_traefik_by_image(image):
    assert is_traefik_container(made(Container, image=image))


@pytest.mark.parametrize(
    "image",
    [
        "thomseddon/traefik-forward-auth:2",
        "ldez/traefik-certs-dumper",
        "traefik/whoami",
        "traefik.example.com/app:1",
        "nginx",
    ],
)
def test_not_traefik_by_image(image):
    assert not is_traefik_container(made(Container, image=image))


def test_traefik_by_flags_and_variables_of_a_private_image():
    told = [
        {"args": ["--entryPoints.web.address=:8000"]},
        {"command": ["sh", "-c", "exec proxy --providers.kubernetesingress"]},
        {"env": [{"name": "TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", "value": ":80"}]},
        {"args": ["--port=80"]},
    ]
    image = "registry.local/edge-proxy:7"
    found = [is_traefik_container(made(Container, one, image=image)) for one in told]
    assert found == [True, True, True, False]


def test_services_in_order_of_likelihood():
    labels = {"app": "gate"}
    pods = [pod("gate-1", labels=labels), pod("shop-1", labels={"app": "shop"}, image="shop")]
    services = [
        service("shop", selector={"app": "shop"}, kind="NodePort"),
        service("gate-metrics", selector=labels),
        service("gate", selector=labels, kind="NodePort"),
        service("traefik", selector={"app": "gaet"}, ports=("web",), kind="NodePort"),
        service("lost", selector={"app": "lost"}, kind="NodePort"),
        service("other", selector={"app": "lost"}),
        service("traefik", namespace="empty", selector={"app": "traefik"}),
        service("traefik-forward-auth", namespace="auth", selector={"app": "fa"}),
    ]
    assert traefik_services(services, pods) == [
        ("edge", "gate"),
        ("edge", "gate-metrics"),
        ("edge", "lost"),
        ("edge", "traefik"),
        ("empty", "traefik"),
    ]
    assert traefik_services(services, pods, "a/b") == [("a", "b")]


def test_candidate_namespaces_from_services_alone():
    services = [
        service("x", namespace="plain"),
        service("edge", namespace="ports", ports=("web", "websecure"), kind="LoadBalancer"),
        service("y", namespace="label", labels={"app.kubernetes.io/name": "traefik"}),
    ]
    assert candidate_namespaces(services) == ["label", "ports"]
    assert candidate_namespaces(services, "given/z")[0] == "given"


def test_instances_group_pods_by_workload_with_their_services():
    blue, green = {"app": "blue"}, {"app": "green", "pod-template-hash": "abc"}
    pods = [
        pod("blue-1", labels=blue, owner=("DaemonSet", "blue")),
        pod("blue-2", labels=blue, owner=("DaemonSet", "blue")),
        pod("green-abc-1", labels=green, owner=("ReplicaSet", "green-abc")),
        pod("bare", namespace="host"),
        pod("shop", labels={"app": "shop"}, image="shop"),
    ]
    services = [
        service("blue", selector=blue, kind="NodePort"),
        service("green", selector={"app": "green"}, kind="NodePort"),
        service("traefik-broken", selector={"app": "gren"}, kind="NodePort"),
    ]
    found = instances(services, pods)
    assert [(i.namespace, i.kind, i.name, len(i.pods), i.services) for i in found] == [
        ("edge", "DaemonSet", "blue", 2, ("blue", "traefik-broken")),
        ("edge", "Deployment", "green", 1, ("green", "traefik-broken")),
        ("host", "Pod", "bare", 1, ()),
    ]


def test_workload_of_a_replica_set_that_is_nobodys():
    assert workload_of(pod("x", owner=("ReplicaSet", "rs"))) == ("ReplicaSet", "rs")


@pytest.mark.parametrize(
    ("container", "port"),
    [
        ({"args": ["--entryPoints.Traefik.address=:9000/tcp"]}, 9000),
        ({"args": ["--entrypoints.traefik.address", "127.0.0.1:8099"]}, 8099),
        ({"args": ["--entrypoints.traefik.address='[::]:8081'"]}, 8081),
        ({"command": ["sh", "-c", "traefik --entrypoints.traefik.address=:7000 --ping"]}, 7000),
        ({"env": [{"name": "TRAEFIK_ENTRYPOINTS_TRAEFIK_ADDRESS", "value": ":7001"}]}, 7001),
        ({"args": ["--entrypoints.traefik.address="]}, None),
        ({"args": ["--entrypoints.web.address=:80"]}, None),
        ({}, None),
    ],
)
def test_entry_point_port(container, port):
    assert entry_point_port(made(Container, container), "traefik") == port


def test_container_port_by_the_first_name_that_is_there():
    ports = [
        {"name": "admin", "containerPort": 9000},
        {"name": "web", "containerPort": 80},
    ]
    container = made(Container, ports=ports)
    assert container_port(container, ("traefik", "admin", "web")) == 9000
    assert container_port(container, ("metrics",)) is None
