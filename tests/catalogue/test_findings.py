"""A finding is a file: what each of them must hold, and that none is missing or too much."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hopcheck
from hopcheck.catalogue import catalogue
from hopcheck.catalogue.catalogue import (
    TEMPLATES,
    Stops,
    codes,
    entries,
    entry,
    has_text,
    make,
    read,
)
from hopcheck.catalogue.language import LANGUAGES
from hopcheck.model import ObjectRef, Severity, Step
from hopcheck.verdict.cause import CONDITIONS, links

PACKAGE = Path(hopcheck.__file__).parent
FOLDER = PACKAGE / "findings"
CODE = re.compile(r"[A-Z]{3}\d{3}")
LETTERS = {
    "DNS": Step.DNS,
    "TGT": Step.TARGET_HEALTH,
    "SVC": Step.TRAEFIK_SERVICE,
    "ING": Step.INGRESS,
    "END": Step.ENDPOINTS,
    "LOG": Step.TRAEFIK_LOGS,
    "REQ": Step.REQUEST,
}


def stated() -> set[str]:
    """The codes that the steps' rules name."""
    return {
        node.value
        for path in (PACKAGE / "steps").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and CODE.fullmatch(node.value)
    }


def test_each_code_that_a_rule_states_has_a_file_and_no_other_has() -> None:
    assert set(codes()) == stated()


def test_each_finding_has_a_file_in_every_language_and_nothing_else_is_there() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"README.md"}
    assert files == {f"{code}.{lang}.md" for code in codes() for lang in LANGUAGES}


COMMANDS = {"commands", "fix_commands"}


@pytest.mark.parametrize("code", codes())
def test_every_finding_is_whole(code: str) -> None:
    one = entry(code)  # msgspec refuses fields that there are none of and values of another kind
    assert one.step is LETTERS[code[:3]]
    assert all(getattr(one, key) for key in TEMPLATES)
    assert one.commands
    for variant in one.variants.values():
        assert variant
        assert variant.keys() <= {*TEMPLATES, *COMMANDS}
        assert all(isinstance(variant[key], str) for key in variant.keys() - COMMANDS)
    assert one.page.keys() - {"fix"} == set(catalogue.SECTIONS) - {"fix"}
    assert all(one.page.values())


@pytest.mark.parametrize("code", codes())
def test_another_language_says_sentences_alone(code: str) -> None:
    for language in set(LANGUAGES) - {"en"}:
        own = read(code, language)
        assert own.keys() <= {*TEMPLATES, "variants", "page"}
        for variant in own.get("variants", {}).values():
            assert variant.keys() <= set(TEMPLATES)


@pytest.mark.parametrize("code", codes())
def test_a_command_of_a_fix_is_tried_first_wherever_it_can_be(code: str) -> None:
    one = entry(code)
    every = [one.fix_commands, *(v.get("fix_commands", ()) for v in one.variants.values())]
    for line in (line for lines in every for line in lines):
        tool, verb = line.split()[:2]
        if tool == "kubectl":
            assert line.endswith(" --dry-run=server"), line
        else:  # ELBv2 has no dry run
            assert (tool, line.endswith(" --dry-run")) == ("aws", verb == "ec2"), line
        assert "{" in line


def test_what_confirms_changes_nothing() -> None:
    verbs = ("patch", "annotate", "label", "scale", "set", "delete", "apply", "edit", "replace",
             "modify-", "register-", "deregister-", "authorize-", "create-")  # fmt: skip
    for code, one in entries().items():
        every = [one.commands, *(v.get("commands", ()) for v in one.variants.values())]
        for line in (line for lines in every for line in lines):
            assert not any(word.startswith(verbs) for word in line.split()[1:4]), (code, line)


def test_errors_stop_something() -> None:
    for code, one in entries().items():
        if one.severity is Severity.ERROR:
            assert one.stops is not Stops.NOTHING, code
        else:
            assert one.stops is not Stops.EVERYTHING, code


def test_links_name_what_exists() -> None:
    groups = {group for one in entries().values() for group in one.groups}
    named = set()
    for code, one in entries().items():
        for link in (*one.explained_by, *one.explains):
            assert link.codes or link.groups, code
            assert set(link.codes) <= set(codes()) - {code}, code
            assert link.when in CONDITIONS, code
            assert has_text("because", link.why), code
            assert has_text("when", link.when), code
            named |= set(link.groups)
    assert groups == named
    about = (FOLDER / "README.md").read_text("utf-8")
    for group in groups:
        assert f"| `{group}` |" in about


def test_nothing_is_said_twice() -> None:
    for cause in entries().values():
        for effect in entries().values():
            found = [(link.why, link.when) for link in links(cause, effect)]
            assert len(found) == len(set(found)), (cause.code, effect.code)


def test_docs_url_leads_to_the_file() -> None:
    for code, one in entries().items():
        found = make(code, ObjectRef("Host", "a.example"), **dict.fromkeys(one.params, "x"))
        assert (PACKAGE.parent / found.docs_url).is_file()


OPENED = """
import sys
from pathlib import Path

opened = set()
sys.addaudithook(
    lambda event, arguments: event == "open" and str(arguments[0]).endswith(".md")
    and opened.add(Path(arguments[0]).name)
)
from hopcheck.engine.replay import replay
from hopcheck.report.evidence import load

report = replay(load(Path(sys.argv[1])))
print(*{one.code + ".en.md" for step in report.steps for one in step.findings})
print(*opened)
"""


def test_a_run_reads_the_files_of_what_it_states_alone() -> None:
    recorded = Path(__file__).parents[1] / "snapshots/ing-svc-missing.json.gz"
    done = subprocess.run(
        [sys.executable, "-c", OPENED, str(recorded)], capture_output=True, text=True, check=True
    )
    found, opened = (set(line.split()) for line in done.stdout.splitlines())
    assert "ING004.en.md" in found
    assert found <= opened
    assert len(opened) < len(codes()) / 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("no block", "not a block of TOML and a page"),
        ("```toml\n```\n\n## Meaning of it\n\nx\n", "unknown sections"),
        ("```toml\ntitle = \n```\n", "Invalid value"),
    ],
)
def test_a_file_of_another_form_is_refused(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DNS001.en.md").write_text(words)
    monkeypatch.setattr(catalogue, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=said):
        read("DNS001", "en")
