"""The answer is the one that was expected, at every address, in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hopcheck.behaviour.aws.loadbalancer import own_answer
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Exchange, Finding, ObjectRef, Probe, Severity, Words
from hopcheck.scene.outcome import (
    Producer,
    application_404,
    expected,
    outcome_of,
    producer,
    refused_path,
    requests_made,
    succeeded,
    turned_away,
)
from hopcheck.scene.probes import through_traefik
from hopcheck.scene.scene import Scene
from hopcheck.scene.strangers import stranger
from hopcheck.steps.bounds import works
from hopcheck.steps.names import failure, traefik_refs
from hopcheck.steps.request import application
from hopcheck.steps.request.application import USES, Author, by_traefik, of_host, proof_of, share_of
from hopcheck.steps.rule import rule


@rule(reads=("dns", "http"), uses=USES)
def every_address_gives_the_expected_answer(scene: Scene) -> Iterator[Finding]:
    """Every address gives an answer that was expected.

    One finding for each kind of bad answer, with its share of the addresses.
    """
    made = requests_made(scene.snapshot)
    kinds: dict[str, list[Probe]] = {}
    for probe in made:
        if not succeeded(scene, probe):
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
    if stranger(scene, last):
        return "stranger"
    who = producer(last)
    own_404 = last.status == 404 and application_404(scene.snapshot, last)
    if (who is Producer.TRAEFIK and not own_404) or refused_path(scene.snapshot, last):
        return f"traefik {last.status}"
    if who in (Producer.ALB, Producer.CLOUDFRONT, Producer.CLOUDFLARE):
        return f"front {last.status}"
    if turned_away(scene, last):
        return f"middleware {last.status}"
    if expected(last.status, scene.target.expect_status):
        return "certificate"
    return f"application {last.status}"


def _answer(scene: Scene, kind: str, probe: Probe, share: float | None) -> Finding | None:
    last = probe.exchanges[-1]
    own = application.author_of(scene, last)
    common: Words = {"share": share, "evidence": proof_of(probe)}
    if probe.exchanges[0].url != last.url and kind != "loop":
        common |= {"url": last.url}  # the one that failed, not the one that was asked
    if kind == "slow":
        pods = [pod for one in own.services for pod in one.selected]
        waits = application.waits(scene, own.namespace, pods)
        return _late(scene, last, own, own.ref if waits else None, **common)
    if kind == "loop":
        return of_host(
            "REQ011",
            scene,
            own.ref if own.services and application.redirects(scene) else None,
            count=len(probe.exchanges),
            location=last.header("location") or last.url,
            detail="",
            related=own.related,
            **common,
        )
    if kind.startswith("traefik"):
        status = last.status or 0
        if refused_path(scene.snapshot, last):
            at = next(iter(traefik_refs(scene)), None)
            return of_host(
                "REQ014", scene, at, variant="encoded", status=status, services="", **common
            )
        return by_traefik(scene, status, _worded(last), related=own.related, **common)
    if kind.startswith("front"):
        who = producer(last)
        return of_host(
            "REQ010",
            scene,
            _listener(scene, last),
            status=last.status,
            who=text("front", who.value),
            server=last.header("server") or "",
            advice=text("front_advice", _front(scene, last)),
            address=last.address,
            **common,
        )
    if kind == "stranger":
        names = listing(last.tls.chain[0].names) if last.tls and last.tls.chain else "-"
        words: Words = {"who": names, "server": last.header("server") or "-", "advice": ""}
        words |= {"variant": "stranger", "status": last.status, "address": last.address}
        return of_host("REQ010", scene, related=traefik_refs(scene), **words, **common)
    if kind.startswith("middleware"):
        words = {"variant": "middleware", "status": last.status, "services": ""}
        return of_host("REQ014", scene, **words, **common)
    if kind.startswith("application"):
        return application.answered(scene, last, own, common)
    return None


def _front(scene: Scene, last: Exchange) -> str:
    """Who in front wrote it; an ALB's own 403 comes of its firewall, where no rule gives it."""
    who, way = producer(last), scene.way
    if who is not Producer.ALB or (last.status or 500) >= 500:
        return who.value
    chosen = scene.rule(way.listener) if way is not None else None
    given = chosen is None or any(
        own_answer(action) == str(last.status) for action in chosen.actions
    )
    blocked = last.status == 403 or last.header("x-amzn-waf-action")
    return "firewall" if blocked and not given else "alb_rule"


def _listener(scene: Scene, last: Exchange) -> ObjectRef | None:
    """The listener, where an ALB refuses a request by itself: by a rule, a login, its WAF."""
    way, own = scene.way, producer(last) is Producer.ALB and (last.status or 500) < 500
    name = f"{way.balancer.load_balancer_name}:{way.listener.port}" if way is not None else ""
    return ObjectRef("Listener", name) if own and name else None


def _late(
    scene: Scene, last: Exchange, own: Author, at: ObjectRef | None, /, **more: Any
) -> Finding:
    """An answer that came late, or not at all."""
    words = own.words | {"related": own.related, "seconds": round(last.timing.total, 1)}
    tls = f" ({last.tls.version})" if last.tls else ""
    return of_host("REQ003", scene, at, tls=tls, **words, **more)


def _worded(last: Exchange) -> str:
    """The status and the body's words, which often begin with it."""
    words = last.body.strip()[:60]
    return words if words.startswith(str(last.status)) else f"{last.status} {words}".strip()


@rule(reads=("dns", "http"), uses=USES)
def traefik_fails_at_no_hop(scene: Scene) -> Iterator[Finding]:
    """Traefik answers at no hop with a 5xx of its own, though requests from here had better luck.

    One finding for each status; where a request from here failed alike, that tells.
    """
    outcome = outcome_of(scene)
    if not 0 < outcome.made == outcome.succeeded:
        return
    kinds: dict[int, list[Probe]] = {}
    probes = through_traefik(scene)
    for probe in probes:
        last = probe.exchanges[-1]
        if (status := last.status or 0) >= 500 and producer(last) is Producer.TRAEFIK:
            kinds.setdefault(status, []).append(probe)
    for status, failing in kinds.items():
        yield by_traefik(
            scene,
            status,
            _worded(failing[0].exchanges[-1]),
            variant="hop",
            hops=listing(probe.member for probe in failing),
            share=share_of(len(failing), len(probes)),
            evidence=proof_of(failing[0]),
        )


@rule(reads=("dns", "http"), uses=USES)
def answers_come_in_time(scene: Scene) -> Iterator[Finding]:
    """Good answers take no longer than the host's own limit; without one nothing is slow."""
    limit, good = scene.target.slow_seconds, works(scene, requests_made(scene.snapshot))
    slow = [p for p in good if limit is not None and p.exchanges[-1].timing.total > limit]
    if not slow:
        return
    slowest = max(slow, key=lambda probe: probe.exchanges[-1].timing.total)
    last = slowest.exchanges[-1]
    own = application.author_of(scene, last)
    share, proof = share_of(len(slow), len(good)), proof_of(slowest)
    more = {"variant": "slow", "severity": Severity.WARNING, "share": share, "evidence": proof}
    yield _late(scene, last, own, own.ref, **more)


@rule(reads=("dns", "http"), uses=USES)
def the_asked_scheme_is_the_one_that_serves(scene: Scene) -> Iterator[Finding]:
    """The host does not serve by http alone where https was asked."""
    made, target = requests_made(scene.snapshot), scene.target
    if not outcome_of(scene).other_scheme_serves:
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
