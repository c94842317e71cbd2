"""Routes that a Traefik makes of an IngressRoute or IngressRouteTCP.

Source: pkg/provider/kubernetes/crd (kubernetes_http.go, kubernetes_tcp.go, kubernetes.go) of
github.com/traefik/traefik, v2.11 to v3.7.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hopcheck.behaviour.kubernetes.references import joined_name
from hopcheck.behaviour.traefik import version as versions
from hopcheck.behaviour.traefik.ingress import CLASS_ANNOTATION, filter_exclusions
from hopcheck.behaviour.traefik.route import (
    Backend,
    Excluded,
    Exclusion,
    Kind,
    Route,
    View,
    entry_points,
    syntax_of,
    unreadable,
)
from hopcheck.behaviour.traefik.rule_syntax import Match, Protocol, RuleError
from hopcheck.behaviour.traefik.rules import hosts_in, parse, priority
from hopcheck.behaviour.traefik.static import Provider
from hopcheck.behaviour.traefik.version import Syntax
from hopcheck.model.kubernetes import (
    IngressRoute,
    IngressRouteTCP,
    LoadBalancerRef,
    Object,
    Ref,
    TraefikRule,
)

_LEGACY_CLASS = "traefik"
_SETTING = "providers.kubernetescrd"


def reference(namespace: str, name: str) -> str:
    """The name under which routers refer to a Traefik object: ``ns-name@kubernetescrd``."""
    if "@" in name:
        return name
    return f"{joined_name(namespace, name)}@kubernetescrd"


def _class_exclusion(
    obj: IngressRoute | IngressRouteTCP, provider: Provider, view: View
) -> Exclusion | None:
    """The CRD provider's shouldProcessIngress: names are compared, no IngressClass is read."""
    spec, meta = obj.spec, obj.metadata
    noted = meta.annotations.get(CLASS_ANNOTATION, "")
    own, place = noted, f"metadata.annotations[{CLASS_ANNOTATION}]"
    if versions.has_crd_class_name(view.version) and spec.ingress_class_name is not None:
        own, place = spec.ingress_class_name, "spec.ingressClassName"
    flag = provider.ingress_class
    if own == flag or (not flag and own == _LEGACY_CLASS):
        return None
    reason = Excluded.NO_CLASS_BUT_FLAG if not own else Excluded.ANNOTATION_OTHER
    if own and place == "spec.ingressClassName":
        reason = Excluded.CLASS_FLAG
    return Exclusion(reason, place, own, flag or _LEGACY_CLASS, f"{_SETTING}.ingressclass")


class _Reader:
    """One object's references, checked against what the provider allows."""

    def __init__(self, obj: Object, provider: Provider, *, known: bool) -> None:
        self.namespace = str(obj.namespace)
        self.provider = provider
        self.known = known
        self.excluded: list[Exclusion] = []

    def allow(self, field: str, name: str, namespace: str | None) -> str:
        """Note a forbidden reference; the namespace that it means."""
        meant = namespace or self.namespace
        if self.known and "@" in name:
            self._allow_other_provider(field, name)
        elif self.known and meant != self.namespace and not self.provider.allow_cross_namespace:
            self._forbid(Excluded.CROSS_NAMESPACE, field, f"{meant}/{name}", "allowcrossnamespace")
        return meant

    def _allow_other_provider(self, field: str, name: str) -> None:
        if name.endswith("@kubernetescrd") and not self.provider.allow_cross_namespace:
            self._forbid(Excluded.CROSS_NAMESPACE, field, name, "allowcrossnamespace")
        allowed = self.provider.cross_provider_namespaces
        if allowed is not None and self.namespace not in allowed:
            self._forbid(Excluded.CROSS_PROVIDER, field, name, "crossprovidernamespaces")

    def _forbid(self, reason: Excluded, field: str, value: str, setting: str) -> None:
        self.excluded.append(
            Exclusion(reason, field, value, self.namespace, f"{_SETTING}.{setting}")
        )

    def middlewares(self, field: str, refs: Iterable[Ref]) -> tuple[str, ...]:
        """The middlewares' full names."""
        out = []
        for at, each in enumerate(refs):
            name = each.name
            meant = self.allow(f"{field}[{at}]", name, each.namespace)
            out.append(reference(meant, name))
        return tuple(out)

    def backends(self, field: str, services: Iterable[LoadBalancerRef]) -> tuple[Backend, ...]:
        """The Services and TraefikServices named."""
        out = []
        for at, each in enumerate(services):
            place, name = f"{field}[{at}]", each.name
            meant = self.allow(place, name, each.namespace)
            # makeServersTransportKey: such a name may mean another namespace's.
            own = each.kind != "TraefikService"
            if own and each.servers_transport.endswith("@kubernetescrd"):
                self.allow(f"{place}.serversTransport", each.servers_transport, None)
            out.append(backend_of(each, meant, place))
        return tuple(out)


def backend_of(service: LoadBalancerRef, namespace: str, field: str) -> Backend:
    """A Backend from a CRD's service entry, whose namespace has been resolved."""
    kind: Literal["Service", "TraefikService"] = (
        "TraefikService" if service.kind == "TraefikService" else "Service"
    )
    return Backend(
        namespace=namespace,
        name=service.name,
        port=service.port,
        kind=kind,
        field=field,
        weight=service.weight,
        scheme=service.scheme or None,
        native_lb=service.native_lb,
        servers_transport=service.servers_transport or None,
        health_check=service.health_check is not None,
        pass_host_header=service.pass_host_header,
    )


def parents_of(obj: IngressRoute | IngressRouteTCP) -> list[tuple[str, str]]:
    """The IngressRoutes (namespace, name) that it names as its parents."""
    return [(ref.namespace or obj.namespace, ref.name) for ref in obj.spec.parent_refs]


def ingressroute_routes(
    obj: IngressRoute | IngressRouteTCP, view: View, *, parents: frozenset[str] = frozenset()
) -> list[Route]:
    """The routes of one IngressRoute or IngressRouteTCP, excluded ones with their reasons.

    `parents`: "namespace/name" of IngressRoutes that others name as their parent, or may mean;
    such a route needs no service of its own.
    """
    spec = obj.spec
    provider, known = view.static.crd, view.static.known
    shared: list[Exclusion] = []
    if known:
        shared = filter_exclusions(obj, provider, "kubernetescrd")
        why = _class_exclusion(obj, provider, view)
        shared += [why] if why else []
    if spec.parent_refs:
        shared.append(Exclusion(Excluded.CHILD_ROUTE, "spec.parentRefs"))
    return [
        _route(obj, view, at, each, shared, parents=parents) for at, each in enumerate(spec.routes)
    ]


def _route(
    obj: IngressRoute | IngressRouteTCP,
    view: View,
    at: int,
    entry: TraefikRule,
    shared: list[Exclusion],
    *,
    parents: frozenset[str],
) -> Route:
    meta, spec = obj.metadata, obj.spec
    field = f"spec.routes[{at}]"
    kind: Kind = "IngressRouteTCP" if obj.kind == "IngressRouteTCP" else "IngressRoute"
    protocol: Protocol = "tcp" if kind == "IngressRouteTCP" else "http"
    rule, syntax = entry.match, syntax_of(entry.syntax, view)
    reader = _Reader(obj, view.static.crd, known=view.static.known)
    middlewares = reader.middlewares(f"{field}.middlewares", entry.middlewares)
    backends = reader.backends(f"{field}.services", entry.services)
    tls = spec.tls
    options = tls.options if tls is not None else None
    tls_options = None
    if options is not None and options.name:
        meant = reader.allow("spec.tls.options", options.name, options.namespace)
        tls_options = reference(meant, options.name)
    excluded, uncertain = unreadable(rule, syntax, protocol, f"{field}.match")
    excluded = [*shared, *excluded, *reader.excluded]
    if entry.kind not in ("", "Rule"):
        excluded.append(Exclusion(Excluded.BAD_KIND, f"{field}.kind", entry.kind, "Rule"))
    if protocol == "tcp" and tls is None and any(n != "*" for n in hosts_in(rule, syntax, "tcp")):
        # pkg/server/router/tcp/manager.go: "has HostSNI matcher, but no TLS on router"
        excluded.append(Exclusion(Excluded.NOT_TLS, "spec.tls", rule))
    own = f"{meta.namespace}/{meta.name}"
    if not backends and own not in parents:
        excluded.append(Exclusion(Excluded.NO_SERVICE, f"{field}.services"))
    declared = spec.entry_points
    points = entry_points(view, declared, "spec.entryPoints")
    if not spec.parent_refs:
        excluded += points.excluded
    rank = entry.priority or 0
    last = protocol == "tcp" and is_catch_all(rule, syntax)
    return Route(
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        view=view.name,
        provider="kubernetescrd",
        field=field,
        rule=rule,
        syntax=syntax,
        protocol=protocol,
        priority=rank or (-1 if last else priority(rule)),  # GetRulePriority, pkg/muxer/tcp/mux.go
        priority_set=bool(rank),
        entry_points=points.used,
        entry_points_declared=declared,
        entry_points_missing=points.missing,
        tls=tls is not None,
        tls_on=points.used if tls is not None else points.with_tls if protocol == "http" else (),
        passthrough=tls is not None and tls.passthrough,
        middlewares=middlewares,
        backends=backends,
        tls_secrets=(tls.secret_name,) if tls and tls.secret_name else (),
        tls_options=tls_options,
        cert_resolver=(tls.cert_resolver or None) if tls is not None else None,
        parents=tuple(f"{space}/{name}" for space, name in parents_of(obj)),
        excluded=tuple(excluded),
        uncertain=(*(() if view.static.known else ("static",)), *uncertain),
    )


def is_catch_all(rule: str, syntax: Syntax) -> bool:
    """Whether a TCP rule is exactly HostSNI(`*`): the last to be tried."""
    try:
        node = parse(rule, syntax, "tcp")
    except RuleError:
        return False
    return node == Match("HostSNI", ("*",))
