"""Whose the targets are: an ALB behind an NLB, other pods of the cluster, nodes kept off."""

import json
from typing import Any

import msgspec
import pytest

from hopcheck.behaviour.aws.loadbalancer import admits
from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Severity, Status, Step, Verdict
from tests.recorded import set_up
from tests.steps.edits import Edit

EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
GROUP = "TargetGroup myapp-websecure"
BEHIND = "TargetGroup alb-443"
ALB = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/app"


class Behind(Edit):
    """The recorded set-up of an ALB behind an NLB."""

    def __init__(self) -> None:
        super().__init__()
        self.data = json.loads(msgspec.json.encode(set_up("alb-behind-nlb")))
        self.dns, self.aws, self.http = self.data["dns"], self.data["aws"], self.data["http"]
        self.lists, self.target = self.data["kube"]["lists"], self.data["target"]
        self.replicas = self.data["traefik"]["replicas"]

    @property
    def described(self) -> dict[str, Any]:
        return self.health("alb-443")[0]

    def unhealthy(self) -> None:
        state = {"State": "unhealthy", "Reason": "Target.FailedHealthChecks", "Description": ""}
        self.described["TargetHealth"] = state

    def answers(self, *rules: dict[str, Any]) -> None:
        """The rules of the ALB's HTTPS listener; the default one last."""
        (arn,) = (
            one["ListenerArn"]
            for listed in self.aws["listeners"].values()
            for one in listed["value"]
            if one["Protocol"] == "HTTPS"
        )
        self.aws["rules"][arn]["value"] = [
            {"Priority": "default", "IsDefault": True, **rule}
            if rule is rules[-1]
            else {"Priority": "1", **rule}
            for rule in rules
        ]


def fixed(status: int) -> dict[str, Any]:
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": str(status)}}
    return {"Actions": [action]}


def fails(e: Edit) -> None:
    e.fail("reset", "connection reset", phase="first_byte")
    e.no_other_scheme()


def roots(e: Edit) -> list[tuple[str, str]]:
    """The root causes, all of step 2."""
    report = replay(e.snapshot())
    own = next(s for s in report.steps if s.step is Step.TARGET_HEALTH).findings
    assert all(cause in own for cause in report.root_causes)
    return [(f.code, str(f.object)) for f in report.root_causes]


def loud(e: Edit) -> list[str]:
    every = [f for step in replay(e.snapshot()).steps for f in step.findings]
    return [f.code for f in every if f.severity is not Severity.INFO]


def one(e: Edit, code: str) -> Finding:
    (found,) = [f for s in replay(e.snapshot()).steps for f in s.findings if f.code == code]
    return found


# --- an ALB that is gone


def gone(arn: str = f"{ALB}/former/0123456789abcdef") -> Behind:
    e = Behind()
    e.described["Target"]["Id"] = arn
    e.unhealthy()
    fails(e)
    return e


def test_a_target_that_is_no_load_balancer_of_the_account() -> None:
    e = gone()
    assert roots(e) == [("TGT019", BEHIND)]
    assert "former" in one(e, "TGT019").message
    assert "myapp-alb" in one(e, "TGT019").fix
    caused = {f.code for s in replay(e.snapshot()).steps for f in s.findings if f.caused_by}
    assert caused == {"TGT017", "TGT020", "REQ008"}


def test_it_is_gone_before_aws_finds_it_unhealthy() -> None:
    e = gone()
    e.described["TargetHealth"] = {"State": "initial", "Reason": "Elb.InitialHealthChecking"}
    assert roots(e) == [("TGT019", BEHIND)]


@pytest.mark.parametrize(
    "arn",
    [
        f"{ALB}/former/0123456789abcdef".replace("123456789012", "210987654321"),
        f"{ALB}/former/0123456789abcdef".replace("ap-northeast-2", "us-east-1"),
        Behind().health("alb-443")[0]["Target"]["Id"],
    ],
    ids=["account", "region", "there"],
)
def test_a_load_balancer_that_may_be_there(arn: str) -> None:
    assert "TGT019" not in loud(gone(arn))


def test_a_list_that_was_not_seen_whole() -> None:
    e = gone()
    e.aws["load_balancers"]["truncated"] = True
    assert "TGT019" not in loud(e)


def test_the_load_balancer_behind_is_there() -> None:
    assert loud(Behind()) == []


# --- its health


def checked(*rules: dict[str, Any], matcher: str = "200-399") -> Behind:
    e = Behind()
    e.unhealthy()
    e.group("alb-443")["Matcher"] = {"HttpCode": matcher}
    e.answers(*rules)
    return e


@pytest.mark.parametrize("status", [404, 403, 503])
def test_the_default_action_answers_the_check(status: int) -> None:
    e = checked(fixed(status))
    assert roots(e) == [("TGT016", BEHIND)]
    assert replay(e.snapshot()).verdict is Verdict.DEGRADED
    assert f"admit {status}" in one(e, "TGT016").fix
    assert "myapp-alb" in one(e, "TGT016").message


@pytest.mark.parametrize(("matcher", "said"), [("200", "TGT016"), ("200-399", "TGT017")])
def test_a_redirect_answers_the_check(matcher: str, said: str) -> None:
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    e = checked({"Actions": [{"Type": "redirect", "RedirectConfig": redirect}]}, matcher=matcher)
    assert roots(e) == [(said, BEHIND)]
    assert ("admit 301" in one(e, said).fix) is (said == "TGT016")


def test_a_rule_for_the_path_answers_the_check_and_one_for_a_host_does_not() -> None:
    path = {"Conditions": [{"Field": "path-pattern", "Values": ["/"]}], **fixed(410)}
    host = {"Conditions": [{"Field": "host-header", "Values": ["*.example.com"]}], **fixed(410)}
    assert "410" in one(checked(path, fixed(404)), "TGT016").message
    assert "404" in one(checked(host, fixed(404)), "TGT016").message


@pytest.mark.parametrize("kind", ["it forwards", "the answer is admitted", "rules not read"])
def test_what_the_check_meets_cannot_be_told(kind: str) -> None:
    e = checked(fixed(404), matcher="200-499" if kind == "the answer is admitted" else "200-399")
    if kind == "it forwards":
        e.answers({"Actions": [{"Type": "forward", "TargetGroupArn": "arn:any"}]})
    if kind == "rules not read":
        e.aws["rules"] = {}
    assert roots(e) == [("TGT017", BEHIND)]
    assert "Application Load Balancer" in one(e, "TGT017").message


def test_the_health_of_a_load_balancer_behind_that_was_not_told_is_a_gap() -> None:
    e = Behind()
    arn = e.group("alb-443")["TargetGroupArn"]
    e.aws["target_health"][arn] = {"value": None, "why": "denied"}
    step = replay(e.snapshot()).steps[1]
    assert step.status is Status.UNKNOWN
    assert "alb-443" in (step.reason or "")


@pytest.mark.parametrize(
    ("matcher", "status", "admitted"),
    [("200", 200, True), ("200", 204, False), ("200-399", 301, True), ("200,404", 404, True),
     ("200-299, 404", 403, False), ("", 200, False)],
)  # fmt: skip
def test_a_matcher_admits(matcher: str, status: int, admitted: bool) -> None:
    assert admits(matcher, str(status)) is admitted


# --- pods of another Service


def registered(*pods: dict[str, Any], state: str = "healthy") -> Edit:
    """The group of 443 holds these pods."""
    e = Edit()
    e.group()["TargetType"] = "ip"
    e.health()[:] = [
        {
            "Target": {"Id": pod["status"]["podIP"], "Port": 8443},
            "TargetHealth": {"State": state},
        }
        for pod in pods
    ]
    return e


def test_all_targets_are_pods_of_the_application() -> None:
    e = registered(*Edit().app_pods)
    fails(e)
    found = one(e, "TGT019")
    assert roots(e) == [("TGT019", GROUP)]
    assert Edit().app_pods[0]["metadata"]["name"] in found.message
    assert "Service default/my-app-service" in found.fix
    assert "TGT009" not in loud(e)


@pytest.mark.parametrize("state", ["healthy", "unhealthy"])
def test_a_pod_of_the_application_among_traefiks(state: str) -> None:
    e = registered(*Edit().traefik_pods, *Edit().app_pods[:1])
    e.health()[-1]["TargetHealth"] = {"State": state}
    e.fail("reset", "connection reset", phase="first_byte", only=1)
    assert ("TGT019", GROUP) in roots(e)
    assert one(e, "TGT019").share == pytest.approx(1 / len(e.health()))


def test_pods_of_another_service_of_the_cluster_and_of_none() -> None:
    e = Edit()
    e.second_application("landing")
    pod = e.app_pods[-1]
    told = registered(pod)
    told.second_application("landing")
    fails(told)
    assert roots(told) == [("TGT019", GROUP)]
    assert "Service default/landing" in one(told, "TGT019").message
    services = told.lists["services"]["value"]
    told.lists["services"]["value"] = [s for s in services if s["metadata"]["name"] != "landing"]
    assert "default/landing" in one(told, "TGT019").message


def test_proxies_before_traefik_are_let_be() -> None:
    e = registered(*Edit().app_pods)
    assert "TGT019" not in loud(e)  # every request succeeds
    e.traefik_404()
    assert not {"TGT009", "TGT019"} & {*loud(e)}


def test_a_pod_that_has_ended_lends_its_address_to_nobody() -> None:
    e = registered(*Edit().app_pods)
    fails(e)
    for pod in e.app_pods:
        pod["status"]["phase"] = "Failed"
    assert "TGT019" not in loud(e)


def test_traefiks_own_pods_are_the_targets() -> None:
    assert loud(registered(*Edit().traefik_pods)) == []


# --- nodes that a label keeps off


def labelled(*labels: str, last: int = 99) -> Edit:
    e = Edit()
    for node in e.items("nodes")[-last:]:
        node["metadata"]["labels"] |= dict.fromkeys(labels, "")
    return e


def test_no_node_may_be_registered() -> None:
    e = labelled(EXCLUDE)
    e.health().clear()
    fails(e)
    assert roots(e) == [("TGT010", GROUP)]
    assert EXCLUDE in one(e, "TGT010").fix
    assert "Register the nodes" not in one(e, "TGT010").fix


def test_they_are_on_their_way_out() -> None:
    e = labelled(EXCLUDE)
    e.set_health("draining", "Target.DeregistrationInProgress")
    fails(e)
    assert roots(e) == [("TGT010", GROUP)]
    assert EXCLUDE in one(e, "TGT010").fix


def test_the_other_nodes_are_control_planes() -> None:
    e = labelled(EXCLUDE, last=1)
    for node in e.items("nodes")[:-1]:
        node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = ""
    e.health().clear()
    fails(e)
    assert EXCLUDE in one(e, "TGT010").fix


@pytest.mark.parametrize("kind", ["a node is free", "no label", "ip", "not seen"])
def test_the_label_is_not_why(kind: str) -> None:
    e = labelled(EXCLUDE, last=1 if kind == "a node is free" else 99)
    if kind == "no label":
        e = labelled("node-role.kubernetes.io/control-plane")
    if kind == "ip":
        e.group()["TargetType"] = "ip"
    if kind == "not seen":
        e.lists["nodes"] = {"value": None, "why": "denied"}
    e.health().clear()
    fails(e)
    assert ("TGT010", GROUP) in roots(e)
    assert EXCLUDE not in one(e, "TGT010").fix


def test_labelled_nodes_that_are_registered_all_the_same() -> None:
    e = labelled(EXCLUDE)
    assert loud(e) == []
