"""Annotations on the route that do nothing here: another controller's, or on the wrong object."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.traefik.annotations import unread
from hopcheck.catalogue.catalogue import text
from hopcheck.model import Finding, Severity
from hopcheck.model.kubernetes import Ingress, IngressRoute, IngressRouteTCP
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import Producer, outcome_of, producer, says_tls
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress.standing import obstacle
from hopcheck.steps.names import last_exchanges, of_route
from hopcheck.steps.rule import BESIDE_KUBE, rule


@rule(reads=("kube",), uses=BESIDE_KUBE)
def annotations_do_something(scene: Scene) -> Iterator[Finding]:
    """Every annotation of the route's object is one that Traefik reads there."""
    route, suffered = routing_of(scene).winner, _suffered(scene)
    if route is None or not route.loaded:  # another provider or controller may read it
        return
    kind = next(
        one for one in (Ingress, IngressRoute, IngressRouteTCP) if one.__name__ == route.kind
    )
    for obj in (o for o in scene.kube.every(kind) if o.key == (route.namespace, route.name)):
        for name, effect in unread(obj):
            at_fault = effect in suffered
            open_door = effect == "access" and not route.middlewares
            severity = Severity.WARNING if open_door else Severity.INFO
            yield of_route(
                "ING031",
                scene,
                route,
                at=f"metadata.annotations[{name}]",
                severity=None if at_fault else severity,
                annotation=name,
                effect=text("annotation", effect),
                advice=text("annotation_advice", effect),
            )


def _suffered(scene: Scene) -> set[str]:
    """What would explain how the requests fail: the effects that an annotation was to have."""
    last = last_exchanges(scene)
    if outcome_of(scene).succeeded or not last:
        return set()
    effects = set()
    if all(e.status == 404 and producer(e) is Producer.APPLICATION for e in last):
        effects.add("path")
    if all(says_tls(e) or (producer(e) is Producer.TRAEFIK and (e.status or 0) in (500, 502))
           for e in last):  # fmt: skip
        effects.add("protocol")
    hindered = obstacle(scene)
    if hindered is not None and hindered.code == "ING011":
        effects.add("place")
    return effects
