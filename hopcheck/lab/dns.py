"""A DNS server, UDP and TCP, that answers for the lab's zones as a resolver would.

CNAME chains are followed through all zones; an alias record's addresses are asked from a
callback at query time, as Route 53 and the load balancers' own names do.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Addresses = Callable[[], Sequence[str]]
_MAX_CHAIN = 16


@dataclass
class Record:
    """One record set: its texts in zone-file form, or a callback that gives them."""

    rrtype: str  # "A", "AAAA", "CNAME", …
    values: tuple[str, ...] | Addresses
    ttl: int = 60

    def texts(self) -> tuple[str, ...]:
        """The records' data now."""
        return tuple(self.values()) if callable(self.values) else self.values


@dataclass
class Zone:
    """Records by owner name (lower case, no trailing dot); ``*.x`` matches one label."""

    origin: str
    records: dict[str, list[Record]] = field(default_factory=dict)
    negative_ttl: int = 60

    def set(self, name: str, rrtype: str, values: Sequence[str] | Addresses, ttl: int = 60) -> None:
        """Replace the record set of that name and type."""
        kept = [one for one in self.records.get(name, []) if one.rrtype != rrtype]
        fixed = values if callable(values) else tuple(values)
        self.records[name] = [*kept, Record(rrtype, fixed, ttl)]

    def delete(self, name: str) -> None:
        """Remove every record of that name, if there is any."""
        self.records.pop(name, None)

    def find(self, name: str) -> list[Record] | None:
        """The records of that name; [] for an empty non-terminal; None: no such name."""
        if name in self.records:
            return self.records[name]
        if name == self.origin or any(owner.endswith(f".{name}") for owner in self.records):
            return []
        return self.records.get(f"*.{name.partition('.')[2]}")


State = tuple[dict[str, Zone], dict[str, str], float, bool]


class DnsServer:
    """Serves `zones` on `address`:`port` (0: a free one, the same for UDP and TCP).

    `rcodes` forces an answer by name: an rcode's text ("SERVFAIL", "REFUSED"), "TIMEOUT" for
    silence, or "BOGUS" for SERVFAIL unless the query has CD set (broken DNSSEC). `delay` is
    seconds before each answer; `authoritative` sets AA, as a zone's own server. `queries` holds
    (name, type) as they came.
    """

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address = address
        self.port = port
        self.zones: dict[str, Zone] = {}
        self.rcodes: dict[str, str] = {}
        self.delay = 0.0
        self.authoritative = False
        self.queries: list[tuple[str, str]] = []
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def zone(self, origin: str) -> Zone:
        """The zone of that origin, made when there is none."""
        return self.zones.setdefault(origin, Zone(origin))

    def state(self) -> State:
        """A copy of everything that can be set, for `restore`."""
        return copy.deepcopy(self.zones), dict(self.rcodes), self.delay, self.authoritative

    def restore(self, state: State) -> None:
        """Take back what `state` gave."""
        zones, rcodes, self.delay, self.authoritative = state
        self.zones, self.rcodes = copy.deepcopy(zones), dict(rcodes)

    async def start(self) -> None:
        """Open both sockets. Raises OSError when the address cannot be bound."""
        loop = asyncio.get_running_loop()
        for attempt in range(20):
            tcp = await asyncio.start_server(self._serve_tcp, self.address, self.port)
            port = tcp.sockets[0].getsockname()[1]
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(self.address, port)
                )
            except OSError:  # the port TCP was given is taken on UDP: draw again
                tcp.close()
                if self.port or attempt == 19:
                    raise
                continue
            self._tcp, self._udp, self.port = tcp, transport, port
            return

    async def stop(self) -> None:
        """Close both sockets and forget queries under way."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def answer(self, wire: bytes) -> dns.message.Message | None:
        """The answer to one query; None where silence is the answer."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if len(query.question) != 1:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if self.authoritative:
            response.flags |= dns.flags.AA
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        rrtype = dns.rdatatype.to_text(question.rdtype)
        self.queries.append((name, rrtype))
        rcode = self._fill(response, name, rrtype, bool(query.flags & dns.flags.CD))
        if rcode == "TIMEOUT":
            return None
        response.set_rcode(dns.rcode.from_text(rcode))
        return response

    def _fill(self, response: dns.message.Message, name: str, rrtype: str, cd: bool) -> str:
        """Put the records into `response`; returns the rcode's text or "TIMEOUT"."""
        for _ in range(_MAX_CHAIN):
            forced = self.rcodes.get(name)
            if forced == "BOGUS":
                forced = None if cd else "SERVFAIL"
            if forced is not None:
                response.answer.clear()
                return forced
            zone = self._zone_of(name)
            if zone is None:
                return "REFUSED" if not response.answer else "NXDOMAIN"
            records = zone.find(name)
            if records is None:
                response.authority.append(_soa(zone))
                return "NXDOMAIN"
            cname = next((one for one in records if one.rrtype == "CNAME"), None)
            if cname is not None and rrtype != "CNAME":
                response.answer.append(_rrset(name, cname))
                name = cname.texts()[0].rstrip(".").lower()
                continue
            wanted = next((one for one in records if one.rrtype == rrtype), None)
            if wanted is None or not wanted.texts():
                response.authority.append(_soa(zone))
            else:
                response.answer.append(_rrset(name, wanted))
            return "NOERROR"
        return "SERVFAIL"

    def _zone_of(self, name: str) -> Zone | None:
        labels = name.split(".")
        parents = (".".join(labels[start:]) for start in range(len(labels)))
        return next((self.zones[parent] for parent in parents if parent in self.zones), None)

    def handle_udp(self, wire: bytes, peer: tuple[str, int]) -> None:
        """Answer one datagram, after the delay."""
        task = asyncio.get_running_loop().create_task(self._reply_udp(wire, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply_udp(self, wire: bytes, peer: tuple[str, int]) -> None:
        response = self.answer(wire)
        if response is None or self._udp is None:
            return
        if self.delay:
            await asyncio.sleep(self.delay)
        payload = response.request_payload or 512
        self._udp.sendto(response.to_wire(max_size=payload, prefer_truncation=True), peer)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:  # until the client closes
                size = int.from_bytes(await reader.readexactly(2), "big")
                response = self.answer(await reader.readexactly(size))
                if response is None:
                    continue
                if self.delay:
                    await asyncio.sleep(self.delay)
                wire = response.to_wire()
                writer.write(len(wire).to_bytes(2, "big") + wire)
                await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.handle_udp(data, addr)


def _rrset(owner: str, record: Record) -> dns.rrset.RRset:
    texts = [f"{one.rstrip('.')}." if record.rrtype == "CNAME" else one for one in record.texts()]
    return dns.rrset.from_text_list(f"{owner}.", record.ttl, "IN", record.rrtype, texts)


def _soa(zone: Zone) -> dns.rrset.RRset:
    text = f"ns.{zone.origin}. hostmaster.{zone.origin}. 1 3600 600 86400 {zone.negative_ttl}"
    return dns.rrset.from_text(f"{zone.origin}.", zone.negative_ttl, "IN", "SOA", text)
