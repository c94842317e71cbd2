"""report.json: the contract's shape, validated by report.schema.json beside this file."""

from __future__ import annotations

from typing import Any

import msgspec

from hopcheck import __version__
from hopcheck.model import Finding, Report, Target
from hopcheck.model.redact import redact_url
from hopcheck.report.text import whole_text

SCHEMA_VERSION = "1"


def public_url(target: Target) -> str:
    """The target's URL with the values of its query string redacted."""
    return redact_url(target.url)


def _finding(finding: Finding) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(finding, enc_hook=str, str_keys=True)
    del data["params"]
    return data


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain JSON data in the schema's order; valid UTF-8 throughout."""
    plain: dict[str, Any] = msgspec.to_builtins(report, enc_hook=str, str_keys=True)
    steps = [
        {**data, "findings": [_finding(finding) for finding in step.findings]}
        for data, step in zip(plain["steps"], report.steps, strict=True)
    ]
    data = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "hopcheck", "version": __version__},
        "host": report.target.host,
        "display_host": report.target.display_host or report.target.host,
        "url": public_url(report.target),
        "started_at": report.started_at,
        "duration_s": round(report.duration_s, 3),
        "complete": report.complete,
        "selected": list(plain["selected"]),
        "redaction": report.redaction,
        "replayed": report.replayed,
        "vantage": plain["vantage"],
        "verdict": plain["verdict"],
        "headline": report.headline,
        "coverage": plain["coverage"],
        "fingerprint": report.fingerprint,
        "since": report.since,
        "last_healthy": report.last_healthy,
        "compared_with": report.compared_with,
        "root_causes": [_finding(finding) for finding in report.root_causes],
        "path": plain["path"],
        "steps": steps,
        **({"yours": plain["yours"]} if report.yours else {}),
        "changes": plain["changes"],
        "skipped": [_finding(finding) for finding in report.skipped],
    }
    clean: dict[str, Any] = whole_text(data)
    return clean


def to_json(report: Report) -> bytes:
    """report.json: UTF-8, indented, with a final line feed."""
    return msgspec.json.format(msgspec.json.encode(to_dict(report)), indent=2) + b"\n"
