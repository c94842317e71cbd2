"""The fleet's own report: one JSON document, and one line a host on the terminal.

Hosts with one common root cause are a storm: one message for Traefik down, not a hundred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hopcheck import __version__
from hopcheck.catalogue.catalogue import text
from hopcheck.model import Report, Verdict
from hopcheck.report.json import public_url
from hopcheck.report.labels import label
from hopcheck.report.store import replace_file
from hopcheck.report.text import encodable, for_terminal, map_text, one_line
from hopcheck.schedule.fleet_model import FleetResult, HostResult
from hopcheck.verdict.cause import stable_owner

FORMAT = "hopcheck-fleet-1"
_ORDER = ("defect", "broken", "degraded", "unknown", "healthy", "maintenance")
_WIDTH = 200
# In the place of an object's name that is the host's own (its record, its certificate).
EACH_ITS_OWN = "*"


class Storm(Struct, frozen=True):
    """Hosts whose root causes are the same: equal codes on equal stable owners.

    `causes` are ("CODE", owner) in the report's order, the host's own name in an owner replaced
    by ``*``. `shared` says that none was: it is one and the same object that is wrong. `hosts` are
    in the order given.
    """

    causes: tuple[tuple[str, str], ...]
    shared: bool
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
            hosts=tuple(dict.fromkeys(member.target.host for member in members)),
        )
        for key, members in groups.items()
    ]
    large = (storm for storm in found if len(storm.hosts) >= least)
    return tuple(sorted(large, key=lambda storm: (-len(storm.hosts), storm.causes)))


def state_of(result: HostResult) -> str:
    """A host's verdict in one word; "defect" and "maintenance" where there is none."""
    if result.defects:
        return "defect"
    if result.maintenance is not None or result.report is None:
        return "maintenance"
    return result.report.verdict.value


def to_dict(result: FleetResult) -> dict[str, Any]:
    """The run as plain JSON data (format ``hopcheck-fleet-1``); adding keys is no new format."""
    data = {
        "format": FORMAT,
        "tool": {"name": "hopcheck", "version": __version__},
        "started_at": result.started_at,
        "finished_at": result.finished_at,
        "duration_s": round(result.seconds, 3),
        "complete": result.complete,
        "shard": str(result.shard) if result.shard is not None else None,
        "exit_code": result.exit_code,
        "counts": counts(result),
        "api_requests": result.api_requests,
        "aws_calls": result.aws_calls,
        "problems": list(result.problems),
        "storms": [
            {
                "codes": [code for code, _ in storm.causes],
                "causes": [{"code": code, "object": owner} for code, owner in storm.causes],
                "shared": storm.shared,
                "hosts": list(storm.hosts),
            }
            for storm in storms(result.reports)
        ],
        "hosts": [_host(each) for each in result.hosts],
        "left_out": [{"host": one.host, "reason": one.reason} for one in result.left_out],
    }
    clean: dict[str, Any] = map_text(data, encodable)
    return clean


def counts(result: FleetResult) -> dict[str, int]:
    """How many hosts there are of each state, all states named."""
    found = Counter(state_of(each) for each in result.hosts)
    return {"hosts": len(result.hosts), **{state: found[state] for state in _ORDER}}


def _host(result: HostResult) -> dict[str, Any]:
    report = result.report
    return {
        "host": result.target.host,
        "url": public_url(result.target),
        "owner": result.host.owner,
        "source": result.host.source,
        "state": state_of(result),
        "verdict": report.verdict.value if report is not None else None,
        "headline": report.headline if report is not None else None,
        "fingerprint": report.fingerprint if report is not None else None,
        "root_causes": [
            {"code": finding.code, "object": str(finding.object), "step": finding.step.value}
            for finding in (report.root_causes if report is not None else ())
        ],
        "started_at": result.started_at,
        "duration_s": round(result.seconds, 3),
        "probed": result.probed,
        "maintenance": result.maintenance,
        "defects": sorted(str(step) for step in result.defects),
        "report": result.written,
        "write_error": result.write_error,
    }


def to_json(result: FleetResult) -> bytes:
    """The summary as UTF-8 JSON, indented, with a final line feed."""
    return msgspec.json.format(msgspec.json.encode(to_dict(result)), indent=2) + b"\n"


def write_summary(base: Path, result: FleetResult) -> None:
    """Write fleet.json, or a shard's fleet-I-of-N.json, whole or not at all. Raises OSError."""
    base.mkdir(parents=True, exist_ok=True)
    shard = result.shard
    name = "fleet.json" if shard is None else f"fleet-{shard.index}-of-{shard.count}.json"
    replace_file(base / name, to_json(result))


def lines(result: FleetResult) -> Iterator[tuple[str, str]]:
    """(state, line) for each host, the worst first, and what was left out; safe for a terminal."""
    ordered = sorted(
        result.hosts, key=lambda each: (_ORDER.index(state_of(each)), each.target.host)
    )
    for each in ordered:
        state = state_of(each)
        words = [label(f"verdict.{state}").upper(), each.target.host]
        if each.target.url != f"https://{each.target.host}/":
            words[1] = public_url(each.target)
        report = each.report
        if each.defects:
            words.append(text("fleet", "defect"))
        elif report is None:
            words.append(text("fleet", "maintenance", window=each.maintenance or ""))
        elif report.verdict is not Verdict.HEALTHY:
            codes = ", ".join(f"{f.code} {f.object}" for f in report.root_causes)
            words += [codes or report.headline]
            words += [f"[{each.host.owner}]"] if each.host.owner else []
        yield state, one_line(for_terminal("  ".join(words)), _WIDTH)


def notes(result: FleetResult) -> Iterator[str]:
    """What belongs to no single host: storms, what was left out, what could not be read, totals."""
    for storm in storms(result.reports, least=3):
        causes = ", ".join(f"{code} {owner}" for code, owner in storm.causes)
        yield _safe(text("fleet", "storm", count=len(storm.hosts), causes=causes))
    for one in result.left_out:
        yield _safe(text("fleet", "left_out", host=one.host, reason=one.reason))
    for problem in result.problems:
        yield _safe(problem)
    told = counts(result)
    said = ", ".join(f"{told[s]} {label(f'verdict.{s}')}" for s in _ORDER if told[s])
    seconds = f"{result.seconds:.1f}"
    if said:
        yield _safe(text("fleet", "total", count=told["hosts"], states=said, seconds=seconds))
    else:
        yield _safe(text("fleet", "total_none", seconds=seconds))


def _safe(words: str) -> str:
    return one_line(for_terminal(words), 2 * _WIDTH)
