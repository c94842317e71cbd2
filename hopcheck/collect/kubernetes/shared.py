"""One cluster for many hosts: each list is asked once, and each host sees what it would have read.

Objects are pruned and redacted as they come, so that a cluster is held once and small. A list of
one namespace is taken out of the list of all; only where that is forbidden (or too long to be
whole) the namespace itself is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from hopcheck.behaviour.kubernetes.graph import Graph
from hopcheck.behaviour.kubernetes.hosts import ROUTES
from hopcheck.behaviour.traefik.discovery import candidate_namespaces, traefik_pods
from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes import kept as pruning
from hopcheck.collect.kubernetes.client import MAX_PAGES, PAGE, KubeClient, Listing, Params
from hopcheck.collect.kubernetes.read import Collector
from hopcheck.collect.kubernetes.wanted import (
    LEGACY,
    LISTED_BY_NAMESPACE,
    LISTED_IN_ALL,
    config_maps,
    may_be_v2,
)
from hopcheck.model import KubeEvidence, Target, Why
from hopcheck.model.kubernetes import Object, Pod, Service

T = TypeVar("T")

# Only read of namespaces whose host is in trouble.
_LATER = ("events",)


class Once:
    """Results by key, each made by one task whatever the number of those who wait for it."""

    def __init__(self) -> None:
        self._tasks: dict[object, asyncio.Task[Any]] = {}

    async def get(self, key: object, make: Callable[[], Awaitable[T]]) -> T:
        """The result of the first `make` for `key`. Whoever waits may be cancelled: it goes on."""
        if key not in self._tasks:
            task = asyncio.ensure_future(_awaited(make))
            task.add_done_callback(_heard)
            self._tasks[key] = task
        found: T = await asyncio.shield(self._tasks[key])
        return found

    async def close(self) -> None:
        """End what is still being made."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def _awaited(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


def _heard(task: asyncio.Task[Any]) -> None:
    """A failure that nobody waited for is no news: whoever asks later is told."""
    if not task.cancelled():
        task.exception()


class SharedCluster(KubeClient):
    """A client whose every answer is kept. Its `run` is the fleet's, not a host's."""

    pruned = True

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._once = Once()
        self._spaces: dict[str, dict[str, tuple[Object, ...]]] = {}

    async def get(
        self, path: str, params: Params | None = None, accept: str = "application/json"
    ) -> dict[str, Any]:
        """One object, asked once. Pages of lists come through here too and are not kept."""
        if params is not None and "limit" in params:
            return await super().get(path, params, accept)
        make = super().get
        return await self._once.get(("get", path, accept), lambda: make(path, params, accept))

    async def list(
        self,
        path: str,
        params: Params | None = None,
        *,
        max_pages: int = MAX_PAGES,  # noqa: ARG002  # asked but once: all pages
    ) -> Listing:
        """A collection, asked once; one of a namespace comes out of that of all namespaces."""
        base, namespace, resource = _parts(path)
        if namespace is not None and self.run.options.namespace is None:
            everywhere = f"{base}/{resource}"
            try:
                whole = await self._whole(everywhere, params)
            except Unavailable as failure:
                if failure.why is not Why.DENIED:
                    raise
            else:
                if not whole.truncated:
                    return Listing(self._of_namespace(everywhere, whole, namespace))
        return await self._whole(path, params)

    async def _whole(self, path: str, params: Params | None) -> Listing:
        make = super().list
        wanted = {**(params or {}), "limit": PAGE}
        key = ("list", path, wanted.get("fieldSelector"))
        return await self._once.get(key, lambda: make(path, wanted, max_pages=MAX_PAGES))

    def _of_namespace(self, path: str, whole: Listing, namespace: str) -> tuple[Object, ...]:
        if path not in self._spaces:
            grouped: dict[str, list[Object]] = {}
            for item in whole.items:
                grouped.setdefault(item.namespace, []).append(item)
            self._spaces[path] = {name: tuple(items) for name, items in grouped.items()}
        return self._spaces[path].get(namespace, ())

    def _kept(self, item: Object) -> Object:
        return pruning.prune(item)

    async def evidence(self) -> KubeEvidence:
        """Everything that hosts may need but events and Secrets, as whole lists; asked once."""
        run = self.run
        return await self._once.get("evidence", lambda: _Everything(run, self).collect())

    async def close(self) -> None:
        """End what is under way and close the connections."""
        await self._once.close()
        await self.__aexit__(None, None, None)


def _parts(path: str) -> tuple[str, str | None, str]:
    """Prefix, namespace and resource of a collection's path."""
    head, _, resource = path.rpartition("/")
    base, found, namespace = head.partition("/namespaces/")
    return base, namespace if found else None, resource


class _Everything(Collector):
    """Reads the cluster for hosts that are not known yet."""

    def __init__(self, run: Run, client: KubeClient) -> None:
        super().__init__(Target(host=""), run, client, None)

    async def collect(self) -> KubeEvidence:
        """Whole lists by resource, "resource@namespace" where the whole may not be listed."""
        only = self._run.options.namespace
        later = [name for name in LISTED_BY_NAMESPACE if name not in (*_LATER, "pods")]
        await asyncio.gather(
            self._version(),
            self._find_legacy(),
            *(self._list(r, only if k.namespaced else None) for r, k in LISTED_IN_ALL.items()),
            *(self._list(resource, only) for resource in later),
        )
        if only is None:
            await self._fall_back()
            await self._by_namespace()
        if self._legacy and may_be_v2(self._seen("pods")):
            keys = [key for key in self._lists if key.partition("@")[0] in LEGACY]
            await asyncio.gather(*(self._add_legacy(key) for key in keys))
        names = config_maps(self._seen("pods"))
        await asyncio.gather(*(self._one("configmaps", *name) for name in names))
        totals = {key: len(found.get()) for key, found in self._lists.items() if found.seen}
        return KubeEvidence(
            server=self._server,
            lists=dict(self._lists),
            objects=self._objects,
            totals=totals,
            rights=self._rights,
            namespace=only,
        )

    async def _by_namespace(self) -> None:
        """What may not be listed everywhere, where the routes' Services and Traefik are."""
        denied = [
            resource
            for resource in LISTED_BY_NAMESPACE
            if resource in self._lists and self._lists[resource].why is Why.DENIED
        ]
        if not denied:
            return
        graph = Graph({resource: self._seen(resource) for resource in LISTED_IN_ALL})
        routes = [route for resource in ROUTES for route in graph.all(resource)]
        spaces = {space: None for space, _ in graph.services(routes)}
        spaces.update((space, None) for space in _homes(self._seen("services"), self._seen("pods")))
        await asyncio.gather(*(self._list(r, space) for r in denied for space in spaces))


def _homes(services: Iterable[Service], pods: Iterable[Pod]) -> list[str]:
    """Namespaces in which Traefik is, or may be."""
    running = [pod.namespace for pod in traefik_pods(pods)]
    return list(dict.fromkeys([*running, *candidate_namespaces(services)]))
