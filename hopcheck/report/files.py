"""The files of one run: their names and contents, and the evidence as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hopcheck.model import Report, Snapshot, Step
from hopcheck.report.text import encodable, map_text, whole_text


def evidence_of(snapshot: Snapshot) -> Any:
    """The snapshot as plain JSON; lone surrogates (broken UTF-8 in cluster text) are replaced."""
    return whole_text(msgspec.to_builtins(snapshot))


def strictly(report: Report, evidence: Any) -> tuple[Report, Any]:
    """Both without account ids and internal addresses, the same value as the same placeholder."""
    from hopcheck.model.redact import redact_strict

    plain = map_text(msgspec.to_builtins(report, enc_hook=str), encodable)
    evidence, plain = redact_strict([evidence, plain])
    if evidence:
        evidence["redaction"] = "strict"
    return msgspec.convert(plain | {"redaction": "strict"}, Report), evidence


def files_of(
    report: Report, evidence: Any, where: str, defects: Mapping[tuple[str, Step], str] | None = None
) -> dict[str, bytes]:
    """Name -> content; `where` is the address or path that summary.md names."""
    from hopcheck.report.html import to_html
    from hopcheck.report.json import to_json
    from hopcheck.report.junit import to_junit
    from hopcheck.report.markdown import to_markdown

    return {
        "report.json": to_json(report),
        "report.html": to_html(report),
        "junit.xml": to_junit([report], defects or {}),
        "summary.md": to_markdown(report, where=where),
        "evidence.json": msgspec.json.format(msgspec.json.encode(evidence), indent=1) + b"\n",
    }
