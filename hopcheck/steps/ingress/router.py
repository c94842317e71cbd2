"""Traefik's own word on the route's router, where nothing more precise is seen."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import unquoted
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Evidence as Proof
from hopcheck.model import Finding
from hopcheck.model.traefik import Router
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress import middlewares, references, tls
from hopcheck.steps.ingress.standing import only_candidate, route_in_question
from hopcheck.steps.middlewares import by_reference
from hopcheck.steps.names import last_exchanges, of_route, ref_of, traefik_refs
from hopcheck.steps.rule import BESIDE_KUBE, Rule, rule
from hopcheck.verdict.contradicted import Claim

# What a route refers to: each of these rules sees the cause of a disabled router at its source.
ON_THE_ROUTE = tuple(
    found
    for module in (references, middlewares, tls)
    for found in vars(module).values()
    if isinstance(found, Rule)
)


class _Disabled(Struct, frozen=True):
    """A router of Traefik's API that is disabled, and its errors in words."""

    route: Route
    pod: str
    router: Router
    errors: str


def _disabled(scene: Scene) -> _Disabled | None:
    """The disabled router of the route in question, where no application answers."""
    route = route_in_question(scene)
    if route is None or any(producer(e) is Producer.APPLICATION for e in last_exchanges(scene)):
        return None
    for replica in scene.snapshot.traefik.replicas:
        for router in replica.routers.or_else(()) or ():
            if router.status == "disabled" and _same(router, route):
                errors = listing(router.error or (text("said", "no_reason"),))
                return _Disabled(route, replica.pod, router, errors)
    return None


def _same(router: Router, route: Route) -> bool:
    named = f"{route.namespace}-{route.name}" in router.name
    return unquoted(router.rule) == unquoted(route.rule) and (
        named or router.provider == route.provider
    )


@rule(reads=("kube", "traefik"), uses=BESIDE_KUBE, unless=ON_THE_ROUTE)
def router_is_enabled(scene: Scene) -> Iterator[Finding]:
    """Traefik has not disabled the route's router."""
    found = _disabled(scene)
    if found is None:
        return
    route, known = found.route, by_reference(scene)
    options = tls.options_of(scene, route)
    if "TLS config" in found.errors and len(options) == 1:
        yield tls.about_option(scene, route, options[0], found.errors, "", "invalid")
        return
    named = [ref_of(known[n]) for n in route.middlewares if n in known and n in found.errors]
    yield of_route(
        "ING022",
        scene,
        route,
        error=found.errors,
        related=(*named, *traefik_refs(scene)),
        evidence=(Proof(text("source", "api", pod=found.pod), str(found.router)),),
    )


@rule(
    reads=("kube", "traefik"),
    uses=BESIDE_KUBE,
    claims=Claim.STOPS_EVERYTHING,
    unless=(*ON_THE_ROUTE, router_is_enabled),
)
def requests_meet_the_rule(scene: Scene) -> Iterator[Finding]:
    """The only route for host and path asks no more of a request than a client's brings.

    What it asks (a header, a client's address) is not evaluated here: Traefik's own 404 tells,
    where its API shows that the route is loaded.
    """
    route = only_candidate(scene)
    if route is None or route.uncertain or route is not route_in_question(scene):
        return
    last = last_exchanges(scene)
    refused = [e for e in last if e.status == 404 and producer(e) is Producer.TRAEFIK]
    loaded = any(
        unquoted(router.rule) == unquoted(route.rule) and router.status != "disabled"
        for replica in scene.snapshot.traefik.replicas
        for router in replica.routers.or_else(()) or ()
    )
    if loaded and last and len(refused) == len(last):
        more = {"variant": "condition", "paths": route.rule, "advice": ""}
        yield of_route("ING007", scene, route, at=route.field, **more)


# Whatever a route asks of a request: where one of these speaks it does not serve as it is.
OF_THE_ROUTE = (*ON_THE_ROUTE, router_is_enabled, requests_meet_the_rule)
