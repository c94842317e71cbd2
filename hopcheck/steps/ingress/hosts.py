"""No route names the host: which one was meant to."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator

from hopcheck.behaviour.traefik.route import Excluded, Miss
from hopcheck.behaviour.traefik.routes import listed
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Finding, Obj, ObjectRef
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps.ingress.standing import all_kinds_seen, obstacle, unserved
from hopcheck.steps.names import route_ref, route_words
from hopcheck.steps.rule import BESIDE_KUBE, rule


def _near(scene: Scene) -> list[Miss] | None:
    """Routes of nearly the host, where there is none of the host itself; None elsewhere."""
    selection = unserved(scene)
    if selection is None or obstacle(scene) or selection.excluded or not all_kinds_seen(scene):
        return None
    return [m for m in selection.misses if m.reason is Excluded.HOST_MISMATCH]


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def rule_has_the_syntax_of_this_version(scene: Scene) -> Iterator[Finding]:
    """The rule that names the host is not written in the syntax of Traefik 2."""
    for route in [m.route for m in _near(scene) or () if m.hint == "v2_syntax"][:1]:
        yield make(
            "ING021",
            route_ref(route, f"{route.field}.match"),
            variant="v2",
            rule=route.rule,
            reason="",
            version=str(routing_of(scene).view.version or "v3"),
            advice=text("excluded_advice", Excluded.PARSE_ERROR.value),
            host=scene.target.host,
            **route_words(route),
        )


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def host_is_routed(scene: Scene) -> Iterator[Finding]:
    """A route names the host."""
    near = _near(scene)
    if near is None or any(miss.hint == "v2_syntax" for miss in near):
        return
    host = ObjectRef("Host", scene.target.host)
    meant = [] if near else _meant_by_tls(scene) or _by_likeness(scene)
    if near:
        route, actual = near[0].route, near[0].host
        ref, name = route_ref(route, route.field), route_words(route)["route"]
        others = tuple(dict.fromkeys(route_ref(miss.route) for miss in near[1:4]))
    elif meant:
        own, actual = meta(meant[0]), listing(_hosts(meant[0]))
        ref = ObjectRef("Ingress", own["name"], own.get("namespace"), "spec.rules")
        name = f"Ingress {ref.namespace}/{ref.name}"
        others = tuple(_ref(obj) for obj in meant[1:4])
    else:
        # Hosts of the same domain belong to others as a rule: named, not accused.
        alike = [o for o in listed(scene.kube, "ingresses") if _alike(o, host.name, _whole)]
        ref, name, actual = host, "", text("list", "none")
        others = tuple(_ref(obj) for obj in alike[:3])
    yield make(
        "ING001",
        ref,
        host=host.name,
        near=text("near", "host", route=name, host=actual) if name else "",
        actual=actual,
        related=(*others, host) if name else others,
    )


def _ref(obj: Obj) -> ObjectRef:
    return ObjectRef("Ingress", meta(obj)["name"], meta(obj).get("namespace"))


def _hosts(obj: Obj) -> list[str]:
    return [str(rule.get("host") or "") for rule in spec(obj).get("rules") or ()]


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
