"""Middlewares that answer themselves or change the request, where the application serves it.

The same request, sent to the pods directly, is answered well, or the access log shows that nobody
asked them: then what clients get is the doing of what stands between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.route import Route
from hopcheck.model import ErrorKind, Exchange, Hop, Probe
from hopcheck.model.kubernetes import Chain, Headers, Middleware
from hopcheck.scene.outcome import (
    Producer,
    expected,
    origin_answered,
    producer,
    requests_made,
    succeeded,
)
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene

_REDIRECT = range(300, 400)
_ANY = range(100, 600)
# What middlewares answer by themselves: the statuses of each kind (pkg/middlewares).
_ANSWERS: Mapping[str, Iterable[int]] = {
    "forwardAuth": _ANY,
    "plugin": _ANY,
    "basicAuth": (401,),
    "digestAuth": (401,),
    "ipAllowList": (403,),
    "ipWhiteList": (403,),
    "rateLimit": (429,),
    "inFlightReq": (429,),
    "circuitBreaker": (503,),
    "buffering": (413, 500),
    "redirectScheme": _REDIRECT,
    "redirectRegex": _REDIRECT,
}
_CHANGES = frozenset(
    {"stripPrefix", "stripPrefixRegex", "replacePath", "replacePathRegex", "addPrefix", "plugin"}
)


class Blame(Struct, frozen=True):
    """The bad answer that clients get, and the middlewares that are left as who did it."""

    answer: Exchange
    middlewares: list[Middleware]
    pods: list[Probe]  # what the application answers where it is asked directly


def blame(
    scene: Scene, route: Route, names: Iterable[str], known: Mapping[str, Middleware]
) -> Blame | None:
    """Which middlewares of these names are to blame; None where none is, or nobody can tell.

    `names` are those of the route and of the entryPoint.
    """
    bad = _bad_answer(scene)
    if bad is None or bad.status is None:
        return None
    asked = origin_answered(scene.snapshot, bad.status)
    # Where they were asked, or nobody can tell, only the pods' own word shows that they serve.
    if asked is not False and not _pods_serve(scene, route):
        return None
    suspects = [
        obj
        for obj in _flat(names, known)
        if (asked is not True and _answers(obj, bad.status))
        or (asked is not False and _alters(obj))
    ]
    return Blame(bad, suspects, _pods(scene, route)) if suspects else None


def by_reference(scene: Scene) -> dict[str, Middleware]:
    """Every Middleware that was seen, by the name under which routers refer to it."""
    return {reference(*obj.key): obj for obj in scene.kube.every(Middleware)}


def may_answer(scene: Scene, route: Route, status: int) -> bool:
    """Whether a Middleware of the route can give answers of that status by itself."""
    return any(_answers(obj, status) for obj in _flat(route.middlewares, by_reference(scene)))


def _bad_answer(scene: Scene) -> Exchange | None:
    """The answer that clients get, where every request ends with the same kind of failure."""
    made = requests_made(scene.snapshot)
    if not made or any(succeeded(scene.snapshot, probe, scene.target) for probe in made):
        return None
    last = [probe.exchanges[-1] for probe in made]
    if all(e.error is ErrorKind.TOO_MANY_REDIRECTS for e in last):
        return last[0]
    plain = all(e.error is None and producer(e) in _THROUGH for e in last)
    same = len({e.status for e in last}) == 1
    good = last[0].status is not None and expected(last[0].status, scene.target.expect_status)
    return last[0] if plain and same and not good else None


_THROUGH = (Producer.APPLICATION, Producer.TRAEFIK)


def _pods(scene: Scene, route: Route) -> list[Probe]:
    spaces = {backend.namespace for backend in route.backends}
    return [p for p in probes_at(scene, Hop.POD) if p.namespace in spaces]


def _pods_serve(scene: Scene, route: Route) -> bool:
    """Whether every pod that was asked directly serves what clients do not get."""
    last = [probe.exchanges[-1] for probe in _pods(scene, route)]
    expect = scene.target.expect_status
    return bool(last) and all(
        e.error is None and e.status and e.status not in _REDIRECT and expected(e.status, expect)
        for e in last
    )


def _flat(
    names: Iterable[str], known: Mapping[str, Middleware], depth: int = 0
) -> list[Middleware]:
    """The middlewares of these names, chains taken apart."""
    found: list[Middleware] = []
    for name in names:
        obj = known.get(name)
        if obj is None:
            continue
        links = links_of(obj)
        if links and depth < 5:
            found += _flat(links, known, depth + 1)
        else:
            found.append(obj)
    return found


def links_of(obj: Middleware) -> list[str]:
    """The names of the middlewares that a chain holds; none for another kind."""
    links = (obj.settings("chain", Chain) or Chain()).middlewares
    return [reference(link.namespace or obj.namespace, link.name) for link in links]


def _answers(obj: Middleware, status: int) -> bool:
    return any(kind in obj.spec and status in statuses for kind, statuses in _ANSWERS.items())


def _alters(obj: Middleware) -> bool:
    headers = obj.settings("headers", Headers) or Headers()
    return bool(obj.kinds & _CHANGES or headers.custom_request_headers)
