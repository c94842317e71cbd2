"""Every address takes the connection and the handshake."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Finding, Hop, ObjectRef, Probe
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import traefik_refs
from hopcheck.steps.request import application
from hopcheck.steps.request.application import USES, host_ref, proof_of, share_of
from hopcheck.steps.rule import rule

_CONNECT = (ErrorKind.REFUSED, ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
_TLS = (ErrorKind.TLS_ALERT, ErrorKind.TLS_PROTOCOL, ErrorKind.TLS_TIMEOUT)


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
    made, target = requests_made(scene.snapshot), scene.target
    failing = [p for p in made if p.exchanges[-1].error in _CONNECT and len(p.exchanges) == 1]
    if failing:
        words = listing(
            dict.fromkeys(
                f"{p.address}: {text('error', str(p.exchanges[-1].error))}" for p in failing
            )
        )
        yield make(
            "REQ004",
            host_ref(scene),
            count=len(failing),
            total=len(made),
            host=target.host,
            port=target.port,
            detail=words,
            address=failing[0].address,
            url=target.url,
            share=share_of(len(failing), len(made)),
            evidence=proof_of(failing[0]),
        )


@rule(reads=("dns", "http"), uses=USES)
def every_address_keeps_the_connection(scene: Scene) -> Iterator[Finding]:
    """Every address completes the handshake and keeps the connection until it has answered."""
    made, target = requests_made(scene.snapshot), scene.target
    broken = [
        p for p in made if p.exchanges[-1].error in (*_TLS, ErrorKind.RESET, ErrorKind.PROTOCOL)
    ]
    if broken:
        last = broken[0].exchanges[-1]
        key = str(last.error)
        # A session that was set up and then closed is no failed handshake.
        unanswered = last.error_phase in ("send", "first_byte", "body")
        yield make(
            "REQ008",
            host_ref(scene),
            variant="unanswered" if unanswered else None,
            host=target.host,
            address=broken[0].address,
            port=target.port,
            url=target.url,
            error=last.error_text or text("error", key),
            advice=text("tls_advice", key if key in ("tls_alert", "tls_protocol") else "other"),
            share=share_of(len(broken), len(made)),
            related=_at_traefik(scene),
            evidence=proof_of(broken[0]),
        )


def _dead_end(scene: Scene, astray: list[Probe], total: int) -> Finding:
    """Requests that were answered by a redirect to where no connection can be made."""
    last = astray[0].exchanges[-1]
    own = application.redirects(scene) and bool(application.service_of(scene)[0])
    ref, related = application.application_of(scene)
    return make(
        "REQ011",
        ref if own else host_ref(scene),
        variant="dead_end",
        url=scene.target.url,
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
    broken = (*_TLS, ErrorKind.RESET, ErrorKind.PROTOCOL)
    if asked and all(p.exchanges[-1].error in broken for p in asked):
        return traefik_refs(scene)
    return ()
