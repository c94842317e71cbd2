"""The application serves, and what Traefik does before it (or in its stead) spoils the answer."""

import copy
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Report, Step, Verdict
from tests.steps.edits import Edit
from tests.steps.test_before_the_application import APP, INGRESS, healthy
from tests.steps.test_producers import no_access_log

HOST = "Host(`myapp.example.com`)"
ROUTE = "IngressRoute default/my-app"
SERVICE = "Service default/my-app-service"
LONE = [{"name": "my-app-service", "port": 80}]


def root(report: Report, code: str, at: str, step: Step = Step.INGRESS) -> Finding:
    """The one root cause, of the object at fault (whatever its field)."""
    (found,) = report.root_causes
    ref = found.object
    assert (found.code, f"{ref.kind} {ref.namespace}/{ref.name}") == (code, at)
    assert found.step == step
    return found


def routed(edit: Edit, services: list[dict[str, Any]], match: str = HOST, **more: Any) -> None:
    """An IngressRoute on websecure instead of the Ingress."""
    edit.items("ingresses").clear()
    rule = {"kind": "Rule", "match": match, "services": services, **more}
    spec = {"entryPoints": ["websecure"], "routes": [rule], "tls": {"secretName": "myapp-tls"}}
    edit.add("ingressroutes", "IngressRoute", "my-app", spec)
    edit.unroute()


def failing(status: int = 404, body: str = "no site of that name") -> Edit:
    """Every request through Traefik ends so; the pods, asked directly, answer 200."""
    edit = Edit()
    edit.target |= {"path": "/status", "path_asked": True}
    edit.no_other_scheme()
    no_access_log(edit)
    edit.answer(status, body, server="gunicorn")
    return edit


# --- the Host header


def by_route(edit: Edit, keep: bool) -> None:
    routed(edit, [{**LONE[0], "passHostHeader": keep}])


def by_annotation(edit: Edit, keep: bool) -> None:
    own = edit.service["metadata"].setdefault("annotations", {})
    own["traefik.ingress.kubernetes.io/service.passhostheader"] = str(keep).lower()


def by_traefik_service(edit: Edit, keep: bool) -> None:
    services = [{**LONE[0], "passHostHeader": keep}]
    edit.add("traefikservices", "TraefikService", "canary", {"weighted": {"services": services}})
    routed(edit, [{"name": "canary", "kind": "TraefikService"}])


@pytest.mark.parametrize("status", [400, 404, 421, 500])
@pytest.mark.parametrize(
    ("setting", "at"),
    [(by_route, ROUTE), (by_annotation, SERVICE), (by_traefik_service, ROUTE)],
)
def test_an_application_that_does_not_hear_its_name(setting: Any, at: str, status: int) -> None:
    edit = failing(status)
    setting(edit, False)
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.BROKEN
    found = root(report, "ING044", at)
    assert "under their own address" in found.message
    mended = Edit()
    mended.no_other_scheme()
    setting(mended, True)
    healthy(mended)


def test_a_host_header_that_nobody_misses_is_not_told() -> None:
    edit = Edit()
    by_annotation(edit, False)
    edit.no_other_scheme()
    assert not [one for one in healthy(edit) if one.startswith("ING044")]


def test_an_annotation_that_an_ingressroute_does_not_read() -> None:
    edit = failing()
    by_annotation(edit, False)
    routed(edit, LONE)
    assert "ING044" not in {f.code for s in replay(edit.snapshot()).steps for f in s.findings}


def test_what_the_pods_serve_directly_is_not_the_applications_fault() -> None:
    report = replay(failing().snapshot())
    assert (report.verdict, report.root_causes) == (Verdict.BROKEN, ())
    assert "asked directly, serve the same request" in report.headline
    edit = failing()
    edit.answer(404, "no site of that name", hops=("pod",), server="gunicorn")
    root(replay(edit.snapshot()), "REQ002", APP, Step.REQUEST)


# --- a redirect in front of nothing


def in_front_of_nothing(regex: str) -> Edit:
    edit = Edit()
    edit.target |= {"path": "/aaa", "path_asked": True}
    edit.no_other_scheme()
    edit.without_pods()
    spec = {"redirectRegex": {"regex": regex, "replacement": "https://www.example.org"}}
    edit.add("middlewares", "Middleware", "aaa", spec)
    routed(
        edit,
        [{"name": "noop@internal", "kind": "TraefikService"}],
        HOST + " && PathPrefix(`/aaa`)",
        middlewares=[{"name": "aaa"}],
    )
    for probe in edit.probes("client", "node", "traefik-pod"):
        last = probe["exchanges"][-1]
        last |= {"url": "https://myapp.example.com/aaa", "status": 418}
        last |= {"body": "", "body_bytes": 0, "headers": []}
    return edit


@pytest.mark.parametrize("regex", ["^/aaa", "^http://[^/]+/aaa", "/aaa/.+"])
def test_a_redirect_whose_expression_does_not_match_the_url(regex: str) -> None:
    report = replay(in_front_of_nothing(regex).snapshot())
    assert report.verdict is Verdict.BROKEN
    found = root(report, "ING014", "Middleware default/aaa")
    assert regex in found.message
    assert "scheme and host" in found.fix
    assert all("entryPoint" not in f.message for s in report.steps for f in s.findings)


def test_a_redirect_that_fits_is_not_accused() -> None:
    edit = in_front_of_nothing("^https?://[^/]+/aaa")
    assert "ING014" not in {f.code for s in replay(edit.snapshot()).steps for f in s.findings}
    for probe in edit.probes("client", "node", "traefik-pod"):
        location = ["location", "https://www.example.org"]
        probe["exchanges"][-1] |= {"status": 302, "headers": [location]}
        probe["redirected_to"] = location[1]
    healthy(edit)


# --- a redirect past the route

TOKEN = "/.well-known/acme-challenge/Zt5pYw"


def solver(edit: Edit, *, only_web: bool) -> None:
    backend = edit.second_application("solver")
    path = {"path": TOKEN, "pathType": "Exact", "backend": backend}
    rule = {"host": "myapp.example.com", "http": {"paths": [path]}}
    edit.add("ingresses", "Ingress", "solver", {"ingressClassName": "traefik", "rules": [rule]})
    if only_web:
        key = "traefik.ingress.kubernetes.io/router.entrypoints"
        edit.one("ingresses", "solver")["metadata"]["annotations"] = {key: "web"}


def redirecting(status: int, **headers: str) -> Edit:
    """The entryPoint web redirects to https, where a request for TOKEN ends with this status."""
    edit = Edit()
    edit.only_http()
    edit.without_pods()
    no_access_log(edit)
    edit.arguments("--entryPoints.web.http.redirections.entryPoint.to=websecure")
    edit.target |= {"path": TOKEN, "path_asked": True}
    for probe in edit.probes("client"):
        first = probe["exchanges"][0]
        first |= {"url": f"http://myapp.example.com{TOKEN}", "status": 301}
        first |= {"body": "Moved Permanently", "body_bytes": 17}
        to = f"https://myapp.example.com{TOKEN}"
        first["headers"] = [["location", to]]
        last = copy.deepcopy(first)
        last |= {"url": to, "status": status, "body": "404 page not found\n", "body_bytes": 19}
        last["headers"] = [[k.replace("_", "-"), v] for k, v in headers.items()]
        probe["exchanges"] = [first, last]
    return edit


def test_a_route_that_listens_only_where_an_entry_point_redirects() -> None:
    edit = redirecting(404, server="gunicorn")
    solver(edit, only_web=True)
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.BROKEN
    found = root(report, "ING011", "Ingress default/solver")
    assert "redirects everything" in found.message
    assert INGRESS in map(str, found.related)
    (symptom,) = (f for s in report.steps for f in s.findings if f.code == "REQ002")
    assert str(symptom.object) == APP  # it is the one that was asked, behind the redirect
    assert "https://" in symptom.message


def test_a_route_behind_whose_redirect_there_is_none() -> None:
    edit = redirecting(404, x_content_type_options="nosniff")
    edit.annotate(router__entrypoints="web")
    edit.unroute()
    report = replay(edit.snapshot())
    root(report, "ING011", INGRESS)


def test_a_route_that_listens_where_the_redirect_leads() -> None:
    edit = redirecting(200, server="gunicorn")
    solver(edit, only_web=False)
    healthy(edit)
    edit = redirecting(404, server="gunicorn")
    root(replay(edit.snapshot()), "REQ002", APP, Step.REQUEST)
