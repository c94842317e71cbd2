"""All about chosen load balancers: listeners, rules, target groups, targets, their instances."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from hopcheck.behaviour.aws.loadbalancer import instance_of_node, target_groups_of
from hopcheck.behaviour.kubernetes.managed import tells_a_keeper
from hopcheck.collect.aws.api import Api
from hopcheck.model import NOT_SELECTED, Collected, KubeEvidence, Why
from hopcheck.model.aws import (
    Instance,
    Listener,
    ListenerRule,
    LoadBalancer,
    NetworkInterface,
    SecurityGroup,
    TargetGroup,
    TargetHealth,
)
from hopcheck.model.kubernetes import Node, Pod
from hopcheck.model.redact import redact_obj

T = TypeVar("T")

MAX_IDS = 200  # values of one EC2 filter


def node_addresses(node: Node) -> set[str]:
    """The internal addresses of a Kubernetes node."""
    listed = node.status.addresses
    return {entry.address for entry in listed if entry.type == "InternalIP"}


class Details:
    """Reads load balancers and target groups, each once; what was read gathers here by ARN."""

    def __init__(
        self, api: Api, balancers: tuple[LoadBalancer, ...], groups: tuple[TargetGroup, ...]
    ) -> None:
        self._api = api
        self._balancers = balancers
        self._types = {one.load_balancer_arn: one.type for one in balancers}
        self._groups = groups
        self._asked: set[str] = set()
        self.listeners: dict[str, Collected[tuple[Listener, ...]]] = {}
        self.rules: dict[str, Collected[tuple[ListenerRule, ...]]] = {}
        self.health: dict[str, Collected[tuple[TargetHealth, ...]]] = {}
        self.group_attributes: dict[str, Collected[dict[str, str]]] = {}
        self.balancer_attributes: dict[str, Collected[dict[str, str]]] = {}

    async def balancer(self, arn: str) -> None:
        """Read a load balancer, its listeners, rules and target groups."""
        if arn in self._asked:
            return
        self._asked.add(arn)
        known = [
            group.target_group_arn for group in self._groups if arn in group.load_balancer_arns
        ]
        await asyncio.gather(
            self._attributes_of(arn), self._listeners_of(arn), *map(self.group, known)
        )

    async def _attributes_of(self, arn: str) -> None:
        self.balancer_attributes[arn] = await self._api.attributes(
            "describe_load_balancer_attributes", LoadBalancerArn=arn
        )

    async def _listeners_of(self, arn: str) -> None:
        found = _redacted(
            await self._api.items("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn)
        )
        self.listeners[arn] = found
        listeners: tuple[Listener, ...] = found.or_else(())
        if self._types.get(arn) == "application":
            await asyncio.gather(*(self._rules_of(entry.listener_arn) for entry in listeners))
        used = [
            forward.target_group_arn
            for entry in listeners
            for forward in target_groups_of(
                entry, self.rules.get(entry.listener_arn, NOT_SELECTED).or_else(())
            )
        ]
        await asyncio.gather(*map(self.group, dict.fromkeys(used)))

    async def _rules_of(self, listener: str) -> None:
        found = await self._api.items("elbv2", "describe_rules", "Rules", ListenerArn=listener)
        self.rules[listener] = _redacted(found)

    async def group(self, arn: str) -> None:
        """A target group's targets and attributes; behind a target that is an ALB, that too."""
        if arn in self._asked:
            return
        self._asked.add(arn)
        health, self.group_attributes[arn] = await asyncio.gather(
            self.target_health(arn),
            self._api.attributes("describe_target_group_attributes", TargetGroupArn=arn),
        )
        targets = (entry.target.id for entry in health.or_else(()))
        await asyncio.gather(
            *(self.balancer(target) for target in targets if target in self._types)
        )

    async def target_health(self, arn: str) -> Collected[tuple[TargetHealth, ...]]:
        """The targets of a target group with their health."""
        if arn not in self.health:
            self.health[arn] = await self._api.items(
                "elbv2", "describe_target_health", "TargetHealthDescriptions", TargetGroupArn=arn
            )
        return self.health[arn]

    # --- EC2 ---------------------------------------------------------------------------------

    async def instances(
        self, cluster: Callable[[], Awaitable[KubeEvidence]]
    ) -> Collected[tuple[Instance, ...]]:
        """The instances that are targets, and those of nodes that are, or whose pods are."""
        targets = {
            entry.target.id for health in self.health.values() for entry in health.or_else(())
        }
        ids = {target for target in targets if target.startswith("i-")}
        if targets - ids:
            kube = await cluster()
            hosts = {p.status.host_ip for p in kube.every(Pod) if targets.intersection(p.addresses)}
            for node in kube.of(Node).or_else(()):
                instance = instance_of_node(node)
                if instance and node_addresses(node) & (targets | hosts):
                    ids.add(instance)
        if not ids:
            unseen: list[Collected[Any]] = [one for one in self.health.values() if not one.seen]
            return unseen[0] if unseen else Collected(why=Why.NOT_NEEDED)
        # By filter: asked for by id, one instance that is gone fails them all.
        found: Collected[Any] = await self._api.items(
            "ec2",
            "describe_instances",
            "Reservations",
            Filters=[{"Name": "instance-id", "Values": sorted(ids)[:MAX_IDS]}],
        )
        if not found.seen:
            return found
        flat = tuple(entry for group in found.get() for entry in group.instances)
        return replace(found, value=flat, truncated=len(ids) > MAX_IDS)

    async def interfaces(self) -> Collected[tuple[NetworkInterface, ...]]:
        """The interfaces of ip targets, which may have groups of their own.

        Of those that are not healthy, or that connections reach from the clients' addresses.
        """
        told = {arn: read.or_else({}) for arn, read in self.group_attributes.items()}
        addresses = {
            entry.target.id
            for arn, health in self.health.items()
            for entry in health.or_else(())
            if entry.target_health.state != "healthy"
            or told.get(arn, {}).get("preserve_client_ip.enabled") == "true"
            if entry.target.id.count(".") == 3  # of IPv4
        }
        if not addresses:
            return Collected(why=Why.NOT_NEEDED)
        # Another network may have the same addresses.
        networks = {one.vpc_id for one in self._groups if one.target_group_arn in self.health}
        wanted = {"addresses.private-ip-address": addresses, "vpc-id": networks - {""}}
        return await self._api.items(
            "ec2",
            "describe_network_interfaces",
            "NetworkInterfaces",
            Filters=[{"Name": n, "Values": sorted(v)[:MAX_IDS]} for n, v in wanted.items() if v],
        )

    async def security_groups(
        self, held: Iterable[Instance | NetworkInterface]
    ) -> Collected[tuple[SecurityGroup, ...]]:
        """The groups of the load balancers looked at and of what their targets are."""
        ids = {
            str(group)
            for balancer in self._balancers
            if balancer.load_balancer_arn in self._asked
            for group in balancer.security_groups
        }
        ids |= {group.group_id for one in held for group in one.security_groups}
        if not ids:
            return Collected(why=Why.NOT_NEEDED)
        found = await self._api.items(
            "ec2",
            "describe_security_groups",
            "SecurityGroups",
            Filters=[{"Name": "group-id", "Values": sorted(ids)[:MAX_IDS]}],
        )
        if not found.seen:
            return found
        kept = tuple(
            replace(group, tags=tuple(tag for tag in group.tags if tells_a_keeper(tag.key)))
            for group in found.get()
        )
        # Descriptions are a person's own words.
        return _redacted(replace(found, value=kept, truncated=len(ids) > MAX_IDS))


def _redacted(found: Collected[tuple[T, ...]]) -> Collected[tuple[T, ...]]:
    """Actions may hold an identity provider's settings, and what a person wrote."""
    if not found.seen:
        return found
    return replace(found, value=tuple(redact_obj(item) for item in found.get()))
