"""The object that was meant, where another answers or none does; and its mended twin is healthy."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Severity, Step, Verdict
from tests.steps.edits import TRAEFIK_NS, Edit

HOST = "myapp.example.com"
INGRESS = "Ingress default/my-app-ingress"
ROUTE = "IngressRoute default/my-app"
DASHBOARD = f"IngressRoute {TRAEFIK_NS}/traefik-dashboard"
HOST_RULE = f"Host(`{HOST}`)"
EVERYWHERE = ("client", "node", "traefik-pod", "pod")
OURS = {"name": "my-app-service", "port": 80}
Arrange = Callable[[Edit, bool], None]


def errors(report: Report) -> list[str]:
    found = (finding for step in report.steps for finding in step.findings)
    return [f"{f.code} {f.object}" for f in found if f.severity is not Severity.INFO]


def route(e: Edit, name: str, match: str, services: Any = (OURS,), **spec: Any) -> None:
    """An IngressRoute, with the router that Traefik makes of it."""
    one = {"kind": "Rule", "match": match, "services": list(services)}
    one["middlewares"] = spec.pop("middlewares", [])
    base = {"entryPoints": ["websecure"], "tls": {"secretName": "myapp-tls"}}
    space = spec.pop("namespace", "default")
    own = spec if "parentRefs" in spec else {**base, **spec}
    e.add("ingressroutes", "IngressRoute", name, {**own, "routes": [one]}, space)


def routed(e: Edit, match: str) -> None:
    """The API's routers of the Ingress's rule have this one instead."""
    for router in e.routers():
        router |= {"rule": match, "provider": "kubernetescrd"}


def broken(e: Edit, *, routers: bool = False) -> None:
    """Every request gets Traefik's 404."""
    if not routers:
        e.unroute()
    e.traefik_404()
    e.no_other_scheme()


def asked(e: Edit, path: str) -> None:
    """Another path was asked, by every probe."""
    e.target |= {"path": path, "path_asked": True}
    for probe in e.probes("client", "node", "traefik-pod", "pod"):
        for exchange in probe["exchanges"]:
            exchange["url"] = exchange["url"].rstrip("/") + path


def port_in_the_host(given: str) -> Arrange:
    def arrange(e: Edit, bad: bool) -> None:
        e.items("ingresses").clear()
        rule = f"Host(`{given if bad else HOST}`)"
        route(e, "my-app", rule)
        routed(e, rule)
        if bad:
            broken(e, routers=True)

    return arrange


def pattern_in_the_path(e: Edit, bad: bool) -> None:
    asked(e, "/my-app/x")
    path = e.ingress["spec"]["rules"][0]["http"]["paths"][0]
    path |= {"path": "/my-app(/|$)(.*)" if bad else "/my-app", "pathType": "Prefix"}
    for router in e.routers():
        router["rule"] = f"{HOST_RULE} && PathPrefix(`{path['path']}`)"
    if bad:
        broken(e, routers=True)


def pattern_beside_a_root(e: Edit, bad: bool) -> None:
    """The root's application has no such page: the pattern's was meant."""
    asked(e, "/api/x")
    paths = e.ingress["spec"]["rules"][0]["http"]["paths"]
    more = "/api(/|$)(.*)" if bad else "/api"
    paths.append({"path": more, "pathType": "Prefix", "backend": e.second_application()})
    if bad:
        e.answer(404, "no such page", hops=EVERYWHERE, server="nginx")
        e.no_other_scheme()


def foreign_controller(controller: str) -> Arrange:
    def arrange(e: Edit, bad: bool) -> None:
        (one,) = e.items("ingressclasses")
        one["spec"]["controller"] = controller if bad else "traefik.io/ingress-controller"
        if bad:
            broken(e)

    return arrange


def ignored_path(e: Edit, bad: bool) -> None:
    """An Ingress of a class that is not there means the path; the application knows it not."""
    asked(e, "/.well-known/acme-challenge/q1")
    path = {"path": "/.well-known/acme-challenge/q1", "pathType": "Exact"}
    path["backend"] = e.second_application("solver")
    spec = {"ingressClassName": "absent" if bad else "traefik"}
    e.add("ingresses", "Ingress", "solver", {**spec, "rules": [
        {"host": HOST, "http": {"paths": [path]}}]})  # fmt: skip
    if bad:
        e.answer(404, "no such page", hops=EVERYWHERE, server="nginx")
        e.no_other_scheme()


def middleware_by_its_bare_name(written: str) -> Arrange:
    def arrange(e: Edit, bad: bool) -> None:
        e.add("middlewares", "Middleware", "hdr", {"headers": {"frameDeny": True}})
        e.annotate(router__middlewares=written if bad else "default-hdr@kubernetescrd")
        if bad:
            broken(e)

    return arrange


def without_the_label(resource: str, kind: str, spec: dict, uses: dict) -> Arrange:
    def arrange(e: Edit, bad: bool) -> None:
        e.items("ingresses").clear()
        e.arguments("--providers.kubernetescrd.labelselector=traffic=external")
        route(e, "my-app", HOST_RULE, **uses)
        e.add(resource, kind, "hard", spec)
        labelled = [e.one("ingressroutes", "my-app")] + [e.one(resource, "hard")] * (not bad)
        for obj in labelled:
            obj["metadata"]["labels"] = {"traffic": "external"}
        routed(e, HOST_RULE)
        if bad:
            broken(e)

    return arrange


def client_ip(e: Edit, bad: bool) -> None:
    e.items("ingresses").clear()
    rule = f"{HOST_RULE} && ClientIP(`203.0.113.7`)"
    route(e, "my-app", rule)
    routed(e, rule)
    if bad:
        broken(e, routers=True)


def dashboard(
    service: str, rule: str = "PathPrefix(`/dashboard`) || PathPrefix(`/api`)"
) -> Arrange:
    def arrange(e: Edit, bad: bool) -> None:
        asked(e, "/api/orders")
        match = rule if bad else f"Host(`traefik.example.com`) && ({rule})"
        own = {"name": service, "kind": "TraefikService"}
        route(e, "traefik-dashboard", match, [own], namespace=TRAEFIK_NS)
        if bad:
            broken(e, routers=True)

    return arrange


def parents(e: Edit, ref: str, role: str) -> None:
    e.items("ingresses").clear()
    headers = {"headers": {"customRequestHeaders": {"X-Role": "user"}}}
    e.add("middlewares", "Middleware", "role", headers)
    own = {"name": "default-role@kubernetescrd", "type": "headers", "status": "enabled"}
    for replica in e.replicas:
        replica["middlewares"]["value"].append(own)
    route(e, "parent", HOST_RULE, (), middlewares=[{"name": "role"}])
    route(e, "my-app", f"Header(`X-Role`, `{role}`)", parentRefs=[{"name": ref}])
    routed(e, HOST_RULE)


def missing_parent(e: Edit, bad: bool) -> None:
    parents(e, "parnet" if bad else "parent", "user")
    if bad:
        broken(e)


def no_child(e: Edit, bad: bool) -> None:
    parents(e, "parent", "admin" if bad else "user")
    if bad:
        broken(e, routers=True)


TLS_SPEC = {"tls": {"secretName": "myapp-tls", "options": {"name": "hard"}}}
ANOTHER = {"services": [{"name": "hard", "kind": "TraefikService"}]}
WEIGHTED = {"weighted": {"services": [OURS]}}


@pytest.mark.parametrize(
    ("arrange", "code", "accused", "step", "says"),
    [
        (port_in_the_host(f"{HOST}:443"), "ING001", ROUTE, Step.INGRESS, f"{HOST}:443"),
        (port_in_the_host(f"https://{HOST}"), "ING001", ROUTE, Step.INGRESS, "a scheme, a port"),
        (port_in_the_host(f"{HOST}/"), "ING001", ROUTE, Step.INGRESS, "a path"),
        (pattern_in_the_path, "ING007", INGRESS, Step.INGRESS, "literally"),
        (pattern_beside_a_root, "ING007", INGRESS, Step.INGRESS, "literally"),
        (foreign_controller("traefik.containo.us/ingress-controller"), "ING002",
         "IngressClass traefik", Step.INGRESS, "replace --force"),
        (foreign_controller("traefik.io/ingress-controler"), "ING002",
         "IngressClass traefik", Step.INGRESS, "replace --force"),
        (ignored_path, "ING002", "Ingress default/solver", Step.INGRESS, "absent does not exist"),
        (middleware_by_its_bare_name("hdr@kubernetescrd"), "ING013", INGRESS, Step.INGRESS,
         "default-hdr@kubernetescrd"),
        (middleware_by_its_bare_name("default/hdr@kubernetescrd"), "ING013", INGRESS,
         Step.INGRESS, "default-hdr@kubernetescrd"),
        (middleware_by_its_bare_name("hdr"), "ING013", INGRESS, Step.INGRESS,
         "default-hdr@kubernetescrd"),
        (without_the_label("tlsoptions", "TLSOption", {"minVersion": "VersionTLS12"}, TLS_SPEC),
         "ING003", "TLSOption default/hard", Step.INGRESS, "labels"),
        (without_the_label("middlewares", "Middleware", {"headers": {"frameDeny": True}},
                           {"middlewares": [{"name": "hard"}]}),
         "ING003", "Middleware default/hard", Step.INGRESS, "labels"),
        (without_the_label("traefikservices", "TraefikService", WEIGHTED, ANOTHER),
         "ING003", "TraefikService default/hard", Step.INGRESS, "labels"),
        (client_ip, "ING007", ROUTE, Step.INGRESS, "externalTrafficPolicy Local"),
        (dashboard("api@internal"), "ING008", DASHBOARD, Step.INGRESS, "Traefik itself"),
        (dashboard("ping@internal", "PathPrefix(`/api/orders`) || PathPrefix(`/ping`)"), "ING008",
         DASHBOARD, Step.INGRESS, "Traefik itself"),
        (missing_parent, "ING020", ROUTE, Step.INGRESS, "parnet: it does not exist"),
        (no_child, "ING007", ROUTE, Step.INGRESS, "X-Role"),
    ],
)  # fmt: skip
def test_what_was_meant(arrange: Arrange, code: str, accused: str, step: Step, says: str) -> None:
    edit = Edit()
    arrange(edit, True)
    report = replay(edit.snapshot())
    assert [(f.code, str(f.object), f.step) for f in report.root_causes] == [(code, accused, step)]
    (root,) = report.root_causes
    assert re.search(re.escape(says), f"{root.message} {root.fix} {root.fix_commands}")
    twin = Edit()
    arrange(twin, False)
    report = replay(twin.snapshot())
    assert (report.verdict, errors(report)) == (Verdict.HEALTHY, [])


@pytest.mark.parametrize(
    ("value", "accused"),
    [(True, "Middleware other/theirs"), ({}, f"Deployment {TRAEFIK_NS}/traefik")],
)
def test_a_value_of_the_wrong_type_stops_the_whole_provider(value: Any, accused: str) -> None:
    """Whose object it is is told by the field that the log names, in whatever namespace."""
    edit = Edit()
    edit.items("ingresses").clear()
    route(edit, "my-app", HOST_RULE)
    spec = {"headers": {"sslProxyHeaders": value}}
    edit.add("middlewares", "Middleware", "fine", {"headers": {"sslProxyHeaders": {}}})
    edit.add("middlewares", "Middleware", "theirs", spec, "other")
    broken(edit)
    said = (
        "failed to list *v1alpha1.Middleware: json: cannot unmarshal bool into Go struct field "
        "Headers.items.spec.headers.sslProxyHeaders of type map[string]string"
    )
    edit.log(f'E1128 15:44:16.1 1 reflector.go:227] "Failed to watch" err="{said}"', "Failed")
    (root,) = replay(edit.snapshot()).root_causes
    assert (root.code, str(root.object)) == ("SVC011", accused)
    assert "a restart of Traefik does not help" in root.fix
    assert "spec.headers.sslProxyHeaders" in root.message


def test_a_list_that_the_hosts_route_does_not_need_is_not_accused() -> None:
    """An Ingress of its own does not wait for Traefik's own kinds, though the API is not seen."""
    edit = Edit()
    broken(edit)
    for replica in edit.replicas:
        replica["routers"] = {"value": None, "why": "unreachable"}
    edit.log("failed to list *v1alpha1.Middleware: json: cannot unmarshal bool into Go struct "
             "field Headers.items.spec.x of type string", "Failed")  # fmt: skip
    assert "SVC011" not in {root.code for root in replay(edit.snapshot()).root_causes}


def test_a_child_behind_an_authentication_service_is_not_judged() -> None:
    """It may set any header."""
    edit = Edit()
    no_child(edit, True)
    for obj in edit.items("middlewares"):
        obj["spec"] = {"forwardAuth": {"address": "https://auth.example.com"}}
    assert "ING007" not in {root.code for root in replay(edit.snapshot()).root_causes}


def test_a_middleware_elsewhere_is_named_and_not_put_in() -> None:
    """Another namespace's of that name may be meant, or not."""
    edit = Edit()
    middleware_by_its_bare_name("hdr@kubernetescrd")(edit, True)
    edit.one("middlewares", "hdr")["metadata"]["namespace"] = "other"
    (root,) = replay(edit.snapshot()).root_causes
    assert "other-hdr@kubernetescrd" in root.message
    assert not root.fix_commands
