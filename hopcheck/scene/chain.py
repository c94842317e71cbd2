"""One chain from the load balancer's listener to Traefik's entryPoint, for every type of target.

listener -> target group -> target -> port of Traefik (nodePort, hostPort or the pod's own) -> pod
-> entryPoint. Each link holds both its ends: what is declared there and what was seen there. Where
the end of a target lies is decided here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.behaviour.aws.loadbalancer import Forward
from hopcheck.behaviour.kubernetes.objects import named_port
from hopcheck.behaviour.traefik.static import EntryPoint, StaticConfig
from hopcheck.model import NOT_SELECTED, AwsEvidence, Collected, ObjectRef
from hopcheck.model.aws import Listener, LoadBalancer, Target, TargetGroup, TargetHealth
from hopcheck.model.kubernetes import Node, Pod, Service

Kind = Literal["node", "pod"]
TRANSIENT = ("initial", "draining")


class TraefikPort(Struct, frozen=True):
    """A port at which Traefik is reached, followed to the entryPoint behind it.

    A Service's port (`service`), a hostPort (`nodes`: the nodes whose pods open it), or neither:
    an entryPoint that pods alone have. `port` is its number in front: the Service's, the node's or
    the pod's.
    """

    name: str
    port: int
    node_port: int | None  # nodePort or hostPort: its number on nodes
    target: str  # targetPort as written
    container_port: int | None  # None: no container port has that name
    entry_point: EntryPoint | None  # None: nothing of Traefik listens there, or not known
    protocol: str = "TCP"
    service: Service | None = None
    pods: tuple[Pod, ...] = ()  # Traefik's pods behind it
    nodes: frozenset[str] | None = None

    def number(self, kind: Kind) -> int | None:
        """Its number on a node, or at a pod's address."""
        return self.node_port if kind == "node" else self.container_port

    def same_entry(self, other: TraefikPort | None) -> bool:
        """Whether both lead to one entryPoint, by its name."""
        if other is None or self.entry_point is None or other.entry_point is None:
            return False
        return self.entry_point.name == other.entry_point.name


class TargetLink(Struct, frozen=True):
    """A registered target: what AWS says of it, whose it is, and where its port leads.

    `kind`: a node's instance or address, a Traefik pod's address, or None: neither is known of it.
    `leads` is None where no Traefik listens on the port, as far as declared.
    """

    described: TargetHealth
    kind: Kind | None = None
    node: Node | None = None
    pods: tuple[Pod, ...] = ()  # those that it reaches
    leads: TraefikPort | None = None

    @property
    def obj(self) -> Target:
        """The target itself in AWS's shape: Id, Port and perhaps AvailabilityZone."""
        return self.described.target

    @property
    def id(self) -> str:
        """An instance's id, or an address."""
        return self.obj.id

    @property
    def port(self) -> int:
        """The port on which it is registered; 0 where it has none."""
        return self.obj.port or 0

    @property
    def check_port(self) -> int:
        """The port on which its health is checked; 0 where AWS does not say."""
        check = self.described.health_check_port
        return int(check) if check.isdigit() else 0

    @property
    def name(self) -> str:
        """The report's name of it: ``<id>:<port>``."""
        return f"{self.obj.id}:{self.obj.port}"

    @property
    def state(self) -> str:
        """AWS's word for its health."""
        return str(self.described.target_health.state)

    @property
    def reason(self) -> str:
        """AWS's reason for the state; "" for a healthy one."""
        return str(self.described.target_health.reason)

    @property
    def node_name(self) -> str | None:
        """The name of the node that it is."""
        return self.node.name if self.node is not None else None

    @property
    def open_here(self) -> bool:
        """Whether the port is open on this node: a hostPort is where a pod runs that has it."""
        return self.leads is None or self.leads.nodes is None or bool(self.pods)


class GroupLink(Struct, frozen=True):
    """A target group that the listener forwards to; `share` is its part of the requests."""

    balancer: LoadBalancer
    listener: Listener
    arn: str
    obj: TargetGroup
    health: Collected[tuple[TargetHealth, ...]]
    targets: tuple[TargetLink, ...]
    attributes: Mapping[str, str]  # empty where they could not be read
    share: float = 1.0

    @property
    def name(self) -> str:
        """Its name; its ARN where the group was not listed."""
        return str(self.obj.target_group_name or self.arn)

    @property
    def ref(self) -> ObjectRef:
        """The report's name of it."""
        return ObjectRef("TargetGroup", self.name)

    @property
    def protocol(self) -> str | None:
        """What is spoken to its targets."""
        return self.obj.protocol

    @property
    def sends_plain(self) -> bool:
        """Whether the load balancer adds no TLS of its own."""
        return self.protocol in ("TCP", "HTTP")

    @property
    def of_addresses(self) -> bool:
        """Whether its targets are addresses: pods', or nodes' all the same."""
        return bool(self.obj.target_type == "ip")

    @property
    def numbers(self) -> list[int]:
        """The ports on which its targets are registered, each once, in order."""
        return sorted({target.port for target in self.targets if target.port})

    def in_state(self, *states: str) -> list[TargetLink]:
        """The targets whose state is one of `states`."""
        return [target for target in self.targets if target.state in states]

    def kind_at(self, number: int) -> Kind:
        """What its targets on that port are; by the group's type where that is not known."""
        kinds = (t.kind for t in self.targets if t.port == number and t.kind is not None)
        return next(kinds, "pod" if self.of_addresses else "node")

    def leads(self, number: int) -> TraefikPort | None:
        """Where its targets on that port lead; the first that leads anywhere tells."""
        found = (t.leads for t in self.targets if t.port == number and t.leads is not None)
        return next(found, None)


class Chain(Struct, frozen=True):
    """The way from a listener on, for the host and path that are asked."""

    balancer: LoadBalancer
    listener: Listener
    groups: tuple[GroupLink, ...]

    @property
    def targets(self) -> tuple[TargetLink, ...]:
        """The targets of all groups."""
        return tuple(target for group in self.groups for target in group.targets)

    @property
    def numbers(self) -> set[int]:
        """The ports on which anything is registered."""
        return {number for group in self.groups for number in group.numbers}

    @property
    def ports(self) -> list[TraefikPort]:
        """The ports of Traefik that targets lead to, each once."""
        found: list[TraefikPort] = []
        for target in self.targets:
            if target.leads is not None and not any(one is target.leads for one in found):
                found.append(target.leads)
        return found

    @property
    def pods(self) -> list[Pod]:
        """Traefik's pods behind the targets, each once."""
        return list({p.key: p for target in self.targets for p in target.pods}.values())

    @property
    def feeds_nodes(self) -> bool:
        """Whether a target is a node or an instance, so that a port on nodes is needed."""
        return any(target.kind == "node" or target.id.startswith("i-") for target in self.targets)


class Ends(Struct, frozen=True):
    """What targets may lead to in this cluster.

    `nodes` by instance id and address, `pods` Traefik's by address, `hosts` the addresses of the
    nodes of pods that were seen. `ports`: those of Services first.
    """

    nodes: Mapping[str, Node]
    pods: Mapping[str, Pod]
    hosts: frozenset[str]
    ports: Sequence[TraefikPort]

    def link(self, described: TargetHealth, own: Iterable[str] = ()) -> TargetLink:
        """Follow one target; `own` are more addresses of the instance that it is."""
        bare = TargetLink(described)
        node, pod = self.nodes.get(bare.id), self.pods.get(bare.id)
        kind: Kind | None = None
        if pod is not None and node is None:
            kind = "pod"
        elif node is not None or (not self.nodes and {bare.id, *own} & self.hosts):
            kind = "node"
        name = node.name if node is not None else None
        leads, pods = self._at_pod(pod, bare.port) if kind == "pod" else self._at(name, bare.port)
        return TargetLink(described, kind, node, pods, leads)

    def _at_pod(self, pod: Pod | None, number: int) -> tuple[TraefikPort | None, tuple[Pod, ...]]:
        reached = (pod,) if pod is not None else ()
        own = [p for p in self.ports if p.container_port == number]
        for port in own:
            if any(one is pod for one in port.pods):
                return port, reached
        return (own[0] if own else None), reached

    def _at(self, node: str | None, number: int) -> tuple[TraefikPort | None, tuple[Pod, ...]]:
        """Streams before datagrams; a hostPort that is open on this very node before others."""
        found = [p for p in self.ports if p.node_port is not None and p.node_port == number]
        found.sort(key=lambda p: (p.protocol != "TCP", p.nodes is not None and node not in p.nodes))
        if not found:
            return None, ()
        port = found[0]
        here = port.nodes is None or node is None
        pods = port.pods if here else tuple(p for p in port.pods if _node_of(p) == node)
        return port, pods


def chain_of(
    balancer: LoadBalancer,
    listener: Listener,
    forwards: Iterable[Forward],
    aws: AwsEvidence,
    ends: Ends,
) -> Chain:
    """The chain from a listener, whose `forwards` are those for the host and path.

    A group of weight 0 gets nothing, and is left out where another gets something.
    """
    groups = {g.target_group_arn: g for g in aws.target_groups.or_else(()) or ()}
    addresses: dict[str, list[str]] = {}
    for one in aws.instances.or_else(()) or ():
        addresses.setdefault(one.instance_id, []).append(one.private_ip_address)
    found = []
    listed = list(forwards)
    for forward in [f for f in listed if f.weight] or listed:
        arn = forward.target_group_arn
        health = aws.target_health.get(arn, NOT_SELECTED)
        attributes = aws.target_group_attributes.get(arn)
        targets = tuple(
            ends.link(one, addresses.get(one.target.id, ())) for one in health.or_else(()) or ()
        )
        told = attributes.or_else({}) if attributes is not None else {}
        front = (balancer, listener, arn, groups.get(arn, TargetGroup()))
        found.append(GroupLink(*front, health, targets, told or {}, forward.share))
    return Chain(balancer, listener, tuple(found))


# --- the ports of Traefik


def _node_of(pod: Pod) -> str:
    return pod.spec.node_name


def listens_on(static: StaticConfig, number: int | None) -> EntryPoint | None:
    """The entryPoint for streams on a port of the pod."""
    entries = static.entry_points.values()
    return next((e for e in entries if e.port == number and e.protocol != "udp"), None)


def ports_of_service(
    service: Service, pod: Pod | None, static: StaticConfig, pods: tuple[Pod, ...]
) -> list[TraefikPort]:
    """Each port of a Service, followed by one pod of those behind it and its configuration."""
    found = []
    for port in service.spec.ports:
        target = port.port if port.target_port is None else port.target_port
        number = target if isinstance(target, int) else named_port(pod, str(target))
        found.append(
            TraefikPort(
                name=port.name,
                port=port.port or 0,
                node_port=port.node_port or None,
                target=str(target),
                container_port=number,
                entry_point=listens_on(static, number),
                protocol=str(port.protocol or "TCP"),
                service=service,
                pods=pods,
            )
        )
    return found


def ports_of_pods(pods: Iterable[tuple[Pod, StaticConfig]]) -> list[TraefikPort]:
    """HostPorts (all entryPoints in the host network), then the entryPoints that pods have."""
    on_nodes: dict[tuple[object, ...], TraefikPort] = {}
    own: dict[tuple[object, ...], TraefikPort] = {}
    for pod, static in pods:
        for port in _host_ports(pod, static):
            _add(on_nodes, port, pod)
        for name, entry in static.entry_points.items():
            if entry.port:
                _add(own, _of_entry(name, entry, None), pod)
    return [*on_nodes.values(), *own.values()]


def _add(found: dict[tuple[object, ...], TraefikPort], port: TraefikPort, pod: Pod) -> None:
    key = (port.name, port.node_port, port.container_port, port.protocol, port.entry_point)
    pods = (*(found[key].pods if key in found else ()), pod)
    nodes = frozenset(map(_node_of, pods)) if port.node_port is not None else None
    found[key] = replace(port, pods=pods, nodes=nodes)


def _of_entry(name: str, entry: EntryPoint, node_port: int | None) -> TraefikPort:
    number = entry.port or 0
    return TraefikPort(name, number, node_port, str(number), number, entry, entry.protocol.upper())


def _host_ports(pod: Pod, static: StaticConfig) -> Iterable[TraefikPort]:
    for container in pod.spec.containers:
        for port in container.ports:
            if port.host_port:
                number, inside = int(port.host_port), int(port.container_port or 0)
                yield TraefikPort(
                    name=port.name,
                    port=number,
                    node_port=number,
                    target=str(inside),
                    container_port=inside,
                    entry_point=listens_on(static, inside),
                    protocol=str(port.protocol or "TCP"),
                )
    if pod.spec.host_network:
        for name, entry in static.entry_points.items():
            if entry.port:
                yield _of_entry(name, entry, entry.port)
