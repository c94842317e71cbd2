"""What the resolvers answered: the name exists, and has addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from hopcheck.catalogue.catalogue import Raw, listing, make, text
from hopcheck.model import DnsAnswer, Evidence, Finding, ObjectRef, Why, Words
from hopcheck.model.aws import LoadBalancer
from hopcheck.scene.scene import Scene
from hopcheck.steps.rule import rule


def answers_of(scene: Scene) -> list[DnsAnswer]:
    """The answers that came."""
    return [answer.get() for answer in scene.snapshot.dns.answers if answer.seen]


def dig_server(resolver: str) -> Raw:
    """A resolver as dig's arguments: "@10.0.0.2 -p 5353"."""
    address, _, port = resolver.rpartition(":")
    address = address.strip("[]")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return Raw("")
    return Raw(f"@{address}" if port == "53" else f"@{address} -p {int(port)}")


def of_host(code: str, scene: Scene, **more: Any) -> Finding:
    """A finding about the host's record."""
    return make(code, ObjectRef("DNSRecord", scene.target.host), host=scene.target.host, **more)


def balancer_refs(*balancers: LoadBalancer) -> tuple[ObjectRef, ...]:
    """Load balancers, as the other end of a relation."""
    return tuple(ObjectRef("LoadBalancer", one.load_balancer_name) for one in balancers)


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


def fails(answer: DnsAnswer) -> bool:
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
    failing = [answer for answer in answers if fails(answer)]
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


@rule(reads=("dns",), uses=("aws", "kube"))
def no_alias_leads_nowhere(scene: Scene) -> Iterator[Finding]:
    """The name that the record is an alias of exists."""
    missing = _missing(scene)
    dangling = _dangling(missing)
    if dangling is not None:
        names = [balancer.dns_name for balancer in scene.feeding[:2]]
        yield of_host(
            "DNS002",
            scene,
            target=dangling.chain[-1].target,
            evidence=dns_proof(missing),
            suggestion=f" ({listing(names)})" if names else "",
            dig_server=dig_server(dangling.resolver),
            related=balancer_refs(*scene.feeding[:3]),
        )


@rule(reads=("dns",), uses=("aws", "kube"))
def the_name_exists(scene: Scene) -> Iterator[Finding]:
    """The name exists."""
    missing = _missing(scene)
    if missing and _dangling(missing) is None:
        related = balancer_refs(*scene.feeding[:3])
        yield of_host("DNS001", scene, related=related, **_common(answers_of(scene)))


def _missing(scene: Scene) -> list[DnsAnswer]:
    return [answer for answer in _nothing(scene) if answer.rcode == "NXDOMAIN"]


def _dangling(missing: Sequence[DnsAnswer]) -> DnsAnswer | None:
    return next((answer for answer in missing if answer.chain), None)


@rule(reads=("dns",))
def its_zone_is_served(scene: Scene) -> Iterator[Finding]:
    """The resolvers can ask the name's zone."""
    answers = _nothing(scene)
    failing = [answer for answer in answers if fails(answer)]
    if failing and not _missing(scene):
        dnssec = any(a.rcode_checking_disabled == "NOERROR" for a in failing)
        variant, rcode = "dnssec" if dnssec else None, failing[0].rcode
        yield of_host("DNS004", scene, variant=variant, rcode=rcode, **_common(answers))


@rule(reads=("dns",), uses=("aws", "kube"))
def the_name_has_addresses(scene: Scene) -> Iterator[Finding]:
    """The name has addresses."""
    answers = _nothing(scene)
    if not answers or any(answer.rcode != "NOERROR" for answer in answers):
        return
    silent = any(not collected.seen for collected in scene.snapshot.dns.answers)
    if silent and {a.rrtype for a in answers} != {"A", "AAAA"}:
        return
    likely = (scene.balancer,) if scene.balancer is not None else scene.feeding[:3]
    more = {"has": "", "lacks": "A, AAAA", "right": "", "related": balancer_refs(*likely)}
    yield of_host("DNS003", scene, **more, **_common(answers))
