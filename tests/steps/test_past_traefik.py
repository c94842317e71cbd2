"""What answers in Traefik's stead, or tells it the wrong scheme: who it is, and what mends it."""

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Finding
from tests.steps.edits import Edit


def one(e: Edit, code: str) -> Finding:
    found = [f for s in replay(e.snapshot()).steps for f in s.findings if f.code == code]
    assert len(found) == 1, [f.code for f in found]
    return found[0]


def roots(e: Edit) -> list[tuple[str, str]]:
    return [(f.code, str(f.object)) for f in replay(e.snapshot()).root_causes]


# --- a rule of the listener before the one that leads to Traefik


def past(status: int, pods: int = 200) -> Edit:
    """Rule 5 leads to another application, which answers so; the default action to Traefik."""
    e = Edit("alb-rule-elsewhere")
    e.target |= {"path_asked": True}
    e.answer(status, "other\n", hops=("client",))
    e.answer(pods, "own\n", hops=("pod",))
    return e


def test_a_rule_before_traefiks_that_answers_otherwise_than_the_pods() -> None:
    e = past(404)
    assert roots(e) == [("TGT009", "Listener myapp-nlb:443")]
    found = one(e, "TGT009")
    assert "by its rule 5" in found.message
    assert "Rule default" in found.message


@pytest.mark.parametrize(("status", "pods"), [(200, 200), (404, 404)])
def test_a_rule_past_traefik_may_be_meant(status: int, pods: int) -> None:
    report = replay(past(status, pods).snapshot())
    assert "TGT009" not in {f.code for step in report.steps for f in step.findings}


# --- a 404 at a path that nobody asked for


def default_404(pods: int) -> Edit:
    e = Edit()
    e.answer(404, "not here\n", hops=("client",), only=1)
    e.answer(pods, "own\n", hops=("pod",))
    return e


def test_a_404_at_the_default_path_that_the_pods_contradict_is_no_applications() -> None:
    e = default_404(200)
    assert replay(e.snapshot()).verdict == "degraded"
    assert "asked directly" in one(e, "REQ014").message
    assert replay(default_404(404).snapshot()).verdict == "healthy"


def test_a_middleware_may_have_changed_what_the_application_was_asked() -> None:
    e = default_404(200)
    e.add("middlewares", "Middleware", "api", {"addPrefix": {"prefix": "/api"}})
    e.annotate(router__middlewares="default-api@kubernetescrd")
    assert replay(e.snapshot()).verdict == "healthy"


# --- an ALB's own 403


def refused(rule: bool) -> Edit:
    e = Edit("alb-rule-elsewhere")
    e.answer(403, "<html>", hops=("client",), server="awselb/2.0")
    listener = e.listener(443)["ListenerArn"]
    rules = e.aws["rules"][listener]["value"]
    rules[:] = [one for one in rules if one.get("IsDefault")]
    if rule:
        fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "403"}}
        rules[0]["Actions"] = [fixed]
    return e


def test_a_403_that_no_rule_gives_is_the_firewalls() -> None:
    found = one(refused(rule=False), "REQ010")
    assert "AWS WAF" in found.fix
    assert "health" not in found.fix


def test_a_403_that_a_rule_gives_is_the_rules() -> None:
    assert ("TGT009", "Listener myapp-nlb:443") in roots(refused(rule=True))


# --- TLS ends before Traefik


@pytest.mark.parametrize(("protocol", "trust"), [("HTTPS", True), ("TCP", False)])
def test_a_scheme_redirect_needs_a_trusted_header_where_one_is_sent(
    protocol: str, trust: bool
) -> None:
    e = Edit("ing-mw-redirect-loop")
    for middleware in e.items("middlewares"):
        middleware["spec"] = {"redirectScheme": {"scheme": "https"}}
    e.lb["Type"] = "application" if trust else "network"
    e.listener(443)["Protocol"] = protocol
    e.arguments("--entryPoints.web.http.redirections", without="--entryPoints.web.http")
    fix = one(e, "ING014").fix
    assert ("trust the X-Forwarded-Proto of the load balancer" in fix) == trust
    assert "must not" not in fix


def test_a_listener_for_http_redirects_where_tls_ends_at_the_load_balancer() -> None:
    e = Edit()
    e.lb["Type"] = "application"
    e.listener(443)["Protocol"] = "HTTPS"
    e.only_http()
    listeners = e.aws["listeners"][e.lb["LoadBalancerArn"]]["value"]
    listeners[:] = [one for one in listeners if one["Port"] == 443]
    e.fail("refused", "connection refused")
    e.only_pods()
    assert "redirects to https" in one(e, "TGT002").fix
