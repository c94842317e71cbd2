"""Which HTTPRoutes may route a host through Traefik."""

from typing import Any

import pytest

from hopcheck.behaviour.traefik.gateway import CONTROLLER, gateway_routers, gateway_routes_for
from hopcheck.behaviour.traefik.version import Version
from hopcheck.engine.replay import replay
from hopcheck.model import Collected, KubeEvidence, Obj, Replica, Report, Why
from tests.steps.edits import Edit

HOST = "app.example.com"


def route(name: str, *hostnames: str, controller: str | None = None, **spec: Any) -> Obj:
    parents = [{"controllerName": controller, "conditions": []}] if controller else []
    return {
        "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"hostnames": list(hostnames), **spec},
        "status": {"parents": parents},
    }


def gateway(*listeners: Obj, name: str = "edge", namespace: str = "infra") -> Obj:
    return {
        "kind": "Gateway",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"listeners": list(listeners)},
    }


def evidence(*routes: Obj, gateways: tuple[Obj, ...] | None = ()) -> KubeEvidence:
    seen = Collected(value=gateways) if gateways is not None else Collected(why=Why.DENIED)
    return KubeEvidence(lists={"httproutes": Collected(value=routes), "gateways": seen})


@pytest.mark.parametrize(
    ("hostname", "host", "expected"),
    [
        ("app.example.com", HOST, True),
        ("APP.example.com.", HOST, True),
        ("*.example.com", HOST, True),
        ("*.example.com", "a.b.example.com", True),  # one or more labels, unlike an Ingress
        ("*.example.com", "example.com", False),
        ("other.example.com", HOST, False),
        ("example.com", HOST, False),
    ],
)
def test_hostnames(hostname: str, host: str, expected: bool) -> None:
    assert bool(gateway_routes_for(evidence(route("a", hostname)), host)) is expected


def test_a_route_of_another_controller_is_not_traefiks() -> None:
    istio = route("a", HOST, controller="istio.io/gateway-controller")
    assert gateway_routes_for(evidence(istio), HOST) == ()
    assert gateway_routes_for(evidence(route("a", HOST, controller=CONTROLLER)), HOST)


@pytest.mark.parametrize(
    ("enabled", "controller", "expected"),
    [
        (False, None, False), (True, None, True), (None, None, True), (False, CONTROLLER, True),
        (True, "istio.io/gateway-controller", False),
    ],
)  # fmt: skip
def test_a_route_without_hostnames(
    enabled: bool | None, controller: str | None, expected: bool
) -> None:
    found = gateway_routes_for(evidence(route("a", controller=controller)), HOST, enabled=enabled)
    assert bool(found) is expected


@pytest.mark.parametrize(
    ("listeners", "section", "expected"),
    [
        ([{"name": "a", "hostname": "*.example.com"}], None, True),
        ([{"name": "a", "hostname": "*.example.org"}], None, False),
        ([{"name": "a", "hostname": "*.example.org"}, {"name": "b"}], None, True),
        ([{"name": "a", "hostname": "*.example.org"}, {"name": "b"}], "a", False),
        ([], None, True),
    ],
)
def test_the_listeners_hostname_counts_where_the_route_names_none(
    listeners: list[Obj], section: str | None, expected: bool
) -> None:
    ref = {"name": "edge", "namespace": "infra", **({"sectionName": section} if section else {})}
    found = gateway_routes_for(
        evidence(route("a", parentRefs=[ref]), gateways=(gateway(*listeners),)), HOST, enabled=True
    )
    assert bool(found) is expected


def test_gateways_that_may_not_be_read_give_the_benefit_of_the_doubt() -> None:
    own = route("a", parentRefs=[{"name": "edge", "namespace": "infra"}])
    assert gateway_routes_for(evidence(own, gateways=None), HOST, enabled=True)


def test_a_refusal_is_told() -> None:
    own = route("a", HOST, controller=CONTROLLER)
    own["status"]["parents"][0]["conditions"] = [
        {"type": "Accepted", "status": "True", "reason": "Accepted"},
        {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound"},
    ]
    assert gateway_routes_for(evidence(own), HOST) == ("shop/a (ResolvedRefs: BackendNotFound)",)


def test_routes_of_other_hosts_in_a_large_cluster() -> None:
    slim = {"kind": "HTTPRoute", "slim": True, "metadata": {"namespace": "x", "name": "y"},
            "spec": {"hosts": ["other.example.com"]}}  # fmt: skip
    assert gateway_routes_for(evidence(slim), HOST, enabled=True) == ()
    assert gateway_routes_for(KubeEvidence(), HOST) == ()


def router(name: str, rule: str, **more: Any) -> Obj:
    return {"name": name, "rule": rule, "provider": "kubernetesgateway", "status": "enabled",
            "using": ["websecure"], **more}  # fmt: skip


def replica(*http: Obj, tcp: tuple[Obj, ...] = ()) -> Replica:
    return Replica("t", "traefik", routers=Collected(value=http), tcp_routers=Collected(value=tcp))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (replica(router("grpc", f"Host(`{HOST}`)")), ("router grpc",)),
        (replica(tcp=(router("tls", f"HostSNI(`{HOST}`)"),)), ("router tls",)),
        (replica(router("grpc", f"Host(`{HOST}`)", status="disabled")), ()),
        (replica(router("grpc", f"Host(`{HOST}`)", using=["grpc"])), ()),
        (replica(router("grpc", f"Host(`{HOST}`)", provider="kubernetes")), ()),
        (replica(router("grpc", "Host(`other.example.com`)")), ()),
        (Replica("t", "traefik"), ()),
    ],
)
def test_routers_of_kinds_that_are_not_read(shown: Replica, expected: tuple[str, ...]) -> None:
    found = gateway_routers([shown], HOST, "/", "websecure", Version(3, 7, 15))
    assert found == expected


def hidden(*, api: bool, gateway: bool) -> Report:
    edit = Edit()
    edit.items("ingresses").clear()
    edit.unroute()
    edit.traefik_404()
    edit.no_other_scheme()
    if gateway:
        edit.arguments("--providers.kubernetesgateway=true")
    if not api:
        for one in edit.replicas:
            one["routers"] = one["tcp_routers"] = {"why": "unreachable"}
    return replay(edit.snapshot())


def test_kinds_that_nobody_has_read_leave_it_open() -> None:
    assert [c.code for c in hidden(api=True, gateway=True).root_causes] == ["ING001"]
    assert [c.code for c in hidden(api=False, gateway=False).root_causes] == ["ING001"]
    report = hidden(api=False, gateway=True)
    assert not report.root_causes
    assert "TLSRoute" in (report.steps[3].reason or "")
