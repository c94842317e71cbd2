"""The servers that Traefik makes of a backend, or that it makes no service of it.

Source: loadService in pkg/provider/kubernetes/ingress/kubernetes.go and loadServers in
pkg/provider/kubernetes/crd/kubernetes_http.go of github.com/traefik/traefik, v2.11 to v3.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hopcheck.behaviour.kubernetes.graph import SERVICE_NAME
from hopcheck.behaviour.kubernetes.references import PREFIX, annotated
from hopcheck.behaviour.traefik.route import Backend, Route, View, scheme_to
from hopcheck.behaviour.traefik.version import (
    asks_native_first,
    keeps_unready_services,
    refuses_health_checks,
    uses_endpoint,
)
from hopcheck.model import KubeEvidence, Why
from hopcheck.model.kubernetes import Endpoint, EndpointSlice, Service, ServicePort

# Address, port, and the entry of the EndpointSlice.
Address = tuple[str, int, Endpoint]

_NATIVE = f"{PREFIX}service.nativelb"
_SCHEMES = (None, "http", "https", "h2c")


def port_of(service: Service, port: int | str | None) -> ServicePort | None:
    """The Service's port of that number or of that name: the text "80" is a name."""
    if not port:
        return None
    named = isinstance(port, str)
    own = (one for one in service.spec.ports if port == (one.name if named else one.port))
    return next(own, None)


def lacks_port(route: Route, backend: Backend, service: Service) -> bool:
    """Whether the Service has no port such as the backend names.

    An IngressRoute's number stands for itself where an ExternalName Service names no such port.
    """
    external = route.kind != "Ingress" and service.spec.type == "ExternalName"
    if external and backend.port and isinstance(backend.port, int):
        return False
    return port_of(service, backend.port) is None


def endpoint_addresses(kube: KubeEvidence, service: Service, port: ServicePort) -> list[Address]:
    """(address, port, endpoint) of a Service's port, from its EndpointSlices; all conditions.

    An address that moves from slice to slice may stand in two: the one that is ready counts.
    """
    found: dict[tuple[str, int], Address] = {}
    for address, number, endpoint in _entries(slices_of(kube, service), port):
        if (address, number) not in found or endpoint.conditions.ready is not False:
            found[(address, number)] = (address, number, endpoint)
    return list(found.values())


def slices_of(kube: KubeEvidence, service: Service) -> list[EndpointSlice]:
    """The Service's EndpointSlices, as far as they were seen."""
    every = kube.of(EndpointSlice, service.namespace).or_else(()) or ()
    return [one for one in every if one.metadata.labels.get(SERVICE_NAME) == service.name]


def _entries(slices: Iterable[EndpointSlice], port: ServicePort) -> Iterator[Address]:
    for one in slices:
        for number in slice_ports(one, port):
            for endpoint in one.endpoints:
                yield from ((address, number, endpoint) for address in endpoint.addresses)


def slice_ports(one: EndpointSlice, port: ServicePort) -> list[int]:
    """The numbers that an EndpointSlice gives for a Service port: they share its name."""
    return [p.port for p in one.ports if p.name == port.name and p.port]


def refused(kube: KubeEvidence, view: View, route: Route, backend: Backend) -> bool:
    """Whether Traefik makes no service of it; False where that could not be seen."""
    service = kube.find(Service, backend.namespace, backend.name)
    if not service.seen:
        return service.why is Why.NOT_FOUND
    return servers_of(kube, view, route, backend, service.get()) is None


def servers_of(
    kube: KubeEvidence, view: View, route: Route, backend: Backend, service: Service
) -> tuple[str, ...] | None:
    """The URLs of the servers; None where Traefik makes no service of it, and thus no router.

    What could not be seen refuses nothing.
    """
    if lacks_port(route, backend, service):
        return None
    port = port_of(service, backend.port) or ServicePort(port=int(backend.port or 0))
    scheme = scheme_to(route, backend, service, port)
    known_scheme = backend.scheme in _SCHEMES
    static, ingress = view.static, route.kind == "Ingress"
    provider = static.ingress if ingress else static.crd
    if backend.crosses and static.known and not provider.allow_cross_namespace:
        return None
    native = _is_native(route, backend, service, by_default=provider.native_lb)
    if service.spec.type == "ExternalName" and not (native and asks_native_first(view.version)):
        allowed = provider.allow_external_name or not static.known
        url = f"{scheme}://{service.spec.external_name}:{port.port}"
        return (url,) if allowed and known_scheme else None
    if backend.health_check and refuses_health_checks(view.version):
        return None
    if native:
        address = service.spec.cluster_ip
        usable = known_scheme and address not in ("", "None")
        return (f"{scheme}://{address}:{port.port}",) if usable else None
    slices, old = slices_of(kube, service), keeps_unready_services(view.version)
    # It is looked at for each slice with the port; up to 3.0 for each subset, which is not empty.
    looked = (one for one in slices if slice_ports(one, port) and (_has_subset(one) or not old))
    if not known_scheme and any(looked):
        return None
    found = dict.fromkeys(
        f"{scheme}://{address}:{number}"
        for address, number, endpoint in _entries(slices, port)
        if uses_endpoint(view.version, endpoint.conditions)
    )
    seen = kube.of(EndpointSlice, service.namespace).seen and static.known
    if found or provider.allow_empty_services or not seen:
        return tuple(found)
    if ingress or not old:
        return None
    return () if any(map(_has_subset, slices)) else None


def _has_subset(one: EndpointSlice) -> bool:
    """Whether the Endpoints, which Traefik reads up to 3.0, hold any of its addresses.

    A pod that terminates stands in slices alone.
    """
    conditions = (endpoint.conditions for endpoint in one.endpoints)
    return any(each.ready is not False or not each.terminating for each in conditions)


def _is_native(route: Route, backend: Backend, service: Service, *, by_default: bool) -> bool:
    """Whether the Service's own address is asked, not its endpoints.

    nativeLBByDefault is for Ingresses and what IngressRoutes name themselves, not for the services
    of a TraefikService.
    """
    if route.kind == "Ingress":
        return annotated(service, _NATIVE) == "true" or (
            by_default and not annotated(service, _NATIVE)
        )
    own = backend.field.startswith("spec.routes[")
    return by_default and own if backend.native_lb is None else backend.native_lb
