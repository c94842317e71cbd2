"""Step 7: what was seen of a client's request, at every address: answers, timing, certificate."""

from __future__ import annotations

import msgspec

from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Facts, Gap, Judgement, Probe, Step, Why
from hopcheck.scene.outcome import requests_made, tried
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import failure, sent


def sight(scene: Scene) -> Judgement:
    """Whether any request left this machine, and what came back, for the report."""
    probes = sent(scene)
    made = requests_made(scene.snapshot)
    gaps = _not_tried(probes, made) if made else _nothing_sent(scene, probes)
    return Judgement(Step.REQUEST, gaps=gaps, seen=bool(made), facts=_facts(scene, probes))


def _nothing_sent(scene: Scene, probes: list[Probe]) -> tuple[Gap, ...]:
    if any(tried(probe) for probe in probes):
        addresses = listing(probe.address for probe in probes)
        return (Gap("hairpin", Why.NOT_NEEDED, params={"addresses": addresses}),)
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
        params = {"addresses": listing(probe.address for probe in looped)}
        return (Gap("hairpin", Why.NOT_NEEDED, required=False, params=params),)
    if not left:
        return ()
    family = "IPv6" if all(":" in p.address for p in left) else text("said", "some")
    said = left[0].exchanges[-1].error_text
    return (Gap("family", Why.UNREACHABLE, said, required=False, params={"family": family}),)


def _facts(scene: Scene, probes: list[Probe]) -> Facts:
    facts: Facts = {"url": f"{scene.target.scheme}://{scene.target.host}"}
    facts["answers"] = [
        {
            "name": probe.address,
            "state": str(last.status or last.error),
            "detail": last.error_text or (last.header("server") or ""),
        }
        for probe in probes
        for last in probe.exchanges[-1:]
    ]
    if spoken := {e.http_version for p in probes for e in p.exchanges if e.http_version}:
        facts["http"] = listing(sorted(spoken))
    facts["timings"] = [
        {"address": probe.address, **msgspec.structs.asdict(probe.exchanges[-1].timing)}
        for probe in probes[:4]
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
