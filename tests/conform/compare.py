"""Where the real Traefik and the suite disagree about a case."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hopcheck.behaviour.kubernetes.references import joined_name
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import unquoted
from tests.conform.grammar import Case, Obj
from tests.conform.predicted import Predicted
from tests.conform.real import Seen

_UNMADE = re.compile(r"could not instantiate middleware ([^ :]+)(?!.*does not exist)")

Key = tuple[str, str, str]  # provider, namespace-name, rule


def disagreements(case: Case, predicted: Predicted, seen: Seen) -> list[str]:
    """One line each; none where they agree."""
    return [
        *_routers(predicted, seen),
        *_servers(predicted, seen),
        *_answers(case, predicted, seen),
    ]


def told(seen: Seen) -> frozenset[str]:
    """The middlewares that exist and that Traefik cannot make, by its own words."""
    errors = [error for router in seen.routers.values() for error in router.get("error") or ()]
    found = {named[1] for error in errors if (named := _UNMADE.search(error))}
    disabled = (n for n, one in seen.middlewares.items() if one["status"] == "disabled")
    return frozenset((*found, *disabled))


def is_of(route: Route, name: str, router: Mapping[str, Any]) -> bool:
    """Whether a router of Traefik's API is that route's."""
    own = joined_name(route.namespace, route.name)
    return (
        name.rpartition("@")[2] == route.provider
        and (name.startswith(f"{own}-") or f"-{own}-" in name)
        and _text(route, router["rule"]) == _text(route, route.rule)
    )


def _key(route: Route) -> Key:
    return route.provider, joined_name(route.namespace, route.name), _text(route, route.rule)


def _text(route: Route, rule: str) -> str:
    """The rule for comparison: an Ingress's is written by Traefik, quoted as the version does."""
    return unquoted(rule) if route.kind == "Ingress" else rule


def _real(predicted: Predicted, seen: Seen) -> Iterator[tuple[str, Obj, Route | None]]:
    """Each router that serves, with the route that it is of."""
    for name, router in seen.routers.items():
        if router["status"] != "disabled":
            own = [r for r in predicted.routing.routes if is_of(r, name, router)]
            own.sort(key=lambda r: bool(predicted.why[id(r)]))
            yield name, router, own[0] if own else None


def _routers(predicted: Predicted, seen: Seen) -> Iterator[str]:
    expected: set[tuple[Any, ...]] = {
        (*_key(route), point, point in route.tls_on, route.priority)
        for route in predicted.loaded
        for point in route.entry_points
    }
    real: set[tuple[Any, ...]] = set()
    for name, router, route in _real(predicted, seen):
        if route is None:
            yield f"router {name}: no such route is known ({router['rule']})"
            continue
        rank = router.get("priority") or len(router["rule"].encode())
        real |= {(*_key(route), p, "tls" in router, rank) for p in router.get("using", ())}
    said = {_key(r): predicted.why[id(r)] for r in predicted.routing.routes}
    for each in sorted(expected - real, key=str):
        told = [
            "; ".join(router.get("error", []))
            for name, router in seen.routers.items()
            if router["status"] == "disabled"
            and any(is_of(r, name, router) for r in predicted.loaded if _key(r) == each[:3])
        ]
        yield f"predicted alone: {each} [Traefik: {told or 'not loaded'}]"
    for each in sorted(real - expected, key=str):
        yield f"real alone: {each} [suite: {said.get(each[:3]) or 'loaded otherwise'}]"


def _servers(predicted: Predicted, seen: Seen) -> Iterator[str]:
    for name, router, route in _real(predicted, seen):
        if route is None or predicted.why[id(route)]:
            continue
        expected = predicted.servers(route)
        real = {url.lower() for url in _urls(router["service"], name.rpartition("@")[2], seen)}
        if expected is not None and expected != real:
            yield f"servers of {name}: predicted {sorted(expected)}, real {sorted(real)}"


def _urls(name: str, provider: str, seen: Seen, depth: int = 0) -> Iterator[str]:
    full = name if "@" in name else f"{name}@{provider}"
    service = seen.services.get(full, {})
    for server in service.get("loadBalancer", {}).get("servers") or ():
        yield server["url"]
    weighted = service.get("weighted", {}).get("services") or ()
    below = [each["name"] for each in weighted]
    if "mirroring" in service:
        below.append(service["mirroring"]["service"])
    for each in below if depth < 10 else ():
        yield from _urls(each, provider, seen, depth + 1)


def _answers(case: Case, predicted: Predicted, seen: Seen) -> Iterator[str]:
    for request, answer in zip(case.requests, seen.answers, strict=True):
        choice = predicted.choice(request)
        if not choice.settled:
            continue
        router = seen.routers.get(answer.router)
        if answer.error and predicted.refuses_tls(request.host):
            continue
        chosen = answer.router or answer.error or answer.status
        possible = [f"{r.namespace}/{r.name} {r.rule}" for r in choice.routes]
        if router is None or answer.error:
            # 2.11 answers 405 where nothing but the method keeps a rule from matching.
            if choice.routes or answer.error or answer.status not in (404, 405):
                yield f"{request}: predicted {possible}, real {chosen}"
        elif not any(is_of(r, answer.router, router) for r in choice.routes):
            yield f"{request}: predicted {possible}, real {chosen} {router['rule']}"
        elif answer.server:
            urls = [predicted.servers(r) for r in choice.routes]
            if None not in urls and not any(
                url.endswith(f"//{answer.server}") for own in urls for url in own or ()
            ):
                yield f"{request}: predicted {urls}, real {answer.server}"
