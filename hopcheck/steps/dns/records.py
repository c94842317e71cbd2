"""What the resolvers answered: the name exists, has addresses, and the same for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hopcheck.catalogue.catalogue import Raw, listing, make, text
from hopcheck.config.target import is_address
from hopcheck.model import DnsAnswer, Evidence, Finding, ObjectRef, Severity, Why, Words
from hopcheck.scene.outcome import succeeded, tried
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import lb_ref
from hopcheck.steps.rule import rule


def answers_of(scene: Scene) -> list[DnsAnswer]:
    """The answers that came."""
    return [answer.get() for answer in scene.snapshot.dns.answers if answer.seen]


def dig_server(resolver: str) -> Raw:
    """A resolver as dig's arguments: "@10.0.0.2 -p 5353"."""
    address, _, port = resolver.rpartition(":")
    address = address.strip("[]")
    if not is_address(address):
        return Raw("")
    return Raw(f"@{address}" if port == "53" else f"@{address} -p {int(port)}")


def of_host(code: str, scene: Scene, **more: Any) -> Finding:
    """A finding about the host's record."""
    return make(code, ObjectRef("DNSRecord", scene.target.host), host=scene.target.host, **more)


def dns_proof(answers: Sequence[DnsAnswer]) -> tuple[Evidence, ...]:
    """The answers as they came."""
    return tuple(
        Evidence(
            f"{a.rrtype} {a.name} @{a.resolver}",
            f"{a.rcode} {', '.join(a.addresses) or text('said', 'no_address')}"
            + "".join(f"; {hop.owner} CNAME {hop.target}" for hop in a.chain),
        )
        for a in answers[:6]
    )


def _fails(answer: DnsAnswer) -> bool:
    """Whether the resolver could not say (SERVFAIL, REFUSED), rather than that there is nothing."""
    return answer.rcode not in ("NOERROR", "NXDOMAIN")


def _nothing(scene: Scene) -> list[DnsAnswer]:
    """The answers, where no resolver names an address; else none."""
    answers = answers_of(scene)
    return [] if any(answer.addresses for answer in answers) else answers


def _common(answers: Sequence[DnsAnswer]) -> Words:
    first = answers[0]
    return {
        "resolver": first.resolver,
        "dig_server": dig_server(first.resolver),
        "evidence": dns_proof(answers),
    }


@rule(reads=("dns",))
def every_resolver_answers(scene: Scene) -> Iterator[Finding]:
    """Every resolver that was asked answers.

    Another family's NODATA is no fault; a resolver that fails beside a good one is a warning.
    """
    answers = answers_of(scene)
    good = {answer.resolver for answer in answers if answer.addresses}
    if not good:
        return
    failing = [answer for answer in answers if _fails(answer)]
    words = {a.resolver: a.rcode for a in failing if a.resolver not in good}
    for collected in scene.snapshot.dns.answers:
        resolver = collected.source.rpartition("@")[2]
        if not collected.seen and resolver not in good:
            words[resolver] = text("why", (collected.why or Why.ERROR).value)
    for resolver, reason in words.items():
        yield of_host(
            "DNS010",
            scene,
            failed=resolver,
            reason=reason,
            dig_server=dig_server(resolver),
            evidence=dns_proof(failing),
        )


@rule(reads=("dns",), uses=("aws", "kube", "traefik"))
def no_alias_leads_nowhere(scene: Scene) -> Iterator[Finding]:
    """The name that the record is an alias of exists."""
    missing = _missing(scene)
    dangling = next((answer for answer in missing if answer.chain), None)
    if dangling is not None:
        names = [balancer.dns_name for balancer in scene.feeding[:2]]
        yield of_host(
            "DNS002",
            scene,
            target=dangling.chain[-1].target,
            evidence=dns_proof(missing),
            suggestion=f" ({listing(names)})" if names else "",
            dig_server=dig_server(dangling.resolver),
            related=tuple(map(lb_ref, scene.feeding[:3])),
        )


@rule(reads=("dns",), uses=("aws", "kube", "traefik"))
def the_name_exists(scene: Scene) -> Iterator[Finding]:
    """The name exists."""
    missing = _missing(scene)
    if missing and not any(answer.chain for answer in missing):
        related = tuple(map(lb_ref, scene.feeding[:3]))
        yield of_host("DNS001", scene, related=related, **_common(answers_of(scene)))


def _missing(scene: Scene) -> list[DnsAnswer]:
    return [answer for answer in _nothing(scene) if answer.rcode == "NXDOMAIN"]


@rule(reads=("dns",))
def its_zone_is_served(scene: Scene) -> Iterator[Finding]:
    """The resolvers can ask the name's zone."""
    answers = _nothing(scene)
    failing = [answer for answer in answers if _fails(answer)]
    if failing and not _missing(scene) and not _circle(answers):
        dnssec = any(a.rcode_checking_disabled == "NOERROR" for a in failing)
        refused = all(answer.rcode == "REFUSED" for answer in failing)
        variant = "dnssec" if dnssec else "refused" if refused else None
        rcode = failing[0].rcode
        yield of_host("DNS004", scene, variant=variant, rcode=rcode, **_common(answers))


@rule(reads=("dns",), uses=("aws", "kube", "traefik"))
def the_name_has_addresses(scene: Scene) -> Iterator[Finding]:
    """The name has addresses."""
    answers = _nothing(scene)
    circle = _circle(answers)
    if not answers or (not circle and any(answer.rcode != "NOERROR" for answer in answers)):
        return
    silent = any(not collected.seen for collected in scene.snapshot.dns.answers)
    if not circle and silent and {a.rrtype for a in answers} != {"A", "AAAA"}:
        return
    likely = (scene.balancer,) if scene.balancer is not None else scene.feeding[:3]
    more = {
        "variant": "loop" if circle else None,
        "has": " → ".join(circle),
        "lacks": "A, AAAA",
        "right": "",
        "related": tuple(map(lb_ref, likely)),
    }
    yield of_host("DNS003", scene, **more, **_common(answers))


def _circle(answers: Sequence[DnsAnswer]) -> list[str]:
    """The names of CNAME records that lead back to where they came from, in turn; [] for none."""
    for answer in answers:
        names = [link.owner for link in answer.chain]
        if names and answer.chain[-1].target in names:
            return [*names, answer.chain[-1].target]
    return []


# --- beside each other


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
    error, all_serve = bool(good and bad), len(good) == len(by_resolver)
    own = {a.resolver for a in answers if a.authoritative}
    # The zone's own server is right and a cache is not: the record was changed, and time mends it.
    stale = error and bool(own - bad.keys()) and not own & bad.keys()
    lagging = sorted(bad) or sorted(by_resolver)
    named = (f"{r}: {', '.join(sorted(a))}" for r, a in sorted(by_resolver.items()))
    yield of_host(
        "DNS007",
        scene,
        variant="stale" if stale else "broken" if error else None,
        severity=Severity.ERROR if error else Severity.INFO if all_serve else Severity.WARNING,
        answers=listing(named),
        ttl=max((a.ttl or 0 for a in answers if a.resolver in lagging), default=0),
        lagging=listing(lagging),
        failing=listing(failing := sorted(set().union(*bad.values()))),
        members=failing,
        dig_server=dig_server(lagging[0]),
        share=len(bad) / len(by_resolver) if error else None,
        related=(lb_ref(scene.balancer),) if scene.balancer is not None else (),
        evidence=dns_proof(answers),
    )


@rule(reads=("dns",), uses=("aws",))
def no_resolver_lacks_the_name(scene: Scene) -> Iterator[Finding]:
    """No resolver says that the name does not exist, or has no address, while others name some.

    Information where they name an internal load balancer: outside its network nobody need know it.
    """
    said: dict[str, list[DnsAnswer]] = {}
    for answer in answers_of(scene):
        said.setdefault(answer.resolver, []).append(answer)
    good = [resolver for resolver, own in said.items() if any(a.addresses for a in own)]
    lacking = [
        resolver
        for resolver, own in said.items()
        # No data of one family is no fault, where the other's answer did not come.
        if (len(own) > 1 or own[0].rcode == "NXDOMAIN") and not any(map(_fails, own))
        if resolver not in good
    ]
    if not good or not lacking:
        return
    inside = scene.balancer is not None and scene.balancer.scheme == "internal"
    named = (f"{r}: {listing(x for a in said[r] for x in a.addresses)}" for r in good)
    yield of_host(
        "DNS007",
        scene,
        variant="lacks",
        severity=Severity.INFO if inside else Severity.ERROR,
        answers=listing(named),
        failing=listing(sorted({a.rcode for r in lacking for a in said[r]})),
        lagging=listing(lacking),
        dig_server=dig_server(lacking[0]),
        ttl="",
        share=None if inside else len(lacking) / len(said),
        evidence=dns_proof([answer for r in (*good, *lacking) for answer in said[r]]),
    )


def one_side_fails(scene: Scene) -> bool:
    """Whether resolvers differ and one side works: the record is what to mend, not addresses."""
    return any(finding.severity is Severity.ERROR for finding in resolvers_agree(scene))


def serving_addresses(scene: Scene) -> dict[str, bool]:
    """Whether the host's request succeeded, by address; those that were not tried are absent."""
    return {
        c.get().address: succeeded(scene, c.get())
        for c in scene.snapshot.http.requests
        if c.seen and tried(c.get())
    }
