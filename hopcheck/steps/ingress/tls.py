"""What the route says of TLS: Secret, certificate resolver, options.

A Secret or a resolver is blamed only where the certificate presented is not the host's.
"""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.kubernetes.references import TLS_OPTIONS
from hopcheck.behaviour.traefik.ingress import filter_exclusions
from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.logs import overtaken
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import hosts_in
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Finding, ObjectRef, Why
from hopcheck.model import Evidence as Proof
from hopcheck.model.kubernetes import ClientAuth, Secret, TLSOption, TLSStore
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.issuance import inside, presented
from hopcheck.scene.outcome import CertificateProblem, certificate_problem
from hopcheck.scene.scene import Scene
from hopcheck.steps import fixing
from hopcheck.steps.ingress.references import lacking
from hopcheck.steps.ingress.standing import route_rule
from hopcheck.steps.names import last_exchanges, of_route, ref_of, route_ref, sent, traefik_refs

# What a TLS server's alert says (RFC 8446, section 6.2), and the options that make Traefik say it.
_BY_OPTIONS = (
    ("certificate required", "client_certificate", ("clientAuth",)),
    ("bad certificate", "client_certificate", ("clientAuth",)),
    ("protocol version", "versions", ("minVersion", "maxVersion")),
    ("handshake failure", "ciphers", ("cipherSuites", "curvePreferences", "minVersion")),
)


def _ended_by_traefik(scene: Scene, route: Route) -> bool:
    """Whether it is Traefik that ends TLS for the route."""
    return not route.passthrough and routing_of(scene).scheme_inside == "https"


def _name_refused(scene: Scene) -> bool:
    """Whether Traefik ends handshakes since it has no certificate for the name."""
    return any(
        e.error is ErrorKind.TLS_ALERT and "unrecognized" in e.error_text.replace("_", " ").lower()
        for e in last_exchanges(scene)
    )


def _presented(scene: Scene) -> CertificateProblem | None:
    """The problem of the certificate that clients see."""
    tls = presented(scene)
    return None if tls is None else certificate_problem(tls, scene.snapshot)


def _unknown_resolver(scene: Scene, route: Route) -> str | None:
    static = routing_of(scene).view.static
    wanted = route.cert_resolver
    return wanted if wanted and static.known and wanted not in static.cert_resolvers else None


@route_rule()
def tls_options_exist(scene: Scene, route: Route) -> Iterator[Finding]:
    """The TLSOption that the route or its entryPoint names exists; else no handshake is taken."""
    wanted, options = _options_named(scene, route), scene.kube.of(TLSOption)
    readable = options.seen and wanted.endswith("@kubernetescrd")
    if not (readable or wanted.endswith("@kubernetes")):
        return
    known = {reference(*option.key): option for option in scene.kube.every(TLSOption)}
    if wanted in known:
        return
    meant = fixing.in_full(wanted, route.namespace, known)
    full = meant or f"{wanted.rpartition('@')[0]}@kubernetescrd"
    near = full if full in known else fixing.near(full, known)
    name = full if full in known else fixing.meant(full, known)
    option = ObjectRef("TLSOption", wanted.rpartition("@")[0])
    own = route_ref(route, "spec.tls.options" if route.kind != "Ingress" else None)
    instance = scene.instance
    noted = {f"metadata.annotations[{TLS_OPTIONS}]": name}
    words = fixing.of_route(scene, route, noted if route.kind == "Ingress" and route.tls else {})
    holder, related = own, [option]
    if not route.tls and instance is not None:
        holder, related, near = traefik_refs(scene)[0], [option, own], ""
        words = {"route": str(holder), "resource": instance.kind.lower(), "name": instance.name}
        words["ns"] = instance.namespace
    what = f"TLSOption {_written(scene, route)}"
    yield lacking(
        scene, route, what, holder, *related, kind=TLSOption, full=wanted, near=near, **words
    )


def _written(scene: Scene, route: Route) -> str:
    """The TLS options that a route has, as they are written: its own or its entryPoint's."""
    routing = routing_of(scene)
    entry = routing.view.static.entry_points.get(routing.entry_point)
    shared = entry.tls_options if entry is not None and routing.view.static.known else None
    return (route.tls_options if route.tls else shared) or "default"


def _options_named(scene: Scene, route: Route) -> str:
    """The same by their full name."""
    written = _written(scene, route)
    # A name without a provider is one of the router's own; Ingresses bring no TLS options.
    return written if "@" in written or written == "default" else f"{written}@{route.provider}"


@route_rule()
def certificate_is_usable(scene: Scene, route: Route) -> Iterator[Finding]:
    """The Secret with the host's certificate exists and holds a certificate and a key."""
    if not _ended_by_traefik(scene, route):
        return
    broken = (found for name in route.tls_secrets for found in _secret(scene, route, name))
    if _name_refused(scene):
        yield from [*broken][:1] if _strict(scene, route) else ()
    elif _presented(scene) is CertificateProblem.DEFAULT:
        yield from broken
        if not route.tls_secrets and not _unknown_resolver(scene, route):
            yield from _default_store(scene, route)


def _default_store(scene: Scene, route: Route) -> Iterator[Finding]:
    """The default TLSStore's Secret is missing, where the route brings no certificate itself.

    Or there are several of them in what Traefik reads: then it takes none.
    """
    provider = routing_of(scene).view.static.crd
    only = provider.default_tls_namespace
    stores = [
        store
        for store in scene.kube.every(TLSStore)
        if store.name == "default"
        and only in ("", store.namespace)
        and not (provider.enabled and filter_exclusions(store, provider, "kubernetescrd"))
    ]
    if len(stores) > 1:
        stores.sort(key=lambda one: one.metadata.creation_timestamp)
        raw = _newest(scene, "Default TLS Stores defined in multiple namespaces")
        yield of_route(
            "ING016",
            scene,
            route,
            at=ref_of(stores[-1]),  # before it came, there was one
            variant="stores",
            reason=text("secret", "unused"),
            secret=listing(f"{one.namespace}/{one.name}" for one in stores),
            evidence=[Proof(text("source", "log", pod="Traefik"), raw)] if raw else (),
            related=(*(ref_of(one) for one in stores[:-1]), route_ref(route)),
        )
        return
    for store in stores:
        own = store.spec.default_certificate
        if own is not None and own.secret_name:
            holder = ref_of(store, "spec.defaultCertificate")
            yield from _secret(scene, route, f"{store.namespace}/{own.secret_name}", holder)


@route_rule()
def certificate_resolver_exists(scene: Scene, route: Route) -> Iterator[Finding]:
    """The certificate resolver that the route names is one of Traefik's."""
    shown = not _name_refused(scene) and _presented(scene) is CertificateProblem.DEFAULT
    resolver = _unknown_resolver(scene, route)
    if resolver is not None and shown and _ended_by_traefik(scene, route):
        yield of_route(
            "ING019",
            scene,
            route,
            resolver=resolver,
            existing=listing(routing_of(scene).view.static.cert_resolvers),
            related=traefik_refs(scene),
        )


def _secret(
    scene: Scene, route: Route, secret: str, holder: ObjectRef | None = None
) -> Iterator[Finding]:
    namespace, _, name = secret.rpartition("/")
    namespace = namespace or route.namespace
    collected = scene.kube.find(Secret, namespace, name)
    logged = _logged(scene, namespace, name)
    if collected.why is Why.NOT_FOUND:
        reason = "missing"
    elif "missing the following" in logged:
        reason = "keys"
    elif "empty TLS data entries" in logged:
        reason = "empty"
    elif "does not exist" in logged and not collected.seen:
        reason = "missing"
    else:
        return
    proof = Proof(text("source", "log", pod="Traefik"), logged)
    if not logged:
        proof = Proof(collected.source or "API", text("why", "not_found"))
    yield of_route(
        "ING016",
        scene,
        route,
        at=holder or "spec.tls",
        secret=f"{namespace}/{name}",
        reason=text("secret", reason),
        evidence=[proof],
        related=(ObjectRef("Secret", name, namespace), *((route_ref(route),) if holder else ())),
        ns=namespace,
        name=name,
        **({"route": str(holder)} if holder else {}),
    )


def _logged(scene: Scene, namespace: str, name: str) -> str:
    """The newest line on the Secret that no later configuration has overtaken; "" for none."""
    return _newest(scene, f"{namespace}/{name}", "secret", "Secret", "TLS")


def _newest(scene: Scene, said: str, *one_of: str) -> str:
    """The newest line with these words that no later configuration has overtaken; "" for none."""
    for replica in scene.snapshot.traefik.replicas:
        metrics = replica.metrics.or_else({}) or {}
        for line in reversed(replica.log.or_else(()) or ()):
            words = line.raw
            if said in words and (not one_of or any(word in words for word in one_of)):
                old = overtaken(line, metrics, scene.static.throttle_s)
                return "" if old else words
    return ""


@route_rule("http")
def handshakes_are_accepted(scene: Scene, route: Route) -> Iterator[Finding]:
    """The route's TLSOption accepts the handshakes that clients make."""
    if not _ended_by_traefik(scene, route) or _rivals(scene, route):
        return
    if not _name_refused(scene):
        if _presented(scene) is not CertificateProblem.DEFAULT:
            yield from _refused(scene, route)
        return
    option, names = _strict(scene, route), route.tls_secrets
    if option is not None and not any([*_secret(scene, route, name)] for name in names):
        secrets = (ObjectRef("Secret", s.rpartition("/")[2], route.namespace) for s in names)
        yield about_option(scene, route, option, "sniStrict", "unrecognized_name", None, *secrets)


@route_rule("http")
def routes_of_the_host_agree_on_tls_options(scene: Scene, route: Route) -> Iterator[Finding]:
    """All routes of the host have the same TLS options: of different ones Traefik takes none."""
    rivals = _rivals(scene, route) if _ended_by_traefik(scene, route) else []
    if rivals:
        refs = dict.fromkeys(route_ref(one, "spec.tls.options") for one in rivals)
        names = dict.fromkeys(_options_named(scene, one) for one in (route, *rivals))
        default = [ref_of(o) for o in scene.kube.every(TLSOption) if o.name == "default"]
        yield of_route(
            "ING045",
            scene,
            route,
            at="spec.tls.options" if route.kind != "Ingress" else None,
            others=listing(dict.fromkeys(str(route_ref(one)) for one in rivals)),
            own=_options_named(scene, route),
            options=listing(names),
            alert=_alerts(scene)[0],
            related=(*refs, *default),
        )


def _rivals(scene: Scene, route: Route) -> list[Route]:
    """Routes of the host with other TLS options than this one names, on one of its entryPoints.

    Traefik has one set of options for a name, and takes its default ones then (aggregator.go).
    No fault of theirs where the options that the route names ask for a certificate as well.
    """
    own, host = _options_named(scene, route), scene.target.host
    asks = (found.params.get("variant") == "client_certificate" for found in _refused(scene, route))
    if own == "default" or not _alerts(scene) or any(asks):
        return []
    return [
        other
        for other in routing_of(scene).routes
        if other.loaded
        and other.protocol == "http"
        and not set(route.tls_on).isdisjoint(other.tls_on)
        and host in hosts_in(other.rule, other.syntax)
        and _options_named(scene, other) != own
        and not routing_of(scene).drops(other)
    ]


def about_option(
    scene: Scene,
    route: Route,
    option: TLSOption,
    setting: str,
    alert: str,
    variant: str | None,
    *related: ObjectRef,
) -> Finding:
    """A TLSOption keeps the host's clients out."""
    return make(
        "ING018",
        ref_of(option),
        variant=variant,
        option=f"{option.namespace}/{option.name}",
        host=scene.target.host,
        setting=setting,
        alert=alert,
        related=(route_ref(route), *related),
    )


def _strict(scene: Scene, route: Route) -> TLSOption | None:
    """The TLSOption that takes no name without a certificate: the route's, else any such."""
    every = (*options_of(scene, route), *scene.kube.every(TLSOption))
    return next((option for option in every if option.spec.sni_strict), None)


def _refused(scene: Scene, route: Route) -> Iterator[Finding]:
    """Handshakes that the route's TLS options refuse for another reason than the name."""
    alert, *_ = _alerts(scene) or [""]
    words = alert.replace("_", " ").lower()
    for said, variant, keys in _BY_OPTIONS:
        for option in options_of(scene, route) if said in words else ():
            shown = [f"{key}: {_plain(option.spec[key])}" for key in keys if option.spec.get(key)]
            if shown:
                yield about_option(scene, route, option, ", ".join(shown), alert, variant)
                return


def _alerts(scene: Scene) -> list[str]:
    """The alerts that end every handshake; none where one is completed."""
    # Where no request of a client could be made, what the hops inside say.
    last = [p.exchanges[-1] for p in sent(scene) or inside(scene)]
    alerts = [e.error_text for e in last if e.error is ErrorKind.TLS_ALERT]
    return alerts if len(alerts) == len(last) else []


def _plain(value: object) -> str:
    """A setting's value in one line."""
    if isinstance(value, ClientAuth):
        return " ".join((*value.secret_names, value.client_auth_type)).strip()
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def options_of(scene: Scene, route: Route) -> list[TLSOption]:
    """The TLSOption that holds for the route: its own, else that of the name "default"."""
    wanted, every = route.tls_options, scene.kube.every(TLSOption)
    return [o for o in every if (reference(*o.key) == wanted if wanted else o.name == "default")]
