"""Step 1: does the name lead, on every resolver asked, to its load balancer."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from hopcheck.catalogue.catalogue import Raw, listing, make, text
from hopcheck.model import (
    Collected,
    DnsAnswer,
    ErrorKind,
    Finding,
    Gap,
    Judgement,
    ObjectRef,
    Severity,
    Snapshot,
    Step,
    Why,
)
from hopcheck.scene.outcome import outcomes
from hopcheck.scene.scene import Scene, scene_of
from hopcheck.steps.dns import resolvers as dns_resolvers
from hopcheck.steps.dns.resolvers import dig_server, dns_proof, record, serving_addresses


def judge(snapshot: Snapshot) -> Judgement:
    """Judge the records of the host."""
    scene = scene_of(snapshot)
    host = snapshot.target.host
    if _is_address(host):
        return Judgement(
            Step.DNS,
            not_applicable=text("na", "ip_literal"),
            facts={"dns.label": host, "address": host},
        )
    collected = snapshot.dns.answers
    answers = [answer.get() for answer in collected if answer.seen]
    facts = _facts(scene, answers)
    if not answers:
        return Judgement(Step.DNS, gaps=(_no_answer(collected),), facts=facts)
    findings = [*_failures(scene, answers, collected)]
    if any(answer.addresses for answer in answers):
        disagreement = dns_resolvers.judge(scene, answers)
        findings += disagreement
        # Where resolvers differ and one side works, the record is not the same for both: that is
        # what to mend, not the addresses of the other side.
        if not any(finding.severity is Severity.ERROR for finding in disagreement):
            findings += _belongs(scene, answers)
        findings += _families(scene, answers)
        findings += _local(scene, answers)
    return Judgement(Step.DNS, tuple(findings), seen=True, facts=facts)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _no_answer(collected: Sequence[Collected[DnsAnswer]]) -> Gap:
    first = next((c for c in collected), None)
    if first is None or first.why is None:
        return Gap("dns", Why.NOT_SELECTED)
    return Gap("dns", first.why, first.detail or first.source, params={"party": "dns"})


def _facts(scene: Scene, answers: Sequence[DnsAnswer]) -> dict[str, Any]:
    chain = [f"{name}" for name in scene.chain[1:]]
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


def _failures(
    scene: Scene, answers: Sequence[DnsAnswer], collected: Sequence[Collected[DnsAnswer]]
) -> list[Finding]:
    host = scene.target.host
    silent = [c for c in collected if not c.seen]
    good = [a for a in answers if a.addresses]
    failing = [a for a in answers if a.rcode not in ("NOERROR", "NXDOMAIN")]
    if good:
        # Another family's NODATA is no fault; a resolver that fails beside a good one is a warning.
        names = [a.resolver for a in failing if not any(g.resolver == a.resolver for g in good)]
        words = {a.resolver: a.rcode for a in failing}
        for c in silent:
            resolver = c.source.rpartition("@")[2]
            if not any(g.resolver == resolver for g in good):
                names.append(resolver)
                words[resolver] = text("why", (c.why or Why.ERROR).value)
        return [
            make(
                "DNS010",
                record(host),
                host=host,
                failed=resolver,
                reason=words[resolver],
                dig_server=dig_server(resolver),
                evidence=dns_proof(failing),
            )
            for resolver in dict.fromkeys(names)
        ]
    first = answers[0]
    common: dict[str, Any] = {
        "host": host,
        "resolver": first.resolver,
        "dig_server": dig_server(first.resolver),
        "evidence": dns_proof(answers),
    }
    missing = [a for a in answers if a.rcode == "NXDOMAIN"]
    dangling = next((a for a in missing if a.chain), None)
    if dangling is not None:
        target = dangling.chain[-1].target
        return [
            make(
                "DNS002",
                record(host),
                host=host,
                target=target,
                evidence=dns_proof(missing),
                suggestion=_suggestion(scene),
                dig_server=dig_server(dangling.resolver),
                related=_feeding_refs(scene),
            )
        ]
    if missing:
        return [make("DNS001", record(host), related=_feeding_refs(scene), **common)]
    if failing:
        dnssec = any(a.rcode_checking_disabled == "NOERROR" for a in failing)
        return [
            make(
                "DNS004",
                record(host),
                variant="dnssec" if dnssec else None,
                rcode=failing[0].rcode,
                **common,
            )
        ]
    if silent and {a.rrtype for a in answers} != {"A", "AAAA"}:
        return []
    related = _feeding_refs(scene)
    if scene.balancer is not None:
        related = (ObjectRef("LoadBalancer", scene.balancer["LoadBalancerName"]),)
    common |= {"has": "", "lacks": "A, AAAA", "right": ""}
    return [make("DNS003", record(host), related=related, **common)]


def _feeding_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    return tuple(ObjectRef("LoadBalancer", b["LoadBalancerName"]) for b in scene.feeding[:3])


def _suggestion(scene: Scene) -> str:
    names = [str(b.get("DNSName")) for b in scene.feeding[:2]]
    return f" ({listing(names)})" if names else ""


def _belongs(scene: Scene, answers: Sequence[DnsAnswer]) -> list[Finding]:
    match, balancer = scene.match, scene.balancer
    server = dig_server(next(a.resolver for a in answers if a.addresses))
    host = scene.target.host
    # Addresses that serve are another load balancer of the same site, whoever owns it.
    serving = serving_addresses(scene)
    foreign = [address for address in match.foreign if not serving.get(address, False)]
    if balancer is not None and foreign:
        own = scene.snapshot.dns.names.get(match.name or "", Collected(value=())).or_else(())
        return [
            make(
                "DNS005",
                record(host),
                host=host,
                wrong=listing(foreign),
                right=listing(own or ("?",)),
                lb=balancer["LoadBalancerName"],
                lb_dns=str(balancer.get("DNSName")),
                dig_server=server,
                share=len(foreign) / max(1, len(scene.addresses)),
                related=(ObjectRef("LoadBalancer", balancer["LoadBalancerName"]),),
                evidence=dns_proof(answers),
            )
        ]
    if balancer is not None:
        return [*_wrong_balancer(scene, server), *_internal(scene)]
    return _strangers(scene, answers, server)


def _strangers(scene: Scene, answers: Sequence[DnsAnswer], server: Raw) -> list[Finding]:
    """Addresses of no load balancer: a fault only where this cluster's own one is elsewhere."""
    if not scene.aws.load_balancers.seen or not scene.feeding or len(scene.chain) > 1:
        return []
    if outcomes(scene.snapshot).succeeded or _in_cluster(scene):
        return []
    feeding = scene.feeding[0]
    own = scene.snapshot.dns.names.get(str(feeding.get("DNSName", "")).lower())
    if own is None or not own.seen or set(own.get()) & set(scene.addresses):
        return []
    host = scene.target.host
    return [
        make(
            "DNS005",
            record(host),
            host=host,
            wrong=listing(scene.addresses),
            right=listing(own.get()),
            lb=feeding["LoadBalancerName"],
            lb_dns=str(feeding.get("DNSName")),
            dig_server=server,
            related=(ObjectRef("LoadBalancer", feeding["LoadBalancerName"]),),
            evidence=dns_proof(answers),
        )
    ]


def _in_cluster(scene: Scene) -> bool:
    """Whether the addresses are the cluster's own: nodes, or a Service's load balancer status."""
    own = set(scene.node_ids)
    for service in scene.services:
        status = (service.get("status") or {}).get("loadBalancer") or {}
        own |= {str(entry.get("ip")) for entry in status.get("ingress") or ()}
        own |= set((service.get("spec") or {}).get("externalIPs") or ())
    return bool(own & set(scene.addresses))


def _wrong_balancer(scene: Scene, server: Raw) -> list[Finding]:
    balancer = scene.balancer
    others = [b for b in scene.feeding if balancer is None or b is not balancer]
    if balancer is None or balancer in scene.feeding or not others:
        return []
    if outcomes(scene.snapshot).succeeded or not _details_seen(scene, balancer):
        return []
    host, other = scene.target.host, others[0]
    return [
        make(
            "DNS006",
            record(host),
            host=host,
            lb=balancer["LoadBalancerName"],
            lb_dns=str(balancer.get("DNSName")),
            other=other["LoadBalancerName"],
            other_dns=str(other.get("DNSName")),
            dig_server=server,
            related=(
                ObjectRef("LoadBalancer", balancer["LoadBalancerName"]),
                ObjectRef("LoadBalancer", other["LoadBalancerName"]),
            ),
        )
    ]


def _details_seen(scene: Scene, balancer: Any) -> bool:
    """Whether what stands behind the balancer was really looked at (and holds foreign targets)."""
    listeners = scene.aws.listeners.get(balancer["LoadBalancerArn"])
    if listeners is None or not listeners.seen or not scene.node_ids:
        return False
    groups = [f.target_group_arn for one in listeners.get() for f in scene.forwards(one)]
    return (
        bool(groups)
        and all(scene.health(arn).seen for arn in groups)
        and any(scene.health(arn).get() for arn in groups)
    )


def _internal(scene: Scene) -> list[Finding]:
    balancer = scene.balancer
    if (
        balancer is None
        or balancer.get("Scheme") != "internal"
        or scene.snapshot.vantage.in_cluster
    ):
        return []
    probes = [c.get() for c in scene.snapshot.http.requests if c.seen and c.get().exchanges]
    waits = [
        p.exchanges[-1].error in (ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE) for p in probes
    ]
    if not waits or not all(waits):
        return []
    host, name = scene.target.host, balancer["LoadBalancerName"]
    return [
        make(
            "DNS008",
            record(host),
            host=host,
            lb=name,
            addresses=listing(scene.addresses),
            related=(ObjectRef("LoadBalancer", name),),
        )
    ]


def _families(scene: Scene, answers: Sequence[DnsAnswer]) -> list[Finding]:
    """Only IPv6 addresses, and the load balancer has IPv4 ones too: either family suffices."""
    own = scene.snapshot.dns.names.get(scene.match.name or "")
    if own is None or not own.seen or not all(":" in address for address in scene.addresses):
        return []
    lacking = [address for address in own.get() if ":" not in address]
    if not lacking:
        return []
    host = scene.target.host
    first = next(a for a in answers if a.addresses)
    return [
        make(
            "DNS003",
            record(host),
            variant="family",
            severity=Severity.INFO,
            host=host,
            resolver=first.resolver,
            has="AAAA",
            lacks="A",
            right=listing(lacking),
            dig_server=dig_server(first.resolver),
            evidence=dns_proof(answers),
        )
    ]


def _local(scene: Scene, answers: Sequence[DnsAnswer]) -> list[Finding]:
    local = scene.snapshot.dns.getaddrinfo
    if not local.seen or not local.get():
        return []
    if set(local.get()) & set(scene.addresses):
        return []
    host = scene.target.host
    return [
        make(
            "DNS009",
            record(host),
            host=host,
            local=listing(local.get()),
            dns=listing(scene.addresses),
            dig_server=dig_server(answers[0].resolver),
        )
    ]
