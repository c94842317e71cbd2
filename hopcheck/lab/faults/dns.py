"""Faults of records and zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.faults.gallery import DNS, Expect, fault
from hopcheck.lab.topology import HOST

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_GONE = "myapp-old-00ddba11deadbeef.elb.ap-northeast-2.amazonaws.com"


def _record(code: str) -> Expect:
    return Expect(code, "DNSRecord", HOST)


@fault("dns-nxdomain", DNS, _record("DNS001"))
async def nxdomain(lab: Lab) -> None:
    """The host's record is deleted."""
    lab.dns.zone("example.com").delete(HOST)


@fault("dns-dangling-cname", DNS, _record("DNS002"))
async def dangling_cname(lab: Lab) -> None:
    """The CNAME points to a load balancer that no longer exists."""
    lab.dns.zone("example.com").set(HOST, "CNAME", [_GONE])


@fault("dns-nodata", DNS, _record("DNS003"))
async def nodata(lab: Lab) -> None:
    """The name exists, with neither an A nor an AAAA record."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "TXT", ['"site-verification=0"'])


@fault("dns-servfail", DNS, _record("DNS004"))
async def servfail(lab: Lab) -> None:
    """The zone's DNSSEC signatures are broken: SERVFAIL unless checking is disabled."""
    lab.dns.rcodes[HOST] = "BOGUS"


@fault("dns-stale-ip", DNS, _record("DNS005"))
async def stale_ip(lab: Lab) -> None:
    """An A record holds an address that the load balancer had long ago."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", [lab.plan.stale_address])
