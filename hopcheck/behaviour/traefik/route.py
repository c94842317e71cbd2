"""The vocabulary of routing: a Traefik's view, a route, why it is not loaded, what it speaks."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from hopcheck.behaviour.kubernetes.references import PREFIX, TRANSPORT_ANNOTATION, annotated
from hopcheck.behaviour.traefik.rule_syntax import Protocol, RuleError
from hopcheck.behaviour.traefik.rules import parse
from hopcheck.behaviour.traefik.static import StaticConfig
from hopcheck.behaviour.traefik.version import Syntax, Version, rule_syntax
from hopcheck.model.kubernetes import Service, ServicePort

SCHEME_ANNOTATION = f"{PREFIX}service.serversscheme"
HOST_ANNOTATION = f"{PREFIX}service.passhostheader"


class View(Struct, frozen=True):
    """One Traefik installation as far as routing depends on it."""

    name: str  # "namespace/workload"
    static: StaticConfig
    version: Version | None = None


class Excluded(StrEnum):
    """Why a route is not loaded, or does not serve a request."""

    # not loaded: silently left out by a filter
    CLASS_OTHER = "class_other"  # the IngressClass names another controller
    CLASS_MISSING = "class_missing"  # there is no such IngressClass
    CLASS_FLAG = "class_flag"  # Traefik's ingressClass names another class
    ANNOTATION_OTHER = "annotation_other"  # kubernetes.io/ingress.class names another class
    NO_CLASS_BUT_FLAG = "no_class_but_flag"  # no class, and Traefik's ingressClass is set
    CLUSTER_SCOPE_OFF = "cluster_scope_off"  # Traefik looks up no IngressClass
    NAMESPACE_FILTERED = "namespace_filtered"
    LABEL_FILTERED = "label_filtered"
    PROVIDER_DISABLED = "provider_disabled"
    # not loaded: refused, or without effect
    BAD_ANNOTATION = "bad_annotation"  # the whole Ingress is dropped
    NO_HTTP = "no_http"  # a rule without http.paths
    DEFAULT_BACKEND_IGNORED = "default_backend_ignored"  # Traefik reads it without rules only
    RESOURCE_BACKEND = "resource_backend"
    NO_SERVICE = "no_service"  # no backend is named
    CROSS_NAMESPACE = "cross_namespace"  # a reference that allowCrossNamespace forbids
    CROSS_PROVIDER = "cross_provider"  # a reference that crossProviderNamespaces forbids
    BAD_KIND = "bad_kind"  # an IngressRoute's route of another kind than Rule
    CHILD_ROUTE = "child_route"  # served through the parent that it names
    PARSE_ERROR = "parse_error"  # the rule; the router is disabled
    ENTRYPOINT_MISSING = "entrypoint_missing"  # none of the entryPoints exists
    # loaded, and not for this request
    ENTRYPOINT_OTHER = "entrypoint_other"
    ONLY_TLS = "only_tls"
    NOT_TLS = "not_tls"
    HOST_MISMATCH = "host_mismatch"
    PATH_MISMATCH = "path_mismatch"


class Exclusion(Struct, frozen=True):
    """A reason with the object's field, what stands there, and what would do.

    `setting` names Traefik's own setting at the other end, where there is one.
    """

    reason: Excluded
    field: str
    value: str = ""
    expected: str = ""
    setting: str = ""


class Backend(Struct, frozen=True):
    """A backend as the route names it; `field` is its place in the object."""

    namespace: str
    name: str
    port: int | str | None = None
    kind: Literal["Service", "TraefikService"] = "Service"
    field: str = ""
    weight: int | None = None
    scheme: str | None = None
    native_lb: bool | None = None
    servers_transport: str | None = None
    health_check: bool = False
    pass_host_header: bool | None = None
    crosses: bool = False  # named from another namespace, by a TraefikService


Kind = Literal["Ingress", "IngressRoute", "IngressRouteTCP"]


class Route(Struct, frozen=True):
    """One router as one Traefik would build it from one object.

    `priority` is the one that counts. `entry_points` are those that exist, `tls_on` those of them
    on which the router answers TLS (and nothing else). `uncertain` names what could not be seen
    and decides whether the route is loaded: "static", "ingressclasses", "rule".
    """

    kind: Kind
    namespace: str
    name: str
    view: str
    provider: Literal["kubernetes", "kubernetescrd"]
    field: str
    rule: str
    syntax: Syntax
    protocol: Protocol = "http"
    host: str | None = None  # the Ingress rule's own host
    path: str | None = None
    path_type: str | None = None
    priority: int = 0
    priority_set: bool = False
    entry_points: tuple[str, ...] = ()
    entry_points_declared: tuple[str, ...] = ()
    entry_points_missing: tuple[str, ...] = ()
    tls: bool = False
    tls_on: tuple[str, ...] = ()
    passthrough: bool = False
    middlewares: tuple[str, ...] = ()
    backends: tuple[Backend, ...] = ()
    tls_secrets: tuple[str, ...] = ()
    tls_options: str | None = None
    cert_resolver: str | None = None
    parents: tuple[str, ...] = ()  # "namespace/name" of the IngressRoutes through which it is met
    excluded: tuple[Exclusion, ...] = ()
    uncertain: tuple[str, ...] = ()

    @property
    def loaded(self) -> bool:
        """Whether nothing that was seen keeps Traefik from loading it."""
        return not self.excluded

    @property
    def internal(self) -> bool:
        """Whether it leads to Traefik itself alone, whose 404 has the words of a missing route."""
        return bool(self.backends) and all(b.name.endswith("@internal") for b in self.backends)


class Miss(Struct, frozen=True):
    """A route that does not serve the request, though nearly.

    `hint`: "exact", "trailing_slash", "case", "regex" (paths), "method", "wildcard_depth",
    "wildcard_apex", "beside", "typo" (hosts), "v2_syntax" (both); "" where there is no more to
    say. `host` is the one that nearly fits.
    """

    route: Route
    reason: Excluded
    hint: str = ""
    host: str = ""


def syntax_of(declared: str, view: View) -> Syntax:
    """The syntax in which a router's rule is read; `declared` is what its object says, or ""."""
    default = rule_syntax(view.version)
    if default == "v2" or declared == "v2":
        return "v2"
    return "v3" if declared else view.static.default_rule_syntax or default


def unreadable(
    rule: str, syntax: Syntax, protocol: Protocol, field: str
) -> tuple[list[Exclusion], tuple[str, ...]]:
    """Why Traefik refuses the rule, and what could not be told of it."""
    try:
        parse(rule, syntax, protocol)
    except RuleError as error:
        if error.problem == "too_large":
            return [], ("rule",)
        return [Exclusion(Excluded.PARSE_ERROR, field, rule, str(error))], ()
    return [], ()


class Points(Struct, frozen=True):
    """A router's entryPoints: existing, missing, and those whose own TLS it inherits.

    `excluded` says so where none exists.
    """

    used: tuple[str, ...]
    missing: tuple[str, ...] = ()
    with_tls: tuple[str, ...] = ()
    excluded: tuple[Exclusion, ...] = ()


def entry_points(view: View, declared: tuple[str, ...], field: str) -> Points:
    """Resolve the entryPoints that `field` declares by the static configuration (applyModel)."""
    static = view.static
    if not static.known and not static.entry_points:
        return Points(declared)
    wanted = declared or static.default_entry_points(view.version)
    known = {name: each for name, each in static.entry_points.items() if each.protocol != "udp"}
    used = tuple(name for name in wanted if name in known)
    existing = ",".join(sorted(static.entry_points))
    none = Exclusion(Excluded.ENTRYPOINT_MISSING, field, ",".join(declared), existing)
    return Points(
        used=used,
        missing=tuple(name for name in wanted if name not in known),
        with_tls=tuple(name for name in used if known[name].tls),
        excluded=() if used else (none,),
    )


# What Traefik speaks to the pods behind a route: getProtocol in
# pkg/provider/kubernetes/ingress/kubernetes.go, parseServiceProtocol in
# pkg/provider/kubernetes/crd/kubernetes_http.go, v2.11 to v3.7.
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


def keeps_host(route: Route | None, backend: Backend, service: Service) -> bool:
    """Whether the pods are asked under the client's Host; else under their own addresses."""
    if backend.pass_host_header is not None:
        return backend.pass_host_header
    # strconv.ParseBool; what it cannot read keeps the default.
    return _annotation(route, service, HOST_ANNOTATION).lower() not in ("false", "f", "0")


def _annotation(route: Route | None, service: Service, key: str) -> str:
    """One of the Service's annotations, which only Ingresses read; names are case-insensitive."""
    if route is not None and route.kind != "Ingress":
        return ""
    return annotated(service, key)
