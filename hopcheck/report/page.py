"""What the templates of report.html and index.html are given: plain, cleaned, cut to size."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hopcheck.model import Report
from hopcheck.report.labels import (
    beside_path,
    changing,
    label,
    origins,
    verdict_word,
    word,
)
from hopcheck.report.picture import draw, member_look, member_words
from hopcheck.report.since import by_words, changes_words, clock, since_words, span, value_words
from hopcheck.report.store import Day, IndexRow
from hopcheck.report.text import command, for_terminal, in_words, map_text, shorten


class Limits(Struct, frozen=True):
    """How much of a report a page holds; report.json holds the whole."""

    text: int  # characters of one text
    evidence: int  # of one finding
    findings: int  # of one step, and root causes
    rows: int  # entries of one fact, facts of one step, changes
    members: int  # of one hop


# From generous to meagre: the first that gives a page below its limit is taken.
LIMITS = (
    Limits(1_500, 6, 20, 40, 120),
    Limits(600, 3, 10, 20, 60),
    Limits(240, 1, 5, 8, 20),
    Limits(60, 1, 2, 3, 8),
    Limits(30, 0, 1, 1, 2),
)
_PHASES = ("dns", "connect", "tls", "first_byte")
_CELLS = 8  # columns of a table
_DRAWN = 120  # members of a hop that the picture can hold
_VALUE = 200  # cells of a value before or after
_VERDICTS = ("broken", "degraded", "unknown", "healthy")


def page_of(report: Report, data: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """The variables of report.html.j2 from a report and its `to_dict`.

    What is cut away is not even cleaned: megabytes of it must not take seconds.
    """
    view = _View(report, data, limits)
    steps = [view.step(step) for step in data["steps"]]
    path = [view.hop(hop) for hop in data["path"]]
    return {
        "report": view.head,
        "verdict": verdict_word(report),
        "causes": [view.finding(one) for one in data["root_causes"][: limits.findings]],
        "more_causes": max(0, len(data["root_causes"]) - limits.findings),
        "steps": steps,
        "yours": [map_text(one, view.shown) for one in data.get("yours", ())][: limits.findings],
        "remarks": [one for step in steps for one in step["findings"] if one["severity"] != "info"],
        "unseen": _unseen(steps),
        "skipped": [view.finding(one) for one in data["skipped"][: limits.findings]],
        "path": path,
        "picture": draw(_without_repeats(path)),
        "vantage": _vantage(map_text(data["vantage"], view.shown)),
        "since": view.shown(since_words(report)),
        "changed": [view.shown(one) for one in changes_words(report, 1)],
        "changes": [
            {
                "object": view.object(map_text(data["changes"][number]["object"], view.shown)),
                "field": view.shown(change.field),
                "exists": change.field == "exists",
                "before": view.shown(value_words(change.before, _VALUE)),
                "after": view.shown(value_words(change.after, _VALUE)),
                "came": bool(change.after),
                "by": view.shown(by_words(change, report.started_at)),
            }
            for number, change in enumerate(report.changes[: limits.rows])
        ],
        "more_changes": max(0, len(report.changes) - limits.rows),
    }


class _View:
    """One report's data and limits, and how its parts are shown."""

    def __init__(self, report: Report, data: Mapping[str, Any], limits: Limits) -> None:
        self.report = report
        self.limits = limits
        self.head = {
            key: map_text(value, self.shown)
            for key, value in data.items()
            if not isinstance(value, list)
        }
        self.codes: dict[str, str] = {}
        self.anchors: dict[str, str] = {}
        self.leading = {one["id"] for one in data["root_causes"][: limits.findings]}
        for group in (*(step["findings"] for step in data["steps"]), data["skipped"]):
            for one in group[: limits.findings]:
                code, ident = one["code"], one["id"]
                self.codes[ident] = code
                # The code for its first finding, the id for others.
                self.anchors[ident] = ident if code in self.anchors.values() else code

    def shown(self, text: str) -> str:
        """A text cut to size, without what must not reach a page."""
        return shorten(for_terminal(text[: 4 * self.limits.text]), self.limits.text)

    def finding(self, finding: Mapping[str, Any]) -> dict[str, Any]:
        most = self.limits.evidence
        more = len(finding["evidence"]) > most
        cut = {
            "evidence": finding["evidence"][:most],
            "related": finding["related"][: self.limits.rows],
            "commands": finding["commands"][: self.limits.rows],
            "caused_by": finding["caused_by"][: self.limits.rows],
        }
        fixing = [one for one in finding["fix_commands"] if len(one) <= self.limits.text]
        finding = map_text({**finding, **cut}, self.shown)
        url = finding["docs_url"]
        share = finding["share"]
        return {
            **finding,
            "object": self.object(finding["object"]),
            "related": [self.object(one) for one in finding["related"]],
            "commands": [command(one) for one in finding["commands"]],
            # Not cut: half of a command may still run.
            "fix_commands": [(changing(one), command(one)) for one in fixing],
            "anchor": self.anchors.get(finding["id"], finding["id"]),
            "evidence": [_proof(one) for one in finding["evidence"]],
            "more_evidence": more,
            "docs_url": url if url.startswith(("https://", "http://")) else "",
            "percent": None if share is None else f"{100 * share:.3g}",
            "causes": [
                (self.codes[one.id], self.anchors[one.id])
                for one in origins(self.report, finding["caused_by"])
                if one.id in self.codes
            ],
            "leading": finding["id"] in self.leading,
            # The headline is made of the first cause's own words.
            "told": finding["message"].rstrip(".") in self.head["headline"],
        }

    @staticmethod
    def object(ref: Mapping[str, Any]) -> dict[str, Any]:
        return {"namespace": None, "field": None, **ref}

    def step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        findings = [self.finding(one) for one in step["findings"][: self.limits.findings]]
        facts = dict(list(beside_path(step["facts"]).items())[: self.limits.rows])
        timings = map_text(waterfall(facts.get("timings"), self.limits.rows), self.shown)
        if timings:
            del facts["timings"]
        leaf = certificate(facts.get("certificate"), facts.get("tls"), self.head["started_at"])
        if leaf:
            del facts["certificate"]
            facts.pop("tls", None)
        return {
            **map_text(
                {k: v for k, v in step.items() if k not in ("facts", "findings")}, self.shown
            ),
            "open": any(one["severity"] != "info" for one in findings),
            "findings": findings,
            "more_findings": max(0, len(step["findings"]) - self.limits.findings),
            "facts": [(self.key(key), self.fact(value)) for key, value in facts.items()],
            "timings": timings,
            "certificate": [(key, self.shown(said)) for key, said in leaf],
        }

    def fact(self, value: Any) -> dict[str, Any]:
        """How a fact is shown: rows under a head (list of objects), a list, pairs, or a text."""
        most = self.limits.rows
        more = max(0, len(value) - most) if isinstance(value, list | dict) else 0
        if isinstance(value, list) and value and all(isinstance(o, dict) and o for o in value):
            return {"kind": "table", **self.table(value[:most]), "more": more}
        if isinstance(value, list) and len(value) > 1:
            items = [self.words(one) for one in value[:most]]
            return {"kind": "list", "items": items, "more": more}
        if isinstance(value, dict) and value:
            pairs = [(self.key(key), self.words(one)) for key, one in list(value.items())[:most]]
            return {"kind": "pairs", "pairs": pairs, "more": more}
        return {"kind": "text", "text": self.words(value), "more": 0}

    def table(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Head and cells; columns that are empty throughout are left out."""
        filled = (key for one in rows for key in one if one[key] not in (None, "", []))
        keys = list(dict.fromkeys(filled))[:_CELLS]
        return {
            "head": [self.key(key) for key in keys],
            "rows": [
                [self.cell(key, one[key]) if key in one else "" for key in keys] for one in rows
            ],
        }

    def cell(self, key: str, value: Any) -> str:
        """A value of a table; a member's state in words."""
        words = self.words(value)
        return word("member", words) if key == "state" else words

    def key(self, key: str) -> str:
        """A fact's name in words, or as it is."""
        return word("fact", self.shown(key))

    def words(self, value: Any) -> str:
        return self.shown(in_words(value))

    def hop(self, hop: Mapping[str, Any]) -> dict[str, Any]:
        """A hop with its members, those in trouble first."""
        members = [
            {"detail": "", **one, "look": member_look(one["state"])}
            for one in hop.get("members", ())
        ]
        total, most = len(members), self.limits.members
        if hop["state"] == "consequence":
            # Their own end is well as far as is known: the cause is elsewhere.
            for one in members:
                one["look"] = "consequence" if one["look"] == "broken" else one["look"]
        members.sort(key=lambda one: one["look"] == "ok")
        well = sum(one["look"] == "ok" for one in members)
        members = map_text(members[:_DRAWN], self.shown)
        named = hop["label"] if hop["label"] != hop["hop"] else ""  # a hop with no name
        return {
            "hop": hop["hop"],
            "state": hop["state"],
            "label": self.shown(named),
            "detail": self.shown(hop.get("detail", "")),
            "members": members,
            "total": total,
            "well": well,
            "said": [(one["look"], member_words(one)) for one in members[:most]],
            "cut": max(0, total - most),
        }


def _without_repeats(path: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The hops; what the one before has said of itself already need not stand twice in a row."""
    shown: list[Mapping[str, Any]] = []
    for before, hop in zip((None, *path), path, strict=False):
        silent = hop["state"] in ("unknown", "not_applicable")
        same = silent and before is not None and hop["detail"] == before["detail"]
        shown.append({**hop, "detail": ""} if same else hop)
    return shown


def _unseen(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The steps that were not seen, by what kept them from it."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for step in steps:
        if step["status"] == "unknown":
            # What a party said of it stands with the step.
            reason = (step["reason"] or label("no_reason")).partition(" (")[0]
            found.setdefault(reason, []).append(step)
    return list(found.items())


def _proof(proof: Mapping[str, Any]) -> dict[str, Any]:
    """A piece of evidence as lines, each with whether it is marked."""
    marks = set(proof.get("marks", ()))
    lines = proof["text"].split("\n")
    return {
        "source": proof["source"],
        "lines": [(line, number in marks) for number, line in enumerate(lines)],
    }


def _vantage(vantage: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("context", vantage["kube_context"]),
        ("account", vantage["aws_account"]),
        ("region", vantage["aws_region"]),
        ("resolvers", ", ".join(vantage["resolvers"])),
        ("proxy", vantage["proxy"]),
        ("in_cluster", label("yes") if vantage["in_cluster"] else None),
    ]
    return [
        (label(key), value or label("none")) for key, value in rows if value or key == "context"
    ]


# --- a step's facts: request timing as a waterfall, and the certificate


def waterfall(value: Any, most: int) -> list[dict[str, Any]]:
    """The requests of model.Timing as JSON (one, a list, or a table by name), at most `most`.

    Each has its phases one after the other; widths and places are in thousandths of the longest
    request. Empty where `value` is no timing.
    """
    if isinstance(value, dict):
        named = [{"label": k, **v} for k, v in value.items() if isinstance(v, dict)]
        value = [value] if "total" in value else named
    if not isinstance(value, list):
        return []
    given = [one for one in value if isinstance(one, dict)][:most]
    longest = max((_whole(one) for one in given), default=0.0)
    if not longest:
        return []
    rows = []
    for one in given:
        bars, at = [], 0.0
        spent = [(phase, _seconds(one.get(phase))) for phase in _PHASES]
        rest = _whole(one) - sum(seconds for _, seconds in spent)
        for phase, seconds in [*spent, ("rest", rest)]:
            if seconds > 0.0005:
                x, width = round(1000 * at / longest), max(4, round(1000 * seconds / longest))
                bars.append({"phase": phase, "x": x, "width": width, "ms": f"{1000 * seconds:.0f}"})
                at += seconds
        names = (one.get(key) for key in ("label", "member", "address", "name", "url"))
        name = next((str(name) for name in names if name), "")
        rows.append({"name": name, "bars": bars, "ms": f"{1000 * _whole(one):.0f}"})
    return rows


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if math.isfinite(value) and value > 0 else 0.0


def _whole(timing: Mapping[str, Any]) -> float:
    phases = sum(_seconds(timing.get(phase)) for phase in _PHASES)
    return max(_seconds(timing.get("total")), phases)


def certificate(value: Any, tls: Any, now: str) -> list[tuple[str, str]]:
    """What a certificate says of itself, as (word, text); empty where `value` is none."""
    if not isinstance(value, dict) or "not_after" not in value:
        return []
    begin, end = str(value.get("not_before")), str(value["not_after"])
    valid = label("cert.span", begin=begin, end=end)
    left = _days(now, end)
    if left is not None:
        valid += " · " + label("cert.left" if left >= 0 else "cert.over", days=abs(left))
    rows = [
        ("cert.names", value.get("names")),
        ("cert.valid", valid),
        ("cert.verified", value.get("verified")),
        ("cert.issuer", value.get("issuer")),
        ("cert.chain", value.get("chain")),
        ("cert.session", tls),
    ]
    return [(label(key), in_words(said)) for key, said in rows if said not in (None, "", [])]


def _days(now: str, then: str) -> int | None:
    try:
        between = dt.datetime.fromisoformat(then) - dt.datetime.fromisoformat(now)
    except (ValueError, TypeError):
        return None
    return between.days


# --- index.html


def index_of(rows: Iterable[IndexRow]) -> dict[str, Any]:
    """The variables of index.html.j2: the worst host first, then by name."""
    shown = [_index_row(row) for row in rows]
    shown.sort(key=lambda row: (_VERDICTS.index(row["verdict"]), row["host"], row["url"]))
    counts = [(verdict, sum(row["verdict"] == verdict for row in shown)) for verdict in _VERDICTS]
    return {"rows": shown, "counts": [one for one in counts if one[1]]}


def _index_row(row: IndexRow) -> dict[str, Any]:
    since = ""
    if row.since is not None:
        since = clock(row.since, row.started_at)
        length = span(row.since, row.started_at)
        since += f" ({length})" if length else ""
    return {
        "host": for_terminal(row.host),
        "url": for_terminal(row.url),
        "verdict": row.verdict if row.verdict in _VERDICTS else "unknown",
        "headline": shorten(for_terminal(row.headline), 400),
        "started_at": for_terminal(row.started_at),
        "link": for_terminal(row.link),
        "since": for_terminal(since),
        "days": [
            {
                "verdict": day.worst.value if day.worst else None,
                "words": label(
                    "by_day",
                    day=day.date,
                    verdict=label(f"verdict.{day.worst.value}") if day.worst else label("no_run"),
                )
                + (f" ({_runs(day)})" if day.runs > 1 else ""),
            }
            for day in row.days
        ],
    }


def _runs(day: Day) -> str:
    worst = day.verdicts.get(day.worst.value, 0) if day.worst else 0
    return label("runs_of", count=worst, total=day.runs)
