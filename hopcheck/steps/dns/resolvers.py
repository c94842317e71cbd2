"""What the resolvers say beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hopcheck.catalogue.catalogue import listing
from hopcheck.model import DnsAnswer, Finding, Severity
from hopcheck.scene.outcome import succeeded, tried
from hopcheck.scene.scene import Scene
from hopcheck.steps.dns.records import answers_of, balancer_refs, dig_server, dns_proof, of_host
from hopcheck.steps.rule import rule


@rule(reads=("dns",), uses=("aws", "kube", "traefik", "http"))
def resolvers_agree(scene: Scene) -> Iterator[Finding]:
    """All resolvers name the same load balancer's addresses.

    Rotating subsets of one load balancer's addresses overlap or are all its own; two sides that
    both serve (an internal and a public load balancer) are a design. Where one side's addresses
    serve and the other's do not, clients of the other side fail: an error.
    """
    answers = answers_of(scene)
    by_resolver: dict[str, set[str]] = {}
    for answer in answers:
        if answer.rcode == "NOERROR" and answer.addresses:
            by_resolver.setdefault(answer.resolver, set()).update(answer.addresses)
    sets = list(by_resolver.values())
    if len(sets) < 2 or all(a & b for a in sets for b in sets):
        return
    if scene.match.arn is not None and not scene.match.foreign:
        return
    serving = serving_addresses(scene)
    bad = {r: a for r, a in by_resolver.items() if not any(serving.get(x, True) for x in a)}
    good = {r for r, a in by_resolver.items() if any(serving.get(x, False) for x in a)}
    severity = Severity.WARNING
    if good and bad:
        severity = Severity.ERROR
    elif len(good) == len(by_resolver):
        severity = Severity.INFO
    yield _finding(scene, answers, by_resolver, bad, severity)


def one_side_fails(scene: Scene) -> bool:
    """Whether resolvers differ and one side works: the record is what to mend, not addresses."""
    return any(finding.severity is Severity.ERROR for finding in resolvers_agree(scene))


def serving_addresses(scene: Scene) -> dict[str, bool]:
    """Whether the host's request succeeded, by address; those that were not tried are absent."""
    return {
        c.get().address: succeeded(scene.snapshot, c.get(), scene.target)
        for c in scene.snapshot.http.requests
        if c.seen and tried(c.get())
    }


def _finding(
    scene: Scene,
    answers: Sequence[DnsAnswer],
    by_resolver: dict[str, set[str]],
    bad: dict[str, set[str]],
    severity: Severity,
) -> Finding:
    error = severity is Severity.ERROR
    own = {a.resolver for a in answers if a.authoritative}
    # The zone's own server is right and a cache is not: the record was changed, and time mends it.
    stale = error and bool(own - bad.keys()) and not own & bad.keys()
    named = listing(f"{r}: {', '.join(sorted(a))}" for r, a in sorted(by_resolver.items()))
    lagging = sorted(bad) or sorted(by_resolver)
    ttl = max((a.ttl or 0 for a in answers if a.resolver in lagging), default=0)
    return of_host(
        "DNS007",
        scene,
        variant="stale" if stale else "broken" if error else None,
        severity=severity,
        answers=named,
        ttl=ttl,
        lagging=listing(lagging),
        failing=listing(sorted(set().union(*bad.values()))),
        dig_server=dig_server(lagging[0]),
        share=len(bad) / len(by_resolver) if error else None,
        related=balancer_refs(scene.balancer) if scene.balancer is not None else (),
        evidence=dns_proof(answers),
    )
