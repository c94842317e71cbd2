"""Traefik's own word on the route's router, where nothing more precise is seen."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.routes import children
from hopcheck.behaviour.traefik.rules import matches, unquoted
from hopcheck.catalogue.catalogue import has_text, listing, text
from hopcheck.model import Evidence as Proof
from hopcheck.model import Finding, Replica, Words
from hopcheck.model.traefik import Router
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.middlewares import acting, by_reference, handed_on
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress import middlewares, references, tls
from hopcheck.steps.ingress.standing import only_candidate, route_in_question
from hopcheck.steps.names import last_exchanges, of_route, ref_of, route_ref, traefik_refs
from hopcheck.steps.rule import BESIDE_KUBE, Rule, rule
from hopcheck.verdict.contradicted import Claim

# What a route refers to: each rule of these modules sees why a router is disabled at its source.
ON_THE_ROUTE = tuple(
    found
    for module in (references, middlewares, tls)
    for found in vars(module).values()
    if isinstance(found, Rule)
)


def _routers(scene: Scene, route: Route) -> Iterator[tuple[Replica, Router]]:
    """The routers of the route's rule, by each replica's API."""
    for replica in scene.snapshot.traefik.replicas:
        for router in replica.routers.or_else(()) or ():
            if unquoted(router.rule) == unquoted(route.rule):
                yield replica, router


@rule(reads=("kube", "traefik"), uses=BESIDE_KUBE, unless=ON_THE_ROUTE)
def router_is_enabled(scene: Scene) -> Iterator[Finding]:
    """Traefik has not disabled the route's router."""
    route, known = route_in_question(scene), by_reference(scene)
    if route is None or any(producer(e) is Producer.APPLICATION for e in last_exchanges(scene)):
        return
    for replica, router in _routers(scene, route):
        own = f"{route.namespace}-{route.name}" in router.name or router.provider == route.provider
        if router.status != "disabled" or not own:
            continue
        errors = listing(router.error or (text("said", "no_reason"),))
        options = tls.options_of(scene, route)
        if "TLS config" in errors and len(options) == 1:
            yield tls.about_option(scene, route, options[0], errors, "", "invalid")
            return
        named = [ref_of(known[n]) for n in route.middlewares if n in known and n in errors]
        yield of_route(
            "ING022",
            scene,
            route,
            error=errors,
            related=(*named, *traefik_refs(scene)),
            evidence=(Proof(text("source", "api", pod=replica.pod), str(router)),),
        )
        return


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
    loaded = any(router.status != "disabled" for _, router in _routers(scene, route))
    if loaded and last and len(refused) == len(last):
        more: Words = {"variant": "condition", "paths": route.rule, "advice": ""}
        if "ClientIP(" in route.rule:
            source, words = middlewares.judged_by(scene, last[0])
            words["what"], own = text("judged", "rule"), f"{source}_rule"
            key = own if has_text("judged_advice", own) else source
            seen = text("judged_by", "client" if source == "other" else source, **words)
            more = {"variant": "client", "paths": f"{route.rule}{seen}"}
            more["advice"] = text("judged_advice", key, **words)
        yield of_route("ING007", scene, route, at=route.field, **more)


@rule(
    reads=("kube",),
    uses=BESIDE_KUBE,
    claims=Claim.STOPS_EVERYTHING,
    unless=(*ON_THE_ROUTE, router_is_enabled),
)
def a_child_takes_what_the_parent_hands_on(scene: Scene) -> Iterator[Finding]:
    """Of the IngressRoutes below the one that matches, one matches what that hands on."""
    route, routing = route_in_question(scene), routing_of(scene)
    below = children(route, routing.routes) if route is not None else []
    after = handed_on(scene, route) if route is not None and below else None
    if route is None or after is None:
        return
    headers, path = after
    host, version = scene.target.host, routing.view.version
    for child in below:
        own = matches(child.rule, host, path, version=version, syntax=child.syntax, headers=headers)
        if own is not False:
            return
    shown = listing(headers) if headers else text("list", "none")
    words = {"variant": "children", "advice": text("path_advice", "children", headers=shown)}
    words["paths"] = listing(f"{route_ref(child)} ({child.rule})" for child in below)
    setting = [ref_of(obj) for obj in acting(scene, route) if "headers" in obj.kinds]
    related = (*map(route_ref, below[:3]), route_ref(route), *setting)
    first = below[0] if len({route_ref(child) for child in below}) == 1 else route
    words |= {"at": first.field, "route": str(route_ref(route))}
    yield of_route("ING007", scene, first, related=related, **words)


# Whatever a route asks of a request: where one of these speaks it does not serve as it is.
OF_THE_ROUTE = (*ON_THE_ROUTE, router_is_enabled, requests_meet_the_rule)
