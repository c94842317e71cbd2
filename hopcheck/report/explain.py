"""The reference page of each finding code: ``hopcheck explain CODE`` and docs/findings/.

A page is put together from the finding's file (`hopcheck/findings`), `examples*.json` (a finding as
a scenario of the tests produced it, in each language) and what explains what; `[page]` of
`texts.*.toml` holds the words between them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from hopcheck.catalogue.catalogue import Entry, codes, entries, entry, has_text, nearest, text
from hopcheck.catalogue.language import language
from hopcheck.report.labels import changing
from hopcheck.verdict.cause import ORDER, links

SECTIONS = ("meaning", "example", "why", "evidence", "confirm", "fix", "ignore", "related")


def _resource(name: str) -> str:
    return resources.files("hopcheck.report").joinpath(name).read_text("utf-8")


@cache
def _examples(spoken: str) -> Mapping[str, Mapping[str, Any]]:
    """By code; another language's file holds the prose alone."""
    examples: dict[str, dict[str, Any]] = json.loads(_resource("examples.json"))
    if spoken == "en":
        return examples
    prose = json.loads(_resource(f"examples.{spoken}.json"))
    return {code: example | prose.get(code, {}) for code, example in examples.items()}


class _Shown(dict[str, str]):
    """Parameters as a reader sees them in a template: <name>."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def filled(template: str) -> str:
    """A template of a finding with its parameters as <name>."""
    # "!r" would ask for the repr of a placeholder.
    return template.replace("!r}", "}").format_map(_Shown())


def related(code: str) -> tuple[list[str], list[str]]:
    """Codes that explain `code`, and codes that it explains."""
    one, every = entry(code), entries()
    return (
        [other for other in every if any(links(every[other], one))],
        [other for other in every if any(links(one, every[other]))],
    )


def page(code: str) -> str:
    """The page of `code` as Markdown. Raises KeyError, with one line that names the nearest."""
    if has_text("retired", code.upper()):
        raise KeyError(text("retired", code.upper()))
    if code.upper() not in codes():
        near = text("page", "either").join(nearest(code, 3))
        raise KeyError(text("page", "unknown", code=ascii(code[:20]), near=near))
    own = entry(code.upper())
    example = _examples(language()).get(own.code)
    bodies = {
        "meaning": own.page["meaning"],
        "example": _example(own, example),
        "why": own.page["why"],
        "evidence": own.page["evidence"],
        "confirm": _commands(own, example),
        "fix": _fixes(own, example),
        "ignore": own.page["ignore"],
        "related": _related(own.code),
    }
    lines = [
        f"# {own.code}: {filled(own.title)}",
        "",
        text(
            "page",
            "step",
            step=own.step.value,
            words=text("step", own.step.value),
            severity=_severity(own),
        ),
    ]
    for section in SECTIONS:
        lines += ["", f"## {text('page', section)}", "", bodies[section].strip()]
    return "\n".join(lines)


def _severity(own: Entry) -> str:
    return text("label", f"severity.{own.severity.value}")


def _example(own: Entry, example: Mapping[str, Any] | None) -> str:
    if example is None:
        said = {name: filled(getattr(own, name)) for name in ("message", "expected", "actual")}
        return _quote(said, ("expected", "actual"))
    found = _quote(example, ("object", "expected", "actual"))
    return f"{found}\n\n{text('page', 'scenario', name=example['scenario'])}"


def _quote(said: Mapping[str, Any], rows: Iterable[str]) -> str:
    lines = [f"- {text('label', row)}: {_plain(said[row])}" for row in rows]
    return "\n".join([f"> {_plain(said['message'])}", "", *lines])


def _plain(words: str) -> str:
    """Words as Markdown shows them unchanged: "<name>" is no HTML there."""
    return re.sub(r"<(?=[A-Za-z/])", r"\\<", words)


def _commands(own: Entry, example: Mapping[str, Any] | None) -> str:
    commands = (
        example["commands"]
        if example
        else [" ".join(filled(command).split()) for command in own.commands]
    )
    lines = "\n".join(commands)
    before = text("page", "values") + "\n\n" if example else ""
    return f"{before}```console\n{lines}\n```"


def _fixes(own: Entry, example: Mapping[str, Any] | None) -> str:
    usual = text("runbook", "depends") if own.fix == "{advice}" else filled(own.fix)
    found = [_plain((example and example["fix"]) or usual)]
    lines = example.get("fix_commands", ()) if example else map(filled, own.fix_commands)
    found += [f"{changing(line)}:\n\n```console\n{line}\n```" for line in lines]
    if "fix" in own.page:
        found.append(own.page["fix"])
    for name, variant in own.variants.items():
        if "fix" in variant:
            title = filled(variant.get("title", name))
            fix = _plain(filled(variant["fix"]))
            found.append(text("page", "variant", name=name, title=title, fix=fix))
    return "\n\n".join(found)


def _related(code: str) -> str:
    causes, effects = related(code)
    said = [text("page", "follows", codes=_links(causes))] if causes else []
    said += [text("page", "explains", codes=_links(effects))] if effects else []
    return "\n\n".join(said) or text("page", "alone")


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
    lines = [text("page", "index"), "", text("page", "written")]
    step = None
    for code, one in entries().items():
        if one.step is not step:
            step = one.step
            lines += ["", f"## {step.value}", "", text("page", "index_head"), "|---|---|---|"]
        lines.append(f"| [{code}]({code}.md) | {_severity(one)} | {filled(one.title)} |")
    return "\n".join(lines)


def causes_page() -> str:
    """What explains what, as a table."""
    lines = [
        text("page", "causes"),
        "",
        text("page", "causes_written"),
        text("page", "causes_about"),
        "",
        text("page", "causes_head"),
        "|---|---|---|---|",
    ]
    lines += [
        f"| {', '.join(causes)} | {', '.join(effects)} | {text('because', why)} | "
        f"{text('when', when)} |"
        for (causes, why, when), effects in _table().items()
    ]
    lines += [
        "",
        text("page", "order"),
        "",
        *(f"{number}. {text('because', why)}" for number, why in enumerate(ORDER, 1)),
    ]
    return "\n".join(lines)


def _table() -> Mapping[tuple[tuple[str, ...], str, str], list[str]]:
    """Effects by what they share: their causes, the reason and the condition."""
    every = entries()
    rows: dict[tuple[tuple[str, ...], str, str], list[str]] = {}
    for effect in every.values():
        causes: dict[tuple[str, str], list[str]] = {}
        for cause in every.values():
            for link in links(cause, effect):
                causes.setdefault((link.why, link.when), []).append(cause.code)
        for (why, when), found in causes.items():
            rows.setdefault((tuple(found), why, when), []).append(effect.code)
    return rows


def main(directory: Path) -> None:
    """Write every page, the index and what explains what into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for code in codes():
        (directory / f"{code}.md").write_text(page(code) + "\n", "utf-8")
    (directory / "README.md").write_text(index() + "\n", "utf-8")
    (directory / "CAUSES.md").write_text(causes_page() + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/findings"))
