"""The middlewares of the route: which are missing, what is wrong, which answer in its stead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hopcheck.behaviour.traefik.ingressroute import backend_of, reference
from hopcheck.behaviour.traefik.logs import BAD_LEVELS, overtaken
from hopcheck.behaviour.traefik.regexp import Regexp, RegexpError, UnsupportedError
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.servers import refused
from hopcheck.behaviour.traefik.subjects import owners, subject
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Exchange, Hop, ObjectRef, Probe, Why, Words
from hopcheck.model import Evidence as Proof
from hopcheck.model.kubernetes import (
    AuthSecret,
    ErrorPages,
    ForwardAuth,
    Headers,
    Middleware,
    RedirectScheme,
    Secret,
    Service,
)
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.middlewares import acting, answers, by_reference, links_of, names_of
from hopcheck.scene.outcome import (
    Producer,
    application_404,
    asks_for_credentials,
    astray,
    expected,
    origin_answered,
    producer,
    refused_by_middleware,
    requests_made,
    succeeded,
    turned_away,
)
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import upstreams
from hopcheck.steps import fixing
from hopcheck.steps.names import backend_ref, last_exchanges, ref_of, sent

OWN = "@kubernetescrd"
_REDIRECT = range(300, 400)
_CHANGES = frozenset(
    {"stripPrefix", "stripPrefixRegex", "replacePath", "replacePathRegex", "addPrefix", "plugin"}
)
_THROUGH = (Producer.APPLICATION, Producer.TRAEFIK)


class Fault(Struct, frozen=True):
    """What is wrong with an existing Middleware; `key` names the texts that say it.

    "secret", "chain", "plugin", "pages", "auth_missing", "auth_down", "hosts": seen at its source.
    "refused" and "absent": Traefik's own word, where nothing of that is seen.
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
    refused: bool  # a middleware's own answer: the application was not asked
    share: float | None  # of the requests; None where it is all of them


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
        *_idle(scene, obj),
        *_error_pages(scene, obj),
        *_hosts(scene, obj),
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
    for link in links_of(obj):
        if link in above:
            continue  # a chain that names itself: Traefik refuses it, and says so
        if link in known:
            yield from _of_one(scene, link, known, above)
        elif scene.kube.of(Middleware).seen and link.endswith(OWN):
            near = fixing.near_words(fixing.near(link, [k for k, m in known.items() if m != obj]))
            yield Fault(ref_of(obj), "chain", {"name": link, "near": near})


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


def _hosts(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    """Hosts are compared whole, but for their case (github.com/unrolled/secure, secure.go)."""
    allowed = (obj.settings("headers", Headers) or Headers()).allowed_hosts
    host = scene.target.host
    said = any(e.status == 500 and e.body.strip() == "Bad Host" for e in last_exchanges(scene))
    if said and allowed and host.lower() not in (one.lower() for one in allowed):
        words = {"host": host, "hosts": listing(allowed)}
        yield Fault(ref_of(obj), "hosts", words)


def _error_pages(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    pages, routing = (obj.settings("errors", ErrorPages) or ErrorPages()).service, routing_of(scene)
    if pages is None or pages.kind == "TraefikService" or routing.winner is None:
        return
    backend = backend_of(pages, pages.namespace or obj.namespace, "spec.errors.service")
    # It is built as an IngressRoute's services are (createErrorPageMiddleware).
    if refused(scene.kube, routing.view, replace(routing.winner, kind="IngressRoute"), backend):
        words = {"service": f"{backend.namespace}/{backend.name}"}
        yield Fault(ref_of(obj), "pages", words, (backend_ref(backend),))


def _idle(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    """A redirect that lets the request pass, to noop@internal: the redirect was to be all."""
    route = routing_of(scene).winner
    behind = {backend.name for backend in route.backends} if route is not None else set()
    passed = [e for e in last_exchanges(scene) if e.status == 418]
    if behind != {"noop@internal"} or not passed or producer(passed[0]) is not Producer.TRAEFIK:
        return
    url, rewritten = passed[0].url, obj.spec.get("redirectRegex")
    scheme = (obj.settings("redirectScheme", RedirectScheme) or RedirectScheme()).scheme
    if scheme and urlsplit(url).scheme == scheme:  # it leads to the very same URL
        yield Fault(ref_of(obj), "same", {"scheme": scheme, "url": url})
    if rewritten is None:
        return
    pattern = str(rewritten.get("regex", ""))
    try:
        fires = Regexp(pattern).search(url)
    except (RegexpError, UnsupportedError):
        return
    if not fires:
        yield Fault(ref_of(obj), "idle", {"regex": pattern, "url": url})


def _refused(scene: Scene, obj: Middleware) -> Iterator[Fault]:
    """Traefik's API lacks it, or its log says why, while Traefik itself answers 404."""
    last = [probe.exchanges[-1] for probe in sent(scene) if not astray(probe)]
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
    every = [ref_of(each) for each in scene.kube.every(Middleware)]
    for one in lacking or replicas:
        metrics = one.metrics.or_else({}) or {}
        said = [
            line
            for line in one.log.or_else(()) or ()
            if line.level in BAD_LEVELS
            and (about := subject(line)) is not None
            and about.kind == "Middleware"
            and ref in owners(about, every)
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
    bad, share = _bad_answer(scene)
    if bad is None or bad.status is None:
        return None
    spaces = {backend.namespace for backend in route.backends}
    pods = [p for p in probes_at(scene, Hop.POD) if p.namespace in spaces]
    asked = origin_answered(scene.snapshot, bad)
    refused = turned_away(scene, bad)
    # Where they were asked, or nobody can tell, only the pods' own word shows that they serve.
    if not refused and asked is not False and not _serve(scene, pods):
        return None
    suspects = [
        obj
        for obj in acting(scene, route)
        if ((refused or asked is not True) and answers(obj, bad.status))
        or (not refused and asked is not False and _alters(obj))
    ]
    return Blame(bad, suspects, pods, refused, share) if suspects else None


def spoilt(scene: Scene, route: Route) -> tuple[str, int] | None:
    """URL and status of the application's bad answer, where its pods serve when asked directly.

    None where a middleware of the route may have done it, or somebody else answers.
    """
    bad, _ = _bad_answer(scene)
    if bad is None or bad.status is None or culprits(scene, route):
        return None
    own = producer(bad) is Producer.APPLICATION or application_404(scene.snapshot, bad)
    spaces = {one.namespace for one in upstreams(scene)}
    pods = [p for p in probes_at(scene, Hop.POD) if p.namespace in spaces]
    return (bad.url, bad.status) if own and _serve(scene, pods) else None


def _bad_answer(scene: Scene) -> tuple[Exchange | None, float | None]:
    """The answer that clients get, where every request ends with the same kind of failure.

    Or where some do, whom a middleware turns away; then with their share.
    """
    made = requests_made(scene.snapshot)
    asking = [probe for probe in made if asks_for_credentials(scene, probe.exchanges[-1])]
    failing = [p for p in made if not succeeded(scene, p)] or asking
    last = [probe.exchanges[-1] for probe in failing]
    share = len(failing) / len(made) if len(failing) < len(made) else None
    if not last or (share and not all(turned_away(scene, e) for e in last)):
        return None, None
    if all(e.error is ErrorKind.TOO_MANY_REDIRECTS for e in last):
        return last[0], share
    if any(astray(probe) for probe in failing):
        return None, None  # where the application sends clients is another matter
    plain = all(e.error is None and producer(e) in _THROUGH for e in last)
    same = len({e.status for e in last}) == 1
    good = last[0].status is not None and expected(last[0].status, scene.target.expect_status)
    if not plain or not same or (good and not turned_away(scene, last[0])):
        return None, None
    return last[0], share


def _serve(scene: Scene, pods: list[Probe]) -> bool:
    """Whether every pod that was asked directly serves what clients do not get."""
    last, expect = [probe.exchanges[-1] for probe in pods], scene.target.expect_status
    return bool(last) and all(
        e.error is None and e.status and e.status not in _REDIRECT and expected(e.status, expect)
        for e in last
    )


def _alters(obj: Middleware) -> bool:
    headers = obj.settings("headers", Headers) or Headers()
    return bool(obj.kinds & _CHANGES or headers.custom_request_headers)
