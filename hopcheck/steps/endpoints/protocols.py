"""What Traefik speaks to the pods against what they speak: HTTP, TLS, and certificates."""

from __future__ import annotations

import re

from msgspec import Struct

from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.route import transport_of
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Probe
from hopcheck.model.kubernetes import ServersTransport
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import Producer, producer, says_tls
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.bounds import requests_reach_pods
from hopcheck.steps.endpoints.judged import traefik_statuses
from hopcheck.steps.names import last_exchanges

_NO_TLS_LOGGED = "first record does not look like a TLS handshake"
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_TLS_ALERT = "\x15\x03"  # a TLS record's first bytes: content type alert, version 3.x


class Mixed(Struct, frozen=True):
    """What the pods speak, where Traefik speaks something else."""

    spoken: str  # "HTTP", "HTTPS", or the first words of another protocol
    sent: str  # "HTTP" or "HTTPS"
    variant: str | None = None  # "other" where it is neither, "h2c" for HTTP/2 without TLS


class Untrusted(Struct, frozen=True):
    """Why Traefik does not trust the pods' certificate, and where its log says so."""

    error: str
    namespace: str
    pod: str


def misunderstood(scene: Scene, one: Upstream) -> Mixed | Untrusted | None:
    """Why Traefik and the pods do not understand each other; None where that is not known."""
    through = [e for e in last_exchanges(scene) if producer(e) is Producer.APPLICATION]
    # Where some understand, those that do not are no reason to speak otherwise to all of them.
    answers = [probe.exchanges[-1] for probe in one.probes]
    mixed = any(answer.status is not None and not says_tls(answer) for answer in answers)
    if one.alone and not mixed and one.scheme != "https" and any(says_tls(e) for e in through):
        return Mixed("HTTPS", "HTTP")
    # What the pods speak is seen directly, where another fault keeps requests from them as well.
    statuses = traefik_statuses(scene) if requests_reach_pods(scene) else {502}
    if not statuses & {500, 502}:
        # Nor need a request have met this one of several Services, if its words are plain.
        plain = not one.alone and one.probes and all(foreign(p) for p in one.probes)
        statuses = {502} if plain else set()
    if not statuses:
        return None
    for probe in () if mixed else one.probes:
        last = probe.exchanges[-1]
        other = one.turned.get((probe.address, probe.port))
        if probe.scheme == "http" and (
            says_tls(last)
            or last.error_text.startswith(_TLS_ALERT)
            or (other is not None and other.exchanges[-1].tls is not None)
        ):
            return Mixed("HTTPS", "HTTP")
        if probe.scheme == "https" and last.error is ErrorKind.TLS_PROTOCOL:
            return Mixed("HTTP", "HTTPS")
        if last.error is ErrorKind.PROTOCOL:
            words = last.error_text
            # The SETTINGS of HTTP/2 without TLS (RFC 9113: length, type 4).
            if words[:2] == "\0\0" and words[3:5] == "\x04\0":
                return Mixed("h2c", "HTTP", "h2c")
            return Mixed(words.encode("unicode_escape").decode(), "HTTP", "other")
    if 500 not in statuses or one.scheme != "https":
        return None
    return _logged(scene, one) or _presented(scene, one)


def foreign(probe: Probe) -> bool:
    """Whether what it said, asked as Traefik asks, is plainly of another protocol."""
    last = probe.exchanges[-1]
    if probe.scheme == "https":
        return last.error is ErrorKind.TLS_PROTOCOL
    other = last.error is ErrorKind.PROTOCOL or last.error_text.startswith(_TLS_ALERT)
    return other or says_tls(last)


def _logged(scene: Scene, one: Upstream) -> Mixed | Untrusted | None:
    """A 500 of Traefik's own, and the newest reason that its log gives for one (v3.3 on)."""
    addresses = {address for address, _, _ in one.used}
    replicas = scene.snapshot.traefik.replicas
    lines = ((one, line) for one in replicas for line in reversed(one.log.or_else(()) or ()))
    for replica, line in lines:
        if line.kind != "traefik" or not ("tls:" in line.raw or "x509" in line.raw):
            continue
        words = line.fields.get("error") or line.message or line.raw
        named = set(_ADDRESS.findall(words))
        if named and not named & addresses:
            continue  # another application's pods
        if _NO_TLS_LOGGED in words:
            return Mixed("HTTP", "HTTPS")
        if "x509" in words or "failed to verify certificate" in words:
            said = words[max(words.find("x509"), 0) :]
            return Untrusted(said, replica.namespace, replica.pod)
    return None


# crypto/x509's HostnameError.
_VALID_FOR = re.compile(r"is valid for (.+), not ")
_OTHER_NAME = re.compile(r"is valid for .+, not |IP SANs|not valid for any names")


def asks_another_name(why: Untrusted) -> bool:
    """Whether Traefik's own words say that it is the name which the certificate lacks."""
    return _OTHER_NAME.search(why.error) is not None


def names_of(one: Upstream, why: Untrusted) -> list[str]:
    """The names that the pods' certificate has: as Traefik says them, else as it was presented."""
    said = _VALID_FOR.search(why.error)
    chains = (probe.exchanges[-1].tls.chain for probe in one.probes if probe.exchanges[-1].tls)
    shown = [name for chain in chains for leaf in chain[:1] for name in leaf.names]
    return list(dict.fromkeys(said[1].split(", ") if said else shown))


def _presented(scene: Scene, one: Upstream) -> Untrusted | None:
    """The pods answer over TLS if nobody verifies; their certificate, as Traefik verifies it.

    Without a ServersTransport Traefik asks for the address and trusts the system's authorities.
    """
    if transport(one):
        return None
    for probe in one.probes:
        last = probe.exchanges[-1]
        if last.status is None or last.tls is None or not last.tls.chain:
            continue
        leaf = last.tls.chain[0]
        if probe.address in leaf.names and not leaf.self_signed:
            continue
        key = "self_signed" if leaf.self_signed else "name"
        names = listing(leaf.names) or leaf.subject
        said = text("backend_certificate", key, names=names, address=probe.address)
        instance = scene.instance
        pod = instance.pods[0].name if instance and instance.pods else ""
        return Untrusted(said, instance.namespace if instance else "", pod)
    return None


def transport(one: Upstream) -> str:
    """The ServersTransport by which Traefik speaks to the pods; "" for none."""
    return transport_of(routing_of(one.scene).winner, one.backend, one.service)


def named_transport(one: Upstream) -> ServersTransport | None:
    """That ServersTransport itself, where one is named and was seen."""
    route, name = routing_of(one.scene).winner, transport(one)
    full = name if route and route.kind == "Ingress" else reference(one.namespace, name)
    every = one.scene.kube.every(ServersTransport)
    return next((obj for obj in every if name and reference(*obj.key) == full), None)
