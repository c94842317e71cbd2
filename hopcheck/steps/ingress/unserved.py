"""No route serves the request: what keeps out the object that was meant to.

At most one of these rules speaks, of the likeliest object, and none where a request succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hopcheck.behaviour.traefik.route import Excluded, Exclusion, Route
from hopcheck.behaviour.traefik.rule_syntax import END
from hopcheck.catalogue.catalogue import has_text, listing, make, text
from hopcheck.model import Finding, ObjectRef
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress.standing import obstacle
from hopcheck.steps.names import route_ref, route_words, traefik_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule

_NAMES_NO_CLASS = (Excluded.ANNOTATION_OTHER, Excluded.NO_CLASS_BUT_FLAG)
_Left = tuple[Route, Exclusion, dict[str, Any]]


def _left_out(scene: Scene, code: str) -> Iterator[_Left]:
    """The route that was meant and is left out for what `code` tells, and the words for that."""
    found = obstacle(scene)
    if found is not None and found.why is not None and found.code == code:
        why, route = found.why, found.route
        words = {
            "value": why.value or "-",
            "expected": why.expected or "-",
            "setting": why.setting or "-",
            "field": why.field,
        }
        said = {
            "reason": text("excluded", why.reason.value, **words),
            "advice": text("excluded_advice", why.reason.value, **words),
        }
        yield route, why, said | route_words(route)


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def ingress_class_is_traefiks(scene: Scene) -> Iterator[Finding]:
    """The class of the host's route is one that Traefik reads."""
    for route, why, words in _left_out(scene, "ING002"):
        named = why.value and why.reason not in _NAMES_NO_CLASS
        yield make(
            "ING002",
            route_ref(route, why.field),
            expected_class=why.expected or "traefik",
            actual_class=why.value or text("list", "none"),
            related=(
                *((ObjectRef("IngressClass", why.value),) if named else ()),
                *traefik_refs(scene),
            ),
            **words,
        )


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def traefik_watches_the_route(scene: Scene) -> Iterator[Finding]:
    """Traefik watches the namespace and the labels of the host's route."""
    for route, why, words in _left_out(scene, "ING003"):
        yield make(
            "ING003",
            route_ref(route, why.field),
            actual=why.value or text("list", "none"),
            related=traefik_refs(scene),
            **words,
        )


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def route_has_a_form_that_traefik_reads(scene: Scene) -> Iterator[Finding]:
    """The host's route has paths, a Service, and annotations that Traefik can read."""
    for route, why, words in _left_out(scene, "ING006"):
        yield make("ING006", route_ref(route, why.field), host=scene.target.host, **words)


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def one_entry_point_exists(scene: Scene) -> Iterator[Finding]:
    """An entryPoint that the host's route asks for exists."""
    for route, why, words in _left_out(scene, "ING010"):
        yield make(
            "ING010",
            route_ref(route, why.field),
            asked=listing(route.entry_points_declared),
            existing=listing(routing_of(scene).view.static.entry_points),
            related=traefik_refs(scene),
            **words,
        )


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def rule_can_be_read(scene: Scene) -> Iterator[Finding]:
    """Traefik can read the route's rule."""
    version = str(routing_of(scene).view.version or "v3")
    for route, why, words in _left_out(scene, "ING021"):
        yield make(
            "ING021",
            route_ref(route, why.field),
            rule=route.rule,
            version=version,
            host=scene.target.host,
            **(words | {"reason": _problem(why.expected) or why.value or words["reason"]}),
        )


def _problem(error: str) -> str:
    """What a RuleError says of a rule, in words; a regular expression's error stays Go's own."""
    problem, _, where = error.partition(": ")
    if not has_text("rule", problem):
        return error
    where = text("rule", "end") if where == END else where
    return f"{text('rule', problem)}: {where}"


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def references_are_permitted(scene: Scene) -> Iterator[Finding]:
    """Traefik's settings permit what the route refers to in other namespaces and providers."""
    for route, why, words in _left_out(scene, "ING020"):
        yield make(
            "ING020",
            route_ref(route, why.field),
            reference=why.value or why.field,
            related=traefik_refs(scene),
            **words,
        )


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def path_is_routed(scene: Scene) -> Iterator[Finding]:
    """The host's route has the path."""
    found, target = obstacle(scene), scene.target
    if found is not None and found.code == "ING007":
        misses = routing_of(scene).selection.misses
        routes = [m.route for m in misses if m.reason is Excluded.PATH_MISMATCH]
        yield make(
            "ING007",
            route_ref(found.route, found.route.field),
            host=target.host,
            path=target.path,
            paths=listing(f"{r.path_type or ''} {r.path or r.rule}".strip() for r in routes),
            advice=text("path_advice", found.hint or "none", path=target.path),
            **route_words(found.route),
        )


@rule(reads=("kube",), uses=BESIDE_KUBE, silent_when="any_succeeded")
def request_arrives_where_the_route_listens(scene: Scene) -> Iterator[Finding]:
    """The request arrives at an entryPoint of the host's route, with TLS or without as it asks."""
    found = obstacle(scene)
    if found is not None and found.code == "ING011":
        variants = {Excluded.NOT_TLS: "no_tls", Excluded.ONLY_TLS: "only_tls"}
        yield make(
            "ING011",
            route_ref(found.route),
            variant=variants.get(found.reason),
            bound=listing(found.route.entry_points),
            scheme=scene.target.scheme,
            entry=routing_of(scene).entry_point,
            related=traefik_refs(scene),
            **route_words(found.route),
        )
