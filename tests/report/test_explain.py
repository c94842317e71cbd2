"""Each code has a page, each page a code, and the examples are current."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hopcheck.catalogue.catalogue import codes, entries, text
from hopcheck.catalogue.language import tables
from hopcheck.report.explain import SECTIONS, main, page, plain
from tests.examples import files

HEADINGS = tuple(text("page", section) for section in SECTIONS)


def sections(words: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", words, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def test_the_examples_are_current() -> None:
    import json

    for file, found in files().items():
        assert json.loads(file.read_text("utf-8")) == found, "make pages"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make pages` writes to docs/findings."""
    directory = tmp_path_factory.mktemp("findings")
    main(directory)
    return directory


def test_each_page_is_a_code(pages: Path) -> None:
    made = {p.stem for p in pages.glob("*.md")}
    assert made == {*codes(), "README", "CAUSES"}


def test_what_explains_what_is_written(pages: Path) -> None:
    rows = (pages / "CAUSES.md").read_text("utf-8").splitlines()
    (row,) = [row for row in rows if row.startswith("| SVC008, SVC010 |")]
    assert row == "| SVC008, SVC010 | SVC007 | Traefik does not start or never becomes ready |  |"
    (row,) = [row for row in rows if " | turns " in row or "take turns" in row]
    assert row.split(" | ")[:2] == ["| ING009", "REQ009"]
    assert row.endswith(" | Traefik answers 502, 503 or 504 |")


@pytest.mark.parametrize("code", codes())
def test_a_page_is_whole(code: str) -> None:
    words = page(code)
    assert words.startswith(f"# {code}: ")
    found = sections(words)
    assert tuple(found) == HEADINGS
    for heading, body in found.items():
        assert len(body) > 10, heading
    assert "```console\n" in found["Confirm by hand"]


@pytest.mark.parametrize("code", codes())
def test_the_example_is_real(code: str) -> None:
    found = sections(page(code))
    for heading in ("Example", "Confirm by hand"):
        # "<name>" would be a placeholder.
        assert not re.search(r"<[a-z_]+>", found[heading]), heading
    assert "scenario `" in found["Example"]


def test_links_lead_to_pages(pages: Path) -> None:
    for made in pages.iterdir():
        links = re.findall(r"\]\(([^)]+)\)", made.read_text("utf-8"))
        assert not [name for name in links if not (pages / name).exists()], made.name
        assert links or made.stem == "CAUSES" or "Stands alone" in made.read_text("utf-8")


def explain(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hopcheck", "explain", code], text=True, check=False, **options
    )  # type: ignore[call-overload]


def test_a_retired_code_names_its_successor() -> None:
    done = explain("log004", capture_output=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "LOG010" in done.stderr
    assert "Traceback" not in done.stderr
    assert not tables("texts")["retired"].keys() & {*codes()}


def test_an_unknown_code_names_the_nearest() -> None:
    done = explain("ING0O4", capture_output=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "did you mean ING0" in done.stderr
    assert "Traceback" not in done.stderr


def test_lower_case_is_accepted() -> None:
    done = explain("ing004", capture_output=True)
    assert done.returncode == 0
    assert done.stdout == plain(page("ING004")) + "\n"
    assert ".md" not in done.stdout


def test_on_a_terminal_it_is_laid_out() -> None:
    ours, theirs = pty.openpty()
    done = explain(
        "DNS002", stdout=theirs, stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux: the other end is closed
        pass
    finally:
        os.close(ours)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert done.returncode == 0, done.stderr
    assert "##" not in text
    assert "```" not in text
    for heading in HEADINGS:
        assert heading in text
    assert ".md" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    commands = [line.removeprefix("  $ ") for line in lines if line.startswith("  $ ")]
    assert commands == sections(page("DNS002"))["Confirm by hand"].splitlines()[3:-1]
    assert max(len(line) for line in lines if not line.startswith("  $ ")) <= 80


@pytest.mark.parametrize("code", [code for code, entry in entries().items() if entry.variants])
def test_every_variant_is_explained(code: str) -> None:
    found = sections(page(code))
    said = " ".join(
        found[heading] for heading in ("Meaning", "Why traffic breaks", "Evidence used")
    )
    for name in entries()[code].variants:
        assert f"`{name}`" in said, name
