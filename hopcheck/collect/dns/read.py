"""What each resolver answers for the host, and what the system itself makes of the name.

dnspython makes and reads the messages; the sockets are our own, because a *connected* UDP socket
hears of a closed port at once (ICMP, RFC 1122 section 4.1.3.3), where an unconnected one waits.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from hopcheck.collect.ask import Run, Unavailable, in_thread
from hopcheck.config.options import UsageError, split_resolver
from hopcheck.config.target import is_address
from hopcheck.model import Cname, Collected, DnsAnswer, DnsEvidence, Target, Why

if TYPE_CHECKING:
    import dns.message

Family = Literal["A", "AAAA"]
FAMILIES: tuple[Family, ...] = ("A", "AAAA")
MAX_CHAIN = 20  # resolvers give up earlier (BIND: 16)
EDNS_PAYLOAD = 1232  # DNS flag day 2020: fits any path without fragments
RESEND_AFTER = 0.4  # of the call's time; the first query's late answer still counts
MAX_SYSTEM_RESOLVERS = 3  # resolv.conf(5): MAXNS, further ones are never asked
RESOLV_CONF = Path("/etc/resolv.conf")


def system_resolvers() -> list[str]:
    """The system's name servers as "ADDR:PORT" ("[ADDR]:PORT" for IPv6), in order.

    /etc/resolv.conf is read here (macOS writes one too): dnspython's reader is right as well,
    but importing it brings modules that nothing else needs. Empty where there is no such file.
    """
    try:
        lines = RESOLV_CONF.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    fields = [line.split("#")[0].split(";")[0].split() for line in lines]
    servers = [words[1] for words in fields if len(words) > 1 and words[0] == "nameserver"]
    used = [server for server in dict.fromkeys(servers) if is_address(server)]
    return [_join(server, 53) for server in used[:MAX_SYSTEM_RESOLVERS]]


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolvers(run: Run) -> list[str]:
    return list(run.options.resolvers) or system_resolvers()


async def collect_dns(target: Target, run: Run, *, system: bool = True) -> DnsEvidence:
    """Ask every resolver for the host's A and AAAA, and the system for its addresses.

    Without `system` the system is asked only where there is no resolver.

    `answers` holds one entry per resolver and type (resolvers in order, A before AAAA); an
    answer with any rcode is a value. A host that is an address needs no answer (not_needed);
    without a resolver there is one entry, not_configured. Never raises.
    """
    if is_address(target.host):
        none = Collected[DnsAnswer](why=Why.NOT_NEEDED, source=target.host)
        return DnsEvidence(
            answers=(none,), getaddrinfo=Collected(why=Why.NOT_NEEDED, source=target.host)
        )
    resolvers = _resolvers(run)
    asked = [ask_resolver(target.host, rrtype, at, run) for at in resolvers for rrtype in FAMILIES]
    if resolvers and not system:
        return DnsEvidence(answers=tuple(await asyncio.gather(*asked)))
    *answers, local = await asyncio.gather(*asked, _ask_system(target.host, run))
    if not resolvers:
        answers = [Collected(why=Why.NOT_CONFIGURED, source=str(RESOLV_CONF))]
    return DnsEvidence(answers=tuple(answers), getaddrinfo=local)  # type: ignore[arg-type]


async def resolve_name(name: str, run: Run) -> Collected[tuple[str, ...]]:
    """The name's A and AAAA addresses, sorted, by the first resolver that answers.

    A resolver that is silent, refuses or fails (SERVFAIL) is passed over; NXDOMAIN is an answer
    (not_found), and so is a name without addresses (an empty value). `truncated` says that
    only one of the two types could be had, `detail` which one was not. Never raises.
    """
    source = f"A, AAAA {name}"
    failed: Collected[DnsAnswer] = Collected(why=Why.NOT_CONFIGURED, source=str(RESOLV_CONF))
    resolvers = _resolvers(run)
    for index, at in enumerate(resolvers):
        share = min(run.options.timeout, run.remaining()) / (len(resolvers) - index)
        both = await asyncio.gather(
            *(ask_resolver(name, rrtype, at, run, limit=share) for rrtype in FAMILIES)
        )
        good = [a for a in both if a.seen and a.get().rcode in ("NOERROR", "NXDOMAIN")]
        bad = [a for a in both if a not in good]
        if not good:
            failed = bad[0]
            continue
        if all(a.get().rcode == "NXDOMAIN" for a in good):
            return Collected(why=Why.NOT_FOUND, detail="NXDOMAIN", source=f"{source} @{at}")
        return Collected(
            value=tuple(sorted({address for a in good for address in a.get().addresses})),
            source=f"{source} @{at}",
            detail=" ".join(f"{a.source}: {_words(a)}" for a in bad),
            started_s=both[0].started_s,
            duration_s=max(a.duration_s for a in both),
            truncated=bool(bad),
        )
    why = failed.why if failed.why is not None else Why.ERROR
    return Collected(why=why, detail=_words(failed), source=source, started_s=failed.started_s)


def _words(answer: Collected[DnsAnswer]) -> str:
    return answer.get().rcode if answer.seen else answer.detail or str(answer.why)


# --- the system ----------------------------------------------------------------------------


async def _ask_system(host: str, run: Run) -> Collected[tuple[str, ...]]:
    note = " (system, not the resolver given)" if run.options.resolvers else ""
    return await run.ask(
        f"getaddrinfo {host}{note}",
        lambda: in_thread(_getaddrinfo, host),
        classify=_classify_system,
    )


def _getaddrinfo(host: str) -> tuple[str, ...]:
    # Bytes: the host is in A-labels already, Python's own IDNA codec must not judge it again.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _classify_system(error: BaseException) -> tuple[Why, str] | None:
    if isinstance(error, socket.gaierror):
        # EAI_NODATA and EAI_NONAME: the system was told that there is none. EAI_AGAIN and the
        # others: it could not find out.
        absent = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        return (Why.NOT_FOUND if error.errno in absent else Why.UNREACHABLE), str(error.strerror)
    if isinstance(error, UnicodeError):
        return Why.INVALID, str(error)
    return None


# --- one resolver --------------------------------------------------------------------------


async def ask_resolver(
    name: str, rrtype: Family, resolver: str, run: Run, *, limit: float | None = None
) -> Collected[DnsAnswer]:
    """Ask `resolver` ("ADDR", "ADDR:PORT" or a host name) for one type of the absolute `name`.

    Within the call's timeout, or `limit` seconds if that is given. Never raises.
    """
    seconds = min(run.options.timeout if limit is None else limit, run.remaining())
    extended: list[str] = []  # RFC 8914: why a resolver failed, in its own words

    async def call() -> DnsAnswer:
        began = run.now()
        host, port = split_resolver(resolver)
        where = await _locate(host, port)
        send = Sender(where, seconds * RESEND_AFTER)
        answer = await _resolve(name, rrtype, _join(host, port), send, extended)
        if answer.rcode != "SERVFAIL":
            return answer
        left = (seconds - (run.now() - began)) * 0.9
        unchecked = await _unchecked(name, rrtype, send, left)
        return replace(answer, rcode_checking_disabled=unchecked)

    found = await run.ask(f"{rrtype} {name} @{resolver}", call, classify=_classify, timeout=seconds)
    return replace(found, detail="; ".join(extended)) if found.seen and extended else found


def _classify(error: BaseException) -> tuple[Why, str] | None:
    from dns.exception import DNSException

    if isinstance(error, Unavailable | TimeoutError):
        return None
    if isinstance(error, UsageError):
        return Why.MISCONFIGURED, str(error)
    if isinstance(error, OSError):  # refused, no route, the resolver's name does not resolve
        return Why.UNREACHABLE, error.strerror or str(error)
    if isinstance(error, DNSException | UnicodeError | EOFError):
        return Why.INVALID, str(error) or "no DNS message"
    return None


async def _locate(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """The socket family and address of a resolver; a host name is looked up by the system."""
    if is_address(host):
        return _numeric(host, port)
    found = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM))
    return found[0][0], found[0][4]


@cache
def _numeric(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    return found[0][0], found[0][4]


async def _unchecked(name: str, rrtype: Family, send: Sender, limit: float) -> str | None:
    """The rcode with checking disabled; None where it could not be had within `limit` seconds.

    What goes wrong here must not cost the SERVFAIL that was already heard.
    """
    import dns.exception
    import dns.rcode

    try:
        async with asyncio.timeout(limit):
            response = await send(name, rrtype, checking=False)
    except (OSError, EOFError, TimeoutError, dns.exception.DNSException):
        return None
    return dns.rcode.to_text(response.rcode())


async def _resolve(
    name: str,
    rrtype: Family,
    resolver: str,
    send: Callable[[str, Family], Awaitable[dns.message.Message]],
    extended: list[str],
) -> DnsAnswer:
    """One answer; follows a chain itself where the server does not (an authoritative one).

    The rcode is that of the last name of the chain (RFC 6604).
    """
    import dns.flags
    import dns.rcode

    chain: list[Cname] = []
    asked: set[str] = set()
    authoritative: bool | None = None  # of the first answer: that for the name itself
    current = name.lower().rstrip(".")
    while True:
        asked.add(current)
        response = await send(current, rrtype)
        if authoritative is None:
            authoritative = bool(response.flags & dns.flags.AA)
        part, addresses, ttl = _read_answer(response, current, rrtype)
        chain.extend(part)
        soa, referral, recursive = _read_rest(response, extended)
        end = chain[-1].target if chain else current
        unfinished = response.rcode() == dns.rcode.NOERROR and not addresses and soa is None
        if unfinished and part and not recursive and end not in asked and len(chain) < MAX_CHAIN:
            current = end
            continue
        if unfinished and not part and referral and not recursive:
            path = " -> ".join([name, *(link.target for link in chain)])
            raise Unavailable(
                Why.INVALID, f"{path}: a referral to {referral}; the server does not recurse"
            )
        if unfinished and end not in asked and len(chain) >= MAX_CHAIN:
            raise Unavailable(Why.INVALID, f"{name}: a chain of more than {MAX_CHAIN} CNAMEs")
        return DnsAnswer(
            resolver=resolver,
            name=name,
            rrtype=rrtype,
            rcode=dns.rcode.to_text(response.rcode()),
            addresses=addresses,
            chain=tuple(chain),
            ttl=ttl,
            soa=soa,
            authoritative=authoritative,
        )


def _plain(name: object) -> str:
    return str(name).lower().rstrip(".")


def _read_answer(
    response: dns.message.Message, name: str, rrtype: Family
) -> tuple[list[Cname], tuple[str, ...], int | None]:
    """The CNAME chain from `name`, and the addresses at its end with their TTL."""
    import dns.rdatatype

    aliases: dict[str, Cname] = {}
    found: dict[str, tuple[tuple[str, ...], int]] = {}
    wanted = dns.rdatatype.from_text(rrtype)
    for rrset in response.answer:
        owner = _plain(rrset.name)
        if rrset.rdtype == dns.rdatatype.CNAME:
            aliases[owner] = Cname(owner, _plain(rrset[0].to_text()), rrset.ttl)
        elif rrset.rdtype == wanted:
            # Sorted: servers rotate them, and two runs should compare.
            found[owner] = (tuple(sorted(rdata.to_text() for rdata in rrset)), rrset.ttl)
    chain: list[Cname] = []
    while name in aliases and len(chain) < MAX_CHAIN:
        chain.append(aliases.pop(name))  # popped: a loop ends after one turn
        name = chain[-1].target
    addresses, ttl = found.get(name, ((), None))
    return chain, addresses, ttl


def _read_rest(
    response: dns.message.Message, extended: list[str]
) -> tuple[str | None, str | None, bool]:
    """The SOA's owner, the owner of a delegation, whether the server recurses."""
    import dns.edns
    import dns.flags
    import dns.rdatatype

    owners = {rrset.rdtype: _plain(rrset.name) or "." for rrset in response.authority}
    extended.extend(
        option.to_text() for option in response.options if option.otype == dns.edns.OptionType.EDE
    )
    recursive = bool(response.flags & dns.flags.RA)
    return owners.get(dns.rdatatype.SOA), owners.get(dns.rdatatype.NS), recursive


# --- queries to one DNS server: UDP first, TCP where the answer is cut short -----------------


class Sender:
    """Sends queries to one resolver: UDP, sent twice at most, and TCP where that is cut short."""

    def __init__(self, where: tuple[int, tuple[Any, ...]], resend_after: float) -> None:
        self.family, self.address = where
        self.resend_after = resend_after

    async def __call__(
        self, name: str, rrtype: Family, *, checking: bool = True
    ) -> dns.message.Message:
        """The response; raises OSError, TimeoutError (by the caller's limit) or DNSException."""
        import dns.flags
        import dns.message
        import dns.name
        import dns.rcode

        absolute = dns.name.from_text(name.rstrip(".") + ".")
        flags = dns.flags.RD | (0 if checking else dns.flags.CD)
        query = dns.message.make_query(
            absolute, rrtype, use_edns=0, payload=EDNS_PAYLOAD, flags=flags
        )
        response = await self._exchange(query)
        # RFC 6891 section 7: old servers and boxes on the way know no EDNS.
        if response.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS):
            return await self._exchange(dns.message.make_query(absolute, rrtype, flags=flags))
        return response

    async def _exchange(self, query: dns.message.Message) -> dns.message.Message:
        wire = query.to_wire()
        response = await self._udp(query, wire)
        return response if response is not None else await self._tcp(query, wire)

    async def _udp(self, query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
        """The response, or None where it was truncated."""
        loop = asyncio.get_running_loop()
        with socket.socket(self.family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, self.address)
            await loop.sock_sendall(sock, wire)
            try:
                async with asyncio.timeout(self.resend_after):
                    return await _receive(sock, query)
            except TimeoutError:
                await loop.sock_sendall(sock, wire)
            return await _receive(sock, query)

    async def _tcp(self, query: dns.message.Message, wire: bytes) -> dns.message.Message:
        import dns.flags
        import dns.message

        host, port = str(self.address[0]), int(self.address[1])
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            words = f"truncated over UDP, and TCP fails: {error.strerror or error}"
            raise Unavailable(Why.UNREACHABLE, words) from error
        try:
            writer.write(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await reader.readexactly(2), "big")
            response = dns.message.from_wire(await reader.readexactly(size))
        finally:
            writer.close()
        if response.flags & dns.flags.TC:
            raise Unavailable(Why.INVALID, "the answer is truncated, over TCP too")
        if not query.is_response(response):
            raise Unavailable(Why.INVALID, "the answer over TCP is to another question")
        return response


async def _receive(sock: socket.socket, query: dns.message.Message) -> dns.message.Message | None:
    """The first datagram that answers `query`; others are stray or forged. None: truncated."""
    import dns.message

    loop = asyncio.get_running_loop()
    while True:
        wire = await loop.sock_recv(sock, 65535)
        if len(wire) < 12 or int.from_bytes(wire[:2], "big") != query.id:
            continue
        if wire[2] & 0x02:  # TC: what follows may be cut anywhere, it is not parsed
            return None
        response = dns.message.from_wire(wire)  # our id on a connected socket: not a stranger
        if query.is_response(response):
            return response
