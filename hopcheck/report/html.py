"""report.html and index.html: self-contained pages that make no request and need no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hopcheck import __version__
from hopcheck.catalogue.language import language
from hopcheck.model import Report
from hopcheck.report.json import to_dict
from hopcheck.report.labels import label, word
from hopcheck.report.page import LIMITS, index_of, page_of
from hopcheck.report.store import IndexRow

_BYTES = 300_000


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hopcheck.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(label=label, word=word, csp=_csp(), **_assets())
    return environment


@cache
def _assets() -> dict[str, Markup]:
    folder = resources.files("hopcheck.report") / "templates"
    texts = {"css": "report.css", "js": "report.js"}
    # The project's own files, not escaped: the policy allows exactly these by their hashes.
    return {
        name: Markup((folder / file).read_text("utf-8"))  # noqa: S704
        for name, file in texts.items()
    }


def _csp() -> str:
    """A policy under which only the two inlined texts act and nothing is fetched."""
    hashes = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in _assets().items()
    }
    return (
        f"default-src 'none'; style-src 'sha256-{hashes['css']}'; "
        f"script-src 'sha256-{hashes['js']}'; base-uri 'none'; form-action 'none'"
    )


def prepare() -> None:
    """Compile the template ahead: 0.1 s that can pass while evidence is awaited."""
    _environment().get_template("report.html.j2")


def to_html(report: Report) -> bytes:
    """report.html: one file, UTF-8, below 300 KB; what is cut for that says so."""
    template = _environment().get_template("report.html.j2")
    data = to_dict(report)
    page = b""
    for limits in LIMITS:
        variables = page_of(report, data, limits)
        # Far too much is not even rendered, but for the last resort.
        if limits is not LIMITS[-1] and _characters(variables) > 2 * _BYTES:
            continue
        text = template.render(lang=language(), **variables)
        page = text.encode("utf-8", "replace")
        if len(page) < _BYTES:
            break
    return page


def _characters(value: Any) -> int:
    """How much text there is in what a template is given."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_characters(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(_characters(item) for item in value)
    return 0


def render_index(rows: Iterable[IndexRow]) -> bytes:
    """index.html: a row for each host, the worst first, with a link to its newest report."""
    template = _environment().get_template("index.html.j2")
    text = template.render(lang=language(), version=__version__, **index_of(rows))
    return text.encode("utf-8", "replace")
