"""No route serves the request: what keeps out the object that was meant to.

At most one of these rules speaks, of the likeliest object, and none where a request succeeds.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from msgspec import to_builtins
from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.references import ENTRY_POINTS
from hopcheck.behaviour.traefik.ingress import CONTROLLER
from hopcheck.behaviour.traefik.ingressroute import ingressroute_routes
from hopcheck.behaviour.traefik.route import Excluded, Exclusion, Miss, Route
from hopcheck.behaviour.traefik.routes import precision
from hopcheck.behaviour.traefik.rule_syntax import END
from hopcheck.behaviour.traefik.rules import hosts_in, in_v3, looks_v2
from hopcheck.catalogue.catalogue import has_text, listing, make, text
from hopcheck.model import Finding, ObjectRef, Words
from hopcheck.model.kubernetes import Ingress, IngressClass, IngressRoute, IngressRouteTCP
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import requests_made, succeeded
from hopcheck.scene.scene import Scene
from hopcheck.steps import fixing
from hopcheck.steps.ingress.standing import (
    Obstacle,
    left_out,
    obstacle,
    other_kinds,
    unseen,
    unserved,
)
from hopcheck.steps.names import of_route, ref_of, route_ref, traefik_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule
from hopcheck.verdict.contradicted import Claim

_NAMES_NO_CLASS = (Excluded.ANNOTATION_OTHER, Excluded.NO_CLASS_BUT_FLAG)
_Left = tuple[Route, Exclusion, Words]


def _left_out(scene: Scene, code: str) -> Iterator[_Left]:
    """The route that was meant and is left out for what `code` tells, and the words for that."""
    found = obstacle(scene)
    if found is not None and found.why is not None and found.code == code:
        yield found.route, found.why, left_out(found.why)


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def ingress_class_is_traefiks(scene: Scene) -> Iterator[Finding]:
    """The class of the host's route is one that Traefik reads."""
    for route, why, words in _left_out(scene, "ING002"):
        named = why.value and why.reason not in _NAMES_NO_CLASS
        yield of_route(
            "ING002",
            scene,
            route,
            expected_class=why.expected or "traefik",
            actual_class=why.value or text("list", "none"),
            related=(
                *((ObjectRef("IngressClass", why.value),) if named else ()),
                *((route_ref(route),) if _no_class_of_traefiks(scene, why) else ()),
                *traefik_refs(scene),
            ),
            **(words | _made_for_nobody(scene, why)),
            **_of_its_class(scene, route, why),
        )


def _no_class_of_traefiks(scene: Scene, why: Exclusion) -> bool:
    """Whether the class is another controller's, and Traefik's controller has none at all."""
    every = scene.kube.every(IngressClass)
    return why.reason is Excluded.CLASS_OTHER and all(
        one.spec.controller != CONTROLLER for one in every
    )


def _made_for_nobody(scene: Scene, why: Exclusion) -> Words:
    """The class itself is at fault that is meant to be Traefik's; else there is none to name."""
    if not _no_class_of_traefiks(scene, why):
        return {}
    own = "traefik" in f"{why.value} {why.setting}".lower()
    key = "class_anew" if own else "class_none"
    said = {"advice": text("excluded_advice", key, value=why.value)}
    at = ObjectRef("IngressClass", why.value, field="spec.controller")
    return {**said, "at": at, "variant": "controller"} if own else said


def _of_its_class(scene: Scene, route: Route, why: Exclusion) -> Words:
    """The edit that names the only Traefik's class, where the Ingress names none and it exists."""
    none = why.reason is Excluded.NO_CLASS_BUT_FLAG and route.kind == "Ingress"
    known = scene.kube.one("ingressclasses", None, why.expected).seen and len(scene.instances) == 1
    changes = {"spec.ingressClassName": why.expected} if none and known else {}
    return fixing.of_route(scene, route, changes)


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def traefik_watches_the_route(scene: Scene) -> Iterator[Finding]:
    """Traefik watches the namespace and the labels of the host's route."""
    for route, why, words in _left_out(scene, "ING003"):
        actual, related = why.value or text("list", "none"), traefik_refs(scene)
        yield of_route("ING003", scene, route, actual=actual, related=related, **words)


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def route_has_a_form_that_traefik_reads(scene: Scene) -> Iterator[Finding]:
    """The host's route has paths, a Service, and annotations that Traefik can read."""
    for route, _, words in _left_out(scene, "ING006"):
        yield of_route("ING006", scene, route, **words)


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def one_entry_point_exists(scene: Scene) -> Iterator[Finding]:
    """An entryPoint that the host's route asks for exists."""
    for route, _, words in _left_out(scene, "ING010"):
        yield of_route(
            "ING010",
            scene,
            route,
            asked=listing(route.entry_points_declared),
            existing=listing(routing_of(scene).view.static.entry_points),
            related=traefik_refs(scene),
            **words,
            **_at_entry_points(scene, route),
        )


def _at_entry_points(scene: Scene, route: Route) -> Words:
    """The edit that names the entryPoints meant: by a slip, or the one for a scheme of its name."""
    existing = [*routing_of(scene).view.static.entry_points]
    usual = {routing_of(scene).scheme_inside: routing_of(scene).entry_point}
    declared = route.entry_points_declared
    named = [usual.get(one) or fixing.meant(one, existing) for one in declared]
    return _bound(scene, route, named) if all(named) and set(named) <= {*existing} else {}


def _bound(scene: Scene, route: Route, names: list[str]) -> Words:
    """The edit of the entryPoints of a route."""
    noted: Words = {f"metadata.annotations[{ENTRY_POINTS}]": ",".join(names)}
    own = {"spec.entryPoints": names}
    return fixing.of_route(scene, route, noted if route.kind == "Ingress" else own)


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def rule_can_be_read(scene: Scene) -> Iterator[Finding]:
    """Traefik can read the route's rule."""
    version = str(routing_of(scene).view.version or "v3")
    for route, why, words in _left_out(scene, "ING021"):
        yield of_route(
            "ING021",
            scene,
            route,
            rule=route.rule,
            version=version,
            **(words | {"reason": _problem(why.expected) or why.value or words["reason"]})
            | _respelt(route),
        )
    found = obstacle(scene)
    meant = [m.route for m in _near(scene) or () if m.hint == "v2_syntax"]
    meant += [found.route] if found is not None and found.hint == "v2_syntax" else []
    for route in meant[:1]:
        yield of_route(
            "ING021",
            scene,
            route,
            at=route.field if route.kind == "Ingress" else f"{route.field}.match",
            variant="v2",
            rule=route.rule,
            reason="",
            version=version,
            **_respelt(route),
        )


def _respelt(route: Route) -> Words:
    """What to write in the place of a rule of v2's syntax."""
    old = route.syntax == "v3" and looks_v2(route.rule, route.protocol)
    spelt = in_v3(route.rule, route.protocol) if old else ""
    if not spelt:
        return {"advice": text("excluded_advice", Excluded.PARSE_ERROR.value)}
    key = "v2_ingress" if route.kind == "Ingress" else "v2_route"
    return {"advice": text("excluded_advice", key, spelt=spelt)}


def _problem(error: str) -> str:
    """What a RuleError says of a rule, in words; a regular expression's error stays Go's own."""
    problem, _, where = error.partition(": ")
    if not has_text("rule", problem):
        return error
    where = text("rule", "end") if where == END else where
    return f"{text('rule', problem)}: {where}"


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def references_are_permitted(scene: Scene) -> Iterator[Finding]:
    """Traefik's settings permit what the route refers to in other namespaces and providers."""
    for route, why, words in _left_out(scene, "ING020"):
        named, related = why.value or why.field, traefik_refs(scene)
        yield of_route("ING020", scene, route, reference=named, related=related, **words)


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def path_is_routed(scene: Scene) -> Iterator[Finding]:
    """The host's route has the path."""
    found = obstacle(scene)
    if found is not None and found.code == "ING007" and found.hint != "v2_syntax":
        misses, literal = routing_of(scene).selection.misses, found.hint == "regex"
        routes = [m.route for m in misses if m.reason is Excluded.PATH_MISMATCH]
        yield of_route(
            "ING007",
            scene,
            found.route,
            at=found.route.field,
            variant="literal" if literal else None,
            paths=listing(
                f"{r.path_type or ''} {r.path or r.rule}".strip()
                for r in ([found.route] if literal else routes)
            ),
            advice=text("path_advice", found.hint or "none", path=scene.target.path),
        )


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def request_arrives_where_the_route_listens(scene: Scene) -> Iterator[Finding]:
    """The request arrives at an entryPoint of the host's route, with TLS or without as it asks."""
    found = obstacle(scene)
    if found is not None and found.code == "ING011":
        if found.reason is Excluded.ONLY_TLS and _plain_to_a_tls_port(scene):
            return
        variants = {Excluded.NOT_TLS: "no_tls", Excluded.ONLY_TLS: "only_tls"}
        yield of_route(
            "ING011",
            scene,
            found.route,
            variant=variants.get(found.reason),
            bound=listing(found.route.entry_points),
            scheme=scene.target.scheme,
            entry=routing_of(scene).entry_point,
            redirecting="",
            related=traefik_refs(scene),
            **_where_it_arrives(scene, found),
        )


def _where_it_arrives(scene: Scene, found: Obstacle) -> Words:
    """The edit that binds a route that brings a certificate where the request arrives, too.

    Where it is bound to the other one that clients reach, and to no inner one.
    """
    route, entry = found.route, routing_of(scene).entry_point
    ends = [scene.wanted_port(scheme) for scheme in ("http", "https")]
    public = {end.entry_point.name for end in ends if end is not None and end.entry_point}
    fits = found.reason is Excluded.ENTRYPOINT_OTHER and {entry, *route.entry_points} <= public
    known = fits and route.tls_secrets
    return _bound(scene, route, [*route.entry_points_declared, entry]) if known else {}


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def no_redirect_leads_past_the_route(scene: Scene) -> Iterator[Finding]:
    """Where an entryPoint redirects, the route that was meant listens where the redirect leads."""
    made = requests_made(scene.snapshot)
    lost = [p for p in made if len(p.exchanges) > 1 and not succeeded(scene, p)]
    meant, entry = routing_of(scene).selection.winner, routing_of(scene).selection.redirect
    if meant is None or entry is None or not lost or meant.uncertain:
        return
    url = lost[0].exchanges[-1].url
    there = routing_of(scene.at(url))
    same = any(route_ref(route) == route_ref(meant) for route in there.selection.order)
    # What comes next has to be less precise, or the route was not the one that was meant.
    winner, host = there.selection.winner, scene.target.host
    if same or (winner and precision(winner, host) >= precision(meant, host)):
        return
    yield of_route(
        "ING011",
        scene,
        meant,
        variant="redirected",
        bound=listing(meant.entry_points),
        scheme=urlsplit(url).scheme,
        entry=there.entry_point,
        redirecting=entry.name,
        share=len(lost) / len(made) if len(lost) < len(made) else None,
        related=(*((route_ref(winner),) if winner else ()), *traefik_refs(scene)),
    )


def _plain_to_a_tls_port(scene: Scene) -> bool:
    """Whether a listener that ends TLS sends plain text to an entryPoint meant for TLS."""
    entry, wanted = scene.entry_point, scene.wanted_port("https")
    if entry is None or routing_of(scene).scheme_inside == scene.target.scheme:
        return False
    return bool(entry.tls) or (wanted is not None and wanted.entry_point == entry)


# --- no route names the host


def _near(scene: Scene) -> list[Miss] | None:
    """Routes of nearly the host, where there is none of the host itself; None elsewhere."""
    selection = unserved(scene)
    if selection is None or obstacle(scene) or selection.excluded:
        return None
    if unseen(scene) or other_kinds(scene):  # without them "there is none" cannot be said
        return None
    return [m for m in selection.misses if m.reason is Excluded.HOST_MISMATCH]


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_EVERYTHING)
def route_is_of_a_group_that_traefik_reads(scene: Scene) -> Iterator[Finding]:
    """The host's route is of an API group that this version of Traefik reads."""
    near, view = _near(scene), routing_of(scene).view
    host = scene.target.host.lower().rstrip(".")
    kube, former = scene.kube, list[IngressRoute | IngressRouteTCP]()
    former += [*kube.former(IngressRoute), *kube.former(IngressRouteTCP)]
    for obj in former if near is not None else ():
        for route in ingressroute_routes(obj, view, parents=frozenset()):
            if host in hosts_in(route.rule, route.syntax, route.protocol):
                version, related = str(view.version or "v3"), traefik_refs(scene)
                yield of_route("ING030", scene, route, version=version, related=related)
                return


@rule(
    reads=("kube",),
    uses=BESIDE_KUBE,
    claims=Claim.STOPS_EVERYTHING,
    unless=(route_is_of_a_group_that_traefik_reads,),
)
def host_is_routed(scene: Scene) -> Iterator[Finding]:
    """A route names the host."""
    near = _near(scene)
    if near is None or any(miss.hint == "v2_syntax" for miss in near):
        return
    host = ObjectRef("Host", scene.target.host)
    near.sort(key=lambda miss: miss.hint != "beside")
    named = [(route_ref(miss.route, miss.route.field), miss.host) for miss in near] or [
        (ref_of(one, "spec.rules"), listing(_hosts(one)))
        for one in _meant_by_tls(scene) or _by_likeness(scene)
    ]
    # Hosts of the same domain belong to others as a rule: named, not accused.
    alike = () if named else scene.kube.every(Ingress)
    others = [ref_of(one) for one in alike if _alike(one, host.name, _whole)][:3]
    ref, actual = named[0] if named else (host, text("list", "none"))
    beside = dict.fromkeys(replace(one, field=None) for one, _ in named[1:4])
    yield make(
        "ING001",
        ref,
        variant="beside" if near and near[0].hint == "beside" else None,
        host=host.name,
        near=text("near", "host", route=ref, host=actual) if named else "",
        actual=actual,
        related=(*beside, host) if named else others,
        **(_bare(scene, near) or _with_host(scene)),
    )


def _bare(scene: Scene, near: list[Miss]) -> Words:
    """The edit of the one rule that names the host with a port, a scheme or a path."""
    route, host = near[0].route if near else None, near[0].host if near else ""
    if route is None or route.kind == "Ingress" or [m.hint for m in near].count("beside") != 1:
        return {}
    rule = route.rule.replace(host, scene.target.host)
    return fixing.of_route(scene, route, {f"{route.field}.match": rule})


def _with_host(scene: Scene) -> Words:
    """The edit that adds the host to the one Ingress that has it in spec.tls, beside its own."""
    meant = _meant_by_tls(scene)
    if len(meant) != 1 or len(meant[0].spec.rules) != 1:
        return {}
    own = to_builtins(meant[0].spec.rules[0])
    return fixing.patch(meant[0], {"spec.rules[-]": own | {"host": scene.target.host}})


def _hosts(obj: Ingress) -> list[str]:
    return [rule.host for rule in obj.spec.rules]


def _meant_by_tls(scene: Scene) -> list[Ingress]:
    """Ingresses whose spec.tls names the host, though no rule does."""
    every, host = scene.kube.every(Ingress), scene.target.host
    return [one for one in every if any(host in tls.hosts for tls in one.spec.tls)]


def _by_likeness(scene: Scene) -> list[Ingress]:
    """Ingresses with a host that reads like this one, the likest first; a hint, no proof."""
    host = scene.target.host
    scored = [(_alike(obj, host, _own_part), obj.name, obj) for obj in scene.kube.every(Ingress)]
    ranked = sorted(scored, key=lambda row: (-row[0], row[1]))
    return [obj for ratio, _, obj in ranked if ratio]


def _alike(obj: Ingress, host: str, ratio: Callable[[str, str], float]) -> float:
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
