"""The objects of the cluster, their versions and the history that watches read.

Stored objects are never changed in place: what callbacks and watches hold stays as it was.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hopcheck.lab.apiserver.defaults import set_defaults
from hopcheck.lab.apiserver.kinds import BY_KEY, BY_KIND, Resource
from hopcheck.lab.apiserver.managed import managed
from hopcheck.lab.apiserver.selectors import matches

Obj = dict[str, Any]
Callback = Callable[[str, Obj], None]

# Kinds whose spec the API server does not count in metadata.generation.
_WITHOUT_GENERATION = frozenset({"services", "nodes", "namespaces", "events"})
_HISTORY = 8192


@dataclass(frozen=True, slots=True)
class Event:
    """One change: `type` is ADDED, MODIFIED or DELETED; `old` is the object before it."""

    version: int
    type: str
    resource: str
    obj: Obj
    old: Obj | None


def timestamp(moment: float | None = None) -> str:
    """A time in the API's form, whole seconds, UTC; now unless a POSIX time is given."""
    at = time.time() if moment is None else moment
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def copied(value: Any) -> Any:
    """A deep copy of plain JSON (several times faster than copy.deepcopy)."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


class Store:
    """Objects by resource, namespace and name ("" for what has no namespace); thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._objects: dict[str, dict[tuple[str, str], Obj]] = {}
        self._version = 1000
        self._compacted = self._forgotten = self._version
        self._history: deque[Event] = deque()
        self._callbacks: list[Callback] = []
        self._pending: deque[Event] = deque()
        self._delivering = False

    @property
    def version(self) -> int:
        """The resourceVersion of the latest change."""
        return self._version

    @property
    def compacted(self) -> int:
        """New watches and continue tokens older than this resourceVersion are answered with 410."""
        return self._compacted

    def compact(self) -> None:
        """Refuse older versions from now on, as etcd does; watches that are open go on."""
        with self._lock:
            self._version += 1
            self._compacted = self._version

    def put(
        self,
        obj: Obj,
        manager: str = "kubectl-client-side-apply",
        *,
        operation: str = "Update",
        applied: Obj | None = None,
    ) -> Obj:
        """Create or replace an object; the stored object is returned, as a copy.

        Sets uid, creationTimestamp (unless given), resourceVersion, generation, managedFields
        and the API server's defaults; creates the namespace where it is missing. An object that
        would not change is left as it is, without an event. ValueError for a kind that the
        server does not know. `applied` is what a server-side apply sent (operation "Apply").
        """
        resource = BY_KIND.get((obj.get("apiVersion", ""), obj.get("kind", "")))
        if resource is None:
            raise ValueError(f"unknown kind: {obj.get('apiVersion')} {obj.get('kind')}")
        new = copied(obj)
        metadata = new.setdefault("metadata", {})
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        else:
            metadata.pop("namespace", None)
        with self._lock:
            if resource.namespaced and not self._raw("namespaces", "", metadata["namespace"]):
                self.put(
                    {
                        "apiVersion": "v1",
                        "kind": "Namespace",
                        "metadata": {"name": metadata["namespace"]},
                    }
                )
            stored = self._write(resource, new, manager, operation, applied)
            self._deliver()
            return copied(stored)  # type: ignore[no-any-return]

    def patch(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        change: Callable[[Obj], None],
        manager: str = "kubectl-edit",
    ) -> Obj:
        """Change an object with a function that edits it in place; LookupError without one."""
        with self._lock:
            obj = self.get(resource, namespace, name)
            if obj is None:
                raise LookupError(f"no such object: {resource} {namespace}/{name}")
            change(obj)
            return self.put(obj, manager)

    def delete(self, resource: str, namespace: str | None, name: str) -> None:
        """Delete an object, and with a namespace what is in it; LookupError without one."""
        with self._lock:
            key = _key(BY_KEY[resource], namespace, name)
            if key not in self._objects.get(resource, {}):
                raise LookupError(f"no such object: {resource} {namespace}/{name}")
            if resource == "namespaces":
                for plural, objects in self._objects.items():
                    for inner in [k for k in objects if k[0] == name]:
                        self._remove(plural, inner)
            self._remove(resource, key)
            self._deliver()

    def get(self, resource: str, namespace: str | None, name: str) -> Obj | None:
        """One object, as a copy, or None."""
        with self._lock:
            found = self._raw(resource, namespace, name)
            return copied(found) if found is not None else None

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        labels: dict[str, str] | None = None,
    ) -> list[Obj]:
        """The objects of a resource, as copies, by namespace and name; None means all."""
        found = self.snapshot(resource, namespace)[0]
        return [
            copied(obj) for obj in found if matches(obj["metadata"].get("labels"), labels or {})
        ]

    def snapshot(self, resource: str, namespace: str | None = None) -> tuple[Iterable[Obj], int]:
        """The stored objects themselves (not to be changed), sorted, and their version."""
        with self._lock:
            objects = self._objects.get(resource, {})
            keys = sorted(k for k in objects if namespace in (None, "", k[0]))
            return [objects[key] for key in keys], self._version

    def subscribe(self, callback: Callback) -> None:
        """Call `callback(type, object)` for each change, in order, before the change returns.

        The object must not be changed. Changes made by a callback are delivered after those
        that were made before.
        """
        self._callbacks.append(callback)

    def events_after(self, version: int) -> tuple[Sequence[Event], int] | None:
        """What happened after a version, and the version now; None where that is forgotten."""
        with self._lock:
            if version < self._forgotten:
                return None
            found: list[Event] = []
            for event in reversed(self._history):
                if event.version <= version:
                    break
                found.append(event)
            return found[::-1], self._version

    def prepared(self, obj: Obj) -> Obj:
        """The object with the defaults it would be stored with (a server-side dry run)."""
        resource = BY_KIND[obj["apiVersion"], obj["kind"]]
        new: Obj = copied(obj)
        metadata = new["metadata"]
        old = self._raw(resource.key, metadata.get("namespace"), metadata["name"])
        with self._lock:
            set_defaults(resource.plural, new, old, self._objects)
        return new

    def _raw(self, resource: str, namespace: str | None, name: str) -> Obj | None:
        key = _key(BY_KEY[resource], namespace, name)
        return self._objects.get(resource, {}).get(key)

    def _write(
        self, resource: Resource, new: Obj, manager: str, operation: str, applied: Obj | None
    ) -> Obj:
        metadata = new["metadata"]
        key = _key(resource, metadata.get("namespace"), metadata["name"])
        old = self._objects.get(resource.key, {}).get(key)
        set_defaults(resource.plural, new, old, self._objects)
        now = timestamp()
        before = old["metadata"] if old else {}
        metadata["uid"] = before.get("uid") or metadata.get("uid") or str(uuid.uuid4())
        metadata["creationTimestamp"] = (
            metadata.get("creationTimestamp") or before.get("creationTimestamp") or now
        )
        _count_generation(resource, new, old)
        entries = managed(
            before.get("managedFields", []),
            old,
            new,
            manager=manager,
            operation=operation,
            applied=applied,
            now=now,
        )
        same_owners = _undated(entries) == _undated(before.get("managedFields", []))
        if old and same_owners and _content(old) == _content(new):
            return old
        metadata["managedFields"] = entries
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        self._objects.setdefault(resource.key, {})[key] = new
        kind = "MODIFIED" if old else "ADDED"
        self._record(Event(self._version, kind, resource.key, new, old))
        return new

    def _remove(self, resource: str, key: tuple[str, str]) -> None:
        old = self._objects[resource].pop(key)
        self._version += 1
        gone = old | {"metadata": old["metadata"] | {"resourceVersion": str(self._version)}}
        self._record(Event(self._version, "DELETED", resource, gone, old))

    def _record(self, event: Event) -> None:
        self._history.append(event)
        if len(self._history) > _HISTORY:
            self._forgotten = self._history.popleft().version
            self._compacted = max(self._compacted, self._forgotten)
        self._pending.append(event)

    def _deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._pending:
                event = self._pending.popleft()
                for callback in self._callbacks:
                    callback(event.type, event.obj)
        finally:
            self._delivering = False


def _key(resource: Resource, namespace: str | None, name: str) -> tuple[str, str]:
    return ((namespace or "") if resource.namespaced else "", name)


def _content(obj: Obj) -> Obj:
    """What the clients own of an object: no versions, no book-keeping."""
    kept = ("labels", "annotations", "ownerReferences", "finalizers", "deletionTimestamp")
    metadata = {key: obj["metadata"][key] for key in kept if obj["metadata"].get(key)}
    if "creationTimestamp" in obj["metadata"]:
        metadata["creationTimestamp"] = obj["metadata"]["creationTimestamp"]
    return {
        key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")
    } | {"metadata": metadata}


def _undated(entries: list[Obj]) -> list[Obj]:
    undated = [{k: v for k, v in entry.items() if k != "time"} for entry in entries]
    return sorted(undated, key=lambda entry: (entry["manager"], entry["operation"]))


def _count_generation(resource: Resource, new: Obj, old: Obj | None) -> None:
    if "spec" not in new or resource.plural in _WITHOUT_GENERATION:
        return
    before = old["metadata"].get("generation", 1) if old else 0
    changed = old is None or old.get("spec") != new["spec"]
    new["metadata"]["generation"] = before + 1 if changed else before
