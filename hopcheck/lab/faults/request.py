"""Faults of the application itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.faults.gallery import REQUEST, Expect, fault
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.topology import APP, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab


def _application(code: str) -> Expect:
    return Expect(code, "Application", SERVICE, APP)


@fault("app-5xx", REQUEST, _application("REQ001"))
async def server_error(lab: Lab) -> None:
    """The application answers 500 to everything."""
    body = '{"error":"cannot reach the database"}\n'
    await lab.set_app(None, Behaviour(status=500, body=body))


@fault("app-hang", REQUEST, _application("REQ003"))
async def hang(lab: Lab) -> None:
    """The application accepts requests and never answers."""
    await lab.set_app(None, Behaviour(hang=True))


@fault("app-redirect-loop", REQUEST, _application("REQ011"))
async def redirect_loop(lab: Lab) -> None:
    """The application redirects every request to its own URL."""
    await lab.set_app(None, Behaviour(redirect_loop=True))


@fault("app-wrong-port", REQUEST, _application("REQ015"))
async def wrong_port(lab: Lab) -> None:
    """The application listens on 9090, and nothing in the cluster says so."""
    await lab.set_app(None, Behaviour(port=9090))


@fault("app-loopback-only", REQUEST, _application("REQ015"))
async def loopback_only(lab: Lab) -> None:
    """The application listens on the pod's loopback interface only."""
    await lab.set_app(None, Behaviour(listening=False))
