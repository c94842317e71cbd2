"""A small asynchronous client of the Kubernetes API: plain JSON, get and list, log and proxy.

Nothing is connected before the first call. Whatever stops all calls (no kubeconfig, a plugin that
fails, an API server that refuses, 401) is found by the first one and settles the others at once,
so that an API that is away costs one timeout, not one a call.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import zlib
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.collect.ask import Run, Unavailable, barred, without_raw
from hopcheck.collect.kubernetes.credentials import Access, client_of, open_api
from hopcheck.collect.kubernetes.kept import prune
from hopcheck.model import Why
from hopcheck.model.kubernetes import Object, kubernetes_object
from hopcheck.model.read import decoded
from hopcheck.model.redact import redact_text

if TYPE_CHECKING:
    import httpx

PAGE = 500
MAX_PAGES = 40
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_BODY_BYTES = 32 * 1024 * 1024
_RETRIES = 3
_PASSING = (500, 502, 503)  # what an API server, or what is before it, says for a moment
_WORDS = 400
_GZIP = 31  # zlib's window bits for a gzip header

Params = Mapping[str, str | int]


class Listing(Struct, frozen=True):
    """The objects of a list; `truncated`: there are more that were not read."""

    items: tuple[Any, ...]  # of their kinds
    truncated: bool = False


class Answer(Struct, frozen=True):
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises Unavailable(INVALID)."""
        try:
            return decoded(self.body)
        except ValueError as error:
            raise Unavailable(Why.INVALID, f"the answer is no JSON: {error}") from error


class KubeClient:
    """One API server, as one user. Use as an asynchronous context manager, in one event loop.

    Every method raises Unavailable with a typed reason and the server's own words.
    """

    pruned = False  # whether lists hold what is kept of their objects, not the objects themselves

    def __init__(self, run: Run) -> None:
        self.run = run
        self.requests = 0  # sent so far
        self._http: httpx.AsyncClient | None = None
        self._plain: httpx.AsyncClient | None = None
        self.access: Access | None = None  # where the API is, once it is known
        self._broken: Unavailable | None = None
        self._answered = False
        self._accepted = True  # what was loaded last: until a 401 says otherwise
        self._renounced: list[httpx.AsyncClient] = []  # calls may still be under way
        self._opening = asyncio.Lock()
        # By namespace and subresource of pods: that the role forbids it, None where it does not.
        self._forbidden: dict[tuple[str, str], Unavailable | None] = {}
        self._first: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def direct_probes(self) -> bool:
        """Whether pod addresses may be asked from here (--direct-probes; by default in-cluster)."""
        asked = self.run.options.direct_probes
        return asked if asked is not None else bool(self.access and self.access.in_cluster)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for client in (self._http, self._plain, *self._renounced):
            if client is not None:
                await client.aclose()
        self._http = self._plain = None

    async def get(
        self, path: str, params: Params | None = None, accept: str = "application/json"
    ) -> dict[str, Any]:
        """One object, as plain JSON."""
        answer = await self._ask(path, params, accept)
        data: Any = answer.json()
        if not isinstance(data, dict):
            raise Unavailable(Why.INVALID, "the answer is no Kubernetes object")
        return data

    async def list(
        self, path: str, params: Params | None = None, *, max_pages: int = MAX_PAGES
    ) -> Listing:
        """All objects of a collection, in pages; begun again once where a page has expired (410).

        apiVersion and kind, which items of a list lack, are set from the list's.
        """
        try:
            return await self._pages(path, dict(params or {}), max_pages)
        except _Expired:
            return await self._pages(path, dict(params or {}), max_pages)

    async def _pages(self, path: str, params: dict[str, str | int], max_pages: int) -> Listing:
        items: list[Object] = []
        params.setdefault("limit", PAGE)
        for _ in range(max_pages):
            page = await self.get(path, params)
            listed = page.get("items")
            no_list = listed is None and not str(page.get("kind", "")).endswith("List")
            if no_list or not isinstance(listed or [], list):
                raise Unavailable(Why.INVALID, "the answer is no list")
            kind = str(page.get("kind", "")).removesuffix("List")
            version = str(page.get("apiVersion", ""))
            for given in listed or ():
                item = kubernetes_object(path.rpartition("/")[2], given)
                if item is not None:
                    item = replace(
                        item, kind=item.kind or kind, api_version=item.api_version or version
                    )
                    items.append(prune(item) if self.pruned else item)
            head = page.get("metadata")
            following = head.get("continue") if isinstance(head, dict) else None
            if not following:
                return Listing(tuple(items))
            params["continue"] = str(following)
        return Listing(tuple(items), truncated=True)

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
        answer = await self._of_pod(namespace, quote(pod), "log", "", params)
        return answer.body, len(answer.body) >= limit_bytes

    async def proxy(
        self, namespace: str, pod: str, port: int, path: str, *, params: Params | None = None
    ) -> Answer:
        """GET `path` of a pod by the API's proxy.

        Whatever the far end answers is returned; raises where the API server itself answered
        (DENIED, NOT_FOUND, or UNREACHABLE where it could not connect).
        """
        return await self._of_pod(namespace, f"{quote(pod)}:{port}", "proxy", path, params)

    async def _of_pod(
        self, namespace: str, pod: str, what: str, path: str, params: Params | None
    ) -> Answer:
        """A pod's log, or what is behind its proxy; where a role forbids that, it is asked once.

        Each refusal is a line in the cluster's audit log.
        """
        url, key = (
            f"/api/v1/namespaces/{quote(namespace)}/pods/{pod}/{what}{path}",
            (namespace, what),
        )
        async with self._first[key]:
            if key not in self._forbidden:
                try:
                    answer = await self._ask(url, params, "*/*", relayed=what == "proxy")
                except Unavailable as failure:
                    self._forbidden[key] = failure if failure.why is Why.DENIED else None
                    raise
                except asyncio.CancelledError:  # who asked has no time left; a role is no wait
                    self._forbidden[key] = None
                    raise
                self._forbidden[key] = None
                return answer
        if (refused := self._forbidden[key]) is not None:
            raise Unavailable(refused.why, refused.detail)
        return await self._ask(url, params, "*/*", relayed=what == "proxy")

    async def direct(
        self, address: str, port: int, path: str, *, params: Params | None = None
    ) -> Answer:
        """GET `path` of a pod's own address, by plain HTTP and no proxy. Raises Unavailable."""
        if barred(address):
            words = "nothing is sent to link-local and metadata addresses"
            raise Unavailable(Why.NOT_REACHABLE_FROM_HERE, words)
        if self._plain is None:
            self._plain = client_of(Access("http://pod"), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        host = f"[{address}]" if ":" in address else address
        limit = min(self.run.options.timeout, self.run.remaining())
        try:
            async with self.run.limit(limit):
                return await _fetch(self._plain, f"http://{host}:{port}{path}", params, "*/*")
        except TimeoutError:
            raise Unavailable(Why.TIMED_OUT, f"no answer within {limit:.1f} s") from None

    async def _ask(
        self, path: str, params: Params | None, accept: str, *, relayed: bool = False
    ) -> Answer:
        for attempt in range(_RETRIES):
            http = await self._ready()
            limit = min(self.run.options.timeout, self.run.remaining())
            self.requests += 1
            try:
                async with self.run.limit(limit):
                    answer = await self._send(http, path, params, accept)
            except TimeoutError:
                raise self._note(Why.TIMED_OUT, f"no answer within {limit:.1f} s") from None
            status = _status(answer)
            if relayed and status is None:
                return answer
            last = attempt + 1 == _RETRIES
            if answer.status == 401:
                if not last and await self._renewed(http):
                    continue
                raise self._note(Why.UNAUTHENTICATED, _words(answer, status))
            self._accepted = True
            passing = answer.status == 429 or (answer.status in _PASSING and not relayed)
            if passing and not last:
                # Spread: all calls of a wave are refused at once, and would be once more.
                wait = _retry_after(answer) + random.random()  # noqa: S311
                if wait < min(self.run.options.timeout, self.run.remaining()):
                    await asyncio.sleep(wait)
                    continue
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

    async def _ready(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._broken is None and self._http is None:
                try:
                    self.access, self._http = await open_api(self.run)
                except Unavailable as failure:
                    self._broken = failure
        if self._broken is not None:
            raise Unavailable(self._broken.why, self._broken.detail)
        if self._http is None:
            raise AssertionError  # opened above, or broken
        return self._http

    async def _renewed(self, refused: httpx.AsyncClient) -> bool:
        """Whether there is something else to show than what `refused` showed.

        A token may expire within the run of many hosts: what was accepted is loaded again, once.
        """
        async with self._opening:
            if self._http is not refused:
                return self._http is not None
            if not self._accepted:
                return False
            self._accepted = False
            try:
                access, http = await open_api(self.run)
            except Unavailable:
                return False  # the 401 is the reason
            same = self.access is not None and self.access.authorization == access.authorization
            if same and access.client_cert is None:
                await http.aclose()
                return False
            self._renounced.append(refused)
            self.access, self._http = access, http
            return True

    async def _send(
        self, http: httpx.AsyncClient, path: str, params: Params | None, accept: str
    ) -> Answer:
        try:
            try:
                return await _fetch(http, path, params, accept)
            except _Dropped:
                # A server may close a connection as it is used again, or restart: once more.
                return await _fetch(http, path, params, accept)
        except Unavailable as failure:
            raise self._note(failure.why, failure.detail) from failure


class _Dropped(Unavailable):
    """The server closed the connection before the answer was whole."""


class _Expired(Unavailable):
    """410: the page asked for is older than what the server keeps."""


def _status(answer: Answer) -> dict[str, Any] | None:
    """The body where it is a Status of the API server (and not a far end's own answer)."""
    if answer.status < 400 or not answer.body.startswith(b"{"):
        return None
    try:
        data = decoded(answer.body)
    except ValueError:
        return None
    return data if isinstance(data, dict) and data.get("kind") == "Status" else None


def _words(answer: Answer, status: Mapping[str, Any] | None) -> str:
    if status is not None and status.get("message"):
        return redact_text(str(status["message"]))[:_WORDS]
    text = " ".join(answer.body[:_WORDS].decode("utf-8", "replace").split())
    return redact_text(text or f"HTTP {answer.status}")


def _retry_after(answer: Answer) -> float:
    given = answer.headers.get("retry-after", "")
    return float(given) if given.isdigit() else 1.0


def _refusal(answer: Answer, status: Mapping[str, Any] | None, *, relayed: bool) -> Unavailable:
    words = _words(answer, status)
    if answer.status == 410:
        return _Expired(Why.ERROR, words)
    if 300 <= answer.status < 400:
        words = f"HTTP {answer.status}, a redirect: is this the API server?"
        return Unavailable(Why.INVALID, words)
    if status is None and "html" in answer.headers.get("content-type", ""):
        words = f"HTTP {answer.status}, a page: it is not the API server that says it"
        return Unavailable(Why.INVALID, words)
    if answer.status == 404 and status is None:
        return Unavailable(Why.NOT_FOUND, "no such API")
    why = {403: Why.DENIED, 404: Why.NOT_FOUND, 429: Why.THROTTLED, 504: Why.TIMED_OUT}.get(
        answer.status, Why.ERROR
    )
    # By the proxy: "error trying to reach service: dial tcp …" (apimachinery's proxy errors).
    if relayed and answer.status in (500, 502, 503):
        why = Why.UNREACHABLE
    return Unavailable(why, words)


async def _fetch(http: httpx.AsyncClient, url: str, params: Params | None, accept: str) -> Answer:
    """One answer, whatever its status. Raises Unavailable; a TimeoutError is the caller's."""
    import httpx

    try:
        headers = {"Accept": accept}
        async with http.stream("GET", url, params=params or None, headers=headers) as response:
            body = await _body(response)
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        # Of a header that cannot be sent httpx tells the value.
        words = "a header" if "header value" in str(error) else redact_text(str(error))
        raise Unavailable(Why.MISCONFIGURED, f"no valid request: {words}") from error
    except httpx.ProxyError as error:
        detail = f"the proxy refused the connection: HTTP {error}"
        raise Unavailable(Why.UNREACHABLE, redact_text(detail)) from error
    except httpx.RemoteProtocolError as error:
        if "disconnected" in str(error):  # before the first byte
            raise _Dropped(Why.UNREACHABLE, str(error)) from error
        words = f"not HTTP: {without_raw(str(error))}"
        raise Unavailable(Why.INVALID, redact_text(words)[:_WORDS]) from error
    except httpx.TransportError as error:
        cause = _cause(error)
        if isinstance(cause, TimeoutError):  # the system's own
            raise TimeoutError from error
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            # The network is well: somebody is there whom the kubeconfig does not vouch for.
            raise Unavailable(Why.INVALID, _said(cause)) from error
        dropped = isinstance(error, httpx.ReadError | httpx.WriteError)
        raise (_Dropped if dropped else Unavailable)(Why.UNREACHABLE, _said(cause)) from error
    return Answer(response.status_code, dict(response.headers), body)


async def _body(response: httpx.Response) -> bytes:
    """The body, unpacked and bounded. Raises Unavailable(INVALID) where it is longer or broken."""
    packed = response.headers.get("content-encoding") == "gzip"
    unpack = zlib.decompressobj(_GZIP) if packed else None
    body = bytearray()
    async for data in response.aiter_raw():
        try:
            body += unpack.decompress(data, _BODY_BYTES + 1 - len(body)) if unpack else data
        except zlib.error as error:
            raise Unavailable(Why.INVALID, f"broken gzip: {error}") from error
        if len(body) > _BODY_BYTES:
            raise Unavailable(Why.INVALID, f"the answer is larger than {_BODY_BYTES >> 20} MiB")
    return bytes(body)


def _cause(error: BaseException) -> BaseException:
    """The system's or OpenSSL's error, below those of the libraries in between."""
    while (below := error.__cause__ or error.__context__) is not None:  # httpcore raises from None
        error = below
        if isinstance(error, BaseExceptionGroup):  # several addresses: the first one's
            error = error.exceptions[0]
    return error


def _said(error: BaseException) -> str:
    words = getattr(error, "strerror", None) or str(error) or "the connection was closed"
    if isinstance(error, ConnectionRefusedError):
        words = f"connection refused: {words}"
    return redact_text(str(words))[:_WORDS]
