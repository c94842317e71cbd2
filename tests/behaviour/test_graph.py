"""The cluster's objects as one graph: which routes may serve a host, and what is on their way."""

from typing import Any

import pytest

from hopcheck.behaviour.kubernetes.graph import Graph
from hopcheck.behaviour.kubernetes.hosts import RouteIndex, hosts_of, names_host
from hopcheck.behaviour.kubernetes.references import Reference, references
from hopcheck.collect.kubernetes.index import ClusterIndex
from hopcheck.collect.kubernetes.wanted import wanted
from hopcheck.config.options import Options
from hopcheck.history.changes.objects import Side, keys_on_the_way
from hopcheck.model import Collected, KubeEvidence, Snapshot, Target
from hopcheck.model.kubernetes import KINDS, kubernetes_object


def made(resource: str, name: str, spec: Any, namespace: str = "default", **meta: Any) -> Any:
    kind = KINDS[resource].__name__
    head = {"name": name, "namespace": namespace, **meta}
    return kubernetes_object(resource, {"kind": kind, "metadata": head, "spec": spec})


def ingress(host: str | None, namespace: str = "default", **spec: Any) -> Any:
    rules = [{"host": host}] if host is not None else []
    return made("ingresses", host or "any", {"rules": rules, **spec}, namespace)


# --- which routes may serve a host


@pytest.mark.parametrize(
    ("rule", "hosts"),
    [
        ("Host(`A.example.com`) && PathPrefix(`/x`)", ["a.example.com"]),
        ("Host(`a`, `b`) || Host('c')", ["a", "b", "c"]),
        ("PathPrefix(`/`)", [""]),
        ("HostRegexp(`^.+$`)", [""]),
        ("HostSNI(`*`)", [""]),
    ],
)
def test_hosts_of_a_rule(rule: str, hosts: list[str]) -> None:
    assert hosts_of(made("ingressroutes", "r", {"routes": [{"match": rule}]})) == hosts


@pytest.mark.parametrize(
    ("pattern", "host", "one", "many"),
    [
        ("a.example.com", "a.example.com", True, True),
        ("*.example.com", "a.example.com", True, True),
        ("*.example.com", "a.b.example.com", False, True),
        ("*.example.com", "example.com", False, False),
        ("*.example.com", "aexample.com", False, False),
        ("b.example.com", "a.example.com", False, False),
    ],
)
def test_a_wildcard_stands_for_one_label_or_more(
    pattern: str, host: str, one: bool, many: bool
) -> None:
    assert names_host(pattern, host) is one
    assert names_host(pattern, host, labels=None) is many


def test_everything_is_kept_in_a_small_cluster() -> None:
    routes = [ingress("x.org"), ingress("*.example.com"), ingress("a.example.com"), ingress("")]
    found = RouteIndex(routes).relevant("a.example.com")
    assert found.matched == (1, 2, 3)
    assert found.near == (0,)


def test_what_is_near_in_a_large_cluster() -> None:
    many = [ingress(f"h{i}.org", namespace=f"n{i}") for i in range(300)]
    typo = ingress("myap.example.net", namespace="typo")
    sibling = ingress("other.example.com", namespace="sibling")
    default = ingress(None, namespace="fallback", defaultBackend={"service": {"name": "d"}})
    routes = [*many, typo, sibling, default]
    found = RouteIndex(routes).relevant("myapp.example.com")
    assert found.matched == (302,)
    assert set(found.near) == {300, 301}
    exact = [*routes, ingress("myapp.example.com", namespace="n7")]
    found = RouteIndex(exact).relevant("myapp.example.com")
    assert found.matched == (303, 302)
    assert set(found.near) == {7, 301}


# --- what is on the way: every question that is asked of it gets the same answer

HOST = "a.b.example.com"
GATEWAY_ROUTE = made(
    "httproutes",
    "shop",
    {"hostnames": ["*.example.com"], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
    "shop",
)
SERVICE = made("services", "web", {"selector": {"app": "web"}, "ports": [{"port": 80}]}, "shop")


def test_a_wildcard_of_the_gateway_api_is_on_the_way_whoever_asks() -> None:
    lists = {"httproutes": (GATEWAY_ROUTE,), "services": (SERVICE,)}
    assert wanted(lists, HOST, Options()).app_namespaces == ("shop",)
    kube = KubeEvidence(lists={key: Collected(value=many) for key, many in lists.items()})
    shown = ClusterIndex(kube, Options()).evidence(HOST, ())
    assert shown.list("httproutes").get() == (GATEWAY_ROUTE,)
    assert shown.list("services").get() == (SERVICE,)
    keys = keys_on_the_way([Side(Snapshot(target=Target(host=HOST), kube=kube))])
    assert {("httproutes", "shop", "shop"), ("services", "shop", "web")} <= {*keys}


def test_a_wildcard_of_an_ingress_stands_for_one_label_whoever_asks() -> None:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [{"host": "*.example.com", "http": {"paths": [{"backend": backend}]}}]
    route = made("ingresses", "shop", {"rules": rules}, "shop")
    lists = {"ingresses": (route, ingress(HOST)), "services": (SERVICE,)}
    assert wanted(lists, HOST, Options()).app_namespaces == ()
    assert wanted(lists, "b.example.com", Options()).app_namespaces == ("shop",)
    kube = KubeEvidence(lists={key: Collected(value=many) for key, many in lists.items()})
    assert ClusterIndex(kube, Options()).evidence(HOST, ()).list("services").get() == ()
    keys = keys_on_the_way([Side(Snapshot(target=Target(host=HOST), kube=kube))])
    assert ("services", "shop", "web") not in keys


def named(resource: str, spec: Any, **meta: Any) -> list[tuple[str, str, str]]:
    obj = made(resource, "x", spec, **meta)
    return [one.key for one in references(obj)]


def test_what_each_kind_names() -> None:
    notes = {
        "traefik.ingress.kubernetes.io/router.middlewares": "ns-a@kubernetescrd, b@file",
        "traefik.ingress.kubernetes.io/router.tls.options": "ns-o@kubernetescrd",
    }
    path = {"backend": {"service": {"name": "s", "port": {"number": 80}}}}
    assert named(
        "ingresses",
        {
            "ingressClassName": "traefik",
            "tls": [{"secretName": "cert"}],
            "defaultBackend": {"service": {"name": "d", "port": {"name": "http"}}},
            "rules": [{"http": {"paths": [path, path, {"backend": {"resource": {"name": "r"}}}]}}],
        },
        annotations=notes,
    ) == [
        ("ingressclasses", "", "traefik"), ("middlewares", "", "ns-a"), ("tlsoptions", "", "ns-o"),
        ("secrets", "default", "cert"), ("services", "default", "d"), ("services", "default", "s"),
    ]  # fmt: skip
    services = [
        {"name": "a", "port": 80},
        {"name": "b", "namespace": "other", "port": "http", "serversTransport": "t"},
        {"name": "w", "kind": "TraefikService"},
        {"name": "api@internal", "kind": "TraefikService"},
    ]
    rule = {"services": services, "middlewares": [{"name": "m"}, {"name": "n@file"}]}
    assert named("ingressroutes", {"routes": [rule], "tls": {"secretName": "cert"}}) == [
        ("secrets", "default", "cert"), ("middlewares", "default", "m"),
        ("services", "default", "a"), ("services", "other", "b"),
        ("serverstransports", "other", "t"), ("traefikservices", "default", "w"),
    ]  # fmt: skip
    assert named(
        "traefikservices",
        {
            "weighted": {"services": [{"name": "c", "port": 81}]},
            "mirroring": {"name": "m", "port": 82, "mirrors": [{"name": "n", "port": 83}]},
        },
    ) == [("services", "default", name) for name in "cmn"]
    auth = {"address": "http://auth.sso.svc.cluster.local/", "tls": {"caSecret": "ca"}}
    assert named("middlewares", {"forwardAuth": auth}) == [
        ("secrets", "default", "ca"), ("services", "sso", "auth"),
    ]  # fmt: skip
    assert named("middlewares", {"chain": {"middlewares": [{"name": "y"}]}}) == [
        ("middlewares", "default", "y")
    ]
    assert named("middlewares", {"errors": {"service": {"name": "pages"}}}) == [
        ("services", "default", "pages")
    ]
    assert named("tlsstores", {"defaultCertificate": {"secretName": "d"}}) == [
        ("secrets", "default", "d")
    ]
    assert named("pods", {"nodeName": "n", "volumes": [{"name": "v", "configMap": {"name": "c"}}]})\
        == [("nodes", "", "n"), ("configmaps", "default", "c")]  # fmt: skip


def test_a_port_is_told_by_number_or_name() -> None:
    path = {"backend": {"service": {"name": "s", "port": {"name": "http"}}}}
    obj = made("ingresses", "x", {"rules": [{"http": {"paths": [path]}}]})
    assert references(obj) == (Reference("services", "default", "s", "http"),)


def test_the_walk_follows_names_and_says_what_is_not_there() -> None:
    route = made(
        "ingressroutes", "r",
        {"routes": [{"match": "Host(`a`)", "middlewares": [{"name": "outer"}],
                     "services": [{"name": "w", "kind": "TraefikService"}]}]},
    )  # fmt: skip
    outer = made("middlewares", "outer", {"chain": {"middlewares": [{"name": "in-ner"}]}})
    inner = made("middlewares", "in-ner", {"basicAuth": {"secret": "users"}})
    weighted = {"services": [{"name": "c", "port": 81}, {"name": "w", "kind": "TraefikService"}]}
    loop = made("traefikservices", "w", {"weighted": weighted})
    graph = Graph({"middlewares": (outer, inner), "traefikservices": (loop,)})
    assert graph.walk([route]) == {
        ("middlewares", "default", "outer"): outer,
        ("traefikservices", "default", "w"): loop,
        ("middlewares", "default", "in-ner"): inner,
        ("services", "default", "c"): None,
        ("secrets", "default", "users"): None,
    }


def test_an_annotation_names_a_middleware_by_namespace_and_name() -> None:
    note = {"traefik.ingress.kubernetes.io/router.middlewares": "team-a-strip@kubernetescrd"}
    route = made("ingresses", "x", {}, annotations=note)
    strip = made("middlewares", "strip", {"stripPrefix": {"prefixes": ["/a"]}}, "team-a")
    assert [*Graph({"middlewares": (strip,)}).walk([route])] == [("middlewares", "team-a", "strip")]
    assert Graph({}).walk([route]) == {("middlewares", "", "team-a-strip"): None}
