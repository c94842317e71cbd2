"""No route serves the request: which object was meant to, and what keeps it out."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from hopcheck.behaviour.traefik.route import Excluded, Exclusion, Miss, Route
from hopcheck.behaviour.traefik.routes import Selection, listed
from hopcheck.behaviour.traefik.rule_syntax import END
from hopcheck.catalogue.catalogue import has_text, listing, make, text
from hopcheck.model import Finding, Obj, ObjectRef
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps.names import route_ref, route_words, traefik_refs

_CLASS = {
    Excluded.CLASS_OTHER,
    Excluded.CLASS_MISSING,
    Excluded.CLASS_FLAG,
    Excluded.ANNOTATION_OTHER,
    Excluded.NO_CLASS_BUT_FLAG,
    Excluded.CLUSTER_SCOPE_OFF,
}
_FILTER = {Excluded.NAMESPACE_FILTERED, Excluded.LABEL_FILTERED}
_FORM = {
    Excluded.NO_HTTP,
    Excluded.RESOURCE_BACKEND,
    Excluded.NO_SERVICE,
    Excluded.DEFAULT_BACKEND_IGNORED,
    Excluded.BAD_ANNOTATION,
    Excluded.BAD_KIND,
}
_REFERENCE = {Excluded.CROSS_NAMESPACE, Excluded.CROSS_PROVIDER}
# What was most likely meant to serve the host comes first.
_ORDER = (
    Excluded.ENTRYPOINT_MISSING,
    Excluded.PARSE_ERROR,
    *sorted(_FORM),
    *sorted(_REFERENCE),
    *sorted(_FILTER),
    Excluded.CLASS_MISSING,
    Excluded.CLASS_FLAG,
    Excluded.NO_CLASS_BUT_FLAG,
    Excluded.CLUSTER_SCOPE_OFF,
    Excluded.ANNOTATION_OTHER,
    Excluded.CLASS_OTHER,
    Excluded.CHILD_ROUTE,
)


def judge(scene: Scene, routing: Routing, *, certain: bool) -> Finding | None:
    """The one finding that says why nothing serves the request; None where that is not known.

    A disabled provider is the Traefik step's to say. `certain` is whether every kind of route
    could be read: without it "there is none" cannot be said.
    """
    selection = routing.selection
    misses = [m for m in selection.misses if m.reason is not Excluded.HOST_MISMATCH]
    if misses:
        return _miss(scene, routing, _best(misses))
    left_out = [
        (route, why)
        for route in selection.excluded
        for why in route.excluded
        if why.reason is not Excluded.PROVIDER_DISABLED
    ]
    if left_out:
        route, why = min(left_out, key=lambda pair: _place(pair[1].reason))
        return _excluded(scene, routing, route, why)
    if selection.excluded or not certain:
        return None
    return _no_host(scene, routing)


_BY_STATIC = (Excluded.NOT_TLS, Excluded.ONLY_TLS, Excluded.ENTRYPOINT_OTHER)


def needs_static(selection: Selection) -> bool:
    """Whether it hangs on Traefik's static configuration that nothing serves the request."""
    return any(miss.reason in _BY_STATIC for miss in selection.misses)


def _best(misses: list[Miss]) -> Miss:
    order = (Excluded.NOT_TLS, Excluded.ENTRYPOINT_OTHER, Excluded.ONLY_TLS)
    return min(
        misses,
        key=lambda m: (order.index(m.reason) if m.reason in order else 9, not m.hint),
    )


def _place(reason: Excluded) -> int:
    return _ORDER.index(reason) if reason in _ORDER else len(_ORDER)


def _miss(scene: Scene, routing: Routing, miss: Miss) -> Finding:
    route, target = miss.route, scene.target
    entry = routing.entry_point
    if miss.reason is Excluded.PATH_MISMATCH:
        routes = [m.route for m in routing.selection.misses if m.reason is Excluded.PATH_MISMATCH]
        paths = listing(f"{r.path_type or ''} {r.path or r.rule}".strip() for r in routes)
        return make(
            "ING007",
            route_ref(route, route.field),
            host=target.host,
            path=target.path,
            paths=paths,
            advice=text("path_advice", miss.hint or "none", path=target.path),
            **route_words(route),
        )
    variant = {Excluded.NOT_TLS: "no_tls", Excluded.ONLY_TLS: "only_tls"}.get(miss.reason)
    return make(
        "ING011",
        route_ref(route),
        variant=variant,
        bound=listing(route.entry_points),
        scheme=target.scheme,
        entry=entry,
        related=traefik_refs(scene),
        **route_words(route),
    )


def _excluded(scene: Scene, routing: Routing, route: Route, why: Exclusion) -> Finding:
    reason = why.reason
    words = {
        "value": why.value or "-",
        "expected": why.expected or "-",
        "setting": why.setting or "-",
        "field": why.field,
    }
    said = text("excluded", reason.value, **words)
    advice = text("excluded_advice", reason.value, **words)
    common = route_words(route)
    ref = route_ref(route, why.field)
    if reason in _CLASS:
        related = (ObjectRef("IngressClass", why.value),) if _names_class(why) else ()
        return make(
            "ING002",
            ref,
            reason=said,
            expected_class=why.expected or "traefik",
            actual_class=why.value or text("list", "none"),
            advice=advice,
            related=(*related, *traefik_refs(scene)),
            **common,
        )
    if reason in _FILTER:
        return make(
            "ING003",
            ref,
            reason=said,
            actual=why.value or text("list", "none"),
            advice=advice,
            related=traefik_refs(scene),
            **common,
        )
    if reason is Excluded.ENTRYPOINT_MISSING:
        return make(
            "ING010",
            ref,
            asked=listing(route.entry_points_declared),
            existing=listing(routing.view.static.entry_points),
            related=traefik_refs(scene),
            **common,
        )
    if reason is Excluded.PARSE_ERROR:
        return make(
            "ING021",
            ref,
            rule=route.rule,
            reason=_problem(why.expected) or why.value or said,
            version=str(routing.view.version or "v3"),
            advice=advice,
            host=scene.target.host,
            **common,
        )
    if reason in _REFERENCE:
        return make(
            "ING020",
            ref,
            reference=why.value or why.field,
            reason=said,
            advice=advice,
            related=traefik_refs(scene),
            **common,
        )
    return make("ING006", ref, host=scene.target.host, reason=said, advice=advice, **common)


def _problem(error: str) -> str:
    """What a RuleError says of a rule, in words; a regular expression's error stays Go's own."""
    problem, _, where = error.partition(": ")
    if not has_text("rule", problem):
        return error
    where = text("rule", "end") if where == END else where
    return f"{text('rule', problem)}: {where}"


def _names_class(why: Exclusion) -> bool:
    return bool(why.value) and why.reason in (
        Excluded.CLASS_OTHER,
        Excluded.CLASS_MISSING,
        Excluded.CLASS_FLAG,
        Excluded.CLUSTER_SCOPE_OFF,
    )


def _hosts(obj: Obj) -> list[str]:
    return [str(rule.get("host") or "") for rule in spec(obj).get("rules") or ()]


def _no_host(scene: Scene, routing: Routing) -> Finding:
    target = scene.target
    near = [m for m in routing.selection.misses if m.reason is Excluded.HOST_MISMATCH]
    old = next((m.route for m in near if m.hint == "v2_syntax"), None)
    if old is not None:
        return make(
            "ING021",
            route_ref(old, f"{old.field}.match"),
            variant="v2",
            rule=old.rule,
            reason="",
            version=str(routing.view.version or "v3"),
            advice=text("excluded_advice", Excluded.PARSE_ERROR.value),
            host=target.host,
            **route_words(old),
        )
    if near:
        route, host = near[0].route, near[0].host
        return make(
            "ING001",
            route_ref(route, route.field),
            host=target.host,
            near=text("near", "host", route=route_words(route)["route"], host=host),
            actual=host,
            related=(*_others(near[1:]), ObjectRef("Host", target.host)),
        )
    meant = _meant_by_tls(scene) or _by_likeness(scene)
    if meant:
        first = meta(meant[0])
        hosts = listing(_hosts(meant[0]))
        full = f"Ingress {first.get('namespace')}/{first['name']}"
        return make(
            "ING001",
            ObjectRef("Ingress", first["name"], first.get("namespace"), "spec.rules"),
            host=target.host,
            near=text("near", "host", route=full, host=hosts),
            actual=hosts,
            related=(
                *(
                    ObjectRef("Ingress", meta(o)["name"], meta(o).get("namespace"))
                    for o in meant[1:4]
                ),
                ObjectRef("Host", target.host),
            ),
        )
    # Hosts of the same domain belong to others as a rule: named, not accused.
    neighbours = [o for o in listed(scene.kube, "ingresses") if _alike(o, target.host, _whole)]
    return make(
        "ING001",
        ObjectRef("Host", target.host),
        host=target.host,
        near="",
        actual=text("list", "none"),
        related=tuple(
            ObjectRef("Ingress", meta(o)["name"], meta(o).get("namespace")) for o in neighbours[:3]
        ),
    )


def _others(near: list[Miss]) -> tuple[ObjectRef, ...]:
    return tuple(dict.fromkeys(route_ref(miss.route) for miss in near[:3]))


def _meant_by_tls(scene: Scene) -> list[Obj]:
    """Ingresses whose spec.tls names the host, though no rule does."""
    host = scene.target.host
    return [
        obj
        for obj in listed(scene.kube, "ingresses")
        if any(host in (tls.get("hosts") or ()) for tls in spec(obj).get("tls") or ())
    ]


def _by_likeness(scene: Scene) -> list[Obj]:
    """Ingresses with a host that reads like this one, the likest first; a hint, no proof."""
    host = scene.target.host
    scored = [
        (_alike(obj, host, _own_part), meta(obj)["name"], obj)
        for obj in listed(scene.kube, "ingresses")
    ]
    ranked = sorted(scored, key=lambda row: (-row[0], row[1]))
    return [obj for ratio, _, obj in ranked if ratio]


def _alike(obj: Obj, host: str, ratio: Callable[[str, str], float]) -> float:
    """How much the likest host of an Ingress resembles `host`; 0 for no likeness."""
    best = max((ratio(host, name) for name in _hosts(obj) if name), default=0.0)
    return best if best >= 0.75 else 0.0  # found by trial: typos and swapped labels score higher


def _whole(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _own_part(one: str, other: str) -> float:
    """Likeness without the domain that both share: all hosts of a company share that."""
    if one.endswith(f".{other}") or other.endswith(f".{one}"):
        return _whole(one, other)
    left, right = one.split("."), other.split(".")
    while left and right and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return _whole(".".join(left), ".".join(right))
