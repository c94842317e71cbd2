"""report.html and index.html: self-contained pages that make no request and need no script."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hopcheck.model import Report
from hopcheck.report.facts import beside_path
from hopcheck.report.json import to_dict
from hopcheck.report.labels import label
from hopcheck.report.store import IndexRow
from hopcheck.report.text import command, for_terminal, in_words, map_text, shorten

# What keeps the page below 300 KB; report.json holds the whole.
_TEXT = 1_500  # characters of one text
_EVIDENCE = 6  # lines of evidence of one finding
_FINDINGS = 20  # findings of one step
_ROWS = 40  # entries of one fact
_CHIPS = 12  # members of a hop before the rest is folded
_CALM_CHIPS = 4  # of these, members that are well beside others that are not
_MEMBERS = 120
_ALWAYS = ("context", "account")  # of the vantage: that there was none is worth knowing
_PHASES = ("dns", "connect", "tls", "first_byte")
_STATES = ("ok", "partial", "broken", "consequence", "unknown", "not_applicable")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hopcheck.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(label=label, csp=_csp(), **_assets())
    return environment


@cache
def _assets() -> dict[str, Markup]:
    folder = resources.files("hopcheck.report") / "templates"
    texts = {"css": "report.css", "js": "report.js"}
    # The project's own files, not escaped: the policy allows exactly these by their hashes.
    return {
        name: Markup((folder / file).read_text("utf-8"))  # noqa: S704
        for name, file in texts.items()
    }


def _csp() -> str:
    """A policy under which only the two inlined texts act and nothing is fetched."""
    hashes = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in _assets().items()
    }
    return (
        f"default-src 'none'; style-src 'sha256-{hashes['css']}'; "
        f"script-src 'sha256-{hashes['js']}'; base-uri 'none'; form-action 'none'"
    )


def prepare() -> None:
    """Compile the template ahead: 0.1 s that can pass while evidence is awaited."""
    _environment().get_template("report.html.j2")


def to_html(report: Report) -> bytes:
    """report.html: one file, UTF-8, below 300 KB; long texts are cut, with a word that says so."""
    data = map_text(to_dict(report), _shown)
    groups = [*(step["findings"] for step in data["steps"]), data["skipped"]]
    anchors = _anchors(groups)
    codes = {one["id"]: one["code"] for group in groups for one in group}
    steps = [_step(step, anchors, codes) for step in data["steps"]]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=data,
            causes=[_finding(one, anchors, codes) for one in data["root_causes"]],
            steps=steps,
            remarks=[
                finding
                for step in steps
                for finding in step["findings"]
                if finding["severity"] != "info"
            ],
            unseen=[step for step in steps if step["status"] == "unknown"],
            skipped=[_finding(one, anchors, codes) for one in data["skipped"]],
            path=[_hop(hop) for hop in data["path"]],
            vantage=_vantage(data["vantage"]),
        )
    )
    return page.encode("utf-8", "replace")


def _shown(text: str) -> str:
    # Cut before it is cleaned too: a log of megabytes must not take seconds.
    return shorten(for_terminal(text[: 4 * _TEXT]), _TEXT)


def render_index(rows: Iterable[IndexRow]) -> bytes:
    """index.html: a line for each host with verdict, headline, time and a link to its report."""
    shown = [
        {name: for_terminal(getattr(row, name)) for name in row.__struct_fields__} for row in rows
    ]
    return (
        _environment().get_template("index.html.j2").render(rows=shown).encode("utf-8", "replace")
    )


def _anchors(groups: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Finding id -> anchor: the code for its first finding, the id for others."""
    anchors: dict[str, str] = {}
    for group in groups:
        for finding in group:
            code = finding["code"]
            anchors[finding["id"]] = finding["id"] if code in anchors.values() else code
    return anchors


def _finding(
    finding: Mapping[str, Any], anchors: Mapping[str, str], codes: Mapping[str, str]
) -> dict[str, Any]:
    url = finding["docs_url"]
    share = finding["share"]
    return {
        **finding,
        "object": _object(finding["object"]),
        "related": [_object(one) for one in finding["related"]],
        "commands": [command(one) for one in finding["commands"]],
        "anchor": anchors.get(finding["id"], finding["id"]),
        "evidence": finding["evidence"][:_EVIDENCE],
        "more_evidence": len(finding["evidence"]) > _EVIDENCE,
        "docs_url": url if url.startswith(("https://", "http://")) else "",
        "percent": None if share is None else f"{100 * share:.3g}",
        "causes": [(codes[i], anchors[i]) for i in finding["caused_by"] if i in codes],
    }


def _object(ref: Mapping[str, Any]) -> dict[str, Any]:
    return {"namespace": None, "field": None, **ref}


def _step(
    step: Mapping[str, Any], anchors: Mapping[str, str], codes: Mapping[str, str]
) -> dict[str, Any]:
    findings = [_finding(one, anchors, codes) for one in step["findings"][:_FINDINGS]]
    facts = beside_path(step["facts"])
    timings = _timings(facts.get("timings"))
    if timings:
        del facts["timings"]
    return {
        **step,
        "open": bool(findings) or step["status"] in ("fail", "warn", "unknown"),
        "findings": findings,
        "more_findings": max(0, len(step["findings"]) - _FINDINGS),
        "facts": [(key, _fact(value)) for key, value in list(facts.items())[:_ROWS]],
        "timings": timings,
    }


def _fact(value: Any) -> dict[str, Any]:
    """How a fact is shown: rows under a head (list of objects), a list, pairs, or a text."""
    more = max(0, len(value) - _ROWS) if isinstance(value, list | dict) else 0
    if isinstance(value, list) and value and all(isinstance(one, dict) and one for one in value):
        head = list(dict.fromkeys(key for one in value for key in one))[:8]
        rows = [[_words(one[key]) if key in one else "" for key in head] for one in value[:_ROWS]]
        return {"kind": "table", "head": head, "rows": rows, "more": more}
    if isinstance(value, list) and len(value) > 1:
        return {"kind": "list", "items": [_words(one) for one in value[:_ROWS]], "more": more}
    if isinstance(value, dict) and value:
        pairs = [(key, _words(one)) for key, one in list(value.items())[:_ROWS]]
        return {"kind": "pairs", "pairs": pairs, "more": more}
    return {"kind": "text", "text": _words(value), "more": 0}


def _words(value: Any) -> str:
    return shorten(in_words(value), _TEXT)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if math.isfinite(value) and value > 0 else 0.0


def _timings(value: Any) -> list[dict[str, Any]]:
    """Rows of the waterfall from model.Timing as JSON: one, a list, or a table by name.

    Widths and places are in thousandths of the longest request.
    """
    if isinstance(value, dict):
        named = [{"label": k, **v} for k, v in value.items() if isinstance(v, dict)]
        value = [value] if "total" in value else named
    if not isinstance(value, list):
        return []
    given = [one for one in value if isinstance(one, dict)][:_ROWS]
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
                x, width = round(1000 * at / longest), max(2, round(1000 * seconds / longest))
                bars.append({"phase": phase, "x": x, "width": width, "ms": f"{1000 * seconds:.0f}"})
                at += seconds
        names = (one.get(key) for key in ("label", "member", "address", "name", "url"))
        name = next((str(name) for name in names if name), "")
        rows.append({"name": name, "bars": bars, "ms": f"{1000 * _whole(one):.0f}"})
    return rows


def _whole(timing: Mapping[str, Any]) -> float:
    phases = sum(_seconds(timing.get(phase)) for phase in _PHASES)
    return max(_seconds(timing.get("total")), phases)


def _hop(hop: Mapping[str, Any]) -> dict[str, Any]:
    """A hop with its members, those in trouble first."""
    members = [
        {"detail": "", **one, "look": one["state"] if one["state"] in _STATES else "other"}
        for one in hop.get("members", ())
    ]
    members.sort(key=lambda one: one["state"] == "ok")
    bad = sum(one["state"] != "ok" for one in members)
    chips = min(_CHIPS, bad + _CALM_CHIPS) if bad and len(members) > _CHIPS else _CHIPS
    counts: dict[str, int] = {}
    for one in members:
        counts[one["state"]] = counts.get(one["state"], 0) + 1
    return {
        "detail": "",
        **hop,
        "label": hop["label"] if hop["label"] != hop["hop"] else "",  # a hop with no name
        "shown": members[:chips],
        "folded": members[chips:_MEMBERS],
        "cut": max(0, len(members) - _MEMBERS),
        "counts": counts,
        "members": members,
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
