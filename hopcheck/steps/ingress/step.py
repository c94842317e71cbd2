"""Step 4: which rule Traefik would choose, and whether everything that it names exists."""

from __future__ import annotations

from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Facts, Gap, Judgement, Step, Why
from hopcheck.model.kubernetes import Ingress
from hopcheck.scene.chosen_route import Routing, routing_of
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress import router
from hopcheck.steps.ingress.standing import (
    ROUTE_LISTS,
    guessed,
    hangs_on_settings,
    obstacle,
    only_candidate,
    other_kinds,
    unseen,
)
from hopcheck.steps.loaded import Loaded, loaded
from hopcheck.steps.names import gateway_gap, kube_gap, route_ref


def sight(scene: Scene) -> Judgement:
    """Which route the declared objects give the host and path, and what could not be seen."""
    routing = routing_of(scene)
    if len(unseen(scene)) == len(ROUTE_LISTS):
        return Judgement(Step.INGRESS, gaps=(kube_gap("ingresses", scene.kube.of(Ingress)),))
    facts = _facts(scene, routing)
    winner = routing.selection.winner
    works = outcome_of(scene).succeeded > 0
    if winner is None:
        return _without_winner(scene, routing, facts, works=works)
    names = listing(map(route_ref, routing.selection.order))
    undecided = Gap("undecided", Why.NOT_NEEDED, params={"names": names})
    if guessed(scene):
        return Judgement(Step.INGRESS, gaps=(undecided,), facts=facts)
    gaps = _denied(scene, required=False)
    if routing.gateway:
        gaps = (*gaps, gateway_gap(routing, required=False))
    # Whether an answer or Traefik itself shows that the route is loaded.
    replicas = scene.snapshot.traefik.replicas
    proven = works or any(loaded(scene, routing, one) is Loaded.YES for one in replicas)
    if winner.uncertain and not proven:
        gaps = (*gaps, undecided)
    return Judgement(Step.INGRESS, gaps=gaps, seen=True, facts=facts)


def _without_winner(scene: Scene, routing: Routing, facts: Facts, *, works: bool) -> Judgement:
    selection, other = routing.selection, routing.other_provider
    if other is not None:
        note = text("na", "file_provider", host=scene.target.host, provider=other)
        facts["route.label"] = text("found", "provider", name=other)
        return Judgement(Step.INGRESS, not_applicable=note, facts=facts)
    if selection.redirect is not None and not selection.excluded:
        # The entryPoint itself answers; what serves after the redirect is the other scheme's.
        facts["route.label"] = facts["redirect"]
        return Judgement(Step.INGRESS, seen=True, facts=facts)
    if routing.gateway:
        return Judgement(Step.INGRESS, gaps=(gateway_gap(routing, required=True),), facts=facts)
    gaps = _denied(scene, required=True)
    only = only_candidate(scene)
    if only is not None and works:
        # Its rule depends on what is not known here (a header, an address): the answer tells.
        facts |= {"route.label": str(route_ref(only)), "route.detail": only.rule}
        return Judgement(Step.INGRESS, seen=True, facts=facts)
    if only is not None and any(rule(scene) for rule in router.OF_THE_ROUTE):
        return Judgement(Step.INGRESS, seen=True, facts=facts)
    if selection.undecided or works:
        # Something matches that cannot be evaluated from the declaration, or an answer proves it.
        names = listing(map(route_ref, selection.undecided))
        what = "undecided" if selection.undecided else "routed_unseen"
        gaps = (*gaps, Gap(what, Why.NOT_NEEDED, params={"names": names}))
        return Judgement(Step.INGRESS, gaps=gaps, facts=facts)
    if hangs_on_settings(scene):
        # Which entryPoints have TLS, which classes are read: Traefik's own settings decide.
        gaps = (*gaps, Gap("static", Why.NOT_NEEDED))
        return Judgement(Step.INGRESS, gaps=gaps, facts=facts)
    if other_kinds(scene):
        gaps = (*gaps, Gap("gateway_kinds", Why.NOT_NEEDED, params={"host": scene.target.host}))
    seen = obstacle(scene) is not None or not gaps
    return Judgement(Step.INGRESS, gaps=gaps, seen=seen, facts=facts)


def _denied(scene: Scene, *, required: bool) -> tuple[Gap, ...]:
    missing = unseen(scene)
    if not missing:
        return ()
    words = {"host": scene.target.host, "resources": ", ".join(missing)}
    return (kube_gap("routes", scene.kube.list(missing[0]), required=required, **words),)


def _facts(scene: Scene, routing: Routing) -> Facts:
    selection, winner = routing.selection, routing.selection.winner
    facts: Facts = {
        "entryPoint": routing.entry_point,
        "ingresses seen": scene.kube.totals.get("ingresses"),
    }
    if winner is not None:
        facts |= {
            "route.label": str(route_ref(winner)),
            "route.detail": winner.rule,
            "route": {
                "object": str(route_ref(winner)),
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
