"""Who is who in a snapshot: the host's load balancer, its Traefik, and how their ports join.

Pure look-ups that several judges (and the composition of probes) need; nothing is judged here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable, Iterable
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from hopcheck.behaviour.aws.loadbalancer import (
    Forward,
    Match,
    chosen_rule,
    match_load_balancer,
    plain_name,
    target_groups_of,
    which_listener,
)
from hopcheck.behaviour.kubernetes.graph import selects
from hopcheck.behaviour.kubernetes.objects import (
    node_ports_of,
    outside_names,
)
from hopcheck.behaviour.traefik.discovery import (
    NODE_PORT_TYPES,
    Instance,
    instances,
    joined,
    traefik_container,
    traefik_services,
)
from hopcheck.behaviour.traefik.route import View
from hopcheck.behaviour.traefik.routes import reads_route
from hopcheck.behaviour.traefik.static import (
    EntryPoint,
    StaticConfig,
    config_files,
    entry_points_of_api,
    static_config,
)
from hopcheck.behaviour.traefik.version import Version, installed_version
from hopcheck.config.target import is_address
from hopcheck.model import NOT_SELECTED, Collected, Snapshot, Target
from hopcheck.model.aws import Listener, ListenerRule, LoadBalancer, TargetHealth
from hopcheck.model.kubernetes import EndpointSlice, Node, Pod, Service
from hopcheck.scene.chain import Chain, Ends, TraefikPort, chain_of, ports_of_pods, ports_of_service

T = TypeVar("T")

_USUAL = {"http": ("web", "http"), "https": ("websecure", "https")}  # names of entryPoints
# What does not depend on the version of Traefik that is assumed.
_OF_ANY_VERSION = ("addresses", "chain", "match", "pods", "services", "instances", "node_ids")


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

    def at(self, url: str) -> Scene:
        """The same host asked at another URL, as behind a redirect; itself for its own."""
        to, own = urlsplit(url), urlsplit(self.target.url)
        if to.hostname != own.hostname or to._replace(query="") == own._replace(query=""):
            return self
        scheme = "http" if to.scheme == "http" else "https"
        port, path = to.port or standard_port(scheme), to.path or "/"
        target = msgspec.structs.replace(self.target, scheme=scheme, port=port, path=path)
        asked = msgspec.structs.replace(self.snapshot, target=target)
        return self.once(target, lambda: Scene(asked))

    # --- dns and load balancer

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The host's addresses by every resolver asked, or the host itself where it is one."""
        if is_address(self.target.host):
            return (str(ipaddress.ip_address(self.target.host)),)
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
    def load_balancers(self) -> tuple[LoadBalancer, ...]:
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
    def balancer(self) -> LoadBalancer | None:
        """The load balancer the name leads to; None where there is none or it is not known."""
        return self.balancer_by_arn(self.match.arn)

    def balancer_by_arn(self, arn: str | None) -> LoadBalancer | None:
        """The load balancer of that ARN."""
        return next((b for b in self.load_balancers if b.load_balancer_arn == arn), None)

    @cached_property
    def feeding(self) -> tuple[LoadBalancer, ...]:
        """Load balancers (details were read of) with targets in this cluster, its own first."""
        every = self.load_balancers
        inside = [b for b in every if any(t.kind for way in self._ways(b) for t in way.targets)]
        own = self.own_balancers
        return (*own, *(balancer for balancer in inside if balancer not in own))

    def _ways(self, balancer: LoadBalancer) -> list[Chain]:
        return [self.chain_from(balancer, one) for one in self.listeners(balancer)]

    @cached_property
    def own_balancers(self) -> tuple[LoadBalancer, ...]:
        """Those of the Traefik that reads the host's route, that its Service's status names first.

        By the ports to which targets lead: nodes may be anybody's targets.
        """
        serving = self.instances
        if len(serving) > 1:
            views = ((one, self.view_of(one)) for one in serving)
            host = self.target.host
            read = [one for one, view in views if reads_route(self.kube, view, host)]
            serving = read or serving
        names = {n for one in serving for s in self._known(one) for n in outside_names(s)}
        named = [b for b in self.load_balancers if plain_name(b.dns_name) in names]
        led = (
            balancer
            for balancer in self.load_balancers
            for port in (port for way in self._ways(balancer) for port in way.ports)
            if balancer not in named and any(_belongs(port, one) for one in serving)
        )
        return tuple({b.load_balancer_arn: b for b in (*named, *led)}.values())

    @cached_property
    def meant(self) -> LoadBalancer | None:
        """The load balancer that the name should lead to, where it leads to somebody else's.

        Only where all that stands behind the other was read, and nothing good comes of it. Targets
        that are none of this cluster may be proxies in front of it: what answers more than a 404
        there may be its application. What a Service's status names is sure; of others one that is
        as public, or internal.
        """
        led = self.balancer
        if led is None or led in self.own_balancers or not self._all_read(led):
            return None
        targets = [target for way in self._ways(led) for target in way.targets]
        if {t.id for t in targets} & {own.load_balancer_arn for own in self.own_balancers}:
            return None  # an Application Load Balancer behind a network one
        asked = (c.get() for c in self.snapshot.http.requests if c.seen)
        statuses = {p.exchanges[-1].status for p in asked if p.exchanges} - {None, 404}
        inside = any(target.kind is not None for target in targets)
        if any(not inside or (status or 0) < 400 for status in statuses):
            return None
        names = {name for service in self.services for name in outside_names(service)}
        # Against one that leads to another cluster, whose nodes they are suffices.
        for other in self.own_balancers if inside else self.feeding:
            sure = plain_name(other.dns_name) in names and other.scheme != "internal"
            if (sure or other.scheme == led.scheme) and self.listener(other, self.target.port):
                return other
        return None

    def _all_read(self, balancer: LoadBalancer) -> bool:
        """Whether all targets behind it were read, and there are any, in sight of the nodes."""
        groups = [group for way in self._ways(balancer) for group in way.groups]
        seen = bool(self.node_ids) and all(group.health.seen for group in groups)
        return seen and any(group.targets for group in groups)

    def chain_from(self, balancer: LoadBalancer, listener: Listener) -> Chain:
        """The chain from that listener, for this host and path."""
        return chain_of(balancer, listener, self.forwards(listener), self.aws, self.ends)

    def way_of(self, balancer: LoadBalancer) -> Chain | None:
        """The chain from the balancer's listener on the port asked; None where it has none."""
        listener = self.listener(balancer, self.target.port)
        return self.chain_from(balancer, listener) if listener is not None else None

    @cached_property
    def way(self) -> Chain | None:
        """The chain from the listener that the request meets, or is meant to meet.

        None where there is none in sight.
        """
        front = self.meant or self.balancer
        return self.way_of(front) if front is not None else None

    @cached_property
    def ends(self) -> Ends:
        """What targets may lead to: this cluster's nodes, and Traefik's pods and their ports."""
        hosts = {str(pod.status.host_ip) for pod in self.pods}
        return Ends(self.node_ids, self.pod_addresses, frozenset(hosts), self.traefik_ports)

    @cached_property
    def node_ids(self) -> dict[str, Node]:
        """Nodes by instance id and by each of their addresses."""
        found: dict[str, Node] = {}
        for node in self.kube.of(Node).or_else(()) or ():
            provider = node.spec.provider_id.rpartition("/")[2]
            if provider:
                found[provider] = node
            for address in node.status.addresses:
                if address.type in ("InternalIP", "ExternalIP"):
                    found[address.address] = node
        return found

    @cached_property
    def pod_addresses(self) -> dict[str, Pod]:
        """Traefik's pods by each of their addresses."""
        pods = [pod for instance in self.instances for pod in instance.pods]
        return {address: pod for pod in pods for address in pod.addresses}

    def forwards(self, listener: Listener) -> tuple[Forward, ...]:
        """Target groups of a listener for this host and path (an ALB's rules are applied)."""
        rule = self.rule(listener)
        if rule is None or rule.is_default:
            return target_groups_of(listener)
        return target_groups_of(Listener(default_actions=rule.actions))

    def rule(self, listener: Listener) -> ListenerRule | None:
        """The rule of a listener for this host and path; None where no rules were read."""
        rules = self.aws.rules.get(listener.listener_arn, NOT_SELECTED).or_else(()) or ()
        return chosen_rule(rules, self.target.host, self.target.path)

    def listener(self, balancer: LoadBalancer, port: int) -> Listener | None:
        """The balancer's TCP listener on `port`."""
        return which_listener(self.listeners(balancer), port)

    def listeners(self, balancer: LoadBalancer) -> tuple[Listener, ...]:
        """The balancer's listeners; none where they were not read."""
        return self.aws.listeners.get(balancer.load_balancer_arn, NOT_SELECTED).or_else(()) or ()

    def health(self, arn: str) -> Collected[tuple[TargetHealth, ...]]:
        """Target health descriptions of a target group."""
        return self.aws.target_health.get(arn, NOT_SELECTED)

    # --- traefik

    @cached_property
    def pods(self) -> list[Pod]:
        """Every pod that was listed."""
        return self.kube.every(Pod)

    @cached_property
    def services(self) -> list[Service]:
        """Every Service that was listed."""
        return self.kube.every(Service)

    @cached_property
    def instances(self) -> list[Instance]:
        """Traefik installations."""
        return instances(self.services, self.pods)

    @cached_property
    def instance(self) -> Instance | None:
        """The Traefik that the host's requests reach: every workload with a pod behind the chain.

        Without a chain to Traefik, by the addresses and names that its Services have from outside;
        then by which one reads the host's route, has a ready pod, and a Service that a load
        balancer could use; with it whoever is behind the same Service.
        """
        found = self.instances
        if len(found) < 2:
            return found[0] if found else None
        reached = self.way.pods if self.way is not None else []
        return joined(found, reached) or self._likeliest

    @property
    def _likeliest(self) -> Instance | None:
        best = max(
            self.instances,
            key=lambda one: (
                self._is_addressed(one),
                reads_route(self.kube, self.view_of(one), self.target.host),
                any(pod.ready for pod in one.pods),
                any(service.spec.type in NODE_PORT_TYPES for service in self._known(one)),
            ),
        )
        service = next(iter(self._services_of(best)), None)
        behind = self.behind(service) if service is not None else ()
        # A Service that selects none of its pods leads to another's, or nowhere.
        same = any(pod in best.pods for pod in behind)
        return joined(self.instances, behind) if same else best

    def view_of(self, instance: Instance, pod: Pod | None = None) -> View:
        """One installation as far as routing depends on it, as `pod` of it is configured."""
        pod = pod or next(iter(_ready_first(instance.pods)), None)
        static = self.static_of(pod) if pod is not None else StaticConfig()
        return View(
            f"{instance.namespace}/{instance.name}",
            static,
            installed_version(self.snapshot, instance),
        )

    def _is_addressed(self, instance: Instance) -> bool:
        """Whether the host's records are an installation's own: its Services' or its pods'."""
        names = {*self.addresses, *self.chain}
        if any(names & set(outside_names(service)) for service in self._known(instance)):
            return True
        if names & {pod.status.pod_ip for pod in instance.pods}:
            return True
        return any(address in self.node_ids for address in self.addresses) and any(
            port.node_port == self.target.port and _belongs(port, instance)
            for port in self.traefik_ports
        )

    def _known(self, instance: Instance) -> list[Service]:
        """Those of an installation's Services that were listed, in its order."""
        listed = [self.service(instance.namespace, name) for name in instance.services]
        return [service for service in listed if service is not None]

    def service(self, namespace: str, name: str) -> Service | None:
        """One Service."""
        return next((one for one in self.services if one.key == (namespace, name)), None)

    @cached_property
    def traefik_service(self) -> Service | None:
        """Traefik's Service: exposed and selecting its pods first, else the likeliest."""
        if self.instance is not None:
            return next(iter(self._services_of(self.instance)), None)
        return self._named_services[0] if self._named_services else None

    @cached_property
    def _named_services(self) -> list[Service]:
        """What may be Traefik's Service, as long as no pod of it is in sight."""
        named = [self.service(*key) for key in traefik_services(self.services, self.pods)]
        known = [service for service in named if service is not None]
        # Which of several, without their pods in sight, the targets tell.
        known.sort(key=lambda s: not (node_ports_of(s) & self._registered))
        return known

    @cached_property
    def _registered(self) -> set[int]:
        """Ports of the host's targets; where they lead takes Traefik's ports, and these do not."""
        if self.balancer is None:
            return set()
        listener = self.listener(self.balancer, self.target.port)
        if listener is None:
            return set()
        nowhere = Ends({}, {}, frozenset(), ())
        return chain_of(self.balancer, listener, self.forwards(listener), self.aws, nowhere).numbers

    def _services_of(self, instance: Instance) -> list[Service]:
        return sorted(
            self._known(instance),
            key=lambda service: (
                not (node_ports_of(service) & self._registered),
                service.spec.type not in NODE_PORT_TYPES,
                not any(selects(service, pod) for pod in instance.pods),
            ),
        )

    @cached_property
    def lead(self) -> Pod | None:
        """The pod whose configuration stands for the host's Traefik.

        A ready one; where they are configured differently, one that reads the host's route and
        listens where the Service leads.
        """
        instance, service = self.instance, self.traefik_service
        pods = _ready_first(instance.pods if instance else ())
        statics = [self.static_of(pod) for pod in pods]
        if instance is None or all(static == statics[0] for static in statics):
            return pods[0] if pods else None
        version = installed_version(self.snapshot, instance)
        reads = {
            pod.key: reads_route(self.kube, View("-/-", static, version), self.target.host)
            for pod, static in zip(pods, statics, strict=True)
        }
        return min(
            pods,
            key=lambda pod: (
                not pod.ready,
                not reads[pod.key],
                -self._listening(service, pod) if service is not None else 0,
            ),
        )

    def _listening(self, service: Service, pod: Pod) -> int:
        """How many ports of the Service lead to an entryPoint of the pod."""
        ports = ports_of_service(service, pod, self.static_of(pod), ())
        return sum(port.entry_point is not None for port in ports)

    @cached_property
    def static(self) -> StaticConfig:
        """Static configuration of the host's Traefik."""
        return self.static_of(self.lead) if self.lead is not None else StaticConfig()

    def static_of(self, pod: Pod) -> StaticConfig:
        """Static configuration of one Traefik pod: its own, else what its API tells of it."""
        found = self.shared.once(("static", *pod.key), lambda: self._configured(pod))
        if found.known:
            return found
        for replica in self.snapshot.traefik.replicas:
            if replica.pod == pod.name and replica.entrypoints.seen:
                told = entry_points_of_api(replica.entrypoints.get())
                return msgspec.structs.replace(found, entry_points=told)
        return found

    def _configured(self, pod: Pod) -> StaticConfig:
        container = traefik_container(pod)
        if container is None:
            return StaticConfig()
        return static_config(pod, config_files(pod, container, self.kube))

    @cached_property
    def version(self) -> Version | None:
        """Traefik's version, by its API or its image tag."""
        return installed_version(self.snapshot, self.instance)

    def behind(self, service: Service) -> tuple[Pod, ...]:
        """Traefik's pods behind a Service: those that its slices name or its selector picks."""
        namespace, name = service.key
        named = {
            endpoint.target_ref.name
            for one in self.kube.of(EndpointSlice, namespace).or_else(()) or ()
            if one.metadata.labels.get("kubernetes.io/service-name") == name
            for endpoint in one.endpoints
            if endpoint.target_ref is not None
        }
        return tuple(
            pod
            for instance in self.instances
            for pod in (instance.pods if instance.namespace == namespace else ())
            if selects(service, pod) or pod.name in named
        )

    def service_ports(self, service: Service) -> list[TraefikPort]:
        """Each port of a Service of Traefik's, followed to its entryPoint."""
        return self.once(("ports", *service.key), lambda: self._followed(service))

    def _followed(self, service: Service) -> list[TraefikPort]:
        namespace, name = service.key
        meant = [i for i in self.instances if i.namespace == namespace and name in i.services]
        pods = self.behind(service)
        every = _ready_first(pods or (pod for one in meant for pod in one.pods))
        statics = [self.static_of(pod) for pod in every]
        if any(static != statics[0] for static in statics):
            # What most of its ports lead to is what is meant.
            every.sort(key=lambda p: (not p.ready, -self._listening(service, p)))
        sample = every[0] if every else None
        static = self.static_of(sample) if sample is not None else StaticConfig()
        return ports_of_service(service, sample, static, pods)

    @cached_property
    def traefik_ports(self) -> list[TraefikPort]:
        """Every port at which a Traefik of this cluster is reached, those of Services first."""
        found = {known.key: known for one in self.instances for known in self._known(one)}
        of_services = list(found.values()) if self.instances else self._named_services[:1]
        pods = [(pod, self.static_of(pod)) for one in self.instances for pod in one.pods]
        return [
            *(port for service in of_services for port in self.service_ports(service)),
            *ports_of_pods(pods),
        ]

    @cached_property
    def ports(self) -> list[TraefikPort]:
        """The ports of the host's Traefik Service."""
        return self.service_ports(self.traefik_service) if self.traefik_service else []

    @cached_property
    def own_ports(self) -> list[TraefikPort]:
        """Every port at which the host's Traefik is reached, those of its Service first."""
        instance = self.instance
        if instance is None:
            return self.ports
        others = [port for port in self.traefik_ports if _belongs(port, instance)]
        return [*self.ports, *(port for port in others if port not in self.ports)]

    @property
    def host_ports(self) -> bool:
        """Whether Traefik's pods open ports on their nodes themselves (hostPort, hostNetwork)."""
        return any(port.nodes is not None for port in self.own_ports)

    def wanted_port(self, scheme: str) -> TraefikPort | None:
        """The port for `scheme`: by number 80 or 443, else by the usual names; Services' first.

        A port that pods alone have counts where the load balancer's targets are pods.
        """
        usual = _USUAL[scheme]
        way = self.way
        at_pods = way is not None and bool(way.targets) and not way.feeds_nodes
        others = [port for port in self.own_ports if at_pods or port.node_port is not None]
        for ports in (self.ports, others):
            streams = [port for port in ports if port.protocol == "TCP"]
            for port in streams:
                if port.port == standard_port(scheme):
                    return port
            for port in streams:
                entry = port.entry_point.name if port.entry_point else ""
                if port.name in usual or entry in usual or port.target in usual:
                    return port
        return None

    @cached_property
    def reached(self) -> list[TraefikPort]:
        """The ports of Traefik that the load balancer's targets lead to, Services' first."""
        ports = self.way.ports if self.way is not None else []
        return [port for port in self.own_ports if any(port is one for one in ports)]

    @cached_property
    def used_port(self) -> TraefikPort | None:
        """The port that requests take: by the targets, else by the scheme."""
        return self.reached[0] if self.reached else self.wanted_port(self.target.scheme)

    @cached_property
    def entry_point(self) -> EntryPoint | None:
        """The entryPoint at which the request arrives, as far as ports tell."""
        reached = [port.entry_point for port in self.reached if port.entry_point is not None]
        if not reached and self.way is not None and self.way.listener.ends_tls:
            return None  # what is spoken behind the listener need not be what the URL says
        wanted = self.wanted_port(self.target.scheme)
        meant = wanted.entry_point if wanted is not None else None
        if meant is not None and (not reached or meant in reached):
            return meant  # of targets that lead to several entryPoints, the one that is meant
        if reached:
            return reached[0]
        usual = _USUAL[self.target.scheme]
        return next((e for n, e in self.static.entry_points.items() if n in usual), None)


def _ready_first(pods: Iterable[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: not pod.ready)


def _belongs(port: TraefikPort, instance: Instance) -> bool:
    """Whether the port leads to an installation, or is of a Service that is meant to."""
    if any(pod in instance.pods for pod in port.pods) or port.service is None:
        return any(pod in instance.pods for pod in port.pods)
    namespace, name = port.service.key
    return namespace == instance.namespace and name in instance.services
