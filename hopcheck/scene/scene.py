"""Who is who in a snapshot: the host's load balancer, its Traefik, and how their ports join.

Pure look-ups that several judges (and the composition of probes) need; nothing is judged here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from hopcheck.behaviour.aws.loadbalancer import (
    Forward,
    Match,
    match_load_balancer,
    plain_name,
    target_groups_of,
    which_listener,
)
from hopcheck.behaviour.kubernetes.graph import selects
from hopcheck.behaviour.kubernetes.objects import (
    all_pods,
    containers,
    meta,
    named_port,
    node_ports_of,
    outside_names,
    pod_ready,
    services,
    spec,
)
from hopcheck.behaviour.traefik.discovery import (
    NODE_PORT_TYPES,
    Instance,
    instances,
    traefik_container,
    traefik_services,
)
from hopcheck.behaviour.traefik.installed import installed_version
from hopcheck.behaviour.traefik.reads import reads_route
from hopcheck.behaviour.traefik.route import View
from hopcheck.behaviour.traefik.static import (
    EntryPoint,
    StaticConfig,
    entry_points_of_api,
    static_config,
)
from hopcheck.behaviour.traefik.version import Version
from hopcheck.behaviour.traefik.view import config_files
from hopcheck.model import Collected, Obj, Snapshot, Target
from hopcheck.model.aws import Listener, TargetGroup

T = TypeVar("T")
__all__ = [
    "Scene",
    "ServicePort",
    "all_pods",
    "meta",
    "pod_ready",
    "spec",
    "standard_port",
]

NO_STATIC = StaticConfig()
# What does not depend on the version of Traefik that is assumed.
_OF_ANY_VERSION = ("addresses", "chain", "match", "pods", "services", "instances", "node_ids")


class ServicePort(Struct, frozen=True):
    """One port of Traefik's Service, followed to the entryPoint behind it."""

    name: str
    port: int
    node_port: int | None
    target: str  # targetPort as written
    container_port: int | None  # None: no container port has that name
    entry_point: EntryPoint | None  # None: nothing of Traefik listens there, or not known
    protocol: str = "TCP"


def standard_port(scheme: str) -> int:
    """80 or 443."""
    return {"http": 80, "https": 443}[scheme]


class Shared:
    """What is found once for all scenes it is given to, by names that mean the same in each."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Any] = {}

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What was found under `name`; `make` finds it on the first call."""
        if name not in self._found:
            self._found[name] = make()
        found: T = self._found[name]
        return found


class Scene:
    """Look-ups on one snapshot, each made once. It is made once a host and given to every rule.

    `shared`: what the scenes of one host under several versions of Traefik have in common.
    """

    def __init__(self, snapshot: Snapshot, shared: Shared | None = None) -> None:
        self.snapshot = snapshot
        self.shared = shared or Shared()
        self._own = Shared()
        self.target: Target = snapshot.target
        self.kube = snapshot.kube
        self.aws = snapshot.aws

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What several rules look at in this scene, found on the first call."""
        return self._own.once(name, make)

    def assuming(self, version: Version) -> Scene:
        """The same host, were its Traefik of that version."""

        def made() -> Scene:
            snapshot = msgspec.structs.replace(self.snapshot, assumed_version=str(version))
            other = Scene(snapshot, self.shared)
            vars(other).update({name: getattr(self, name) for name in _OF_ANY_VERSION})
            return other

        return self.once(version, made)

    # --- dns and load balancer

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The host's addresses by every resolver asked, or the host itself where it is one."""
        try:
            return (str(ipaddress.ip_address(self.target.host)),)
        except ValueError:
            pass
        found: dict[str, None] = {}
        for answer in self.snapshot.dns.answers:
            if answer.seen:
                found |= dict.fromkeys(answer.get().addresses)
        return tuple(found)

    @cached_property
    def chain(self) -> tuple[str, ...]:
        """The host and the targets of its CNAMEs, in order."""
        names = {plain_name(self.target.host): None}
        for answer in self.snapshot.dns.answers:
            if answer.seen:
                names |= {plain_name(hop.target): None for hop in answer.get().chain}
        return tuple(names)

    @cached_property
    def load_balancers(self) -> tuple[Obj, ...]:
        """Every load balancer that AWS named."""
        return tuple(self.aws.load_balancers.or_else(()) or ())

    @cached_property
    def match(self) -> Match:
        """The load balancer that the name leads to."""
        return match_load_balancer(
            self.chain,
            self.addresses,
            self.load_balancers,
            self.snapshot.dns.names,
            self.aws.network_interfaces.or_else(()) or (),
        )

    @cached_property
    def balancer(self) -> Obj | None:
        """The load balancer the name leads to; None where there is none or it is not known."""
        return self.balancer_by_arn(self.match.arn)

    def balancer_by_arn(self, arn: str | None) -> Obj | None:
        """The load balancer of that ARN."""
        return next((b for b in self.load_balancers if b.get("LoadBalancerArn") == arn), None)

    @cached_property
    def feeding(self) -> tuple[Obj, ...]:
        """Load balancers (details were read of) whose target groups hold this Traefik's ports."""
        return tuple(b for b in self.load_balancers if self._feeds(b["LoadBalancerArn"]))

    def _feeds(self, arn: str) -> bool:
        for listener in self.aws.listeners.get(arn, Collected(value=())).or_else(()) or ():
            for forward in self.forwards(listener):
                for described in self.health(forward.target_group_arn).or_else(()) or ():
                    if self.leads_here(described.get("Target") or {}):
                        return True
        return False

    def leads_here(self, target: Obj) -> bool:
        """Whether a target is this cluster's: a node's instance or address, or a Traefik pod's."""
        return target.get("Id") in self.node_ids or target.get("Id") in self.pod_addresses

    @cached_property
    def node_ids(self) -> dict[str, Obj]:
        """Nodes by instance id and by each of their addresses."""
        found: dict[str, Obj] = {}
        for node in self.kube.list("nodes").or_else(()) or ():
            provider = str(spec(node).get("providerID", "")).rpartition("/")[2]
            if provider:
                found[provider] = node
            for address in (node.get("status") or {}).get("addresses") or ():
                if address.get("type") in ("InternalIP", "ExternalIP"):
                    found[str(address.get("address"))] = node
        return found

    @cached_property
    def pod_addresses(self) -> dict[str, Obj]:
        """Traefik's pods by each of their addresses."""
        found: dict[str, Obj] = {}
        for instance in self.instances:
            for pod in instance.pods:
                status = pod.get("status") or {}
                every = [status.get("podIP"), *(e.get("ip") for e in status.get("podIPs") or ())]
                found |= {str(ip): pod for ip in every if ip}
        return found

    def forwards(self, listener: Obj) -> tuple[Forward, ...]:
        """Target groups of a listener for this host and path (an ALB's rules are applied)."""
        from hopcheck.behaviour.aws.alb_rules import chosen_rule

        rules = self.aws.rules.get(listener.get("ListenerArn", ""), Collected(value=()))
        listed = tuple(rules.or_else(()) or ())
        if not listed:
            return target_groups_of(listener)
        rule = chosen_rule(listed, self.target.host, self.target.path)
        if rule is None or rule.get("IsDefault"):
            return target_groups_of(listener)
        return target_groups_of(Listener(default_actions=rule.actions))

    def listener(self, balancer: Obj, port: int) -> Obj | None:
        """The balancer's TCP listener on `port`."""
        listed = self.aws.listeners.get(balancer["LoadBalancerArn"], Collected(value=()))
        return which_listener(listed.or_else(()) or (), port)

    def group(self, arn: str) -> Obj:
        """A target group, one without any field where it was not listed."""
        groups = self.aws.target_groups.or_else(()) or ()
        return next((g for g in groups if g.target_group_arn == arn), TargetGroup())

    def health(self, arn: str) -> Collected[tuple[Obj, ...]]:
        """Target health descriptions of a target group."""
        from hopcheck.model import NOT_SELECTED

        return self.aws.target_health.get(arn, NOT_SELECTED)

    def attribute(self, arn: str, key: str) -> str | None:
        """One attribute of a target group, None where it could not be read."""
        found = self.aws.target_group_attributes.get(arn)
        return (found.or_else({}) or {}).get(key) if found is not None else None

    # --- traefik

    @cached_property
    def pods(self) -> list[Obj]:
        """Every pod that was listed."""
        return all_pods(self.kube)

    @cached_property
    def services(self) -> list[Obj]:
        """Every Service that was listed."""
        return services(self.kube)

    @cached_property
    def instances(self) -> list[Instance]:
        """Traefik installations."""
        return instances(self.services, self.pods)

    @cached_property
    def instance(self) -> Instance | None:
        """The installation that the host's requests reach.

        By the load balancer's targets first; then by the addresses and names that its Services have
        from outside; then by which one reads the host's route, has a ready pod, and a Service that
        a load balancer could use.
        """
        found = self.instances
        if len(found) < 2:
            return found[0] if found else None
        if self._by_targets:
            return self._by_targets
        return max(
            found,
            key=lambda one: (
                self._is_addressed(one),
                reads_route(self.kube, self.view_of(one), self.target.host),
                any(pod_ready(pod) for pod in one.pods),
                any(self._exposed(one, service) for service in one.services),
            ),
        )

    def view_of(self, instance: Instance) -> View:
        """One installation as far as routing depends on it."""
        pods = sorted(instance.pods, key=lambda pod: not pod_ready(pod))
        static = self.static_of(pods[0]) if pods else StaticConfig()
        return View(
            f"{instance.namespace}/{instance.name}",
            static,
            installed_version(self.snapshot, instance),
        )

    def _is_addressed(self, instance: Instance) -> bool:
        """Whether the host's records are an installation's own: its Services' or its pods'."""
        names = {*self.addresses, *self.chain}
        for name in instance.services:
            service = self.service(instance.namespace, name)
            if service is not None and names & set(outside_names(service)):
                return True
        nodes = [address for address in self.addresses if address in self.node_ids]
        by_port = self.target.port in {port.node_port for port in self.ports_of(instance)}
        own = {str((pod.get("status") or {}).get("podIP")) for pod in instance.pods}
        return bool(nodes and by_port) or bool(own & names)

    @cached_property
    def _by_targets(self) -> Instance | None:
        if self.balancer is None:
            return None
        listener = self.listener(self.balancer, self.target.port)
        for forward in self.forwards(listener) if listener else ():
            for described in self.health(forward.target_group_arn).or_else(()) or ():
                target = described.get("Target") or {}
                for instance in self.instances:
                    ports = {p.node_port for p in self.ports_of(instance)}
                    addresses = {(p.get("status") or {}).get("podIP") for p in instance.pods}
                    if target.get("Port") in ports or target.get("Id") in addresses:
                        return instance
        return None

    def _exposed(self, instance: Instance, name: str) -> bool:
        service = self.service(instance.namespace, name)
        return service is not None and spec(service).get("type") in NODE_PORT_TYPES

    def service(self, namespace: str, name: str) -> Obj | None:
        """One Service."""
        for service in self.services:
            if meta(service).get("namespace") == namespace and meta(service).get("name") == name:
                return service
        return None

    @cached_property
    def traefik_service(self) -> Obj | None:
        """Traefik's Service: exposed and selecting its pods first, else the likeliest."""
        if self.instance is not None:
            listed = [self.service(self.instance.namespace, n) for n in self.instance.services]
            found = [service for service in listed if service is not None]
            found.sort(key=lambda s: self._service_rank(s, self.instance))
            return found[0] if found else None
        named = [self.service(*key) for key in traefik_services(self.services, self.pods)]
        known = [service for service in named if service is not None]
        # Which of several, without their pods in sight, the targets tell.
        known.sort(key=lambda s: not (node_ports_of(s) & self.target_ports))
        return known[0] if known else None

    def _service_rank(self, service: Obj, instance: Instance | None) -> tuple[bool, bool, bool]:
        pods = instance.pods if instance is not None else ()
        return (
            not (node_ports_of(service) & self.target_ports),
            spec(service).get("type") not in NODE_PORT_TYPES,
            not any(selects(service, pod) for pod in pods),
        )

    @cached_property
    def target_ports(self) -> set[int]:
        """Ports on which anything is registered in the host's target groups."""
        if self.balancer is None:
            return set()
        listener = self.listener(self.balancer, self.target.port)
        return {
            int(port)
            for forward in (self.forwards(listener) if listener else ())
            for described in self.health(forward.target_group_arn).or_else(()) or ()
            if (port := (described.get("Target") or {}).get("Port"))
        }

    @cached_property
    def _pod_target_ports(self) -> set[int]:
        """Ports of those targets that are Traefik's pods themselves."""
        if self.balancer is None:
            return set()
        listener = self.listener(self.balancer, self.target.port)
        targets = [
            described.get("Target") or {}
            for forward in (self.forwards(listener) if listener else ())
            for described in self.health(forward.target_group_arn).or_else(()) or ()
        ]
        return {
            int(target["Port"])
            for target in targets
            if target.get("Port")
            and target.get("Id") in self.pod_addresses
            and target.get("Id") not in self.node_ids
        }

    @cached_property
    def static(self) -> StaticConfig:
        """Static configuration of the host's Traefik (of a ready pod, where there is one)."""
        pods = sorted(
            self.instance.pods if self.instance else (), key=lambda pod: not pod_ready(pod)
        )
        return self.static_of(pods[0]) if pods else StaticConfig()

    def static_of(self, pod: Obj) -> StaticConfig:
        """Static configuration of one Traefik pod: its own, else what its API tells of it."""
        name = meta(pod).get("namespace"), meta(pod).get("name")
        found = self.shared.once(("static", *name), lambda: self._configured(pod))
        if found.known:
            return found
        for replica in self.snapshot.traefik.replicas:
            if replica.pod == meta(pod).get("name") and replica.entrypoints.seen:
                told = entry_points_of_api(replica.entrypoints.get())
                return msgspec.structs.replace(found, entry_points=told)
        return found

    def _configured(self, pod: Obj) -> StaticConfig:
        container = traefik_container(pod)
        if container is None:
            return StaticConfig()
        files = config_files(pod, container, self.kube)
        return static_config(pod, container.get("name"), files)

    @cached_property
    def version(self) -> Version | None:
        """Traefik's version, by its API or its image tag."""
        return installed_version(self.snapshot, self.instance)

    def ports_of(self, instance: Instance) -> list[ServicePort]:
        """The ports of all Services of an installation."""
        return [
            port
            for name in instance.services
            if (service := self.service(instance.namespace, name)) is not None
            for port in self.service_ports(service, instance)
        ]

    def service_ports(self, service: Obj, instance: Instance | None = None) -> list[ServicePort]:
        """Each port of Traefik's Service, followed to its entryPoint."""
        owner = instance or self.instance
        pods = sorted(owner.pods if owner else (), key=lambda pod: not pod_ready(pod))
        pod = pods[0] if pods else None
        static = self.static_of(pod) if pod is not None else NO_STATIC
        name = meta(service).get("namespace"), meta(service).get("name")
        of = (meta(pod).get("namespace"), meta(pod).get("name")) if pod is not None else ()
        return self.once(("ports", *name, *of), lambda: self._followed(service, pod, static))

    def _followed(self, service: Obj, pod: Obj | None, static: StaticConfig) -> list[ServicePort]:
        found = []
        for port in spec(service).get("ports") or ():
            target = port.get("targetPort", port.get("port"))
            number = target if isinstance(target, int) else named_port(pod, str(target))
            found.append(
                ServicePort(
                    name=str(port.get("name") or ""),
                    port=int(port.get("port", 0)),
                    node_port=port.get("nodePort") or None,
                    target=str(target),
                    container_port=number,
                    entry_point=next(
                        (
                            entry
                            for entry in static.entry_points.values()
                            if entry.port == number and entry.protocol != "udp"
                        ),
                        None,
                    ),
                    protocol=str(port.get("protocol") or "TCP"),
                )
            )
        return found

    @cached_property
    def ports(self) -> list[ServicePort]:
        """The ports of the host's Traefik Service."""
        return self.service_ports(self.traefik_service) if self.traefik_service else []

    @cached_property
    def host_ports(self) -> set[int]:
        """Ports that Traefik's pods open on their nodes themselves (hostPort, hostNetwork)."""
        found: set[int] = set()
        for pod in self.instance.pods if self.instance else ():
            for container in containers(pod):
                for port in container.get("ports") or ():
                    if port.get("hostPort"):
                        found.add(int(port["hostPort"]))
            if spec(pod).get("hostNetwork"):
                entries = self.static_of(pod).entry_points.values()
                found |= {entry.port for entry in entries if entry.port}
        return found

    def wanted_port(self, scheme: str) -> ServicePort | None:
        """The Service port for `scheme`: by number 80 or 443, else by the usual names."""
        usual = ("websecure", "https") if scheme == "https" else ("web", "http")
        streams = [port for port in self.ports if port.protocol == "TCP"]
        for port in streams:
            if port.port == standard_port(scheme):
                return port
        for port in streams:
            entry = port.entry_point.name if port.entry_point else ""
            if port.name in usual or entry in usual or port.target in usual:
                return port
        return None

    @cached_property
    def tls_ends_in_front(self) -> bool:
        """Whether the load balancer's listener for the host ends TLS."""
        if self.balancer is None:
            return False
        listener = self.listener(self.balancer, self.target.port)
        return listener is not None and listener.get("Protocol") in ("TLS", "HTTPS")

    @cached_property
    def entry_point(self) -> EntryPoint | None:
        """The entryPoint at which the request arrives, as far as ports tell."""
        reached = [
            port.entry_point
            for port in self.ports
            if port.node_port in self.target_ports and port.entry_point is not None
        ]
        if self.aws.load_balancers.seen:
            direct = self._pod_target_ports | (self.host_ports & self.target_ports)
            reached += [e for e in self.static.entry_points.values() if e.port in direct]
        if not reached and self.tls_ends_in_front:
            return None  # what is spoken behind the listener need not be what the URL says
        wanted = self.wanted_port(self.target.scheme)
        meant = wanted.entry_point if wanted is not None else None
        if meant is not None and (not reached or meant in reached):
            return meant  # of targets that lead to several entryPoints, the one that is meant
        if reached:
            return reached[0]
        usual = ("websecure", "https") if self.target.scheme == "https" else ("web", "http")
        return next((e for n, e in self.static.entry_points.items() if n in usual), None)
