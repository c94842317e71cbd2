"""What Traefik's API tells of its configuration, from v2.11 on."""

from __future__ import annotations

from typing import Any

from msgspec import field
from msgspec.structs import replace

from hopcheck.model.read import Entry, Thing, read, read_all


class Overview(Thing, frozen=True):
    """``/api/overview``."""

    http: dict[str, Any] | None = None
    tcp: dict[str, Any] | None = None
    udp: dict[str, Any] | None = None
    providers: tuple[str, ...] = ()


class EntryPointRedirect(Thing, frozen=True):
    to: str = ""
    priority: int | None = None


class EntryPointRedirections(Thing, frozen=True):
    entry_point: EntryPointRedirect | None = None


class EntryPointHttp(Thing, frozen=True):
    middlewares: tuple[str, ...] = ()
    tls: dict[str, Any] | None = None
    redirections: EntryPointRedirections | None = None


class ListedEntryPoint(Thing, frozen=True):
    """An entryPoint of ``/api/entrypoints``."""

    name: str = ""
    address: str = ""
    as_default: bool = False
    http: EntryPointHttp | None = None
    proxy_protocol: dict[str, Any] | None = None


class Loaded(Entry, frozen=True):
    name: str = ""
    provider: str = ""
    status: str = ""
    error: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    type: str = ""


class RouterTls(Thing, frozen=True):
    options: str = ""
    cert_resolver: str = ""
    passthrough: bool = False


class Router(Loaded, frozen=True):
    entry_points: tuple[str, ...] = ()
    using: tuple[str, ...] = ()
    service: str = ""
    rule: str = ""
    rule_syntax: str = ""
    priority: int | None = None
    middlewares: tuple[str, ...] = ()
    tls: RouterTls | None = None


class Server(Thing, frozen=True):
    url: str = ""
    address: str = ""
    weight: int | None = None


class ServersLoadBalancer(Thing, frozen=True):
    """The servers of a service; None: the API shows no such list."""

    servers: tuple[Server, ...] | None = None


class WeightedPart(Thing, frozen=True):
    name: str = ""
    weight: int | None = None


class WeightedParts(Thing, frozen=True):
    services: tuple[WeightedPart, ...] = ()


class LoadedService(Loaded, frozen=True):
    load_balancer: ServersLoadBalancer | None = None
    server_status: dict[str, str] = field(default_factory=dict)  # "UP" or "DOWN", by URL
    weighted: WeightedParts | None = None


class LoadedMiddleware(Loaded, frozen=True):
    """A middleware."""


_SHAPES: dict[str, type[Thing]] = {
    "overview": Overview,
    "entrypoints": ListedEntryPoint,
    "routers": Router,
    "tcp_routers": Router,
    "services": LoadedService,
    "middlewares": LoadedMiddleware,
}


def of_traefik(what: str, answer: Any) -> Any:
    """What the API told of `what` (the field of Replica that holds it), fields of their types.

    A list loses what is no object in it; what is no list and no object tells nothing. The case
    of a status says nothing.
    """
    shape = _SHAPES[what]
    if isinstance(answer, list | tuple):
        return tuple(map(_lower, read_all(shape, answer)))
    return read(shape, answer) or shape()


def _lower(one: Thing) -> Thing:
    if isinstance(one, Loaded) and not one.status.islower():
        return replace(one, status=one.status.lower())
    return one
