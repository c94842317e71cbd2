"""Faults of the middlewares that the route names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults import parts
from hopcheck.lab.faults.balancer import end_tls
from hopcheck.lab.faults.gallery import INGRESS, Expect, fault
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.topology import APP, HOST, TARGETS_HTTP
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


@fault("ing-mw-provider", INGRESS, Expect("ING013", "Ingress", NAME, APP))
async def without_provider(lab: Lab) -> None:
    """The Ingress's annotation names a middleware without its provider, @kubernetescrd."""
    _use(lab, "compress", {"compress": {}})
    parts.annotate(lab, f"{parts.PREFIX}/router.middlewares", f"{APP}-compress")


@fault("ing-mw-file", INGRESS, Expect("ING013", "Ingress", NAME, APP))
async def of_a_file(lab: Lab) -> None:
    """The Ingress's annotation names a middleware of the file provider, which is not enabled."""
    parts.annotate(lab, f"{parts.PREFIX}/router.middlewares", "secure-headers@file")


@fault("ing-mw-invalid", INGRESS, _middleware("moved"))
async def invalid(lab: Lab) -> None:
    """The regular expression of a redirectRegex middleware cannot be compiled."""
    target = "https://new.example.org/"
    _use(lab, "moved", {"redirectRegex": {"regex": "^https://(old", "replacement": target}})


@fault("ing-mw-alters", INGRESS, _middleware("host"), asked=(f"https://{HOST}/status",))
async def alters(lab: Lab) -> None:
    """A headers middleware writes another Host, which the application does not know: its 404."""
    await lab.set_app(None, Behaviour(only_host=HOST))
    _use(lab, "host", {"headers": {"customRequestHeaders": {"Host": "internal.example.net"}}})


@fault("ing-forwardauth-errs", INGRESS, _middleware("auth"))
async def forward_auth_errs(lab: Lab) -> None:
    """The service of a forwardAuth middleware answers 503 with words of its own."""
    parts.second_app(lab)
    pod = lab.plan.app[1]
    await lab.set_app(pod.name, Behaviour(status=503, body="session store is down"))
    address = f"http://{pod.address}:{pod.ports['http']}/verify"
    _use(lab, "auth", {"forwardAuth": {"address": address}})


@fault("ing-mw-redirect-loop", INGRESS, _middleware("to-https"))
async def redirect_loop(lab: Lab) -> None:
    """The NLB ends TLS, and a redirectScheme middleware sends everything to https."""
    end_tls(lab, TARGETS_HTTP)
    _use(lab, "to-https", {"redirectScheme": {"scheme": "https", "permanent": True}})


@fault("ing-forwardauth-down", INGRESS, _middleware("auth"))
async def forward_auth_down(lab: Lab) -> None:
    """The service of a forwardAuth middleware does not answer: 500 with an empty body."""
    address = f"http://{lab.plan.stale_address}:8080/verify"
    _use(lab, "auth", {"forwardAuth": {"address": address}})
