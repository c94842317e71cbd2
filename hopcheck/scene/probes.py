"""Where the host's request is to be sent, hop by hop, so that a fault can be bounded."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hopcheck.behaviour.kubernetes.objects import containers
from hopcheck.behaviour.traefik.discovery import Instance
from hopcheck.behaviour.traefik.upstream import scheme_to
from hopcheck.model import Collected, ErrorKind, Hop, KubeEvidence, Obj, Probe, Snapshot, Target
from hopcheck.scene.chain import TraefikPort
from hopcheck.scene.chosen_route import Routing, port_of
from hopcheck.scene.hop_target import HopTarget
from hopcheck.scene.scene import Scene, meta, pod_ready

_MOST = 12  # members of one hop


def probes_at(scene: Scene, hop: Hop) -> list[Probe]:
    """The probes that were really sent to members of a hop."""
    return [
        c.get()
        for c in scene.snapshot.http.hops
        if c.seen and c.get().hop is hop and c.get().exchanges
    ]


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
    speaks_http = scene.way.listener.get("Protocol") == "HTTPS"
    return [
        msgspec.structs.replace(target, scheme="http", forwarded=speaks_http)
        for target in (*_nodes(scene, port), *_traefik_pods(scene, port))
    ]


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
            return [
                HopTarget(
                    hop=Hop.POD,
                    member=probe.member,
                    address=probe.address,
                    port=probe.port,
                    scheme="http" if probe.scheme == "https" else "https",
                    namespace=probe.namespace,
                    name=probe.name,
                )
            ]
    return []


def _node_address(node: Obj) -> str | None:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((a.get("address") for a in addresses if a.get("type") == "InternalIP"), None)


def _nodes(scene: Scene, wanted: TraefikPort) -> list[HopTarget]:
    if wanted.node_port is None:
        return []
    proxied = wanted.entry_point is not None and wanted.entry_point.proxy_protocol
    found = []
    for node in list(scene.kube.list("nodes").or_else(()) or ())[:_MOST]:
        address = _node_address(node)
        if address and (wanted.nodes is None or meta(node).get("name") in wanted.nodes):
            name = str(meta(node).get("name"))
            found.append(
                HopTarget(
                    hop=Hop.NODE,
                    member=f"{name} {address}:{wanted.node_port}",
                    address=address,
                    port=wanted.node_port,
                    scheme=scene.target.scheme,
                    proxy_protocol=proxied,
                    name=name,
                )
            )
    return found


def _traefik_pods(scene: Scene, wanted: TraefikPort) -> list[HopTarget]:
    entry = scene.entry_point
    port = entry.port if entry is not None and entry.port else wanted.container_port
    found = []
    for pod in (scene.instance.pods if scene.instance else ())[:_MOST]:
        address = (pod.get("status") or {}).get("podIP")
        if address and port and pod_ready(pod):
            namespace, name = str(meta(pod).get("namespace")), str(meta(pod).get("name"))
            found.append(
                HopTarget(
                    hop=Hop.TRAEFIK_POD,
                    member=f"{name} {address}:{port}",
                    address=address,
                    port=port,
                    scheme=scene.target.scheme,
                    proxy_protocol=entry is not None and entry.proxy_protocol,
                    namespace=namespace,
                    name=name,
                )
            )
    return found


def endpoint_addresses(kube: KubeEvidence, service: Obj, port: Obj) -> list[tuple[str, int, Obj]]:
    """(address, port, endpoint) of a Service's port, from its EndpointSlices; all conditions."""
    namespace, name = str(meta(service).get("namespace")), str(meta(service).get("name"))
    found: dict[tuple[str, int], tuple[str, int, Obj]] = {}
    for one in kube.list("endpointslices", namespace).or_else(()) or ():
        labels = meta(one).get("labels") or {}
        if labels.get("kubernetes.io/service-name") != name:
            continue
        for number in slice_ports(one, port):
            for endpoint in one.get("endpoints") or ():
                for address in endpoint.get("addresses") or ():
                    found[(address, number)] = (address, number, endpoint)
    return list(found.values())


def slice_ports(one: Obj, port: Obj) -> list[int]:
    """The numbers that an EndpointSlice gives for a Service port: they share its name."""
    name = port.get("name") or ""
    return [
        int(p["port"])
        for p in one.get("ports") or ()
        if (p.get("name") or "") == name and p.get("port")
    ]


def _backends(scene: Scene) -> list[HopTarget]:
    routing = Routing(scene)
    found: list[HopTarget] = []
    for backend, service in routing.services():
        port = port_of(service, backend.port)
        if port is None:
            continue
        tls = scheme_to(routing.winner, backend, service, port) == "https"
        known = endpoint_addresses(scene.kube, service, port)[:_MOST]
        found += _other_ports(scene, backend.namespace, known[:2])
        for address, number, endpoint in known:
            name = str((endpoint.get("targetRef") or {}).get("name") or address)
            found.append(
                HopTarget(
                    hop=Hop.POD,
                    member=f"{name} {address}:{number}",
                    address=address,
                    port=number,
                    scheme="https" if tls else "http",
                    namespace=backend.namespace,
                    name=name,
                )
            )
    return found


def _other_ports(
    scene: Scene, namespace: str, known: list[tuple[str, int, Obj]]
) -> list[HopTarget]:
    """Other declared ports of the pods: where one answers, the Service's port is what is wrong."""
    found = []
    pods = {meta(p).get("name"): p for p in scene.kube.list("pods", namespace).or_else(()) or ()}
    for address, number, endpoint in known:
        name = str((endpoint.get("targetRef") or {}).get("name") or "")
        for container in containers(pods[name]) if name in pods else ():
            for port in container.get("ports") or ():
                other = port.get("containerPort")
                if other and other != number and port.get("protocol", "TCP") == "TCP":
                    found.append(
                        HopTarget(
                            hop=Hop.POD,
                            member=f"{name} {address}:{other}",
                            address=address,
                            port=int(other),
                            scheme="http",
                            namespace=namespace,
                            name=name,
                        )
                    )
    return found[:4]
