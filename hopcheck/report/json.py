"""report.json: the contract's shape, validated by report.schema.json beside this file."""

from __future__ import annotations

from typing import Any

import msgspec

from hopcheck import __version__
from hopcheck.model import Report, Target
from hopcheck.model.redact import redact_url
from hopcheck.report.text import whole_text

SCHEMA_VERSION = "1"
_AS_THEY_ARE = (
    "complete", "selected", "redaction", "replayed", "vantage", "verdict", "headline", "coverage",
    "fingerprint", "since", "last_healthy", "compared_with", "root_causes", "path", "steps",
    "yours", "changes", "skipped",
)  # fmt: skip


def public_url(target: Target) -> str:
    """The target's URL with the values of its query string redacted."""
    return redact_url(target.url)


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain JSON data in the schema's order; valid UTF-8 throughout."""
    plain: dict[str, Any] = msgspec.to_builtins(report, enc_hook=str, str_keys=True)
    of_steps = [step["findings"] for step in plain["steps"]]
    for findings in (plain["root_causes"], plain["skipped"], *of_steps):
        for finding in findings:
            del finding["params"]
    data = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "hopcheck", "version": __version__},
        "host": report.target.host,
        "display_host": report.target.display_host or report.target.host,
        "url": public_url(report.target),
        "started_at": report.started_at,
        "duration_s": round(report.duration_s, 3),
        **{key: plain[key] for key in _AS_THEY_ARE if key != "yours" or report.yours},
    }
    clean: dict[str, Any] = whole_text(data)
    return clean


def to_json(report: Report) -> bytes:
    """report.json: UTF-8, indented, with a final line feed."""
    return msgspec.json.format(msgspec.json.encode(to_dict(report)), indent=2) + b"\n"
