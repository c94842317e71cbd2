"""Which object names which: the references of each kind, told once (pure).

Traefik's annotations and some of its fields name objects as its routers do, ``ns-name`` with a
provider behind an @: which namespace is meant then only a look at the objects tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from hopcheck.model.kubernetes import (
    AuthSecret,
    Chain,
    ErrorPages,
    ForwardAuth,
    Gateway,
    HTTPRoute,
    Ingress,
    IngressBackend,
    IngressRoute,
    IngressRouteTCP,
    LoadBalancerRef,
    Middleware,
    Object,
    ParentRef,
    Pod,
    Port,
    Projection,
    Ref,
    ServersTransport,
    Service,
    TLSOption,
    TLSStore,
    TraefikService,
    Volume,
)

PREFIX = "traefik.ingress.kubernetes.io/"
TRANSPORT_ANNOTATION = f"{PREFIX}service.serverstransport"
ENTRY_POINTS = f"{PREFIX}router.entrypoints"
MIDDLEWARES = f"{PREFIX}router.middlewares"
TLS_OPTIONS = f"{PREFIX}router.tls.options"
_CRD = "kubernetescrd"

Key = tuple[str, str, str]  # resource (plural), namespace or "", name


class Reference(Struct, frozen=True):
    """What an object names. `joined`: `name` is "namespace-name", and the namespace is in it."""

    resource: str  # plural
    namespace: str
    name: str
    port: Port | None = None
    joined: bool = False

    @property
    def key(self) -> Key:
        """What it names."""
        return self.resource, self.namespace, self.name


def joined_name(namespace: str, name: str) -> str:
    """The name under which Traefik's routers refer to an object, without the provider.

    provider.Normalize: whatever is neither letter nor digit becomes one dash.
    """
    return "-".join(part for part in re.split(r"[\W_]+", f"{namespace}-{name}") if part)


def references(obj: Object) -> tuple[Reference, ...]:
    """What `obj` names, in the order written, each once."""
    found = _READERS.get(type(obj))
    return tuple(dict.fromkeys(found(obj))) if found is not None else ()


def annotated(obj: Object, key: str) -> str:
    """An annotation of Traefik's, whose names are case-insensitive."""
    return next((v for name, v in obj.metadata.annotations.items() if name.lower() == key), "")


def _named(resource: str, names: str) -> Iterator[Reference]:
    """Names as Traefik's annotations list them; those of other providers are no objects."""
    for part in names.split(","):
        name, _, provider = part.strip().partition("@")
        if name and provider in ("", _CRD):
            yield Reference(resource, "", name, joined=True)


def _ref(resource: str, ref: Ref | None, namespace: str) -> Iterator[Reference]:
    if ref is not None and "@" in ref.name:
        yield from _named(resource, ref.name)
    elif ref is not None and ref.name:
        yield Reference(resource, ref.namespace or namespace, ref.name)


def _secrets(namespace: str, *names: str) -> Iterator[Reference]:
    for name in names:
        if name:
            yield Reference("secrets", namespace, name)


def _backend(backend: IngressBackend | None, namespace: str) -> Iterator[Reference]:
    if backend is not None and backend.service is not None and backend.service.name:
        port = backend.service.port
        number = port.number if port.number is not None else port.name or None
        yield Reference("services", namespace, backend.service.name, number)


def _ingress(obj: Ingress) -> Iterator[Reference]:
    spec, namespace = obj.spec, obj.namespace
    if spec.ingress_class_name:
        yield Reference("ingressclasses", "", spec.ingress_class_name)
    yield from _named("middlewares", annotated(obj, MIDDLEWARES))
    yield from _named("tlsoptions", annotated(obj, TLS_OPTIONS))
    yield from _secrets(namespace, *(entry.secret_name for entry in spec.tls))
    yield from _backend(spec.default_backend, namespace)
    for rule in spec.rules:
        for path in rule.http.paths if rule.http else ():
            yield from _backend(path.backend, namespace)


def _balanced(services: Iterable[LoadBalancerRef], namespace: str) -> Iterator[Reference]:
    for one in services:
        space = one.namespace or namespace
        resource = "traefikservices" if one.kind == "TraefikService" else "services"
        if one.name and "@" not in one.name:
            port = one.port if resource == "services" else None
            yield Reference(resource, space, one.name, port)
        if one.servers_transport:
            yield from _ref("serverstransports", Ref(name=one.servers_transport), space)


def _parents(refs: Iterable[ParentRef], resource: str, namespace: str) -> Iterator[Reference]:
    for ref in refs:
        if ref.name and ref.kind in ("", "IngressRoute", "Gateway"):
            yield Reference(resource, ref.namespace or namespace, ref.name)


def _ingress_route(obj: IngressRoute | IngressRouteTCP) -> Iterator[Reference]:
    spec, namespace = obj.spec, obj.namespace
    yield from _parents(spec.parent_refs, "ingressroutes", namespace)
    if spec.tls is not None:
        yield from _secrets(namespace, spec.tls.secret_name)
        yield from _ref("tlsoptions", spec.tls.options, namespace)
        yield from _ref("tlsstores", spec.tls.store, namespace)
    for rule in spec.routes:
        for middleware in rule.middlewares:
            yield from _ref("middlewares", middleware, namespace)
        if rule.tls is not None:
            yield from _ref("tlsoptions", rule.tls.options, namespace)
        yield from _balanced(rule.services, namespace)


def _traefik_service(obj: TraefikService) -> Iterator[Reference]:
    spec = obj.spec
    for weighted in (spec.weighted, spec.highest_random_weight):
        yield from _balanced(weighted.services if weighted else (), obj.namespace)
    if spec.mirroring is not None:
        yield from _balanced((spec.mirroring, *spec.mirroring.mirrors), obj.namespace)


def _middleware(obj: Middleware) -> Iterator[Reference]:
    namespace = obj.namespace
    for kind in ("basicAuth", "digestAuth"):
        auth = obj.settings(kind, AuthSecret)
        yield from _secrets(namespace, auth.secret if auth else "")
    forward = obj.settings("forwardAuth", ForwardAuth)
    if forward is not None:
        yield from _secrets(namespace, forward.tls.ca_secret, forward.tls.cert_secret)
        yield from _by_address(forward.address)
    chain = obj.settings("chain", Chain)
    for link in chain.middlewares if chain else ():
        yield from _ref("middlewares", link, namespace)
    errors = obj.settings("errors", ErrorPages)
    if errors is not None and errors.service is not None:
        yield from _balanced((errors.service,), namespace)


def _by_address(url: str) -> Iterator[Reference]:
    """The Service of a URL by its name in the cluster: ``name.namespace.svc…``."""
    try:
        labels = (urlsplit(url).hostname or "").split(".")
    except ValueError:
        return
    if len(labels) == 2 or (len(labels) > 2 and labels[2] == "svc"):
        yield Reference("services", labels[1], labels[0])


def _store(obj: TLSStore) -> Iterator[Reference]:
    default = obj.spec.default_certificate
    names = [one.secret_name for one in obj.spec.certificates]
    yield from _secrets(obj.namespace, default.secret_name if default else "", *names)


def _options(obj: TLSOption) -> Iterator[Reference]:
    auth = obj.spec.client_auth
    yield from _secrets(obj.namespace, *(auth.secret_names if auth else ()))


def _transport(obj: ServersTransport) -> Iterator[Reference]:
    spec = obj.spec
    yield from _secrets(obj.namespace, *spec.root_cas_secrets, *spec.certificates_secrets)


def _service(obj: Service) -> Iterator[Reference]:
    yield from _named("serverstransports", annotated(obj, TRANSPORT_ANNOTATION))


def _http_route(obj: HTTPRoute) -> Iterator[Reference]:
    yield from _parents(obj.spec.parent_refs, "gateways", obj.namespace)
    for rule in obj.spec.rules:
        for ref in rule.backend_refs:
            if ref.name and ref.kind in ("", "Service"):
                yield Reference("services", ref.namespace or obj.namespace, ref.name, ref.port)


def _gateway(obj: Gateway) -> Iterator[Reference]:
    for listener in obj.spec.listeners:
        for ref in listener.tls.certificate_refs if listener.tls else ():
            yield from _ref("secrets", ref, obj.namespace)


def _pod(obj: Pod) -> Iterator[Reference]:
    if obj.spec.node_name:
        yield Reference("nodes", "", obj.spec.node_name)
    for volume in obj.spec.volumes:
        parts: list[Volume | Projection] = [volume]
        parts += volume.projected.sources if volume.projected else ()
        for part in parts:
            if part.config_map is not None and part.config_map.name:
                yield Reference("configmaps", obj.namespace, part.config_map.name)
            if part.secret is not None:
                yield from _secrets(obj.namespace, part.secret.secret_name or part.secret.name)


_READERS: dict[type[Object], Callable[[Any], Iterator[Reference]]] = {
    Ingress: _ingress,
    IngressRoute: _ingress_route,
    IngressRouteTCP: _ingress_route,
    TraefikService: _traefik_service,
    Middleware: _middleware,
    TLSStore: _store,
    TLSOption: _options,
    ServersTransport: _transport,
    Service: _service,
    HTTPRoute: _http_route,
    Gateway: _gateway,
    Pod: _pod,
}
