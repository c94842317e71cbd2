"""Who did it where two could have: policies that nobody enforces, shares, standby replicas."""

import copy

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Severity, Step, Verdict
from hopcheck.report.evidence import load
from tests.recorded import SNAPSHOTS
from tests.steps.edits import TRAEFIK_NS, Edit

DENY = {"podSelector": {}, "policyTypes": ["Ingress"]}
EGRESS = {"podSelector": {}, "policyTypes": ["Egress"]}


def roots(report: Report) -> list[tuple[str, str, Step]]:
    return [(one.code, str(one.object), one.step) for one in report.root_causes]


def forbid(edit: Edit, spec: dict) -> None:
    edit.add(f"networkpolicies@{TRAEFIK_NS}", "NetworkPolicy", "deny", spec, TRAEFIK_NS)


def test_a_policy_on_traefik_that_is_not_enforced_is_not_accused() -> None:
    edit = Edit()
    forbid(edit, DENY)
    edit.time_out("client")
    edit.no_other_scheme()
    assert roots(replay(edit.snapshot())) == [
        ("TGT020", "LoadBalancer myapp-nlb", Step.TARGET_HEALTH)
    ]


def test_a_policy_on_traefik_where_nothing_gets_through() -> None:
    edit = Edit()
    forbid(edit, DENY)
    edit.time_out("client", "node", "traefik-pod")
    edit.set_health("unhealthy", "Target.FailedHealthChecks")
    edit.no_other_scheme()
    report = replay(edit.snapshot())
    assert roots(report) == [("SVC016", f"NetworkPolicy {TRAEFIK_NS}/deny", Step.TRAEFIK_SERVICE)]
    rule = {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}
    edit.items(f"networkpolicies@{TRAEFIK_NS}")[0]["spec"] = {**DENY, "ingress": [rule]}
    assert "SVC016" not in {code for code, _, _ in roots(replay(edit.snapshot()))}


def test_an_application_that_hangs_is_not_the_egress_policys() -> None:
    edit = Edit()
    forbid(edit, EGRESS)
    edit.fail("read_timeout", "no answer", "first_byte", ("client", "node", "traefik-pod", "pod"))
    edit.no_other_scheme()
    assert roots(replay(edit.snapshot())) == [
        ("REQ003", "Application default/my-app-service", Step.REQUEST)
    ]


def test_the_share_follows_the_weights() -> None:
    (root,) = replay(load(SNAPSHOTS / "ir-weighted-empty.json.gz")).root_causes
    assert (root.code, root.share) == ("END001", 0.2)


@pytest.mark.parametrize(("pods", "severity"), [(2, Severity.INFO), (3, Severity.WARNING)])
def test_a_standby_is_one_of_all_but_one(pods: int, severity: Severity) -> None:
    """Two ready pods and one that is not are no leader and its standbys."""
    edit = Edit()
    for number in range(2, pods):
        further = copy.deepcopy(edit.app_pods[0])
        further["metadata"]["name"] += f"-{number}"
        edit.app_pods.append(further)
    for pod in edit.app_pods:
        pod["metadata"]["creationTimestamp"] = "2020-02-25T03:00:00Z"
    edit.not_ready(edit.app_pods[1:2])
    edit.endpoints[1]["conditions"] = {"ready": False, "serving": False}
    report = replay(edit.snapshot())
    found = [f for step in report.steps for f in step.findings if f.code == "END006"]
    assert [(f.severity, str(f.object)) for f in found] == [(severity, "Deployment default/my-app")]
    assert report.verdict is Verdict.HEALTHY


def test_a_priority_on_purpose_is_accused_only_where_nothing_works() -> None:
    edit = Edit("ir-catch-all")
    assert roots(replay(edit.snapshot())) == [
        ("ING008", "IngressRoute default/landing", Step.INGRESS)
    ]
    edit.http = edit.data["http"] = Edit().data["http"]
    assert not [one for one in roots(replay(edit.snapshot())) if one[0] == "ING008"]


def test_what_a_rule_asks_is_accused_only_where_traefik_has_loaded_it() -> None:
    edit = Edit("ir-condition")
    assert roots(replay(edit.snapshot())) == [
        ("ING007", "IngressRoute default/my-app", Step.INGRESS)
    ]
    edit.unroute()
    assert "ING007" not in {code for code, _, _ in roots(replay(edit.snapshot()))}


def test_the_application_is_not_accused_of_what_a_middleware_may_have_answered() -> None:
    """Neither the access log nor the pods' own answers tell who gave the 503."""
    edit = Edit("ing-forwardauth-errs")
    edit.without_pods()
    for replica in edit.replicas:
        log = replica["log"]["value"]
        replica["log"]["value"] = [line for line in log if line["kind"] != "access"]
    assert roots(replay(edit.snapshot())) == []
    edit.one("middlewares", "auth")["spec"] = {"compress": {}}
    assert roots(replay(edit.snapshot())) == [
        ("REQ001", "Application default/my-app-service", Step.REQUEST)
    ]


def test_a_policy_on_the_pods_that_take_connections_is_not_accused() -> None:
    edit = Edit()
    edit.add("networkpolicies@default", "NetworkPolicy", "deny", DENY)
    edit.fail("read_timeout", "no answer", "first_byte", ("client", "node", "traefik-pod", "pod"))
    edit.no_other_scheme()
    assert roots(replay(edit.snapshot())) == [
        ("REQ003", "Application default/my-app-service", Step.REQUEST)
    ]


def test_a_loop_that_a_middleware_may_make_is_not_the_applications() -> None:
    edit = Edit("ing-mw-redirect-loop")
    edit.without_pods()
    for replica in edit.replicas:
        replica["log"]["value"] = []
    edit.lists["middlewares"] = {"why": "denied", "detail": "forbidden"}
    accused = [one.object.kind for one in replay(edit.snapshot()).root_causes]
    assert "Application" not in accused


def test_a_wait_is_not_the_applications_where_traefik_was_not_seen() -> None:
    edit = Edit("np-egress")
    edit.without_pods()
    edit.lists[f"pods@{TRAEFIK_NS}"] = {"why": "denied", "detail": "forbidden"}
    edit.lists["pods@default"] = {"why": "denied", "detail": "forbidden"}
    edit.replicas.clear()
    assert roots(replay(edit.snapshot())) == []
