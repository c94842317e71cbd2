"""Zones, strangers among the targets and the hairpin: nothing is said where it is not decided."""

import copy
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from tests.steps.edits import Edit, collected

SECOND = "i-0a1b2c3d4e5f60002"  # the only instance in the second zone


def codes(e: Edit) -> set[str]:
    report = replay(e.snapshot())
    return {f.code for step in report.steps for f in step.findings}


def roots(e: Edit) -> list[str]:
    return [f.code for f in replay(e.snapshot()).root_causes]


# --- zones


def one_zone() -> Edit:
    """The second zone has no target; the request to the second address fails."""
    e = Edit()
    e.health()[:] = [d for d in e.health() if d["Target"]["Id"] != SECOND]
    e.fail("refused", "connection refused", only=1)
    e.http["hops"] = []
    return e


def attributes(e: Edit, kind: str) -> dict[str, Any]:
    if kind == "group":
        return e.aws["target_group_attributes"][e.group()["TargetGroupArn"]]["value"]
    return e.aws["load_balancer_attributes"][e.lb["LoadBalancerArn"]]["value"]


def test_a_zone_without_a_target() -> None:
    assert roots(one_zone()) == ["TGT024"]


@pytest.mark.parametrize("kind", ["group", "balancer"])
def test_cross_zone_reaches_every_target(kind: str) -> None:
    e = one_zone()
    attributes(e, kind)["load_balancing.cross_zone.enabled"] = "true"
    assert "TGT024" not in codes(e)


def test_the_group_decides_over_the_load_balancer() -> None:
    e = one_zone()
    attributes(e, "balancer")["load_balancing.cross_zone.enabled"] = "true"
    attributes(e, "group")["load_balancing.cross_zone.enabled"] = "false"
    assert roots(e) == ["TGT024"]


def test_attributes_that_were_not_read_decide_nothing() -> None:
    e = one_zone()
    e.aws["load_balancer_attributes"] = {}
    assert "TGT024" not in codes(e)


def test_a_target_whose_zone_is_not_known_may_be_anywhere() -> None:
    e = one_zone()
    e.aws["instances"] = {"value": None, "why": "denied"}
    for node in e.items("nodes"):
        node["metadata"]["labels"] = {}
    assert "TGT024" not in codes(e)


def test_more_addresses_fail_than_there_are_empty_zones() -> None:
    e = one_zone()
    e.fail("refused", "connection refused")
    assert "TGT024" not in roots(e)


def test_the_address_that_fails_is_in_a_zone_that_is_served() -> None:
    e = one_zone()
    zones = e.lb["AvailabilityZones"]
    served = next(z for z in zones if z["ZoneName"] == "ap-northeast-2a")
    address = e.probes("client")[0]["address"]
    served["LoadBalancerAddresses"] = [{"IpAddress": address}]
    assert "TGT024" not in roots(e)


def alb_zone() -> Edit:
    """An ALB whose group stays in its zone: one address answers 502 by itself."""
    e = Edit()
    e.health()[:] = [d for d in e.health() if d["Target"]["Id"] != SECOND]
    e.answer(502, hops=("client",), only=1, server="awselb/2.0")
    e.http["hops"] = []
    e.lb["Type"] = "application"
    attributes(e, "group")["load_balancing.cross_zone.enabled"] = "false"
    return e


def test_an_albs_group_that_stays_in_a_zone_without_a_healthy_target() -> None:
    e = alb_zone()
    assert roots(e) == ["TGT024"]
    (found,) = [f for f in replay(e.snapshot()).root_causes if f.code == "TGT024"]
    (command,) = found.fix_commands
    assert "modify-target-group-attributes" in command
    del attributes(e, "group")["load_balancing.cross_zone.enabled"]  # an ALB's own is on
    attributes(e, "balancer").pop("load_balancing.cross_zone.enabled", None)
    assert "TGT024" not in codes(e)


# --- strangers


def foreign() -> Edit:
    e = Edit()
    for number, described in enumerate(e.health()):
        described["Target"]["Id"] = f"i-0fffeeeedddd0000{number}"
    e.fail("reset", "connection reset", phase="first_byte")
    e.no_other_scheme()
    return e


def test_no_target_is_this_clusters() -> None:
    assert roots(foreign()) == ["TGT009"]


def test_one_of_several_groups_belongs_to_another_cluster() -> None:
    e = foreign()
    own = copy.deepcopy(e.group())
    own |= {"TargetGroupName": "green", "TargetGroupArn": "arn:green"}
    e.aws["target_groups"]["value"].append(own)
    e.aws["target_health"]["arn:green"] = collected(
        [{"Target": {"Id": SECOND, "Port": 30001}, "TargetHealth": {"State": "healthy"}}]
    )
    groups = [{"TargetGroupArn": arn, "Weight": 1}
              for arn in (e.group()["TargetGroupArn"], "arn:green")]  # fmt: skip
    e.listener()["DefaultActions"] = [
        {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    ]
    assert "TGT009" not in codes(e)


def test_another_clusters_application_answers() -> None:
    e = foreign()
    e.answer(503, "<h1>maintenance</h1>", hops=("client",), content_type="text/html")
    for probe in e.probes("client"):
        probe["exchanges"][-1] |= {"error": None, "error_text": "", "error_phase": None}
    assert "TGT009" not in codes(e)


def test_nodes_that_could_not_be_listed_are_no_strangers() -> None:
    e = foreign()
    e.lists["nodes"] = {"value": None, "why": "denied"}
    assert not {"TGT009", "TGT014"} & codes(e)


def test_a_pods_host_is_a_node_where_nodes_could_not_be_listed() -> None:
    e = Edit("tg-nodeport-drift")
    e.lists["nodes"] = {"value": None, "why": "denied"}
    assert roots(e) == ["TGT014"]


# --- the hairpin


def inside() -> Edit:
    e = Edit()
    e.data["vantage"]["in_cluster"] = True
    e.time_out()
    e.no_other_scheme()
    return e


def test_nodes_that_do_not_answer_either_speak_for_another_fault() -> None:
    e = inside()
    e.time_out("node")
    report = replay(e.snapshot())
    assert report.verdict == "broken"
    assert [f.code for f in report.root_causes] == ["SVC016"]


def test_a_refusal_is_no_hairpin() -> None:
    e = inside()
    e.fail("refused", "connection refused")
    assert replay(e.snapshot()).verdict == "broken"


def test_a_healthy_verdict_rests_on_the_addresses_that_answered() -> None:
    e = Edit()
    e.data["vantage"]["in_cluster"] = True
    e.fail("connect_timeout", "no answer within 5 s", only=1)
    report = replay(e.snapshot())
    assert report.verdict == "healthy"
    assert "hairpin" in str(report.steps[6].reason)
