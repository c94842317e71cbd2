"""The report on a terminal: verdict, root causes, fix and commands on the first screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from hopcheck.model import Finding, OwnStep, Report, Severity, Status, StepResult, Verdict
from hopcheck.report.json import public_url
from hopcheck.report.labels import (
    beside_path,
    changing,
    fact,
    follows,
    label,
    left_out,
    verdict_word,
    weight,
)
from hopcheck.report.since import change_line, changes_words, since_words
from hopcheck.report.text import command, in_words, one_line, pad, shorten, width_of

if TYPE_CHECKING:
    from rich.status import Status as Spinner

SCREEN = 25  # lines of the first screen
_PLAIN_WIDTH = 100
_LONGEST = 4_000  # cells
_VERDICT_STYLE = {
    Verdict.HEALTHY: "bold green",
    Verdict.DEGRADED: "bold yellow",
    Verdict.BROKEN: "bold red",
    Verdict.UNKNOWN: "bold magenta",
}
# symbol, its form where the encoding has no such character, style
_STATUS_LOOK = {
    Status.PASS: ("✓", "+", "green"),
    Status.WARN: ("!", "!", "yellow"),
    Status.FAIL: ("✗", "x", "red"),
    Status.UNKNOWN: ("?", "?", "magenta"),
    Status.NOT_APPLICABLE: ("–", "-", "dim"),  # noqa: RUF001  # a dash on purpose
}
_INDENT = 11  # "Root cause" and a space: the labels' column


def make_console(*, stderr: bool = False) -> Console:
    """A console on standard output or error; 100 columns where that is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    # rich reads COLUMNS, NO_COLOR and TERM itself.
    plain = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=_PLAIN_WIDTH if plain else None, highlight=False)


class _Line:
    """One logical line: a label column and styled text; `cut` to the width or else wrapped."""

    def __init__(self, *parts: tuple[str, str], indent: int = 0, raw: bool = False) -> None:
        self.parts = parts
        self.indent = indent
        self.raw = raw  # left to the terminal's own wrapping: a command is pasted whole

    def rows(self, console: Console) -> list[Text]:
        """The lines as they will stand on the screen; only a raw one may exceed the width."""
        text = Text()
        for content, style in self.parts:
            text.append(sayable(console, content), style)
        if self.raw:
            return [text]
        head, rest = text.divide([_characters(text.plain, self.indent)])
        wrapped = rest.wrap(console, max(20, console.width - self.indent))
        rows = []
        for number, row in enumerate(wrapped):
            row.rstrip()
            rows.append(Text.assemble(head if not number else " " * self.indent, row))
        return rows

    def height(self, console: Console) -> int:
        """How many rows of the screen the line takes."""
        width = max(1, console.width)
        return sum(max(1, -(-cell_len(row.plain) // width)) for row in self.rows(console))


def print_report(
    report: Report,
    console: Console,
    verbose: bool = False,
    quiet: bool = False,
    where: str | None = None,
) -> None:
    """Print `report`; `where` is the path of the written one.

    At most 25 lines at 100 columns, unless fixes and objects alone need more: these are never
    cut. `quiet` prints one line, however long; `verbose` adds every finding with its evidence, the
    facts and every change.
    """
    head = _headline(report, console)
    if quiet:
        lines = [_one_line(report)]
    else:
        steps = [_step_line(report, step, console) for step in report.steps]
        steps += [_own_line(own, console) for own in report.yours]
        foot = _foot(report, where, console.width)
        blanks = 1 if not report.root_causes else 2
        used = sum(line.height(console) for line in [head, *steps, *foot]) + blanks
        middle = list(_middle(report, console, SCREEN - used))
        lines = [head]
        if middle:
            lines += [_Line(), *middle]
        lines += [_Line(), *steps, *foot]
        if verbose:
            lines += list(_all_findings(report))
    for line in lines:
        for row in line.rows(console):
            console.print(row, soft_wrap=True, highlight=False)


def _characters(text: str, cells: int) -> int:
    """How many characters of `text` take the first `cells` cells."""
    return next((n for n in range(len(text) + 1) if width_of(text[:n]) >= cells), len(text))


def sayable(console: Console, text: str) -> str:
    """`text` with a question mark for what the console's encoding has no character for."""
    return text.encode(console.encoding, "replace").decode(console.encoding)


def _clean(text: str) -> str:
    """`text` on one line; no name, fix or path that one can use is longer than _LONGEST."""
    return one_line(text, _LONGEST)


def _headline(report: Report, console: Console) -> _Line:
    word = verdict_word(report).upper()
    url = one_line(public_url(report.target), console.width)
    width = 3 * console.width - width_of(word) - 6
    headline = one_line(report.headline, max(40, width - width_of(url)))
    style = _VERDICT_STYLE[report.verdict]
    return _Line((word, style), (f"  {url}", "bold"), (f"  {headline}", ""))


def _one_line(report: Report) -> _Line:
    word = verdict_word(report).upper()
    words = f"  {_clean(public_url(report.target))}  {_clean(report.headline)}"
    return _Line((word, _VERDICT_STYLE[report.verdict]), (words, ""), raw=True)


def _labelled(key: str, text: str, style: str = "") -> _Line:
    return _Line((pad(label(key), _INDENT), "bold"), (text, style), indent=_INDENT)


def _named(finding: Finding) -> Iterator[_Line]:
    """What is never cut: code, object, fix."""
    obj = _clean(str(finding.object))
    field = f" {_clean(finding.object.field)}" if finding.object.field else ""
    yield _labelled("root_cause", f"{_clean(finding.code)} {obj}{field}", "bold red")
    if finding.fix:
        yield _labelled("fix", _clean(finding.fix), "bold")


def _command(text: str, indent: int = 2) -> _Line:
    return _Line((f"{' ' * indent}$ {shorten(command(text), _LONGEST)}", "cyan"), raw=True)


def _fixing(finding: Finding, indent: int = 2) -> Iterator[_Line]:
    """The commands of the fix, each under what it does; whole, or half of one might be run."""
    for line in finding.fix_commands:
        yield _Line((f"{' ' * indent}{changing(line)}:", "yellow"), raw=True)
        yield _Line((f"{' ' * indent}$ {command(line)}", "yellow"), raw=True)


def _indented(cells: int, text: str, style: str = "") -> _Line:
    return _Line((" " * cells, ""), (text, style), indent=cells)


def _middle(report: Report, console: Console, room: int) -> Iterator[_Line]:
    """Root causes in the order in which to fix them, as much of each as `room` lines hold.

    Since when and what changed stand between the first cause and its fix.
    """
    history = _history(report, console, room // 2)
    left = room - sum(line.height(console) for line in history)
    if not report.root_causes:
        yield from history
        yield from _warnings(report, console, left - 1)
        return
    blocks: list[list[tuple[bool, _Line]]] = []
    for number, finding in enumerate(report.root_causes):
        must = list(_named(finding))
        commands = [_command(one) for one in finding.commands]
        if commands:
            must.append(commands[0])
        need = sum(line.height(console) for line in must)
        reserve = 1 if number + 1 < len(report.root_causes) else 0
        if number and need + reserve > left:
            break
        left -= need
        named, fix = must[:1], must[1:]
        blocks.append(
            [(True, line) for line in named]
            + [(False, line) for line in _about(finding, console)]
            + [(True, line) for line in (history if not number else [])]
            + [(True, line) for line in fix]
            + [(False, line) for line in _fixing(finding)]
            + [(False, line) for line in commands[1:]]
        )
    hidden = len(report.root_causes) - len(blocks)
    left -= 1 if hidden else 0
    for block in blocks:
        for required, line in block:
            height = line.height(console)
            # What is required was counted above, the history first of all.
            if required:
                yield line
            elif height <= left:
                left -= height
                yield line
    if hidden:
        yield _Line((label("more_causes", count=hidden), "bold"))


def _history(report: Report, console: Console, room: int) -> list[_Line]:
    """Since when, and as many changes as `room` lines hold (at least the first).

    The first may take two lines: when and by whom stand at its end.
    """
    width = console.width - _INDENT
    since = since_words(report)
    lines = [_labelled("since", one_line(since, width))] if since else []
    most = 3 if room >= 4 + len(lines) else 1
    for number, words in enumerate(changes_words(report, most)):
        head, cells = (label("changed"), 2 * width - 10) if not number else ("", width)
        parts = ((pad(head, _INDENT), "bold"), (one_line(words, cells), ""))
        lines.append(_Line(*parts, indent=_INDENT))
    return lines


def _about(finding: Finding, console: Console) -> Iterator[_Line]:
    width = 2 * (console.width - _INDENT) - 2
    if finding.title:
        yield _indented(_INDENT, one_line(finding.title, width))
    for key in ("actual", "expected"):
        if value := getattr(finding, key):
            yield _labelled(key, one_line(value, width))


def _warnings(report: Report, console: Console, room: int) -> Iterator[_Line]:
    width = console.width - _INDENT
    for step in report.steps:
        for finding in step.findings:
            if finding.severity is not Severity.INFO and room > 0:
                room -= 1
                text = f"{finding.code} {finding.object}: {finding.title}"
                key = "warning" if finding.severity is Severity.WARNING else "actual"
                yield _labelled(key, one_line(text, width), "yellow")


def _status_line(status: Status, number: str, name: str, text: str, console: Console) -> _Line:
    symbol, plain, style = _STATUS_LOOK[status]
    sign = plain if sayable(console, symbol) != symbol else symbol
    column = 1 + max(width_of(label(f"status.{one.value}")) for one in Status)
    head = f" {sign} {number} {pad(label(f'status.{status.value}'), column)}{pad(name, 16)}"
    return _Line((head, style), (one_line(text, console.width - width_of(head)), ""), raw=True)


def _own_line(own: OwnStep, console: Console) -> _Line:
    """A check of the user's own: what it says, and the words of its failure."""
    text = f"{own.title}: {own.reason}" if own.reason else own.title
    return _status_line(own.status, " ", label("yours"), text, console)


def _step_line(report: Report, step: StepResult, console: Console) -> _Line:
    first = next(iter(sorted(step.findings, key=weight)), None)
    if step.status in (Status.FAIL, Status.WARN) and first is not None:
        consequence = follows(report, first)
        text = f"{first.code} {f'({consequence}) ' if consequence else ''}{first.title}"
    else:
        text = step.reason or step.title
    return _status_line(step.status, str(step.number), step.step.value, text, console)


def _foot(report: Report, where: str | None, width: int) -> list[_Line]:
    parts = [
        label("seen", seen=report.coverage.seen, of=report.coverage.of),
        label("took", seconds=f"{report.duration_s:.1f}"),
    ]
    if not report.complete:
        parts.append(label("incomplete"))
    foot = [_Line((", ".join(parts), "dim"), raw=True)]
    if report.skipped:
        words = f"{label('skipped')}: {left_out(report)}"
        foot.append(_Line((one_line(words, width), "dim"), raw=True))
    if where:
        foot.append(_Line((f"{label('report')}: {_clean(where)}", ""), raw=True))
    return foot


def _all_findings(report: Report) -> Iterator[_Line]:
    for step in report.steps:
        yield _Line()
        yield _Line((f"{step.number} {step.step.value}: {_clean(step.title)}", "bold"))
        if step.reason:
            yield _indented(2, _clean(step.reason))
        for finding in step.findings:
            yield from _finding_lines(report, finding)
        for key, value in beside_path(step.facts).items():
            words = fact(_clean(key), one_line(in_words(value, fact), 400))
            yield _Line((f"  {words}", "dim"), indent=4)
    for own in report.yours:
        yield _Line()
        yield _Line((f"{label('yours')}: {own.step}: {_clean(own.title)}", "bold"))
        if own.reason:
            yield _indented(2, _clean(own.reason))
    if report.changes:
        yield _Line()
        yield _Line((label("changes"), "bold"))
        for change in report.changes:
            yield _indented(2, change_line(change, report.started_at, 200))
    if report.skipped:
        yield _Line()
        yield _Line((label("skipped"), "bold"))
        for finding in report.skipped:
            yield from _finding_lines(report, finding)


def _finding_lines(report: Report, finding: Finding) -> Iterator[_Line]:
    severity = label(f"severity.{finding.severity.value}")
    yield _Line((f"  {finding.code} {severity} {_clean(str(finding.object))}", "bold"))
    yield _indented(4, _clean(finding.title))
    yield _indented(4, _clean(finding.message))
    if consequence := follows(report, finding):
        yield _indented(4, consequence)
    for key in ("expected", "actual", "fix"):
        if value := getattr(finding, key):
            yield _indented(4, f"{label(key)}: {_clean(value)}")
    yield from (_command(one, 4) for one in finding.commands)
    yield from _fixing(finding, 4)
    for proof in finding.evidence:
        yield _indented(4, f"{_clean(proof.source)}: {one_line(proof.said, 400)}", "dim")


class Progress:
    """What is going on while a host is looked at: one live line on a terminal, else plain lines.

    `stop` may be called more than once.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._spinner: Spinner | None = None
        self._host = ""

    def start(self, host: str) -> None:
        """Begin with `host`."""
        self.stop()
        self._host = _clean(host)
        words = sayable(self._console, label("collecting", host=self._host))
        if self._live:
            # Not at the top: only a terminal needs it.
            from rich.status import Status as Spinner

            self._spinner = Spinner(Text(words), console=self._console)
            self._spinner.start()
        else:
            self._say(words)

    def event(self, text: str) -> None:
        """Say what is being asked; shown on a terminal only, where it replaces the last one."""
        if self._spinner is not None:
            line = one_line(f"{self._host}: {text}", max(20, self._console.width - 4))
            self._spinner.update(Text(sayable(self._console, line)))

    def step(self, step: StepResult) -> None:
        """Say how a step ended."""
        words = f"{step.number} {step.step.value}: {label(f'status.{step.status.value}')}"
        if self._spinner is None:
            self._say(f"{self._host}: {words}")
        else:
            self.event(words)

    def stop(self) -> None:
        """End the live line and give the cursor back."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def _say(self, text: str) -> None:
        self._console.print(Text(sayable(self._console, text)), soft_wrap=True, highlight=False)
