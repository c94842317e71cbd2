"""Go's regular expressions, matched in linear time.

Traefik compiles rules with Go's ``regexp`` (RE2 syntax). Python's ``re`` accepts patterns that
Go refuses, refuses some that Go accepts, and may take exponential time on a hostile pattern;
patterns come from cluster objects, so they are parsed here and run as a set of states.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from hopcheck.behaviour.traefik.regexp_syntax import (
    Alt,
    Assert,
    Cat,
    Node,
    RegexpError,
    Repeat,
    Set,
    UnsupportedError,
    parse,
)

__all__ = ["Regexp", "RegexpError", "UnsupportedError", "quote_meta"]

_MAX_PROGRAM = 4000
_MAX_WORK = 2_000_000


class _Split(Struct, frozen=True):
    first: int
    second: int


class _Done(Struct, frozen=True):
    pass


_Step = Set | Assert | _Split | _Done


class Regexp:
    """A compiled pattern; `search` tells whether it matches anywhere in a text."""

    def __init__(self, pattern: str) -> None:
        """Raise RegexpError where Go would, UnsupportedError where it cannot be told here."""
        self._steps: list[_Step] = []
        self._emit(parse(pattern))
        self._add(_Done())

    def _add(self, step: _Step) -> int:
        if len(self._steps) >= _MAX_PROGRAM:
            raise UnsupportedError("pattern too large")
        self._steps.append(step)
        return len(self._steps) - 1

    def _emit(self, node: Node) -> None:
        match node:
            case Cat(parts):
                for part in parts:
                    self._emit(part)
            case Alt(options):
                self._emit_alternatives(options)
            case Repeat():
                self._emit_repeat(node)
            case _:
                self._add(node)

    def _emit_alternatives(self, options: tuple[Node, ...]) -> None:
        jumps = []
        for option in options[:-1]:
            split = self._add(_Done())
            self._emit(option)
            jumps.append(self._add(_Done()))
            self._steps[split] = _Split(split + 1, len(self._steps))
        self._emit(options[-1])
        for jump in jumps:
            self._steps[jump] = _Split(len(self._steps), len(self._steps))

    def _emit_repeat(self, node: Repeat) -> None:
        for _ in range(node.low):
            self._emit(node.node)
        if node.high is None:
            split = self._add(_Done())
            self._emit(node.node)
            self._add(_Split(split, split))
            self._steps[split] = _Split(split + 1, len(self._steps))
            return
        splits = []
        for _ in range(node.high - node.low):
            splits.append(self._add(_Done()))
            self._emit(node.node)
        for split in splits:
            self._steps[split] = _Split(split + 1, len(self._steps))

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in `text`. UnsupportedError: too much work."""
        if len(self._steps) * (len(text) + 1) > _MAX_WORK:
            raise UnsupportedError("pattern and text too large")
        waiting: set[int] = set()
        for at in range(len(text) + 1):
            states = self._closure({0, *waiting}, text, at)
            if any(isinstance(self._steps[state], _Done) for state in states):
                return True
            waiting = set()
            if at < len(text):
                for state in states:
                    step = self._steps[state]
                    if isinstance(step, Set) and step.has(text[at]):
                        waiting.add(state + 1)
        return False

    def _closure(self, start: Iterable[int], text: str, at: int) -> set[int]:
        """All states that can be reached from `start` without reading a character."""
        todo, seen = list(start), set(start)
        while todo:
            state = todo.pop()
            step = self._steps[state]
            if isinstance(step, _Split):
                following = {step.first, step.second}
            elif isinstance(step, Assert) and _holds(step.kind, text, at):
                following = {state + 1}
            else:
                continue
            todo.extend(following - seen)
            seen |= following
        return seen


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")


def _holds(kind: str, text: str, at: int) -> bool:
    if kind == "begin":
        return at == 0
    if kind == "end":
        return at == len(text)
    if kind == "line_begin":
        return at == 0 or text[at - 1] == "\n"
    if kind == "line_end":
        return at == len(text) or text[at] == "\n"
    before = at > 0 and _is_word(text[at - 1])
    after = at < len(text) and _is_word(text[at])
    return (before != after) == (kind == "word")


def quote_meta(text: str) -> str:
    """Go's regexp.QuoteMeta: each special character with a backslash before it."""
    return "".join("\\" + char if char in r"\.+*?()|[]{}^$" else char for char in text)
