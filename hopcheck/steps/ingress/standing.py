"""How the route stands: which one the rules speak of, or what keeps every route from serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from msgspec import Struct

from hopcheck.behaviour.traefik.route import Excluded, Exclusion, Route
from hopcheck.behaviour.traefik.routes import Selection, precision
from hopcheck.behaviour.traefik.rules import matches
from hopcheck.catalogue.catalogue import text
from hopcheck.model import Finding, Why, Words
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import last_exchanges
from hopcheck.steps.rule import BESIDE_KUBE, Party, Rule, rule
from hopcheck.verdict.contradicted import Claim

ROUTE_LISTS = ("ingresses", "ingressroutes", "ingressroutetcps")
# What a route's own trouble is told as; what was most likely meant to serve the host comes first.
TOLD_AS = {
    Excluded.NOT_TLS: "ING011",
    Excluded.ENTRYPOINT_OTHER: "ING011",
    Excluded.ONLY_TLS: "ING011",
    Excluded.PATH_MISMATCH: "ING007",
    Excluded.ENTRYPOINT_MISSING: "ING010",
    Excluded.PARSE_ERROR: "ING021",
    Excluded.BAD_ANNOTATION: "ING006",
    Excluded.BAD_KIND: "ING006",
    Excluded.DEFAULT_BACKEND_IGNORED: "ING006",
    Excluded.NO_HTTP: "ING006",
    Excluded.NO_SERVICE: "ING006",
    Excluded.RESOURCE_BACKEND: "ING006",
    Excluded.CROSS_NAMESPACE: "ING020",
    Excluded.CROSS_PROVIDER: "ING020",
    Excluded.LABEL_FILTERED: "ING003",
    Excluded.NAMESPACE_FILTERED: "ING003",
    Excluded.CLASS_MISSING: "ING002",
    Excluded.CLASS_FLAG: "ING002",
    Excluded.NO_CLASS_BUT_FLAG: "ING002",
    Excluded.CLUSTER_SCOPE_OFF: "ING002",
    Excluded.ANNOTATION_OTHER: "ING002",
    Excluded.CLASS_OTHER: "ING002",
    Excluded.CHILD_ROUTE: "ING006",
}
_ORDER = tuple(TOLD_AS)
_FILTERED = tuple(reason for reason, code in TOLD_AS.items() if code in ("ING002", "ING003"))


class Obstacle(Struct, frozen=True):
    """Why the route that was most likely meant does not serve; `why` where it is not loaded."""

    route: Route
    reason: Excluded
    hint: str = ""
    why: Exclusion | None = None

    @property
    def code(self) -> str:
        """The finding that tells it."""
        return TOLD_AS[self.reason]


def unseen(scene: Scene) -> list[str]:
    """Kinds of routes that could not be read ('no such API' counts as read: there are none)."""

    def read(resource: str) -> bool:
        own = [one for key, one in lists if key.partition("@")[0] == resource]
        return any(one.seen or one.why is Why.NOT_FOUND for one in own)

    lists = scene.kube.lists.items()
    return scene.once("unseen", lambda: [name for name in ROUTE_LISTS if not read(name)])


def guessed(scene: Scene) -> bool:
    """Whether requests succeed and which of several routes serves them is not known.

    That is so where what decides on a route (its class, a setting of Traefik) could not be seen. A
    route that Traefik drops cannot be the one, though no other is in sight.
    """
    routing = routing_of(scene)
    selection = routing.selection
    if selection.winner is None or not selection.winner.uncertain:
        return False
    rivals = {(route.kind, route.namespace, route.name) for route in selection.order}
    several = len(rivals) > 1 or routing.drops(selection.winner)
    made = outcome_of(scene)
    return several and made.made > 0 and made.succeeded == made.made


def winner(scene: Scene) -> Route | None:
    """The route that serves the request, where that is known."""
    return None if guessed(scene) else routing_of(scene).selection.winner


def answered_elsewhere(scene: Scene) -> bool:
    """Whether what answers the host is none of the objects that are evaluated here.

    Another provider's router, an HTTPRoute, or the entryPoint itself, which redirects.
    """
    routing = routing_of(scene)
    redirected = routing.selection.redirect is not None and not routing.selection.excluded
    return routing.other_provider is not None or redirected or bool(routing.gateway)


def only_candidate(scene: Scene) -> Route | None:
    """The one route for the host whose rule asks what is not known here (a header, an address)."""
    undecided = routing_of(scene).selection.undecided
    one = len({(r.kind, r.namespace, r.name, r.rule) for r in undecided}) == 1
    return undecided[0] if one and not unseen(scene) else None


def unserved(scene: Scene) -> Selection | None:
    """The choice, where it is plain that no route serves the request."""
    selection = routing_of(scene).selection
    if selection.winner is not None or selection.undecided or answered_elsewhere(scene):
        return None
    return None if hangs_on_settings(scene) else selection


def hangs_on_settings(scene: Scene) -> bool:
    """Whether Traefik's static configuration decides that nothing serves, and is not known."""
    routing = routing_of(scene)
    settled = routing.view.static.known
    misses = [m for m in routing.selection.misses if m.reason is not Excluded.HOST_MISMATCH]
    return not settled and any(TOLD_AS[m.reason] == "ING011" for m in misses)


def other_kinds(scene: Scene) -> bool:
    """Whether Traefik reads kinds of the Gateway API (GRPCRoute, …) that nobody here has read."""
    routing = routing_of(scene)
    api = any(replica.routers.seen for replica in scene.snapshot.traefik.replicas)
    return routing.view.static.gateway and not routing.selection.excluded and not api


def obstacle(scene: Scene) -> Obstacle | None:
    """What keeps the likeliest route from serving, where none serves; None where none was meant.

    That is the one that would have won: whose rule names the host and has the longest path. A
    disabled provider is the Traefik step's to say. Where another serves, and has nothing there, it
    is one that means the request more precisely.
    """

    def found() -> Obstacle | None:
        selection = unserved(scene)
        if selection is None:
            return _overlooked(scene)
        near = [m for m in selection.misses if m.reason is not Excluded.HOST_MISMATCH]
        likely = [Obstacle(m.route, m.reason, m.hint) for m in near]
        likely += [
            Obstacle(route, why.reason, why=why)
            for route in selection.excluded
            for why in route.excluded
            if why.reason is not Excluded.PROVIDER_DISABLED
        ]
        return min(likely, key=lambda one: _likelihood(one, selection.host), default=None)

    return scene.once("obstacle", found)


def _overlooked(scene: Scene) -> Obstacle | None:
    """The route that names host and path more precisely than the one that gives 404.

    It is left out; or its path is a pattern that Traefik takes literally.
    """
    first, routing = winner(scene), routing_of(scene)
    statuses = {exchange.status for exchange in last_exchanges(scene)}
    if first is None or statuses != {404} or answered_elsewhere(scene):
        return None
    host, path, version = scene.target.host, scene.target.path, routing.view.version
    shown = precision(first, host)

    def meant(route: Route) -> bool:
        own = precision(route, host)
        return own[0] and (first.internal or (own != shown and own[1] >= shown[1]))

    for route in routing.selection.excluded:
        why = next((e for e in route.excluded if e.reason in _FILTERED), None)
        if why is None or route.uncertain or not meant(route):
            continue
        if matches(route.rule, host, path, version=version, syntax=route.syntax):
            return Obstacle(route, why.reason, why=why)
    literal = (m for m in routing.selection.misses if m.hint == "regex" and meant(m.route))
    return next((Obstacle(m.route, m.reason, m.hint) for m in literal), None)


def _likelihood(one: Obstacle, host: str) -> tuple[Any, ...]:
    """The smaller the likelier: a rule that matches host and path, the more precise the better."""
    if one.code == "ING007":
        return 1, 0, 0, _ORDER.index(one.reason), not one.hint
    named, length = precision(one.route, host)
    return 0, not named, -length, _ORDER.index(one.reason), not one.hint


def left_out(why: Exclusion) -> Words:
    """The words for what keeps an object out."""
    words = {"value": why.value or "-", "expected": why.expected or "-"}
    words |= {"setting": why.setting or "-", "field": why.field}
    reason = text("excluded", why.reason.value, **words)
    return {
        "at": why.field,
        "reason": reason,
        "advice": text("excluded_advice", why.reason.value, **words),
    }


def route_in_question(scene: Scene) -> Route | None:
    """The route whose references have to be right: it serves, or would but for one thing."""
    return scene.once(route_in_question, lambda: _route(scene))


def _route(scene: Scene) -> Route | None:
    routing = routing_of(scene)
    if routing.selection.winner is not None:
        return winner(scene)
    if outcome_of(scene).succeeded or answered_elsewhere(scene):
        return None
    if routing.selection.undecided:
        return only_candidate(scene)
    # It is read: what it names has to exist wherever the request arrives.
    found = obstacle(scene)
    return routing.winner if found is not None and found.code == "ING011" else None


_OfRoute = Callable[[Scene, Route], Iterable[Finding]]


def route_rule(
    *more: Party, claims: Claim = Claim.STOPS_NOTHING_NOW, unless: Iterable[Rule] = ()
) -> Callable[[_OfRoute], Rule]:
    """Make a rule of a function of the route in question; it reads the cluster, and `more`."""

    def made(function: _OfRoute) -> Rule:
        @wraps(function)
        def look(scene: Scene) -> Iterable[Finding]:
            route = route_in_question(scene)
            return function(scene, route) if route is not None else ()

        return rule(reads=("kube", *more), uses=BESIDE_KUBE, claims=claims, unless=unless)(look)

    return made
