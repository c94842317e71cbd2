"""Who makes the load balancer: what he says now counts, not what he said once or of another."""

import datetime as dt
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Status, Step
from tests.steps.edits import TRAEFIK_NS, Edit, collected

NAME = "Service api-gateway-system/traefik"
EVENTS = f"events@{TRAEFIK_NS}"
SUBNETS = "Failed build model due to unable to resolve at least one subnet (0 match VPC and tags)"


def found(e: Edit) -> dict[str, str]:
    """The findings about who makes the load balancer: code -> object."""
    steps = replay(e.snapshot()).steps
    codes = ("SVC018", "SVC019", "SVC020")
    return {f.code: str(f.object) for one in steps for f in one.findings if f.code in codes}


def event(e: Edit, reason: str, minutes: int, message: str = "", **about: Any) -> None:
    """An event of Traefik's Service, so many minutes before the run."""
    at = dt.datetime.fromisoformat(e.data["taken_at"]) - dt.timedelta(minutes=minutes)
    said = {
        "kind": "Event",
        "metadata": {"name": f"e{len(e.items(EVENTS))}", "namespace": TRAEFIK_NS},
        "involvedObject": {"kind": "Service", "name": "traefik", "namespace": TRAEFIK_NS} | about,
        "type": "Warning" if "ail" in reason else "Normal",
        "reason": reason,
        "message": message or SUBNETS,
        "lastTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    e.items(EVENTS).append(said)


def pending() -> Edit:
    e = Edit("lb-subnets-untagged")
    e.lists[EVENTS] = collected([])
    return e


def unreachable() -> Edit:
    """The load balancer that the Service's status names takes no connection."""
    e = Edit("lb-dark")
    name = e.lb["DNSName"]
    e.traefik_service["spec"]["type"] = "LoadBalancer"
    e.traefik_service["metadata"]["creationTimestamp"] = "2026-01-15T09:00:00Z"
    e.traefik_service["status"] = {"loadBalancer": {"ingress": [{"hostname": name}]}}
    return e


def test_the_newest_failure_is_quoted() -> None:
    e = pending()
    event(e, "FailedBuildModel", 9)
    event(e, "FailedDeployModel", 3, "(combined from similar events): unheard\n  of")
    (root,) = replay(e.snapshot()).root_causes
    assert (root.code, str(root.object), root.params["line"]) == ("SVC018", NAME, "unheard of")
    assert "variant" not in root.params


def test_a_success_since_overcomes_a_failure() -> None:
    e = unreachable()
    event(e, "FailedBuildModel", 9)
    assert found(e) == {"SVC018": NAME}
    event(e, "SuccessfullyReconciled", 8)
    assert found(e) == {}


def test_a_load_balancer_without_nodes_is_made_all_the_same() -> None:
    e = unreachable()
    event(e, "UnAvailableLoadBalancer", 9)
    e.items(EVENTS)[0]["type"] = "Warning"
    event(e, "EnsuredLoadBalancer", 9)
    assert found(e) == {"SVC018": NAME}
    event(e, "UpdatedLoadBalancer", 3)
    assert found(e) == {}


@pytest.mark.parametrize("minutes", [45, 600])
def test_what_was_said_long_ago_of_a_load_balancer_that_was_made_is_past(minutes: int) -> None:
    e = unreachable()
    event(e, "FailedDeployModel", minutes)
    assert found(e) == {}
    waiting = pending()
    event(waiting, "FailedDeployModel", minutes)
    assert found(waiting) == {"SVC018": NAME}


def test_a_list_that_was_cut_short_may_lack_the_success() -> None:
    e = unreachable()
    event(e, "FailedDeployModel", 3)
    e.lists[EVENTS]["truncated"] = True
    assert found(e) == {}


def test_what_was_said_of_a_former_service_of_that_name_is_past() -> None:
    e = pending()
    event(e, "FailedBuildModel", 30)
    made = dt.datetime.fromisoformat(e.data["taken_at"]) - dt.timedelta(minutes=20)
    e.traefik_service["metadata"]["creationTimestamp"] = made.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert "SVC018" not in found(e)


def test_others_words_and_other_objects_are_not_the_load_balancers() -> None:
    e = pending()
    event(e, "FailedToUpdateEndpointSlices", 3)  # the endpoint slice controller's
    assert found(e) == {}
    event(e, "FailedBuildModel", 3, name="another")
    event(e, "FailedBuildModel", 3, kind="Ingress", name="another")
    assert found(e) == {}


def test_where_requests_reach_traefik_its_load_balancer_is_not_at_fault() -> None:
    e = Edit("svc-selector")
    e.traefik_service["spec"]["type"] = "LoadBalancer"
    event(e, "FailedBuildModel", 3)
    assert found(e) == {}


def test_where_the_name_leads_to_no_load_balancer_of_aws_none_is_missed() -> None:
    e = Edit("dns-stale-ip")
    e.aws["load_balancers"] = collected([])
    e.traefik_service["spec"]["type"] = "LoadBalancer"
    event(e, "FailedBuildModel", 3)
    assert found(e) == {}


def test_another_way_to_traefik_is_a_way() -> None:
    e = Edit("dns-nxdomain")
    e.traefik_service["spec"]["type"] = "LoadBalancer"
    event(e, "FailedBuildModel", 3)
    assert found(e) == {}  # the targets of a load balancer are its nodePorts


def test_silence_is_told_of_a_service_that_has_waited() -> None:
    e = pending()
    assert found(e) == {"SVC019": NAME}
    for moment in ("", e.data["taken_at"]):
        e.traefik_service["metadata"]["creationTimestamp"] = moment
        assert found(e) == {}


def test_somebody_who_is_at_work_is_not_nobody() -> None:
    e = pending()
    event(e, "EnsuringLoadBalancer", 1)
    assert found(e) == {}


def test_without_the_right_to_events_nobody_is_accused_and_the_right_is_named() -> None:
    e = pending()
    e.lists[EVENTS] = {"why": "denied", "detail": "events is forbidden", "source": "GET events"}
    report = replay(e.snapshot())
    assert found(e) == {}
    assert [f.code for f in report.root_causes] == ["DNS001"]
    (step,) = (one for one in report.steps if one.step is Step.TRAEFIK_SERVICE)
    assert step.status is Status.UNKNOWN
    assert "list events" in (step.reason or "")


def test_a_misspelt_annotation_warns_and_a_new_one_does_not() -> None:
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    e = Edit()
    e.traefik_service["spec"]["type"] = "LoadBalancer"
    notes = e.traefik_service["metadata"].setdefault("annotations", {})
    notes |= {f"{prefix}scheme": "internet-facing", f"{prefix}of-tomorrow": "1"}
    notes["service.beta.kubernetes.io/azure-load-balancer-internal"] = "true"
    assert found(e) == {}
    notes["service.beta.kubernetes.io/aws-loadbalancer-ssl-cert"] = "arn"
    key = "service.beta.kubernetes.io/aws-loadbalancer-ssl-cert"
    assert found(e) == {"SVC020": f"{NAME}"}
    (finding,) = (f for s in replay(e.snapshot()).steps for f in s.findings)
    assert (finding.severity, finding.params["key"]) == ("warning", key)
    assert finding.params["meant"] == f"{prefix}ssl-cert"
    notes[f"{prefix}ssl-cert"] = "arn"  # the right one is there as well
    assert found(e) == {}


def test_an_alb_is_made_from_the_ingress_that_leads_to_traefik_alone() -> None:
    e = Edit("lb-alb-ingress")
    assert found(e) == {"SVC018": f"Ingress {TRAEFIK_NS}/edge"}
    edge = e.one("ingresses", "edge")
    edge["spec"]["defaultBackend"]["service"]["name"] = "another"
    assert found(e) == {}


def test_that_events_were_not_listed_is_not_that_there_is_none() -> None:
    e = pending()
    e.lists[EVENTS] = {"why": "timed_out", "source": "GET events"}
    assert found(e) == {}
