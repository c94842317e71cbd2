"""Step 7: what a client gets, at every address: answer, timing, certificate, redirects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hopcheck.catalogue import listing, make, text
from hopcheck.judge import certificates, direct
from hopcheck.judge.certificates import share_of
from hopcheck.judge.gaps import probes_at
from hopcheck.judge.names import traefik_refs
from hopcheck.model import (
    ErrorKind,
    Evidence,
    Exchange,
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
from hopcheck.outcome import (
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
from hopcheck.way.routing import Routing
from hopcheck.way.scene import Scene, spec

_SOON_DAYS = 14
_CONNECT = (ErrorKind.REFUSED, ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
_TLS = (ErrorKind.TLS_ALERT, ErrorKind.TLS_PROTOCOL, ErrorKind.TLS_TIMEOUT)


def judge(snapshot: Snapshot) -> Judgement:
    """Judge the request to every address of the host."""
    scene = Scene(snapshot)
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
        *direct.judge(scene),
        *_default_path(scene, good),
        *_slow(scene, good),
        *_other_scheme(scene, made, good),
    ]
    return Judgement(Step.REQUEST, tuple(findings), gaps, seen=True, facts=facts)


def _host(scene: Scene) -> ObjectRef:
    return ObjectRef("Host", scene.target.host)


def _nothing_sent(scene: Scene, probes: list[Probe]) -> tuple[Gap, ...]:
    if any(tried(probe) for probe in probes):
        return (Gap("hairpin", Why.NOT_NEEDED, params=_silent(probes)),)
    if probes:
        last = probes[0].exchanges[-1]
        return (Gap("request", Why.UNREACHABLE, last.error_text or str(last.error)),)
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
    family = "IPv6" if all(":" in p.address for p in left) else "some"
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


def _proof(probe: Probe) -> tuple[Evidence, ...]:
    found = []
    for exchange in probe.exchanges[-2:]:
        words = str(exchange.status) if exchange.status else str(exchange.error)
        body = exchange.body.strip().splitlines()[:1]
        found.append(
            Evidence(
                f"GET {exchange.url} @{exchange.address}",
                f"{words} {exchange.error_text} {body[0] if body else ''}".strip(),
            )
        )
    return tuple(found)


# --- connection and TLS


def _connections(scene: Scene, made: list[Probe]) -> list[Finding]:
    target, found = scene.target, []
    failing = [p for p in made if p.exchanges[-1].error in _CONNECT]
    if failing:
        words = listing(
            dict.fromkeys(
                f"{p.address}: {text('error', str(p.exchanges[-1].error))}" for p in failing
            )
        )
        found.append(
            make(
                "REQ004",
                _host(scene),
                count=len(failing),
                total=len(made),
                host=target.host,
                port=target.port,
                detail=words,
                address=failing[0].address,
                url=target.url,
                share=share_of(len(failing), len(made)),
                evidence=_proof(failing[0]),
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
                _host(scene),
                variant="unanswered" if unanswered else None,
                host=target.host,
                address=broken[0].address,
                port=target.port,
                url=target.url,
                error=last.error_text or text("error", key),
                advice=text("tls_advice", key if key in ("tls_alert", "tls_protocol") else "other"),
                share=share_of(len(broken), len(made)),
                related=_at_traefik(scene),
                evidence=_proof(broken[0]),
            )
        )
    return found


def _at_traefik(scene: Scene) -> tuple[ObjectRef, ...]:
    """Traefik's workload, where its own pods, asked directly, break the connection as well."""
    asked = probes_at(scene, Hop.TRAEFIK_POD)
    broken = (*_TLS, ErrorKind.RESET, ErrorKind.PROTOCOL)
    if asked and all(p.exchanges[-1].error in broken for p in asked):
        return traefik_refs(scene)
    return ()


# --- answers


def _service(scene: Scene) -> tuple[str, str, str]:
    """(namespace, name, selector) of the Service behind the host, for objects and commands."""
    for backend, service in Routing(scene).services():
        selector = spec(service).get("selector") or {}
        return (
            backend.namespace,
            backend.name,
            ",".join(f"{k}={v}" for k, v in sorted(selector.items())),
        )
    return "", scene.target.host, ""


def _application(scene: Scene) -> tuple[ObjectRef, tuple[ObjectRef, ...]]:
    namespace, name, _ = _service(scene)
    if not namespace:
        return ObjectRef("Application", name), ()
    from hopcheck.judge.names import workloads_of

    return ObjectRef("Application", name, namespace), (
        ObjectRef("Service", name, namespace),
        *workloads_of(scene, namespace, name),
    )


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
    namespace, _, selector = _service(scene)
    ref, related = _application(scene)
    common: dict[str, Any] = {"url": target.url, "share": share, "evidence": _proof(probe)}
    if kind == "slow":
        return make(
            "REQ003",
            ref,
            tls=f" ({last.tls.version})" if last.tls else "",
            seconds=round(last.timing.total, 1),
            ns=namespace or "default",
            selector=selector,
            related=related,
            **common,
        )
    if kind == "loop":
        own = bool(namespace) and _application_redirects(scene)
        return make(
            "REQ011",
            ref if own else _host(scene),
            count=len(probe.exchanges),
            location=last.header("location") or last.url,
            related=related,
            **common,
        )
    if kind.startswith("traefik"):
        status = last.status or 0
        return make(
            "REQ009",
            _host(scene),
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
            _host(scene),
            status=last.status,
            who=text("front", who.value),
            server=last.header("server") or "",
            advice=text("front_advice", who.value),
            **common,
        )
    if kind.startswith("application"):
        return _application_answer(scene, last, ref, related, common)
    return None


def _worded(status: int | None, words: str) -> str:
    """The status and the body's words, which often begin with it."""
    return words if words.startswith(str(status)) else f"{status} {words}".strip()


def _application_redirects(scene: Scene) -> bool:
    """Whether the redirects may be the application's: its pods redirect, or nobody else does."""
    pods = [c.get() for c in scene.snapshot.http.hops if c.seen and c.get().hop is Hop.POD]
    answers = [p.exchanges[-1].status for p in pods if p.exchanges and p.exchanges[-1].status]
    if answers:
        return any(300 <= status < 400 for status in answers)
    return not any(entry.redirect_to for entry in scene.static.entry_points.values())


def _application_answer(
    scene: Scene,
    last: Exchange,
    ref: ObjectRef,
    related: tuple[ObjectRef, ...],
    common: dict[str, Any],
) -> Finding:
    namespace, _, selector = _service(scene)
    status = last.status or 0
    expect = scene.target.expect_status
    if status == 500 and not last.body.strip() and _forward_auth(scene):
        return make(
            "REQ009",
            _host(scene),
            status=status,
            related=related,
            answer="500, empty",
            meaning=text("traefik_answer", "500"),
            **common,
        )
    if status >= 500:
        line = next(iter(last.body.strip().splitlines()), "")
        return make(
            "REQ001",
            ref,
            status=status,
            expect=expect,
            ns=namespace or "default",
            sample=f" ({line[:80]})" if line else "",
            selector=selector,
            related=related,
            **common,
        )
    if status == 404:
        return make(
            "REQ002",
            ref,
            status=status,
            expect=expect,
            host=scene.target.host,
            related=related,
            **common,
        )
    return make("REQ014", ref, status=status, expect=expect, related=related, **common)


def _forward_auth(scene: Scene) -> bool:
    from hopcheck.way.routes import listed

    route = Routing(scene).winner
    if route is None or not route.middlewares:
        return False
    return any(
        "forwardAuth" in spec(obj) and str(obj["metadata"]["name"]) in " ".join(route.middlewares)
        for obj in listed(scene.kube, "middlewares")
    )


def _slow(scene: Scene, good: list[Probe]) -> list[Finding]:
    """Good answers that take longer than the host's own limit; without one nothing is slow."""
    limit = scene.target.slow_seconds
    slow = [p for p in good if limit is not None and p.exchanges[-1].timing.total > limit]
    if not slow:
        return []
    slowest = max(slow, key=lambda probe: probe.exchanges[-1].timing.total)
    last = slowest.exchanges[-1]
    namespace, _, selector = _service(scene)
    ref, related = _application(scene)
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
            evidence=_proof(slowest),
        )
    ]


def _default_path(scene: Scene, good: list[Probe]) -> list[Finding]:
    for probe in good:
        last = probe.exchanges[-1]
        if last.status == 404 and probe.redirected_to is None:
            ref, related = _application(scene)
            return [
                make("REQ016", ref, url=scene.target.url, related=related, evidence=_proof(probe))
            ]
    return []


def _other_scheme(scene: Scene, made: list[Probe], good: list[Probe]) -> list[Finding]:
    if good or not outcomes(scene.snapshot).other_scheme_serves:
        return []
    target = scene.target
    last = made[0].exchanges[-1]
    path = target.path
    return [
        make(
            "REQ012",
            _host(scene),
            http_url=f"http://{target.host}{path}",
            https_url=f"https://{target.host}{path}",
            severity=Severity.ERROR,
            actual=str(last.status or last.error),
        )
    ]
