"""Traefik's own word, what it goes without, what it ignores: the root cause and its object."""

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Severity
from tests.steps.edits import Edit
from tests.steps.scenes import SCENES

ROUTER = "websecure-default-my-app-ingress-myapp-example-com@kubernetes"


def causes(edit: Edit) -> tuple[list[tuple[str, str]], Report]:
    report = replay(edit.snapshot())
    return [(one.code, str(one.object)) for one in report.root_causes], report


def loud(edit: Edit) -> list[str]:
    steps = replay(edit.snapshot()).steps
    return [f.code for s in steps for f in s.findings if f.severity is not Severity.INFO]


def dropped() -> Edit:
    edit = Edit()
    edit.unroute()
    edit.traefik_404()
    edit.no_other_scheme()
    return edit


def with_middleware(spec: object) -> Edit:
    edit = dropped()
    edit.annotate(router__middlewares="default-own@kubernetescrd")
    edit.add("middlewares", "Middleware", "own", spec)
    for replica in edit.replicas:
        replica["middlewares"] = {"value": None, "why": "denied"}
    return edit


WORDS = "something that nobody has seen before"


@pytest.mark.parametrize(
    ("fields", "thing"),
    [
        ({"routerName": ROUTER}, "Ingress default/my-app-ingress"),
        ({"ingress": "my-app-ingress", "namespace": "default"}, "Ingress default/my-app-ingress"),
        ({"serviceName": "my-app-service", "namespace": "default", "providerName": "kubernetes"},
         "Service default/my-app-service"),
        ({"middlewareName": "default-own@kubernetescrd"}, "Middleware default/own"),
    ],
)  # fmt: skip
def test_an_unknown_line_is_quoted_at_its_object(fields: dict[str, str], thing: str) -> None:
    edit = with_middleware({"compress": {}})
    edit.log(f"ERR {WORDS}", WORDS, **fields)
    found, report = causes(edit)
    if "Middleware" not in thing:  # whose refusal has a finding of its own
        assert found == [("LOG010", thing)]
    assert found[0][1] == thing
    assert WORDS in report.root_causes[0].message
    assert "restart" not in report.root_causes[0].fix.lower()


def test_the_same_line_beside_a_good_answer_is_nobodys_fault() -> None:
    edit = Edit()
    edit.log(f"ERR {WORDS}", WORDS, routerName=ROUTER)
    assert loud(edit) == []


@pytest.mark.parametrize("name", ["api", "prometheus", "rest"])
def test_a_service_of_traefiks_own_that_is_off(name: str) -> None:
    edit = SCENES["api-that-is-off"][2]()
    services = edit.items("ingressroutes")[0]["spec"]["routes"][0]["services"]
    services[0]["name"] = f"{name}@internal"
    edit.arguments(without="--metrics")
    found, report = causes(edit)
    assert found == [("SVC030", "Deployment api-gateway-system/traefik")]
    assert f"{name}@internal" in report.root_causes[0].message


def test_a_middleware_whose_provider_is_off() -> None:
    edit = with_middleware({"compress": {}})
    edit.arguments(without="kubernetescrd")
    found, report = causes(edit)
    assert found == [("SVC030", "Deployment api-gateway-system/traefik")]
    assert "--providers.kubernetescrd" in report.root_causes[0].fix


def test_plugins_that_could_not_be_loaded() -> None:
    edit = with_middleware({"plugin": {"geo": {}}})
    edit.arguments("--experimental.plugins.geo.modulename=example.com/geo")
    why = "unable to set up plugins environment: connection refused"
    words = "Plugins are disabled because an error has occurred."
    edit.log(f"ERR {words}", words, error=why)
    found, report = causes(edit)
    assert found == [("SVC031", "Deployment api-gateway-system/traefik")]
    assert why in report.root_causes[0].message


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ('middlewaretcps.traefik.io is forbidden: User "x" cannot list', "middlewaretcps"),
        ("serverstransporttcps.traefik.io is forbidden: User", "serverstransporttcps"),
        ("failed to list *v1alpha1.TLSStore: the server could not find the requested resource",
         "TLSStore"),
    ],
)  # fmt: skip
def test_one_kind_holds_up_its_provider_and_no_other(words: str, named: str) -> None:
    edit = with_middleware({"compress": {}})  # which only the provider that waits would bring
    edit.log(f"E0225 {words}", words)
    for replica in edit.replicas:
        replica["log"]["value"][-1]["kind"] = "klog"
        replica["routers"]["value"].append(
            {"name": "n@kubernetes", "provider": "kubernetes", "status": "enabled",
             "rule": "Host(`neighbour.example.com`)", "entryPoints": ["websecure"]}
        )  # fmt: skip
    found, report = causes(edit)
    assert found == [("SVC011", "Deployment api-gateway-system/traefik")]
    assert named in report.root_causes[0].message
    healthy = Edit()
    healthy.log(f"E0225 {words}", words)
    assert loud(healthy) == []


@pytest.mark.parametrize(
    ("note", "code"),
    [
        ("nginx.ingress.kubernetes.io/app-root", "ING031"),
        ("traefik.ingress.kubernetes.io/rule-type", "ING031"),
        ("ingress.kubernetes.io/rewrite-target", "ING031"),
        ("nginx.ingress.kubernetes.io/proxy-body-size", "REQ002"),
        ("alb.ingress.kubernetes.io/target-type", "REQ002"),
    ],
)
def test_an_annotation_is_blamed_only_for_what_it_was_to_prevent(note: str, code: str) -> None:
    edit = SCENES["rewrite-of-another-controller"][2]()
    edit.ingress["metadata"]["annotations"] = {note: "/"}
    found, _ = causes(edit)
    assert [one for one, _ in found] == [code]
    healthy = Edit()
    healthy.ingress["metadata"]["annotations"] = {note: "/"}
    assert loud(healthy) == []


def test_a_door_that_stands_open_is_a_warning() -> None:
    edit = Edit()
    note = {"nginx.ingress.kubernetes.io/auth-url": "https://auth.example.com"}
    edit.ingress["metadata"]["annotations"] = note
    assert loud(edit) == ["ING031"]
    assert causes(edit)[0] == []


def test_endpoints_that_all_terminate_get_no_new_request() -> None:
    edit = Edit()
    for one in edit.endpoints:
        one["conditions"] = {"ready": False, "serving": True, "terminating": True}
    edit.answer(503, "no available server\n")
    edit.no_other_scheme()
    found, report = causes(edit)
    assert found == [("END012", "Service default/my-app-service")]
    assert "terminating" in report.root_causes[0].message


def test_a_line_from_before_the_router_that_stands_now_accuses_nobody() -> None:
    edit = Edit()
    edit.traefik_404()
    edit.no_other_scheme()
    edit.log(f"ERR {WORDS}", WORDS, ingress="my-app-ingress", namespace="default")
    assert not {code for code, _ in causes(edit)[0]} & {"LOG010", "LOG002"}
    edit.unroute()
    assert causes(edit)[0] == [("LOG010", "Ingress default/my-app-ingress")]
