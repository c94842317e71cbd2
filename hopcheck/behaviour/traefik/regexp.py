"""Go's regular expressions, by RE2 (package google-re2): the same syntax, linear time.

Traefik compiles rules with Go's ``regexp``. Python's ``re`` accepts patterns that Go refuses,
refuses some that Go accepts, and may take exponential time on a hostile pattern; patterns come
from cluster objects. Where the package cannot be imported, no pattern can be told.
"""

from __future__ import annotations

import re

# Of one pattern; RE2 refuses what needs more ("pattern too large"). Go's own limit is far higher.
_MAX_MEMORY = 1 << 20
_MAX_WORK = 50_000_000  # instructions times bytes: well below a second
# ``\C`` (one byte) is RE2's alone; within \Q...\E it is text.
_ESCAPES = re.compile(r"\\Q.*?(?:\\E|\Z)|\\(.)", re.DOTALL)
# Which Unicode classes Go knows, and by which names, depends on the Go that built Traefik.
_GO_MAY_KNOW = ("pattern too large", "invalid character class range: \\p",
                "invalid character class range: \\P")  # fmt: skip


class RegexpError(ValueError):
    """Go refuses this pattern."""


class UnsupportedError(ValueError):
    """Go may accept this pattern; it cannot be told here, or is too large."""


class Regexp:
    """A compiled pattern; `search` tells whether it matches anywhere in a text."""

    def __init__(self, pattern: str) -> None:
        """Raise RegexpError where Go would, UnsupportedError where it cannot be told here."""
        try:
            import re2
        except ImportError as error:
            raise UnsupportedError("google-re2 is not installed") from error
        options = re2.Options()
        options.max_mem = _MAX_MEMORY
        options.log_errors = False
        try:
            self._compiled = re2.compile(pattern, options)
        except UnicodeEncodeError as error:
            raise UnsupportedError("no Unicode text") from error
        except re2.error as error:
            said = error.args[0].decode("utf-8", "replace")
            refused = UnsupportedError if said.startswith(_GO_MAY_KNOW) else RegexpError
            raise refused(said) from error
        if any(found[1] == "C" for found in _ESCAPES.finditer(pattern)):
            raise RegexpError(r"invalid escape sequence: \C")
        if not all(name.isascii() for name in self._compiled.groupindex):
            raise RegexpError("invalid named capture")

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in `text`. UnsupportedError: too much work."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise UnsupportedError("no Unicode text") from error
        if self._compiled.programsize * (len(data) + 1) > _MAX_WORK:
            raise UnsupportedError("pattern and text too large")
        return self._compiled.search(text) is not None


def quote_meta(text: str) -> str:
    """Go's regexp.QuoteMeta: each special character with a backslash before it."""
    return "".join("\\" + char if char in r"\.+*?()|[]{}^$" else char for char in text)
