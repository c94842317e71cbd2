"""The certificate that is presented for the host, and when its issuance is worth a look (pure)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from hopcheck.behaviour.kubernetes.issuance import ASKS, GROUP
from hopcheck.behaviour.traefik.route import Route
from hopcheck.model import Hop, Probe, TlsInfo
from hopcheck.model.kubernetes import Ingress, Secret, TLSStore
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import certificate_fails, certificate_problem, name_matches
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene

SOLVED_AT = "/.well-known/acme-challenge/"


def inside(scene: Scene) -> list[Probe]:
    """The host's request as sent to nodes and Traefik's pods."""
    return [*probes_at(scene, Hop.NODE), *probes_at(scene, Hop.TRAEFIK_POD)]


def presented(scene: Scene) -> TlsInfo | None:
    """The certificate that clients see; Traefik's own word where none gets there."""
    made = [one.get() for one in scene.snapshot.http.requests if one.seen]
    for probe in (*made, *inside(scene)):
        for exchange in probe.exchanges:
            if exchange.tls is not None and exchange.tls.chain:
                return exchange.tls
    return None


def tls_secrets(scene: Scene) -> list[tuple[str, str]]:
    """Where the route's certificate is kept: its own Secrets, else those of the default store."""
    route = routing_of(scene).winner
    if route is None or route.passthrough or (scene.way and scene.way.listener.ends_tls):
        return []
    parts = [secret.rpartition("/") for secret in route.tls_secrets]
    named = [(space or route.namespace, name) for space, _, name in parts]
    if named or route.cert_resolver:
        ingress = ingress_of(scene, route)
        entries = ingress.spec.tls if ingress is not None else ()
        own = [e.secret_name for e in entries if covers(e.hosts, scene.target.host)]
        return [one for one in named if one[1] in own] or named
    stores = [one for one in scene.kube.every(TLSStore) if one.name == "default"]
    kept = [(one.namespace, one.spec.default_certificate) for one in stores]
    return [(space, one.secret_name) for space, one in kept if one and one.secret_name]


def ingress_of(scene: Scene, route: Route) -> Ingress | None:
    """The Ingress behind a route; None where it is of another kind."""
    found = scene.kube.find(Ingress, route.namespace, route.name)
    return found.get() if found.seen and route.kind == "Ingress" else None


def covers(names: Iterable[str], host: str) -> bool:
    """Whether one of the names of a certificate is the host's."""
    return any(name_matches(one, host) for one in names)


def late(tls: TlsInfo, now: str) -> bool:
    """Whether less than a third of its life is left: cert-manager has renewed by then."""
    times = (tls.chain[0].not_before, tls.chain[0].not_after, now)
    try:
        start, end, at = map(dt.datetime.fromisoformat, times)
    except ValueError:
        return False
    return end - at < (end - start) / 3


def in_doubt(scene: Scene) -> list[tuple[str, str]]:
    """Secrets whose issuance is worth asking for: (namespace, name).

    Those of a certificate that clients refuse; and of one that ends before long and that
    cert-manager makes.
    """
    tls = presented(scene)
    if tls is None:
        return []
    secrets = tls_secrets(scene)
    if certificate_fails(certificate_problem(tls, scene.snapshot)):
        return secrets
    return [one for one in secrets if late(tls, scene.snapshot.taken_at) and _made(scene, *one)]


def _made(scene: Scene, namespace: str, name: str) -> bool:
    """Whether cert-manager makes a Secret: it says so, or, where not seen, the Ingress."""
    secret, route = scene.kube.find(Secret, namespace, name), routing_of(scene).winner
    if secret.seen:
        return f"{GROUP}/certificate-name" in secret.get().metadata.annotations
    ingress = ingress_of(scene, route) if route is not None else None
    return ingress is not None and any(key in ingress.metadata.annotations for key in ASKS)


def challenge_url(scene: Scene) -> str:
    """Where the authority asks for the token of a challenge: by plain HTTP; "" without one."""
    for ingress in scene.kube.every(Ingress):
        if any(one.kind == "Challenge" for one in ingress.metadata.owner_references):
            for rule in ingress.spec.rules:
                paths = rule.http.paths if rule.http and rule.host == scene.target.host else ()
                for path in paths:
                    if path.path.startswith(SOLVED_AT):
                        return f"http://{scene.target.host}{path.path}"
    return ""
