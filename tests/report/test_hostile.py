"""Hostile text in the evidence itself: judged and rendered, it acts nowhere."""

import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Snapshot
from hopcheck.report.evidence import load
from hopcheck.report.html import to_html
from hopcheck.report.json import to_json
from hopcheck.report.junit import to_junit
from hopcheck.report.markdown import to_markdown
from hopcheck.report.terminal import print_report
from hopcheck.report.text import encodable, map_text
from tests.report.chromium import Chromium
from tests.report.examples import HOSTILE
from tests.report.test_browser import TOO_WIDE, quiet
from tests.report.test_json import SCHEMA
from tests.report.test_junit import parse

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
NAMES = (
    "healthy",
    "app-5xx",
    "dns-nodata",
    "ing-svc-missing",
    "nlb-no-443",
    "svc-selector",
    "tg-nodeport-drift",
    "tpod-rbac",
    "tpod-replica-skew",
    "tpod-static-bad",
)
# ESC, BEL, NUL, C1, bidi marks, overrides and isolates, line and paragraph separators, and what
# is no character: broken UTF-8 as Python decodes it with surrogateescape.
MARKS = "\u200f\u202e\u2067\u061c\ufeff\u2028\udcff\udc80\x85\x7f\x9b31m\x1b]52;c;ZXZpbA==\x07"
POISON = f"{HOSTILE}{MARKS}\"'><svg onload=alert(1)>javascript:alert(1)"
# Names that the evidence refers to in many places: each gets the poison in all of them.
RENAMED = re.compile(
    r"my-app-ingress|my-app-service|my-app-svc|my-app(?=-[0-9a-f]{10})|myapp-nlb|myapp-websecure|"
    r"traefik(?=-[0-9a-f]{10}-)|api-gateway-system|node-1|(?<=myapp-nlb-)[0-9a-f]{16}"
)
# Fields where text of a cluster stands beside its names.
FREE = {
    "raw", "message", "body", "detail", "error_text", "subject", "issuer",
    "Description", "verify_error",
}  # fmt: skip
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def poisoned(name: str, poison: str = POISON) -> Snapshot:
    """The recorded evidence with `poison` in every name, and after every free text."""

    # "@" in a name would name another provider of Traefik.
    suffix = poison.replace("@", "")

    def text(value: str) -> str:
        return RENAMED.sub(lambda match: match.group() + suffix, value)

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, str):
            # Traefik's own answers are known by their bodies.
            free = key in FREE and value.strip() != "404 page not found"
            return text(value) + poison if free else text(value)
        if isinstance(value, dict):
            more = {f"x/{poison}": poison} if key == "annotations" else {}
            return {text(k): walk(v, k) for k, v in value.items()} | more
        if isinstance(value, list | tuple):
            if key == "headers":
                known = [[k, v + poison if k == "server" else v] for k, v in value]
                return [*known, ["x-poison", poison]]
            more = [poison] if key == "names" else []  # of a certificate
            return [walk(one, key) for one in value] + more
        return value

    plain = msgspec.to_builtins(load(SNAPSHOTS / f"{name}.json.gz"))
    sick = walk({k: v for k, v in plain.items() if k not in ("target", "taken_at")}, "")
    return msgspec.convert(
        sick | {"target": plain["target"], "taken_at": plain["taken_at"]}, Snapshot
    )


@pytest.fixture(scope="module", params=NAMES)
def report(request: pytest.FixtureRequest) -> Report:
    report = replay(poisoned(request.param))
    # The poison is everywhere, and changes no judgement.
    assert "owned" in str(report)
    assert codes(report) == codes(replay(load(SNAPSHOTS / f"{request.param}.json.gz")))
    return report


def codes(report: Report) -> list[str]:
    return [one.code for step in report.steps for one in step.findings]


def test_json_is_valid(report: Report) -> None:
    data = json.loads(to_json(report).decode("utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(data)


def test_xml_parses_and_validates(report: Report) -> None:
    root = parse(to_junit([report]))
    assert len(root.findall("testsuite/testcase")) == 7
    assert not FORBIDDEN.search("".join(root.itertext()))


def test_markdown_cannot_inject(report: Report) -> None:
    text = to_markdown(report, "reports/x").decode("utf-8")
    assert not FORBIDDEN.search(text)
    assert len(text.splitlines()) <= 10
    tokens = MarkdownIt("commonmark", {"linkify": False}).parse(text)
    kinds = {one.type.removesuffix("_open").removesuffix("_close") for one in tokens}
    kinds |= {
        child.type.removesuffix("_open").removesuffix("_close")
        for one in tokens
        for child in one.children or ()
    }
    allowed = {"paragraph", "inline", "bullet_list", "list_item", "text", "strong", "code_inline"}
    assert kinds <= allowed


@pytest.mark.parametrize("verbose", [False, True])
def test_the_terminal_stays_intact(report: Report, verbose: bool) -> None:
    out = io.StringIO()
    print_report(report, Console(file=out, width=100), verbose=verbose, where="reports/x")
    text = out.getvalue()
    assert "owned" in text or not verbose
    assert not FORBIDDEN.search(text)


def test_evidence_is_written_and_read_again(tmp_path: Path) -> None:
    snapshot = poisoned("svc-selector")
    file = tmp_path / "evidence.json"
    file.write_bytes(msgspec.json.encode(map_text(msgspec.to_builtins(snapshot), encodable)))
    again, before = replay(load(file)), replay(snapshot)
    assert codes(again) == codes(before)
    assert again.fingerprint == before.fingerprint


def test_html_runs_nothing(browser: Chromium, report: Report, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    content = to_html(report)
    page.write_bytes(content)
    assert len(content) < 300_000
    assert not FORBIDDEN.search(content.decode("utf-8"))
    for script in (True, False):
        browser.open(page, 360, 800, script=script)
        if script:
            browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
            browser.evaluate(
                "new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))"
            )
            assert browser.evaluate(TOO_WIDE) == 0
            shown = browser.evaluate(
                "[...document.querySelectorAll('*')].flatMap(e => [e.localName,"
                " ...e.getAttributeNames()]).filter((one, n, all) => all.indexOf(one) == n)"
            )
            assert not {"img", "iframe", "object", "form", "onerror", "onload", "src"} & set(shown)
            assert browser.evaluate("document.scripts.length") == 1
            quiet(browser)


LONG = {"raw", "message", "subject", "annotations", "server", "detail", "Description"}
LINE = "A" * 500_000 + POISON + "é" * 250_000


# No API server gives a name of more than 253 characters.
@pytest.mark.parametrize(("where", "long"), [("names", LINE[480_000:520_000]), ("texts", LINE)])
def test_lines_of_a_megabyte(browser: Chromium, tmp_path: Path, where: str, long: str) -> None:
    snapshot = load(SNAPSHOTS / "ing-svc-missing.json.gz")
    plain = msgspec.to_builtins(snapshot)

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, str):
            if where == "names":
                return value.replace("my-app-ingress", f"my-app-ingress{long}")
            return value + long if key in LONG and value else value
        if isinstance(value, dict):
            return {k: walk(v, key if key in LONG else k) for k, v in value.items()}
        if isinstance(value, list | tuple):
            if key in ("log", "previous_log"):
                return [walk(one, key) for one in value[-6:]]
            return [walk(one, key) for one in value]
        return value

    report = replay(msgspec.convert(walk(plain, ""), Snapshot))
    assert [one.code for one in report.root_causes] == ["ING004"]
    content = to_html(report)
    assert len(content) < 300_000
    page = tmp_path / "report.html"
    page.write_bytes(content)
    browser.open(page, 390, 844)
    quiet(browser)
    assert browser.evaluate(TOO_WIDE) == 0
    parse(to_junit([report]))
    json.loads(to_json(report))
    assert len(to_markdown(report, "x")) < 20_000
    out = io.StringIO()
    print_report(report, Console(file=out, width=100), verbose=True)
    assert not FORBIDDEN.search(out.getvalue())
