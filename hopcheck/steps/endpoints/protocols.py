"""What Traefik speaks to the pods against what they speak: HTTP, TLS, and certificates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from hopcheck.behaviour.traefik.route import Backend
from hopcheck.behaviour.traefik.upstream import transport_of
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Finding, LogLine, ObjectRef, Probe, Replica
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.outcome import Producer, producer, says_tls
from hopcheck.scene.scene import Scene, meta
from hopcheck.steps.names import last_exchanges, route_refs, workloads_of

_NO_TLS_LOGGED = "first record does not look like a TLS handshake"
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_TLS_ALERT = "\x15\x03"  # a TLS record's first bytes: content type alert, version 3.x


class Asked(Struct, frozen=True):
    """A Service's pods: what Traefik speaks to them, and how they answered when asked.

    `addresses` are those of the endpoints that Traefik uses. `own` were asked in the scheme that
    Traefik speaks, `turned` in the other one, by address and
    port.
    """

    backend: Backend
    scheme: str
    port: int
    addresses: frozenset[str]
    own: list[Probe]
    turned: dict[tuple[str, int], Probe]


def mixed_up(scene: Scene, routing: Routing, asked: Asked, statuses: set[int]) -> Finding | None:
    """Why Traefik and the pods do not understand each other; None where that is not known.

    `statuses` are those that Traefik itself answered with.
    """
    through = [e for e in last_exchanges(scene) if producer(e) is Producer.APPLICATION]
    if asked.scheme != "https" and any(says_tls(e) for e in through):
        return _mismatch(routing, asked, "HTTPS", "HTTP")
    if not statuses & {500, 502}:
        return None
    for probe in asked.own:
        last = probe.exchanges[-1]
        other = asked.turned.get((probe.address, probe.port))
        if probe.scheme == "http" and (
            says_tls(last)
            or last.error_text.startswith(_TLS_ALERT)
            or (other is not None and other.exchanges[-1].tls is not None)
        ):
            return _mismatch(routing, asked, "HTTPS", "HTTP")
        if probe.scheme == "https" and last.error is ErrorKind.TLS_PROTOCOL:
            return _mismatch(routing, asked, "HTTP", "HTTPS")
        if last.error is ErrorKind.PROTOCOL:
            return _mismatch(routing, asked, last.error_text or "", "HTTP", variant="other")
    if 500 not in statuses or asked.scheme != "https":
        return None
    return _logged(scene, routing, asked) or _presented(scene, routing, asked)


def _mismatch(
    routing: Routing, asked: Asked, spoken: str, sent: str, variant: str | None = None
) -> Finding:
    backend = asked.backend
    return make(
        "END008",
        ObjectRef("Service", backend.name, backend.namespace),
        variant=variant,
        service=f"{backend.namespace}/{backend.name}",
        port=asked.port,
        spoken=spoken,
        sent=sent,
        scheme="https" if variant else spoken.lower(),
        ns=backend.namespace,
        svc=backend.name,
        related=(
            *route_refs(routing),
            *workloads_of(routing.scene, backend.namespace, backend.name),
        ),
    )


def _logged(scene: Scene, routing: Routing, asked: Asked) -> Finding | None:
    """A 500 of Traefik's own, and the newest reason that its log gives for one (v3.3 on)."""
    for replica, line in _failures(scene):
        words = line.fields.get("error") or line.message or line.raw
        named = set(_ADDRESS.findall(words))
        if named and not named & asked.addresses:
            continue  # another application's pods
        if _NO_TLS_LOGGED in words:
            return _mismatch(routing, asked, "HTTP", "HTTPS")
        if "x509" in words or "failed to verify certificate" in words:
            start = words.find("x509")
            said = words[start:] if start >= 0 else words
            return _untrusted(routing, asked, said, replica.namespace, replica.pod)
    return None


def _presented(scene: Scene, routing: Routing, asked: Asked) -> Finding | None:
    """The pods answer over TLS if nobody verifies; their certificate, as Traefik verifies it.

    Without a ServersTransport Traefik asks for the address and trusts the system's authorities.
    """
    service = scene.service(asked.backend.namespace, asked.backend.name)
    if service is None or transport_of(routing.winner, asked.backend, service):
        return None
    for probe in asked.own:
        last = probe.exchanges[-1]
        if last.status is None or last.tls is None or not last.tls.chain:
            continue
        leaf = last.tls.chain[0]
        if probe.address in leaf.names and not leaf.self_signed:
            continue
        key = "self_signed" if leaf.self_signed else "name"
        names = listing(leaf.names) or leaf.subject
        said = text("backend_certificate", key, names=names, address=probe.address)
        pods = scene.instance.pods if scene.instance else ()
        pod = str(meta(pods[0]).get("name")) if pods else ""
        namespace = scene.instance.namespace if scene.instance else ""
        return _untrusted(routing, asked, said, namespace, pod)
    return None


def _untrusted(routing: Routing, asked: Asked, error: str, namespace: str, pod: str) -> Finding:
    backend = asked.backend
    return make(
        "END009",
        ObjectRef("Service", backend.name, backend.namespace),
        service=f"{backend.namespace}/{backend.name}",
        error=error,
        ns=backend.namespace,
        svc=backend.name,
        traefik_ns=namespace,
        pod=pod,
        related=(*route_refs(routing), *_transport(routing, asked)),
    )


def _transport(routing: Routing, asked: Asked) -> tuple[ObjectRef, ...]:
    """The ServersTransport by which Traefik verifies the pods: its authorities may be missing."""
    backend = asked.backend
    service = routing.scene.service(backend.namespace, backend.name) or {}
    name = transport_of(routing.winner, backend, service)
    bare = name.removesuffix("@kubernetescrd").removeprefix(f"{backend.namespace}-")
    return (ObjectRef("ServersTransport", bare, backend.namespace),) if name else ()


def _failures(scene: Scene) -> Iterator[tuple[Replica, LogLine]]:
    """Lines on TLS towards the pods, each replica's newest first."""
    for replica in scene.snapshot.traefik.replicas:
        for line in reversed(replica.log.or_else(()) or ()):
            if line.kind == "traefik" and ("tls:" in line.raw or "x509" in line.raw):
                yield replica, line
