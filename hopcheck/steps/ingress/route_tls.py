"""What the route says of TLS: Secret, certificate resolver, options."""

from __future__ import annotations

from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.logs import overtaken
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.routes import listed
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Finding, Hop, Obj, ObjectRef, Why
from hopcheck.model import Evidence as Proof
from hopcheck.model.kubernetes import ClientAuth
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.outcome import CertificateProblem, certificate_problem
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps.names import last_exchanges, route_ref, route_words, traefik_refs


def _presented(scene: Scene) -> CertificateProblem | None:
    """The problem of the certificate that clients see; Traefik's own word where none gets there."""
    asked = [c.get() for c in scene.snapshot.http.requests if c.seen]
    behind = [*probes_at(scene, Hop.NODE), *probes_at(scene, Hop.TRAEFIK_POD)]
    for probe in (*asked, *behind):
        for exchange in probe.exchanges:
            if exchange.tls is not None and exchange.tls.chain:
                return certificate_problem(exchange.tls, scene.target.host, scene.snapshot.taken_at)
    return None


def _alert(scene: Scene) -> bool:
    return any(
        e.error is ErrorKind.TLS_ALERT and "unrecognized" in e.error_text.replace("_", " ").lower()
        for e in last_exchanges(scene)
    )


def judge(scene: Scene, routing: Routing, route: Route) -> list[Finding]:
    """Blame a Secret, resolver or option only where the certificate presented is not the host's."""
    if routing.scheme_inside != "https" or route.passthrough:
        return []
    if _alert(scene):
        return _strict(scene, route)
    if _presented(scene) is not CertificateProblem.DEFAULT:
        return _refused(scene, route)
    found: list[Finding] = []
    for secret in route.tls_secrets:
        found += _secret(scene, route, secret)
    resolver = route.cert_resolver
    static = routing.view.static
    if resolver and static.known and resolver not in static.cert_resolvers:
        found.append(
            make(
                "ING019",
                route_ref(route),
                resolver=resolver,
                existing=listing(static.cert_resolvers),
                related=traefik_refs(scene),
                **route_words(route),
            )
        )
    return found or _default_store(scene, route)


_INSIDE = (Hop.NODE, Hop.TRAEFIK_POD)
# What a TLS server's alert says (RFC 8446, section 6.2), and the options that make Traefik say it.
_BY_OPTIONS = (
    ("certificate required", "client_certificate", ("clientAuth",)),
    ("bad certificate", "client_certificate", ("clientAuth",)),
    ("protocol version", "versions", ("minVersion", "maxVersion")),
    ("handshake failure", "ciphers", ("cipherSuites", "curvePreferences", "minVersion")),
)


def _refused(scene: Scene, route: Route) -> list[Finding]:
    """Handshakes that the route's TLS options refuse for another reason than the name."""
    behind = [p.exchanges[-1] for hop in _INSIDE for p in probes_at(scene, hop)]
    last = last_exchanges(scene) or behind  # where no request of a client could be made
    errors = [e for e in last if e.error is ErrorKind.TLS_ALERT]
    if not errors or len(errors) < len(last):
        return []
    words = errors[0].error_text.replace("_", " ").lower()
    for said, variant, keys in _BY_OPTIONS:
        if said not in words:
            continue
        for option in _options_of(scene, route):
            if any(spec(option).get(key) for key in keys):
                name, namespace = meta(option)["name"], meta(option).get("namespace")
                shown = ", ".join(
                    f"{key}: {_plain(spec(option)[key])}" for key in keys if spec(option).get(key)
                )
                return [
                    make(
                        "ING018",
                        ObjectRef("TLSOption", name, namespace),
                        variant=variant,
                        option=f"{namespace}/{name}",
                        host=scene.target.host,
                        setting=shown,
                        alert=errors[0].error_text,
                        related=(route_ref(route),),
                    )
                ]
    return []


def invalid(scene: Scene, route: Route, error: str) -> Finding | None:
    """TLS options that Traefik cannot use, by the error with which it disables a router."""
    options = _options_of(scene, route)
    if "TLS config" not in error or len(options) != 1:
        return None
    name, namespace = meta(options[0])["name"], meta(options[0]).get("namespace")
    return make(
        "ING018",
        ObjectRef("TLSOption", name, namespace),
        variant="invalid",
        option=f"{namespace}/{name}",
        host=scene.target.host,
        setting=error,
        alert="",
        related=(route_ref(route),),
    )


def _plain(value: object) -> str:
    """A setting's value in one line."""
    if isinstance(value, ClientAuth):
        return " ".join((*value.secret_names, value.client_auth_type)).strip()
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _options_of(scene: Scene, route: Route) -> list[Obj]:
    """The TLSOption that holds for the route: its own, else that of the name "default"."""
    wanted = route.tls_options
    return [
        option
        for option in listed(scene.kube, "tlsoptions")
        if (
            wanted == reference(str(meta(option).get("namespace", "")), meta(option)["name"])
            if wanted
            else meta(option)["name"] == "default"
        )
    ]


def _default_store(scene: Scene, route: Route) -> list[Finding]:
    """The default TLSStore's Secret is missing, where the route brings no certificate itself."""
    found: list[Finding] = []
    for store in listed(scene.kube, "tlsstores"):
        secret = (spec(store).get("defaultCertificate") or {}).get("secretName")
        if meta(store)["name"] == "default" and secret and not route.tls_secrets:
            namespace = str(meta(store).get("namespace", ""))
            holder = ObjectRef("TLSStore", "default", namespace, "spec.defaultCertificate")
            found += _secret(scene, route, f"{namespace}/{secret}", holder)
    return found


def _secret(
    scene: Scene, route: Route, secret: str, holder: ObjectRef | None = None
) -> list[Finding]:
    namespace, _, name = secret.rpartition("/")
    namespace = namespace or route.namespace
    collected = scene.kube.one("secrets", namespace, name)
    logged = _logged(scene, namespace, name)
    if collected.why is Why.NOT_FOUND:
        reason = text("secret", "missing")
    elif logged and "missing the following" in logged:
        reason = text("secret", "keys")
    elif logged and "empty TLS data entries" in logged:
        reason = text("secret", "empty")
    elif logged and "does not exist" in logged and not collected.seen:
        reason = text("secret", "missing")
    else:
        return []
    proof = (
        [Proof(collected.source or "API", text("why", "not_found"))]
        if not logged
        else [Proof(text("source", "log", pod="Traefik"), logged)]
    )
    return [
        make(
            "ING016",
            holder or route_ref(route, "spec.tls"),
            secret=f"{namespace}/{name}",
            reason=reason,
            evidence=proof,
            related=(
                ObjectRef("Secret", name, namespace),
                *((route_ref(route),) if holder else ()),
            ),
            **(
                route_words(route)
                | {"ns": namespace, "name": name}
                | ({"route": str(holder).partition(" spec")[0]} if holder else {})
            ),
        )
    ]


def _logged(scene: Scene, namespace: str, name: str) -> str:
    """The newest line on the Secret that no later configuration has overtaken; "" for none."""
    for replica in scene.snapshot.traefik.replicas:
        metrics = replica.metrics.or_else({}) or {}
        for line in reversed(replica.log.or_else(()) or ()):
            words = line.raw
            if f"{namespace}/{name}" in words and ("secret" in words.lower() or "TLS" in words):
                old = overtaken(line, metrics, scene.static.throttle_s)
                return "" if old else words
    return ""


def _strict(scene: Scene, route: Route) -> list[Finding]:
    options = [
        obj for obj in listed(scene.kube, "tlsoptions") if spec(obj).get("sniStrict") is True
    ]
    if not options:
        return []
    wanted = [o for o in options if meta(o)["name"] in (route.tls_options or "default")]
    chosen = (wanted or options)[0]
    name, namespace = meta(chosen)["name"], meta(chosen).get("namespace")
    secrets = [
        ObjectRef("Secret", s.rpartition("/")[2], route.namespace) for s in route.tls_secrets
    ]
    missing = [s for s in route.tls_secrets if _secret(scene, route, s)]
    if missing:
        return _secret(scene, route, missing[0])
    return [
        make(
            "ING018",
            ObjectRef("TLSOption", name, namespace),
            option=f"{namespace}/{name}",
            host=scene.target.host,
            setting="sniStrict",
            alert="unrecognized_name",
            related=(route_ref(route), *secrets),
        )
    ]
