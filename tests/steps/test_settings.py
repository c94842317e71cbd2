"""What Traefik's own settings keep from the pods: weights, its health checks, its timeouts."""

from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Verdict
from tests.steps.edits import Edit
from tests.steps.scenes import SCENES, health_check_fails, weighted

HERE = "ServersTransport default/slow"
TRAEFIK = "Deployment api-gateway-system/traefik"


def root(edit: Edit) -> Finding:
    (found,) = replay(edit.snapshot()).root_causes
    return found


def no_server(edit: Edit) -> Edit:
    edit.answer(503, "no available server\n")
    return edit


# --- weights


def test_the_weight_is_told_and_can_be_set() -> None:
    found = root(SCENES["every-weight-is-zero"][2]())
    assert str(found.object) == "TraefikService default/ver"
    assert found.object.field == "spec.weighted.services[0].weight"
    assert '"value":1' in found.fix_commands[0]


def test_which_of_several_is_to_serve_is_not_guessed() -> None:
    edit = Edit()
    weighted(edit, 0, 0)
    assert not root(no_server(edit)).fix_commands


def test_a_branch_that_serves_is_enough() -> None:
    edit = Edit()
    weighted(edit, 0, 1)
    assert not replay(edit.snapshot()).root_causes


def on_the_route(*services: dict[str, Any]) -> Edit:
    edit = Edit()
    weighted(edit, 0)
    edit.one("ingressroutes", "my-app")["spec"]["routes"][0]["services"] = list(services)
    return edit


def test_the_weights_of_the_route_itself() -> None:
    own = {"name": "my-app-service", "port": 80, "weight": 0}
    assert str(root(no_server(on_the_route(own, own))).object) == "IngressRoute default/my-app"


def test_the_weight_of_a_routes_only_service_means_nothing() -> None:
    edit = on_the_route({"name": "my-app-service", "port": 80, "weight": 0})
    assert not replay(edit.snapshot()).root_causes


def test_a_part_that_no_request_of_this_run_met() -> None:
    branch = {"name": "ver", "kind": "TraefikService", "weight": 1}
    edit = on_the_route(branch, {"name": "my-app-service", "port": 80, "weight": 3})
    report = replay(edit.snapshot())
    (found,) = report.root_causes
    assert (found.code, found.share, report.verdict) == ("END022", 0.25, Verdict.DEGRADED)


def test_a_503_is_nothing_of_the_network() -> None:
    edit = no_server(Edit())
    edit.no_other_scheme()
    codes = {f.code for step in replay(edit.snapshot()).steps for f in step.findings}
    assert "REQ009" in codes
    assert "END014" not in codes


# --- Traefik's own health checks

CHECKED = "checking HTTP health: "
HOLDER = "TraefikService default/ver"
ASKED = "HTTP request failed: Get"


@pytest.mark.parametrize(
    ("words", "accused", "variant"),
    [
        ("received error status code: 404", HOLDER, None),
        ("received error status code: 204 expected status code: 200", HOLDER, None),
        ("received error status code: 500", "Application default/my-app-service", "ill"),
        (f'{ASKED} "http://10.9.9.9:80/healthz": dial tcp 10.9.9.9:80: connect: connection refused',
         "Service default/my-app-service", "down"),
        (f'{ASKED} "http://10.9.9.9:9/healthz": dial tcp 10.9.9.9:9: connect: connection refused',
         HOLDER, None),
        (f'{ASKED} "http://10.9.9.9:80/healthz": context deadline exceeded', HOLDER, None),
    ],
)  # fmt: skip
def test_whose_fault_a_failed_check_is(words: str, accused: str, variant: str | None) -> None:
    edit = Edit()
    health_check_fails(edit, CHECKED + words)
    found = root(edit)
    assert (found.code, str(found.object)) == ("END023", accused)
    assert found.params.get("variant") == variant
    assert words in found.message


def with_status(status: str, *, log: bool) -> Edit:
    edit = Edit()
    health_check_fails(edit, f"{CHECKED}received error status code: 404")
    made = {"name": "default-ver-0a1b2c3d4e5f60718293@kubernetescrd", "provider": "kubernetescrd"}
    for replica in edit.replicas:
        replica["services"]["value"].append(
            {**made, "status": "enabled", "serverStatus": {"http://10.9.9.9:80": status}}
        )
        if not log:
            replica["log"]["value"].clear()
    return edit


def test_the_api_alone_tells() -> None:
    found = root(with_status("DOWN", log=False))
    assert (found.code, found.actual) == ("END023", "DOWN")
    assert '"DOWN"' in found.evidence[0].text


def test_a_check_of_the_past_is_not_accused() -> None:
    report = replay(with_status("UP", log=True).snapshot())
    assert "END023" not in {f.code for step in report.steps for f in step.findings}


# --- for how long Traefik waits


def gives_up(*arguments: str, limits: dict[str, Any] | None = None) -> Edit:
    """A 504 after 0.52 s, and pods that take 1.5 s."""
    edit = SCENES["transport-gives-up"][2]()
    edit.arguments(*arguments)
    if limits is None:
        edit.service["metadata"]["annotations"].clear()
    else:
        edit.one("serverstransports", "slow")["spec"] = {"forwardingTimeouts": limits}
    return edit


ARGUMENT = "--serversTransport.forwardingTimeouts.responseHeaderTimeout=500ms"


@pytest.mark.parametrize(
    ("edit", "accused"),
    [
        (gives_up(limits={"responseHeaderTimeout": "500ms"}), HERE),
        (gives_up(limits={"dialTimeout": "100ms", "responseHeaderTimeout": "0.5s"}), HERE),
        (gives_up(ARGUMENT), TRAEFIK),
    ],
)
def test_whose_limit_it_is(edit: Edit, accused: str) -> None:
    found = root(edit)
    assert (found.code, str(found.object)) == ("END024", accused)
    assert "responseHeaderTimeout" in found.fix
    assert "1.5 s" in found.message


@pytest.mark.parametrize(
    "edit",
    [
        gives_up(),  # no limit is set
        gives_up(ARGUMENT, limits={}),  # the arguments' is not that of a ServersTransport
        gives_up(limits={"responseHeaderTimeout": 10}),  # longer than it took
        gives_up("--serversTransport.forwardingTimeouts.responseHeaderTimeout=1m"),
    ],
)
def test_a_limit_that_was_not_reached_is_not_accused(edit: Edit) -> None:
    assert root(edit).code == "END014"


def test_pods_that_were_not_asked() -> None:
    edit = gives_up(ARGUMENT)
    edit.without_pods()
    assert root(edit).params["variant"] == "unseen"


def test_pods_that_never_answer_are_at_fault_themselves() -> None:
    edit = gives_up(ARGUMENT)
    edit.fail("read_timeout", "no answer", "first_byte", hops=("pod",))
    found = root(edit)
    assert (found.code, found.object.kind) == ("REQ003", "Application")


def test_a_connection_that_is_given_up_at_once() -> None:
    edit = gives_up("--serversTransport.forwardingTimeouts.dialTimeout=5ms")
    edit.takes(0.006, "client", "node", "traefik-pod")
    found = root(edit)
    assert (str(found.object), found.params["variant"]) == (TRAEFIK, "dial")
