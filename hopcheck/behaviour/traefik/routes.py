"""What Traefik would choose for a request, from API objects alone.

Order of choice: pkg/muxer/http/mux.go (priority, then provider), pkg/server/router/tcp/router.go
(HTTPS by host, TCP by SNI, HTTPS for the rest, TCP catch-all).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.behaviour.traefik import version as versions
from hopcheck.behaviour.traefik.ingress import ingress_routes
from hopcheck.behaviour.traefik.ingressroute import (
    backend_of,
    ingressroute_routes,
    is_catch_all,
    parents_of,
)
from hopcheck.behaviour.traefik.near import near_host, near_path
from hopcheck.behaviour.traefik.route import Backend, Excluded, Miss, Route, View
from hopcheck.behaviour.traefik.rules import arguments, hosts_in, matches, same_host
from hopcheck.behaviour.traefik.servers import refused
from hopcheck.behaviour.traefik.static import EntryPoint
from hopcheck.model import NOT_SELECTED, KubeEvidence
from hopcheck.model.kubernetes import (
    Failover,
    Ingress,
    IngressRoute,
    IngressRouteTCP,
    LoadBalancerRef,
    TraefikService,
    TraefikServiceSpec,
)

Scheme = Literal["http", "https"]


class Selection(Struct, frozen=True):
    """The choice of one Traefik for one request.

    `winner` serves it. `ties` match with the same priority and lead elsewhere: which one serves
    is random. `shadowed` match with a lower priority. `undecided` could not be evaluated and would
    come before the winner (or there is none). `excluded` would match, were they loaded.
    `redirect` is the entryPoint where that answers instead with a redirection of its own.
    `order` holds all that match, best first: when the winner turns out not to be loaded (its
    Service is missing), the next one serves. `passed_over` are those that Traefik drops so.
    """

    host: str
    path: str
    entry_point: str
    scheme: Scheme
    winner: Route | None = None
    ties: tuple[Route, ...] = ()
    shadowed: tuple[Route, ...] = ()
    order: tuple[Route, ...] = ()
    undecided: tuple[Route, ...] = ()
    excluded: tuple[Route, ...] = ()
    misses: tuple[Miss, ...] = ()
    passed_over: tuple[Route, ...] = ()
    redirect: EntryPoint | None = None


def candidates(kube: KubeEvidence, views: Sequence[View]) -> list[Route]:
    """Every route of every Ingress, IngressRoute and IngressRouteTCP, in each Traefik's view."""
    classes = kube.lists.get("ingressclasses", NOT_SELECTED)
    ingresses = kube.every(Ingress)
    crds: list[IngressRoute | IngressRouteTCP] = [
        *kube.every(IngressRoute),
        *kube.every(IngressRouteTCP),
    ]
    named, known = {key for obj in crds for key in parents_of(obj)}, {obj.key for obj in crds}
    # A parent that is not there may be meant to be any of its namespace.
    astray = {space for space, _ in named - known}
    named |= {key for key in known if key[0] in astray}
    parents = frozenset(f"{space}/{name}" for space, name in named)
    routes: list[Route] = []
    for view in views:
        for ingress in ingresses:
            routes += _last_of_each(kube, view, ingress_routes(ingress, view, classes))
        for obj in crds:
            routes += _last_of_each(kube, view, ingressroute_routes(obj, view, parents=parents))
    return routes


def children(route: Route, routes: Iterable[Route]) -> list[Route]:
    """The routes of IngressRoutes to which `route` hands its requests, if it has no service."""
    own, alone = f"{route.namespace}/{route.name}", {Excluded.CHILD_ROUTE}
    return [
        child
        for child in (routes if not route.backends and route.kind == "IngressRoute" else ())
        if own in child.parents and {why.reason for why in child.excluded} == alone
    ]


def _last_of_each(kube: KubeEvidence, view: View, routes: Sequence[Route]) -> list[Route]:
    """Of one object's routes with the same rule the last that is made wins (the routers' key)."""
    kept: dict[tuple[str, str], Route] = {}
    for route in routes:
        key = route.rule, "" if route.loaded else route.field
        if key not in kept or _unread(kube, view, kept[key]) or not _unread(kube, view, route):
            kept[key] = route
    return list(kept.values())


def _unread(kube: KubeEvidence, view: View, route: Route) -> bool:
    """Whether the provider leaves the route out for a Service that it names itself.

    What stands behind a TraefikService is asked later: the router is made, and may be disabled.
    """
    own = (backend for backend in route.backends if backend.kind == "Service")
    return any(refused(kube, view, route, one) for one in own)


def dropped(kube: KubeEvidence, view: View, route: Route) -> bool:
    """Whether a route that is read leads nowhere: Traefik makes no service of a backend.

    It makes no router then, or disables it. False where that could not be seen.
    """
    for backend in route.backends:
        services, missing = leaves(kube, backend)
        copies = [copy for copy in mirrored(kube, backend) if copy.kind == "Service"]
        if (
            missing
            or _unspecified(kube, backend)
            or any(refused(kube, view, route, one) for one in (*services, *copies))
        ):
            return True
    return False


def select(
    routes: Iterable[Route],
    host: str,
    path: str,
    *,
    view: View,
    entry_point: str,
    scheme: Scheme,
    method: str = "GET",
) -> Selection:
    """What `view`'s Traefik does with a request that reaches `entry_point`."""
    own = [route for route in routes if route.view == view.name]
    asked = _Asked(host, path, method, entry_point, scheme, view)
    here = [route for route in own if route.loaded and asked.reaches(route)]
    answers = [(route, asked.matches(route)) for route in here]
    matching = _arbitrate([route for route, answer in answers if answer], here, asked)
    order = tuple(sorted(matching, key=lambda route: rank(route, view), reverse=True))
    winner = order[0] if order else None
    best = rank(winner, view) if winner else None
    ties = tuple(
        route
        for route in order[1:]
        if rank(route, view) == best and winner and destination(route) != destination(winner)
    )
    undecided = tuple(
        route
        for route, answer in answers
        if answer is None and (best is None or rank(route, view) >= best)
    )
    left_out = tuple(r for r in own if not r.loaded and _would_match(r, asked))
    seen = {id(route) for route in (*matching, *undecided, *left_out)}
    point = view.static.entry_points.get(entry_point)
    redirects = (
        point is not None
        and point.redirect_to is not None
        and (winner is None or winner.priority < point.redirect_priority)
        and point.tls == (scheme == "https")
    )
    return Selection(
        host=host,
        path=path,
        entry_point=entry_point,
        scheme=scheme,
        winner=winner,
        ties=ties,
        shadowed=tuple(r for r in order[1:] if r not in ties),
        order=order,
        undecided=undecided,
        excluded=left_out,
        misses=tuple(m for r in own if r.loaded and id(r) not in seen for m in _miss(r, asked)),
        redirect=point if redirects else None,
    )


def reads_route(kube: KubeEvidence, view: View, host: str) -> bool:
    """Whether that installation may have loaded a route for the host, by what is declared."""
    return any(
        # The path is left open, so that a rule with one is undecided.
        matches(
            route.rule,
            host,
            None,
            version=view.version,
            syntax=route.syntax,
            protocol=route.protocol,
        )
        is not False
        for route in candidates(kube, [view])
        if route.loaded
    )


class _Asked(Struct, frozen=True):
    """A request at an entryPoint of one Traefik."""

    host: str
    path: str
    method: str | None
    entry_point: str
    scheme: Scheme
    view: View

    def reaches(self, route: Route) -> bool:
        """Whether the route listens on that entryPoint with that scheme."""
        if self.entry_point not in route.entry_points:
            return False
        return (self.entry_point in route.tls_on) == (self.scheme == "https")

    def matches(self, route: Route, *, any_path: bool = False) -> bool | None:
        """Whether the route's rule matches; with `any_path` path and method are left open."""
        return matches(
            route.rule,
            self.host if self.scheme == "https" or route.protocol == "http" else None,
            None if any_path else self.path,
            None if any_path else self.method,
            self.view.version,
            syntax=route.syntax,
            protocol=route.protocol,
        )


def rank(route: Route, view: View) -> tuple[int, int]:
    """Priority, then the provider's place where that version looks at it (higher wins).

    providers.precedence counts only where it is set: 3.7.15 documents a default, but never applies
    it (cmd/configuration.go makes Providers itself, so SetDefaults is not called), and the choice
    then differs from start to start.
    """
    order = view.static.precedence
    if not order or not versions.has_provider_precedence(view.version):
        return route.priority, 0
    place = order.index(route.provider) if route.provider in order else len(order)
    return route.priority, -place


def destination(route: Route) -> tuple[object, ...]:
    """Where a route leads, for comparison: its backends and what is done on the way."""
    return (
        tuple((b.namespace, b.name, b.port, b.kind) for b in route.backends),
        route.middlewares,
    )


# Both providers make no router where a Service or its port is missing
# (loadConfigurationFromIngresses in pkg/provider/kubernetes/ingress, loadIngressRouteConfiguration
# in pkg/provider/kubernetes/crd): what matches next serves the request.
def passing_over(found: Selection, dropped: Callable[[Route], bool], view: View) -> Selection:
    """The choice without routes that are dropped, where another means the request as precisely.

    A wildcard or a shorter path that serves instead is no replacement: then the route that was
    meant stays the winner, and what it lacks is the fault.
    """
    winner = found.winner
    if winner is None or len(found.order) == 1:
        return found
    first = winner
    if dropped(winner):
        meant = precision(winner, found.host)
        others = (r for r in found.order[1:] if not dropped(r))
        first = next((r for r in others if _covers(precision(r, found.host), meant)), winner)
    best = rank(first, view)
    rest = found.order[found.order.index(first) + 1 :]
    ties = tuple(
        route
        for route in rest
        if rank(route, view) == best
        and destination(route) != destination(first)
        and not dropped(route)
    )
    return replace(
        found,
        winner=first,
        ties=ties,
        shadowed=tuple(route for route in rest if route not in ties),
        passed_over=tuple(route for route in found.order if route is not first and dropped(route)),
    )


def precision(route: Route, host: str) -> tuple[bool, int]:
    """Whether the rule names the host itself, and the length of its longest path."""
    matchers = ("Path", "PathPrefix", "PathRegexp")
    paths = arguments(route.rule, route.syntax, route.protocol, *matchers)
    named = host.lower().rstrip(".") in hosts_in(route.rule, route.syntax, route.protocol)
    return named, max((len(path.rstrip("/")) for path in paths), default=0)


def _covers(one: tuple[bool, int], other: tuple[bool, int]) -> bool:
    return one[0] >= other[0] and one[1] >= other[1]


def _arbitrate(matching: list[Route], here: list[Route], asked: _Asked) -> list[Route]:
    """Decide between HTTP and TCP routes of one entryPoint (ServeTCP)."""
    http = [route for route in matching if route.protocol == "http"]
    tcp = [route for route in matching if route.protocol == "tcp"]
    if not tcp:
        return http
    if asked.scheme == "http":
        return tcp
    if any(_names_host(route, asked) for route in here if route.protocol == "http"):
        return http
    precise = [route for route in tcp if not is_catch_all(route.rule, route.syntax)]
    if precise:
        return precise
    return http if any(route.protocol == "http" for route in here) else tcp


def _names_host(route: Route, asked: _Asked) -> bool:
    wildcard = versions.wildcard_in_host(asked.view.version)
    return any(
        same_host(name, asked.host, wildcard=wildcard)
        for name in hosts_in(route.rule, route.syntax)
    )


def _would_match(route: Route, asked: _Asked) -> bool:
    """Whether a route that is not loaded was meant for this host and path."""
    reasons = {each.reason for each in route.excluded}
    if Excluded.NO_HTTP in reasons and not route.rule:
        return True
    if Excluded.PARSE_ERROR in reasons:
        return not route.rule or asked.host.lower() in route.rule.lower()
    return asked.matches(route) is not False


def _miss(route: Route, asked: _Asked) -> list[Miss]:
    """Why a loaded route does not serve the request; nothing where it is far from it."""
    if route.protocol == "tcp":
        return []
    if asked.matches(route, any_path=True) is False:
        found = near_host(route, asked.host)
        return [Miss(route, Excluded.HOST_MISMATCH, *found)] if found else []
    if asked.matches(route) is False:
        hint = near_path(route, asked.path)
        if replace(asked, method=None).matches(route) is not False:
            hint = "method"
        return [Miss(route, Excluded.PATH_MISMATCH, hint)]
    if asked.entry_point not in route.entry_points:
        return [Miss(route, Excluded.ENTRYPOINT_OTHER)]
    if asked.reaches(route):
        return []
    return [Miss(route, Excluded.ONLY_TLS if asked.scheme == "http" else Excluded.NOT_TLS)]


def leaves(
    kube: KubeEvidence, backend: Backend, depth: int = 0
) -> tuple[list[Backend], list[Backend]]:
    """The Services behind a backend, TraefikServices followed; and references that lead nowhere.

    A TraefikService that could not be seen counts as neither. ``x@internal`` and services of other
    providers are left out.
    """
    if backend.kind == "Service" and "@" not in backend.name:
        return [backend], []
    if "@" in backend.name or depth > 10:
        return [], []
    key = (backend.namespace, backend.name)
    found = next((obj for obj in kube.every(TraefikService) if obj.key == key), None)
    if found is None:
        seen = kube.list("traefikservices", backend.namespace).seen
        return [], [backend] if seen else []
    services: list[Backend] = []
    missing: list[Backend] = []
    for branch in branches(kube, backend):
        below = leaves(kube, branch, depth + 1)
        crosses = branch.namespace != backend.namespace
        own = [replace(leaf, crosses=crosses or leaf.crosses) for leaf in below[0]]
        services += [replace(leaf, weight=0) for leaf in own] if branch.weight == 0 else own
        missing += below[1]
    return services, missing


def branches(kube: KubeEvidence, backend: Backend) -> list[Backend]:
    """What a TraefikService spreads its requests over; a fallback has no weight of its own."""
    key, out = (backend.namespace, backend.name), []
    found = next((obj for obj in kube.every(TraefikService) if obj.key == key), TraefikService())
    for entry, field in _entries(found.spec):
        one = backend_of(entry, entry.namespace or backend.namespace, field)
        out.append(replace(one, weight=0) if field == "spec.failover.fallback" else one)
    return out


def copied(kube: KubeEvidence, route: Route) -> list[Backend]:
    """The Services to which the route's TraefikServices copy requests."""
    of_traefik = [one for one in route.backends if one.kind == "TraefikService"]
    copies = [copy for one in of_traefik for copy in mirrored(kube, one)]
    return [copy for copy in copies if copy.kind != "TraefikService"]


def mirrored(kube: KubeEvidence, backend: Backend) -> list[Backend]:
    """The Services to which a TraefikService copies requests: they serve none, and must exist."""
    found = []
    for obj in kube.every(TraefikService):
        if obj.key != (backend.namespace, backend.name) or obj.spec.mirroring is None:
            continue
        for at, each in enumerate(obj.spec.mirroring.mirrors):
            space = each.namespace or backend.namespace
            copy = backend_of(each, space, f"spec.mirroring.mirrors[{at}]")
            found.append(replace(copy, crosses=space != backend.namespace))
    return found


def _unspecified(kube: KubeEvidence, backend: Backend) -> bool:
    """Whether a TraefikService says nothing: Traefik makes none of it ("unspecified service")."""
    own = [
        obj for obj in kube.every(TraefikService) if obj.key == (backend.namespace, backend.name)
    ]
    return backend.kind == "TraefikService" and any(obj.spec == TraefikServiceSpec() for obj in own)


def _entries(spec: TraefikServiceSpec) -> list[tuple[LoadBalancerRef, str]]:
    """The services that carry requests: weighted, hrw, mirrored (not its mirrors), failover."""
    out: list[tuple[LoadBalancerRef, str]] = []
    for kind, parts in (
        ("weighted", spec.weighted),
        ("highestRandomWeight", spec.highest_random_weight),
    ):
        services = parts.services if parts is not None else ()
        out += [(each, f"spec.{kind}.services[{at}]") for at, each in enumerate(services)]
    if spec.mirroring is not None:
        out.append((spec.mirroring, "spec.mirroring"))
    failover = spec.failover or Failover()
    for part, one in (("service", failover.service), ("fallback", failover.fallback)):
        out += [(one, f"spec.failover.{part}")] if one is not None else []
    return out
