"""What all hosts of a fleet run have in common, each asked once however many hosts there are.

One cluster for each context, one set of answers for each AWS account and region, one for each
load balancer that hosts lead to. The calls run under the fleet's own clock: a host that gives up
waiting takes nothing from the others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from hopcheck.behaviour.aws.loadbalancer import front_of, region_from_name
from hopcheck.behaviour.kubernetes.hosts import NAMING
from hopcheck.collect.ask import Run
from hopcheck.collect.kubernetes.index import ClusterIndex, ReplicaIndex
from hopcheck.collect.kubernetes.shared import Once, SharedCluster
from hopcheck.collect.traefik import collect_traefik, of_host
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

if TYPE_CHECKING:
    from hopcheck.collect.aws.shared import SharedAccount

Names = dict[str, Collected[tuple[str, ...]]]

_HOURS = 24 * 3600.0  # the fleet's clock ends no call: each has its own timeout
_CLUSTER = ("kubeconfig", "context", "namespace", "direct_probes")


class Shared:
    """The shared view. Use within one event loop; `close` ends everything."""

    def __init__(self, options: Options) -> None:
        self.run = Run(msgspec.structs.replace(options, deadline=_HOURS))
        self._once = Once()
        self._clusters: dict[tuple[Any, ...], SharedCluster] = {}
        self._accounts: dict[str | None, SharedAccount] = {}

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

    async def traefik(self, options: Options, kube: KubeEvidence, host: str) -> TraefikEvidence:
        """What `collect_traefik` would find for `host`."""
        return of_host(await self.replicas(options), kube, host)

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
        return await self._once.get(key, lambda: self._collect_aws(target, options, dns))

    async def _collect_aws(
        self, target: Target, options: Options, dns: DnsEvidence
    ) -> tuple[AwsEvidence, Names]:
        from hopcheck.collect.aws.read import collect_aws
        from hopcheck.collect.aws.shared import SharedAccount
        from hopcheck.collect.dns.read import resolve_name

        if options.aws_profile not in self._accounts:
            own = Run(msgspec.structs.replace(options, deadline=_HOURS), self.run)
            self._accounts[options.aws_profile] = SharedAccount(own, self._once)
        account = self._accounts[options.aws_profile]
        run = Run(options, self.run)

        async def answers() -> DnsEvidence:
            return dns

        async def resolve(name: str) -> Collected[tuple[str, ...]]:
            key = ("name", name, options.resolvers)
            return await self._once.get(key, lambda: resolve_name(name, run))

        kube = self.cluster(options).evidence()
        return await collect_aws(target, run, answers(), kube, resolve, account)

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
    answers = [answer.get() for answer in dns.answers if answer.seen]
    chain = dict.fromkeys(link.target for answer in answers for link in answer.chain)
    addresses = dict.fromkeys(address for answer in answers for address in answer.addresses)
    own = region_from_name(target.host) or front_of([target.host]) or not addresses
    return (*((target.host,) if own else ()), *chain), tuple(addresses)
