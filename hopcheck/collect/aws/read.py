"""The host's load balancer and what hangs on it: listeners, rules, target groups, targets.

About 4 + 2 x target groups calls where a CNAME names the load balancer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec.structs import replace

from hopcheck.behaviour.aws.loadbalancer import (
    Match,
    front_of,
    instance_of_node,
    match_load_balancer,
    plain_name,
    region_from_name,
)
from hopcheck.behaviour.kubernetes.objects import node_ports_of, outside_names
from hopcheck.behaviour.traefik.discovery import NODE_PORT_TYPES, traefik_services
from hopcheck.collect.ask import Run
from hopcheck.collect.aws.api import Account, Api, Credentials, classify, settled
from hopcheck.collect.aws.details import Details, node_addresses
from hopcheck.model import AwsEvidence, Collected, DnsEvidence, KubeEvidence, Target, Why
from hopcheck.model.aws import NetworkInterface
from hopcheck.model.kubernetes import Node, Pod, Service

Names = dict[str, Collected[tuple[str, ...]]]
Resolve = Callable[[str], Awaitable[Collected[tuple[str, ...]]]]

MAX_NAMES = 50  # load balancers whose names are resolved where no CNAME tells
MAX_CANDIDATES = 5  # load balancers looked at where the host leads to none
MAX_SEARCHED = 20  # target groups whose targets are compared with the nodes
REGION_LABEL = "topology.kubernetes.io/region"


async def collect_aws(
    target: Target,
    run: Run,
    dns: Awaitable[DnsEvidence],
    kube: Awaitable[KubeEvidence],
    resolve: Resolve,
    account: Account | None = None,
) -> tuple[AwsEvidence, Names]:
    """Find the host's load balancer in the account and region at hand, and read all about it.

    The second value holds what load balancers' DNS names resolve to, for `DnsEvidence.names`.
    Where the host leads to none of them, or to one that knows nothing of Traefik's nodePorts, up
    to five that do are read as well, and always those that its Services' status names. Details are
    there for those load balancers alone. Without credentials or region everything has that reason.
    Raises Misnamed alone.
    """
    account = account or Account(run)
    cluster = asyncio.ensure_future(kube)
    found, answers = await asyncio.gather(
        run.ask("AWS credentials", account.credentials, classify=classify),
        settled(run, dns, DnsEvidence()),
    )
    if not found.seen:
        none: Collected[Any] = Collected(why=found.why, detail=found.detail, source=found.source)
        return without(none), {}
    chain, addresses = names_and_addresses(target, answers)
    region = await _region(run, found.get(), chain, cluster)
    if region is None:
        detail = "no region: neither configured nor part of a load balancer's name"
        none = Collected(why=Why.NOT_CONFIGURED, detail=detail, source="AWS region")
        return without(none), {}
    api = account.api(found.get(), region)
    identity, balancers, groups = await asyncio.gather(
        api.identity(),
        api.items("elbv2", "describe_load_balancers", "LoadBalancers"),
        api.items("elbv2", "describe_target_groups", "TargetGroups"),
    )
    api.hold_region(balancers)
    listed = AwsEvidence(identity=identity, load_balancers=balancers, target_groups=groups)
    reader = _Reader(api, run, cluster, resolve, listed)
    return await reader.read(chain, addresses), reader.names


def without(reason: Collected[Any]) -> AwsEvidence:
    """Nothing of AWS, with the reason."""
    return AwsEvidence(
        identity=reason,
        load_balancers=reason,
        target_groups=reason,
        security_groups=reason,
        network_interfaces=reason,
        instances=reason,
    )


def names_and_addresses(target: Target, dns: DnsEvidence) -> tuple[list[str], list[str]]:
    """The names of the host's chain (itself first) and its addresses, by all resolvers."""
    answers = [answer.get() for answer in dns.answers if answer.seen]
    names = [target.host, *(link.target for answer in answers for link in answer.chain)]
    addresses = [address for answer in answers for address in answer.addresses]
    if not any(answer.seen for answer in dns.answers):
        # A host that is an address, or no resolver that answers: what the system knows.
        literal = any(answer.why is Why.NOT_NEEDED for answer in dns.answers)
        addresses = [target.host] if literal else list(dns.getaddrinfo.or_else(()))
    return list(dict.fromkeys(names)), list(dict.fromkeys(addresses))


async def _region(
    run: Run, credentials: Credentials, chain: list[str], cluster: asyncio.Future[KubeEvidence]
) -> str | None:
    """The option's region, that of the load balancer's name, the configured one, the nodes'.

    The name comes before the configuration: a load balancer is in the region its name tells,
    and looking for it in another could only end in a wrong "not found".
    """
    told = next((tells[0] for name in chain if (tells := region_from_name(name))), None)
    region = run.options.aws_region or told or credentials.region
    if region:
        return region
    nodes = filter(instance_of_node, _nodes(await settled(run, cluster, KubeEvidence())))
    labels = (node.metadata.labels.get(REGION_LABEL) for node in nodes)
    return next(filter(None, labels), None)


def _nodes(kube: KubeEvidence) -> tuple[Node, ...]:
    return kube.of(Node).or_else(())


def _fronts(kube: KubeEvidence) -> list[Service]:
    """Traefik's Services that load balancers may lead to; all such, where none is known as its."""
    listed = [s for s in kube.of(Service).or_else(()) if s.spec.type in NODE_PORT_TYPES]
    own = traefik_services(listed, kube.every(Pod))
    return [service for service in listed if service.key in own] or listed


def _node_ports(kube: KubeEvidence) -> set[int]:
    return {number for service in _fronts(kube) for number in node_ports_of(service)}


class _Reader:
    """Finds one host's load balancers and reads them; resolved names gather in `names`."""

    def __init__(
        self,
        api: Api,
        run: Run,
        cluster: asyncio.Future[KubeEvidence],
        resolve: Resolve,
        listed: AwsEvidence,
    ) -> None:
        self._api = api
        self._run = run
        self._cluster = cluster
        self._resolve = resolve
        self._listed = listed
        self._balancers = listed.load_balancers.or_else(())
        self._groups = listed.target_groups.or_else(())
        self._details = Details(api, self._balancers, self._groups)
        self._interfaces: Collected[tuple[NetworkInterface, ...]] = Collected(why=Why.NOT_NEEDED)
        self.names: Names = {}

    async def read(self, chain: list[str], addresses: list[str]) -> AwsEvidence:
        reason: Collected[Any] = self._listed.load_balancers
        if not reason.seen:
            return replace(
                self._listed, security_groups=reason, network_interfaces=reason, instances=reason
            )
        self._api.prepare("ec2")
        await self._choose(chain, addresses)
        details = self._details
        instances, own = await asyncio.gather(details.instances(self._kube), details.interfaces())
        security = await details.security_groups((*instances.or_else(()), *own.or_else(())))
        interfaces = self._interfaces
        if own.seen:
            interfaces = replace(own, value=(*interfaces.or_else(()), *own.get()))
        elif interfaces.why is Why.NOT_NEEDED:
            interfaces = own
        return replace(
            self._listed,
            listeners=details.listeners,
            rules=details.rules,
            target_health=details.health,
            target_group_attributes=details.group_attributes,
            load_balancer_attributes=details.balancer_attributes,
            security_groups=security,
            network_interfaces=interfaces,
            instances=instances,
        )

    async def _kube(self) -> KubeEvidence:
        """The cluster's evidence, if it comes in time for the calls that follow from it."""
        return await settled(self._run, self._cluster, KubeEvidence())

    # --- which load balancer ---------------------------------------------------------------

    async def _choose(self, chain: list[str], addresses: list[str]) -> None:
        """Read the load balancer that the host leads to, and those it might lead to instead."""
        match = match_load_balancer(chain, addresses, self._balancers, {})
        names = [match.name or ""] if match.arn is not None else []
        if match.arn is None and addresses:
            match = await self._match_addresses(chain, addresses)
        own = [match.arn] if match.arn else []
        await asyncio.gather(
            self._resolve_names(names), *map(self._details.balancer, own), self._others(match)
        )

    async def _match_addresses(self, chain: list[str], addresses: list[str]) -> Match:
        await self._resolve_names(await self._candidate_names())
        match = match_load_balancer(chain, addresses, self._balancers, self.names)
        # Addresses that the name does not give now may still be its own.
        if (match.arn is not None and not match.foreign) or front_of(chain):
            return match
        self._interfaces = await self._api.items(
            "ec2",
            "describe_network_interfaces",
            "NetworkInterfaces",
            Filters=[{"Name": "description", "Values": ["ELB *"]}],
        )
        seen = self._interfaces.or_else(())
        return match_load_balancer(chain, addresses, self._balancers, self.names, seen)

    async def _candidate_names(self) -> list[str]:
        balancers = self._balancers
        if len(balancers) > MAX_NAMES:  # those that know this cluster's nodePorts come first
            ports = _node_ports(await self._kube())
            known = self._balancers_with(ports)
            balancers = tuple(
                sorted(balancers, key=lambda item: item.load_balancer_arn not in known)
            )
        return [item.dns_name for item in balancers if item.dns_name][:MAX_NAMES]

    async def _resolve_names(self, names: Iterable[str]) -> None:
        plain = [plain_name(name) for name in names]
        answers = await asyncio.gather(*map(self._resolve, plain))
        self.names.update(zip(plain, answers, strict=True))

    def _balancers_with(self, ports: set[int]) -> dict[str, int]:
        """ARNs of load balancers -> how many of their target groups are on one of `ports`."""
        counts: dict[str, int] = {}
        for group in self._groups:
            if group.port in ports:
                for arn in group.load_balancer_arns:
                    counts[arn] = counts.get(arn, 0) + 1
        return counts

    async def _others(self, match: Match) -> None:
        """Load balancers and idle target groups of this cluster, to which the host does not lead.

        With them a judge can say "the targets are fine, the name points elsewhere".
        """
        kube = await self._kube()
        ports = _node_ports(kube)
        names = {name for service in _fronts(kube) for name in outside_names(service)}
        named = [b.load_balancer_arn for b in self._balancers if plain_name(b.dns_name) in names]
        if not ports and not named:
            return
        idle = [
            group.target_group_arn
            for group in self._groups
            if group.port in ports and not group.load_balancer_arns
        ]
        counts = self._balancers_with(ports)
        chosen: list[str] = []
        if match.arn not in counts:
            chosen = sorted(counts, key=lambda arn: (-counts[arn], arn))
            if not chosen and match.arn is None:
                chosen = await self._by_targets(kube)
        await asyncio.gather(
            *map(self._details.balancer, named[:MAX_CANDIDATES]),
            *map(self._details.balancer, chosen[:MAX_CANDIDATES]),
            *map(self._details.group, idle[:MAX_CANDIDATES]),
        )

    async def _by_targets(self, kube: KubeEvidence) -> list[str]:
        """Load balancers whose targets are the cluster's nodes."""
        nodes = {instance_of_node(node) for node in _nodes(kube)} - {None}
        nodes |= {address for node in _nodes(kube) for address in node_addresses(node)}
        groups = [group for group in self._groups if group.load_balancer_arns]
        groups = groups[:MAX_SEARCHED] if nodes else []
        healths = await asyncio.gather(
            *(self._details.target_health(group.target_group_arn) for group in groups)
        )
        return list(
            dict.fromkeys(
                arn
                for group, health in zip(groups, healths, strict=True)
                if any(entry.target.id in nodes for entry in health.or_else(()))
                for arn in group.load_balancer_arns
            )
        )
