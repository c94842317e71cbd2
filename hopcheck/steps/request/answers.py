"""The answer is the one that was expected, at every address, in time."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Finding, Probe, Severity, Words
from hopcheck.scene.outcome import (
    TRAEFIK_BODIES,
    Producer,
    application_404,
    expected,
    outcome_of,
    producer,
    refused_path,
    requests_made,
    succeeded,
)
from hopcheck.scene.probes import through_traefik
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import failure, traefik_refs
from hopcheck.steps.request import application
from hopcheck.steps.request.application import USES, good_requests, of_host, proof_of, share_of
from hopcheck.steps.rule import rule


@rule(reads=("dns", "http"), uses=USES)
def every_address_gives_the_expected_answer(scene: Scene) -> Iterator[Finding]:
    """Every address gives an answer that was expected.

    One finding for each kind of bad answer, with its share of the addresses.
    """
    made = requests_made(scene.snapshot)
    kinds: dict[str, list[Probe]] = {}
    for probe in made:
        if not succeeded(scene.snapshot, probe, scene.target):
            kinds.setdefault(_kind(scene, probe), []).append(probe)
    for kind, probes in kinds.items():
        finding = _answer(scene, kind, probes[0], share_of(len(probes), len(made)))
        if finding is not None:
            yield finding


def _kind(scene: Scene, probe: Probe) -> str:
    last = probe.exchanges[-1]
    if last.error is ErrorKind.READ_TIMEOUT:
        return "slow"
    if last.error is ErrorKind.TOO_MANY_REDIRECTS:
        return "loop"
    if last.error is not None or last.status is None:
        return "connection"
    who = producer(last)
    own_404 = last.status == 404 and application_404(scene.snapshot, last)
    if (who is Producer.TRAEFIK and not own_404) or refused_path(scene.snapshot, last):
        return f"traefik {last.status}"
    if who in (Producer.ALB, Producer.CLOUDFRONT, Producer.CLOUDFLARE):
        return f"front {last.status}"
    if expected(last.status, scene.target.expect_status):
        return "certificate"
    return f"application {last.status}"


def _answer(scene: Scene, kind: str, probe: Probe, share: float | None) -> Finding | None:
    last = probe.exchanges[-1]
    namespace, _, selector = application.service_of(scene, last)
    ref, related = application.application_of(scene, last)
    common: Words = {"share": share, "evidence": proof_of(probe)}
    if kind == "slow":
        return of_host(
            "REQ003",
            scene,
            ref if application.waits(scene, namespace) else None,
            tls=f" ({last.tls.version})" if last.tls else "",
            seconds=round(last.timing.total, 1),
            ns=namespace or "default",
            selector=selector,
            related=related,
            **common,
        )
    if kind == "loop":
        own = bool(namespace) and application.redirects(scene)
        return of_host(
            "REQ011",
            scene,
            ref if own else None,
            count=len(probe.exchanges),
            location=last.header("location") or last.url,
            detail="",
            related=related,
            **common,
        )
    if kind.startswith("traefik"):
        status = last.status or 0
        if refused_path(scene.snapshot, last):
            at = next(iter(traefik_refs(scene)), None)
            return of_host(
                "REQ014", scene, at, variant="encoded", status=status, services="", **common
            )
        key = str(status) if status in TRAEFIK_BODIES or status == 421 else "other"
        return of_host(
            "REQ009",
            scene,
            status=status,
            related=related,
            hops="",
            answer=_worded(status, last.body.strip()[:60]),
            meaning=text("traefik_answer", key),
            **common,
        )
    if kind.startswith("front"):
        who = producer(last)
        return of_host(
            "REQ010",
            scene,
            status=last.status,
            who=text("front", who.value),
            server=last.header("server") or "",
            advice=text("front_advice", who.value),
            **common,
        )
    if kind.startswith("application"):
        return application.answered(scene, last, ref, related, common)
    return None


def _worded(status: int | None, words: str) -> str:
    """The status and the body's words, which often begin with it."""
    return words if words.startswith(str(status)) else f"{status} {words}".strip()


@rule(reads=("dns", "http"), uses=USES)
def traefik_fails_at_no_hop(scene: Scene) -> Iterator[Finding]:
    """Traefik answers at no hop with a 5xx of its own, though requests from here had better luck.

    One finding for each status; where a request from here failed alike, that tells.
    """
    made = requests_made(scene.snapshot)
    if not made or not all(succeeded(scene.snapshot, one, scene.target) for one in made):
        return
    kinds: dict[int, list[Probe]] = {}
    probes = through_traefik(scene)
    for probe in probes:
        last = probe.exchanges[-1]
        if (status := last.status or 0) >= 500 and producer(last) is Producer.TRAEFIK:
            kinds.setdefault(status, []).append(probe)
    for status, failing in kinds.items():
        last = failing[0].exchanges[-1]
        yield of_host(
            "REQ009",
            scene,
            variant="hop",
            status=status,
            hops=listing(probe.member for probe in failing),
            answer=_worded(status, last.body.strip()[:60]),
            meaning=text("traefik_answer", str(status)),
            share=share_of(len(failing), len(probes)),
            evidence=proof_of(failing[0]),
        )


@rule(reads=("dns", "http"), uses=USES)
def answers_come_in_time(scene: Scene) -> Iterator[Finding]:
    """Good answers take no longer than the host's own limit; without one nothing is slow."""
    limit, good = scene.target.slow_seconds, good_requests(scene)
    slow = [p for p in good if limit is not None and p.exchanges[-1].timing.total > limit]
    if not slow:
        return
    slowest = max(slow, key=lambda probe: probe.exchanges[-1].timing.total)
    last = slowest.exchanges[-1]
    namespace, _, selector = application.service_of(scene, last)
    ref, related = application.application_of(scene, last)
    yield of_host(
        "REQ003",
        scene,
        ref,
        variant="slow",
        severity=Severity.WARNING,
        tls=f" ({last.tls.version})" if last.tls else "",
        seconds=round(last.timing.total, 1),
        ns=namespace or "default",
        selector=selector,
        related=related,
        share=share_of(len(slow), len(good)),
        evidence=proof_of(slowest),
    )


@rule(reads=("dns", "http"), uses=USES)
def the_asked_scheme_is_the_one_that_serves(scene: Scene) -> Iterator[Finding]:
    """The host does not serve by http alone where https was asked."""
    made, target = requests_made(scene.snapshot), scene.target
    if not made or good_requests(scene) or not outcome_of(scene).other_scheme_serves:
        return
    last = made[0].exchanges[-1]
    yield of_host(
        "REQ012",
        scene,
        http_url=f"http://{target.host}{target.path}",
        https_url=f"https://{target.host}{target.path}",
        severity=Severity.ERROR,
        actual=str(last.status or failure(last)),
    )
