"""Who wrote an answer that both Traefik and the application may have written."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Exchange, Step
from hopcheck.scene.outcome import (
    Producer,
    application_404,
    producer,
    refused_by_middleware,
    refused_path,
    says_tls,
    succeeded,
)
from hopcheck.scene.scene import Scene
from tests.judging import judge
from tests.steps.edits import Edit

ADDRESS = "http://auth.default.svc:8080/verify"


def last(edit: Edit) -> Exchange:
    return edit.snapshot().http.requests[0].get().exchanges[-1]


def access(edit: Edit, status: int, when: str | None = None, **fields: Any) -> None:
    """A line of the access log for the host's request, as the JSON format has it."""
    own = {
        "RequestHost": "myapp.example.com",
        "RequestPath": edit.target["path"],
        "DownstreamStatus": str(status),
        **fields,
    }
    line = {
        "raw": json.dumps(own),
        "time": when or edit.data["taken_at"].replace("Z", ".5Z"),
        "level": None,
        "message": "",
        "fields": own,
        "kind": "access",
    }
    for replica in edit.replicas:
        replica["log"]["value"].append(line)


def go_404(edit: Edit) -> None:
    edit.answer(
        404,
        "404 page not found\n",
        hops=("client", "node", "traefik-pod", "pod"),
        x_content_type_options="nosniff",
    )


def no_access_log(edit: Edit) -> None:
    for replica in edit.replicas:
        kept = [line for line in replica["log"]["value"] if line["kind"] != "access"]
        replica["log"]["value"] = kept


def test_a_go_application_says_what_traefik_says() -> None:
    edit = Edit()
    go_404(edit)
    no_access_log(edit)
    assert application_404(edit.snapshot(), last(edit))
    access(edit, 404, RouterName="websecure-default-my-app@kubernetes", OriginStatus="404")
    assert application_404(edit.snapshot(), last(edit))
    assert replay(edit.snapshot()).verdict == "healthy"


def test_the_access_log_shows_no_router() -> None:
    edit = Edit()
    go_404(edit)
    no_access_log(edit)
    access(edit, 404, OriginStatus="0")
    assert not application_404(edit.snapshot(), last(edit))


@pytest.mark.parametrize("old", ["2020-01-01T00:00:00Z", "2020-01-01T09:00:00+09:00"])
def test_an_old_line_of_the_access_log_decides_nothing(old: str) -> None:
    edit = Edit()
    go_404(edit)
    no_access_log(edit)
    edit.unroute()
    access(edit, 404, old, RouterName="default-my-app@kubernetes", OriginStatus="404")
    assert not application_404(edit.snapshot(), last(edit))


def test_without_a_router_a_go_application_is_not_what_answered() -> None:
    edit = Edit()
    go_404(edit)
    no_access_log(edit)
    edit.unroute()
    edit.no_other_scheme()
    snapshot = edit.snapshot()
    assert not succeeded(Scene(snapshot), snapshot.http.requests[0].get())
    assert replay(snapshot).verdict == "broken"


def encoded(edit: Edit) -> None:
    edit.target |= {"path": "/a%2Fb", "path_asked": True}
    edit.answer(400, "")
    for probe in edit.probes("client", "node", "traefik-pod", "pod"):
        probe["exchanges"][-1]["url"] = "https://myapp.example.com/a%2Fb"


def codes(edit: Edit) -> list[str]:
    return [finding.code for finding in judge(Step.REQUEST, edit.snapshot()).findings]


def test_an_encoded_character_that_traefik_refuses() -> None:
    edit = Edit()
    encoded(edit)
    assert refused_path(edit.snapshot(), last(edit))
    (root,) = replay(edit.snapshot()).root_causes
    assert (root.code, str(root.object)) == ("REQ014", "Deployment api-gateway-system/traefik")
    assert root.step is Step.REQUEST


def test_an_encoded_character_that_the_application_refuses() -> None:
    edit = Edit()
    encoded(edit)
    edit.answer(400, "", hops=("pod",))
    assert not refused_path(edit.snapshot(), last(edit))
    assert codes(edit)[0] == "REQ014"


def test_a_400_on_a_plain_path_is_the_applications() -> None:
    edit = Edit()
    edit.answer(400, "")
    assert not refused_path(edit.snapshot(), last(edit))


def test_500_and_nothing_else() -> None:
    edit = Edit()
    edit.answer(500, "")
    assert refused_by_middleware(edit.snapshot(), last(edit), ADDRESS)  # the pods answer well
    edit.answer(500, "", hops=("pod",))
    assert not refused_by_middleware(edit.snapshot(), last(edit), ADDRESS)
    edit.without_pods()
    assert not refused_by_middleware(edit.snapshot(), last(edit), ADDRESS)  # it cannot be told
    access(edit, 500, RouterName="default-my-app@kubernetes", OriginStatus="0")
    assert refused_by_middleware(edit.snapshot(), last(edit), ADDRESS)


@pytest.mark.parametrize(
    "body",
    [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<center>The plain HTTP request was sent to HTTPS port</center>",
    ],
)
def test_what_a_tls_server_says_to_plain_http(body: str) -> None:
    edit = Edit()
    edit.answer(400, body)
    assert says_tls(last(edit))
    assert replay(edit.snapshot()).root_causes == ()  # the pods themselves understand plain HTTP
    edit.answer(400, body, hops=("pod",))
    for _ in ("the pods were asked", "and were not"):
        (cause,) = replay(edit.snapshot()).root_causes
        assert (cause.code, str(cause.object)) == ("END008", "Service default/my-app-service")
        edit.without_pods()


@pytest.mark.parametrize("status", [500, 502, 504])
def test_traefiks_own_words_are_exact(status: int) -> None:
    words = HTTPStatus(status).phrase
    edit = Edit()
    edit.answer(status, words)
    assert producer(last(edit)) is Producer.TRAEFIK
    edit.answer(status, f"{words}\n")  # Go's http.Error
    assert producer(last(edit)) is Producer.APPLICATION
    edit.answer(status, words, x_powered_by="Express", etag='W/"15-x"')  # res.sendStatus
    assert producer(last(edit)) is Producer.APPLICATION
