"""States that people had, each with its one root cause, what the fix says, and its mended twin."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Hop, Report, Severity, Verdict
from hopcheck.scene.probes import foreign_targets
from hopcheck.scene.scene import Scene
from tests.steps.edits import TRAEFIK_NS, Edit
from tests.steps.scenes import ingress_of_another_with_a_resource

M = "Host(`myapp.example.com`)"
ROUTE = "IngressRoute default/my-app"
FORMER = "{}.traefik.containo.us"


def told(e: Edit) -> Report:
    return replay(e.snapshot())


def root(e: Edit) -> Finding:
    (found,) = told(e).root_causes
    return found


def grave(e: Edit) -> list[str]:
    found = (f for step in told(e).steps for f in step.findings)
    return [f.code for f in found if f.severity is not Severity.INFO]


def route(e: Edit, name: str, match: str, tls: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An IngressRoute to the application; its spec."""
    own = {"name": "my-app-service", "port": 80}
    rule = {"kind": "Rule", "match": match, "services": [own], **more}
    spec = {"entryPoints": ["websecure"], "routes": [rule], "tls": tls}
    e.add("ingressroutes", "IngressRoute", name, spec)
    return spec


def by_route(match: str = M, **more: Any) -> Edit:
    """The healthy state with an IngressRoute in the Ingress's place."""
    e = Edit()
    e.items("ingresses").clear()
    route(e, "my-app", match, {"secretName": "myapp-tls"}, **more)
    for router in e.routers():
        router |= {"name": "default-my-app-641e4186061ebc2c3eac@kubernetescrd", "rule": match}
    e.no_other_scheme()
    return e


def lost(e: Edit) -> Edit:
    e.unroute()
    e.traefik_404()
    return e


# --- TLS options of one host


def two_options(
    own: str = "open", other: str = "", clauses: str = " && PathPrefix(`/admin`)"
) -> Edit:
    """Two IngressRoutes of the host; the default options want client certificates."""
    e = by_route()
    e.add("tlsoptions", "TLSOption", "open", {"minVersion": "VersionTLS12"})
    demand = {"clientAuth": {"clientAuthType": "RequireAndVerifyClientCert"}}
    e.add("tlsoptions", "TLSOption", "default", demand, TRAEFIK_NS)
    for name, options in (("my-app", own), ("admin", other)):
        tls = {"secretName": "myapp-tls"} | ({"options": {"name": options}} if options else {})
        if name == "admin":
            route(e, name, M + clauses, tls)
        else:
            e.one("ingressroutes", name)["spec"]["tls"] = tls
    return e


def refused(e: Edit, alert: str = "tlsv13 alert certificate required") -> Edit:
    e.fail("tls_alert", alert, "tls", hops=("client", "node", "traefik-pod"))
    return e


def test_routes_of_one_host_with_different_tls_options_are_the_fault() -> None:
    found = root(refused(two_options()))
    assert (found.code, str(found.object)) == ("ING045", ROUTE)
    assert found.object.field == "spec.tls.options"
    assert "IngressRoute default/admin" in found.message
    assert "default-open@kubernetescrd" in found.fix


@pytest.mark.parametrize("alert", ["tlsv1 alert unrecognized name", "tlsv1 alert protocol version"])
def test_whatever_the_default_options_refuse(alert: str) -> None:
    assert root(refused(two_options(), alert)).code == "ING045"


@pytest.mark.parametrize(
    "state",
    [
        lambda: two_options(other="open"),
        two_options,  # it serves all the same: nobody is accused
        lambda: two_options(clauses=" && PathPrefix(`/admin`) || Host(`other.example.com`)"),
    ],
)
def test_where_the_handshake_is_made_nothing_is_said(state: Callable[[], Edit]) -> None:
    assert grave(state()) == []


def test_the_routes_own_options_that_refuse_are_the_fault() -> None:
    """Without different ones they would be in force, and refuse as well."""
    e = refused(two_options(own="", other="open"))
    assert root(e).code == "ING018"
    e = refused(two_options())
    strict = e.one("tlsoptions", "open")
    strict["spec"] = {"clientAuth": {"clientAuthType": "RequireAnyClientCert"}}
    assert (root(e).code, str(root(e).object)) == ("ING018", "TLSOption default/open")


def test_another_hosts_route_is_no_rival() -> None:
    e = two_options()
    e.one("ingressroutes", "admin")["spec"]["routes"][0]["match"] = "Host(`other.example.com`)"
    assert root(refused(e)).code != "ING045"


# --- a rule of v2


@pytest.mark.parametrize(
    ("match", "path", "spelt"),
    [
        (f"{M} && Path(`/route/{{id}}`)", "/route/10", r"PathRegexp(`^/route/([^/]+)$`)"),
        (f"{M} && PathPrefix(`/v{{n:[0-9]+}}/`)", "/v2/x", r"PathRegexp(`^/v([0-9]+)/`)"),
    ],
)
def test_a_path_with_a_placeholder_is_named_with_the_spelling_of_v3(
    match: str, path: str, spelt: str
) -> None:
    e = by_route(match)
    e.target |= {"path": path, "path_asked": True}
    for probe in e.probes("client", "node", "traefik-pod"):
        probe["exchanges"][-1]["url"] = f"https://myapp.example.com{path}"
    found = root(lost(e))
    assert (found.code, str(found.object)) == ("ING021", ROUTE)
    assert found.object.field == "spec.routes[0].match"
    assert f"{M} && {spelt}" in found.fix
    assert "syntax: v2" in found.fix


def test_such_an_ingress_is_told_of_its_annotation() -> None:
    e = Edit()
    path = e.ingress["spec"]["rules"][0]["http"]["paths"][0]
    path |= {"path": "/route/{id}", "pathType": "Prefix"}
    e.target |= {"path": "/route/10", "path_asked": True}
    e.no_other_scheme()
    found = root(lost(e))
    assert (found.code, found.object.kind) == ("ING021", "Ingress")
    assert "router.rulesyntax: v2" in found.fix


def test_read_as_v2_it_serves() -> None:
    e = by_route(f"{M} && Path(`/route/{{id}}`)", syntax="v2")
    e.target |= {"path": "/route/10", "path_asked": True}
    assert grave(e) == []


# --- objects of the former group


def former(e: Edit, resource: str, kind: str, name: str) -> None:
    e.add(FORMER.format(resource), kind, name, {"headers": {"frameDeny": True}})
    e.lists[FORMER.format(resource)]["source"] = (
        f"GET /apis/traefik.containo.us/v1alpha1/{resource}"
    )


def test_a_middleware_of_the_former_group_is_to_be_moved_not_made() -> None:
    e = Edit()
    e.annotate(router__middlewares="default-headers@kubernetescrd")
    former(e, "middlewares", "Middleware", "headers")
    e.no_other_scheme()
    found = root(lost(e))
    assert (found.code, found.object.kind) == ("ING013", "Ingress")
    assert "traefik.containo.us" in found.message
    assert "apiVersion: traefik.io/v1alpha1" in found.fix
    assert "Create" not in found.fix
    e.lists[FORMER.format("middlewares")]["value"][0]["metadata"]["namespace"] = "other"
    assert "Create" in root(e).fix


@pytest.mark.parametrize(
    ("resource", "kind", "change"),
    [
        ("tlsoptions", "TLSOption", {"tls": {"options": {"name": "modern"}}}),
        ("traefikservices", "TraefikService", {"kind": "TraefikService", "name": "modern"}),
        ("serverstransports", "ServersTransport", {"serversTransport": "modern"}),
    ],
)
def test_so_is_whatever_else_a_route_refers_to(resource: str, kind: str, change: dict) -> None:
    e = by_route()
    spec = e.one("ingressroutes", "my-app")["spec"]
    if "tls" in change:
        spec["tls"] |= change["tls"]
    else:
        spec["routes"][0]["services"][0] |= change
    former(e, resource, kind, "modern")
    found = root(lost(e))
    assert found.code == "ING020"
    assert f"{resource}.traefik.containo.us" in found.fix
    e.lists[FORMER.format(resource)]["value"].clear()
    assert "Create" in root(e).fix


# --- an ExternalName's port


def outside(port: int, target: int | None, **backend: Any) -> Edit:
    e = by_route()
    ports = [{"port": port} | ({"targetPort": target} if target else {})]
    spec = {"type": "ExternalName", "externalName": "shop.example.net", "ports": ports}
    e.add("services", "Service", "outside", spec)
    services = [{"name": "outside", "port": port} | backend]
    e.one("ingressroutes", "my-app")["spec"]["routes"][0]["services"] = services
    e.arguments("--providers.kubernetescrd.allowexternalnameservices=true")
    e.http["hops"] = []
    return e


def bad_gateway(e: Edit, only: int | None = None) -> Edit:
    e.answer(502, "Bad Gateway", hops=("client",), only=only)
    for replica in e.replicas:  # no line of a healthy run tells who answered
        lines = replica["log"]["value"]
        replica["log"]["value"] = [line for line in lines if line["kind"] != "access"]
    return e


def test_traefik_asks_an_external_name_at_its_port_and_not_at_its_target_port() -> None:
    found = root(bad_gateway(outside(80, 8080)))
    assert (found.code, str(found.object)) == ("END014", "Service default/outside")
    assert "shop.example.net:80" in found.message
    assert "port of default/outside to 8080" in found.fix


@pytest.mark.parametrize("target", [None, 8080])
def test_without_another_target_port_the_host_outside_is_looked_at(target: int | None) -> None:
    found = root(bad_gateway(outside(8080, target)))
    assert "targetPort" not in found.fix + found.message
    assert "shop.example.net:8080" in found.message


@pytest.mark.parametrize("target", [None, 80, 8080])
def test_an_external_name_that_serves_is_healthy(target: int | None) -> None:
    assert grave(outside(80, target)) == []


def test_one_of_two_services_that_is_outside_has_its_share() -> None:
    e = outside(80, 8080, weight=1)
    spec = e.one("ingressroutes", "my-app")["spec"]["routes"][0]
    spec["services"].append({"name": "my-app-service", "port": 80, "weight": 1})
    e.http["hops"] = Edit().http["hops"]
    e.only_pods()
    e.arguments("--providers.kubernetescrd.allowexternalnameservices=true")
    found = root(bad_gateway(e, only=1))
    assert (found.code, found.share) == ("END014", 0.5)
    assert told(e).verdict is Verdict.DEGRADED


# --- redirects to what is asked already


def empty_behind(middleware: dict[str, Any]) -> Edit:
    e = by_route(middlewares=[{"name": "secure"}])
    e.add("middlewares", "Middleware", "secure", middleware)
    own = {"kind": "TraefikService", "name": "noop@internal"}
    e.one("ingressroutes", "my-app")["spec"]["routes"][0]["services"] = [own]
    e.http["hops"] = []
    return e


def test_a_redirect_to_the_scheme_that_is_asked_lets_the_request_pass() -> None:
    e = empty_behind({"redirectScheme": {"scheme": "https"}})
    e.answer(418, "", hops=("client",))
    for probe in e.probes("client"):
        probe["exchanges"][-1]["headers"] = []
    found = root(e)
    assert (found.code, str(found.object)) == ("ING014", "Middleware default/secure")
    assert "already" in found.message
    assert "Service for what is https already" in found.fix


# --- 5xx through Traefik alone


def test_a_5xx_that_the_pods_do_not_give_is_not_the_applications() -> None:
    e = Edit()
    e.answer(503, "upstream connect error", hops=("client", "node", "traefik-pod"))
    e.no_other_scheme()
    for replica in e.replicas:
        replica["log"]["value"] = []
    found = [f for step in told(e).steps for f in step.findings if f.severity is Severity.ERROR]
    assert [(f.code, f.object.kind) for f in found] == [("REQ014", "Host")]
    e.answer(503, "upstream connect error", hops=("pod",))
    assert root(e).code == "REQ001"


# --- an Ingress over which Traefik panics


def panicking(version: str = "3.3.6") -> Edit:
    e = ingress_of_another_with_a_resource()
    e.version(version)
    return e


def test_an_ingress_with_a_resource_is_named_by_every_host_that_it_takes_away() -> None:
    found = root(panicking())
    assert (found.code, str(found.object)) == ("ING046", "Ingress static/assets")
    assert "Traefik 3.3.6" in found.message
    assert "Ingress default/my-app-ingress" in found.message


@pytest.mark.parametrize("version", ["3.4.1", "3.7.15", "2.11.25"])
def test_a_traefik_that_passes_over_it_is_not_told_of_it(version: str) -> None:
    assert "ING046" not in grave(panicking(version))


def test_another_class_or_a_service_mends_it() -> None:
    e = panicking("2.11.24")
    other = e.one("ingresses", "assets")
    assert root(e).code == "ING046"
    other["spec"]["ingressClassName"] = "nginx"
    assert "ING046" not in grave(e)
    other["spec"]["ingressClassName"] = "traefik"
    other["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {
        "service": {"name": "assets", "port": {"number": 80}}
    }
    assert "ING046" not in grave(e)


def test_until_the_next_start_it_is_a_warning() -> None:
    """What Traefik had read before goes on being served (seen on 3.3.6)."""
    e = Edit()
    e.version("3.3.6")
    e.items("ingresses").append(panicking().one("ingresses", "assets"))
    assert grave(e) == ["ING046"]
    assert told(e).verdict is Verdict.HEALTHY


def test_an_only_default_backend_that_is_a_resource_does_the_same() -> None:
    e = panicking()
    spec = e.one("ingresses", "assets")["spec"]
    bucket = {"apiGroup": "k8s.example.com", "kind": "StorageBucket", "name": "assets"}
    spec["defaultBackend"] = {"resource": bucket}
    assert root(e).code == "ING046"
    spec.pop("rules")
    assert root(e).object.field == "spec.defaultBackend.resource"


# --- a target group that lacks the nodes which another has


def left_behind() -> Edit:
    """Local; the group of 443 holds the node without Traefik alone, that of 80 all of them."""
    e = Edit()
    e.traefik_service["spec"]["externalTrafficPolicy"] = "Local"
    pods = {pod["spec"]["nodeName"] for pod in e.traefik_pods}
    ids = {
        n["spec"]["providerID"].rpartition("/")[2]: n["metadata"]["name"] for n in e.items("nodes")
    }
    e.health()[:] = [one for one in e.health() if ids[one["Target"]["Id"]] not in pods]
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    e.fail("reset", "connection reset", "tls")
    e.no_other_scheme()
    return e


def test_a_group_that_lacks_the_nodes_which_another_has() -> None:
    found = root(left_behind())
    assert (found.code, str(found.object)) == ("TGT013", "TargetGroup myapp-websecure")
    assert "myapp-web" in found.message
    assert found.fix.startswith("Register ")


def test_where_no_group_has_them_the_policy_is_the_fault() -> None:
    e = left_behind()
    number = e.health("myapp-web")[0]["Target"]["Port"]
    left = {one["Target"]["Id"] for one in e.health()}
    own = [one for one in e.health("myapp-web") if one["Target"]["Id"] in left]
    assert own, number
    e.health("myapp-web")[:] = own
    assert root(e).code == "SVC006"


def test_with_them_registered_nothing_is_said() -> None:
    e = Edit()
    e.traefik_service["spec"]["externalTrafficPolicy"] = "Local"
    assert grave(e) == []


# --- targets of another cluster


def shared(answer: int = 404, *, address: str = "10.8.0.9") -> Edit:
    """Another cluster's node is a healthy target beside our own; asked directly it answers so."""
    e = Edit()
    target = {"Id": "i-0eeeeeeeeeeee0001", "Port": e.health()[0]["Target"]["Port"]}
    e.health().append({"Target": target, "TargetHealth": {"State": "healthy"}})
    machine = {"InstanceId": target["Id"], "PrivateIpAddress": address}
    e.aws["instances"]["value"].append(machine)
    probe = copy.deepcopy(next(c for c in e.http["hops"] if c["value"]["hop"] == "node"))
    probe["value"] |= {"hop": "target-group", "name": target["Id"], "address": address}
    probe["value"] |= {"port": target["Port"], "member": f"{target['Id']} {address}"}
    e.http["hops"].append(probe)
    if answer != 200:
        own = {"x_content_type_options": "nosniff"}
        e.answer(answer, "404 page not found\n", hops=("target-group",), **own)
    return e


def test_a_target_of_another_cluster_that_fails_is_named() -> None:
    e = shared()
    found = root(e)
    assert (found.code, str(found.object)) == ("TGT019", "TargetGroup myapp-websecure")
    assert "i-0eeeeeeeeeeee0001" in found.message
    assert "404" in found.message
    assert found.share is not None
    assert told(e).verdict is Verdict.DEGRADED


@pytest.mark.parametrize("answer", [200, 301])
def test_one_that_serves_the_host_is_no_fault(answer: int) -> None:
    assert grave(shared(answer)) == []


def test_one_that_does_not_answer_from_here_is_not_accused() -> None:
    e = shared()
    e.time_out("target-group")
    assert grave(e) == []


def test_where_nothing_serves_the_host_its_answer_proves_nothing() -> None:
    e = shared()
    e.traefik_404()
    e.unroute()
    e.no_other_scheme()
    assert "TGT019" not in grave(e)


def test_only_such_targets_are_asked_and_at_their_own_address() -> None:
    (asked,) = foreign_targets(Scene(shared().snapshot()))
    port = shared().health()[0]["Target"]["Port"]
    assert (asked.hop, asked.name, asked.address) == (
        Hop.TARGET_GROUP,
        "i-0eeeeeeeeeeee0001",
        "10.8.0.9",
    )
    assert (asked.port, asked.scheme) == (port, "https")
    assert foreign_targets(Scene(Edit().snapshot())) == []
    unused = shared()
    unused.set_health("unhealthy", "Target.Timeout", last=1)
    assert foreign_targets(Scene(unused.snapshot())) == []
