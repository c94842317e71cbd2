"""The findings that the pages show: ``python -m tests.examples`` writes report/examples*.json.

Each code's example is what a scenario really produced: the gallery's recordings first, those where
the code is the root cause before those where it follows; then the edited ones. A language other
than English has a file of its own with what the same finding says in it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

import hopcheck
from hopcheck.catalogue import language
from hopcheck.catalogue.catalogue import entries
from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Snapshot
from hopcheck.report.evidence import load
from tests.steps.edits import SNAPSHOTS
from tests.steps.scenes import SCENES
from tests.steps.test_gallery import EXPECTED

PROSE = ("message", "expected", "actual", "fix")

# The lab's loopback addresses and ports read as a cluster's own.
_RESOLVER = re.compile(r"(127\.\d+\.\d+\.3):\d+")
_ADDRESS = re.compile(r"\b127\.\d+\.\d+\.(\d+)\b")


def tidied(snapshot: Snapshot) -> Snapshot:
    words = msgspec.json.encode(snapshot).decode()
    words = _RESOLVER.sub(r"\1:53", words)
    words = re.sub(r'"127\.0\.0\.1"', '"localhost"', words)
    return msgspec.json.decode(_ADDRESS.sub(r"10.0.1.\1", words), type=Snapshot)


def scenarios() -> Iterator[tuple[str, Snapshot]]:
    for name in EXPECTED:
        yield name, load(SNAPSHOTS / f"{name}.json.gz")
    for name, (_, _, edited) in SCENES.items():
        yield name, edited().snapshot()


def example(name: str, finding: Finding) -> dict[str, Any]:
    return {
        "scenario": name,
        "object": str(finding.object),
        "message": finding.message,
        "expected": finding.expected,
        "actual": finding.actual,
        "fix": finding.fix,
        "commands": list(finding.commands),
    } | ({"fix_commands": list(finding.fix_commands)} if finding.fix_commands else {})


def examples() -> dict[str, dict[str, Any]]:
    """By code, in the catalogue's order."""
    roots: dict[str, dict[str, Any]] = {}
    others: dict[str, dict[str, Any]] = {}
    for name, snapshot in scenarios():
        for step in replay(tidied(snapshot)).steps:
            for finding in step.findings:
                chosen = roots if finding.root_cause else others
                chosen.setdefault(finding.code, example(name, finding))
    return {code: found for code in entries() if (found := roots.get(code) or others.get(code))}


def prose(code: str) -> dict[str, dict[str, Any]]:
    """What the examples say in the language `code`, by finding code."""
    before = language.language()
    language.use(code, asked=False)
    try:
        said = examples()
    finally:
        language.use(before, asked=False)
    return {code: {name: found[name] for name in PROSE} for code, found in said.items()}


def files() -> dict[Path, dict[str, dict[str, Any]]]:
    """The content of every file of examples."""
    package = Path(hopcheck.__file__).parent / "report"
    others = [code for code in language.LANGUAGES if code != "en"]
    return {package / "examples.json": examples()} | {
        package / f"examples.{code}.json": prose(code) for code in others
    }


def main() -> None:
    for file, found in files().items():
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
