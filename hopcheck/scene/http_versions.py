"""Whether a host works by one version of HTTP and not by the other.

A failure by HTTP/2 and a success by HTTP/1.1 prove nothing by themselves: where one of several pods
fails, the next request meets another. So both versions are asked in turns that fit no rotation of a
few pods (the Thue-Morse sequence), and only where each request by the one succeeds and each by the
other fails is it the version.
"""

from __future__ import annotations

from collections.abc import Sequence

from hopcheck.model import ErrorKind, Probe
from hopcheck.scene.outcome import Producer, producer

# Whether the other version than the first request's is asked.
TURNS = (False, True, True, False, True, False, False, True)
_UNANSWERED = frozenset({ErrorKind.RESET, ErrorKind.PROTOCOL, ErrorKind.READ_TIMEOUT})
# Misdirected, an ALB's "incompatible protocol versions", upgrade required, bad gateway, version.
_STATUSES = frozenset({421, 426, 464, 502, 505})


def by_http2(probe: Probe) -> bool:
    """Whether the last exchange was spoken in HTTP/2."""
    return probe.exchanges[-1].http_version == "HTTP/2"


def works(probe: Probe, *, http2: bool) -> bool | None:
    """Whether the version asked for works; None where the request tells nothing of it."""
    last = probe.exchanges[-1]
    if last.tls is None and last.error is not ErrorKind.TLS_ALERT:
        return None  # plain HTTP knows HTTP/1.1 alone
    if http2 != by_http2(probe):
        return None
    if last.error is None:
        if last.status == 502 and producer(last) is Producer.TRAEFIK:
            return None  # of a pod behind it, which no client's version reaches
        return last.status not in _STATUSES
    refused = last.error is ErrorKind.TLS_ALERT and not http2  # no protocol in common
    return False if refused or last.error in _UNANSWERED else None


def unanswered_by_http2(probe: Probe) -> bool:
    """Whether HTTP/2 was agreed to and brought no answer."""
    return by_http2(probe) and probe.exchanges[-1].error in _UNANSWERED


def told(probes: Sequence[Probe]) -> bool:
    """Whether these requests, in turns, all say the same so far: one works, the other does not."""
    first = by_http2(probes[0])
    by_first = works(probes[0], http2=first)
    if by_first is None:
        return False
    return all(
        works(probe, http2=first != other) is (by_first != other)
        for probe, other in zip(probes, TURNS, strict=False)
    )


def first_works(probes: Sequence[Probe]) -> bool:
    """Whether it is the first request's version that works."""
    return works(probes[0], http2=by_http2(probes[0])) is True


def only_version(probes: Sequence[Probe]) -> str | None:
    """The one version by which the host works; None where it is not known to be one alone."""
    if len(probes) != len(TURNS) or not told(probes):
        return None
    return "HTTP/2" if by_http2(probes[0]) == first_works(probes) else "HTTP/1.1"
