"""Step 5: the Service behind the route, its EndpointSlices, and the pods behind these."""

from __future__ import annotations

from typing import Any

from hopcheck.behaviour.traefik.route import Backend
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Collected, Facts, Gap, Judgement, Step, Why
from hopcheck.model.kubernetes import Ingress, Service
from hopcheck.scene.chosen_route import Routing, routing_of
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.endpoints.judged import (
    State,
    of_interest,
    outside_alone,
    provider_that_forbids,
    serves_outside,
    state_of,
)
from hopcheck.steps.names import gateway_gap, kube_gap


def sight(scene: Scene) -> Judgement:
    """What is seen of each Service behind the host's route, and what could not be."""
    routing = routing_of(scene)
    route, backends = routing.winner, routing.carrying
    if route is None:
        return _without_route(scene, routing)
    internal = [b.name for b in route.backends if b.name.endswith("@internal")]
    if internal and not backends:
        note = text("na", "internal_service", service=internal[0])
        return _nothing(note, {"service.label": internal[0], "pod.na": True})
    gaps: list[Gap] = []
    facts: Facts = {}
    seen = False
    known = {one.backend: one for one in of_interest(scene)}
    for backend in backends:
        found = scene.kube.find(Service, backend.namespace, backend.name)
        if not found.seen:
            missing = found.why is Why.NOT_FOUND
            lost = Collected[Service](why=Why.NOT_NEEDED, detail=found.detail) if missing else found
            gaps.append(_gap("no_backend" if missing else "backend", lost, backend))
        elif backend in known:
            one = known[backend]
            gaps += _gaps(one)
            seen = seen or state_of(one) is not State.UNSEEN
            if one.external and provider_that_forbids(scene) is None:
                facts["service.label"] = one.full
            facts = _facts(one) | facts
    if external := outside_alone(scene):
        facts["pod.na"] = True
        if serves_outside(scene):
            names = listing(one.name for one in external)
            hosts = listing(one.service.spec.external_name for one in external)
            return _nothing(text("na", "external", service=names, external=hosts), facts)
    return Judgement(Step.ENDPOINTS, gaps=tuple(gaps), seen=seen, facts=facts)


def _without_route(scene: Scene, routing: Routing) -> Judgement:
    if routing.selection.redirect is not None and outcome_of(scene).succeeded:
        evidence = text("said", "entry_point_redirect")
        return _nothing(text("na", "no_traefik_route", evidence=evidence))
    if routing.gateway:
        return Judgement(Step.ENDPOINTS, gaps=(gateway_gap(routing, required=True),))
    other = routing.other_provider
    if other is not None and routing.selection.winner is None:
        return _nothing(text("na", "file_provider", host=scene.target.host, provider=other))
    lists, what = scene.kube.of(Ingress), "no_route_no_backend"
    gap = Gap(what, Why.NOT_NEEDED) if lists.seen else kube_gap(what, lists)
    return Judgement(Step.ENDPOINTS, gaps=(gap,))


def _nothing(why: str, facts: Facts | None = None) -> Judgement:
    """The step does not apply."""
    return Judgement(Step.ENDPOINTS, not_applicable=why, facts=facts or {})


def _gap(what: str, found: Collected[Any], backend: Backend) -> Gap:
    full = f"{backend.namespace}/{backend.name}"
    return kube_gap(what, found, service=full, ns=backend.namespace)


def _gaps(one: Upstream) -> list[Gap]:
    """What of a Service's endpoints could not be read."""
    lists = {State.UNSEEN: "endpointslices"}
    if one.selector and not one.pods_listed:
        lists[State.EMPTY] = "pods"
    what = lists.get(state_of(one))
    if what is None:
        return []
    return [_gap(what, one.scene.kube.list(what, one.namespace), one.backend)]


def _facts(one: Upstream) -> Facts:
    if one.external:
        return {}
    if one.port is None or one.slices is None:
        return {"service.label": one.full}
    members = [
        {
            "name": (entry.target_ref.name if entry.target_ref is not None else "") or address,
            "state": "ok" if (address, number, entry) in one.used else "not ready",
            "detail": f"{address}:{number}",
        }
        for address, number, entry in one.endpoints
    ]
    number = one.port.port
    return {
        "service.label": f"{one.full}:{number}",
        "service.detail": f"targetPort {one.port.target_port or number}",
        "pod.label": text("found", "endpoints", ok=len(one.used), total=len(one.endpoints)),
        "pod.members": members,
        "endpoints": members,
    }
