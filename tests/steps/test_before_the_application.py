"""Answers that are not the application's: middlewares, fronts, redirects, certificates refused."""

import copy

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Report, Severity, Step, Verdict
from tests.steps.edits import Edit, collected
from tests.steps.test_producers import access, no_access_log

OFFICE = "Middleware default/office"
APP = "Application default/my-app-service"
INGRESS = "Ingress default/my-app-ingress"
LIST = {"ipAllowList": {"sourceRange": ["198.51.100.0/24"]}}


def through(spec: dict, name: str = "office") -> Edit:
    edit = Edit()
    edit.add("middlewares", "Middleware", name, spec)
    edit.annotate(router__middlewares=f"default-{name}@kubernetescrd")
    edit.no_other_scheme()
    no_access_log(edit)
    return edit


def say(edit: Edit, status: int, body: str, only: int | None = None, **headers: str) -> None:
    """Traefik's own words: without a Content-Type."""
    edit.answer(status, body, only=only, **headers)
    for probe in edit.probes("client", "node", "traefik-pod"):
        last = probe["exchanges"][-1]
        if last["status"] == status:
            last["headers"] = [[k, v] for k, v in last["headers"] if k != "content-type"]


def refused(spec: dict, status: int = 403, body: str = "Forbidden") -> Edit:
    edit = through(spec)
    say(edit, status, body)
    return edit


def root(report: Report, code: str, at: str, step: Step = Step.INGRESS) -> Finding:
    (found,) = report.root_causes
    assert (found.code, str(found.object), found.step) == (code, at, step)
    return found


def healthy(edit: Edit) -> list[str]:
    """The information that is left where nothing is wrong."""
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.HEALTHY
    findings = [finding for step in report.steps for finding in step.findings]
    assert [str(f) for f in findings if f.severity is not Severity.INFO] == []
    return [f"{f.code} {f.object}" for f in findings]


def alb(edit: Edit) -> None:
    edit.lb["Type"] = "application"
    edit.listener()["Protocol"] = "HTTPS"
    for name in ("myapp-websecure", "myapp-web"):
        edit.group(name)["Protocol"] = "HTTP"
    edit.forward(edit.listener(), "myapp-web")


# --- lists and limits


def test_an_allow_list_that_sees_nodes() -> None:
    edit = refused(LIST)
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.BROKEN
    found = root(report, "ING040", OFFICE)
    assert "a node's address" in found.message
    assert "externalTrafficPolicy Local" in found.fix
    assert "PROXY protocol" in found.fix
    access(
        edit,
        403,
        RouterName="websecure-default-my-app@kubernetes",
        ClientHost="10.0.1.10",
        OriginStatus="0",
    )
    assert "10.0.1.10" in root(replay(edit.snapshot()), "ING040", OFFICE).message
    edit.answer(200, "served", server="gunicorn")
    assert not [one for one in healthy(edit) if one.startswith("ING04")]


def test_under_policy_local_it_is_the_client_who_is_not_on_the_list() -> None:
    edit = refused(LIST)
    edit.traefik_service["spec"]["externalTrafficPolicy"] = "Local"
    access(
        edit,
        403,
        RouterName="websecure-default-my-app@kubernetes",
        ClientHost="203.0.113.9",
        OriginStatus="0",
    )
    found = root(replay(edit.snapshot()), "ING040", OFFICE)
    assert "203.0.113.9" in found.message
    assert "--expect-status" in found.fix
    assert "externalTrafficPolicy" not in found.fix


def proxied(trusted: str, seen: str | None, sent: str = "true") -> Edit:
    """The groups send the PROXY protocol (or not), and Traefik takes it from `trusted` alone."""
    edit = refused(LIST)
    for name in ("web", "websecure"):
        edit.arguments(f"--entryPoints.{name}.proxyProtocol.{trusted}")
        arn = edit.group(f"myapp-{name}")["TargetGroupArn"]
        edit.aws["target_group_attributes"][arn]["value"]["proxy_protocol_v2.enabled"] = sent
    if seen is not None:
        router = "websecure-default-my-app@kubernetes"
        access(edit, 403, RouterName=router, ClientHost=seen, OriginStatus="0")
    return edit


@pytest.mark.parametrize("seen", ["127.230.240.10", None])
@pytest.mark.parametrize("trusted", ["trustedIPs=10.20.0.0/16", "trustedIPs=10.0.0.1,10.0.0.2"])
def test_a_proxy_header_from_addresses_that_are_not_trusted(trusted: str, seen: str | None) -> None:
    edit = proxied(trusted, seen)
    found = root(replay(edit.snapshot()), "ING040", OFFICE)
    assert "proxyProtocol.trustedIPs" in found.fix
    assert "add its network" not in found.fix
    edit.answer(200, "served", server="gunicorn")
    edit.arguments("--entryPoints.websecure.proxyProtocol.trustedIPs=127.0.0.0/8", without=trusted)
    assert not [one for one in healthy(edit) if one.startswith("ING04")]


@pytest.mark.parametrize("trusted", ["trustedIPs=127.230.240.0/24", "insecure=true"])
def test_a_proxy_header_that_is_taken_shows_the_client(trusted: str) -> None:
    found = root(replay(proxied(trusted, "203.0.113.9").snapshot()), "ING040", OFFICE)
    assert "203.0.113.9" in found.message
    assert "add its network" in found.fix


def test_where_no_proxy_header_is_sent_trust_changes_nothing() -> None:
    edit = proxied("trustedIPs=10.20.0.0/16", "127.230.240.10", sent="false")
    found = root(replay(edit.snapshot()), "ING040", OFFICE)
    assert "externalTrafficPolicy Local" in found.fix


def test_an_address_of_the_load_balancer_is_never_to_be_listed() -> None:
    edit = proxied("trustedIPs=10.20.0.0/16", "10.0.9.9")
    edit.traefik_service["spec"]["externalTrafficPolicy"] = "Local"
    zones = edit.lb["AvailabilityZones"]
    zones[0]["LoadBalancerAddresses"] = [{"PrivateIPv4Address": "10.0.9.9"}]
    found = root(replay(edit.snapshot()), "ING040", OFFICE)
    assert "proxyProtocol.trustedIPs" in found.fix
    assert "add its network" not in found.fix


@pytest.mark.parametrize("seen", ["127.230.240.10", "127.230.240.12"])
def test_a_node_that_is_the_client_is_never_to_be_listed(seen: str) -> None:
    edit = refused(LIST)
    edit.traefik_service["spec"]["externalTrafficPolicy"] = "Local"
    router = "websecure-default-my-app@kubernetes"
    access(edit, 403, RouterName=router, ClientHost=seen, OriginStatus="0")
    assert "add its network" not in root(replay(edit.snapshot()), "ING040", OFFICE).fix


def test_behind_an_alb_a_list_judges_by_the_load_balancer() -> None:
    edit = refused(LIST)
    alb(edit)
    assert "ipStrategy.depth" in root(replay(edit.snapshot()), "ING040", OFFICE).fix
    edit.one("middlewares", "office")["spec"]["ipAllowList"]["ipStrategy"] = {"depth": 2}
    found = root(replay(edit.snapshot()), "ING040", OFFICE)
    assert "X-Forwarded-For" in found.message
    assert "trustedIPs" in found.fix


@pytest.mark.parametrize("status", [404, 418])
def test_an_allow_list_with_a_status_of_its_own(status: int) -> None:
    spec = {"ipAllowList": {**LIST["ipAllowList"], "rejectStatusCode": status}}
    report = replay(
        refused(spec, status, {404: "Not Found", 418: "I'm a teapot"}[status]).snapshot()
    )
    assert report.verdict is Verdict.BROKEN
    root(report, "ING040", OFFICE)


def test_a_limit_that_some_requests_meet() -> None:
    edit = through({"rateLimit": {"average": 1}})
    say(edit, 429, "Too Many Requests", only=1, retry_after="1")
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.DEGRADED
    found = root(report, "ING040", OFFICE)
    assert found.share == 0.5
    assert "average and burst" in found.fix


def test_of_two_that_may_have_answered_the_route_is_named() -> None:
    edit = refused({"chain": {"middlewares": [{"name": "a"}, {"name": "b"}]}})
    edit.add("middlewares", "Middleware", "a", LIST)
    edit.add("middlewares", "Middleware", "b", {"ipWhiteList": LIST["ipAllowList"]})
    edit.add("middlewares", "Middleware", "c", LIST)
    found = root(replay(edit.snapshot()), "ING040", INGRESS)
    assert "default/a, default/b" in found.message


def test_a_list_of_the_file_provider_is_known_by_the_api() -> None:
    edit = Edit()
    edit.annotate(router__middlewares="office@file")
    edit.arguments("--providers.file.directory=/etc/traefik/dynamic")
    edit.no_other_scheme()
    for replica in edit.replicas:
        own = {"name": "office@file", "provider": "file", "status": "enabled"}
        replica["middlewares"] = collected([{**own, "type": "ipallowlist"}])
    healthy(edit)
    say(edit, 403, "Forbidden")
    root(replay(edit.snapshot()), "ING040", "Middleware office@file")


def test_a_list_of_the_entry_point() -> None:
    edit = Edit()
    edit.add("middlewares", "Middleware", "office", LIST)
    edit.arguments("--entryPoints.websecure.http.middlewares=default-office@kubernetescrd")
    edit.no_other_scheme()
    healthy(edit)
    say(edit, 403, "Forbidden")
    root(replay(edit.snapshot()), "ING040", OFFICE)


# --- who asks for credentials


def test_a_password_that_is_asked_for_is_an_information() -> None:
    edit = through({"basicAuth": {"secret": "users"}})
    edit.data["kube"]["objects"]["secrets@default/users"] = collected(
        {"kind": "Secret", "metadata": {"name": "users", "namespace": "default"}}
    )
    edit.answer(401, "401 Unauthorized\n", www_authenticate='Basic realm="traefik"')
    assert f"ING041 {OFFICE}" in healthy(edit)


@pytest.mark.parametrize("kind", ["forwardAuth", "plugin"])
def test_whom_an_authentication_service_refuses(kind: str) -> None:
    spec = {"forwardAuth": {"address": "https://auth.example.org/"}, "plugin": {"waf": {}}}
    edit = through({kind: spec[kind]})
    edit.arguments("--experimental.plugins.waf.modulename=example.com/waf")
    edit.answer(403, '{"error": "no access"}', content_type="application/json")
    assert "authentication service" in root(replay(edit.snapshot()), "ING040", OFFICE).fix
    edit.answer(401, '{"error": "login"}', content_type="application/json")
    assert f"ING041 {OFFICE}" in healthy(edit)


# --- the application's own, and what was named


@pytest.mark.parametrize("status", [401, 403, 405, 429])
def test_what_the_application_itself_refuses_is_as_expected(status: int) -> None:
    edit = through({"forwardAuth": {"address": "https://auth.example.org/"}})
    edit.answer(status, "no", hops=("client", "node", "traefik-pod", "pod"), server="gunicorn")
    assert not [one for one in healthy(edit) if one.startswith("ING04")]


def test_the_access_log_shows_that_the_application_refuses() -> None:
    edit = through({"forwardAuth": {"address": "https://auth.example.org/"}})
    edit.answer(403, "not you", server="gunicorn")
    access(edit, 403, RouterName="websecure-default-my-app@kubernetes", OriginStatus="403")
    healthy(edit)


def test_traefik_2_gives_its_words_a_type() -> None:
    edit = through(LIST)
    edit.answer(403, "Forbidden")
    edit.without_pods()
    root(replay(edit.snapshot()), "ING040", OFFICE)
    edit.one("middlewares", "office")["spec"] = {"compress": {}}
    healthy(edit)


def test_an_access_log_without_the_origins_status_tells_nothing() -> None:
    edit = through({"forwardAuth": {"address": "https://auth.example.org/"}})
    edit.without_pods()
    edit.answer(403, "no", server="gunicorn")
    access(edit, 403, RouterName="websecure-default-my-app@kubernetes")
    healthy(edit)


def test_without_a_middleware_that_could_a_403_is_the_applications() -> None:
    edit = through({"compress": {}})
    edit.answer(403, "Forbidden", server="gunicorn")
    healthy(edit)


def test_a_status_that_was_named_is_a_success_whoever_gave_it() -> None:
    edit = refused(LIST)
    edit.target["expect_status"] = "200-399,403"
    healthy(edit)


def test_a_refusal_whose_middleware_is_not_seen_accuses_nobody() -> None:
    edit = refused(LIST)
    edit.lists["middlewares"] = {"value": None, "why": "denied"}
    report = replay(edit.snapshot())
    assert (report.verdict, report.root_causes) == (Verdict.BROKEN, ())
    assert "from a middleware of Traefik" in report.headline


# --- in front of Traefik


def test_what_the_load_balancer_refuses_is_its_listeners() -> None:
    edit = Edit()
    alb(edit)
    edit.no_other_scheme()
    edit.answer(403, "<html>403 Forbidden</html>", hops=("client",), server="awselb/2.0")
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.BROKEN
    assert "Listener myapp-nlb:443" in {str(one.object) for one in report.root_causes}


def test_a_load_balancer_that_asks_for_a_login() -> None:
    edit = Edit()
    alb(edit)
    edit.no_other_scheme()
    listener = edit.listener()
    login = {"Type": "authenticate-oidc", "Order": 1}
    actions = [login, *({**one, "Order": 2} for one in listener["DefaultActions"])]
    listener["DefaultActions"] = actions
    rule = {"Priority": "default", "IsDefault": True, "Conditions": [], "Actions": actions}
    edit.aws["rules"] = {listener["ListenerArn"]: collected([rule])}
    edit.answer(401, "<html>401</html>", hops=("client",), server="awselb/2.0")
    healthy(edit)


def test_a_redirect_of_what_is_https_already() -> None:
    edit = Edit()
    alb(edit)
    edit.arguments("--entryPoints.web.http.redirections.entryPoint.to=websecure")
    edit.no_other_scheme()
    say(edit, 418, "")
    report = replay(edit.snapshot())
    found = root(report, "SVC040", "Deployment api-gateway-system/traefik", Step.TRAEFIK_SERVICE)
    assert "redirections" in found.fix
    assert all(str(one.object) != APP for step in report.steps for one in step.findings)


# --- redirects: the URL that failed


def redirected(spec: dict, location: str, asked: str = "/jenkins") -> Edit:
    edit = through(spec, "strip")
    edit.target |= {"path": asked, "path_asked": True}
    for probe in edit.probes("client"):
        first = probe["exchanges"][0]
        first["url"] = f"https://myapp.example.com{asked}"
        first |= {"status": 302, "headers": [["location", location], ["server", "jetty"]]}
        last = copy.deepcopy(first)
        last |= {"url": f"https://myapp.example.com{location}", "status": 404}
        last |= {"body": "404 page not found\n", "body_bytes": 19}
        last["headers"] = [["x-content-type-options", "nosniff"]]
        probe["exchanges"] = [first, last]
    return edit


STRIP = {"stripPrefix": {"prefixes": ["/jenkins"]}}


@pytest.mark.parametrize(
    "spec", [STRIP, {"replacePathRegex": {"regex": "^/jenkins/(.*)", "replacement": "/$1"}}]
)
def test_a_prefix_that_the_application_does_not_know(spec: dict) -> None:
    report = replay(redirected(spec, "/login").snapshot())
    found = root(report, "REQ030", APP, Step.REQUEST)
    assert "https://myapp.example.com/login" in found.message
    assert "Middleware default/strip" in map(str, found.related)
    assert "/login" in report.headline
    (symptom,) = (f for s in report.steps for f in s.findings if f.code == "REQ009")
    assert "/login" in symptom.message
    assert symptom.caused_by


def test_a_login_that_no_route_serves() -> None:
    auth = {"forwardAuth": {"address": "https://auth.example.org/"}}
    edit = redirected(auth, "/oauth2/start", "/app")
    root(replay(edit.snapshot()), "REQ030", "Middleware default/strip", Step.REQUEST)


@pytest.mark.parametrize(("asked", "at"), [("/", INGRESS), ("/app", APP)])
def test_a_redirect_out_of_the_route(asked: str, at: str) -> None:
    edit = redirected({"compress": {}}, "/login", asked)
    edit.ingress["spec"]["rules"][0]["http"]["paths"][0] |= {"path": asked, "pathType": "Exact"}
    root(replay(edit.snapshot()), "REQ030", at, Step.REQUEST)


def test_a_redirect_within_the_prefix_is_fine() -> None:
    edit = redirected(STRIP, "/jenkins/login")
    for probe in edit.probes("client"):
        probe["exchanges"][-1] |= {"status": 200, "body": "login", "headers": []}
    healthy(edit)


# --- certificates that programs refuse


LETS = "CN=R11,O=Let's Encrypt,C=US"
CORP = "CN=Corp CA,O=Example Corp"


@pytest.mark.parametrize(
    ("issuer", "code", "ca_file", "variant", "verdict"),
    [
        (LETS, 20, False, "incomplete", Verdict.DEGRADED),
        (CORP, 20, True, "incomplete", Verdict.DEGRADED),
        ("CN=(STAGING) Wannabe Watercress R11,O=(STAGING) Let's Encrypt,C=US", 20, False,
         "authority", Verdict.BROKEN),
        (CORP, 19, True, "authority", Verdict.BROKEN),
        (CORP, 20, False, None, Verdict.HEALTHY),
    ],
)  # fmt: skip
def test_a_certificate_that_is_not_trusted(
    issuer: str, code: int, ca_file: bool, variant: str | None, verdict: Verdict
) -> None:
    edit = Edit()
    edit.certificate(issuer=issuer)
    edit.unverified(code, "unable to get local issuer certificate")
    edit.http["ca_file"] = ca_file
    edit.no_other_scheme()
    report = replay(edit.snapshot())
    assert report.verdict is verdict
    if variant is None:
        assert report.root_causes == ()
        return
    found = root(report, "REQ006", "Secret default/myapp-tls", Step.REQUEST)
    assert found.params["variant"] == variant


def test_a_chain_that_does_not_hang_together() -> None:
    edit = Edit()
    edit.certificate(issuer=CORP)
    edit.unverified(20, "unable to get local issuer certificate")
    for probe in edit.probes("client", "node", "traefik-pod"):
        for exchange in probe["exchanges"]:
            if exchange["tls"]:
                other = {**exchange["tls"]["chain"][0], "subject": "CN=another CA", "names": []}
                exchange["tls"]["chain"].append(other)
    root(replay(edit.snapshot()), "REQ006", "Secret default/myapp-tls", Step.REQUEST)


def test_old_evidence_says_nothing_of_a_ca_file() -> None:
    snapshot = Edit().snapshot()
    assert not snapshot.http.ca_file
    assert msgspec.structs.replace(snapshot.http, ca_file=True).ca_file


def test_a_listener_whose_certificate_lacks_its_chain() -> None:
    edit = Edit()
    alb(edit)
    edit.certificate(issuer=LETS)
    edit.unverified(20, "unable to get local issuer certificate")
    edit.no_other_scheme()
    root(replay(edit.snapshot()), "TGT008", "Listener myapp-nlb:443", Step.TARGET_HEALTH)


def test_a_host_that_the_headers_middleware_does_not_allow() -> None:
    """As the real Traefik 3.7.15 answers: 500 "Bad Host"."""
    edit = refused({"headers": {"allowedHosts": ["old.example.com"]}}, 500, "Bad Host\n")
    found = root(replay(edit.snapshot()), "ING014", OFFICE)
    assert "Add myapp.example.com to headers.allowedHosts" in found.fix
    # Hosts are the same whatever their case: then the words are the application's own.
    edit = refused({"headers": {"allowedHosts": ["MyApp.example.com"]}}, 500, "Bad Host\n")
    assert "ING014" not in {one.code for one in replay(edit.snapshot()).root_causes}
    assert healthy(through({"headers": {"allowedHosts": ["myapp.example.com"]}})) == []
