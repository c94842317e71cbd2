"""Text from clusters is hostile: what each medium may show of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size

from hopcheck.report.labels import label

# ECMA-48 control sequences, in their seven and eight bit forms. Strings (OSC, DCS, SOS, PM, APC)
# end with BEL or ST; one that never ends loses its introducer only, so that no text can hide what
# follows it in the report.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
# Cc, Cf (bidi controls and zero-width characters among them), Cs, Zl and Zp.
_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
# What the Char production of XML 1.0 leaves out, and Unicode's noncharacters of plane 0.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
ELLIPSIS = "…"
_SLACK = 4_096


def _replacement(match: re.Match[str]) -> str:
    character = match.group()
    if character in "\r\u2028\u2029\x85\x0b\x0c":
        return "\n"
    return "\ufffd" if "\ud800" <= character <= "\udfff" else ""


def for_terminal(text: str) -> str:
    """`text` without escape sequences, control, bidi and invisible characters.

    Line feeds stay, tabs become a space, a lone surrogate becomes U+FFFD. Good for HTML too.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _ANSI.sub("", text.replace("\r\n", "\n"))
    return _SUSPECT.sub(_replacement, text).replace("\t", " ")


def command(text: str) -> str:
    """A command on one line: a line feed from a cluster's text would run what follows it."""
    return for_terminal(text).replace("\n", " ")


def for_xml(text: str) -> str:
    """`text` as XML 1.0 may hold it, without what a CI system's console would interpret."""
    return _NOT_XML.sub("", for_terminal(text))


def encodable(text: str) -> str:
    """`text` with lone surrogates as U+FFFD, so that UTF-8 can hold it."""
    return _SURROGATE.sub("\ufffd", text)


def width_of(text: str) -> int:
    """How many terminal cells `text` takes (Hangul and emoji take two)."""
    return len(text) if text.isascii() else cell_len(text)


def pad(text: str, width: int) -> str:
    """`text` with spaces behind it up to `width` cells."""
    return text + " " * (width - width_of(text))


def one_line(text: str, width: int) -> str:
    """`text` for a terminal, white space folded, cut to `width` cells with an ellipsis."""
    # Far more than can be shown, so that a line of megabytes takes no seconds.
    text = " ".join(for_terminal(text[: 16 * max(0, width) + _SLACK]).split())
    if width_of(text) <= width:
        return text
    # Half of a wide character that does not fit is a space here.
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS if width > 0 else ""


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, line breaks kept."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def map_text(value: Any, change: Callable[[str], str]) -> Any:
    """`value` (plain JSON) with every string in it, keys too, passed through `change`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(str(key)): map_text(item, change) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [map_text(item, change) for item in value]
    return value


def whole_text(value: Any) -> Any:
    """`value` (plain JSON) with lone surrogates replaced, of which there are hardly ever any."""
    try:
        # And back, so that it is plain JSON: lists, no tuples.
        return msgspec.json.decode(msgspec.json.encode(value))
    except UnicodeEncodeError:
        return map_text(value, encodable)


def in_words(value: Any, said: Callable[[str, str], str] | None = None) -> str:
    """A fact (plain JSON) as one text: "a, b", "key: value; key: value", "yes", "none".

    `said` gives the key of a mapping and its value their words (`labels.fact`).
    """
    if value is None:
        return label("none")
    if isinstance(value, bool):
        return label("yes" if value else "no")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        pairs = ((str(key), in_words(item, said)) for key, item in value.items())
        shown = (said(key, words) if said else f"{key}: {words}" for key, words in pairs)
        return "; ".join(shown) or label("none")
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(in_words(item, said) for item in value) or label("none")
    return str(value)
