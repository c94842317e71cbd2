"""Get, list and watch, in the form the client accepts: objects, their metadata, or Tables."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from hopcheck.lab.apiserver.errors import ApiError, whole_number
from hopcheck.lab.apiserver.kinds import Resource
from hopcheck.lab.apiserver.selectors import Predicate, field_predicate, label_predicate
from hopcheck.lab.apiserver.store import Event, Store
from hopcheck.lab.apiserver.tables import partial, table

Obj = dict[str, Any]

_MEDIA_TYPES = ("application/json", "application/*", "*/*")
_NOT_ACCEPTABLE = (
    "only the following media types are accepted: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf"
)
_BOOKMARK_SECONDS = 60.0
_WATCH_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Form:
    """What the client wants: `kind` is Table, Partial or Object; `whole` is of a Table's rows."""

    kind: str
    resource: Resource
    whole: bool = False

    @classmethod
    def of(cls, request: web.Request, resource: Resource) -> Form:
        """The first form of the Accept header that this server can produce.

        ApiError 406 where there is none: a version of metav1 that is none is not taken for v1.
        """
        whole = request.query.get("includeObject") == "Object"
        for part in (request.headers.get("Accept") or "*/*").split(","):
            media, *rest = (word.strip() for word in part.split(";"))
            if media not in _MEDIA_TYPES:
                continue
            asked = dict(word.partition("=")[::2] for word in rest)
            if "as" not in asked:
                return cls("Object", resource)
            if (asked.get("g"), asked.get("v")) != ("meta.k8s.io", "v1"):
                continue
            if asked["as"] == "Table":
                return cls("Table", resource, whole)
            if asked["as"] in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                return cls("Partial", resource)
        raise ApiError(406, _NOT_ACCEPTABLE)

    def one(self, obj: Obj) -> Obj:
        """A single object, or an event's."""
        if self.kind == "Table":
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return table(self.resource.plural, [obj], metadata, whole=self.whole)
        return partial(obj) if self.kind == "Partial" else obj

    def many(self, objects: list[Obj], metadata: Obj) -> Obj:
        """A list. The items of built-in kinds carry neither kind nor apiVersion, as in life."""
        if self.kind == "Table":
            return table(self.resource.plural, objects, metadata, whole=self.whole)
        if self.kind == "Partial":
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            items = [partial(obj) for obj in objects]
        else:
            kind, version = f"{self.resource.kind}List", self.resource.api_version
            items = objects if self.resource.custom else [_bare(obj) for obj in objects]
        return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}


def _bare(obj: Obj) -> Obj:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


def encoded(value: Any) -> bytes:
    """JSON, as bytes."""
    return msgspec.json.encode(value)


def selection(query: Mapping[str, str], resource: Resource, namespace: str, name: str) -> Predicate:
    """The predicate of a request's namespace, name and selectors."""
    tests: list[Predicate] = []
    if namespace and resource.namespaced:
        tests.append(lambda obj: obj["metadata"].get("namespace") == namespace)
    if name:
        tests.append(lambda obj: obj["metadata"]["name"] == name)
    if text := query.get("labelSelector"):
        tests.append(label_predicate(text))
    if text := query.get("fieldSelector"):
        tests.append(field_predicate(text, resource.plural))
    return lambda obj: all(test(obj) for test in tests)


def listed(store: Store, form: Form, query: Mapping[str, str], namespace: str) -> Obj:
    """The answer to a list; ApiError 410 for a continue token from before a compaction."""
    resource = form.resource
    objects, version = store.snapshot(resource.key, namespace or None)
    chosen = selection(query, resource, namespace, "")
    found = [obj for obj in objects if chosen(obj)]
    metadata: Obj = {"resourceVersion": str(version)}
    limit = whole_number(query, "limit") or 0
    token = query.get("continue", "")
    if token:
        version, after = _position(token)
        if version < store.compacted:
            message = (
                "The provided continue parameter is too old to display a consistent list result. "
                "You must start a new list without the continue parameter."
            )
            raise ApiError(410, message)
        metadata["resourceVersion"] = str(version)
        found = [obj for obj in found if _place(obj) > after]
    # The watch cache answers resourceVersion=0, and it does not page.
    if limit and query.get("resourceVersion") != "0" and len(found) > limit:
        metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
        metadata["continue"] = _token(version, _place(found[-1]))
    return form.many(found, metadata)


def _place(obj: Obj) -> list[str]:
    return [obj["metadata"].get("namespace", ""), obj["metadata"]["name"]]


def _token(version: int, place: list[str]) -> str:
    return base64.urlsafe_b64encode(encoded([version, place])).decode()


def _position(token: str) -> tuple[int, list[str]]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token), type=tuple[int, list[str]])
    except (binascii.Error, msgspec.DecodeError, ValueError) as broken:
        raise ApiError(400, f"continue key is not valid: {broken}") from broken


class Watches:
    """The open watches of a server; each reads the store's history at its own pace."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        store.subscribe(self._changed)

    def start(self) -> None:
        """Serve on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._stopping = False

    def stop(self) -> None:
        """End all watches."""
        self._stopping = True
        self._wake()
        self._loop = None

    @property
    def stopping(self) -> bool:
        """Whether open streams should end."""
        return self._stopping

    def _changed(self, _type: str, _obj: Obj) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._open:
            event.set()

    async def serve(
        self, request: web.Request, form: Form, namespace: str, name: str
    ) -> web.StreamResponse:
        """Answer a watch until the client leaves, its time is over or the server stops."""
        query = request.query
        chosen = selection(query, form.resource, namespace, name)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        stream = _Stream(
            response, form, chosen, bookmarks=query.get("allowWatchBookmarks") == "true"
        )
        cursor = await self._begin(stream, query, namespace)
        if cursor < self._store.compacted:
            await self._refuse(stream, cursor)
            return response
        ends = time.monotonic() + (whole_number(query, "timeoutSeconds") or _WATCH_SECONDS)
        changed = asyncio.Event()
        self._open.add(changed)
        try:
            with contextlib.suppress(ConnectionResetError):  # the watcher is gone
                await self._follow(stream, cursor, changed, ends)
        finally:
            self._open.discard(changed)
        return response

    async def _begin(self, stream: _Stream, query: Mapping[str, str], namespace: str) -> int:
        version = whole_number(query, "resourceVersion") or 0
        initial = query.get("sendInitialEvents")
        if initial == "false" and version == 0:
            return self._store.version
        if version != 0 and initial != "true":
            return version
        objects, now = self._store.snapshot(stream.form.resource.key, namespace or None)
        for obj in objects:
            if stream.chosen(obj):
                await stream.send("ADDED", obj)
        if initial == "true" and stream.bookmarks:
            await stream.bookmark(now, {"k8s.io/initial-events-end": "true"})
        return now

    async def _refuse(self, stream: _Stream, cursor: int) -> None:
        message = f"too old resource version: {cursor} ({self._store.compacted})"
        await stream.send_raw("ERROR", ApiError(410, message).status())

    async def _follow(
        self, stream: _Stream, cursor: int, changed: asyncio.Event, ends: float
    ) -> None:
        while not self._stopping:
            changed.clear()
            news = self._store.events_after(cursor)
            if news is None:
                await self._refuse(stream, cursor)
                return
            events, cursor = news
            for event in events:
                await stream.change(event)
            left = ends - time.monotonic()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(changed.wait(), min(left, _BOOKMARK_SECONDS))
            except TimeoutError:
                if stream.bookmarks:
                    await stream.bookmark(cursor, None)


@dataclass(slots=True)
class _Stream:
    response: web.StreamResponse
    form: Form
    chosen: Callable[[Obj], bool]
    bookmarks: bool

    async def change(self, event: Event) -> None:
        """Tell of a change as it looks through the watch's selector."""
        if event.resource != self.form.resource.key:
            return
        was = event.old is not None and self.chosen(event.old)
        is_ = event.type != "DELETED" and self.chosen(event.obj)
        if is_:
            await self.send("MODIFIED" if was else "ADDED", event.obj)
        elif was:
            await self.send("DELETED", event.obj)

    async def send(self, kind: str, obj: Obj) -> None:
        await self.send_raw(kind, self.form.one(obj))

    async def bookmark(self, version: int, annotations: dict[str, str] | None) -> None:
        metadata: Obj = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        resource = self.form.resource
        mark: Obj = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": metadata,
        }
        if self.form.kind == "Table":
            mark = table(resource.plural, [], metadata)
        elif self.form.kind == "Partial":
            mark = partial(mark)
        await self.send_raw("BOOKMARK", mark)

    async def send_raw(self, kind: str, obj: Obj) -> None:
        await self.response.write(encoded({"type": kind, "object": obj}) + b"\n")
