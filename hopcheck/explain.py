"""The reference page of each finding code: ``hopcheck explain CODE`` and docs/findings/.

A page is put together from the catalogue (title, fix, commands), `pages.en.toml` (meaning, why,
evidence, when to ignore), `examples.json` (a finding as a scenario of the tests produced it) and
the table of causes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from hopcheck.catalogue import Entry, entries, nearest, text
from hopcheck.cause import CONDITIONS, EDGES, ORDER
from hopcheck.language import tables

HEADINGS = (
    "Meaning",
    "Example",
    "Why traffic breaks",
    "Evidence used",
    "Confirm by hand",
    "Fix",
    "When to ignore",
    "Related",
)


def _resource(name: str) -> str:
    return resources.files("hopcheck").joinpath(name).read_text("utf-8")


def _pages() -> Mapping[str, Mapping[str, str]]:
    return tables("pages")


@cache
def _examples() -> Mapping[str, Mapping[str, Any]]:
    return json.loads(_resource("examples.json"))  # type: ignore[no-any-return]


class _Shown(dict[str, str]):
    """Parameters as a reader sees them in a template: <name>."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def filled(template: str) -> str:
    """A text of the catalogue with its parameters as <name>."""
    # "!r" would ask for the repr of a placeholder.
    return template.replace("!r}", "}").format_map(_Shown())


def _has(patterns: tuple[str, ...], code: str) -> bool:
    return any(fnmatchcase(code, pattern) for pattern in patterns)


def related(code: str) -> tuple[list[str], list[str]]:
    """Codes that explain `code`, and codes that it explains, by the table of causes."""
    causes = [
        c for c in entries() if any(_has(e.causes, c) and _has(e.effects, code) for e in EDGES)
    ]
    effects = [
        c for c in entries() if any(_has(e.causes, code) and _has(e.effects, c) for e in EDGES)
    ]
    return [c for c in causes if c != code], [c for c in effects if c != code]


def page(code: str) -> str:
    """The page of `code` as Markdown. Raises KeyError, with one line that names the nearest."""
    entry = entries().get(code.upper())
    if entry is None:
        raise KeyError(f"unknown code {code[:20]!a}; did you mean {' or '.join(nearest(code, 3))}?")
    own = _pages()[entry.code]
    example = _examples().get(entry.code)
    bodies = {
        "Meaning": own["meaning"],
        "Example": _example(entry, example),
        "Why traffic breaks": own["why"],
        "Evidence used": own["evidence"],
        "Confirm by hand": _commands(entry, example),
        "Fix": _fixes(entry, own, example),
        "When to ignore": own["ignore"],
        "Related": _related(entry.code),
    }
    lines = [
        f"# {entry.code}: {filled(entry.title)}",
        "",
        f"Step `{entry.step.value}` ({text('step', entry.step.value)}), "
        f"severity {entry.severity.value}.",
    ]
    for heading in HEADINGS:
        lines += ["", f"## {heading}", "", bodies[heading].strip()]
    return "\n".join(lines)


def _example(entry: Entry, example: Mapping[str, Any] | None) -> str:
    if example is None:
        said = {name: filled(getattr(entry, name)) for name in ("message", "expected", "actual")}
        return _quote(said["message"], [("Expected", said["expected"]), ("Found", said["actual"])])
    return _quote(
        example["message"],
        [
            ("Object", example["object"]),
            ("Expected", example["expected"]),
            ("Found", example["actual"]),
        ],
        f"\n\nFrom the tests' scenario `{example['scenario']}`.",
    )


def _quote(message: str, rows: list[tuple[str, str]], after: str = "") -> str:
    said = "\n".join(f"- {name}: {_plain(words)}" for name, words in rows)
    return f"> {_plain(message)}\n\n{said}{after}"


def _plain(words: str) -> str:
    """Words as Markdown shows them unchanged: "<name>" is no HTML there."""
    return re.sub(r"<(?=[A-Za-z/])", r"\\<", words)


def _commands(entry: Entry, example: Mapping[str, Any] | None) -> str:
    commands = (
        example["commands"]
        if example
        else [" ".join(filled(command).split()) for command in entry.commands]
    )
    lines = "\n".join(commands)
    return (
        "With the values of the example; a report has your own.\n\n" if example else ""
    ) + f"```console\n{lines}\n```"


def _fixes(entry: Entry, own: Mapping[str, str], example: Mapping[str, Any] | None) -> str:
    found = [_plain(example["fix"] if example else filled(entry.fix))]
    if "fix" in own:
        found.append(own["fix"])
    for name, variant in entry.variants.items():
        if "fix" in variant:
            found.append(
                f"Variant `{name}` ({filled(variant.get('title', name))}): "
                + _plain(filled(variant["fix"]))
            )
    return "\n\n".join(found)


def _related(code: str) -> str:
    causes, effects = related(code)
    said = [f"Follows from: {_links(causes)}."] if causes else []
    said += [f"Explains: {_links(effects)}."] if effects else []
    return "\n\n".join(said) or "Stands alone: no other finding explains it or follows from it."


def _links(codes: list[str]) -> str:
    return ", ".join(f"[{code}]({code}.md)" for code in codes)


def plain(words: str) -> str:
    """A page without its links, which lead nowhere but between the files of docs/findings."""
    return re.sub(r"\[([A-Z]{3}\d{3})\]\(\1\.md\)", r"\1", words)


def show(words: str) -> None:
    """Print a page on the terminal, laid out; commands stay whole, so that they can be pasted."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(highlight=False)
    parts = re.split(r"^```console\n(.*?)^```$", words, flags=re.MULTILINE | re.DOTALL)
    for number, part in enumerate(parts):
        if number % 2:
            for command in part.splitlines():
                console.print(f"  $ {command}", style="cyan", markup=False, soft_wrap=True)
            console.print()
        else:
            console.print(Markdown(part), width=min(console.width, 100))


def index() -> str:
    """The list of all codes, by step."""
    lines = ["# Findings", "", "Written by `make pages`."]
    step = None
    for code, entry in entries().items():
        if entry.step is not step:
            step = entry.step
            lines += ["", f"## {step.value}", "", "| code | severity | title |", "|---|---|---|"]
        lines.append(f"| [{code}]({code}.md) | {entry.severity.value} | {filled(entry.title)} |")
    return "\n".join(lines)


def causes_page() -> str:
    """The table of causes as a page."""
    lines = [
        "# What explains what",
        "",
        "Written by `make pages` from `hopcheck/cause.py`.",
        "A finding on the right is a consequence where one on the left is there.",
        "",
        "| cause | explains | because | only when |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {', '.join(e.causes)} | {', '.join(e.effects)} | {e.because} | "
        f"{CONDITIONS[e.when].words} |"
        for e in EDGES
    ]
    lines += [
        "",
        "## The order of several root causes",
        "",
        *(f"{number}. {rank.because}" for number, rank in enumerate(ORDER, 1)),
    ]
    return "\n".join(lines)


def main(directory: Path) -> None:
    """Write every page, the index and the table of causes into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for code in entries():
        (directory / f"{code}.md").write_text(page(code) + "\n", "utf-8")
    (directory / "README.md").write_text(index() + "\n", "utf-8")
    (directory / "CAUSES.md").write_text(causes_page() + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/findings"))
