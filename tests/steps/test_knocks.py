"""Ports that the API server's pod proxy was asked about, since no pod could be asked from here."""

from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Hop, Report, Step, Verdict
from hopcheck.scene.probes import doors_of, hop_targets
from hopcheck.scene.scene import Scene
from tests.recorded import packed, set_up
from tests.steps.edits import TRAEFIK_NS, Edit, collected
from tests.steps.test_gallery import found

APP = "Application default/my-app-service"
SERVICE = "Service default/my-app-service"
REFUSED = {"error": "refused", "error_phase": "connect", "error_text": "connection refused"}
OUTSIDE = {"value": None, "why": "not_reachable_from_here"}
POLICY = ("networkpolicies@default", "NetworkPolicy", "own")
ADMITS_ALL: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}


def outside(edit: Edit, *refuses: str, hop: str = "pod") -> Edit:
    """No pod can be asked; of those of `hop`, the ones named refuse, and the others listen."""
    told = [dict(one["value"]) for one in edit.http["hops"] if one["value"]["hop"] == hop]
    for probe in told:
        exchange = {"url": f"http://{probe['address']}:{probe['port']}/"}
        refused = REFUSED if probe["name"] in refuses else {}
        probe |= {"via": "apiserver-proxy", "scheme": "http", "exchanges": [exchange | refused]}
    edit.http["hops"] = [OUTSIDE, *map(collected, told)]
    edit.data["vantage"]["direct_probes"] = False
    return edit


def names(pods: list[dict[str, Any]]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def unanswered(*refuses: str, only: int | None = None) -> Edit:
    """Traefik answers 502 to all requests, or to the first `only` of them."""
    edit = Edit()
    edit.answer(502, "Bad Gateway", hops=("client",), only=only)
    edit.no_other_scheme()
    return outside(edit, *refuses)


def accused(report: Report) -> list[tuple[str, str]]:
    return [(one.code, str(one.object)) for one in report.root_causes]


def test_all_of_them_refuse() -> None:
    report = replay(unanswered(*names(Edit().app_pods)).snapshot())
    assert accused(report) == [("REQ015", APP)]
    assert report.verdict is Verdict.BROKEN


def test_one_of_them_refuses() -> None:
    pod = names(Edit().app_pods)[1]
    report = replay(unanswered(pod, only=1).snapshot())
    assert accused(report) == [("END013", SERVICE)]
    (root,) = report.root_causes
    assert pod in root.message
    assert root.share == 0.5
    assert report.verdict is Verdict.DEGRADED


def test_who_takes_connections_is_not_accused_of_refusing() -> None:
    """It may speak TLS or gRPC, or drop what it takes."""
    codes = found(replay(unanswered().snapshot()))
    assert not {"END003", "END013", "REQ015"} & {*codes.replace("*", "").split()}


def test_pods_that_refuse_while_traefik_meets_something_else() -> None:
    edit = Edit()
    edit.answer(500, '{"error":"database"}', hops=("client",))
    report = replay(outside(edit, *names(edit.app_pods)).snapshot())
    assert accused(report) == [("REQ001", APP)]


@pytest.mark.parametrize("unseen", [False, True])
def test_a_policy_may_refuse_the_api_server_alone(*, unseen: bool) -> None:
    edit = unanswered(*names(Edit().app_pods))
    if unseen:
        edit.lists[POLICY[0]] = {"value": None, "why": "denied"}
    else:
        edit.add(*POLICY, ADMITS_ALL)
    assert not {"REQ015", "END003"} & {code for code, _ in accused(replay(edit.snapshot()))}


def no_answer() -> Edit:
    edit = Edit()
    edit.fail("refused", "connection refused")
    edit.no_other_scheme()
    return edit


def test_one_traefik_of_two_refuses() -> None:
    edit = no_answer()
    pod = names(edit.traefik_pods)[1]
    report = replay(outside(edit, pod, hop="traefik-pod").snapshot())
    assert ("SVC005", f"Pod {TRAEFIK_NS}/{pod}") in accused(report)


def test_every_traefik_refuses() -> None:
    edit = no_answer()
    given = outside(edit, *names(edit.traefik_pods), hop="traefik-pod")
    assert ("SVC005", f"Deployment {TRAEFIK_NS}/traefik") in accused(replay(given.snapshot()))
    given.add(f"networkpolicies@{TRAEFIK_NS}", "NetworkPolicy", "own", ADMITS_ALL, TRAEFIK_NS)
    assert "SVC005" not in {code for code, _ in accused(replay(given.snapshot()))}


def test_what_a_role_forbids_is_said_and_no_finding() -> None:
    edit = unanswered(*names(Edit().app_pods))
    forbidden = 'pods "web" is forbidden: User "sre" cannot get resource "pods/proxy"'
    edit.http["hops"] = [OUTSIDE, {"value": None, "why": "denied", "detail": forbidden}]
    report = replay(edit.snapshot())
    assert "REQ015" not in found(report)
    step = next(one for one in report.steps if one.step is Step.ENDPOINTS)
    assert "pods/proxy (forbidden: " in (step.reason or "")


# --- who is asked


def doors(edit: Edit) -> list[tuple[Hop, str, int]]:
    snapshot = edit.snapshot()
    asked = doors_of(Scene(snapshot), hop_targets(snapshot.kube, snapshot.target))
    return [(one.hop, one.name or "", one.port) for one in asked]


def test_nobody_is_asked_where_requests_succeed() -> None:
    assert doors(Edit()) == []
    for name in packed():
        hops = set_up(name).http.hops
        assert all(one.get().via == "direct" for one in hops if one.seen), name


def test_the_applications_pods_where_traefik_says_502() -> None:
    pods = names(Edit().app_pods)
    assert doors(unanswered()) == [(Hop.POD, pod, 8080) for pod in pods]


def test_traefiks_pods_where_nothing_answers() -> None:
    pods = names(Edit().traefik_pods)
    assert doors(no_answer()) == [(Hop.TRAEFIK_POD, pod, 8443) for pod in pods]


def test_nobody_where_the_application_answers() -> None:
    edit = Edit()
    edit.answer(500, '{"error":"database"}', hops=("client",))
    assert doors(edit) == []


def test_the_entrypoint_behind_a_listener_that_ends_tls() -> None:
    edit = Edit("nlb-tls-app-loop")
    edit.fail("reset", "closed by the peer", "first_byte")
    assert {(hop, port) for hop, _, port in doors(edit)} == {(Hop.TRAEFIK_POD, 8080)}


def test_nobody_where_a_request_waits_for_its_answer() -> None:
    edit = Edit()
    edit.fail("read_timeout", "no answer within 5 s", "first_byte")
    edit.no_other_scheme()
    assert doors(edit) == []
