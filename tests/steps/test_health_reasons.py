"""AWS's reason decides: health checks, instances that are gone, closed ports."""

from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Severity
from tests.steps.edits import Edit, collected
from tests.steps.test_security_groups import group, rule, silent

GROUP = "TargetGroup myapp-websecure"
CODES = "Health checks failed with these codes: [{}]"


def roots(e: Edit) -> list[tuple[str, str]]:
    return [(f.code, str(f.object)) for f in replay(e.snapshot()).root_causes]


def one(e: Edit, code: str) -> Finding:
    (found,) = [f for s in replay(e.snapshot()).steps for f in s.findings if f.code == code]
    return found


def checks(e: Edit, reason: str, description: str = "", **check: str) -> Edit:
    """All targets are unhealthy for that reason."""
    e.group().update({"HealthCheckProtocol": "HTTP", "HealthCheckPath": "/", **check})
    e.set_health("unhealthy", reason, description)
    return e


def without_ping() -> Edit:
    e = Edit()
    e.arguments(without="--ping")
    return e


def alb(e: Edit) -> Edit:
    e.lb["Type"] = "application"
    return e


@pytest.mark.parametrize("reason", ["Target.Timeout", "Elb.InternalError"])
def test_an_answer_that_nobody_saw_is_not_claimed(reason: str) -> None:
    assert roots(checks(alb(Edit()), reason)) in ([("TGT017", GROUP)], [])
    assert "404" not in one(checks(alb(Edit()), reason), "TGT017").message


def test_a_network_load_balancer_names_no_answer() -> None:
    found = one(checks(without_ping(), "Target.FailedHealthChecks"), "TGT016")
    assert "404" not in found.message
    assert "TCP" in found.fix


def test_a_fault_behind_the_check_is_not_to_be_taken_for_health() -> None:
    e = checks(alb(without_ping()), "Target.ResponseCodeMismatch", CODES.format(503))
    assert roots(e) == [("TGT016", GROUP)]
    found = one(e, "TGT016")
    assert "503" in found.message
    assert "matcher" not in found.fix
    assert "TCP" not in found.fix


def test_a_redirect_that_the_matcher_may_admit() -> None:
    e = checks(alb(without_ping()), "Target.ResponseCodeMismatch", CODES.format(308))
    assert "admit 308" in one(e, "TGT016").fix


def test_a_check_over_http_on_a_port_of_nobody_is_told_the_port_of_ping() -> None:
    e = checks(
        Edit(), "Target.FailedHealthChecks", HealthCheckPort="30998", HealthCheckPath="/ping"
    )
    found = one(e, "TGT015")
    assert roots(e) == [("TGT015", GROUP)]
    assert "30900" in found.fix


# --- instances that are gone


def gone(*, replaced: bool) -> Edit:
    e = Edit()
    e.set_health("unused", "Target.InvalidState", "Target is in the terminated state")
    if replaced:
        for number, node in enumerate(e.items("nodes")):
            node["spec"]["providerID"] = f"aws:///ap-northeast-2a/i-0b2c3d4e5f6a7000{number}"
    e.time_out()
    e.no_other_scheme()
    return e


def test_the_nodes_of_today_are_named_in_place_of_the_instances_that_are_gone() -> None:
    e = gone(replaced=True)
    assert roots(e) == [("TGT012", GROUP)]
    found = one(e, "TGT012")
    assert "i-0b2c3d4e5f6a70001" in found.fix
    assert "30001" in found.fix
    assert "terminated" in found.actual


def test_instances_that_stopped_are_the_nodes_of_today() -> None:
    e = gone(replaced=False)
    assert roots(e) == [("TGT012", GROUP)]
    assert "start the instance" in one(e, "TGT012").fix


# --- closed ports


def closed(*rules: dict[str, Any], reason: str = "Target.FailedHealthChecks") -> Edit:
    e = silent()
    e.set_health("unhealthy", reason)
    group(e, "nodes")["IpPermissions"] = list(rules)
    return e


def of_group(port: int, name: str = "sg-0other") -> dict[str, Any]:
    return rule(port, port, UserIdGroupPairs=[{"GroupId": name}])


def nodes(e: Edit) -> tuple[str, str]:
    held = e.aws["instances"]["value"][0]["SecurityGroups"]
    return "TGT007", f"SecurityGroup {held[0]['GroupId']}"


def test_the_nodes_admit_another_group_than_the_load_balancer_has() -> None:
    e = closed(of_group(30001))
    assert roots(e) == [nodes(e)]
    assert e.lb["SecurityGroups"][0] in one(e, "TGT007").fix


def test_no_group_admits_a_load_balancer_without_groups() -> None:
    e = closed(of_group(30001))
    e.lb["SecurityGroups"] = []
    assert roots(e) == [nodes(e)]


def test_an_application_load_balancer_whose_groups_are_not_told() -> None:
    e = alb(closed(of_group(30001)))
    e.lb["SecurityGroups"] = []
    assert nodes(e) not in roots(e)


@pytest.mark.parametrize("reason", ["Target.ResponseCodeMismatch", "Elb.InternalError"])
def test_an_answer_has_been_let_through(reason: str) -> None:
    e = closed(of_group(30001), reason=reason)
    assert nodes(e) not in roots(e)


def test_the_check_of_policy_local_has_a_port_of_its_own() -> None:
    e = closed(rule(30001, 30001, "0.0.0.0/0"))
    e.traefik_service["spec"] |= {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31958}
    e.group()["HealthCheckPort"] = "31958"
    for described in e.health():
        described["HealthCheckPort"] = "31958"
    assert nodes(e) in roots(e)
    assert "31958" in one(e, "TGT007").message


def to_pods(e: Edit) -> Edit:
    """Pods are the targets, on a node whose instance is known; nobody asks them."""
    first = e.aws["instances"]["value"][0]
    e.group()["TargetType"] = "ip"
    described = e.health()[0]
    e.health()[:] = [
        {**described, "Target": {"Id": pod["status"]["podIP"], "Port": 8443},
         "HealthCheckPort": "8443"} for pod in e.traefik_pods
    ]  # fmt: skip
    for pod in e.traefik_pods:
        node = e.one("nodes", pod["spec"]["nodeName"])
        address = next(a for a in node["status"]["addresses"] if a["type"] == "InternalIP")
        pod["status"]["hostIP"] = address["address"]
        node["spec"]["providerID"] = f"aws:///{first['InstanceId']}"
    return e


def interfaces(e: Edit, group: str) -> Edit:
    """What was read of the network interfaces with the targets' addresses."""
    e.aws["network_interfaces"] = collected(
        [
            {"NetworkInterfaceId": f"eni-0{number}", "PrivateIpAddress": described["Target"]["Id"],
             "Groups": [{"GroupId": group}]}
            for number, described in enumerate(e.health())
        ]
    )  # fmt: skip
    return e


def test_the_group_of_the_node_is_the_pods() -> None:
    e = to_pods(closed(rule(30000, 32767, "0.0.0.0/0")))
    interfaces(e, nodes(e)[1].partition(" ")[2])
    assert roots(e) == [nodes(e)]
    assert "8443" in one(e, "TGT007").message
    assert "nodes" in one(e, "TGT007").message


def test_the_group_of_the_node_admits_the_pods_port() -> None:
    e = to_pods(closed(rule(8443, 8443, "0.0.0.0/0")))
    assert nodes(e) not in roots(e)


def test_the_group_of_the_pods_own_interface_is_judged_and_not_the_nodes() -> None:
    e = interfaces(to_pods(closed(rule(30000, 32767, "0.0.0.0/0"))), "sg-0pods")
    groups = e.aws["security_groups"]["value"]
    groups.append({"GroupId": "sg-0pods", "IpPermissions": [of_group(8443, "sg-0pods")]})
    assert roots(e) == [("TGT007", "SecurityGroup sg-0pods")]
    assert "--group-id sg-0pods" in one(e, "TGT007").fix_commands[0]
    groups[-1]["IpPermissions"] = [of_group(8443, e.lb["SecurityGroups"][0])]
    assert all(code != "TGT007" for code, _ in roots(e))


@pytest.mark.parametrize("why", ["denied", "not_needed"])
def test_without_the_pods_interface_the_nodes_group_is_named_with_reserve(why: str) -> None:
    e = to_pods(closed(rule(30000, 32767, "0.0.0.0/0")))
    e.aws["network_interfaces"] = {"why": why, "source": "edited"}
    found = one(e, "TGT007")
    assert (found.severity, found.fix_commands) == (Severity.WARNING, ())
    assert e.health()[0]["Target"]["Id"] in found.commands[0]
    assert nodes(e) not in roots(e)


def test_a_pod_with_an_interface_of_its_own_has_groups_of_its_own() -> None:
    e = to_pods(closed(rule(30000, 32767, "0.0.0.0/0")))
    for pod in e.traefik_pods:
        pod["metadata"].setdefault("annotations", {})["vpc.amazonaws.com/pod-eni"] = "[{}]"
    assert nodes(e) not in roots(e)


# --- whether it is the check at all


def checked(matcher: str, *healthy: int) -> Edit:
    """An HTTP check of /, of which AWS tells no answer; some targets pass it."""
    e = Edit()
    e.group().update(HealthCheckProtocol="HTTP", HealthCheckPath="/", Matcher={"HttpCode": matcher})
    for number, described in enumerate(e.health()):
        if number not in healthy:
            reason = "Target.FailedHealthChecks"
            described["TargetHealth"] = {"State": "unhealthy", "Reason": reason}
    return e


@pytest.mark.parametrize(
    ("matcher", "healthy", "told"),
    [("200-399", (), True), ("200-404", (), False), ("200-399", (0,), False)],
    ids=["unwanted", "admitted", "passed-by-another"],
)
def test_a_check_is_wrong_only_where_nothing_says_that_it_is_right(
    matcher: str, healthy: tuple[int, ...], told: bool
) -> None:
    report = replay(checked(matcher, *healthy).snapshot())
    assert ("TGT016" in {f.code for s in report.steps for f in s.findings}) == told


# --- one fault, one root cause


def test_a_redirect_to_a_listener_that_is_not_there() -> None:
    e = Edit()
    e.lb["Type"] = "application"
    listeners = e.aws["listeners"][e.lb["LoadBalancerArn"]]["value"]
    listeners[:] = [one for one in listeners if one["Port"] == 80]
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    actions = [{"Type": "redirect", "RedirectConfig": redirect}]
    listeners[0] |= {"Protocol": "HTTP", "DefaultActions": actions}
    default = {"RuleArn": "arn:r", "Priority": "default", "IsDefault": True, "Actions": actions}
    e.aws["rules"][listeners[0]["ListenerArn"]] = {"value": [default], "source": "edited"}
    e.fail("refused", "connection refused")
    e.no_other_scheme()
    e.only_pods()
    assert roots(e) == [("TGT002", "Listener myapp-nlb:443")]
    assert "certificate for myapp.example.com" in one(e, "TGT002").fix
