"""Every address takes the connection and the handshake, by either version of HTTP."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Finding, Hop, Probe, Severity
from hopcheck.scene.http_versions import first_works, only_version
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import traefik_refs
from hopcheck.steps.request.application import (
    USES,
    author_of,
    of_host,
    proof_of,
    redirects,
    share_of,
)
from hopcheck.steps.rule import rule

_CONNECT = (ErrorKind.REFUSED, ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
_TLS = (ErrorKind.TLS_ALERT, ErrorKind.TLS_PROTOCOL, ErrorKind.TLS_TIMEOUT)
_BROKEN = (*_TLS, ErrorKind.RESET, ErrorKind.PROTOCOL)


@rule(reads=("dns", "http"), uses=USES)
def no_redirect_leads_to_where_nobody_listens(scene: Scene) -> Iterator[Finding]:
    """A redirect leads to where a connection can be made."""
    made = requests_made(scene.snapshot)
    failing = [p for p in made if p.exchanges[-1].error in _CONNECT]
    if astray := [p for p in failing if len(p.exchanges) > 1]:
        exchanges = astray[0].exchanges
        own = author_of(scene, exchanges[0])
        yield of_host(
            "REQ011",
            scene,
            own.ref if own.services and redirects(scene) else None,
            variant="dead_end",
            count=len(exchanges) - 1,
            location=exchanges[-1].url,
            detail=text("error", str(exchanges[-1].error)),
            share=share_of(len(astray), len(made)),
            related=own.related,
            evidence=proof_of(astray[0]),
        )


@rule(reads=("dns", "http"), uses=USES)
def every_address_takes_the_connection(scene: Scene) -> Iterator[Finding]:
    """Every address of the host takes the connection."""
    made = requests_made(scene.snapshot)
    failing = [p for p in made if p.exchanges[-1].error in _CONNECT and len(p.exchanges) == 1]
    if failing:
        why = (f"{p.address}: {text('error', str(p.exchanges[-1].error))}" for p in failing)
        yield of_host(
            "REQ004",
            scene,
            count=len(failing),
            total=len(made),
            detail=listing(dict.fromkeys(why)),
            address=failing[0].address,
            share=share_of(len(failing), len(made)),
            evidence=proof_of(failing[0]),
        )


@rule(reads=("dns", "http"), uses=USES)
def every_address_keeps_the_connection(scene: Scene) -> Iterator[Finding]:
    """Every address completes the handshake and keeps the connection until it has answered."""
    made = requests_made(scene.snapshot)
    broken = [probe for probe in made if probe.exchanges[-1].error in _BROKEN]
    if broken:
        last = broken[0].exchanges[-1]
        key = str(last.error)
        # A session that was set up and then closed is no failed handshake.
        unanswered = last.error_phase in ("send", "first_byte", "body")
        pods = probes_at(scene, Hop.TRAEFIK_POD)
        # Traefik's own pods, asked directly, break it as well.
        own = bool(pods) and all(pod.exchanges[-1].error in _BROKEN for pod in pods)
        yield of_host(
            "REQ008",
            scene,
            variant="unanswered" if unanswered else None,
            address=broken[0].address,
            error=last.error_text or text("error", key),
            advice=text("tls_advice", key if key in ("tls_alert", "tls_protocol") else "other"),
            share=share_of(len(broken), len(made)),
            related=traefik_refs(scene) if own else (),
            evidence=proof_of(broken[0]),
        )


@rule(reads=("dns", "http"), uses=USES)
def either_version_of_http_serves(scene: Scene) -> Iterator[Finding]:
    """The host answers by HTTP/2 as by HTTP/1.1, where it offers both."""
    total = len(requests_made(scene.snapshot))
    groups: dict[str | None, list[Probe]] = {}
    for one in scene.snapshot.http.versions:
        if one.seen and one.get().exchanges:
            groups.setdefault(one.get().address, []).append(one.get())
    failing: dict[str, list[tuple[Probe, Probe]]] = {}
    for probes in groups.values():
        version = only_version(probes)
        if version is not None:
            good, bad = probes[:2] if first_works(probes) else probes[1::-1]
            failing.setdefault(version, []).append((good, bad))
    for version, pairs in failing.items():
        good, bad = pairs[0]
        last = bad.exchanges[-1]
        http2_alone = version == "HTTP/2"
        # HTTP/1.1 may be refused in so many words, as where it is not wanted.
        refused = last.error is ErrorKind.TLS_ALERT or last.status is not None
        yield of_host(
            "REQ017",
            scene,
            variant="http2" if http2_alone else None,
            severity=Severity.WARNING if http2_alone and refused else None,
            address=bad.address,
            port=last.port,
            url=last.url,
            error=str(last.status or last.error_text or text("error", str(last.error))),
            # HTTP/1.1 is asked at one address alone while HTTP/2 works.
            share=None if http2_alone else share_of(len(pairs), total),
            evidence=(*proof_of(bad), *proof_of(good)),
        )
