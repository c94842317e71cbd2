"""A small asynchronous client of the Kubernetes API: plain JSON, get and list, log and proxy.

Nothing is connected before the first call. Whatever stops all calls (no kubeconfig, a plugin that
fails, an API server that refuses, 401) is found by the first one and settles the others at once,
so that an API that is away costs one timeout, not one a call.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hopcheck import __version__
from hopcheck.collect.ask import Run, Unavailable, in_thread
from hopcheck.collect.kubernetes.credentials import credentials_of, identity_headers, tls_context
from hopcheck.collect.kubernetes.http1 import Answer, HttpClient
from hopcheck.collect.kubernetes.kubeconfig import KubeAccess, load_access
from hopcheck.collect.kubernetes.proxy import proxy_for
from hopcheck.model import Obj, Why
from hopcheck.model.kubernetes import Object, kubernetes_object
from hopcheck.model.redact import redact_text

PAGE = 500
MAX_PAGES = 40
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_BODY_BYTES = 64 * 1024 * 1024
_RETRIES = 3
_CONNECTIONS = 12
_WORDS = 400

Params = Mapping[str, str | int]


class Listing(Struct, frozen=True):
    """The objects of a list; `truncated`: there are more that were not read."""

    items: tuple[Obj, ...]
    truncated: bool = False


class KubeClient:
    """One API server, as one user. Use as an asynchronous context manager, in one event loop.

    Every method raises Unavailable with a typed reason and the server's own words.
    """

    pruned = False  # whether lists hold what is kept of their objects, not the objects themselves

    def __init__(self, run: Run) -> None:
        self.run = run
        self.requests = 0  # sent so far
        self._http: HttpClient | None = None
        self._access: KubeAccess | None = None
        self._broken: Unavailable | None = None
        self._answered = False
        self._opening = asyncio.Lock()

    @property
    def access(self) -> KubeAccess | None:
        """Where the API is, once it is known."""
        return self._access

    @property
    def direct_probes(self) -> bool:
        """Whether pod addresses may be asked from here (--direct-probes; by default in-cluster)."""
        asked = self.run.options.direct_probes
        return asked if asked is not None else bool(self._access and self._access.in_cluster)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def get(
        self, path: str, params: Params | None = None, accept: str = "application/json"
    ) -> Obj:
        """One object."""
        answer = await self._ask(path, params, accept)
        data = answer.json()
        if not isinstance(data, dict):
            raise Unavailable(Why.INVALID, "the answer is no Kubernetes object")
        return data

    async def list(
        self, path: str, params: Params | None = None, *, max_pages: int = MAX_PAGES
    ) -> Listing:
        """All objects of a collection, in pages; begun again once where a page has expired (410).

        apiVersion and kind, which items of a list lack, are set from the list's.
        """
        for attempt in (1, 2):
            try:
                return await self._pages(path, dict(params or {}), max_pages)
            except Unavailable as error:
                if attempt == 2 or not isinstance(error, _Expired):
                    raise
        raise AssertionError  # the loop returns or raises

    async def _pages(self, path: str, params: dict[str, str | int], max_pages: int) -> Listing:
        items: list[Object] = []
        params.setdefault("limit", PAGE)
        for _ in range(max_pages):
            page = await self.get(path, params)
            listed = page.get("items")
            no_list = listed is None and not str(page.get("kind", "")).endswith("List")
            if no_list or not isinstance(listed or [], list):
                raise Unavailable(Why.INVALID, "the answer is no list")
            kind, version = (
                str(page.get("kind", "")).removesuffix("List"),
                str(page.get("apiVersion", "")),
            )
            for given in listed or ():
                item = kubernetes_object(path.rpartition("/")[2], given)
                if item is not None:
                    named = replace(
                        item,
                        kind=item.kind or kind,
                        api_version=item.api_version or version,
                    )
                    items.append(self._kept(named))
            head = page.get("metadata")
            following = head.get("continue") if isinstance(head, dict) else None
            if not following:
                return Listing(tuple(items))
            params["continue"] = str(following)
        return Listing(tuple(items), truncated=True)

    def _kept(self, item: Object) -> Object:
        """What a list holds of one object."""
        return item

    async def log(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        tail_lines: int,
        limit_bytes: int,
        previous: bool = False,
    ) -> tuple[bytes, bool]:
        """A container's last lines with timestamps, and whether `limit_bytes` cut them off.

        The kubelet counts the bytes from the oldest of those lines on: what is cut is the newest.
        """
        params: dict[str, str | int] = {
            "container": container,
            "tailLines": tail_lines,
            "limitBytes": limit_bytes,
            "timestamps": "true",
        }
        if previous:
            params["previous"] = "true"
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
        answer = await self._ask(path, params, "*/*")
        return answer.body, len(answer.body) >= limit_bytes

    async def proxy(
        self,
        resource: str,
        namespace: str,
        name: str,
        port: int | str,
        path: str,
        *,
        params: Params | None = None,
        scheme: str = "",
    ) -> Answer:
        """GET `path` of a pod or Service (`resource` "pods" or "services") by the API's proxy.

        Whatever the far end answers is returned; raises where the API server itself answered
        (DENIED, NOT_FOUND, or UNREACHABLE where it could not connect).
        """
        where = f"{scheme}:{name}:{port}" if scheme else f"{name}:{port}"
        base = f"/api/v1/namespaces/{quote(namespace)}/{resource}/{quote(where, safe=':')}/proxy"
        return await self._ask(base + path, params, "*/*", relayed=True)

    async def _ask(
        self, path: str, params: Params | None, accept: str, *, relayed: bool = False
    ) -> Answer:
        for attempt in range(_RETRIES):
            http = await self._ready()
            limit = min(self.run.options.timeout, self.run.remaining())
            self.requests += 1
            try:
                async with asyncio.timeout(limit):
                    answer = await self._send(http, path, params, accept)
            except TimeoutError:
                raise self._note(Why.TIMED_OUT, f"no answer within {limit:.1f} s") from None
            status = _status(answer)
            if relayed and status is None:
                return msgspec.structs.replace(answer, relayed=True)
            if answer.status == 429 and attempt + 1 < _RETRIES:
                # Spread: all calls of a wave are refused at once, and would be once more.
                wait = _retry_after(answer) + random.random()  # noqa: S311
                if wait < min(self.run.options.timeout, self.run.remaining()):
                    await asyncio.sleep(wait)
                    continue
            if answer.status == 401:
                raise self._note(Why.UNAUTHENTICATED, _words(answer, status))
            self._answered = True
            if 200 <= answer.status < 300:
                return answer
            raise _refusal(answer, status, relayed=relayed)
        raise AssertionError  # the last attempt returns or raises

    def _note(self, why: Why, detail: str) -> Unavailable:
        """The failure; where nothing was ever answered, it is the reason for all later calls."""
        failure = Unavailable(why, detail)
        if not self._answered:
            self._broken = self._broken or failure
        return failure

    async def _ready(self) -> HttpClient:
        if self._broken is None and self._http is None:
            async with self._opening:
                if self._broken is None and self._http is None:
                    try:
                        self._http = await self._open()
                    except Unavailable as failure:
                        self._broken = failure
        if self._broken is not None:
            raise Unavailable(self._broken.why, self._broken.detail)
        if self._http is None:
            raise AssertionError  # opened above, or broken
        return self._http

    async def _open(self) -> HttpClient:
        run = self.run
        limit = min(run.options.timeout, run.remaining())
        try:
            async with asyncio.timeout(limit):
                access = await in_thread(load_access, run.options)
        except TimeoutError:
            raise Unavailable(Why.TIMED_OUT, "the kubeconfig could not be read in time") from None
        self._access = access
        limit = min(run.options.timeout, run.remaining())
        credentials = await credentials_of(access, limit)
        return HttpClient(
            access.server,
            headers=[
                ("User-Agent", f"hopcheck/{__version__}"),
                *identity_headers(access, credentials),
            ],
            tls=tls_context(access, credentials),
            server_name=access.server_name,
            proxy=access.proxy_url or proxy_for(access.server),
            connections=_CONNECTIONS,
        )

    async def _send(
        self, http: HttpClient, path: str, params: Params | None, accept: str
    ) -> Answer:
        try:
            return await http.get(path, params, accept=accept, max_bytes=_BODY_BYTES)
        except Unavailable as failure:
            raise self._note(failure.why, redact_text(failure.detail)) from failure
        except TimeoutError:  # also the system's own, which is an OSError
            raise
        except OSError as error:
            raise self._note(Why.UNREACHABLE, _cause(error)) from error


class _Expired(Unavailable):
    """410: the page asked for is older than what the server keeps."""


def _status(answer: Answer) -> Obj | None:
    """The body where it is a Status of the API server (and not a far end's own answer)."""
    if answer.status < 400 or not answer.body.startswith(b"{"):
        return None
    try:
        data = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return data if isinstance(data, dict) and data.get("kind") == "Status" else None


def _words(answer: Answer, status: Obj | None) -> str:
    if status is not None and status.get("message"):
        return redact_text(str(status["message"]))[:_WORDS]
    text = " ".join(answer.body[:_WORDS].decode("utf-8", "replace").split())
    return redact_text(text or f"HTTP {answer.status}")


def _retry_after(answer: Answer) -> float:
    given = answer.headers.get("retry-after", "")
    return float(given) if given.isdigit() else 1.0


def _refusal(answer: Answer, status: Obj | None, *, relayed: bool) -> Unavailable:
    words = _words(answer, status)
    if answer.status == 410:
        return _Expired(Why.ERROR, words)
    if 300 <= answer.status < 400:
        return Unavailable(
            Why.INVALID, f"HTTP {answer.status}, a redirect: is this the API server?"
        )
    if answer.status == 404 and status is None:
        return Unavailable(Why.NOT_FOUND, "no such API")
    why = {403: Why.DENIED, 404: Why.NOT_FOUND, 429: Why.THROTTLED, 504: Why.TIMED_OUT}.get(
        answer.status, Why.ERROR
    )
    # By the proxy: "error trying to reach service: dial tcp …" (apimachinery's proxy errors).
    if relayed and answer.status in (500, 502, 503):
        why = Why.UNREACHABLE
    return Unavailable(why, words)


def _cause(error: OSError) -> str:
    words = error.strerror or str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        words = f"connection refused: {words}"
    return redact_text(str(words))[:_WORDS]
