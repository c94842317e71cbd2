"""What the Kubernetes API declares about a host's way: two or three waves of concurrent reads.

1. what is listed for the whole cluster: routes, Services, nodes, classes, the first page of pods;
2. by namespace, where Traefik or the host's backends are: pods, slices, policies, workloads,
   events; what the host's routes name: Secrets (metadata only);
3. ConfigMaps that Traefik's pods mount, and Traefik's namespaces where only the pods told them.

Lists are read without resourceVersion=0, so that what decides is never a stale cache's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.events import tells
from hopcheck.behaviour.kubernetes.hosts import KEEP_ALL, ROUTES, RouteIndex
from hopcheck.behaviour.traefik.discovery import traefik_pods
from hopcheck.collect.ask import Run
from hopcheck.collect.kubernetes import kept as pruning
from hopcheck.collect.kubernetes.client import MAX_PAGES, METADATA_ONLY, KubeClient, Params
from hopcheck.collect.kubernetes.wanted import (
    CLUSTER_SCOPED,
    ISSUANCE,
    LEGACY,
    LEGACY_PREFIX,
    LISTED_BY_NAMESPACE,
    LISTED_IN_ALL,
    Wanted,
    config_maps,
    may_be_v2,
    path_of,
    wanted,
)
from hopcheck.model import Collected, KubeEvidence, Target, Why
from hopcheck.model.kubernetes import (
    FORMER_GROUP,
    KINDS,
    Object,
    ReplicaSet,
    Server,
    kubernetes_object,
)

T = TypeVar("T")

_SLIM_ROUTES = 2_000
_EVENTS = 50
_LISTED_EVENTS = 500
# Successes are asked for too, which overtake failures; not what pods and jobs say by the hundred.
_OF_FEW = ",".join(f"involvedObject.kind!={one}" for one in ("Pod", "ReplicaSet", "Job", "CronJob"))
# Where Traefik runs; --namespace bounds the application alone.
_TELL_TRAEFIK = ("services", "pods")
_DENIED = (Why.DENIED, Why.UNAUTHENTICATED)


async def collect_kube(target: Target, run: Run, client: KubeClient) -> KubeEvidence:
    """Read what can matter for `target.host`; never raises but for cancellation."""
    return await Collector(target, run, client).collect()


async def add_issuance(
    target: Target, run: Run, client: KubeClient, kube: KubeEvidence, secrets: list[tuple[str, str]]
) -> KubeEvidence:
    """The same evidence with what cert-manager does for these Secrets (namespace, name)."""
    added = await Collector(target, run, client).issuance(secrets)
    return replace(kube, lists=kube.lists | added.lists, rights=kube.rights | added.rights)


class Collector:
    """One collection: what was read so far, by the keys of KubeEvidence."""

    def __init__(self, target: Target, run: Run, client: KubeClient) -> None:
        self._target = target
        self._run = run
        self._client = client
        self._lists: dict[str, Collected[tuple[Any, ...]]] = {}
        self._objects: dict[str, Collected[Object]] = {}
        self._totals: dict[str, int] = {}
        self._rights: dict[str, bool] = {}
        self._server: Collected[Server] = Collected(why=Why.NOT_SELECTED)
        self._done: set[str] = set()  # namespaces that were listed
        self._legacy = False  # traefik.containo.us is served
        self._searched = False  # all pages of all pods were read

    async def collect(self) -> KubeEvidence:
        """All waves; what a host needs of what they brought."""
        only = self._run.options.namespace
        await asyncio.gather(
            self._version(),
            self._find_legacy(),
            *(self._first(resource, only) for resource in LISTED_IN_ALL),
            *(self._list(resource, None) for resource in _TELL_TRAEFIK if only is not None),
        )
        if only is None:
            await self._fall_back()
        if any(found.seen for found in self._lists.values()):
            await self._add_legacy()
            await self._second()
        if only is not None:
            self._bound()
        self._keep_relevant()
        return self._evidence()

    async def issuance(self, secrets: Iterable[tuple[str, str]]) -> KubeEvidence:
        """The Certificates beside these Secrets; where one is theirs, what has become of it."""
        wanted = {*secrets}
        await asyncio.gather(*(self._list("certificates", s) for s in {s for s, _ in wanted}))
        every = self._seen("certificates")
        theirs = [o for o in every if (o.namespace, o.spec.secret_name) in wanted]
        spaces = {one.namespace for one in theirs}
        await asyncio.gather(
            *(
                self._list(kind, space)
                for kind in ISSUANCE
                for space in ([None] * bool(spaces) if kind in CLUSTER_SCOPED else spaces)
            )
        )
        return self._evidence()

    def _evidence(self) -> KubeEvidence:
        return KubeEvidence(
            server=self._server,
            lists={key: self._pruned(found) for key, found in self._lists.items()},
            objects=self._objects,
            totals=self._totals,
            rights=self._rights,
            namespace=self._run.options.namespace,
        )

    # --- reading -----------------------------------------------------------------------------

    async def _version(self) -> None:
        async def ask() -> Server:
            version = str((await self._client.get("/version")).get("gitVersion", ""))
            access = self._client.access
            if access is None:
                return Server(version=version)
            return Server(
                context=access.context or "",
                url=access.server,
                namespace=access.namespace or "",
                version=version,
            )

        self._server = await self._settle("GET /version", ask)

    async def _find_legacy(self) -> None:
        found = await self._settle(f"GET {LEGACY_PREFIX}", lambda: self._client.get(LEGACY_PREFIX))
        self._legacy = found.seen

    async def _add_legacy(self) -> None:
        """Add the objects of traefik.containo.us to the lists of the same resources."""
        if self._legacy and may_be_v2(self._seen("pods")):
            keys = [key for key in self._lists if key.partition("@")[0] in LEGACY]
            await asyncio.gather(*map(self._add_legacy_to, keys))
        elif self._legacy:  # for what stands there and is not read
            await asyncio.gather(*map(self._former, LEGACY))

    async def _former(self, resource: str) -> None:
        found = await self._listed(path_of(resource, self._run.options.namespace, LEGACY_PREFIX))
        if found.seen:
            self._lists[f"{resource}.{FORMER_GROUP}"] = found

    async def _add_legacy_to(self, key: str) -> None:
        resource, _, namespace = key.partition("@")
        found = await self._listed(path_of(resource, namespace or None, LEGACY_PREFIX))
        known = self._lists[key]
        if found.why is Why.NOT_FOUND:
            return
        if not found.seen:
            # What Traefik may read from there was not seen: the list as a whole was not.
            self._lists[key] = found
        elif known.seen:
            both, cut = (*known.get(), *found.get()), known.truncated or found.truncated
            self._lists[key] = replace(known, value=both, truncated=cut)
        elif known.why is Why.NOT_FOUND:
            self._lists[key] = found

    async def _listed(
        self, path: str, params: Params | None = None, max_pages: int = MAX_PAGES
    ) -> Collected[tuple[Any, ...]]:
        """The objects of a list, marked where there are more than were read."""
        found: Collected[Any] = await self._settle(
            f"GET {path}", lambda: self._client.list(path, params, max_pages=max_pages)
        )
        if not found.seen:
            return found
        return replace(found, value=found.get().items, truncated=found.get().truncated)

    async def _settle(self, source: str, call: Callable[[], Awaitable[T]]) -> Collected[T]:
        # Each HTTP call has its own timeout in the client; here only the deadline counts.
        return await self._run.ask(source, call, timeout=self._run.remaining())

    async def _first(self, resource: str, only: str | None) -> None:
        namespace = None if resource in CLUSTER_SCOPED else only
        # One page tells Traefik's pods wherever they are in all but large clusters.
        pages = 1 if resource == "pods" and namespace is None else MAX_PAGES
        await self._list(resource, namespace, max_pages=pages)

    async def _list(
        self,
        resource: str,
        namespace: str | None,
        params: Params | None = None,
        *,
        max_pages: int = MAX_PAGES,
    ) -> None:
        if resource == "pods" and namespace is None and max_pages == MAX_PAGES:
            self._searched = True
        found = await self._listed(path_of(resource, namespace), params, max_pages)
        key = resource if namespace is None else f"{resource}@{namespace}"
        self._lists[key] = found
        if found.seen or found.why in _DENIED:
            right = f"list {resource}" + (f" in {namespace}" if namespace else "")
            self._rights[right] = found.seen

    async def _one(self, resource: str, namespace: str, name: str) -> None:
        path = f"{path_of(resource, namespace)}/{name}"
        accept = METADATA_ONLY if resource == "secrets" else "application/json"

        async def ask() -> Object:
            answer = await self._client.get(path, accept=accept)
            obj: Object = kubernetes_object(resource, answer) or KINDS[resource]()
            if resource == "secrets":  # the answer is a PartialObjectMetadata
                obj = replace(obj, kind="Secret", api_version="v1")
            return pruning.prune(obj)

        self._objects[f"{resource}@{namespace}/{name}"] = await self._settle(f"GET {path}", ask)

    # --- waves -------------------------------------------------------------------------------

    async def _fall_back(self) -> None:
        """Without the right to list everywhere: the namespace of the context, or the pod's."""
        access = self._client.access
        namespace = access.namespace if access else None
        if namespace is None:
            return
        denied = [
            resource
            for resource in LISTED_IN_ALL
            if resource not in CLUSTER_SCOPED and self._lists[resource].why is Why.DENIED
        ]
        await asyncio.gather(*(self._list(resource, namespace) for resource in denied))

    def _seen(self, resource: str) -> tuple[Any, ...]:
        """All objects of `resource` read so far, cluster-wide or by namespace."""
        items: dict[tuple[str, str], Any] = {}
        for key, found in self._lists.items():
            if found.seen and key.partition("@")[0] == resource:
                for item in found.get():
                    items[item.key] = item
        return tuple(items.values())

    def _wanted(self) -> Wanted:
        return wanted(
            {resource: self._seen(resource) for resource in LISTED_IN_ALL},
            self._target.host,
            self._run.options,
        )

    async def _second(self) -> None:
        """Waves two and three; see the module's docstring."""
        want = self._wanted()
        if self._pods_unfinished() and not want.traefik_namespaces:
            await self._list("pods", None)
            want = self._wanted()
        await self._read(want)
        if self._pods_unfinished() and not traefik_pods(self._seen("pods")):
            await self._list("pods", None)
        names = config_maps(self._seen("pods"))
        await asyncio.gather(
            self._read(self._wanted()), *(self._one("configmaps", *name) for name in names)
        )

    def _pods_unfinished(self) -> bool:
        """Whether only the first pages of all pods were read: a large cluster."""
        pods = self._lists.get("pods")
        return pods is not None and pods.truncated and not self._searched

    async def _read(self, want: Wanted) -> None:
        """List the namespaces and get the Secrets that were not read yet."""
        near = dict.fromkeys((*want.traefik_namespaces, *want.app_namespaces))
        spaces = [space for space in near if space not in self._done]
        secrets = [
            name for name in want.secrets if "secrets@{}/{}".format(*name) not in self._objects
        ]
        self._done.update(spaces)
        await asyncio.gather(
            *(self._namespace(space) for space in spaces),
            *(self._one("secrets", *name) for name in secrets),
        )

    async def _namespace(self, namespace: str) -> None:
        tasks = []
        services = self._lists.get("services")
        if services is None or not services.seen:
            tasks.append(self._unless_read("services", namespace))
        pods = self._lists.get("pods")
        for resource in LISTED_BY_NAMESPACE:
            if resource == "pods" and pods is not None and pods.seen and not pods.truncated:
                narrowed = KubeEvidence(lists={"pods": pods}).list("pods", namespace)
                self._lists[f"pods@{namespace}"] = narrowed
            else:
                tasks.append(self._unless_read(resource, namespace))
        await asyncio.gather(*tasks)

    async def _unless_read(self, resource: str, namespace: str) -> None:
        if f"{resource}@{namespace}" in self._lists:
            return
        if resource == "events":
            params: Params = {"fieldSelector": _OF_FEW, "limit": _LISTED_EVENTS}
            await self._list(resource, namespace, params, max_pages=1)
        else:
            await self._list(resource, namespace)

    def _bound(self) -> None:
        """Keep of the whole lists, which told where Traefik is, what is in namespaces looked at."""
        for resource in _TELL_TRAEFIK:
            found = self._lists.pop(resource)
            self._rights.pop(f"list {resource}", None)
            whole = KubeEvidence(lists={resource: found})
            for space in self._done if found.seen else ():
                self._lists.setdefault(f"{resource}@{space}", whole.list(resource, space))

    # --- keeping -----------------------------------------------------------------------------

    def _keep_relevant(self) -> None:
        """Count, then reduce routes of other hosts to what conflicts can be judged by."""
        failed = self._server
        if not failed.seen and not self._done:  # nothing was listed because nothing answers
            reason: Collected[Any] = Collected(
                why=failed.why, detail=failed.detail, source=failed.source
            )
            for resource in LISTED_BY_NAMESPACE:
                self._lists.setdefault(resource, reason)
        for key, found in self._lists.items():
            if not found.seen:
                continue
            items: Sequence[Any] = found.get()
            resource = key.partition("@")[0]
            self._totals[key] = len(items)
            if resource in ROUTES:
                items = _slimmed(items, self._target.host)
            elif resource == "services" and len(items) > KEEP_ALL:
                items = [
                    item if item.namespace in self._done else pruning.slim_service(item)
                    for item in items
                ]
            elif resource == "events":
                items = sorted(filter(tells, items), key=attrgetter("seen_at"))[-_EVENTS:]
            elif resource == "replicasets":
                items = [item for item in items if _wants_pods(item)]
            self._lists[key] = replace(found, value=tuple(items))
        if "pods" in self._lists and self._lists["pods"].seen:
            # By namespace from here on: narrowing this one would find no pod where none was kept.
            del self._lists["pods"]

    def _pruned(self, found: Collected[tuple[Any, ...]]) -> Collected[tuple[Any, ...]]:
        if not found.seen:
            return found
        kept = tuple(
            item if item.slim or self._client.pruned else pruning.prune(item)
            for item in found.get()
        )
        return replace(found, value=kept)


def _slimmed(routes: Sequence[Any], host: str) -> list[Any]:
    index = RouteIndex(routes)
    chosen = index.relevant(host)
    whole = {*chosen.matched, *chosen.near}
    kept = [routes[place] for place in (*chosen.matched, *chosen.near)]
    others = (place for place in range(len(routes)) if place not in whole)
    slim = islice(others, _SLIM_ROUTES)
    return kept + [pruning.slim_route(routes[place], index.hosts[place]) for place in slim]


def _wants_pods(replica_set: ReplicaSet) -> bool:
    """Whether it is in use: Deployments keep ten of the past, scaled to zero."""
    return bool(replica_set.spec.replicas or replica_set.status.replicas)
