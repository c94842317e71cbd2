"""Routes that a Traefik makes of an Ingress.

Source: pkg/provider/kubernetes/ingress/kubernetes.go of github.com/traefik/traefik, v2.11 to v3.7
(loadConfigurationFromIngresses, shouldProcessIngress, loadRouter), and annotations.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from hopcheck.behaviour.kubernetes.objects import label_matches
from hopcheck.behaviour.kubernetes.references import PREFIX
from hopcheck.behaviour.traefik import version as versions
from hopcheck.behaviour.traefik.regexp import quote_meta
from hopcheck.behaviour.traefik.route import (
    Backend,
    Excluded,
    Exclusion,
    Route,
    View,
    entry_points,
    syntax_of,
    unreadable,
)
from hopcheck.behaviour.traefik.rules import priority
from hopcheck.behaviour.traefik.static import Provider
from hopcheck.behaviour.traefik.version import Syntax, Version
from hopcheck.model import Collected
from hopcheck.model.kubernetes import (
    BackendService,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressHostRule,
    Object,
)

CONTROLLER = "traefik.io/ingress-controller"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_LEGACY_CLASS = "traefik"
_TRUE = frozenset({"", "true"})
_FIELDS = re.compile(
    r"^router\.(?:pathmatcher|entrypoints|middlewares|priority|rulesyntax|tls|tls\.options"
    r"|tls\.certresolver|tls\.domains\.\d+\.(?:main|sans)|tls\.domains\[\d+\]\.(?:main|sans)"
    r"|observability|observability\.(?:accesslogs|metrics|tracing|traceverbosity))$"
)
_LOWEST = -(2**31)  # math.MinInt32, the default backend's priority
_NUMBER = re.compile(r"[+-]?[0-9]+")  # strconv.ParseInt takes no more


class Annotations(Struct, frozen=True):
    """An Ingress's router annotations, decoded."""

    entry_points: tuple[str, ...] = ()
    middlewares: tuple[str, ...] = ()
    priority: int = 0
    path_matcher: str = ""
    rule_syntax: str = ""
    tls: bool = False
    tls_options: str | None = None
    cert_resolver: str | None = None
    bad: tuple[str, ...] = ()  # keys for which Traefik drops the Ingress


def read_annotations(annotations: Mapping[str, str], version: Version | None) -> Annotations:
    """Decode ``traefik.ingress.kubernetes.io/router.*``; field names are case-insensitive."""
    own: dict[str, str] = {}
    unknown = (
        *(() if versions.has_rule_syntax_annotation(version) else ("router.rulesyntax",)),
        *(() if versions.has_observability_annotation(version) else ("router.observability",)),
    )
    bad: list[str] = []
    for key, value in annotations.items():
        name = key.removeprefix(PREFIX).lower()
        if not key.startswith(PREFIX) or not name.startswith("router."):
            continue
        own[name] = str(value)
        if not _FIELDS.match(name) or name.startswith(unknown):
            bad.append(key)
    rank = own.get("router.priority") or "0"
    if not _NUMBER.fullmatch(rank):
        rank = "0"
        bad.append(f"{PREFIX}router.priority")
    tls = any(name == "router.tls" or name.startswith("router.tls.") for name in own)
    return Annotations(
        entry_points=_list(own.get("router.entrypoints")),
        middlewares=_list(own.get("router.middlewares")),
        priority=int(rank),
        path_matcher=own.get("router.pathmatcher", ""),
        rule_syntax=own.get("router.rulesyntax", ""),
        # paerser: a value other than "true" switches the section off, whatever stands below it
        tls=tls and own.get("router.tls", "").lower() in _TRUE,
        tls_options=own.get("router.tls.options") or None,
        cert_resolver=own.get("router.tls.certresolver") or None,
        bad=tuple(bad),
    )


def _list(value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",")) if value else ()


def class_exclusion(
    ingress: Ingress, classes: Collected[tuple[IngressClass, ...]], provider: Provider
) -> tuple[Exclusion | None, bool]:
    """Why the class keeps Traefik from reading the Ingress, and whether that could be told.

    spec.ingressClassName decides alone where it is set; else the annotation. An IngressClass that
    is marked as default acts when an Ingress is created, not here.
    """
    spec = ingress.spec
    flag = provider.ingress_class
    setting = "providers.kubernetesingress.ingressclass"
    named = spec.ingress_class_name
    if named is None:
        meta = ingress.metadata
        noted = meta.annotations.get(CLASS_ANNOTATION, "")
        if noted == flag or (not flag and noted == _LEGACY_CLASS):
            return None, True
        if not noted:
            reason, place = Excluded.NO_CLASS_BUT_FLAG, "spec.ingressClassName"
        else:
            reason = Excluded.ANNOTATION_OTHER
            place = f"metadata.annotations[{CLASS_ANNOTATION}]"
        return Exclusion(reason, place, noted, flag or _LEGACY_CLASS, setting), True
    place = "spec.ingressClassName"
    if provider.disable_cluster_scope or provider.disable_class_lookup:
        off = (
            "disableclusterscoperesources"
            if provider.disable_cluster_scope
            else "disableingressclasslookup"
        )
        setting = f"providers.kubernetesingress.{off}"
        return Exclusion(Excluded.CLUSTER_SCOPE_OFF, place, named, "", setting), True
    if flag and named != flag:
        return Exclusion(Excluded.CLASS_FLAG, place, named, flag, setting), True
    if not classes.seen:
        return None, False
    found = next((c for c in classes.get() if c.name == named), None)
    if found is None:
        return Exclusion(Excluded.CLASS_MISSING, place, named), True
    controller = found.spec.controller
    if controller != CONTROLLER:
        return Exclusion(Excluded.CLASS_OTHER, place, named, CONTROLLER, controller), True
    return None, True


def filter_exclusions(obj: Object, provider: Provider, key: str) -> list[Exclusion]:
    """Why provider, namespace or labels keep Traefik from reading the object."""
    setting, namespace, labels = f"providers.{key}", obj.namespace, obj.metadata.labels
    out = []
    if not provider.enabled:
        out.append(Exclusion(Excluded.PROVIDER_DISABLED, "", setting=setting))
    if provider.namespaces and namespace not in provider.namespaces:
        reason, wanted = Excluded.NAMESPACE_FILTERED, ",".join(provider.namespaces)
        place = "metadata.namespace"
        out.append(Exclusion(reason, place, namespace, wanted, f"{setting}.namespaces"))
    if label_matches(provider.label_selector, labels) is False:
        reason, wanted = Excluded.LABEL_FILTERED, provider.label_selector
        shown = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        out.append(Exclusion(reason, "metadata.labels", shown, wanted, f"{setting}.labelselector"))
    return out


def _quote(text: str, view: View) -> str:
    """A rule's parameter as that version writes it: Go's %q, or backquotes."""
    if not versions.quotes_rules(view.version):
        return f"`{text}`"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def host_rule(host: str, view: View, syntax: Syntax) -> str:
    """The rule for an Ingress's host (buildHostRule, buildHostRuleV2)."""
    if host.startswith("*."):
        if syntax == "v2":
            template = host.replace("*.", "{subdomain:[a-zA-Z0-9-]+}.", 1)
            return f"HostRegexp({_quote(template, view)})"
        if not versions.wildcard_in_host(view.version):
            pattern = quote_meta(host).replace(r"\*\.", r"[a-zA-Z0-9-]+\.", 1)
            return f"HostRegexp({_quote(f'^{pattern}$', view)})"
    return f"Host({_quote(host, view)})"


def path_rule(path: str, path_type: str | None, matcher: str, view: View) -> str:
    """The rule for an Ingress's path (buildRule); `matcher` is the annotation's."""
    name = "PathPrefix"
    if path_type in (None, "", "ImplementationSpecific"):
        name = matcher or name
    elif path_type == "Exact":
        name = "Path"
    strict = view.static.ingress.strict_prefix and versions.has_strict_prefix(view.version)
    if strict and name == "PathPrefix" and path != "/":
        bare = path.removesuffix("/")
        return f"(Path({_quote(bare, view)}) || PathPrefix({_quote(bare + '/', view)}))"
    return f"{name}({_quote(path, view)})"


def ingress_routes(
    ingress: Ingress, view: View, classes: Collected[tuple[IngressClass, ...]]
) -> list[Route]:
    """The routes of one Ingress in one Traefik, excluded ones with their reasons."""
    common = _Common(ingress, view, classes)
    rules = ingress.spec.rules
    routes = [route for at, rule in enumerate(rules) for route in _rule_routes(common, at, rule)]
    default = ingress.spec.default_backend
    if default:
        why = [Exclusion(Excluded.DEFAULT_BACKEND_IGNORED, "spec.defaultBackend")] if rules else []
        rule = f"PathPrefix({_quote('/', view)})"
        routes.append(common.route("spec.defaultBackend", rule, default, why, default_backend=True))
    return routes


def _object_exclusions(
    ingress: Ingress, view: View, classes: Collected[tuple[IngressClass, ...]], notes: Annotations
) -> tuple[list[Exclusion], tuple[str, ...]]:
    if not view.static.known:
        return [], ("static",)
    provider = view.static.ingress
    excluded = filter_exclusions(ingress, provider, "kubernetesingress")
    why, told = class_exclusion(ingress, classes, provider)
    if why is not None:
        excluded.append(why)
    for key in notes.bad:
        written = ingress.metadata.annotations.get(key, "")
        excluded.append(Exclusion(Excluded.BAD_ANNOTATION, f"metadata.annotations[{key}]", written))
    namespace, allowed = ingress.namespace, provider.cross_provider_namespaces
    refers = notes.middlewares or notes.tls_options
    if allowed is not None and namespace not in allowed and refers:
        name = "router.middlewares" if notes.middlewares else "router.tls.options"
        place = f"metadata.annotations[{PREFIX}{name}]"
        setting = "providers.kubernetesingress.crossprovidernamespaces"
        reason, wanted = Excluded.CROSS_PROVIDER, ",".join(allowed)
        excluded.append(Exclusion(reason, place, namespace, wanted, setting))
    return excluded, () if told else ("ingressclasses",)


def _rule_routes(common: _Common, at: int, rule: IngressHostRule) -> list[Route]:
    field = f"spec.rules[{at}]"
    host = rule.host
    hosts = [host_rule(host, common.view, common.syntax)] if host else []
    http = rule.http
    if not http or not http.paths:
        why = [Exclusion(Excluded.NO_HTTP, f"{field}.http")]
        backend = IngressBackend()
        return [common.route(field, " && ".join(hosts), backend, why, host=host)]
    routes = []
    for number, each in enumerate(http.paths):
        path, kind = each.path, each.path_type
        text = path_rule(path, kind, common.notes.path_matcher, common.view) if path else ""
        routes.append(
            common.route(
                f"{field}.http.paths[{number}]",
                " && ".join([*hosts, *([text] if text else [])]),
                each.backend,
                [],
                host=host,
                path=path,
                path_type=kind or None,
            )
        )
    return routes


class _Common:
    """What all routes of one Ingress share."""

    def __init__(
        self, ingress: Ingress, view: View, classes: Collected[tuple[IngressClass, ...]]
    ) -> None:
        notes = read_annotations(ingress.metadata.annotations, view.version)
        self.ingress, self.view, self.notes = ingress, view, notes
        self.excluded, self.uncertain = _object_exclusions(ingress, view, classes, notes)
        noted = versions.has_rule_syntax_annotation(view.version)
        self.syntax = syntax_of(notes.rule_syntax if noted else "", view)

    def route(
        self,
        field: str,
        rule: str,
        backend: IngressBackend,
        why: list[Exclusion],
        *,
        host: str | None = None,
        path: str | None = None,
        path_type: str | None = None,
        default_backend: bool = False,
    ) -> Route:
        """One Route; `backend` is the Ingress's own backend object."""
        meta = self.ingress.metadata
        notes, view = self.notes, self.view
        place = field if default_backend else f"{field}.backend"
        backends, wrong = _backends(backend, meta.namespace, place)
        excluded = [*self.excluded, *why, *([] if why else wrong)]
        uncertain = self.uncertain
        # The rule of a default backend is Traefik's own, in the syntax of its version.
        syntax = versions.rule_syntax(view.version) if default_backend else self.syntax
        if not why:
            refused, untold = unreadable(rule, syntax, "http", field)
            excluded += refused
            uncertain += untold
        place = f"metadata.annotations[{PREFIX}router.entrypoints]"
        points = entry_points(view, notes.entry_points, place)
        excluded += points.excluded
        return Route(
            kind="Ingress",
            namespace=meta.namespace,
            name=meta.name,
            view=view.name,
            provider="kubernetes",
            field=field,
            rule=rule,
            syntax=syntax,
            host=host,
            path=path,
            path_type=path_type,
            priority=_LOWEST if default_backend else notes.priority or priority(rule),
            priority_set=bool(notes.priority) and not default_backend,
            entry_points=points.used,
            entry_points_declared=notes.entry_points,
            entry_points_missing=points.missing,
            tls=notes.tls,
            tls_on=points.used if notes.tls else points.with_tls,
            middlewares=notes.middlewares,
            backends=backends,
            tls_secrets=tuple(
                each.secret_name for each in self.ingress.spec.tls if each.secret_name
            ),
            tls_options=notes.tls_options,
            cert_resolver=notes.cert_resolver,
            excluded=tuple(excluded),
            uncertain=uncertain,
        )


def _backends(
    backend: IngressBackend, namespace: str, field: str
) -> tuple[tuple[Backend, ...], list[Exclusion]]:
    if backend.resource:
        resource = backend.resource
        shown = f"{resource.kind}/{resource.name}"
        return (), [Exclusion(Excluded.RESOURCE_BACKEND, f"{field}.resource", shown)]
    service = backend.service or BackendService()
    if not service.name:
        return (), [Exclusion(Excluded.NO_SERVICE, f"{field}.service")]
    port = service.port
    number = port.name or port.number
    return (Backend(namespace, service.name, number, field=f"{field}.service"),), []
