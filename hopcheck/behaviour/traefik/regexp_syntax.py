"""The syntax of Go's regular expressions, as a tree; `hopcheck.behaviour.traefik.regexp` runs it.

Syntax: https://pkg.go.dev/regexp/syntax
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

_MAX_REPEAT = 1000  # Go's own limit
_MAX_DEPTH = 200

_DIGIT = ((48, 57),)
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE = ((9, 10), (12, 13), (32, 32))
_ALL = ((0, 0x10FFFF),)
_PERL = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_POSIX = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROL = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}

Ranges = tuple[tuple[int, int], ...]


class RegexpError(ValueError):
    """Go refuses this pattern."""


class UnsupportedError(ValueError):
    """Go may accept this pattern; it is not understood here, or too large."""


class Set(Struct, frozen=True):
    """One character of (or outside of) some ranges of code points."""

    ranges: Ranges
    negate: bool = False
    fold: bool = False

    def has(self, char: str) -> bool:
        """Whether `char` is meant."""
        codes = {ord(char)}
        if self.fold:
            codes |= {ord(each) for each in (char.lower(), char.upper()) if len(each) == 1}
        found = any(low <= code <= high for code in codes for low, high in self.ranges)
        return found != self.negate


class Assert(Struct, frozen=True):
    """A condition on the place between two characters."""

    kind: Literal["begin", "end", "line_begin", "line_end", "word", "no_word"]


class Cat(Struct, frozen=True):
    """One after the other."""

    parts: tuple[Node, ...]


class Alt(Struct, frozen=True):
    """One or the other."""

    options: tuple[Node, ...]


class Repeat(Struct, frozen=True):
    """A node `low` to `high` times; None: without end."""

    node: Node
    low: int
    high: int | None


Node = Set | Assert | Cat | Alt | Repeat


def _inverse(ranges: Ranges) -> Ranges:
    """The complement of `ranges` within Unicode."""
    out, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            out.append((start, low - 1))
        start = max(start, high + 1)
    if start <= 0x10FFFF:
        out.append((start, 0x10FFFF))
    return tuple(out)


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.flags: frozenset[str] = frozenset()
        self.depth = 0

    def peek(self, size: int = 1) -> str:
        return self.text[self.at : self.at + size]

    def take(self, size: int = 1) -> str:
        out = self.peek(size)
        if len(out) < size:
            raise RegexpError(f"unexpected end of pattern {self.text!r}")
        self.at += size
        return out

    def until(self, mark: str) -> str:
        end = self.text.find(mark, self.at)
        if end < 0:
            raise RegexpError(f"missing {mark!r} in {self.text!r}")
        out = self.text[self.at : end]
        self.at = end + len(mark)
        return out

    def literal(self, code: int) -> Set:
        return Set(((code, code),), fold="i" in self.flags)

    def alternation(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise UnsupportedError("nested too deeply")
        options = [self.concatenation()]
        while self.peek() == "|":
            self.take()
            options.append(self.concatenation())
        self.depth -= 1
        return options[0] if len(options) == 1 else Alt(tuple(options))

    def concatenation(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.peek() not in "|)":
            if self.peek(2) == "\\Q":
                self.at += 2
                end = self.text.find("\\E", self.at)
                quoted = self.text[self.at :] if end < 0 else self.text[self.at : end]
                self.at = len(self.text) if end < 0 else end + 2
                parts.extend(self.literal(ord(char)) for char in quoted)
                continue
            node = self.atom()
            if node is not None:
                parts.append(self.quantified(node))
        return Cat(tuple(parts))

    def quantified(self, node: Node) -> Node:
        found = self.quantifier()
        if found is None:
            return node
        if self.peek() == "?":  # lazy: the same language
            self.take()
        after = self.at
        if self.quantifier() is not None:
            raise RegexpError(f"invalid nested repetition operator at {after} in {self.text!r}")
        return Repeat(node, *found)

    def quantifier(self) -> tuple[int, int | None] | None:
        char = self.peek()
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(char)
        if simple is not None:
            self.take()
            return simple
        if char != "{":
            return None
        end = self.text.find("}", self.at)
        body = self.text[self.at + 1 : end] if end > 0 else ""
        low, comma, high = body.partition(",")
        if not low.isdecimal() or (high and not high.isdecimal()) or not body.isascii():
            return None  # a literal brace
        self.at = end + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > _MAX_REPEAT or (most is not None and most < least):
            raise RegexpError(f"invalid repeat count {{{body}}}")
        return least, most

    def atom(self) -> Node | None:
        char = self.take()
        if char == "(":
            return self.group()
        if char == "[":
            return self.bracket()
        if char == "\\":
            return self.escape()
        if char == ".":
            return Set(_ALL if "s" in self.flags else _inverse(((10, 10),)))
        if char == "^":
            return Assert("line_begin" if "m" in self.flags else "begin")
        if char == "$":
            return Assert("line_end" if "m" in self.flags else "end")
        if char in "*+?":
            raise RegexpError(f"missing argument to repetition operator {char!r}")
        return self.literal(ord(char))

    def group(self) -> Node | None:
        before = self.flags
        if self.peek() == "?":
            self.take()
            if self.peek(2) == "P<" or (self.peek() == "<" and self.peek(2) not in ("<=", "<!")):
                name = self.until(">").rpartition("<")[2]
                if not name.isidentifier() and not name.isalnum():
                    raise RegexpError(f"invalid named capture {name!r}")
            elif not self.set_flags():
                return None
        node = self.alternation()
        if self.peek() != ")":
            raise RegexpError(f"missing closing ) in {self.text!r}")
        self.take()
        self.flags = before
        return node

    def set_flags(self) -> bool:
        """Read ``flags)`` (False: they hold for the rest of the group) or ``flags:`` (True)."""
        flags, on = set(self.flags), True
        while True:
            char = self.take()
            if char in ":)":
                self.flags = frozenset(flags)
                return char == ":"
            if char == "-" and on:
                on = False
            elif char in "imsU":
                (flags.add if on else flags.discard)(char)
            else:
                raise RegexpError(f"invalid or unsupported Perl syntax in {self.text!r}")

    def escape(self) -> Node:
        char = self.peek()
        fixed: dict[str, Node] = {
            "A": Assert("begin"),
            "z": Assert("end"),
            "b": Assert("word"),
            "B": Assert("no_word"),
        }
        if char in fixed and char:
            self.take()
            return fixed[char]
        ranges = self.class_escape()
        if ranges is not None:
            return Set(ranges)
        return self.literal(self.char_escape())

    def class_escape(self) -> Ranges | None:
        char = self.peek()
        if char and char in "dwsDWS":
            self.take()
            ranges = _PERL[char.lower()]
            return ranges if char.islower() else _inverse(ranges)
        if char and char in "pP":
            raise UnsupportedError("Unicode classes")
        return None

    def char_escape(self) -> int:
        char = self.take()
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "x":
            digits = self.take(2) if self.peek() != "{" else self.until("}")[1:]
            try:
                code = int(digits, 16)
            except ValueError as error:
                raise RegexpError(f"invalid escape sequence \\x{digits}") from error
            if code > 0x10FFFF:
                raise RegexpError(f"invalid escape sequence \\x{digits}")
            return code
        if char == "0" or (char in "1234567" and self.peek() in tuple("01234567")):
            digits = char
            while len(digits) < 3 and self.peek() in tuple("01234567"):
                digits += self.take()
            return int(digits, 8)
        if char.isascii() and (char.isalnum() or char == "_"):
            raise RegexpError(f"invalid escape sequence \\{char}")
        return ord(char)

    def bracket(self) -> Node:
        negate = self.peek() == "^"
        if negate:
            self.take()
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self.peek() != "]":
            first = False
            if self.peek(2) == "[:" and ":]" in self.text[self.at + 2 :]:
                self.at += 2
                name = self.until(":]")
                if name.removeprefix("^") not in _POSIX:
                    raise RegexpError(f"invalid character class range [:{name}:]")
                found: Ranges = _POSIX[name.removeprefix("^")]
                ranges.extend(_inverse(found) if name.startswith("^") else found)
                continue
            self.bracket_item(ranges)
        self.take()
        return Set(tuple(ranges), negate, "i" in self.flags)

    def bracket_item(self, ranges: list[tuple[int, int]]) -> None:
        if self.peek() == "\\":
            self.take()
            named = self.class_escape()
            if named is not None:
                ranges.extend(named)
                return
            low = self.char_escape()
        else:
            low = ord(self.take())
        high = low
        if self.peek() == "-" and self.peek(2) not in ("-]", "-"):
            self.take()
            char = self.take()
            high = self.char_escape() if char == "\\" else ord(char)
            if high < low:
                raise RegexpError("invalid character class range")
        ranges.append((low, high))


def parse(pattern: str) -> Node:
    """The tree of `pattern`. Raises RegexpError where Go would, else UnsupportedError."""
    parser = _Parser(pattern)
    node = parser.alternation()
    if parser.at < len(pattern):
        raise RegexpError(f"unexpected ) in {pattern!r}")
    return node
