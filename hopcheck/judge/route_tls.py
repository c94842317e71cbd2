"""What the route says of TLS: Secret, certificate resolver, options."""

from __future__ import annotations

from hopcheck.catalogue import listing, make, text
from hopcheck.judge.gaps import probes_at
from hopcheck.judge.names import last_exchanges, route_ref, route_words, traefik_refs
from hopcheck.model import ErrorKind, Finding, Hop, ObjectRef, Why
from hopcheck.model import Evidence as Proof
from hopcheck.outcome import CertificateProblem, certificate_problem
from hopcheck.way.logs import overtaken
from hopcheck.way.route import Route
from hopcheck.way.routes import listed
from hopcheck.way.routing import Routing
from hopcheck.way.scene import Scene, meta, spec


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
        return []
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
    return found


def _secret(scene: Scene, route: Route, secret: str) -> list[Finding]:
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
            route_ref(route, "spec.tls"),
            secret=f"{namespace}/{name}",
            reason=reason,
            evidence=proof,
            related=(ObjectRef("Secret", name, namespace),),
            **(route_words(route) | {"ns": namespace, "name": name}),
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
            related=(route_ref(route), *secrets),
        )
    ]
