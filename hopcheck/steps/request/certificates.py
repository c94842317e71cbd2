"""The certificate as presented: of the right name, in date, trusted, and for how long."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from hopcheck.behaviour.traefik.logs import unusable_certificate
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Evidence, Finding, ObjectRef, Severity, TlsInfo, Words
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import (
    CertificateProblem,
    certificate_problem,
    requests_made,
)
from hopcheck.scene.scene import Scene
from hopcheck.scene.strangers import stranger
from hopcheck.steps.names import route_ref
from hopcheck.steps.request.application import USES, of_host, share_of
from hopcheck.steps.rule import rule

_SOON_DAYS = 14


def _presented(scene: Scene) -> tuple[dict[CertificateProblem, list[TlsInfo]], list[TlsInfo]]:
    """The TLS sessions by the problem of their certificate, and those where it is fine."""
    by_problem: dict[CertificateProblem, list[TlsInfo]] = {}
    fine: list[TlsInfo] = []
    for probe in requests_made(scene.snapshot):
        if stranger(scene, probe.exchanges[-1]):
            continue  # of whom the answers speak
        for exchange in probe.exchanges:
            if exchange.tls is None or not exchange.tls.chain:
                continue
            problem = certificate_problem(exchange.tls, scene.snapshot)
            if problem is None:
                fine.append(exchange.tls)
            else:
                by_problem.setdefault(problem, []).append(exchange.tls)
                break
    return by_problem, fine


@rule(reads=("dns", "http"), uses=USES)
def the_certificate_is_valid(scene: Scene) -> Iterator[Finding]:
    """The certificate is the host's, in date and trusted, at every address."""
    total = len(requests_made(scene.snapshot))
    for problem, sessions in _presented(scene)[0].items():
        common: Words = {"share": share_of(len(sessions), total), "related": _secrets(scene)}
        yield _certificate(scene, problem, sessions[0], common)


def _certificate(scene: Scene, problem: CertificateProblem, tls: TlsInfo, common: Words) -> Finding:
    leaf, ref = tls.chain[0], ObjectRef("Certificate", scene.target.host)
    if problem is CertificateProblem.DEFAULT:
        return _default(scene, **common)
    if problem.value in ("authority", "incomplete", "untrusted"):
        kept = [one for one in common["related"] if one.kind == "Secret"]
        common |= {"secret": listing(f"{one.namespace}/{one.name}" for one in kept) or "-"}
        if problem is not CertificateProblem.UNTRUSTED:
            common |= {"variant": problem.value, "severity": Severity.ERROR}
            ref = kept[0] if len(kept) == 1 else ref
        error = tls.verify_error or text("certificate", "unknown")
        return of_host("REQ006", scene, ref, issuer=leaf.issuer, error=error, **common)
    shown = {"subject": leaf.subject, "names": listing(leaf.names), "not_after": leaf.not_after}
    return of_host(
        "REQ005",
        scene,
        ref,
        problem=text("certificate", problem.value, not_before=leaf.not_before, **shown),
        issuer=leaf.issuer,
        actual=text("certificate", "presented", **shown),
        advice=text("certificate_advice", problem.value),
        **common,
    )


def _default(scene: Scene, share: float | None, related: tuple[ObjectRef, ...]) -> Finding:
    """Traefik's own certificate: none is named, or what the Secrets hold is not the host's."""
    secrets = [ref for ref in related if ref.kind == "Secret"]
    wait = scene.static.throttle_s
    told = (
        unusable_certificate(r.log.or_else(()) or (), r.metrics.or_else({}) or {}, wait)
        for r in scene.snapshot.traefik.replicas
    )
    refused = next(filter(None, told), "")
    variant = ("unusable" if refused else "other") if secrets else None
    log = text("source", "log", pod="Traefik")
    return of_host(
        "REQ007",
        scene,
        variant=variant,
        share=share,
        related=related,
        evidence=(Evidence(log, refused),) if variant == "unusable" else (),
        secrets=listing(f"{ref.namespace}/{ref.name}" for ref in secrets),
        words=refused,
        ns=secrets[0].namespace if secrets else "",
        secret=secrets[0].name if secrets else "",
    )


def _secrets(scene: Scene) -> tuple[ObjectRef, ...]:
    """The Secrets that the route names: where the certificate is likely kept."""
    route = routing_of(scene).winner
    if route is None:
        return ()
    parts = (secret.rpartition("/") for secret in route.tls_secrets)
    secrets = (ObjectRef("Secret", name, space or route.namespace) for space, _, name in parts)
    return (route_ref(route), *secrets)


def _when(stamp: str) -> dt.datetime:
    return dt.datetime.fromisoformat(stamp.replace("Z", "+00:00"))


@rule(reads=("dns", "http"), uses=USES)
def the_certificate_is_valid_for_long_enough(scene: Scene) -> Iterator[Finding]:
    """The certificate does not expire soon."""
    by_problem, fine = _presented(scene)
    if by_problem or not fine:
        return
    first = min((tls.chain[0] for tls in fine), key=lambda leaf: leaf.not_after)
    try:
        left = _when(first.not_after) - _when(scene.snapshot.taken_at)
        whole = _when(first.not_after) - _when(first.not_before)
    except ValueError:
        return
    asked = scene.target.certificate_days
    threshold = _SOON_DAYS if asked is None else asked
    # Short-lived certificates (hours, days) are renewed late by design.
    if left.days >= threshold or (asked is None and left > whole / 4):
        return
    yield of_host(
        "REQ013",
        scene,
        ObjectRef("Certificate", scene.target.host),
        not_after=first.not_after,
        days=left.days,
        threshold=threshold,
        related=_secrets(scene),
    )
