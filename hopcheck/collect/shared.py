"""What all hosts of a fleet run have in common, each asked once however many hosts there are.

One cluster for each context, one set of answers for each AWS account and region, one for each
load balancer that hosts lead to. The calls run under the fleet's own clock: a host that gives up
waiting takes nothing from the others.

A cluster's objects are pruned and redacted as they come, so that it is held once and small. A list
of one namespace is taken out of the list of all; only where that is forbidden (or too long to be
whole) the namespace itself is asked.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from hopcheck.behaviour.aws.loadbalancer import front_of, region_from_name
from hopcheck.behaviour.kubernetes.graph import Graph
from hopcheck.behaviour.kubernetes.hosts import NAMING, ROUTES
from hopcheck.behaviour.traefik.discovery import candidate_namespaces, traefik_pods
from hopcheck.collect.ask import Once, Run, Unavailable
from hopcheck.collect.aws.api import Account
from hopcheck.collect.aws.read import Names, collect_aws, names_and_addresses
from hopcheck.collect.dns.read import resolve_name
from hopcheck.collect.kubernetes.client import MAX_PAGES, PAGE, KubeClient, Listing, Params
from hopcheck.collect.kubernetes.index import ClusterIndex, ReplicaIndex
from hopcheck.collect.kubernetes.read import Collector
from hopcheck.collect.kubernetes.wanted import (
    CLUSTER_SCOPED,
    LISTED_BY_NAMESPACE,
    LISTED_IN_ALL,
    config_maps,
)
from hopcheck.collect.traefik import collect_traefik
from hopcheck.config.options import Options
from hopcheck.model import (
    AwsEvidence,
    Collected,
    DnsEvidence,
    KubeEvidence,
    Target,
    TraefikEvidence,
    Why,
)
from hopcheck.model.kubernetes import Object

_HOURS = 24 * 3600.0  # the fleet's clock ends no call: each has its own timeout
_CLUSTER = ("kubeconfig", "context", "namespace", "direct_probes")


class Shared:
    """The shared view. Use within one event loop; `close` ends everything."""

    def __init__(self, options: Options) -> None:
        self.run = Run(msgspec.structs.replace(options, deadline=_HOURS))
        self._once = Once()
        self._clusters: dict[tuple[Any, ...], SharedCluster] = {}
        self._accounts: dict[str | None, Account] = {}

    # --- Kubernetes

    def cluster(self, options: Options) -> SharedCluster:
        """The client of the options' cluster."""
        key = tuple(getattr(options, name) for name in _CLUSTER)
        if key not in self._clusters:
            own = msgspec.structs.replace(options, deadline=_HOURS)
            self._clusters[key] = SharedCluster(Run(own, self.run))
        return self._clusters[key]

    async def index(self, options: Options) -> ClusterIndex:
        """The cluster, ready to be asked for single hosts."""
        cluster = self.cluster(options)

        async def make() -> ClusterIndex:
            return ClusterIndex(await cluster.evidence(), options)

        return await self._once.get(("index", cluster, options.traefik_service), make)

    async def routes(self, options: Options) -> dict[str, Collected[tuple[Object, ...]]]:
        """The cluster's lists of routes by which hosts are discovered, as they were read."""
        found = await self.cluster(options).evidence()
        return {
            key: listed
            for key, listed in found.lists.items()
            if key.partition("@")[0] in NAMING
            # A namespace's list stands for the whole that may not be read.
            and not (listed.why is Why.DENIED and _in_part(found, key))
        }

    async def replicas(self, options: Options) -> TraefikEvidence:
        """What every Traefik pod of the cluster says, of all hosts."""
        cluster = self.cluster(options)

        async def make() -> TraefikEvidence:
            kube = await cluster.evidence()
            return await collect_traefik(Target(host=""), cluster.run, kube, cluster)

        return await self._once.get(("replicas", cluster), make)

    async def replica_index(self, options: Options) -> ReplicaIndex:
        """What every Traefik pod says, ready to be asked for single hosts."""

        async def make() -> ReplicaIndex:
            return ReplicaIndex(await self.replicas(options))

        return await self._once.get(("replica index", self.cluster(options)), make)

    # --- AWS

    async def aws(
        self, target: Target, options: Options, dns: DnsEvidence
    ) -> tuple[AwsEvidence, Names]:
        """What AWS says of the load balancer that the host's records lead to."""
        key = (
            "aws",
            self.cluster(options),
            options.aws_profile,
            options.aws_region,
            options.resolvers,
            *_way(target, dns),
        )
        if options.aws_profile not in self._accounts:
            own = Run(msgspec.structs.replace(options, deadline=_HOURS), self.run)
            self._accounts[options.aws_profile] = Account(own, self._once)
        account = self._accounts[options.aws_profile]
        run = Run(options, self.run)

        async def answers() -> DnsEvidence:
            return dns

        async def resolve(name: str) -> Collected[tuple[str, ...]]:
            key = ("name", name, options.resolvers)
            return await self._once.get(key, lambda: resolve_name(name, run))

        async def make() -> tuple[AwsEvidence, Names]:
            kube = self.cluster(options).evidence()
            return await collect_aws(target, run, answers(), kube, resolve, account)

        return await self._once.get(key, make)

    # --- book-keeping

    @property
    def api_requests(self) -> int:
        """Requests sent to API servers so far."""
        return sum(cluster.requests for cluster in self._clusters.values())

    @property
    def aws_calls(self) -> int:
        """Calls made to AWS so far, pages aside."""
        return sum(account.calls for account in self._accounts.values())

    async def close(self) -> None:
        """End what is under way and close all connections."""
        await self._once.close()
        await asyncio.gather(*(cluster.close() for cluster in self._clusters.values()))


def _in_part(found: KubeEvidence, resource: str) -> bool:
    return any(key.startswith(f"{resource}@") and one.seen for key, one in found.lists.items())


def _way(target: Target, dns: DnsEvidence) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names and addresses by which a load balancer is found.

    The host's own name is none of them, unless it is a provider's.
    """
    chain, addresses = names_and_addresses(target, dns)
    own = region_from_name(target.host) or front_of([target.host]) or not addresses
    return tuple(chain if own else chain[1:]), tuple(addresses)


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
        head, _, resource = path.rpartition("/")
        base, _, namespace = head.partition("/namespaces/")
        if namespace and self.run.options.namespace is None:
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

    async def evidence(self) -> KubeEvidence:
        """Everything that hosts may need but events and Secrets, as whole lists; asked once."""
        everything = _Everything(Target(host=""), self.run, self)
        return await self._once.get("evidence", everything.collect)

    async def close(self) -> None:
        """End what is under way and close the connections."""
        await self._once.close()
        await super().close()


class _Everything(Collector):
    """Reads the cluster for hosts that are not known yet."""

    async def collect(self) -> KubeEvidence:
        """Whole lists by resource, "resource@namespace" where the whole may not be listed."""
        only = self._run.options.namespace
        # Events are only read of namespaces whose host is in trouble.
        later = [name for name in LISTED_BY_NAMESPACE if name not in ("events", "pods")]
        await asyncio.gather(
            self._version(),
            self._find_legacy(),
            *(self._list(r, None if r in CLUSTER_SCOPED else only) for r in LISTED_IN_ALL),
            *(self._list(resource, only) for resource in later),
        )
        if only is None:
            await self._fall_back()
            await self._by_namespace()
        await self._add_legacy()
        names = config_maps(self._seen("pods"))
        await asyncio.gather(*(self._one("configmaps", *name) for name in names))
        self._totals = {key: len(found.get()) for key, found in self._lists.items() if found.seen}
        return self._evidence()

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
        running = (pod.namespace for pod in traefik_pods(self._seen("pods")))
        hinted = candidate_namespaces(self._seen("services"))
        backends = (space for space, _ in graph.services(routes))
        spaces = dict.fromkeys((*backends, *running, *hinted))
        await asyncio.gather(*(self._list(r, space) for r in denied for space in spaces))
