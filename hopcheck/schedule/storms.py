"""Hosts with one common root cause (pure): one message for Traefik down, not a hundred."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.model import Finding, Report
from hopcheck.verdict.cause import stable_owner

# In the place of an object's name that is the host's own (its record, its certificate).
EACH_ITS_OWN = "*"


class Storm(Struct, frozen=True):
    """Hosts whose root causes are the same: equal codes on equal stable owners.

    `causes` are ("CODE", owner) in the report's order, the host's own name in an owner replaced
    by ``*``. `shared` says that none was: it is one and the same object that is wrong. `hosts` are
    in the order given, `root_causes` the first one's.
    """

    causes: tuple[tuple[str, str], ...]
    shared: bool
    root_causes: tuple[Finding, ...]
    hosts: tuple[str, ...]


def common_cause(report: Report) -> tuple[tuple[str, str], ...]:
    """What is compared: the fingerprint's parts without the host."""
    host = report.target.host
    return tuple(
        (finding.code, str(replace(owner, name=EACH_ITS_OWN) if owner.name == host else owner))
        for finding in report.root_causes
        for owner in (stable_owner(finding),)
    )


def storms(reports: Iterable[Report], least: int = 2) -> tuple[Storm, ...]:
    """Groups of at least `least` hosts with one common root cause, the largest first.

    A report without root causes is in none: not knowing is nothing in common.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Report]] = {}
    for report in reports:
        if report.root_causes:
            groups.setdefault(tuple(sorted(set(common_cause(report)))), []).append(report)
    found = [
        Storm(
            causes=tuple(dict.fromkeys(common_cause(members[0]))),
            shared=not any(
                owner.endswith((f" {EACH_ITS_OWN}", f"/{EACH_ITS_OWN}")) for _, owner in key
            ),
            root_causes=members[0].root_causes,
            hosts=tuple(dict.fromkeys(member.target.host for member in members)),
        )
        for key, members in groups.items()
    ]
    return tuple(
        sorted(
            (storm for storm in found if len(storm.hosts) >= least),
            key=lambda storm: (-len(storm.hosts), storm.causes),
        )
    )
