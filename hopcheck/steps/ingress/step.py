"""Step 4: which rule Traefik would choose, and whether everything that it names exists."""

from __future__ import annotations

from typing import Any

import msgspec

from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import hosts_in, unquoted
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Finding, Gap, Judgement, ObjectRef, Severity, Step, Why
from hopcheck.scene.chosen_route import Routing, port_of, routing_of
from hopcheck.scene.outcome import Producer, outcomes, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress import exclusions, neighbours, references
from hopcheck.steps.loaded import loaded_somewhere
from hopcheck.steps.names import RESOURCE, gateway_gap, last_exchanges, route_ref, route_words
from hopcheck.steps.rule import rule

_ROUTE_LISTS = ("ingresses", "ingressroutes", "ingressroutetcps")


def judge(scene: Scene) -> Judgement:
    """Judge the route that the declared objects give the host and path."""
    routing = routing_of(scene)
    unseen = _unseen(scene)
    if len(unseen) == len(_ROUTE_LISTS):
        first = scene.kube.list("ingresses")
        gap = Gap(
            "ingresses", first.why or Why.NOT_SELECTED, first.detail, params={"party": "kubernetes"}
        )
        return Judgement(Step.INGRESS, gaps=(gap,))
    selection = routing.selection
    facts = _facts(scene, routing)
    findings: list[Finding] = []
    names = listing(f"{r.kind} {r.namespace}/{r.name}" for r in selection.order)
    undecided = Gap("undecided", Why.NOT_NEEDED, params={"names": names})
    if selection.winner is not None and _guessed(scene, routing):
        return Judgement(Step.INGRESS, gaps=(undecided,), facts=facts)
    if selection.winner is not None:
        findings += references.judge(scene, routing, selection.winner)
        findings += _ambiguous(scene, routing)
        findings += neighbours.judge(scene, routing, selection.winner)
        gaps = _denied(scene, unseen, required=False)
        if routing.gateway:
            gaps = (*gaps, gateway_gap(routing, required=False))
        if selection.winner.uncertain and not _proven(scene, routing):
            gaps = (*gaps, undecided)
        return Judgement(Step.INGRESS, tuple(findings), gaps, seen=True, facts=facts)
    return _no_winner(scene, routing, unseen, facts)


def _guessed(scene: Scene, routing: Routing) -> bool:
    """Whether requests succeed and which of several routes serves them is not known.

    That is so where what decides on a route (its class, a setting of Traefik) could not be seen. A
    route that Traefik drops cannot be the one, though no other is in sight.
    """
    selection = routing.selection
    if selection.winner is None or not selection.winner.uncertain:
        return False
    rivals = {(route.kind, route.namespace, route.name) for route in selection.order}
    several = len(rivals) > 1 or routing.drops(selection.winner)
    made = outcomes(scene.snapshot)
    return several and made.made > 0 and made.succeeded == made.made


def _proven(scene: Scene, routing: Routing) -> bool:
    """Whether an answer or Traefik itself shows that the route is loaded."""
    return outcomes(scene.snapshot).succeeded > 0 or loaded_somewhere(scene, routing)


def _unseen(scene: Scene) -> list[str]:
    """Kinds of routes that could not be read ('no such API' counts as read: there are none)."""
    found = []
    for resource in _ROUTE_LISTS:
        lists = [
            value
            for key, value in scene.kube.lists.items()
            if key == resource or key.startswith(f"{resource}@")
        ]
        if not any(one.seen or one.why is Why.NOT_FOUND for one in lists):
            found.append(resource)
    return found


def _denied(scene: Scene, unseen: list[str], *, required: bool) -> tuple[Gap, ...]:
    if not unseen:
        return ()
    first = scene.kube.list(unseen[0])
    return (
        Gap(
            "routes",
            first.why or Why.NOT_SELECTED,
            first.detail,
            required=required,
            params={
                "host": scene.target.host,
                "resources": ", ".join(unseen),
                "party": "kubernetes",
            },
        ),
    )


def _facts(scene: Scene, routing: Routing) -> dict[str, Any]:
    selection, winner = routing.selection, routing.selection.winner
    facts: dict[str, Any] = {
        "entryPoint": routing.entry_point,
        "ingresses seen": scene.kube.totals.get("ingresses"),
    }
    if winner is not None:
        facts |= {
            "route.label": f"{winner.kind} {winner.namespace}/{winner.name}",
            "route.detail": winner.rule,
            "route": {
                "object": f"{winner.kind} {winner.namespace}/{winner.name}",
                "rule": winner.rule,
                "priority": winner.priority,
                "entryPoints": list(winner.entry_points),
                "tls": winner.tls,
                "middlewares": list(winner.middlewares),
                "backends": [f"{b.namespace}/{b.name}:{b.port}" for b in winner.backends],
            },
        }
    if selection.redirect is not None:
        facts["redirect"] = text("found", "redirect", name=selection.redirect.name)
    return facts


def _no_winner(
    scene: Scene, routing: Routing, unseen: list[str], facts: dict[str, Any]
) -> Judgement:
    selection = routing.selection
    gaps: tuple[Gap, ...] = ()
    other = routing.other_provider
    works = outcomes(scene.snapshot).succeeded > 0
    if other is not None:
        return Judgement(
            Step.INGRESS,
            not_applicable=text("na", "file_provider", host=scene.target.host, provider=other),
            facts=facts | {"route.label": text("found", "provider", name=other)},
        )
    if selection.redirect is not None and not selection.excluded:
        # The entryPoint itself answers; what serves after the redirect is the other scheme's.
        return Judgement(Step.INGRESS, seen=True, facts=facts | {"route.label": facts["redirect"]})
    if routing.gateway:
        return Judgement(Step.INGRESS, gaps=(gateway_gap(routing, required=True),), facts=facts)
    gaps = _denied(scene, unseen, required=True)
    only = {(r.kind, r.namespace, r.name, r.rule) for r in selection.undecided}
    if works and len(only) == 1 and not gaps:
        # Its rule depends on what is not known here (a header, an address): the answer tells.
        kind, namespace, name, rule = only.pop()
        label = {"route.label": f"{kind} {namespace}/{name}", "route.detail": rule}
        return Judgement(Step.INGRESS, seen=True, facts=facts | label)
    if len(only) == 1 and not works and not gaps:
        found = references.judge(scene, routing, selection.undecided[0])
        found = found or _unmet(scene, selection.undecided)
        if found:
            return Judgement(Step.INGRESS, tuple(found), seen=True, facts=facts)
    if selection.undecided or works:
        # Something matches that cannot be evaluated from the declaration, or an answer proves it.
        names = listing(f"{r.kind} {r.namespace}/{r.name}" for r in selection.undecided)
        what = "undecided" if selection.undecided else "routed_unseen"
        gaps = (*gaps, Gap(what, Why.NOT_NEEDED, params={"names": names}))
        return Judgement(Step.INGRESS, gaps=gaps, facts=facts)
    if not routing.view.static.known and exclusions.needs_static(selection):
        # Which entryPoints have TLS, which classes are read: Traefik's own settings decide.
        gaps = (*gaps, Gap("static", Why.NOT_NEEDED))
        return Judgement(Step.INGRESS, gaps=gaps, facts=facts)
    if routing.view.static.gateway and not selection.excluded and not _api_seen(scene):
        # Traefik reads GRPCRoutes, TLSRoutes and TCPRoutes as well, which nobody here has read.
        gaps = (*gaps, Gap("gateway_kinds", Why.NOT_NEEDED, params={"host": scene.target.host}))
    finding = exclusions.judge(scene, routing, certain=not gaps)
    if finding is None:
        return Judgement(Step.INGRESS, gaps=gaps, seen=not gaps, facts=facts)
    found = [finding]
    if finding.code == "ING011" and routing.winner is not None:
        # The route itself is read: what it names has to exist wherever the request arrives.
        found += references.judge(scene, routing, routing.winner)
    return Judgement(Step.INGRESS, tuple(found), gaps, seen=True, facts=facts)


def _unmet(scene: Scene, undecided: tuple[Route, ...]) -> list[Finding]:
    """The only route for host and path asks more of a request, and Traefik found none for ours.

    What it asks (a header, a client's address) is not evaluated here: Traefik's own 404 tells,
    where its API shows that the route is loaded.
    """
    route = undecided[0]
    last = last_exchanges(scene)
    refused = [e for e in last if e.status == 404 and producer(e) is Producer.TRAEFIK]
    loaded = any(
        unquoted(str(router.get("rule"))) == unquoted(route.rule)
        and router.get("status") != "disabled"
        for replica in scene.snapshot.traefik.replicas
        for router in replica.routers.or_else(()) or ()
    )
    if not loaded or route.uncertain or not last or len(refused) < len(last):
        return []
    return [
        make(
            "ING007",
            route_ref(route, route.field),
            variant="condition",
            host=scene.target.host,
            path=scene.target.path,
            paths=route.rule,
            advice="",
            **route_words(route),
        )
    ]


def _api_seen(scene: Scene) -> bool:
    return any(replica.routers.seen for replica in scene.snapshot.traefik.replicas)


def _destinations(routing: Routing, route: Route) -> set[tuple[str, str, object]]:
    """The Services behind a route with the ports' numbers, however a port is named."""
    found = set()
    for backend in routing.backends(route)[0]:
        service = routing.scene.service(backend.namespace, backend.name) or {}
        port = port_of(service, backend.port) or {}
        found.add((backend.namespace, backend.name, port.get("port", backend.port)))
    return found


def _ambiguous(scene: Scene, routing: Routing) -> list[Finding]:
    """Ties, and a winner that outranks the route which is plainly meant."""
    selection, winner = routing.selection, routing.selection.winner
    if winner is None:
        return []
    target = scene.target
    own = _destinations(routing, winner)
    rivals = [
        r
        for r in selection.ties
        if (r.namespace, r.name) != (winner.namespace, winner.name)
        and not (own and r.middlewares == winner.middlewares and _destinations(routing, r) == own)
    ]
    found = []
    if rivals:
        found.append(
            make(
                "ING009",
                route_ref(winner),
                related=tuple(route_ref(r) for r in rivals),
                route=str(route_ref(winner)),
                others=listing(str(route_ref(r)) for r in rivals),
                host=target.host,
                path=target.path,
                priority=winner.priority,
            )
        )
    proper = next((r for r in selection.shadowed if _by_element(r, winner, target.path)), None)
    if proper is not None:
        found.append(_overmatches(scene, winner, proper))
    exact = next((r for r in selection.shadowed if _meant(r, winner, target.host)), None)
    if exact is not None and not winner.priority_set:
        found.append(_outranked(scene, winner, exact))
    meant = next((r for r in selection.shadowed if _names_it(r, target.host)), None)
    taken = winner.priority_set and not _names_it(winner, target.host)
    if meant is not None and taken and not outcomes(scene.snapshot).succeeded:
        # A priority is set on purpose; where nothing works, it is what takes the host's requests.
        found.append(_outranked(scene, winner, meant, *_backend_refs(winner)))
    return found


def _names_it(route: Route, host: str) -> bool:
    return host.lower().rstrip(".") in hosts_in(route.rule, route.syntax, route.protocol)


def _by_element(route: Route, winner: Route, path: str) -> bool:
    """Whether the winner's Prefix ends inside an element of the path, where `route` is meant.

    Kubernetes compares a Prefix element by element, Traefik character by character.
    """
    if winner.kind != "Ingress" or winner.path_type != "Prefix" or not winner.path:
        return False
    if route.host != winner.host or route.backends == winner.backends or not route.path:
        return False
    return not _within(winner.path, path) and _within(route.path, path)


def _within(prefix: str, path: str) -> bool:
    base = prefix.rstrip("/")
    return path == base or path.startswith(f"{base}/")


def _overmatches(scene: Scene, winner: Route, proper: Route) -> Finding:
    made = outcomes(scene.snapshot)
    served = made.made > 0 and made.succeeded == made.made
    return make(
        "ING008",
        route_ref(winner, winner.field),
        variant="prefix",
        severity=Severity.WARNING if served else None,
        related=(route_ref(proper, proper.field), *_backend_refs(winner)),
        winner=str(route_ref(winner)),
        winner_rule=winner.rule,
        winner_priority=winner.priority,
        loser=text("said", "path_of", path=proper.path, route=route_ref(proper)),
        loser_priority=proper.priority,
        host=scene.target.host,
        path=scene.target.path,
        ns=winner.namespace,
        resource=RESOURCE[winner.kind],
        name=winner.name,
    )


def _backend_refs(route: Route) -> tuple[ObjectRef, ...]:
    return tuple(ObjectRef(b.kind, b.name, b.namespace) for b in route.backends)


def _meant(route: Route, winner: Route, host: str) -> bool:
    """Whether `route` names the host itself while the winner is a wildcard or overmatches."""
    if (route.namespace, route.name, route.field) == (winner.namespace, winner.name, winner.field):
        return False
    if route.backends == winner.backends or route.kind != "Ingress" or winner.kind != "Ingress":
        return False
    return route.host == host and winner.host not in (host, None) and winner.host.startswith("*.")


def _outranked(scene: Scene, winner: Route, loser: Route, *related: ObjectRef) -> Finding:
    target = scene.target
    return make(
        "ING008",
        route_ref(winner),
        related=(route_ref(loser), *related),
        winner=str(route_ref(winner)),
        winner_rule=winner.rule,
        winner_priority=winner.priority,
        loser=str(route_ref(loser)),
        loser_priority=loser.priority,
        host=target.host,
        path=target.path,
        ns=loser.namespace,
        resource=RESOURCE[loser.kind],
        name=loser.name,
    )


def _judged(scene: Scene) -> Judgement:
    return scene.once(Step.INGRESS, lambda: judge(scene))


def sight(scene: Scene) -> Judgement:
    """What was seen of the step."""
    return msgspec.structs.replace(_judged(scene), findings=())


@rule(reads=("dns", "aws", "kube", "traefik"), uses=("http",))
def a_route_matches(scene: Scene) -> tuple[Finding, ...]:
    """A route that Traefik reads matches host and path, and all it names exists."""
    return _judged(scene).findings


RULES = (a_route_matches,)
