"""The entryPoints on which the route listens, and where they redirect to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from urllib.parse import urlsplit

from hopcheck.catalogue.catalogue import listing, make
from hopcheck.model import Exchange, Finding, Hop, ObjectRef, Severity
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress.standing import route_in_question
from hopcheck.steps.names import of_route, traefik_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule


@rule(reads=("kube",), uses=BESIDE_KUBE)
def every_entry_point_exists(scene: Scene) -> Iterator[Finding]:
    """Every entryPoint that the route asks for exists."""
    route, static = route_in_question(scene), routing_of(scene).view.static
    if route is not None and route.entry_points_missing and static.known:
        yield of_route(
            "ING010",
            scene,
            route,
            severity=Severity.WARNING,
            asked=listing(route.entry_points_missing),
            existing=listing(static.entry_points),
            related=traefik_refs(scene),
        )


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def redirects_lead_to_a_port_of_clients(scene: Scene) -> Iterator[Finding]:
    """No redirect to https names the entryPoint's own port, where no client can follow."""
    if route_in_question(scene) is None or _pods_redirect(scene):
        return
    points = routing_of(scene).view.static.entry_points
    inner = {point.port for point in points.values()} - {443, 80, scene.target.port}
    for exchange in _not_followed(scene):
        location = exchange.header("location") or ""
        parts = urlsplit(location)
        try:
            port = parts.port
        except ValueError:
            continue
        redirects = exchange.status in (301, 302, 303, 307, 308) and parts.scheme == "https"
        if redirects and parts.hostname == scene.target.host and port in inner:
            host = ObjectRef("Host", scene.target.host)
            yield make(
                "ING015",
                next(iter(traefik_refs(scene)), host),
                severity=Severity.ERROR if scene.target.scheme == "http" else Severity.WARNING,
                location=location,
                port=port,
                entry=next((n for n, e in points.items() if e.redirect_to is not None), "web"),
                host=scene.target.host,
                path=scene.target.path,
            )
            return


def _not_followed(scene: Scene) -> Iterator[Exchange]:
    """Exchanges after which nobody answered the next one; an ALB's own left out."""
    http = scene.snapshot.http
    for collected in (*http.requests, http.other_scheme):
        exchanges = collected.get().exchanges if collected.seen else ()
        for exchange, following in zip_longest(exchanges, exchanges[1:]):
            followed = following is not None and following.status is not None
            if not followed and producer(exchange) is not Producer.ALB:
                yield exchange


def _pods_redirect(scene: Scene) -> bool:
    """Whether the application itself redirects, as its pods say when they are asked directly."""
    return any(300 <= (p.exchanges[-1].status or 0) < 400 for p in probes_at(scene, Hop.POD))
