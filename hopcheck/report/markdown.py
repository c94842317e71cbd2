"""summary.md: at most ten lines to paste into a ticket."""

from __future__ import annotations

import re

from hopcheck.model import Report, Status
from hopcheck.report.json import public_url
from hopcheck.report.labels import changing, label, left_out, verdict_word
from hopcheck.report.since import change_line, changes_words, since_words
from hopcheck.report.text import one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$])")
_LIMIT = 600  # characters of one field: a ticket is read, not scrolled
_WHOLE = 2_000  # of a command that changes something


def escape(text: str, limit: int = _LIMIT) -> str:
    """`text` on one line, with every character that Markdown or its HTML would interpret escaped.

    A '-', '+' or number acts as a list mark at a line's start only, where no field stands.
    """
    # GitHub and GitLab make links of bare addresses.
    return _SPECIAL.sub(r"\\\1", one_line(text, limit)).replace("://", "\\://")


def code(text: str, limit: int = 2 * _LIMIT) -> str:
    """`text` as a code span; the fence is longer than any run of backquotes in it."""
    line = one_line(text, limit)
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def to_markdown(report: Report, where: str | None = None) -> bytes:
    """The summary, UTF-8; `where` is the path or address of the whole report."""
    word = verdict_word(report).upper()
    seen = label("seen", seen=report.coverage.seen, of=report.coverage.of)
    took = label("took", seconds=f"{report.duration_s:.1f}")
    lines = [f"**{word}** {code(public_url(report.target))}: {escape(report.headline)}", ""]
    causes = report.root_causes
    if causes:
        key = "root_cause" if len(causes) == 1 else "root_causes"
        objects = ", ".join(f"{finding.code} {code(str(finding.object))}" for finding in causes)
        fixes = " / ".join(escape(finding.fix) for finding in causes if finding.fix)
        commands = [finding.commands[0] for finding in causes if finding.commands]
        lines.append(f"- {label(key)}: {objects}")
        if fixes:
            lines.append(f"- {label('fix')}: {fixes}")
        shown = [f"{label('confirm')}: {code(commands[0])}"] if commands else []
        # Whole or not at all: half of a command may still run.
        fixing = [line for one in causes for line in one.fix_commands if len(line) <= _WHOLE]
        shown += [f"{escape(changing(line))}: {code(line, _WHOLE)}" for line in fixing]
        if shown:  # in one line: a summary has ten
            lines.append(f"- {'; '.join(shown)}")
    lines += _history(report)
    when = [escape(report.started_at), took, seen]
    if not report.complete:
        when.append(label("incomplete"))
    if report.skipped:  # in this line: a summary has ten
        when.append(f"{escape(label('skipped'))}: {escape(left_out(report), 200)}")
    if failed := [own.title for own in report.yours if own.status is Status.FAIL]:
        when.append(f"{escape(label('yours'))}: {escape('; '.join(failed), 200)}")
    lines.append(f"- {label('time')}: {', '.join(when)}")
    lines.append(f"- {label('fingerprint')}: {code(report.fingerprint)}")
    if where:
        lines.append(f"- {label('report')}: {code(where)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _history(report: Report) -> list[str]:
    """At most two lines: since when, and the first change."""
    lines = []
    if since := since_words(report):
        lines.append(f"- {label('since')}: {escape(since)}")
    if report.changes:
        more = len(report.changes) - 1
        rest = f" ({label('more', count=more)})" if more else ""
        first = code(change_line(report.changes[0], report.started_at))
        lines.append(f"- {label('changed')}: {first}{rest}")
    elif said := changes_words(report, 1):
        lines.append(f"- {label('changed')}: {escape(said[0])}")
    return lines
