"""The lab's DNS server, asked over real sockets by dnspython."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from hopcheck.lab.dns import DnsServer

HOST = "myapp.example.com"
BALANCER = "myapp-nlb-0123456789abcdef.elb.ap-northeast-2.amazonaws.com"


class Served:
    """A server with two zones, on a loop of its own."""

    def __init__(self) -> None:
        self.addresses = ["10.0.0.1", "10.0.0.2"]
        self.server = DnsServer()
        zone = self.server.zone("example.com")
        zone.set(HOST, "CNAME", [BALANCER], ttl=300)
        zone.set("deep.sub.example.com", "A", ["10.0.0.9"])
        zone.set("*.apps.example.com", "A", ["10.0.0.8"])
        zone.set("dangling.example.com", "CNAME", [f"gone.{BALANCER}"])
        zone.set("loop.example.com", "CNAME", ["loop.example.com"])
        aws = self.server.zone("elb.ap-northeast-2.amazonaws.com")
        aws.set(BALANCER, "A", lambda: self.addresses)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.run(self.server.start())

    def run(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(5)  # type: ignore[arg-type]

    def ask(
        self, name: str, rrtype: str = "A", *, tcp: bool = False, cd: bool = False
    ) -> dns.message.Message:
        query = dns.message.make_query(name, rrtype)
        if cd:
            query.flags |= dns.flags.CD
        send = dns.query.tcp if tcp else dns.query.udp
        return send(query, "127.0.0.1", port=self.server.port, timeout=2)

    def close(self) -> None:
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    running = Served()
    yield running
    running.close()


def texts(message: dns.message.Message) -> list[str]:
    """The records by record set; within one, dnspython shuffles them as servers do."""
    return [text for rrset in message.answer for text in sorted(rrset.to_text().split("\n"))]


@pytest.mark.parametrize("tcp", [False, True])
def test_chain_and_alias_in_one_answer(served: Served, tcp: bool) -> None:
    answer = served.ask(HOST, tcp=tcp)
    assert answer.rcode() == dns.rcode.NOERROR
    assert texts(answer) == [
        f"{HOST}. 300 IN CNAME {BALANCER}.",
        f"{BALANCER}. 60 IN A 10.0.0.1",
        f"{BALANCER}. 60 IN A 10.0.0.2",
    ]
    assert answer.flags & dns.flags.RA
    assert served.server.queries == [(HOST, "A")]


def test_alias_follows_its_callback(served: Served) -> None:
    served.addresses = ["10.0.0.2"]
    assert texts(served.ask(BALANCER)) == [f"{BALANCER}. 60 IN A 10.0.0.2"]
    served.addresses = []
    answer = served.ask(BALANCER)
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


def test_nxdomain_has_the_soa(served: Served) -> None:
    answer = served.ask("nope.example.com")
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert answer.answer == []
    assert answer.authority[0].to_text().startswith("example.com. 60 IN SOA ")


def test_nodata_is_no_nxdomain(served: Served) -> None:
    answer = served.ask("deep.sub.example.com", "AAAA")
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert answer.authority[0].name.to_text() == "example.com."
    empty_non_terminal = served.ask("sub.example.com")
    assert (empty_non_terminal.rcode(), empty_non_terminal.answer) == (dns.rcode.NOERROR, [])


def test_dangling_cname_is_nxdomain_with_the_cname(served: Served) -> None:
    answer = served.ask("dangling.example.com")
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert texts(answer) == [f"dangling.example.com. 60 IN CNAME gone.{BALANCER}."]
    assert answer.authority[0].name.to_text() == "elb.ap-northeast-2.amazonaws.com."


def test_wildcard_matches_one_label(served: Served) -> None:
    assert texts(served.ask("a.apps.example.com")) == ["a.apps.example.com. 60 IN A 10.0.0.8"]
    assert served.ask("a.b.apps.example.com").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
def test_forced_rcode(served: Served, rcode: str) -> None:
    served.server.rcodes[HOST] = rcode
    answer = served.ask(HOST)
    assert dns.rcode.to_text(answer.rcode()) == rcode
    assert answer.answer == []


def test_forced_rcode_of_the_chain_s_end(served: Served) -> None:
    served.server.rcodes[BALANCER] = "SERVFAIL"
    assert served.ask(HOST).rcode() == dns.rcode.SERVFAIL


def test_broken_dnssec_answers_with_checking_disabled(served: Served) -> None:
    served.server.rcodes[HOST] = "BOGUS"
    assert served.ask(HOST).rcode() == dns.rcode.SERVFAIL
    unchecked = served.ask(HOST, cd=True)
    assert unchecked.rcode() == dns.rcode.NOERROR
    assert len(texts(unchecked)) == 3


def test_silence(served: Served) -> None:
    served.server.rcodes[HOST] = "TIMEOUT"
    query = dns.message.make_query(HOST, "A")
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(query, "127.0.0.1", port=served.server.port, timeout=0.3)


def test_a_foreign_name_is_refused_and_a_loop_fails(served: Served) -> None:
    assert served.ask("example.org").rcode() == dns.rcode.REFUSED
    assert served.ask("loop.example.com").rcode() == dns.rcode.SERVFAIL


def test_a_long_answer_is_truncated_over_udp_and_whole_over_tcp(served: Served) -> None:
    many = [f"10.1.{n // 250}.{n % 250 + 1}" for n in range(300)]
    served.server.zone("example.com").set("many.example.com", "A", many)
    assert served.ask("many.example.com").flags & dns.flags.TC
    assert len(texts(served.ask("many.example.com", tcp=True))) == 300


def test_rubbish_is_ignored(served: Served) -> None:
    assert served.server.answer(b"\x00\x01nonsense") is None


def test_state_comes_back(served: Served) -> None:
    before = served.server.state()
    served.server.zone("example.com").delete(HOST)
    served.server.rcodes[BALANCER] = "SERVFAIL"
    served.server.restore(before)
    assert len(texts(served.ask(HOST))) == 3


def test_a_stub_resolver_accepts_it(served: Served) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], served.server.port
    found = resolver.resolve(HOST, "A")
    assert found.canonical_name.to_text() == f"{BALANCER}."
    assert sorted(one.to_text() for one in found) == ["10.0.0.1", "10.0.0.2"]
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("nope.example.com", "A")
