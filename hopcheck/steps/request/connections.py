"""Every address takes the connection and the handshake."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Finding, Hop, ObjectRef, Probe
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import traefik_refs
from hopcheck.steps.request import application
from hopcheck.steps.request.application import USES, of_host, proof_of, share_of
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
        yield _dead_end(scene, astray, len(made))


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
        yield of_host(
            "REQ008",
            scene,
            variant="unanswered" if unanswered else None,
            address=broken[0].address,
            error=last.error_text or text("error", key),
            advice=text("tls_advice", key if key in ("tls_alert", "tls_protocol") else "other"),
            share=share_of(len(broken), len(made)),
            related=_at_traefik(scene),
            evidence=proof_of(broken[0]),
        )


def _dead_end(scene: Scene, astray: list[Probe], total: int) -> Finding:
    """Requests that were answered by a redirect to where no connection can be made."""
    last = astray[0].exchanges[-1]
    first = astray[0].exchanges[0]
    own = application.redirects(scene) and bool(application.service_of(scene, first)[0])
    ref, related = application.application_of(scene, first)
    return of_host(
        "REQ011",
        scene,
        ref if own else None,
        variant="dead_end",
        count=len(astray[0].exchanges) - 1,
        location=last.url,
        detail=text("error", str(last.error)),
        share=share_of(len(astray), total),
        related=related,
        evidence=proof_of(astray[0]),
    )


def _at_traefik(scene: Scene) -> tuple[ObjectRef, ...]:
    """Traefik's workload, where its own pods, asked directly, break the connection as well."""
    asked = probes_at(scene, Hop.TRAEFIK_POD)
    all_break = bool(asked) and all(p.exchanges[-1].error in _BROKEN for p in asked)
    return traefik_refs(scene) if all_break else ()
