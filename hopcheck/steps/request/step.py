"""Step 7: what a client gets, at every address: answer, timing, certificate, redirects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import (
    ErrorKind,
    Finding,
    Gap,
    Hop,
    Judgement,
    ObjectRef,
    Probe,
    Severity,
    Snapshot,
    Step,
    Why,
)
from hopcheck.scene.outcome import (
    Producer,
    application_404,
    expected,
    outcomes,
    producer,
    refused_path,
    requests_made,
    succeeded,
    tried,
)
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene, scene_of
from hopcheck.steps.names import failure, traefik_refs
from hopcheck.steps.request import application, certificates, direct, versions
from hopcheck.steps.request.application import host_ref, proof_of
from hopcheck.steps.request.certificates import share_of

_SOON_DAYS = 14
_CONNECT = (ErrorKind.REFUSED, ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
_TLS = (ErrorKind.TLS_ALERT, ErrorKind.TLS_PROTOCOL, ErrorKind.TLS_TIMEOUT)


def judge(snapshot: Snapshot) -> Judgement:
    """Judge the request to every address of the host."""
    scene = scene_of(snapshot)
    collected = snapshot.http.requests
    probes = [c.get() for c in collected if c.seen and c.get().exchanges]
    made = requests_made(snapshot)
    facts = _facts(scene, probes)
    if not made:
        gaps = _nothing_sent(scene, probes)
        return Judgement(Step.REQUEST, tuple(direct.judge(scene)), gaps, facts=facts)
    gaps = _not_tried(probes, made)
    good = [p for p in made if succeeded(snapshot, p, snapshot.target)]
    findings = [
        *_connections(scene, made),
        *certificates.judge(scene, made),
        *_answers(scene, [p for p in made if p not in good], len(made)),
        *versions.judge(scene, len(made)),
        *direct.judge(scene),
        *application.default_path(scene, good),
        *_slow(scene, good),
        *_other_scheme(scene, made, good),
    ]
    return Judgement(Step.REQUEST, tuple(findings), gaps, seen=True, facts=facts)


def _nothing_sent(scene: Scene, probes: list[Probe]) -> tuple[Gap, ...]:
    if any(tried(probe) for probe in probes):
        return (Gap("hairpin", Why.NOT_NEEDED, params=_silent(probes)),)
    if probes:
        last = probes[0].exchanges[-1]
        return (Gap("request", Why.UNREACHABLE, last.error_text or failure(last)),)
    collected = next((c for c in scene.snapshot.http.requests if not c.seen), None)
    if collected is not None:
        return (Gap("request", collected.why or Why.ERROR, collected.detail),)
    return (Gap("no_dns", Why.NOT_NEEDED),)


def _not_tried(probes: list[Probe], made: list[Probe]) -> tuple[Gap, ...]:
    left = [p for p in probes if p not in made]
    looped = [p for p in left if tried(p)]
    if looped:
        return (Gap("hairpin", Why.NOT_NEEDED, required=False, params=_silent(looped)),)
    if not left:
        return ()
    family = "IPv6" if all(":" in p.address for p in left) else text("said", "some")
    return (
        Gap(
            "family",
            Why.UNREACHABLE,
            left[0].exchanges[-1].error_text,
            required=False,
            params={"family": family},
        ),
    )


def _silent(probes: Sequence[Probe]) -> dict[str, Any]:
    return {"addresses": listing(probe.address for probe in probes)}


# --- facts


def _facts(scene: Scene, probes: list[Probe]) -> dict[str, Any]:
    facts: dict[str, Any] = {"url": f"{scene.target.scheme}://{scene.target.host}"}
    rows = []
    for probe in probes:
        last = probe.exchanges[-1]
        rows.append(
            {
                "name": probe.address,
                "state": str(last.status or last.error),
                "detail": last.error_text or (last.header("server") or ""),
            }
        )
    facts["answers"] = rows
    if spoken := {e.http_version for p in probes for e in p.exchanges if e.http_version}:
        facts["http"] = listing(sorted(spoken))
    facts["timings"] = [
        {
            "address": probe.address,
            "dns": e.timing.dns,
            "connect": e.timing.connect,
            "tls": e.timing.tls,
            "first_byte": e.timing.first_byte,
            "total": e.timing.total,
        }
        for probe in probes[:4]
        for e in probe.exchanges[-1:]
    ]
    hops = [f"{e.url} → {e.status or e.error}" for p in probes[:1] for e in p.exchanges]
    if len(hops) > 1:
        facts["redirects"] = hops
    tls = next((e.tls for p in probes for e in p.exchanges if e.tls and e.tls.chain), None)
    if tls is not None:
        leaf = tls.chain[0]
        facts["certificate"] = {
            "subject": leaf.subject,
            "issuer": leaf.issuer,
            "names": list(leaf.names),
            "not_before": leaf.not_before,
            "not_after": leaf.not_after,
            "verified": tls.verified,
            "chain": [c.subject for c in tls.chain],
        }
        facts["tls"] = f"{tls.version} {tls.cipher}"
    return facts


# --- connection and TLS


def _connections(scene: Scene, made: list[Probe]) -> list[Finding]:
    target, found = scene.target, []
    failing = [p for p in made if p.exchanges[-1].error in _CONNECT]
    astray = [p for p in failing if len(p.exchanges) > 1]
    if astray:
        found.append(_dead_end(scene, astray, len(made)))
    failing = [p for p in failing if p not in astray]
    if failing:
        words = listing(
            dict.fromkeys(
                f"{p.address}: {text('error', str(p.exchanges[-1].error))}" for p in failing
            )
        )
        found.append(
            make(
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
        )
    broken = [
        p for p in made if p.exchanges[-1].error in (*_TLS, ErrorKind.RESET, ErrorKind.PROTOCOL)
    ]
    if broken:
        last = broken[0].exchanges[-1]
        key = str(last.error)
        # A session that was set up and then closed is no failed handshake.
        unanswered = last.error_phase in ("send", "first_byte", "body")
        found.append(
            make(
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
        )
    return found


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


# --- answers


def _answers(scene: Scene, bad: Sequence[Probe], total: int) -> list[Finding]:
    """One finding for each kind of bad answer, with its share of the addresses."""
    kinds: dict[str, list[Probe]] = {}
    for probe in bad:
        kinds.setdefault(_kind(scene, probe), []).append(probe)
    found = []
    for kind, probes in kinds.items():
        finding = _answer(scene, kind, probes[0], share_of(len(probes), total))
        if finding is not None:
            found.append(finding)
    return found


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
    last, target = probe.exchanges[-1], scene.target
    namespace, _, selector = application.service_of(scene)
    ref, related = application.application_of(scene)
    common: dict[str, Any] = {"url": target.url, "share": share, "evidence": proof_of(probe)}
    if kind == "slow":
        return make(
            "REQ003",
            ref if application.waits(scene, namespace) else host_ref(scene),
            tls=f" ({last.tls.version})" if last.tls else "",
            seconds=round(last.timing.total, 1),
            ns=namespace or "default",
            selector=selector,
            related=related,
            **common,
        )
    if kind == "loop":
        own = bool(namespace) and application.redirects(scene)
        return make(
            "REQ011",
            ref if own else host_ref(scene),
            count=len(probe.exchanges),
            location=last.header("location") or last.url,
            detail="",
            related=related,
            **common,
        )
    if kind.startswith("traefik"):
        status = last.status or 0
        if refused_path(scene.snapshot, last):
            return make(
                "REQ014",
                next(iter(traefik_refs(scene)), host_ref(scene)),
                variant="encoded",
                status=status,
                expect=target.expect_status,
                **common,
            )
        return make(
            "REQ009",
            host_ref(scene),
            status=status,
            related=related,
            answer=_worded(status, last.body.strip()[:60]),
            meaning=text(
                "traefik_answer",
                str(status) if status in (400, 404, 421, 500, 502, 503, 504) else "other",
            ),
            **common,
        )
    if kind.startswith("front"):
        who = producer(last)
        return make(
            "REQ010",
            host_ref(scene),
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


def _slow(scene: Scene, good: list[Probe]) -> list[Finding]:
    """Good answers that take longer than the host's own limit; without one nothing is slow."""
    limit = scene.target.slow_seconds
    slow = [p for p in good if limit is not None and p.exchanges[-1].timing.total > limit]
    if not slow:
        return []
    slowest = max(slow, key=lambda probe: probe.exchanges[-1].timing.total)
    last = slowest.exchanges[-1]
    namespace, _, selector = application.service_of(scene)
    ref, related = application.application_of(scene)
    return [
        make(
            "REQ003",
            ref,
            variant="slow",
            severity=Severity.WARNING,
            url=scene.target.url,
            tls=f" ({last.tls.version})" if last.tls else "",
            seconds=round(last.timing.total, 1),
            ns=namespace or "default",
            selector=selector,
            related=related,
            share=share_of(len(slow), len(good)),
            evidence=proof_of(slowest),
        )
    ]


def _other_scheme(scene: Scene, made: list[Probe], good: list[Probe]) -> list[Finding]:
    if good or not outcomes(scene.snapshot).other_scheme_serves:
        return []
    target = scene.target
    last = made[0].exchanges[-1]
    path = target.path
    return [
        make(
            "REQ012",
            host_ref(scene),
            http_url=f"http://{target.host}{path}",
            https_url=f"https://{target.host}{path}",
            severity=Severity.ERROR,
            actual=str(last.status or failure(last)),
        )
    ]
