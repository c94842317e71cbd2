"""The middlewares of the route: which are missing, what is wrong, which answer in its stead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.logs import about_object, overtaken
from hopcheck.behaviour.traefik.route import Route
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Exchange, Hop, ObjectRef, Probe, Why, Words
from hopcheck.model import Evidence as Proof
from hopcheck.model.kubernetes import (
    AuthSecret,
    Chain,
    ForwardAuth,
    Headers,
    Middleware,
    Secret,
    Service,
)
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import (
    Producer,
    expected,
    origin_answered,
    producer,
    refused_by_middleware,
    requests_made,
    succeeded,
)
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import last_exchanges, ref_of

OWN = "@kubernetescrd"
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
_THROUGH = (Producer.APPLICATION, Producer.TRAEFIK)


class Fault(Struct, frozen=True):
    """What is wrong with an existing Middleware; `key` names the texts that say it.

    "secret", "chain", "plugin", "auth_missing", "auth_down": seen at its source. "refused" and
    "absent": Traefik's own word, where nothing of that is seen.
    """

    middleware: ObjectRef
    key: str
    words: Words
    related: tuple[ObjectRef, ...] = ()
    evidence: tuple[Proof, ...] = ()


class Blame(Struct, frozen=True):
    """The bad answer that clients get, and the middlewares that are left as who did it."""

    answer: Exchange
    middlewares: list[Middleware]
    pods: list[Probe]  # what the application answers where it is asked directly


def by_reference(scene: Scene) -> dict[str, Middleware]:
    """Every Middleware that was seen, by the name under which routers refer to it."""
    return {reference(*obj.key): obj for obj in scene.kube.every(Middleware)}


def _links_of(obj: Middleware) -> list[str]:
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


def missing(scene: Scene, route: Route) -> list[str]:
    """Names of middlewares that do not exist: the route's first, then the entryPoint's."""
    known, listed = by_reference(scene), scene.kube.of(Middleware)
    lacking = [(w, name) for w, name in names_of(scene, route).items() if name not in known]
    readable = listed.seen or listed.why is Why.NOT_FOUND
    return [w for w, n in lacking if (readable if n.endswith(OWN) else _never_there(scene, n))]


def _never_there(scene: Scene, name: str) -> bool:
    """Whether no provider brings the middleware: by Traefik's API, else by its arguments."""
    provider = name.rpartition("@")[2]
    shown = [r.middlewares.get() for r in scene.snapshot.traefik.replicas if r.middlewares.seen]
    if shown:
        return not any(m.name == name for own in shown for m in own)
    if provider == "kubernetes":
        return True  # Ingresses bring routers and services alone
    static = routing_of(scene).view.static
    return static.known and provider == "file" and not static.file_provider


def faults(scene: Scene, route: Route) -> list[Fault]:
    """What is wrong with each Middleware that the route names, and with those that these chain."""

    def found() -> list[Fault]:
        known = by_reference(scene)
        names = [name for name in names_of(scene, route).values() if name in known]
        return [fault for name in names for fault in _of_one(scene, name, known, ())]

    return scene.once(("faults", route), found)


def sound(scene: Scene, route: Route) -> bool:
    """Whether nothing is wrong with the route's middlewares, as far as that can be seen."""
    return not (missing(scene, route) or faults(scene, route) or culprits(scene, route))


def _of_one(
    scene: Scene, name: str, known: Mapping[str, Middleware], above: tuple[str, ...]
) -> list[Fault]:
    """What is wrong with one; of several reasons those that are seen at their source."""
    obj = known[name]
    found = [
        *_secrets(scene, obj),
        *_chain(scene, obj, known, (*above, name)),
        *_plugins(scene, obj),
        *_forward_auth(scene, obj),
    ]
    return found or list(_refused(scene, obj))


def _secret_refs(obj: Middleware) -> list[ObjectRef]:
    users = [obj.settings(kind, AuthSecret) or AuthSecret() for kind in ("basicAuth", "digestAuth")]
    tls = (obj.settings("forwardAuth", ForwardAuth) or ForwardAuth()).tls
    names = (*(one.secret for one in users), tls.ca_secret, tls.cert_secret)
    return [ObjectRef("Secret", name, obj.namespace) for name in names if name]


def _secrets(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    for ref in _secret_refs(obj):
        if scene.kube.find(Secret, ref.namespace, ref.name).why is Why.NOT_FOUND:
            yield Fault(ref_of(obj), "secret", {"secret": ref.name}, (ref,))


def _chain(
    scene: Scene, obj: Middleware, known: Mapping[str, Middleware], above: tuple[str, ...]
) -> Iterator[Fault]:
    for link in _links_of(obj):
        if link in above:
            continue  # a chain that names itself: Traefik refuses it, and says so
        if link in known:
            yield from _of_one(scene, link, known, above)
        elif scene.kube.of(Middleware).seen and link.endswith(OWN):
            yield Fault(ref_of(obj), "chain", {"name": link})


def _plugins(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    static = routing_of(scene).view.static
    known = {name.lower() for name in static.plugins}
    plugins = obj.spec.get("plugin")
    names = [name for name in plugins or () if name.lower() not in known]
    if static.known and names:
        words = {"plugin": names[0], "existing": listing(static.plugins)}
        yield Fault(ref_of(obj), "plugin", words)


def _forward_auth(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    address = (obj.settings("forwardAuth", ForwardAuth) or ForwardAuth()).address
    if not address:
        return
    labels = (urlsplit(address).hostname or "").split(".")
    related: tuple[ObjectRef, ...] = ()
    absent = False
    if len(labels) >= 2 and (len(labels) == 2 or labels[2] == "svc"):
        related = (ObjectRef("Service", labels[0], labels[1]),)
        absent = scene.kube.find(Service, labels[1], labels[0]).why is Why.NOT_FOUND
    last = last_exchanges(scene)
    if absent or any(refused_by_middleware(scene.snapshot, e, address) for e in last):
        key = "auth_missing" if absent else "auth_down"
        yield Fault(ref_of(obj), key, {"address": address}, related)


def _refused(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    """Traefik's API lacks it, or its log says why, while Traefik itself answers 404."""
    last = last_exchanges(scene)
    if not any(e.status == 404 and producer(e) is Producer.TRAEFIK for e in last):
        return
    ref, full = ref_of(obj), reference(*obj.key)
    replicas = scene.snapshot.traefik.replicas
    shown = [one for one in replicas if one.middlewares.seen]
    lacking = [one for one in shown if full not in {m.name for m in one.middlewares.get()}]
    for one in shown:
        for mine in one.middlewares.get():
            if mine.name == full and mine.status == "disabled":
                words = listing(mine.error or (text("said", "no_reason"),))
                proof = Proof(f"API of {one.pod}", msgspec.json.encode(mine).decode())
                yield Fault(ref, "refused", {"words": words}, evidence=(proof,))
                return
    if shown and not lacking:
        return
    for one in lacking or replicas:
        lines = about_object(one.log.or_else(()) or (), *obj.key)
        metrics = one.metrics.or_else({}) or {}
        said = [
            line
            for line in lines
            if line.fields.get("middlewareName")
            and not overtaken(line, metrics, scene.static.throttle_s)
        ]
        if said:
            words = said[-1].fields.get("error") or said[-1].message or said[-1].raw
            proof = Proof(text("source", "log", pod=one.pod), said[-1].raw)
            yield Fault(ref, "refused", {"words": words}, tuple(_secret_refs(obj)), (proof,))
            return
    if lacking:
        yield Fault(ref, "absent", {"pod": lacking[0].pod})


# --- those that answer themselves or change the request, where the application serves it. The same
# request, sent to the pods directly, is answered well, or the access log shows that nobody asked
# them: then what clients get is the doing of what stands between.


def culprits(scene: Scene, route: Route) -> Blame | None:
    """Which are to blame for what clients get, where no more precise fault of them is known.

    None where none is, or nobody can tell.
    """
    if missing(scene, route) or faults(scene, route):
        return None
    bad = _bad_answer(scene)
    if bad is None or bad.status is None:
        return None
    spaces = {backend.namespace for backend in route.backends}
    pods = [p for p in probes_at(scene, Hop.POD) if p.namespace in spaces]
    asked = origin_answered(scene.snapshot, bad.status)
    # Where they were asked, or nobody can tell, only the pods' own word shows that they serve.
    if asked is not False and not _serve(scene, pods):
        return None
    suspects = [
        obj
        for obj in _flat(names_of(scene, route), by_reference(scene))
        if (asked is not True and _answers(obj, bad.status))
        or (asked is not False and _alters(obj))
    ]
    return Blame(bad, suspects, pods) if suspects else None


def may_answer(scene: Scene, status: int) -> bool:
    """Whether a Middleware of the host's route can give answers of that status by itself.

    Any may where they are not seen.
    """
    route = routing_of(scene).winner
    if route is None or not route.middlewares:
        return False
    own = _flat(route.middlewares, by_reference(scene))
    return not scene.kube.of(Middleware).seen or any(_answers(obj, status) for obj in own)


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


def _serve(scene: Scene, pods: list[Probe]) -> bool:
    """Whether every pod that was asked directly serves what clients do not get."""
    last, expect = [probe.exchanges[-1] for probe in pods], scene.target.expect_status
    return bool(last) and all(
        e.error is None and e.status and e.status not in _REDIRECT and expected(e.status, expect)
        for e in last
    )


def _flat(
    names: Iterable[str], known: Mapping[str, Middleware], depth: int = 0
) -> list[Middleware]:
    """The middlewares of these names, chains taken apart."""
    found: list[Middleware] = []
    for obj in (known[name] for name in names if name in known):
        links = _links_of(obj) if depth < 5 else []
        found += _flat(links, known, depth + 1) if links else [obj]
    return found


def _answers(obj: Middleware, status: int) -> bool:
    return any(kind in obj.spec and status in statuses for kind, statuses in _ANSWERS.items())


def _alters(obj: Middleware) -> bool:
    headers = obj.settings("headers", Headers) or Headers()
    return bool(obj.kinds & _CHANGES or headers.custom_request_headers)
