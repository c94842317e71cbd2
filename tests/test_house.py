"""The rules that hold the house up (architecture), read from the code itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hopcheck

PACKAGE = Path(hopcheck.__file__).parent
IO = {
    "botocore",
    "boto3",
    "kubernetes",
    "dns",
    "httpx",
    "h11",
    "socket",
    "ssl",
    "urllib",
    "asyncio",
    "subprocess",
    "sqlite3",
    "time",
    "datetime",
}


def modules(part: str = "") -> list[Path]:
    return sorted((PACKAGE / part).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", modules("judge") + modules("way"), ids=of)
def test_judges_do_no_io(path: Path) -> None:
    # Dates are compared, never asked of a clock (the next test); URLs are taken apart.
    used = {name for name in imports(path) if name.split(".")[0] in IO - {"datetime"}}
    assert not {name for name in used if not name.startswith("urllib.parse")}


@pytest.mark.parametrize("path", modules("judge") + modules("way"), ids=of)
def test_judges_have_no_clock(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ".now(" not in text
    assert ".utcnow(" not in text
    assert "time.time" not in text
    assert "open(" not in text


def test_only_collectors_import_the_parties_clients() -> None:
    clients = {"botocore", "boto3", "kubernetes", "dns", "httpx", "h11"}
    for path in modules():
        if of(path).split("/")[0] in ("collect", "lab"):
            continue
        if of(path) == "outlets/destination.py":  # writes reports to S3 (docs/adr/0003-outlets.md)
            continue
        assert not {n for n in imports(path) if n.split(".")[0] in clients}, of(path)


def test_the_package_never_imports_the_lab() -> None:
    for path in modules():
        if not of(path).startswith("lab/"):
            assert not [name for name in imports(path) if name.startswith("hopcheck.lab")], of(path)


def test_the_lab_never_imports_what_judges() -> None:
    forbidden = ("hopcheck.judge", "hopcheck.cause", "hopcheck.assess", "hopcheck.collect")
    for path in modules("lab"):
        assert not [name for name in imports(path) if name.startswith(forbidden)], of(path)


@pytest.mark.parametrize("path", modules(), ids=of)
def test_modules_are_short(path: Path) -> None:
    limit = 600 if of(path) == "model.py" else 500  # the vocabulary is read as one
    assert len(path.read_text("utf-8").splitlines()) <= limit


def test_the_command_line_starts_light() -> None:
    heavy = ["botocore", "kubernetes", "dns", "httpx", "h11", "rich", "jinja2", "cryptography",
             "pytest", "yaml", "aiohttp"]  # fmt: skip
    code = f"import sys, hopcheck.cli; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
