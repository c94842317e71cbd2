"""What the templates of report.html and index.html are given: plain, cleaned, cut to size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hopcheck.history.database import Day
from hopcheck.model import Report
from hopcheck.report.facts import beside_path
from hopcheck.report.index import IndexRow
from hopcheck.report.json import to_dict
from hopcheck.report.labels import label, word
from hopcheck.report.picture import draw, member_look, member_words
from hopcheck.report.since import by_words, changes_words, clock, since_words, span, value_words
from hopcheck.report.text import command, for_terminal, in_words, map_text, shorten
from hopcheck.report.timing import certificate, waterfall


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
)
_VALUE = 200  # cells of a value before or after
_VERDICTS = ("broken", "degraded", "unknown", "healthy")


def page_of(report: Report, limits: Limits) -> dict[str, Any]:
    """The variables of report.html.j2."""

    def shown(text: str) -> str:
        # Cut before it is cleaned too: a log of megabytes must not take seconds.
        return shorten(for_terminal(text[: 4 * limits.text]), limits.text)

    data = map_text(to_dict(report), shown)
    view = _View(data, limits)
    steps = [view.step(step) for step in data["steps"]]
    path = [view.hop(hop) for hop in data["path"]]
    return {
        "report": data,
        "causes": [view.finding(one) for one in data["root_causes"][: limits.findings]],
        "more_causes": max(0, len(data["root_causes"]) - limits.findings),
        "steps": steps,
        "remarks": [one for step in steps for one in step["findings"] if one["severity"] != "info"],
        "unseen": _unseen(steps),
        "skipped": [view.finding(one) for one in data["skipped"][: limits.findings]],
        "path": path,
        "picture": draw(_without_repeats(path)),
        "vantage": _vantage(data["vantage"]),
        "since": shown(since_words(report)),
        "changed": [shown(one) for one in changes_words(report, 1)],
        "changes": [
            {
                "object": view.object(data["changes"][number]["object"]),
                "field": data["changes"][number]["field"],
                "exists": change.field == "exists",
                "before": shown(value_words(change.before, _VALUE)),
                "after": shown(value_words(change.after, _VALUE)),
                "came": bool(change.after),
                "by": shown(by_words(change, report.started_at)),
            }
            for number, change in enumerate(report.changes[: limits.rows])
        ],
        "more_changes": max(0, len(report.changes) - limits.rows),
    }


class _View:
    """One report's data and limits, and how its parts are shown."""

    def __init__(self, data: Mapping[str, Any], limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.codes: dict[str, str] = {}
        self.anchors: dict[str, str] = {}
        self.leading = {one["id"] for one in data["root_causes"][: limits.findings]}
        for group in (*(step["findings"] for step in data["steps"]), data["skipped"]):
            for one in group[: limits.findings]:
                code, ident = one["code"], one["id"]
                self.codes[ident] = code
                # The code for its first finding, the id for others.
                self.anchors[ident] = ident if code in self.anchors.values() else code

    def finding(self, finding: Mapping[str, Any]) -> dict[str, Any]:
        url = finding["docs_url"]
        share = finding["share"]
        proofs = finding["evidence"]
        return {
            **finding,
            "object": self.object(finding["object"]),
            "related": [self.object(one) for one in finding["related"][: self.limits.rows]],
            "commands": [command(one) for one in finding["commands"]],
            "anchor": self.anchors.get(finding["id"], finding["id"]),
            "evidence": [_proof(one) for one in proofs[: self.limits.evidence]],
            "more_evidence": len(proofs) > self.limits.evidence,
            "docs_url": url if url.startswith(("https://", "http://")) else "",
            "percent": None if share is None else f"{100 * share:.3g}",
            "causes": [
                (self.codes[i], self.anchors[i]) for i in finding["caused_by"] if i in self.codes
            ],
            "leading": finding["id"] in self.leading,
            # The headline is made of the first cause's own words.
            "told": finding["message"].rstrip(".") in self.data["headline"],
        }

    @staticmethod
    def object(ref: Mapping[str, Any]) -> dict[str, Any]:
        return {"namespace": None, "field": None, **ref}

    def step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        findings = [self.finding(one) for one in step["findings"][: self.limits.findings]]
        facts = beside_path(step["facts"])
        timings = waterfall(facts.get("timings"), self.limits.rows)
        if timings:
            del facts["timings"]
        leaf = certificate(facts.get("certificate"), facts.get("tls"), self.data["started_at"])
        if leaf:
            del facts["certificate"]
            facts.pop("tls", None)
        return {
            **step,
            "open": any(one["severity"] != "info" for one in findings),
            "findings": findings,
            "more_findings": max(0, len(step["findings"]) - self.limits.findings),
            "facts": [
                (word("fact", key), self.fact(value))
                for key, value in list(facts.items())[: self.limits.rows]
            ],
            "timings": timings,
            "certificate": leaf,
        }

    def fact(self, value: Any) -> dict[str, Any]:
        """How a fact is shown: rows under a head (list of objects), a list, pairs, or a text."""
        most = self.limits.rows
        more = max(0, len(value) - most) if isinstance(value, list | dict) else 0
        if (
            isinstance(value, list)
            and value
            and all(isinstance(one, dict) and one for one in value)
        ):
            keys = list(dict.fromkeys(key for one in value for key in one))[:8]
            keys = [key for key in keys if any(one.get(key) not in (None, "", []) for one in value)]
            rows = [
                [self.cell(key, one[key]) if key in one else "" for key in keys] for one in value
            ]
            head = [word("fact", key) for key in keys]
            return {"kind": "table", "head": head, "rows": rows[:most], "more": more}
        if isinstance(value, list) and len(value) > 1:
            return {
                "kind": "list",
                "items": [self.words(one) for one in value[:most]],
                "more": more,
            }
        if isinstance(value, dict) and value:
            pairs = [(word("fact", key), self.words(one)) for key, one in value.items()]
            return {"kind": "pairs", "pairs": pairs[:most], "more": more}
        return {"kind": "text", "text": self.words(value), "more": 0}

    def cell(self, key: str, value: Any) -> str:
        """A value of a table; a member's state in words."""
        if key == "state" and isinstance(value, str):
            return word("member", value)
        return self.words(value)

    def words(self, value: Any) -> str:
        return shorten(in_words(value), self.limits.text)

    def hop(self, hop: Mapping[str, Any]) -> dict[str, Any]:
        """A hop with its members, those in trouble first."""
        members = [
            {"detail": "", **one, "look": member_look(one["state"])}
            for one in hop.get("members", ())
        ]
        if hop["state"] == "consequence":
            # Their own end is well as far as is known: the cause is elsewhere.
            for one in members:
                one["look"] = "consequence" if one["look"] == "broken" else one["look"]
        members.sort(key=lambda one: one["look"] == "ok")
        return {
            "detail": "",
            **hop,
            "label": hop["label"] if hop["label"] != hop["hop"] else "",  # a hop with no name
            "members": members,
            "well": sum(one["look"] == "ok" for one in members),
            "said": [(one["look"], member_words(one)) for one in members[: self.limits.members]],
            "cut": max(0, len(members) - self.limits.members),
        }


def _without_repeats(path: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Hops that were not seen for the same reason as the one before need not say it again."""
    shown = []
    for number, hop in enumerate(path):
        before = path[number - 1] if number else None
        same = before is not None and hop["state"] == before["state"] == "unknown"
        if same and before is not None and hop["detail"] == before["detail"]:
            hop = {**hop, "detail": ""}
        shown.append(hop)
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
