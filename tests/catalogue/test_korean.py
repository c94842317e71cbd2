"""A run in Korean: prose in Korean everywhere, and otherwise the report that English gives."""

import ast
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from hopcheck.app import doctor
from hopcheck.catalogue import language
from hopcheck.model import Finding, Report, Snapshot
from hopcheck.model.report import EXIT
from hopcheck.report.html import to_html
from hopcheck.report.json import to_dict
from hopcheck.report.junit import to_junit
from hopcheck.report.markdown import to_markdown
from hopcheck.report.terminal import print_report
from tests import recorded
from tests.report.test_html import Tags

HANGUL = re.compile("[가-힣]")
GALLERY = (*recorded.names(), *recorded.packed())
PROSE = ("title", "message", "expected", "actual", "fix")

# Two words and more: what stands in backquotes or quotes is quoted, what holds a dot, a slash, a
# digit or a capital is a name.
QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^']*'|\u201c[^\u201d]*\u201d")
# No comma and no colon: what stands there are lists of names, codes, and what is quoted.
RUN = re.compile(r"(?<![\w./:@=-])[a-z]{2,}(?: [a-z]{2,})+(?![\w/@=-]|\.\w)")
# English that is right in Korean prose, and why.
TERMS = {
    "target group": "a term of AWS, kept in the glossary of texts.ko.toml",
    "split horizon": "a term of DNS",
    "file provider": "a term of Traefik",
    "scheme internal": "AWS's code",
    "front network": "a load balancer's name beside its type",
    "kubectl apply": "a command",
    "kubectl delete pod": "a command",
    "helm upgrade": "a command",
    "aws sso login": "a command",
    "hopcheck doctor": "a command",
    "hopcheck explain": "a command",
}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


@cache
def quotable(name: str) -> str:
    """All that the cluster, AWS, the resolvers and the answers said: who repeats it quotes it."""
    return " ".join(" ".join(strings(msgspec.to_builtins(snapshot_of(name)))).split())


def english(words: str, evidence: str) -> list[str]:
    """Runs of English in `words` that nobody said but hopcheck."""
    found = RUN.findall(QUOTED.sub("·", words))
    return [run for run in found if run not in evidence and run not in TERMS]


def prose(report: Report) -> Iterator[tuple[str, str]]:
    """Where a text of the report stands, and the text."""
    yield "headline", report.headline
    for step in report.steps:
        yield f"{step.step} title", step.title
        yield f"{step.step} reason", step.reason or ""
        for finding in step.findings:
            for key in PROSE:
                yield f"{finding.code} {key}", getattr(finding, key)
            for proof in finding.evidence:
                yield f"{finding.code} source", proof.source
        for fact in strings(step.facts):
            yield f"{step.step} fact", fact
    for hop in report.path:
        yield f"{hop.hop} label", hop.label
        yield f"{hop.hop} detail", hop.detail
        for member in hop.members:
            yield f"{hop.hop} member", member.detail


# Facts whose keys and values programs read, as in every language.
FACTS = {"not loaded", "not known", "not ready", "load balancer", "ingresses seen"}


def snapshot_of(name: str) -> Snapshot:
    return recorded.set_up(name) if name in recorded.packed() else recorded.snapshot(name)


def report_of(name: str) -> Report:
    is_set_up = name in recorded.packed()
    return recorded.report_of_set_up(name) if is_set_up else recorded.report(name)


def in_korean(name: str) -> Report:
    """What is told of it in Korean, which is spoken from here on."""
    language.use("ko")
    return report_of(name)


@pytest.mark.parametrize("name", GALLERY)
def test_prose_is_korean(name: str) -> None:
    evidence = quotable(name)
    report = in_korean(name)
    found = [
        (where, run, words)
        for where, words in prose(report)
        for run in english(words, evidence)
        if words not in FACTS
    ]
    assert found == []
    for finding in findings(report):
        for key in ("title", "message", "fix"):
            words = getattr(finding, key)
            assert HANGUL.search(words) or not words, (finding.code, key)
    assert HANGUL.search(report.headline)
    assert all(HANGUL.search(step.title) for step in report.steps)


@pytest.mark.parametrize("name", GALLERY)
def test_renderings_are_korean(name: str) -> None:
    report = in_korean(name)
    spoken = " ".join(f"{quotable(name)} {' '.join(strings(to_dict(report)))}".split())
    commands = [one for finding in findings(report) for one in finding.commands]
    for words in renderings(report):
        shown = " ".join(words.split())
        for command in commands:
            shown = shown.replace(" ".join(command.split()), "")
        assert english(shown, spoken) == []


def renderings(report: Report) -> Iterator[str]:
    for options in ({}, {"verbose": True}, {"quiet": True}):
        out = io.StringIO()
        print_report(report, Console(file=out, width=100), **options)  # type: ignore[arg-type]
        yield out.getvalue()
        assert HANGUL.search(out.getvalue())
    yield to_markdown(report).decode()
    yield Tags(to_html(report)).words
    for element in ET.fromstring(to_junit([report])).iter():
        yield element.text or ""
        yield from element.attrib.values()


def findings(report: Report) -> list[Finding]:
    return [finding for step in report.steps for finding in step.findings]


def for_programs(report: Report) -> dict[str, Any]:
    """What must not depend on the language: report.json without what people read."""
    data = to_dict(report)
    for step in data["steps"]:
        step["facts"] = sorted(step["facts"])
    for step in data["steps"]:
        del step["title"]
        step["reason"] = bool(step["reason"])
    for finding in [
        *data["root_causes"],
        *data["skipped"],
        *(one for step in data["steps"] for one in step["findings"]),
    ]:
        for key in PROSE:
            finding[key] = bool(finding[key])
        finding["evidence"] = [one.get("marks") for one in finding["evidence"]]
    for hop in data["path"]:
        hop.pop("label", None)
        hop.pop("detail", None)
        for member in hop.get("members", ()):
            member.pop("detail", None)
    del data["headline"]
    return data


@pytest.mark.parametrize("name", GALLERY)
def test_programs_read_the_same(name: str) -> None:
    first, second = report_of(name), in_korean(name)
    assert for_programs(second) == for_programs(first)
    assert second.fingerprint == first.fingerprint
    assert EXIT[second.verdict] == EXIT[first.verdict]
    logic = ("status", "variant", "count", "total", "port", "host", "path", "ns", "name")
    for one, other in zip(findings(first), findings(second), strict=True):
        assert {k: other.params.get(k) for k in logic} == {k: one.params.get(k) for k in logic}


def test_the_scanner_sees_english() -> None:
    assert english("포트에 no route was found 있음", "") == ["no route was found"]
    assert english("포트에 'no route was found' 있음", "") == []
    assert english("로그: no route was found", "level=error no route was found") == []
    assert english("kubectl delete pod, target group", "") == []
    assert english("Service default/my-app의 Pod my-app-6f7c 2개", "") == []


def test_the_doctor_speaks_korean() -> None:
    language.use("ko")
    words, complete = doctor._lines(doctor._Seen())
    assert not complete
    names = {"Kubernetes", "AWS", "DNS"}
    assert [line for line in words if line not in names and not HANGUL.search(line)] == []
    account = next(line for line in words if "계정" in line)
    assert cell_len(account[: account.index("선택되지")]) == 24


# --- the code itself, beyond what the snapshots show

ROOT = Path(language.__file__).parents[1]
# English that may stand in the code: what it looks for in the texts of others, and words for
# developers and programs.
LITERALS = {
    "steps/endpoints/protocols.py": "words of Go's TLS in Traefik's log",
    "steps/ingress/tls.py": "words of Traefik's log",
    "steps/traefik_service/pods.py": "words of Traefik's log",
    "steps/request/certificates.py": "a ValueError for developers",
    "catalogue/catalogue.py": "a KeyError for developers",
    "schedule/outlets/metrics.py": "HELP lines of Prometheus",
    "schedule/outlets/serve.py": "HELP lines of Prometheus, bodies of HTTP errors",
    "engine/host.py": "a RuntimeError for developers",
    "engine/checklist.py": "an ImportError for developers",
    "engine/write.py": "a RuntimeError for developers",
    "scene/outcome.py": "answers of servers",
    "schedule/guard.py": "a defect's words, for developers",
    "history/database.py": "SQL",
    "app/diagnose.py": "a defect's words, for developers",
    "app/pytest_plugin.py": "what the mark takes, for developers",
}
FOLDERS = (
    "steps",
    "verdict",
    "report",
    "schedule",
    "history",
    "engine",
    "config",
    "catalogue",
    "app",
)
THREE = re.compile(r"(?<![\w./:@=-])[a-z]{2,}(?:[ ,;:]+[a-z]{2,}){2,}")


def literals(file: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a module, f-strings whole; no docstrings."""
    tree = ast.parse(file.read_text("utf-8"))
    parts = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = [
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            ]
            yield node.lineno, "".join(texts)
        elif isinstance(node, ast.Constant) and id(node) not in parts | docs:
            yield node.lineno, str(node.value)


def modules() -> list[Path]:
    return sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_prose_stands_in_the_texts(file: Path) -> None:
    found = [(line, words) for line, words in literals(file) if THREE.search(words)]
    if str(file.relative_to(ROOT)) in LITERALS:
        return
    assert found == []
