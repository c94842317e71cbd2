"""Step 1: what was seen of the way from the name to its load balancer."""

from __future__ import annotations

from collections.abc import Sequence

from hopcheck.catalogue.catalogue import text
from hopcheck.config.target import is_address
from hopcheck.model import Collected, DnsAnswer, Facts, Gap, Judgement, Step, Why
from hopcheck.scene.scene import Scene
from hopcheck.steps.dns.records import answers_of


def sight(scene: Scene) -> Judgement:
    """Whether any resolver answered; the records, for the report."""
    host = scene.target.host
    if is_address(host):
        return Judgement(
            Step.DNS,
            not_applicable=text("na", "ip_literal"),
            facts={"dns.label": host, "address": host},
        )
    answers = answers_of(scene)
    facts = _facts(scene, answers)
    if not answers:
        return Judgement(Step.DNS, gaps=(_no_answer(scene.snapshot.dns.answers),), facts=facts)
    return Judgement(Step.DNS, seen=True, facts=facts)


def _no_answer(collected: Sequence[Collected[DnsAnswer]]) -> Gap:
    first = collected[0] if collected else None
    if first is None or first.why is None:
        return Gap("dns", Why.NOT_SELECTED)
    return Gap("dns", first.why, first.detail or first.source, params={"party": "dns"})


def _facts(scene: Scene, answers: Sequence[DnsAnswer]) -> Facts:
    chain = list(scene.chain[1:])
    return {
        "dns.label": scene.snapshot.target.host,
        "dns.detail": " → ".join(chain),
        "dns.members": [{"name": address, "state": "ok"} for address in scene.addresses],
        "chain": chain,
        "addresses": list(scene.addresses),
        "resolvers": [
            {
                "resolver": answer.resolver,
                "type": answer.rrtype,
                "rcode": answer.rcode,
                "addresses": list(answer.addresses),
                "ttl": answer.ttl,
            }
            for answer in answers
        ],
        "getaddrinfo": list(scene.snapshot.dns.getaddrinfo.or_else(()) or ()),
    }
