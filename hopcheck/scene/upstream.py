"""The Services behind the host's route: port, endpoints, pods, and what these answered."""

from __future__ import annotations

from functools import cached_property

from hopcheck.behaviour.kubernetes import pod_state
from hopcheck.behaviour.kubernetes.graph import SERVICE_NAME, selects
from hopcheck.behaviour.traefik.route import Backend, scheme_to
from hopcheck.behaviour.traefik.servers import Address, endpoint_addresses, port_of
from hopcheck.behaviour.traefik.version import fences_endpoint, uses_endpoint
from hopcheck.model import Hop, ObjectRef, Probe, Words
from hopcheck.model.kubernetes import EndpointSlice, Pod, Service, ServicePort
from hopcheck.scene.chosen_route import routing_of, share_of
from hopcheck.scene.outcome import expected
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene


def upstreams(scene: Scene) -> list[Upstream]:
    """Each existing Service behind the host's route, in the route's order."""

    def made() -> list[Upstream]:
        backends = routing_of(scene).carrying
        found = ((b, scene.kube.find(Service, b.namespace, b.name)) for b in backends)
        return [Upstream(scene, b, s.get(), share_of(b, backends)) for b, s in found if s.seen]

    return scene.once("upstreams", made)


class Upstream:
    """One Service behind the route; `share` is the part of the requests that it gets."""

    def __init__(
        self, scene: Scene, backend: Backend, service: Service, share: float | None = None
    ) -> None:
        self.scene, self.backend, self.service, self.share = scene, backend, service, share
        self.namespace, self.name = backend.namespace, backend.name
        self.full = f"{self.namespace}/{self.name}"

    @property
    def alone(self) -> bool:
        """Whether it gets all requests of the route."""
        return self.share in (None, 1.0)

    @property
    def ref(self) -> ObjectRef:
        """The Service."""
        return self.at(None)

    def at(self, field: str | None) -> ObjectRef:
        """A field of the Service."""
        return ObjectRef("Service", self.name, self.namespace, field)

    @property
    def application(self) -> ObjectRef:
        """The application that it leads to."""
        return ObjectRef("Application", self.name, self.namespace)

    @property
    def words(self) -> Words:
        """The catalogue's parameters that name it."""
        return {"service": self.full, "ns": self.namespace, "svc": self.name}

    @property
    def external(self) -> bool:
        """Whether it is but a name for a host outside."""
        return self.service.spec.type == "ExternalName"

    @cached_property
    def port(self) -> ServicePort | None:
        """The Service's port that the route names."""
        return port_of(self.service, self.backend.port)

    @cached_property
    def selector(self) -> dict[str, str]:
        """The labels that it looks for; {} where somebody else keeps its endpoints."""
        return self.service.spec.selector

    @cached_property
    def slices(self) -> list[EndpointSlice] | None:
        """Its EndpointSlices; None where they could not be read."""
        listed = self.scene.kube.of(EndpointSlice, self.namespace)
        if not listed.seen:
            return None
        return [s for s in listed.get() if s.metadata.labels.get(SERVICE_NAME) == self.name]

    @cached_property
    def endpoints(self) -> list[Address]:
        """What the slices name for the port, in whatever condition."""
        port = self.port
        return endpoint_addresses(self.scene.kube, self.service, port) if port is not None else []

    @cached_property
    def used(self) -> list[Address]:
        """Those to which this version of Traefik sends requests of new clients."""
        version = routing_of(self.scene).view.version
        every = [e for e in self.endpoints if uses_endpoint(version, e[2].conditions)]
        return [e for e in every if not fences_endpoint(version, e[2].conditions)]

    @property
    def pods_listed(self) -> bool:
        """Whether the pods of its namespace could be read."""
        return self.scene.kube.of(Pod, self.namespace).seen

    @cached_property
    def selected(self) -> list[Pod]:
        """The pods that it selects, those included that have ended."""
        listed = self.scene.kube.of(Pod, self.namespace).or_else(()) or ()
        return [pod for pod in listed if selects(self.service, pod)]

    @cached_property
    def pods(self) -> list[Pod]:
        """The pods that it selects and that have not ended."""
        return [pod for pod in self.selected if not pod_state.terminal(pod)]

    @cached_property
    def scheme(self) -> str:
        """What Traefik speaks to the pods: "http", "https" or "h2c"."""
        route = routing_of(self.scene).winner
        return scheme_to(route, self.backend, self.service, self.port or ServicePort())

    @cached_property
    def _answers(self) -> tuple[dict[tuple[str, int], Probe], dict[tuple[str, int], Probe]]:
        own: dict[tuple[str, int], Probe] = {}
        turned: dict[tuple[str, int], Probe] = {}
        for probe in probes_at(self.scene, Hop.POD):
            if probe.namespace == self.namespace:
                same = (probe.scheme == "https") == (self.scheme == "https")
                (own if same else turned)[probe.address, probe.port] = probe
        return own, turned

    @property
    def turned(self) -> dict[tuple[str, int], Probe]:
        """Probes in the scheme that Traefik does not speak, by address and port."""
        return self._answers[1]

    def asked(self, endpoints: list[Address]) -> list[Probe]:
        """The probes of those endpoints in Traefik's scheme; pods on their way out do not count."""
        own = self._answers[0]
        return [
            own[address, number]
            for address, number, endpoint in endpoints
            if (address, number) in own and endpoint.conditions.terminating is not True
        ]

    def serves(self, expect: str) -> bool:
        """Whether all of its endpoints, asked directly, answer with a status in `expect`."""
        last = [probe.exchanges[-1] for probe in self.probes]
        return bool(last) and all(expected(e.status or 0, expect) for e in last)

    @cached_property
    def probes(self) -> list[Probe]:
        """What the endpoints that are used answered when they were asked directly."""
        return self.asked(self.used)
