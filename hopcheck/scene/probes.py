"""Where the host's request is to be sent, hop by hop, so that a fault can be bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hopcheck.behaviour.traefik.discovery import Instance
from hopcheck.behaviour.traefik.route import scheme_to
from hopcheck.behaviour.traefik.servers import Address, endpoint_addresses, port_of
from hopcheck.model import Collected, ErrorKind, Hop, KubeEvidence, Probe, Snapshot, Target
from hopcheck.model.kubernetes import Endpoint, Node, Pod
from hopcheck.scene.chain import TraefikPort
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.outcome import Producer, producer, requests_made, succeeded
from hopcheck.scene.scene import Scene

_MOST = 12  # members of one hop


class HopTarget(Struct, frozen=True):
    """One member of a hop to send the request to; `scheme` is what is spoken there.

    `forwarded`: with the X-Forwarded-* headers of a load balancer that speaks HTTP itself.
    """

    hop: Hop
    member: str
    address: str
    port: int
    scheme: Literal["http", "https"]
    proxy_protocol: bool = False
    namespace: str | None = None
    name: str | None = None
    forwarded: bool = False


def probes_at(scene: Scene, hop: Hop) -> list[Probe]:
    """The probes that were really sent to members of a hop."""
    return [probe for probe in knocks_at(scene, hop) if probe.via == "direct"]


def knocks_at(scene: Scene, hop: Hop) -> list[Probe]:
    """What tells whether members of a hop take connections: those probes, or the API server's.

    Of the latter, which are made where there are none of the former, one with neither status nor
    error says that somebody listens, and nothing of what is answered.
    """
    return [
        c.get()
        for c in scene.snapshot.http.hops
        if c.seen and c.get().hop is hop and c.get().exchanges
    ]


def through_traefik(scene: Scene) -> list[Probe]:
    """The host's request sent to the hops from which Traefik passes it on."""
    hops = (Hop.NODE, Hop.TRAEFIK_SERVICE, Hop.TRAEFIK_POD)
    return [probe for hop in hops for probe in probes_at(scene, hop)]


def hop_targets(
    kube: KubeEvidence, target: Target, instance: Instance | None = None
) -> list[HopTarget]:
    """Nodes' nodePorts, Traefik pods and application pods on the way; empty without a cluster.

    `instance` is the Traefik that the requests reach, where more than the cluster tells.

    What is spoken there is what the URL asks; what a listener that ends TLS sends instead is known
    only with the load balancer: see `plain_targets`.
    """
    scene = Scene(Snapshot(target=target, kube=kube))
    if instance is not None:
        scene.instance = instance
    if scene.instance is None:
        return []
    found: list[HopTarget] = []
    wanted = scene.wanted_port(target.scheme)
    if wanted is not None:
        found += _nodes(scene, wanted)
        found += _traefik_pods(scene, wanted)
    found += _backends(scene)
    return found


def doors_of(scene: Scene, targets: Sequence[HopTarget]) -> list[HopTarget]:
    """Those of `targets` of which the requests leave open whether anybody listens there.

    Pods of the application where Traefik says 502, its own pods where no connection holds. A port
    of a pod is named once.
    """
    failing = [probe for probe in requests_made(scene.snapshot) if not succeeded(scene, probe)]
    last = [probe.exchanges[-1] for probe in failing]
    wanted: set[Hop] = set()
    if any(e.status == 502 and producer(e) is Producer.TRAEFIK for e in last):
        wanted.add(Hop.POD)
    waits = (ErrorKind.READ_TIMEOUT, ErrorKind.TOO_MANY_REDIRECTS)  # somebody is there
    nobody = (e for e in last if e.error not in waits)
    if any(producer(e) in (Producer.NOBODY, Producer.ALB) for e in nobody):
        wanted.add(Hop.TRAEFIK_POD)
        if inside := plain_targets(scene):
            targets = [*(one for one in targets if one.hop is Hop.POD), *inside]
    named = [one for one in targets if one.hop in wanted and one.name]
    return [*{(one.namespace, one.name, one.port): one for one in named}.values()]


# Where what is spoken depends on the load balancer.
BEFORE_THE_ROUTE = (Hop.NODE, Hop.TRAEFIK_POD)


def plain_targets(scene: Scene) -> list[HopTarget]:
    """Nodes and Traefik pods as a load balancer asks them that ends TLS and sends plain text on.

    On the ports of its targets; empty where the load balancer sends what the URL asks.
    """
    if scene.instance is None or Routing(scene).scheme_inside == scene.target.scheme:
        return []
    port = scene.reached[0] if scene.reached else scene.wanted_port("http")
    if scene.way is None or port is None:
        return []
    # An ALB tells what the client asked.
    speaks_http = scene.way.listener.protocol == "HTTPS"
    return [
        msgspec.structs.replace(target, scheme="http", forwarded=speaks_http)
        for target in (*_nodes(scene, port), *_traefik_pods(scene, port))
    ]


def foreign_targets(scene: Scene) -> list[HopTarget]:
    """Targets beside this cluster's own that are none of it, as the load balancer asks them.

    Only those that get requests: another cluster, or machines, behind the same group.
    """
    way, known = scene.way, scene.aws.instances.or_else(()) or ()
    if way is None or not scene.node_ids or not scene.pod_addresses:
        return []
    addresses = {one.instance_id: one.private_ip_address for one in known}
    plain, found = way.listener.ends_tls, dict[str, HopTarget]()
    for group in way.groups if any(target.kind for target in way.targets) else ():
        scheme = "http" if plain and group.sends_plain else scene.target.scheme
        proxied = group.attributes.get("proxy_protocol_v2.enabled") == "true"
        for target in group.in_state("healthy") if group.obj.target_type != "alb" else ():
            address = target.id if group.of_addresses else addresses.get(target.id, "")
            if target.kind is None and address and target.port:
                found[target.name] = _member(
                    Hop.TARGET_GROUP,
                    target.id,
                    address,
                    target.port,
                    scheme,
                    proxy_protocol=proxied,
                    forwarded=way.listener.protocol == "HTTPS",
                )
    return [*found.values()][:_MOST]


_OTHER_SCHEME = (
    ErrorKind.RESET,
    ErrorKind.PROTOCOL,
    ErrorKind.TLS_PROTOCOL,
    ErrorKind.TLS_ALERT,
    ErrorKind.TLS_TIMEOUT,
)


def other_scheme_targets(probes: Sequence[Collected[Probe]]) -> list[HopTarget]:
    """Pods to be asked again in the other scheme, since what they said looks like a mix-up.

    One at most: all pods of a Service speak the same.
    """
    for collected in probes:
        probe = collected.get() if collected.seen else None
        if probe is None or probe.hop is not Hop.POD or not probe.exchanges:
            continue
        last = probe.exchanges[-1]
        if last.error in _OTHER_SCHEME or last.status == 400:
            scheme: Literal["http", "https"] = "http" if probe.scheme == "https" else "https"
            told = (probe.member, probe.address, probe.port)
            return [HopTarget(Hop.POD, *told, scheme, namespace=probe.namespace, name=probe.name)]
    return []


def _member(hop: Hop, name: str, address: str, port: int, scheme: str, **more: Any) -> HopTarget:
    spoken: Literal["http", "https"] = "https" if scheme == "https" else "http"
    return HopTarget(hop, f"{name} {address}:{port}", address, port, spoken, name=name, **more)


def _nodes(scene: Scene, wanted: TraefikPort) -> list[HopTarget]:
    if wanted.node_port is None:
        return []
    proxied = wanted.entry_point is not None and wanted.entry_point.proxy_protocol
    scheme, port = scene.target.scheme, wanted.node_port
    return [
        _member(Hop.NODE, node.name, address, port, scheme, proxy_protocol=proxied)
        for node in (scene.kube.of(Node).or_else(()) or ())[:_MOST]
        for address in [a.address for a in node.status.addresses if a.type == "InternalIP"][:1]
        if address and (wanted.nodes is None or node.name in wanted.nodes)
    ]


def _traefik_pods(scene: Scene, wanted: TraefikPort) -> list[HopTarget]:
    entry, scheme = scene.entry_point, scene.target.scheme
    port = entry.port if entry is not None and entry.port else wanted.container_port
    more = {"proxy_protocol": entry is not None and entry.proxy_protocol}
    return [
        _member(Hop.TRAEFIK_POD, pod.name, address, port, scheme, namespace=pod.namespace, **more)
        for pod in (scene.instance.pods if scene.instance else ())[:_MOST]
        if (address := pod.status.pod_ip) and port and pod.ready
    ]


def _backends(scene: Scene) -> list[HopTarget]:
    routing = Routing(scene)
    found: list[HopTarget] = []
    for backend, service in routing.services():
        port = port_of(service, backend.port)
        if port is None:
            continue
        scheme = scheme_to(routing.winner, backend, service, port)
        known = endpoint_addresses(scene.kube, service, port)[:_MOST]
        found += _other_ports(scene, backend.namespace, known[:2])
        found += [
            _member(
                Hop.POD,
                _name(entry) or address,
                address,
                number,
                scheme,
                namespace=backend.namespace,
            )
            for address, number, entry in known
        ]
    return found


def _name(endpoint: Endpoint) -> str:
    """The name of the endpoint's pod, where it is one."""
    return endpoint.target_ref.name if endpoint.target_ref is not None else ""


def _other_ports(scene: Scene, namespace: str, known: list[Address]) -> list[HopTarget]:
    """Other declared ports of the pods: where one answers, the Service's port is what is wrong."""
    pods = {p.name: p for p in scene.kube.of(Pod, namespace).or_else(()) or ()}
    return [
        _member(Hop.POD, pod.name, address, port.container_port, "http", namespace=namespace)
        for address, number, endpoint in known
        if (pod := pods.get(_name(endpoint))) is not None
        for container in pod.spec.containers
        for port in container.ports
        if port.container_port not in (0, number) and port.protocol in ("", "TCP")
    ][:4]
