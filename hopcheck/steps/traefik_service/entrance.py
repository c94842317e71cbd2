"""NetworkPolicies between the nodes and Traefik's pods."""

from __future__ import annotations

from hopcheck.catalogue.catalogue import listing, make
from hopcheck.model import ErrorKind, Finding, Hop, ObjectRef
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps.network_policies import closed_entrance

_SILENT = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.REFUSED, ErrorKind.UNREACHABLE, ErrorKind.RESET)


def closed_to_addresses(scene: Scene) -> Finding | None:
    """A NetworkPolicy on Traefik's pods, where no request gets any answer."""
    made, used, service = requests_made(scene.snapshot), scene.used_port, scene.traefik_service
    silent = [p for p in made if p.exchanges[-1].error in _SILENT]
    if not made or len(silent) < len(made) or used is None or used.container_port is None:
        return None
    if _passes(scene):  # the network plugin does not enforce policies
        return None
    policy = closed_entrance(scene, used.container_port)
    if policy is None or service is None:
        return None
    name, ns = policy.name, policy.namespace
    words = listing(p.address for p in silent)
    return make(
        "SVC016",
        ObjectRef("NetworkPolicy", name, ns),
        variant="policy",
        policy=f"{ns}/{name}",
        port=used.container_port,
        works="",
        fails=words,
        actual=words,
        ns=ns,
        name=name,
        related=(ObjectRef("Service", service.name, ns),),
    )


def _passes(scene: Scene) -> bool:
    """Whether nodes answer what they are asked, or the load balancer's health checks succeed."""
    if any(p.exchanges[-1].status is not None for p in probes_at(scene, Hop.NODE)):
        return True
    return any(target.state == "healthy" for target in (scene.way.targets if scene.way else ()))
