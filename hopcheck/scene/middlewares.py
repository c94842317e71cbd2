"""The middlewares between a client and the application: which there are, what they can answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.route import Route
from hopcheck.model.kubernetes import Chain, Headers, Meta, Middleware, StripPrefix
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene

_REDIRECT, _ANY = range(300, 400), range(100, 600)
# What middlewares answer by themselves: the statuses of each kind (pkg/middlewares).
_ANSWERS: Mapping[str, Iterable[int]] = {
    "forwardAuth": _ANY, "plugin": _ANY, "basicAuth": (401,), "digestAuth": (401,),
    "ipAllowList": (403,), "ipWhiteList": (403,), "rateLimit": (429, 500), "inFlightReq": (429,),
    "circuitBreaker": (503,), "buffering": (413, 500), "encodedCharacters": (400,),
    "redirectScheme": _REDIRECT, "redirectRegex": _REDIRECT,
}  # fmt: skip
# The setting by which a kind answers otherwise.
_OWN_STATUS = {
    "ipAllowList": "rejectStatusCode", "circuitBreaker": "responseCode", "errors": "statusRewrites",
}  # fmt: skip
ASKING = ("basicAuth", "digestAuth", "forwardAuth", "plugin")  # who the client is


def by_reference(scene: Scene) -> dict[str, Middleware]:
    """Every Middleware that was seen, by the name under which routers refer to it."""
    return {reference(*obj.key): obj for obj in scene.kube.every(Middleware)}


def links_of(obj: Middleware) -> list[str]:
    """The names of the middlewares that a chain holds; none for another kind."""
    links = (obj.settings("chain", Chain) or Chain()).middlewares
    return [reference(link.namespace or obj.namespace, link.name) for link in links]


def names_of(scene: Scene, route: Route) -> dict[str, str]:
    """The middlewares of the route and of its entryPoint (by Traefik's arguments).

    The name in full, by the one written.
    """
    routing = routing_of(scene)
    static = routing.view.static
    entry = static.entry_points.get(routing.entry_point) if static.known else None
    written = (*route.middlewares, *(entry.middlewares if entry is not None else ()))
    # A name without a provider is one of the router's own (provider.GetQualifiedName).
    return {name: name if "@" in name else f"{name}@{route.provider}" for name in written}


def acting(scene: Scene, route: Route) -> list[Middleware]:
    """The middlewares that a request of the route passes, chains taken apart.

    Those of other providers by their names and kinds, as Traefik's API tells them.
    """
    kinds = {kind.lower(): kind for kind in _ANSWERS}
    told = {
        one.name: Middleware(metadata=Meta(name=one.name), spec={kinds.get(one.type, one.type): {}})
        for replica in scene.snapshot.traefik.replicas
        for one in replica.middlewares.or_else(()) or ()
    }
    return _flat(names_of(scene, route).values(), told | by_reference(scene))


def _flat(
    names: Iterable[str], known: Mapping[str, Middleware], depth: int = 0
) -> list[Middleware]:
    found: list[Middleware] = []
    for obj in (known[name] for name in names if name in known):
        links = links_of(obj) if depth < 5 else []
        found += _flat(links, known, depth + 1) if links else [obj]
    return found


def answers(obj: Middleware, status: int) -> bool:
    """Whether it can give answers of that status by itself."""
    for kind, own in obj.spec.items():
        given = own.get(_OWN_STATUS.get(kind, "")) if isinstance(own, dict) else None
        several = given.values() if isinstance(given, dict) else (given,)
        if status in (several if given else _ANSWERS.get(kind, ())):
            return True
    return False


def may_answer(scene: Scene, status: int) -> bool:
    """Whether a middleware of the host's route can give answers of that status by itself.

    Any may where they are not seen.
    """
    route = routing_of(scene).winner
    if route is None or not names_of(scene, route):
        return False
    unseen = not scene.kube.of(Middleware).seen
    return unseen or any(answers(obj, status) for obj in acting(scene, route))


def passes(scene: Scene, *kinds: str) -> bool:
    """Whether the host's route passes a middleware of one of these kinds."""
    route = routing_of(scene).winner
    own = acting(scene, route) if route is not None else []
    return any(not obj.kinds.isdisjoint(kinds) for obj in own)


def handed_on(scene: Scene, route: Route) -> tuple[dict[str, str], str | None] | None:
    """The request's headers that middlewares set (lower case), and its path, behind the route.

    None where who is asked may set others; the path is None where it is rewritten.
    """
    acts, headers = acting(scene, route), dict[str, str]()
    known = {ref.partition("@")[0] for ref in by_reference(scene)}
    named = {name.partition("@")[0] for name in names_of(scene, route).values()}
    if not named <= known or any(not obj.kinds.isdisjoint(ASKING) for obj in acts):
        return None
    for obj in acts:
        given = (obj.settings("headers", Headers) or Headers()).custom_request_headers
        headers |= {name.lower(): value for name, value in given.items()}
    rewriting = {"stripPrefix", "addPrefix", "replacePath", "stripPrefixRegex", "replacePathRegex"}
    rewritten = any(not obj.kinds.isdisjoint(rewriting) for obj in acts)
    return headers, None if rewritten else scene.target.path


def taken_off(obj: Middleware, path: str) -> tuple[str, ...]:
    """What a middleware takes off the front of `path` before the application is asked.

    Of a rewritten path, its first element: what an application knows nothing of.
    """
    given = (obj.settings("stripPrefix", StripPrefix) or StripPrefix()).prefixes
    given = tuple(one.rstrip("/") for one in given)
    if prefixes := tuple(p for p in given if p and f"{path}/".startswith(f"{p}/")):
        return prefixes
    rewrites = {"stripPrefixRegex", "replacePath", "replacePathRegex"} & obj.kinds
    first = "/" + path.lstrip("/").partition("/")[0]
    return (first,) if rewrites and first != "/" else ()
