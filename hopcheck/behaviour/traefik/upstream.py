"""What Traefik speaks to the pods behind a route.

Source: getProtocol in pkg/provider/kubernetes/ingress/kubernetes.go and parseServiceProtocol in
pkg/provider/kubernetes/crd/kubernetes_http.go, v2.11 to v3.7.
"""

from __future__ import annotations

from hopcheck.behaviour.kubernetes.references import PREFIX, TRANSPORT_ANNOTATION, annotated
from hopcheck.behaviour.traefik.route import Backend, Route
from hopcheck.model.kubernetes import Service, ServicePort

SCHEME_ANNOTATION = f"{PREFIX}service.serversscheme"


def scheme_to(route: Route | None, backend: Backend, service: Service, port: ServicePort) -> str:
    """One of "http", "https" and "h2c": by the IngressRoute, the Service's annotation, or its port.

    Only Ingresses read the annotation; a port 443 or one whose name begins with https is https.
    """
    own = backend.scheme or _annotation(route, service, SCHEME_ANNOTATION)
    if own:
        return own.lower()
    secure = port.port == 443 or port.name.startswith("https")
    return "https" if secure else "http"


def transport_of(route: Route | None, backend: Backend, service: Service) -> str:
    """The ServersTransport that is named, by the IngressRoute or on the Service; "" for none."""
    return backend.servers_transport or _annotation(route, service, TRANSPORT_ANNOTATION)


def _annotation(route: Route | None, service: Service, key: str) -> str:
    """One of the Service's annotations, which only Ingresses read; names are case-insensitive."""
    if route is not None and route.kind != "Ingress":
        return ""
    return annotated(service, key)
