"""The DNS collector against a real server: UDP and TCP on loopback, dnspython's wire code."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from hopcheck.collect.ask import Run
from hopcheck.collect.dns import read as collector
from hopcheck.config.options import Options, UsageError, split_resolver
from hopcheck.model import Cname, Collected, DnsAnswer, Target, Why

Answer = Callable[[dns.message.Message, bool], dns.message.Message | bytes | None]
LB = "k8s-1-0123456789abcdef.elb.ap-northeast-2.amazonaws.com"
SOA = "ns.example.com. admin.example.com. 1 2 3 4 60"


def reply(query: dns.message.Message, *rrsets: str, rcode: str = "NOERROR", soa: bool = False):
    """A recursive server's response; an rrset is "owner ttl type data[, data]"."""
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(dns.rcode.from_text(rcode))
    for text in rrsets:
        owner, ttl, rrtype, data = text.split(" ", 3)
        response.answer.append(
            dns.rrset.from_text(f"{owner}.", int(ttl), "IN", rrtype, *data.split(", "))
        )
    if soa:
        response.authority.append(dns.rrset.from_text("example.com.", 60, "IN", "SOA", SOA))
    return response


class Server(asyncio.DatagramProtocol):
    """Answers by `answer(query, over_tcp)`; None is silence, bytes are sent as they are."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.queries: list[tuple[dns.message.Message, bool]] = []
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = self._respond(data, over_tcp=False)
        if wire is not None:
            self.transport.sendto(wire, addr)

    def _respond(self, data: bytes, *, over_tcp: bool) -> bytes | None:
        query = dns.message.from_wire(data)
        self.queries.append((query, over_tcp))
        response = self.answer(query, over_tcp)
        return response.to_wire() if isinstance(response, dns.message.Message) else response

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        wire = self._respond(await reader.readexactly(size), over_tcp=True)
        assert wire is not None
        writer.write(len(wire).to_bytes(2, "big") + wire)
        await writer.drain()
        writer.close()


async def bind(server: Server, host: str, tcp: bool):
    """A UDP socket, and a TCP one on the same port, which another program may hold."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=(host, 0))
        port = transport.get_extra_info("sockname")[1]
        try:
            listener = await asyncio.start_server(server.tcp, host, port) if tcp else None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            transport.close()
        else:
            return transport, port, listener
    raise AssertionError("no port that is free for both")


@contextlib.asynccontextmanager
async def serving(
    answer: Answer, host: str = "127.0.0.1", *, tcp: bool = True
) -> AsyncIterator[Server]:
    server = Server(answer)
    transport, port, listener = await bind(server, host, tcp)
    server.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        yield server
    finally:
        transport.close()
        if listener is not None:
            listener.close()
            await listener.wait_closed()


def ask(answer: Answer, name: str = "myapp.example.com", **limits: float) -> list[Collected]:
    """The A and AAAA entries of collect_dns through one server."""

    async def main() -> list[Collected]:
        async with serving(answer) as server:
            run = Run(Options(resolvers=(server.address,), **limits))
            evidence = await collector.collect_dns(Target(host=name), run)
            return list(evidence.answers)

    return asyncio.run(main())


def rrtype(query: dns.message.Message) -> str:
    return dns.rdatatype.to_text(query.question[0].rdtype)


def closed_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_the_chain_in_order_with_ttls_and_addresses():
    def answer(query, tcp):
        tail = (f"{LB} 60 A 10.0.1.5, 10.0.2.5",) if rrtype(query) == "A" else ()
        return reply(
            query,
            *tail,
            f"edge.example.com 30 CNAME {LB.upper()}.",
            "MyApp.example.com 300 CNAME edge.example.com.",
            soa=not tail,
        )

    a, aaaa = ask(answer)
    chain = (Cname("myapp.example.com", "edge.example.com", 300), Cname("edge.example.com", LB, 30))
    assert a.get() == DnsAnswer(
        resolver=a.get().resolver,
        name="myapp.example.com",
        rrtype="A",
        rcode="NOERROR",
        addresses=("10.0.1.5", "10.0.2.5"),
        chain=chain,
        ttl=60,
    )
    assert a.source == f"A myapp.example.com @{a.get().resolver}"
    assert (aaaa.get().rcode, aaaa.get().addresses, aaaa.get().ttl) == ("NOERROR", (), None)
    assert aaaa.get().chain == chain
    assert aaaa.get().soa == "example.com"


def test_the_query_is_absolute_recursive_and_of_both_types():
    async def main() -> None:
        async with serving(lambda query, tcp: reply(query, soa=True)) as server:
            run = Run(Options(resolvers=(server.address,)))
            await collector.collect_dns(Target(host="myapp"), run)
            asked = {(str(q.question[0].name), rrtype(q)) for q, _ in server.queries}
            assert asked == {("myapp.", "A"), ("myapp.", "AAAA")}
            assert all(q.flags & dns.flags.RD and q.edns == 0 for q, _ in server.queries)
            assert not any(q.flags & dns.flags.CD for q, _ in server.queries)

    asyncio.run(main())


def test_nxdomain_with_the_chain_of_a_dangling_cname():
    a, _ = ask(
        lambda query, tcp: reply(
            query, f"myapp.example.com 300 CNAME {LB}.", rcode="NXDOMAIN", soa=True
        )
    )
    assert a.get().rcode == "NXDOMAIN"
    assert a.get().chain == (Cname("myapp.example.com", LB, 300),)
    assert (a.get().soa, a.get().rcode_checking_disabled) == ("example.com", None)


@pytest.mark.parametrize(("unchecked", "expected"), [("NOERROR", "NOERROR"), ("SERVFAIL",) * 2])
def test_servfail_is_asked_once_more_with_checking_disabled(unchecked, expected):
    def answer(query, tcp):
        if query.flags & dns.flags.CD:
            return reply(query, "myapp.example.com 60 A 10.0.0.1", rcode=unchecked)
        response = reply(query, rcode="SERVFAIL")
        response.use_edns(0, options=[dns.edns.EDEOption(6, "no valid signature")])
        return response

    a, _ = ask(answer)
    assert (a.get().rcode, a.get().rcode_checking_disabled) == ("SERVFAIL", expected)
    assert a.get().addresses == ()
    assert "DNSSEC Bogus" in a.detail
    assert "no valid signature" in a.detail


def test_servfail_stays_when_the_second_question_gets_no_answer():
    a, _ = ask(
        lambda query, tcp: None if query.flags & dns.flags.CD else reply(query, rcode="SERVFAIL"),
        timeout=0.6,
    )
    assert (a.get().rcode, a.get().rcode_checking_disabled) == ("SERVFAIL", None)


def test_refused_by_rcode_is_an_answer():
    a, aaaa = ask(lambda query, tcp: reply(query, rcode="REFUSED"))
    assert (a.get().rcode, aaaa.get().rcode) == ("REFUSED", "REFUSED")


def test_silence_is_timed_out_within_the_limit_after_one_more_try():
    async def main() -> None:
        async with serving(lambda query, tcp: None) as server:
            run = Run(Options(resolvers=(server.address,), timeout=0.5))
            evidence = await collector.collect_dns(Target(host="myapp.example.com"), run)
            assert [a.why for a in evidence.answers] == [Why.TIMED_OUT, Why.TIMED_OUT]
            assert run.now() < 2
            assert len(server.queries) == 4  # two types, each sent twice

    asyncio.run(main())


def test_a_lost_first_query_is_sent_again():
    seen: set[str] = set()

    def answer(query, tcp):
        if rrtype(query) not in seen:
            seen.add(rrtype(query))
            return None
        return reply(
            query,
            "myapp.example.com 60 A 10.0.0.1"
            if rrtype(query) == "A"
            else "myapp.example.com 60 AAAA 2001:db8::1",
        )

    a, aaaa = ask(answer, timeout=1.0)
    assert (a.get().addresses, aaaa.get().addresses) == (("10.0.0.1",), ("2001:db8::1",))


def test_a_closed_port_is_unreachable_at_once():
    async def main() -> None:
        run = Run(Options(resolvers=(f"127.0.0.1:{closed_port()}",), timeout=5))
        evidence = await collector.collect_dns(Target(host="myapp.example.com"), run)
        assert {a.why for a in evidence.answers} == {Why.UNREACHABLE}
        assert max(a.duration_s for a in evidence.answers) < 1

    asyncio.run(main())


def test_a_truncated_answer_is_asked_again_over_tcp():
    def answer(query, tcp):
        if tcp:
            return reply(query, "myapp.example.com 60 A 10.0.0.1, 10.0.0.2")
        response = reply(query)
        response.flags |= dns.flags.TC
        return response.to_wire() + b"cut"

    a, _ = ask(answer)
    assert a.get().addresses == ("10.0.0.1", "10.0.0.2")


def test_truncated_and_no_tcp_is_unreachable_and_says_why():
    def answer(query, tcp):
        response = reply(query)
        response.flags |= dns.flags.TC
        return response

    async def main() -> None:
        async with serving(answer, tcp=False) as server:
            run = Run(Options(resolvers=(server.address,)))
            found = await collector.ask_resolver("a.example.com", "A", server.address, run)
            assert found.why is Why.UNREACHABLE
            assert found.detail.startswith("truncated over UDP, and TCP fails: ")

    asyncio.run(main())


def test_a_server_without_edns_is_asked_without():
    def answer(query, tcp):
        if query.edns >= 0:  # FORMERR as old servers send it: a bare header, no question
            return query.id.to_bytes(2, "big") + b"\x81\x81" + b"\x00" * 8
        return reply(query, "myapp.example.com 60 A 10.0.0.1")

    a, _ = ask(answer)
    assert a.get().addresses == ("10.0.0.1",)


def test_stray_and_broken_datagrams():
    async def main() -> None:
        def answer(query, tcp):
            stray = reply(query, "myapp.example.com 60 A 6.6.6.6")
            stray.id = query.id ^ 1
            server.transport.sendto(stray.to_wire(), peer[0])
            return reply(query, "myapp.example.com 60 A 10.0.0.1")

        peer: list[tuple[str, int]] = []
        async with serving(answer) as server:
            received = server.datagram_received
            server.datagram_received = lambda data, addr: (  # type: ignore[method-assign]
                peer.insert(0, addr),
                received(data, addr),
            )
            run = Run(Options())
            found = await collector.ask_resolver("myapp.example.com", "A", server.address, run)
            assert found.get().addresses == ("10.0.0.1",)
        async with serving(lambda q, tcp: reply(q).to_wire()[:-3] + b"\xff") as server:
            found = await collector.ask_resolver("myapp.example.com", "A", server.address, run)
            assert found.why is Why.INVALID

    asyncio.run(main())


def test_an_authoritative_server_is_asked_for_the_chains_next_name():
    def answer(query, tcp):
        name = str(query.question[0].name)
        response = reply(
            query,
            *(
                [f"myapp.example.com 300 CNAME {LB}."]
                if name == "myapp.example.com."
                else ["other.example.com 1 A 1.1.1.1"]
            ),
            rcode="NOERROR" if name == "myapp.example.com." else "REFUSED",
        )
        response.flags &= ~dns.flags.RA
        return response

    a, _ = ask(answer)
    assert (a.get().rcode, a.get().addresses) == ("REFUSED", ())
    assert a.get().chain == (Cname("myapp.example.com", LB, 300),)


def test_the_zones_own_server_is_told_from_a_cache():
    def answer(query, tcp):
        response = reply(query, "myapp.example.com 300 A 10.0.0.1")
        response.flags |= dns.flags.AA
        return response

    a, _ = ask(answer)
    assert a.get().authoritative
    a, _ = ask(lambda query, tcp: reply(query, "myapp.example.com 300 A 10.0.0.1"))
    assert not a.get().authoritative


def test_a_referral_is_no_empty_answer():
    def answer(query, tcp):
        response = reply(query)
        response.flags &= ~dns.flags.RA
        response.authority.append(
            dns.rrset.from_text("example.com.", 60, "IN", "NS", "ns1.example.com.")
        )
        return response

    a, _ = ask(answer)
    assert a.why is Why.INVALID
    assert "a referral to example.com" in a.detail


def test_a_cname_loop_ends():
    a, _ = ask(
        lambda query, tcp: reply(
            query,
            "myapp.example.com 60 CNAME b.example.com.",
            "b.example.com 60 CNAME myapp.example.com.",
        )
    )
    assert [link.target for link in a.get().chain] == ["b.example.com", "myapp.example.com"]
    assert a.get().addresses == ()


def test_every_resolver_is_asked_and_answers_for_itself():
    async def main() -> None:
        async with (
            serving(lambda q, tcp: reply(q, "a.example.com 60 A 10.0.0.1")) as one,
            serving(lambda q, tcp: reply(q, rcode="NXDOMAIN", soa=True)) as two,
        ):
            run = Run(Options(resolvers=(one.address, two.address)))
            evidence = await collector.collect_dns(Target(host="a.example.com"), run)
            got = [(a.get().resolver, a.get().rrtype, a.get().rcode) for a in evidence.answers]
            assert got == [
                (one.address, "A", "NOERROR"),
                (one.address, "AAAA", "NOERROR"),
                (two.address, "A", "NXDOMAIN"),
                (two.address, "AAAA", "NXDOMAIN"),
            ]

    asyncio.run(main())


def test_a_resolver_by_ipv6_literal_and_by_name():
    async def main() -> None:
        run = Run(Options())
        try:
            async with serving(lambda q, tcp: reply(q, "a.b 60 A 10.0.0.1"), "::1") as server:
                found = await collector.ask_resolver("a.b", "A", server.address, run)
                assert found.get().addresses == ("10.0.0.1",)
        except OSError:
            pytest.skip("no IPv6 loopback")
        async with serving(lambda q, tcp: reply(q, "a.b 60 A 10.0.0.2")) as server:
            by_name = f"localhost:{server.address.rpartition(':')[2]}"
            addresses = socket.getaddrinfo("localhost", None, type=socket.SOCK_DGRAM)
            if addresses[0][4][0] != "127.0.0.1":
                pytest.skip("localhost is IPv6 first")
            found = await collector.ask_resolver("a.b", "A", by_name, run)
            assert found.get().addresses == ("10.0.0.2",)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:", ("10.0.0.2", 53)),
        ("10.0.0.2:5353", ("10.0.0.2", 5353)),
        ("[::1]:53", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("fe80::1%eth0", ("fe80::1%eth0", 53)),
        ("resolver.example.com:54", ("resolver.example.com", 54)),
    ],
)
def test_split_resolver(text, expected):
    assert split_resolver(text) == expected


@pytest.mark.parametrize("text", ["", ":53", "10.0.0.2:x", "a:0", "a:65536", "[::1", "[::1]x"])
def test_split_resolver_refuses(text):
    with pytest.raises(UsageError, match="ADDR or ADDR:PORT"):
        split_resolver(text)


def test_a_resolver_that_is_none_becomes_a_reason():
    run = Run(Options(resolvers=("10.0.0.2:x",)))
    evidence = asyncio.run(collector.collect_dns(Target(host="a.example.com"), run))
    assert {a.why for a in evidence.answers} == {Why.MISCONFIGURED}


@pytest.mark.parametrize("host", ["10.0.1.10", "2001:db8::1"])
def test_an_address_needs_no_answer(host):
    evidence = asyncio.run(collector.collect_dns(Target(host=host), Run(Options())))
    assert [a.why for a in evidence.answers] == [Why.NOT_NEEDED]
    assert evidence.getaddrinfo.why is Why.NOT_NEEDED


def test_getaddrinfo_sees_the_hosts_file_and_says_whose_answer_it_is():
    async def main() -> None:
        async with serving(lambda q, tcp: reply(q, rcode="NXDOMAIN", soa=True)) as server:
            run = Run(Options(resolvers=(server.address,)))
            evidence = await collector.collect_dns(Target(host="localhost"), run)
            assert {a.get().rcode for a in evidence.answers} == {"NXDOMAIN"}
            assert set(evidence.getaddrinfo.get()) <= {"127.0.0.1", "::1"}
            assert evidence.getaddrinfo.get() != ()
            assert evidence.getaddrinfo.source == (
                "getaddrinfo localhost (system, not the resolver given)"
            )

    asyncio.run(main())


def test_no_resolver_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr(collector, "RESOLV_CONF", tmp_path / "absent")
    evidence = asyncio.run(collector.collect_dns(Target(host="localhost"), Run(Options())))
    assert [a.why for a in evidence.answers] == [Why.NOT_CONFIGURED]
    assert evidence.getaddrinfo.seen


def test_system_resolvers_reads_what_the_system_would_use(monkeypatch, tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# nameserver 9.9.9.9\nsearch example.com\nnameserver 10.0.0.2 # first\n"
        "nameserver fe80::1%eth0\nnameserver nonsense\nnameserver 10.0.0.2\n"
        "nameserver\t10.0.0.3\nnameserver 10.0.0.4\noptions ndots:5\n"
    )
    monkeypatch.setattr(collector, "RESOLV_CONF", path)
    assert collector.system_resolvers() == ["10.0.0.2:53", "[fe80::1%eth0]:53", "10.0.0.3:53"]


def resolve(answers: list[Answer], **limits: float) -> Collected[tuple[str, ...]]:
    async def main() -> Collected[tuple[str, ...]]:
        async with contextlib.AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(serving(a)) for a in answers]
            run = Run(Options(resolvers=tuple(s.address for s in servers), **limits))
            return await collector.resolve_name(LB, run)

    return asyncio.run(main())


def both_families(query, tcp):
    return reply(
        query,
        f"{LB} 60 A 10.0.2.5, 10.0.1.5" if rrtype(query) == "A" else f"{LB} 60 AAAA 2001:db8::5",
    )


def test_resolve_name_unites_both_families_and_passes_over_what_fails():
    def servfail(query, tcp):
        return reply(query, rcode="SERVFAIL")

    found = resolve([servfail, lambda query, tcp: None, both_families], timeout=1.5)
    assert found.get() == ("10.0.1.5", "10.0.2.5", "2001:db8::5")
    assert not found.truncated


def test_resolve_name_says_what_it_could_not_have():
    def only_a(query, tcp):
        return both_families(query, tcp) if rrtype(query) == "A" else reply(query, rcode="REFUSED")

    found = resolve([only_a])
    assert (found.get(), found.truncated) == (("10.0.1.5", "10.0.2.5"), True)
    assert found.detail.startswith(f"AAAA {LB} @127.0.0.1:")
    assert found.detail.endswith(": REFUSED")


def test_resolve_name_without_addresses_and_without_answer():
    assert resolve([lambda q, tcp: reply(q, rcode="NXDOMAIN", soa=True)]).why is Why.NOT_FOUND
    assert resolve([lambda q, tcp: reply(q, soa=True)]).get() == ()
    failed = resolve([lambda q, tcp: reply(q, rcode="REFUSED")])
    assert (failed.why, failed.detail) == (Why.ERROR, "REFUSED")
    assert resolve([lambda q, tcp: None], timeout=0.3).why is Why.TIMED_OUT


def test_an_answer_that_is_cut_short_over_tcp_too_is_no_answer():
    def answer(query, tcp):
        response = reply(query)
        response.flags |= dns.flags.TC
        return response

    for found in ask(answer):
        assert (found.why, "truncated" in found.detail) == (Why.INVALID, True)


def test_a_chain_without_end_is_no_empty_answer():
    links = [f"n{i}.example.com 60 CNAME n{i + 1}.example.com." for i in range(30)]
    for found in ask(lambda query, tcp: reply(query, *links), "n0.example.com"):
        assert (found.why, "more than 20 CNAMEs" in found.detail) == (Why.INVALID, True)
