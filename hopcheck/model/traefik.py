"""What Traefik's API tells of its configuration, from v2.11 on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopcheck.model.read import (
    ABSENT,
    Shape,
    each,
    fields,
    lower,
    number,
    strings,
    text,
    texts,
    truth,
)

_COUNTS = fields({
    kind: fields({"total": number, "warnings": number, "errors": number})
    for kind in ("routers", "services", "middlewares")
})  # fmt: skip
_LOADED: Mapping[str, Shape] = {
    "name": text, "provider": text, "status": lower, "error": strings, "usedBy": strings,
    "type": text,
}  # fmt: skip
_ROUTER = fields({
    **_LOADED, "entryPoints": strings, "using": strings, "service": text, "rule": text,
    "ruleSyntax": text, "priority": number, "middlewares": strings,
    "tls": fields({"options": text, "certResolver": text, "passthrough": truth}),
})  # fmt: skip
_SERVICE = fields({
    **_LOADED,
    "loadBalancer": fields({"servers": each(fields({"url": text, "address": text}))}),
    "weighted": fields({"services": each(fields({"name": text, "weight": number}))}),
    "serverStatus": texts,
})  # fmt: skip
_SHAPES: Mapping[str, Shape] = {
    "overview": fields({"http": _COUNTS, "tcp": _COUNTS, "udp": _COUNTS, "providers": strings,
                        "features": fields({})}),
    "entrypoints": fields({"name": text, "address": text, "asDefault": truth,
                           "http": fields({"middlewares": strings, "tls": fields({}),
                                           "redirections": fields({"entryPoint": fields({})})}),
                           "proxyProtocol": fields({}), "transport": fields({})}),
    "routers": _ROUTER,
    "tcp_routers": _ROUTER,
    "services": _SERVICE,
    "middlewares": fields(_LOADED),
}  # fmt: skip


def of_traefik(what: str, answer: Any) -> Any:
    """What the API told of `what` (the field of Replica that holds it), fields of their types.

    A list loses what is no object in it.
    """
    shape = _SHAPES[what]
    if isinstance(answer, list | tuple):
        return tuple(one for one in map(shape, answer) if one is not ABSENT)
    found = shape(answer)
    return {} if found is ABSENT else found
