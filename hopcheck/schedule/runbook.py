"""The page behind an alert: what it means, from the code to the first action, when to escalate.

``python -m hopcheck.schedule.runbook docs/runbook.md`` writes the general page;
``hopcheck runbook`` the same for the configured hosts with their real links.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hopcheck.catalogue.catalogue import entries, text
from hopcheck.model import Severity
from hopcheck.report.explain import filled
from hopcheck.report.text import one_line
from hopcheck.schedule.fleet_model import FleetHost

DOCS = "findings/{code}.md"
_ACTION = 300


def runbook(hosts: Sequence[FleetHost] = (), docs: str | None = DOCS) -> str:
    """The page as Markdown; `docs` is where a code's page is found (None: no links to them)."""
    parts = [text("runbook", "title"), text("runbook", "about"), text("runbook", "first")]
    if hosts:
        rows = [f"| {_cell(h.name)} | {_cell(h.owner or '-')} | {h.link or '-'} |" for h in hosts]
        table = [text("runbook", "hosts_head"), "|---|---|---|", *rows]
        parts += [text("runbook", "hosts"), "\n".join(table)]
    parts += [text("runbook", "verdicts"), text("runbook", "codes"), _codes(docs)]
    parts.append(text("runbook", "escalate"))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _codes(docs: str | None) -> str:
    lines = [text("runbook", "codes_head"), "|---|---|---|---|"]
    for code, entry in entries().items():
        if entry.severity is Severity.INFO:
            continue
        fix = text("runbook", "depends") if entry.fix == "{advice}" else filled(entry.fix)
        action = one_line(fix, _ACTION)
        owner = text("owner", entry.step.value)
        link = f"[{code}]({docs.format(code=code)})" if docs is not None else code
        lines.append(f"| {link} | {_cell(filled(entry.title))} | {_cell(action)} | {owner} |")
    return "\n".join(lines)


def _cell(words: str) -> str:
    """Text as it can stand in a table: no bar, no line end, no HTML."""
    return one_line(words, _ACTION).replace("|", "\\|").replace("<", "\\<")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(runbook(), "utf-8")
