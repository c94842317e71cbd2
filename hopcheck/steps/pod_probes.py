"""What the pods behind a Service answered when they were asked directly."""

from __future__ import annotations

from hopcheck.behaviour.traefik.route import Backend
from hopcheck.behaviour.traefik.upstream import scheme_to
from hopcheck.model import Hop, Obj, Probe
from hopcheck.scene.chosen_route import port_of, routing_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.bounds import probes_at


def probes_of(
    scene: Scene, backend: Backend, service: Obj, endpoints: list[tuple[str, int, Obj]]
) -> list[Probe]:
    """The probes of those endpoints in the scheme that Traefik speaks to them."""
    port = port_of(service, backend.port)
    scheme = scheme_to(routing_of(scene).winner, backend, service, port or {})
    return probes_and_turned(scene, backend, endpoints, scheme)[0]


def probes_and_turned(
    scene: Scene, backend: Backend, used: list[tuple[str, int, Obj]], scheme: str
) -> tuple[list[Probe], dict[tuple[str, int], Probe]]:
    """The probes of the endpoints in the scheme that Traefik speaks, and those in the other one."""
    own: dict[tuple[str, int], Probe] = {}
    turned: dict[tuple[str, int], Probe] = {}
    for probe in probes_at(scene, Hop.POD):
        if probe.namespace == backend.namespace:
            same = (probe.scheme == "https") == (scheme == "https")
            (own if same else turned)[probe.address, probe.port] = probe
    return [own[a, n] for a, n, e in used if (a, n) in own and not leaving(e)], turned


def leaving(endpoint: Obj) -> bool:
    """Whether the pod is on its way out: what it answers no longer matters."""
    return (endpoint.get("conditions") or {}).get("terminating") is True
