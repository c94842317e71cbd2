"""Security groups: blamed where their rules decide, and nowhere else."""

from typing import Any

import pytest

from hopcheck.engine.replay import replay
from tests.steps.edits import Edit

ANYWHERE = "0.0.0.0/0"


def rule(low: int, high: int, *cidrs: str, **more: Any) -> dict[str, Any]:
    six = [{"CidrIpv6": c} for c in cidrs if ":" in c]
    four = [{"CidrIp": c} for c in cidrs if ":" not in c]
    return {"IpProtocol": "tcp", "FromPort": low, "ToPort": high, "IpRanges": four,
            "Ipv6Ranges": six, "UserIdGroupPairs": [], "PrefixListIds": [], **more}  # fmt: skip


def silent() -> Edit:
    """Every request times out, and nothing behind the load balancer was asked."""
    e = Edit()
    e.time_out()
    e.no_other_scheme()
    e.only_pods()
    return e


def group(e: Edit, which: str) -> dict[str, Any]:
    ident = {
        "balancer": e.lb["SecurityGroups"][0],
        "nodes": e.aws["instances"]["value"][0]["SecurityGroups"][0]["GroupId"],
    }[which]
    return next(g for g in e.aws["security_groups"]["value"] if g["GroupId"] == ident)


def blamed(e: Edit) -> list[tuple[str, str]]:
    """The root causes among the groups: (group, source in its message)."""
    report = replay(e.snapshot())
    return [(f.object.name, f.message) for f in report.root_causes if f.code == "TGT007"]


def test_a_listener_port_without_a_rule() -> None:
    e = silent()
    group(e, "balancer")["IpPermissions"] = [rule(80, 80, ANYWHERE)]
    ((name, message),) = blamed(e)
    assert name == e.lb["SecurityGroups"][0]
    assert "443" in message


def test_an_internet_facing_listener_open_to_an_office_only() -> None:
    e = silent()
    group(e, "balancer")["IpPermissions"] = [rule(443, 443, "203.0.113.0/24")]
    assert len(blamed(e)) == 1


@pytest.mark.parametrize(
    "rules",
    [
        [rule(443, 443, ANYWHERE)],
        [rule(0, 65535, ANYWHERE)],
        [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": ANYWHERE}]}],
        [rule(443, 443, "0.0.0.0/1"), rule(443, 443, "128.0.0.0/1")],
        [rule(443, 443, "203.0.113.0/24", PrefixListIds=[{"PrefixListId": "pl-0a1b2c3d"}])],
    ],
    ids=["open", "range", "all-protocols", "two-halves", "prefix-list"],
)
def test_rules_that_admit_or_may_admit_this_client(rules: list[dict[str, Any]]) -> None:
    e = silent()
    group(e, "balancer")["IpPermissions"] = rules
    assert blamed(e) == []


def test_requests_that_succeed_clear_every_group() -> None:
    e = Edit()
    group(e, "balancer")["IpPermissions"] = []
    group(e, "nodes")["IpPermissions"] = []
    assert replay(e.snapshot()).verdict == "healthy"


def test_an_internal_load_balancer_open_to_its_network() -> None:
    e = silent()
    e.lb["Scheme"] = "internal"
    group(e, "balancer")["IpPermissions"] = [rule(443, 443, "10.0.0.0/8")]
    assert [f.code for f in replay(e.snapshot()).root_causes] == ["DNS008"]


def test_a_group_that_could_not_be_read_may_admit_all() -> None:
    e = silent()
    group(e, "balancer")["IpPermissions"] = []
    e.lb["SecurityGroups"].append("sg-not-seen")
    assert blamed(e) == []


def test_ipv6_needs_a_rule_of_its_own() -> None:
    e = silent()
    for probe in e.probes("client"):
        probe["address"] = "2406:da12::30"
    group(e, "balancer")["IpPermissions"] = [rule(443, 443, ANYWHERE)]
    assert len(blamed(e)) == 1
    group(e, "balancer")["IpPermissions"] = [rule(443, 443, ANYWHERE, "::/0")]
    assert blamed(e) == []


def unhealthy() -> Edit:
    e = silent()
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    return e


def test_nodes_without_a_rule_for_the_node_port() -> None:
    e = unhealthy()
    group(e, "nodes")["IpPermissions"] = [rule(22, 22, "10.0.0.0/8")]
    ((name, message),) = blamed(e)
    assert name == group(e, "nodes")["GroupId"]
    assert "30001" in message


def test_nodes_without_a_rule_for_the_health_check() -> None:
    e = unhealthy()
    port = e.traefik_service["spec"]["ports"][2]["nodePort"]
    e.group()["HealthCheckPort"] = str(port)
    for described in e.health():
        described["HealthCheckPort"] = str(port)
    group(e, "nodes")["IpPermissions"] = [rule(30001, 30001, ANYWHERE)]
    ((_, message),) = blamed(e)
    assert str(port) in message


def test_no_rule_is_missing_for_a_port_that_is_wrong_itself() -> None:
    e = unhealthy()
    for described in e.health():
        described["Target"]["Port"] = 31443
        described["HealthCheckPort"] = "31443"
    group(e, "nodes")["IpPermissions"] = [rule(30000, 30999, ANYWHERE)]
    assert [f.code for f in replay(e.snapshot()).root_causes] == ["TGT014"]


def test_unhealthy_for_another_reason_under_narrow_rules() -> None:
    e = unhealthy()
    group(e, "nodes")["IpPermissions"] = [rule(30000, 32767, "10.0.0.0/8")]
    assert blamed(e) == []


def test_healthy_targets_and_clients_that_are_not_admitted() -> None:
    e = silent()
    group(e, "nodes")["IpPermissions"] = [rule(30000, 32767, "10.0.0.0/8")]
    ((_, message),) = blamed(e)
    assert "clients" in message


def test_clients_addresses_are_not_kept_or_the_balancer_is_named() -> None:
    e = silent()
    group(e, "nodes")["IpPermissions"] = [rule(30000, 32767, "10.0.0.0/8")]
    attributes = e.aws["target_group_attributes"][e.group()["TargetGroupArn"]]["value"]
    attributes["preserve_client_ip.enabled"] = "false"
    assert blamed(e) == []
    attributes["preserve_client_ip.enabled"] = "true"
    pair = {"UserIdGroupPairs": [{"GroupId": e.lb["SecurityGroups"][0]}]}
    group(e, "nodes")["IpPermissions"] = [rule(30000, 32767, **pair)]
    assert blamed(e) == []


def test_the_load_balancer_may_not_reach_its_targets() -> None:
    e = unhealthy()
    group(e, "balancer")["IpPermissionsEgress"] = [rule(443, 443, ANYWHERE)]
    ((name, message),) = blamed(e)
    assert name == e.lb["SecurityGroups"][0]
    assert "outbound" in message


def test_an_outbound_gap_has_an_outbound_fix() -> None:
    e = unhealthy()
    group(e, "balancer")["IpPermissionsEgress"] = [rule(443, 443, ANYWHERE)]
    (found,) = [f for f in replay(e.snapshot()).root_causes if f.code == "TGT007"]
    assert "outbound rule for TCP port 30001" in found.fix
    (command,) = found.fix_commands
    assert "authorize-security-group-egress" in command
    assert group(e, "nodes")["GroupId"] in command


def test_outbound_rules_that_lead_to_another_group_than_the_targets() -> None:
    e, pair = unhealthy(), {"UserIdGroupPairs": [{"GroupId": "sg-0another"}]}
    group(e, "balancer")["IpPermissionsEgress"] = [rule(30001, 30001, **pair)]
    ((name, _),) = blamed(e)
    assert name == e.lb["SecurityGroups"][0]
    pair["UserIdGroupPairs"][0]["GroupId"] = group(e, "nodes")["GroupId"]
    assert blamed(e) == []
