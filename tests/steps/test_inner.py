"""The inner hops on edited evidence: middlewares, references, prefixes, protocols, shares."""

import copy
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report
from tests.steps.edits import Edit, collected
from tests.steps.test_gallery import found

MIDDLEWARE = "default-login@kubernetescrd"


def cause(edit: Edit) -> tuple[str, str, Report]:
    """The only root cause of the edited evidence, and the report."""
    report = replay(edit.snapshot())
    (one,) = report.root_causes
    return one.code, str(one.object), report


def dropped(edit: Edit) -> Edit:
    """Traefik has no router for the host."""
    edit.unroute()
    edit.traefik_404()
    edit.no_other_scheme()
    return edit


def with_middleware(spec: dict[str, Any], name: str = "login") -> Edit:
    edit = Edit()
    edit.annotate(router__middlewares=f"default-{name}@kubernetescrd")
    edit.add("middlewares", "Middleware", name, spec)
    return edit


# --- middlewares


def test_a_middleware_that_traefik_did_not_take() -> None:
    edit = dropped(with_middleware({"basicAuth": {"secret": "users"}}))
    code, thing, report = cause(edit)
    assert (code, thing) == ("ING014", "Middleware default/login")
    assert "has not taken it" in report.root_causes[0].message


def test_the_log_says_why_it_was_not_taken() -> None:
    edit = dropped(with_middleware({"basicAuth": {"secret": "users"}}))
    words = "secret 'default/users' not found"
    edit.log(
        f'ERR Error while reading basic auth middleware error="{words}"',
        "Error while reading basic auth middleware",
        error=words,
        middlewareName="default-login",
    )
    code, thing, report = cause(edit)
    assert (code, thing) == ("ING014", "Middleware default/login")
    assert words in report.root_causes[0].message
    assert "Secret default/users" in {str(r) for r in report.root_causes[0].related}


def test_a_middleware_that_traefik_has_taken_is_not_accused() -> None:
    edit = dropped(with_middleware({"headers": {"frameDeny": True}}))
    for replica in edit.replicas:
        replica["middlewares"]["value"].append({"name": MIDDLEWARE, "status": "enabled"})
    assert cause(edit)[0] == "LOG002"


def test_a_plugin_that_is_not_installed() -> None:
    edit = dropped(with_middleware({"plugin": {"geoblock": {}}}))
    code, thing, report = cause(edit)
    assert (code, thing) == ("ING014", "Middleware default/login")
    assert "geoblock" in report.root_causes[0].message


@pytest.mark.parametrize("kind", ["plugins", "localplugins"])
def test_a_plugin_that_is_installed(kind: str) -> None:
    edit = with_middleware({"plugin": {"geoblock": {}}})
    edit.arguments(f"--experimental.{kind}.GeoBlock.modulename=github.com/x/y")
    assert replay(edit.snapshot()).root_causes == ()


def test_an_application_that_answers_500_behind_a_forward_auth_is_not_the_middleware() -> None:
    edit = with_middleware({"forwardAuth": {"address": "http://auth.default.svc/verify"}})
    edit.data["kube"]["lists"]["services"]["value"].append(
        {**copy.deepcopy(edit.service), "metadata": {"name": "auth", "namespace": "default"}}
    )
    edit.answer(500, "", hops=("client", "node", "traefik-pod", "pod"))
    edit.no_other_scheme()
    codes = found(replay(edit.snapshot())).split()
    assert not any("ING014" in code for code in codes)


# --- references


def test_tls_options_that_do_not_exist() -> None:
    edit = dropped(Edit())
    edit.annotate(router__tls="true", router__tls__options="default-tls12@kubernetescrd")
    edit.fail("reset", "EOF during the TLS session", "tls")
    code, thing, report = cause(edit)
    assert (code, thing) == ("ING020", "Ingress default/my-app-ingress")
    assert "REQ008" in found(report)


def test_a_servers_transport_that_the_service_names() -> None:
    edit = dropped(Edit())
    edit.service["metadata"]["annotations"] = {
        "traefik.ingress.kubernetes.io/service.serversTransport": "default-ca@kubernetescrd"
    }
    assert cause(edit)[:2] == ("ING020", "Service default/my-app-service")
    edit.add("serverstransports", "ServersTransport", "ca", {"insecureSkipVerify": True})
    assert cause(edit)[0] == "LOG002"


def as_route(edit: Edit, **route: Any) -> None:
    """An IngressRoute in the Ingress's place."""
    edit.items("ingresses").clear()
    own = {"kind": "Rule", "match": "Host(`myapp.example.com`)",
           "services": [{"name": "my-app-service", "port": 80}], **route}  # fmt: skip
    spec = {"entryPoints": ["web"], "routes": [own]}
    edit.add("ingressroutes", "IngressRoute", "my-app", spec)


def test_the_default_certificate_follows_from_a_route_without_tls() -> None:
    edit = Edit()
    as_route(edit)
    edit.unroute()
    edit.traefik_404(default_certificate=True)
    assert cause(edit)[:2] == ("ING011", "IngressRoute default/my-app")


# --- prefixes


def with_prefixes(first: str, asked: str) -> Edit:
    """Path / leads to the application, the Prefix `first` to another one."""
    edit = Edit()
    backend = edit.second_application()
    edit.ingress["spec"]["rules"][0]["http"]["paths"].append(
        {"path": first, "pathType": "Prefix", "backend": backend}
    )
    edit.target |= {"path": asked, "path_asked": True}
    for replica in edit.replicas:
        for router in list(replica["routers"]["value"]):
            if router["provider"] == "kubernetes":
                rule = router["rule"].replace('PathPrefix("/")', f'PathPrefix("{first}")')
                replica["routers"]["value"].append({**router, "rule": rule, "priority": 60})
    return edit


@pytest.mark.parametrize("first", ["/api", "/ap"])
def test_a_prefix_that_ends_inside_an_element(first: str) -> None:
    edit = with_prefixes(first, "/apix")
    edit.answer(404, "no such page", hops=("client", "node", "traefik-pod", "pod"))
    edit.no_other_scheme()
    code, thing, report = cause(edit)
    assert (code, thing) == ("ING008", "Ingress default/my-app-ingress")
    assert "character by character" in report.root_causes[0].message


@pytest.mark.parametrize("asked", ["/api", "/api/x"])
def test_a_prefix_that_is_meant(asked: str) -> None:
    assert "ING008" not in found(replay(with_prefixes("/api", asked).snapshot()))


def test_a_prefix_that_serves_is_only_warned_of() -> None:
    report = replay(with_prefixes("/api", "/apix").snapshot())
    assert report.verdict == "healthy"
    assert "ING008w" in found(report)


# --- what the pods speak


def over_tls(edit: Edit, **certificate: Any) -> None:
    """Traefik speaks TLS to the pods, and so they do, with this certificate."""
    edit.service["metadata"]["annotations"] = {
        "traefik.ingress.kubernetes.io/service.serversscheme": "https"
    }
    leaf = {"subject": "CN=app", "issuer": "CN=ca", "names": ["app.default.svc"],
            "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z",
            "sha256": "00" * 32, "self_signed": False, **certificate}  # fmt: skip
    for probe in edit.probes("pod"):
        probe["scheme"] = "https"
        probe["exchanges"][-1]["tls"] = {
            "version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "chain": [leaf],
        }  # fmt: skip


def test_a_certificate_of_the_pods_that_names_no_address() -> None:
    edit = Edit()
    over_tls(edit)
    edit.answer(500, "Internal Server Error")
    edit.no_other_scheme()
    code, thing, report = cause(edit)
    assert (code, thing) == ("END009", "Service default/my-app-service")
    assert "app.default.svc" in report.root_causes[0].message


@pytest.mark.parametrize(
    ("address", "code"), [("127.230.240.60", "END009"), ("10.9.9.9", "END014")]
)
def test_the_log_on_the_pods_certificate(address: str, code: str) -> None:
    edit = Edit()
    over_tls(edit, names=[probe["address"] for probe in edit.probes("pod")])
    edit.answer(500, "Internal Server Error")
    edit.no_other_scheme()
    words = f"tls: failed to verify certificate: x509: cannot validate certificate for {address}"
    edit.log(f'ERR 500 Internal Server Error error="{words}"', "500", error=words)
    assert cause(edit)[0] == code


@pytest.mark.parametrize(
    ("words", "variant", "field"),
    [
        ("certificate is valid for a.example.net, b.example.net, not whoami", "name", "serverName"),
        ("cannot validate certificate for 127.230.240.60 because it doesn't contain any IP SANs",
         "name", "serverName"),
        ("certificate signed by unknown authority", "authority", "rootCAsSecrets"),
        ("certificate has expired or is not yet valid: current time is after", "names", None),
    ],
)  # fmt: skip
def test_a_servers_transport_that_does_not_fit_the_certificate(
    words: str, variant: str, field: str | None
) -> None:
    edit = Edit()
    over_tls(edit)
    notes = edit.service["metadata"]["annotations"]
    notes["traefik.ingress.kubernetes.io/service.serverstransport"] = "default-ca@kubernetescrd"
    edit.add("serverstransports", "ServersTransport", "ca", {"serverName": "whoami"})
    edit.answer(500, "Internal Server Error")
    edit.no_other_scheme()
    words = f"tls: failed to verify certificate: x509: {words}"
    edit.log(f'ERR 500 Internal Server Error error="{words}"', "500", error=words)
    code, thing, report = cause(edit)
    (found,) = report.root_causes
    holder = "ServersTransport default/ca" if field else "Service default/my-app-service"
    assert (code, thing, found.params["variant"]) == ("END009", holder, variant)
    assert found.object.field == (f"spec.{field}" if field else None)
    named = "a.example.net, b.example.net" if "a.example.net" in words else "app.default.svc"
    assert (named in found.fix) == (variant != "authority")


def test_with_a_servers_transport_the_certificate_does_not_tell() -> None:
    edit = Edit()
    over_tls(edit)
    notes = edit.service["metadata"]["annotations"]
    notes["traefik.ingress.kubernetes.io/service.serverstransport"] = "default-ca@kubernetescrd"
    edit.add("serverstransports", "ServersTransport", "ca", {"insecureSkipVerify": True})
    edit.answer(500, "Internal Server Error")
    edit.no_other_scheme()
    assert cause(edit)[0] == "END014"


def test_traefik_speaks_tls_to_pods_that_do_not() -> None:
    edit = Edit()
    over_tls(edit)
    edit.fail("tls_protocol", "wrong version number", "tls", hops=("pod",))
    edit.answer(500, "Internal Server Error")
    edit.no_other_scheme()
    code, thing, report = cause(edit)
    assert (code, thing) == ("END008", "Service default/my-app-service")
    assert report.root_causes[0].actual == "HTTPS"


# --- error pages


def with_error_pages(replicas_ready: bool | None) -> Edit:
    """An errors middleware, and whether its Service has somebody; None: there is no Service."""
    edit = Edit()
    edit.annotate(router__middlewares="default-pages@kubernetescrd")
    pages = {"status": ["500-599"], "query": "/x", "service": {"name": "pages", "port": 80}}
    edit.add("middlewares", "Middleware", "pages", {"errors": pages})
    if replicas_ready is not None:
        selector = {"app": "my-app" if replicas_ready else "pages"}
        edit.add("services", "Service", "pages", {"selector": selector, "ports": [{"port": 80}]})
    if replicas_ready:
        own = copy.deepcopy(edit.items("endpointslices@default")[0])
        own["metadata"]["labels"]["kubernetes.io/service-name"] = "pages"
        own["metadata"]["name"] = "pages-1"
        own["ports"][0]["name"] = ""
        edit.items("endpointslices@default").append(own)
    return edit


@pytest.mark.parametrize("ready", [False, None])
def test_error_pages_that_nobody_serves(ready: bool | None) -> None:
    edit = with_error_pages(ready)
    edit.unroute()
    edit.traefik_404()
    edit.no_other_scheme()
    code, thing, report = cause(edit)
    assert (code, thing) == ("ING014", "Middleware default/pages")
    (found,) = report.root_causes
    assert "Service default/pages" in map(str, found.related)
    assert "scale its Deployment up" in found.fix


def test_error_pages_that_somebody_serves() -> None:
    assert not replay(with_error_pages(replicas_ready=True).snapshot()).root_causes


# --- policies and shares


POLICY = {
    "podSelector": {},
    "policyTypes": ["Ingress"],
    "ingress": [{"from": [{"podSelector": {}}]}],
}


def test_a_policy_that_nobody_enforces_is_not_accused() -> None:
    edit = Edit()
    edit.add("networkpolicies@default", "NetworkPolicy", "deny", POLICY)
    edit.answer(500, "the application's own", hops=("client", "node", "traefik-pod", "pod"))
    edit.no_other_scheme()
    assert cause(edit)[0] == "REQ001"


def test_requests_that_all_met_the_same_bad_pod_are_a_draw() -> None:
    edit = Edit()
    edit.fail("refused", "connection refused", hops=("pod",), only=1)
    edit.answer(502, "Bad Gateway")
    edit.no_other_scheme()
    code, thing, report = cause(edit)
    assert (code, thing) == ("END013", "Service default/my-app-service")
    assert report.verdict == "degraded"
    assert "50 %" in report.headline


def test_a_part_of_a_weighted_service_without_endpoints_stops_all() -> None:
    edit = Edit()
    other = copy.deepcopy(edit.service)
    other["metadata"]["name"] = "canary"
    other["spec"]["selector"] = {"app": "canary"}
    edit.items("services").append(other)
    both = [{"name": "my-app-service", "port": 80}, {"name": "canary", "port": 80}]
    edit.lists.setdefault("traefikservices", collected([]))
    edit.add("traefikservices", "TraefikService", "both", {"weighted": {"services": both}})
    as_route(edit, services=[{"name": "both", "kind": "TraefikService"}])
    edit.items("ingressroutes")[0]["spec"]["entryPoints"] = ["websecure"]
    dropped(edit)
    code, thing, report = cause(edit)
    assert (code, thing) == ("END001", "Service default/canary")
    assert report.verdict == "broken"


# --- Traefik's own word, where no rule knows better

ROUTER = "websecure-default-my-app-ingress-myapp-example-com@kubernetes"


def said_by_the_log(router: str, words: str) -> Edit:
    edit = dropped(Edit())
    edit.log(f'ERR error="{words}"', "", error=words, routerName=router, entryPointName="web")
    return edit


def test_what_traefik_says_of_the_route_is_quoted_and_no_restart_is_advised() -> None:
    code, thing, report = cause(said_by_the_log(ROUTER, "api is not enabled"))
    (finding,) = report.root_causes
    assert (code, thing) == ("LOG010", "Ingress default/my-app-ingress")
    assert "api is not enabled" in finding.message
    assert "nothing wrong" not in finding.message
    assert "restart it" not in finding.fix
    assert "api is not enabled" in finding.evidence[0].text


def test_what_traefik_says_of_a_router_in_its_api_is_quoted() -> None:
    edit = dropped(Edit())
    for replica in edit.replicas:
        replica["routers"]["value"].append(
            {"name": ROUTER, "status": "disabled", "provider": "kubernetes",
             "error": ["unknown TLS options: x@file"], "rule": "Host(`myapp.example.com`)"}
        )  # fmt: skip
    code, thing, report = cause(edit)
    assert (code, thing) == ("LOG010", "Ingress default/my-app-ingress")
    assert "unknown TLS options: x@file" in report.root_causes[0].message


@pytest.mark.parametrize(
    "router", [ROUTER.replace("ingress", "other"), "default-shop-shop@kubernetes", "x@file"]
)
def test_what_traefik_says_of_another_route_is_not_this_ones(router: str) -> None:
    code, thing, report = cause(said_by_the_log(router, "api is not enabled"))
    assert (code, thing.partition(" ")[0]) == ("LOG002", "Deployment")
    assert "api is not enabled" not in report.root_causes[0].message


def test_a_status_that_could_not_be_written_is_no_reason() -> None:
    edit = dropped(Edit())
    words = "missing service: edge/traefik"
    edit.log(
        f'ERR Error while updating ingress status error="{words}"',
        "Error while updating ingress status",
        error=words,
        ingress="my-app-ingress",
        namespace="default",
        providerName="kubernetes",
    )
    code, thing, _ = cause(edit)
    assert (code, thing.partition(" ")[0]) == ("LOG002", "Deployment")
