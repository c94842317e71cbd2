"""Faults of the middlewares that the route names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults import parts
from hopcheck.lab.faults.gallery import INGRESS, Expect, fault
from hopcheck.lab.topology import APP
from hopcheck.lab.topology import INGRESS as NAME

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]


def _middleware(name: str) -> Expect:
    return Expect("ING014", "Middleware", name, APP)


def _use(lab: Lab, name: str, spec: Obj | None) -> None:
    """Let the Ingress use a middleware, and create it where there is a `spec`."""
    if spec is not None:
        lab.store.put(parts.custom("Middleware", name, spec))
    key = f"{parts.PREFIX}/router.middlewares"
    parts.annotate(lab, key, f"{APP}-{name}@kubernetescrd")


@fault("ing-mw-missing", INGRESS, Expect("ING013", "Ingress", NAME, APP))
async def missing(lab: Lab) -> None:
    """The Ingress's annotation names a middleware that does not exist."""
    _use(lab, "compress", None)


@fault("ing-mw-broken", INGRESS, _middleware("login"))
async def secret(lab: Lab) -> None:
    """The Secret of a basicAuth middleware does not exist."""
    _use(lab, "login", {"basicAuth": {"secret": "login-users"}})


@fault("ing-mw-plugin", INGRESS, _middleware("geoblock"))
async def plugin(lab: Lab) -> None:
    """A middleware is of a plugin that this Traefik does not have."""
    _use(lab, "geoblock", {"plugin": {"geoblock": {"allowedCountries": ["KR"]}}})


@fault("ing-mw-chain", INGRESS, _middleware("secured"))
async def chain(lab: Lab) -> None:
    """A chain middleware names one that does not exist."""
    _use(lab, "secured", {"chain": {"middlewares": [{"name": "rate-limit"}]}})


@fault("ing-forwardauth-down", INGRESS, _middleware("auth"))
async def forward_auth_down(lab: Lab) -> None:
    """The service of a forwardAuth middleware does not answer: 500 with an empty body."""
    address = f"http://{lab.plan.stale_address}:8080/verify"
    _use(lab, "auth", {"forwardAuth": {"address": address}})
