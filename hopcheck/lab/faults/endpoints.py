"""Faults of the application's Service, slices and pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults.gallery import ENDPOINTS, Expect, fault
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.topology import APP, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]


def _service(code: str) -> Expect:
    return Expect(code, "Service", SERVICE, APP)


def _deployment(code: str) -> Expect:
    return Expect(code, "Deployment", "my-app", APP)


def _set_target(lab: Lab, target: int | str) -> None:
    def edit(service: Obj) -> None:
        service["spec"]["ports"][0]["targetPort"] = target

    lab.store.patch("services", APP, SERVICE, edit)


@fault("svc-selector", ENDPOINTS, _service("END001"))
async def selector(lab: Lab) -> None:
    """The selector of the application's Service matches no pod."""

    def edit(service: Obj) -> None:
        service["spec"]["selector"] = {"app": "myapp"}

    lab.store.patch("services", APP, SERVICE, edit)


@fault("svc-targetport-name", ENDPOINTS, _service("END002"))
async def target_port_name(lab: Lab) -> None:
    """The Service's targetPort names a container port that does not exist."""
    _set_target(lab, "web")


@fault("svc-targetport-num", ENDPOINTS, _service("END003"))
async def target_port_number(lab: Lab) -> None:
    """The Service's targetPort is a number on which the pods do not listen."""
    _set_target(lab, 8081)


@fault("ep-none-ready", ENDPOINTS, _deployment("END004"))
async def none_ready(lab: Lab) -> None:
    """The readiness probe fails in every pod of the application."""
    await lab.set_app(None, Behaviour(ready=False))


@fault("ep-crashloop", ENDPOINTS, _deployment("END005"))
async def crash_loop(lab: Lab) -> None:
    """Every pod of the application ends at once: CrashLoopBackOff."""
    log = "panic: DATABASE_URL is not set"
    await lab.set_app(None, Behaviour(exit_code=2, exit_log=log))
