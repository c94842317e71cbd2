"""Faults of the application itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults.gallery import DEGRADED, ENDPOINTS, FROM_OUTSIDE, REQUEST, Expect, fault
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.topology import APP, HOST, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_PAGE = (f"https://{HOST}/status",)
_GO = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))


def _application(code: str) -> Expect:
    return Expect(code, "Application", SERVICE, APP)


@fault("app-5xx", REQUEST, _application("REQ001"))
async def server_error(lab: Lab) -> None:
    """The application answers 500 to everything."""
    body = '{"error":"cannot reach the database"}\n'
    await lab.set_app(None, Behaviour(status=500, body=body))


@fault("app-5xx-empty", REQUEST, _application("REQ001"))
async def empty_server_error(lab: Lab) -> None:
    """The application answers 500 with nothing in it, as a failed forwardAuth does."""
    await lab.set_app(None, Behaviour(status=500, body="\n"))


@fault("app-5xx-gateway", REQUEST, _application("REQ001"))
async def gateway_error(lab: Lab) -> None:
    """The application is itself a gateway and answers 502 in Traefik's words."""
    await lab.set_app(None, Behaviour(status=502, body="Bad Gateway"))


@fault(
    "app-5xx-one",
    REQUEST,
    Expect("END013", "Service", SERVICE, APP, step=ENDPOINTS),
    exit_code=DEGRADED,
)
async def one_fails(lab: Lab) -> None:
    """One of the application's pods answers 500."""
    body = '{"error":"cannot reach the database"}\n'
    await lab.set_app(lab.plan.app[-1].name, Behaviour(status=500, body=body))


@fault("app-slow", REQUEST, _application("REQ003"))
async def slow(lab: Lab) -> None:
    """The application answers, after clients have given up."""
    await lab.set_app(None, Behaviour(delay=8.0))


@fault("app-hang", REQUEST, _application("REQ003"))
async def hang(lab: Lab) -> None:
    """The application accepts requests and never answers."""
    await lab.set_app(None, Behaviour(hang=True))


@fault("app-vhost", REQUEST, _application("REQ002"), asked=_PAGE)
async def virtual_host(lab: Lab) -> None:
    """The application knows another host name and answers 404 to this one."""
    await lab.set_app(None, Behaviour(only_host="my-app.internal"))


@fault("app-go-404", REQUEST, _application("REQ002"), asked=_PAGE)
async def go_not_found(lab: Lab) -> None:
    """The application, a Go program, answers 404 in the very words of Traefik."""
    await lab.set_app(None, Behaviour(status=404, body="404 page not found\n", headers=_GO))


@fault("app-redirect-loop", REQUEST, _application("REQ011"))
async def redirect_loop(lab: Lab) -> None:
    """The application redirects every request to its own URL."""
    await lab.set_app(None, Behaviour(redirect_loop=True))


@fault("app-redirect-port", REQUEST, _application("REQ011"))
async def redirect_port(lab: Lab) -> None:
    """The application redirects to its own port, which nobody outside can reach."""
    await lab.set_app(None, Behaviour(status=302, location=f"http://{HOST}:8080/login"))


@fault("app-wrong-port", REQUEST, _application("REQ015"))
async def wrong_port(lab: Lab) -> None:
    """The application listens on 9090, and nothing in the cluster says so."""
    await lab.set_app(None, Behaviour(port=9090))


@fault("app-loopback-only", REQUEST, _application("REQ015"))
async def loopback_only(lab: Lab) -> None:
    """The application listens on the pod's loopback interface only."""
    await lab.set_app(None, Behaviour(listening=False))


@fault("app-resets", REQUEST, _application("REQ003"))
async def resets(lab: Lab) -> None:
    """The application accepts each connection and drops it without an answer: 502."""
    await lab.set_app(None, Behaviour(reset=True))


@fault("app-loopback-only-outside", REQUEST, _application("REQ015"), asked=FROM_OUTSIDE)
async def loopback_only_outside(lab: Lab) -> None:
    """The same, and the pods cannot be asked from here: the API server's pod proxy tells."""
    await lab.set_app(None, Behaviour(listening=False))


@fault("app-other-port-outside", REQUEST, _application("REQ015"), asked=FROM_OUTSIDE)
async def other_port_outside(lab: Lab) -> None:
    """The application listens on the second port that its pods declare, not on the first."""
    port = {"name": "admin", "containerPort": 9102, "protocol": "TCP"}
    for pod in lab.plan.app:

        def edit(obj: dict[str, Any]) -> None:
            obj["spec"]["containers"][0]["ports"].append(port)

        lab.store.patch("pods", APP, pod.name, edit)
    await lab.set_app(None, Behaviour(port=9102))
