"""Several Services behind one route, and several pods behind one Service: each is judged alone."""

import copy
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Severity, Verdict
from tests.steps.edits import Edit, collected

H2_SETTINGS = "\0\0\x12\x04\0\0\0\0\0"
SAYS_TLS = "Client sent an HTTP request to an HTTPS server.\n"
ERROR = {"error_phase": "first_byte", "status": None, "body": "", "body_bytes": 0}
H2C = {**ERROR, "error": "protocol", "error_text": H2_SETTINGS}
RESET = {**ERROR, "error": "reset", "error_text": "connection closed before an answer"}
REFUSED = {**ERROR, "error": "refused", "error_text": "Connection refused"}
BOOM = {"status": 500, "body": "boom\n", "body_bytes": 5}


def weighted(*answers: dict[str, Any]) -> Edit:
    """Four in five requests go to one Service, one to `canary`, whose pods answer directly so."""
    e = Edit("ir-weighted-empty")
    e.answer(200, "serves /\n", hops=("node", "traefik-pod"))
    canary, own = e.items("endpointslices@default")
    canary["ports"] = copy.deepcopy(own["ports"])
    canary["endpoints"] = []
    asked = next(c for c in e.http["hops"] if c["value"]["hop"] == "pod")
    for number, answer in enumerate(answers):
        name, address = f"canary-{number}", f"127.243.140.{70 + number}"
        pod = copy.deepcopy(e.app_pods[0])
        pod["metadata"] |= {"name": name, "labels": {"app": "my-app-canary"}}
        pod["status"]["podIP"] = address
        e.app_pods.append(pod)
        endpoint = copy.deepcopy(own["endpoints"][0])
        endpoint |= {"addresses": [address]}
        endpoint["targetRef"] |= {"name": name}
        canary["endpoints"].append(endpoint)
        probe = copy.deepcopy(asked["value"])
        probe |= {"name": name, "address": address, "member": f"{name} {address}:8080"}
        probe["exchanges"][-1] |= {"address": address, **answer}
        e.http["hops"].append(collected(probe))
    return e


def roots(report: Report) -> list[tuple[str, str, float | None]]:
    return [(one.code, str(one.object), one.share) for one in report.root_causes]


def warned(report: Report) -> list[str]:
    found = (f for step in report.steps for f in step.findings)
    return [f.code for f in found if f.severity is Severity.WARNING]


def test_two_that_serve_are_healthy() -> None:
    report = replay(weighted({}, {}).snapshot())
    assert (report.verdict, roots(report), warned(report)) == (Verdict.HEALTHY, [], [])


@pytest.mark.parametrize(
    ("answer", "root"),
    [
        (H2C, ("END008", "Service default/canary", 0.2)),
        (
            {"status": 400, "body": SAYS_TLS, "body_bytes": 48},
            ("END008", "Service default/canary", 0.2),
        ),
        (REFUSED, ("REQ015", "Application default/canary", 0.2)),
        (BOOM, ("REQ001", "Application default/canary", 0.2)),
    ],
)
def test_one_that_no_request_met_is_accused(
    answer: dict[str, Any], root: tuple[str, str, float]
) -> None:
    report = replay(weighted(answer, answer).snapshot())
    assert (report.verdict, roots(report)) == (Verdict.DEGRADED, [root])
    assert "20 %" in report.headline


def test_one_of_weight_0_is_not() -> None:
    edit = weighted(H2C)
    for service in edit.one("ingressroutes", "my-app")["spec"]["routes"][0]["services"][1:]:
        service["weight"] = 0
    assert roots(replay(edit.snapshot())) == []


def test_what_only_a_mesh_may_refuse_is_a_warning() -> None:
    report = replay(weighted(RESET).snapshot())
    assert (report.verdict, roots(report)) == (Verdict.HEALTHY, [])
    assert warned(report) == ["REQ003"]


def test_where_nothing_answers_from_here_and_all_succeeds_nobody_is_accused() -> None:
    edit = weighted({})
    edit.fail("refused", "Connection refused", hops=("pod",))
    assert roots(replay(edit.snapshot())) == []


def test_the_scheme_of_h2c_is_named() -> None:
    (root,) = replay(weighted(H2C).snapshot()).root_causes
    assert "speaks h2c" in root.message
    assert "scheme: h2c" in root.fix


def test_a_5xx_of_traefiks_own_at_a_hop_is_never_healthy() -> None:
    edit = Edit()
    edit.answer(500, "Internal Server Error", hops=("traefik-pod",), only=1)
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.DEGRADED
    assert [f.code for f in report.steps[-1].findings] == ["REQ009"]


def test_all_requests_that_met_the_bad_one_were_a_draw() -> None:
    edit = weighted(H2C)
    edit.answer(500, "Internal Server Error", hops=("client",))
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.DEGRADED
    assert roots(report) == [("END008", "Service default/canary", 0.2)]


@pytest.mark.parametrize("met", [1, 2])
def test_the_service_is_named_that_gives_the_status(met: int) -> None:
    edit = weighted(BOOM)
    edit.answer(500, "boom\n", hops=("client",), only=met)
    report = replay(edit.snapshot())
    assert report.verdict is Verdict.DEGRADED
    assert [(code, at) for code, at, _ in roots(report)] == [
        ("REQ001", "Application default/canary")
    ]


def test_all_services_are_named_where_none_is_known_to_give_it() -> None:
    edit = weighted({})
    edit.without_pods()
    edit.answer(500, "boom\n", hops=("client",), only=1)
    report = replay(edit.snapshot())
    (finding,) = report.steps[-1].findings
    assert (finding.code, str(finding.object)) == ("REQ001", "Host myapp.example.com")
    assert "default/my-app-service, default/canary" in finding.message


@pytest.mark.parametrize("met", [0, 1, 2])
def test_one_pod_that_speaks_tls_is_accused_alone(met: int) -> None:
    """Whichever pods the requests met, and never the Service's scheme."""
    edit = Edit()
    edit.answer(400, SAYS_TLS, hops=("pod",), only=1)
    edit.answer(400, SAYS_TLS, hops=("client",), only=met) if met else None
    report = replay(edit.snapshot())
    pod = edit.app_pods[0]["metadata"]["name"]
    assert report.verdict is Verdict.DEGRADED
    assert roots(report) == [("END013", f"Pod default/{pod}", 0.5)]
    assert "serversscheme" not in report.root_causes[0].fix
