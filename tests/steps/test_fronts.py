"""What the lab cannot show: a CDN or an accelerator in front, no IPv6 here (hand-made evidence)."""

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import (
    Cname,
    Collected,
    DnsAnswer,
    ErrorKind,
    Exchange,
    Hop,
    Probe,
    Report,
    Severity,
    Snapshot,
    Verdict,
)
from hopcheck.report.evidence import load
from tests.recorded import SNAPSHOTS

HOST = "myapp.example.com"
EDGE = ("104.16.132.229", "104.16.133.229")


def healthy() -> Snapshot:
    return load(SNAPSHOTS / "healthy.json.gz")


def in_front(addresses: tuple[str, ...], chain: tuple[str, ...] = (), server: str = "") -> Snapshot:
    """The healthy host behind somebody else's edge, which passes answers on."""
    given = healthy()
    names = (HOST, *chain)
    cnames = tuple(Cname(a, b, 60) for a, b in zip(names, chain, strict=False))
    answers = []
    for collected in given.dns.answers:
        answer = collected.get()
        found = tuple(a for a in addresses if (":" in a) == (answer.rrtype == "AAAA"))
        value = msgspec.structs.replace(answer, addresses=found, chain=cnames, soa=None)
        answers.append(msgspec.structs.replace(collected, value=value))
    first = given.http.requests[0].get()
    requests = tuple(
        Collected(value=moved(first, address, server), source="request") for address in addresses
    )
    dns = msgspec.structs.replace(
        given.dns, answers=tuple(answers), getaddrinfo=Collected(value=addresses)
    )
    http = msgspec.structs.replace(given.http, requests=requests)
    return msgspec.structs.replace(given, dns=dns, http=http)


def moved(probe: Probe, address: str, server: str) -> Probe:
    headers = (("server", server), ("via", "1.1 edge")) if server else ()
    exchanges = tuple(
        msgspec.structs.replace(one, address=address, headers=(*one.headers, *headers))
        for one in probe.exchanges
    )
    return msgspec.structs.replace(probe, address=address, member=address, exchanges=exchanges)


def loud(report: Report) -> list[str]:
    return [
        finding.code
        for step in report.steps
        for finding in step.findings
        if finding.severity is not Severity.INFO
    ]


FRONTS = {
    "cloudfront": (EDGE, ("d111111abcdef8.cloudfront.net",), "CloudFront"),
    "cloudfront through a name": (
        EDGE, ("www.example.com", "d111111abcdef8.cloudfront.net"), "CloudFront"
    ),
    "cloudflare, proxied records": (EDGE, (), "cloudflare"),
    "cloudflare, partner set-up": (EDGE, (f"{HOST}.cdn.cloudflare.net",), "cloudflare"),
    "global accelerator": (
        ("75.2.60.5", "99.83.190.102"), ("a1b2c3d4e5f6.awsglobalaccelerator.com",), ""
    ),
    "global accelerator, alias": (("75.2.60.5", "99.83.190.102"), (), ""),
    "akamai": (EDGE, ("myapp.example.com.edgekey.net", "e1.a.akamaiedge.net"), "AkamaiGHost"),
    "api gateway": (EDGE, ("d-abcdef.execute-api.ap-northeast-2.amazonaws.com",), ""),
    "an unknown CDN": (EDGE, ("myapp.example.com.some-edge.example.net",), "edge"),
    "dual stack": ((*EDGE, "2606:4700::6810:84e5"), (), "cloudflare"),
}  # fmt: skip


@pytest.mark.parametrize("name", FRONTS)
def test_somebody_elses_edge_is_no_fault(name: str) -> None:
    report = replay(in_front(*FRONTS[name]))
    assert loud(report) == []
    assert report.verdict is Verdict.HEALTHY


def no_way(address: str) -> Collected[Probe]:
    exchange = Exchange(
        url=f"https://{HOST}/", address=address, port=443, error=ErrorKind.LOCAL,
        error_text="Network is unreachable", error_phase="connect",
    )  # fmt: skip
    probe = Probe(
        hop=Hop.LOAD_BALANCER, member=address, address=address, port=443, scheme="https",
        exchanges=(exchange,),
    )  # fmt: skip
    return Collected(value=probe, source="request")


def with_aaaa(given: Snapshot, *, alone: bool) -> Snapshot:
    """The host with an AAAA record of the load balancer that this machine cannot reach."""
    address = "2406:da12:e51:c600::5"
    balancer = next(name for name in given.dns.names)
    answers = []
    for collected in given.dns.answers:
        answer: DnsAnswer = collected.get()
        found = (address,) if answer.rrtype == "AAAA" else () if alone else answer.addresses
        value = msgspec.structs.replace(answer, addresses=found)
        answers.append(msgspec.structs.replace(collected, value=value))
    known = given.dns.names[balancer].get()
    names = {**given.dns.names, balancer: Collected(value=(*(() if alone else known), address))}
    requests = (*(() if alone else given.http.requests), no_way(address))
    return msgspec.structs.replace(
        given,
        dns=msgspec.structs.replace(given.dns, answers=tuple(answers), names=names),
        http=msgspec.structs.replace(given.http, requests=requests),
    )


def test_dual_stack_from_a_machine_without_ipv6() -> None:
    report = replay(with_aaaa(healthy(), alone=False))
    assert loud(report) == []
    assert report.verdict is Verdict.HEALTHY


def test_ipv6_alone_from_a_machine_without_it_accuses_nobody() -> None:
    report = replay(with_aaaa(healthy(), alone=True))
    assert report.root_causes == ()
    assert report.verdict is Verdict.UNKNOWN
    assert loud(report) == []
