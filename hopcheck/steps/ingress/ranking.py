"""The route that serves beside the others: ties, a winner that outranks the one meant, strays."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.traefik.route import Backend, Route
from hopcheck.behaviour.traefik.rules import hosts_in
from hopcheck.behaviour.traefik.servers import lacks_port, port_of
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Finding, ObjectRef, Severity, Why, Words
from hopcheck.model.kubernetes import Service
from hopcheck.scene.chosen_route import Routing, routing_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress.standing import winner
from hopcheck.steps.names import backend_ref, of_route, route_ref
from hopcheck.steps.rule import BESIDE_KUBE, rule
from hopcheck.verdict.contradicted import Claim


@rule(reads=("kube",), uses=BESIDE_KUBE)
def one_route_has_the_highest_priority(scene: Scene) -> Iterator[Finding]:
    """No other route with the same priority leads the request elsewhere."""
    first, routing = winner(scene), routing_of(scene)
    if first is None:
        return
    own = _destinations(routing, first)
    rivals = [
        r
        for r in routing.selection.ties
        if (r.namespace, r.name) != (first.namespace, first.name)
        and not (own and r.middlewares == first.middlewares and _destinations(routing, r) == own)
    ]
    if rivals:
        refs = [route_ref(rival) for rival in rivals]
        yield of_route(
            "ING009", scene, first, related=refs, others=listing(refs), priority=first.priority
        )


def _destinations(routing: Routing, route: Route) -> set[tuple[str, str, object]]:
    """The Services behind a route with the ports' numbers, however a port is named."""
    found: set[tuple[str, str, object]] = set()
    for backend in routing.backends(route)[0]:
        service = routing.scene.service(backend.namespace, backend.name) or Service()
        port = port_of(service, backend.port)
        number = port.port if port is not None else backend.port
        found.add((backend.namespace, backend.name, number))
    return found


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_A_PART, otherwise=Severity.WARNING)
def prefix_ends_with_a_path_element(scene: Scene) -> Iterator[Finding]:
    """The winner's Prefix ends where an element of the path does.

    Kubernetes compares a Prefix element by element, Traefik character by character.
    """
    first, path = winner(scene), scene.target.path
    if first is None or first.kind != "Ingress" or first.path_type != "Prefix" or not first.path:
        return
    for route in routing_of(scene).selection.shadowed:
        if route.host != first.host or route.backends == first.backends or not route.path:
            continue
        if not _within(first.path, path) and _within(route.path, path):
            yield of_route(
                "ING008",
                scene,
                first,
                at=first.field,
                variant="prefix",
                related=(route_ref(route, route.field), *map(backend_ref, first.backends)),
                loser=text("said", "path_of", path=route.path, route=route_ref(route)),
                **_ranks(first, route),
            )
            return


def _within(prefix: str, path: str) -> bool:
    base = prefix.rstrip("/")
    return path == base or path.startswith(f"{base}/")


def _ranks(first: Route, loser: Route) -> Words:
    return {
        "winner": str(route_ref(first)),
        "winner_rule": first.rule,
        "winner_priority": first.priority,
        "loser_priority": loser.priority,
    }


@rule(reads=("kube",), uses=BESIDE_KUBE)
def own_host_outranks_a_wildcard(scene: Scene) -> Iterator[Finding]:
    """No wildcard's route wins by its length over one that names the host itself."""
    first, host = winner(scene), scene.target.host
    if first is None or first.priority_set or first.kind != "Ingress":
        return
    if first.host is None or first.host == host or not first.host.startswith("*."):
        return
    for route in routing_of(scene).selection.shadowed:
        if route.kind == "Ingress" and route.host == host and route.backends != first.backends:
            yield _outranked(scene, first, route)
            return


@rule(reads=("kube", "http"), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def set_priority_leaves_the_host_its_own_route(scene: Scene) -> Iterator[Finding]:
    """No priority that was set takes the host's requests from the route that names the host.

    A priority is set on purpose; where nothing works, it is what takes them. So does a route
    without a host that leads to Traefik itself (its dashboard), however it comes to win.
    """
    first, host = winner(scene), scene.target.host
    if first is None or _names(first, host) or not (first.priority_set or first.internal):
        return
    for route in [r for r in routing_of(scene).selection.shadowed if _names(r, host)][:1]:
        variant = "internal" if first.internal else None
        related = () if first.internal else map(backend_ref, first.backends)
        yield _outranked(scene, first, route, *related, variant=variant)


def _names(route: Route, host: str) -> bool:
    return host.lower().rstrip(".") in hosts_in(route.rule, route.syntax, route.protocol)


def _outranked(
    scene: Scene, first: Route, loser: Route, *related: ObjectRef, variant: str | None = None
) -> Finding:
    return of_route(
        "ING008",
        scene,
        loser,
        at=route_ref(first),
        variant=variant,
        related=(route_ref(loser), *related),
        loser=str(route_ref(loser)),
        **_ranks(first, loser),
    )


@rule(reads=("kube",), uses=BESIDE_KUBE)
def other_rules_lead_somewhere(scene: Scene) -> Iterator[Finding]:
    """Rules beside the one that serves the request lead somewhere, though it needs them not.

    Those of the same object, and routes that would match were they not dropped for that.
    """
    serving, routing = winner(scene), routing_of(scene)
    if serving is None:
        return
    own = (serving.kind, serving.namespace, serving.name)
    told = {(b.namespace, b.name, str(b.port)) for b in serving.backends}
    for route in routing.routes:
        same = (route.kind, route.namespace, route.name) == own
        if not (same or route in routing.selection.passed_over) or not route.loaded:
            continue
        for backend in route.backends:
            key = (backend.namespace, backend.name, str(backend.port))
            reason = None if key in told else _broken(scene, route, backend)
            if reason is not None:
                told.add(key)
                more = {"reason": reason, "related": (backend_ref(backend),)}
                yield of_route("ING023", scene, route, at=backend.field, **more)


def _broken(scene: Scene, route: Route, backend: Backend) -> str | None:
    """Why a backend leads nowhere, in words; None where it leads somewhere or is not known."""
    if backend.kind != "Service" or "@" in backend.name:
        return None
    service = scene.kube.find(Service, backend.namespace, backend.name)
    words = {"service": f"{backend.namespace}/{backend.name}", "port": backend.port}
    if service.why is Why.NOT_FOUND:
        return text("neighbour", "service", **words)
    if service.seen and lacks_port(route, backend, service.get()):
        return text("neighbour", "port", **words)
    return None
