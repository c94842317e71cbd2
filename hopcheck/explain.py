"""The reference page of each finding code: ``hopcheck explain CODE`` and docs/findings/."""

from __future__ import annotations

import difflib
import sys
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from hopcheck.catalogue import entries, text
from hopcheck.cause import EDGES

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


@cache
def _pages() -> dict[str, dict[str, Any]]:
    words = resources.files("hopcheck").joinpath("pages.en.toml").read_text("utf-8")
    return tomllib.loads(words)


class _Shown(dict[str, str]):
    """Parameters as a reader sees them in a template: <name>."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _shown(template: str) -> str:
    # "!r" would ask for the repr of a placeholder.
    return template.replace("!r}", "}").format_map(_Shown())


def related(code: str) -> tuple[list[str], list[str]]:
    """Codes that explain `code`, and codes that it explains, by the table of causes."""
    from fnmatch import fnmatchcase

    def has(patterns: tuple[str, ...], one: str) -> bool:
        return any(fnmatchcase(one, pattern) for pattern in patterns)

    causes = [c for c in entries() if any(has(e.causes, c) and has(e.effects, code) for e in EDGES)]
    effects = [
        c for c in entries() if any(has(e.causes, code) and has(e.effects, c) for e in EDGES)
    ]
    return [c for c in causes if c != code], [c for c in effects if c != code]


def page(code: str) -> str:
    """The page of `code` as Markdown. Raises KeyError, with one line that names the nearest."""
    entry = entries().get(code)
    if entry is None:
        near = difflib.get_close_matches(code, entries(), n=1, cutoff=0.0)
        raise KeyError(f"unknown code {code[:20]!a}; did you mean {near[0]}?")
    own = _pages().get(code, {})
    causes, effects = related(code)
    lines = [
        f"# {code}: {_shown(entry.title)}",
        "",
        f"Step `{entry.step.value}` ({text('step', entry.step.value)}), "
        f"severity {entry.severity.value}.",
    ]
    bodies = {
        "Meaning": own.get("meaning", ""),
        "Example": f"> {_shown(entry.message)}\n\nExpected: {_shown(entry.expected)}  \n"
        f"Found: {_shown(entry.actual)}",
        "Why traffic breaks": own.get("why", ""),
        "Evidence used": own.get("evidence", ""),
        "Confirm by hand": "```console\n"
        + "\n".join(" ".join(_shown(command).split()) for command in entry.commands)
        + "\n```",
        "Fix": _fixes(entry),
        "When to ignore": own.get("ignore", ""),
        "Related": "\n".join(
            [
                *([f"Follows from: {', '.join(causes)}.", ""] if causes else []),
                *([f"Explains: {', '.join(effects)}.", ""] if effects else []),
            ]
        ).strip()
        or "Stands alone.",
    }
    for heading in HEADINGS:
        if bodies[heading].strip():
            lines += ["", f"## {heading}", "", bodies[heading].strip()]
    return "\n".join(lines)


def _fixes(entry: Any) -> str:
    found = [_shown(entry.fix)]
    for name, variant in entry.variants.items():
        if "fix" in variant:
            found.append(
                f"Variant `{name}` ({_shown(variant.get('title', name))}): {_shown(variant['fix'])}"
            )
    return "\n\n".join(found)


def index() -> str:
    """The list of all codes, by step."""
    lines = ["# Findings", "", "Written by `python -m hopcheck.explain docs/findings`.", ""]
    step = None
    for code, entry in entries().items():
        if entry.step is not step:
            step = entry.step
            lines += ["", f"## {step.value}", "", "| code | severity | title |", "|---|---|---|"]
        lines.append(f"| [{code}]({code}.md) | {entry.severity.value} | {_shown(entry.title)} |")
    return "\n".join(lines)


def causes_page() -> str:
    """The table of causes as a page."""
    lines = [
        "# What explains what",
        "",
        "Written by `python -m hopcheck.explain docs/findings` from `hopcheck/cause.py`.",
        "A finding on the right is a consequence where one on the left is there.",
        "",
        "| cause | explains | because | only when |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {', '.join(e.causes)} | {', '.join(e.effects)} | {e.because} | "
        f"{'' if e.when == 'always' else e.when} |"
        for e in EDGES
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
