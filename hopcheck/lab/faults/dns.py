"""Faults of records and zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.cloud import Listener, LoadBalancer, Target, TargetGroup, Zone, forward
from hopcheck.lab.faults.gallery import DEGRADED, DNS, UNKNOWN, Expect, fault, recorded
from hopcheck.lab.topology import HOST, LOAD_BALANCER

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


@fault("dns-alias-deleted-lb", DNS, _record("DNS003"))
async def alias_deleted(lab: Lab) -> None:
    """An alias record names a load balancer that was deleted: its answer is empty."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", lambda: lab.cloud.addresses("myapp-old"))


@fault("dns-nodata", DNS, _record("DNS003"))
async def nodata(lab: Lab) -> None:
    """The name exists, with neither an A nor an AAAA record."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "TXT", ['"site-verification=0"'])


recorded(
    "dns-nodata-family",
    DNS,
    summary="The name has an AAAA record only, and this machine has no IPv6 route.",
    why="the lab listens on IPv4 only",
    warns=(_record("DNS003"),),
    exit_code=UNKNOWN,
)


@fault("dns-servfail", DNS, _record("DNS004"))
async def servfail(lab: Lab) -> None:
    """The zone's DNSSEC signatures are broken: SERVFAIL unless checking is disabled."""
    lab.dns.rcodes[HOST] = "BOGUS"


@fault("dns-lame", DNS, _record("DNS004"))
async def lame(lab: Lab) -> None:
    """The zone's name servers are lame: SERVFAIL, whatever is asked."""
    lab.dns.rcodes[HOST] = "SERVFAIL"


@fault("dns-stale-ip", DNS, _record("DNS005"))
async def stale_ip(lab: Lab) -> None:
    """An A record holds an address that the load balancer had long ago."""
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", [lab.plan.stale_address])


@fault("dns-stale-one", DNS, _record("DNS005"), exit_code=DEGRADED)
async def stale_one(lab: Lab) -> None:
    """One of two A records holds an address that the load balancer had long ago."""
    own = lab.cloud.addresses(LOAD_BALANCER)
    zone = lab.dns.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", [own[0], lab.plan.stale_address])


@fault("dns-wrong-lb", DNS, _record("DNS006"))
async def wrong_balancer(lab: Lab) -> None:
    """The CNAME names another load balancer, whose targets are no nodes of this cluster."""
    _another_balancer(lab)
    zone = lab.dns.zone("example.com")
    zone.set(HOST, "CNAME", [lab.cloud.load_balancers["legacy-nlb"].dns_name])


def _another_balancer(lab: Lab) -> None:
    group = TargetGroup("legacy-tls", "TCP", 32443, targets=[Target("i-0ffffeeeedddd0001", 32443)])
    zones = [Zone("ap-northeast-2a", lab.plan.stale_address)]
    listeners = [Listener(443, "TCP", forward("legacy-tls"))]
    lab.cloud.add(group, LoadBalancer("legacy-nlb", zones, listeners=listeners))
    lab.dns.zone("elb.ap-northeast-2.amazonaws.com").set(
        lab.cloud.load_balancers["legacy-nlb"].dns_name,
        "A",
        lambda: lab.cloud.addresses("legacy-nlb"),
    )


@fault("dns-split-horizon", DNS, _record("DNS007"), exit_code=DEGRADED)
async def split_horizon(lab: Lab) -> None:
    """The private zone holds an old address, the public one the load balancer's."""
    second = await lab.add_resolver()
    zone = second.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", [lab.plan.stale_address], ttl=300)


@fault("dns-resolvers-disagree", DNS, _record("DNS007"), exit_code=DEGRADED)
async def resolvers_disagree(lab: Lab) -> None:
    """A recursive resolver still holds the old address, the zone's own server the new one."""
    lab.dns.authoritative = True
    second = await lab.add_resolver()
    second.authoritative = False
    zone = second.zone("example.com")
    zone.delete(HOST)
    zone.set(HOST, "A", [lab.plan.stale_address], ttl=1713)


@fault("dns-internal-from-outside", DNS, _record("DNS008"))
async def internal(lab: Lab) -> None:
    """The name leads to an internal load balancer, and the client is outside of its network."""
    lab.cloud.load_balancers[LOAD_BALANCER].scheme = "internal"
    lab.cloud.dark.update(lab.plan.zones.values())
