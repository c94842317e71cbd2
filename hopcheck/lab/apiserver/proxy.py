"""pods/proxy and services/proxy: the request is sent on to the pod's own address."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from hopcheck.lab.apiserver.errors import ApiError, not_found
from hopcheck.lab.apiserver.store import Store

Obj = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=30.0, sock_connect=10.0)
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The API server keeps the caller's credentials to itself.
_NOT_SENT = _HOP_BY_HOP | {"authorization", "content-length"}
# aiohttp has taken the content coding off; length and coding no longer hold.
_NOT_ANSWERED = _HOP_BY_HOP | {"content-length", "content-encoding"}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the request goes."""

    scheme: str
    address: str
    port: int


def split(name: str) -> tuple[str, str, str]:
    """`[scheme:]name[:port]` as scheme ("" where not given), name and port."""
    parts = name.split(":")
    if len(parts) == 3 and parts[0] in ("http", "https", ""):
        return parts[0], parts[1], parts[2]
    if len(parts) == 2:
        return "", parts[0], parts[1]
    if len(parts) == 1:
        return "", name, ""
    raise ApiError(400, f'invalid service request "{name}"')


def pod_destination(store: Store, namespace: str, name: str) -> Destination:
    """The address that a pods/proxy request names; the first container port by default."""
    scheme, pod_name, port = split(name)
    pod = store.get("pods", namespace, pod_name)
    if pod is None:
        raise not_found("pods", "", pod_name)
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise ApiError(400, "address not allowed")
    if not port:
        ports = [p for c in pod["spec"].get("containers", []) for p in c.get("ports", [])]
        port = str(ports[0]["containerPort"]) if ports else "80"
    if not port.isdigit():
        raise ApiError(400, f'invalid pod request "{name}"')
    return Destination(scheme or "http", address, int(port))


def service_destination(store: Store, namespace: str, name: str) -> Destination:
    """A ready endpoint, chosen at random, of the port that a services/proxy request names."""
    scheme, service_name, port = split(name)
    service = store.get("services", namespace, service_name)
    if service is None:
        raise not_found("services", "", service_name)
    ports = service["spec"].get("ports") or []
    wanted = [p for p in ports if not port or port in (p.get("name", ""), str(p["port"]))]
    if not wanted or (not port and len(ports) > 1 and all(p.get("name") for p in ports)):
        raise ApiError(503, f'no service port "{port}" found for service "{service_name}"')
    ready = list(_ready(store, namespace, service_name, wanted[0].get("name", "")))
    if not ready:
        raise ApiError(503, f'no endpoints available for service "{name}"')
    address, number = random.choice(ready)  # noqa: S311  # any endpoint will do
    return Destination(scheme or "http", address, number)


def _ready(store: Store, namespace: str, service: str, port: str) -> Iterable[tuple[str, int]]:
    slices = store.list("endpointslices", namespace, {"kubernetes.io/service-name": service})
    for item in slices:
        numbers = [p["port"] for p in item.get("ports") or [] if p.get("name", "") == port]
        for endpoint in item.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield from ((endpoint["addresses"][0], number) for number in numbers)


async def forward(
    session: aiohttp.ClientSession, request: web.Request, to: Destination, path: str
) -> web.StreamResponse:
    """Send the request on and answer what comes back; ApiError 503 where nothing does."""
    if not path and request.method in ("GET", "HEAD"):
        query = f"?{request.query_string}" if request.query_string else ""
        return web.Response(status=301, headers={"Location": f"{request.rel_url.raw_path}/{query}"})
    host = f"[{to.address}]" if ":" in to.address else to.address
    query = f"?{request.query_string}" if request.query_string else ""
    url = f"{to.scheme}://{host}:{to.port}{path}{query}"
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_SENT}
    try:
        async with session.request(
            request.method,
            URL(url, encoded=True),
            headers=headers,
            data=await request.read() or None,
            allow_redirects=False,
            ssl=False,
            timeout=_TIMEOUT,
        ) as answer:
            kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _NOT_ANSWERED]
            body = await answer.read()
            return web.Response(status=answer.status, headers=kept, body=body)
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as failure:
        message = f"error trying to reach service: {_reason(failure, host, to.port)}"
        raise ApiError(503, message) from failure


def _reason(failure: Exception, host: str, port: int) -> str:
    """The failure in the words of Go's net package."""
    if isinstance(failure, TimeoutError):
        return f"dial tcp {host}:{port}: i/o timeout"
    if isinstance(failure, aiohttp.ClientConnectorError):
        cause = failure.os_error
        refused = isinstance(cause, ConnectionRefusedError)
        words = "connection refused" if refused else (cause.strerror or str(cause)).lower()
        return f"dial tcp {host}:{port}: connect: {words}"
    if isinstance(failure, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(failure, aiohttp.ClientOSError):
        return f"read tcp {host}:{port}: read: {(failure.strerror or str(failure)).lower()}"
    # Whoever speaks TLS or HTTP/2 answers with bytes that are no HTTP/1.
    return f"net/http: HTTP/1.x transport connection broken: malformed HTTP response ({failure})"
