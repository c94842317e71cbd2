"""Traefik's rule language: text to tree, with the errors Traefik would find.

A rule is a Go expression (github.com/vulcand/predicate): calls of matchers with string literals,
``&&`` (binds tighter), ``||``, ``!`` and parentheses. A line break is a semicolon where Go's
scanner would insert one, that is after a call: an operator must end the line, not begin it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NoReturn

from msgspec import Struct

from hopcheck.behaviour.traefik.version import Syntax

Protocol = Literal["http", "tcp"]
Problem = Literal["empty", "syntax", "unknown_matcher", "parameters", "value", "too_large"]

END = "end of the rule"
_MAX_LENGTH = 20_000
_MAX_DEPTH = 100

# name -> allowed numbers of parameters (None: one or more)
_HTTP_V3: dict[str, tuple[int, ...] | None] = {
    "ClientIP": (1,),
    "Method": (1,),
    "Host": (1,),
    "HostRegexp": (1,),
    "Path": (1,),
    "PathRegexp": (1,),
    "PathPrefix": (1,),
    "Header": (2,),
    "HeaderRegexp": (2,),
    "Query": (1, 2),
    "QueryRegexp": (1, 2),
}
_HTTP_V2: dict[str, tuple[int, ...] | None] = dict.fromkeys(
    ("Host", "HostHeader", "HostRegexp", "ClientIP", "Path", "PathPrefix", "Method", "Headers",
     "HeadersRegexp", "Query")
)  # fmt: skip
_TCP_NAMES = ("ALPN", "ClientIP", "HostSNI", "HostSNIRegexp")
_TCP_V3: dict[str, tuple[int, ...] | None] = dict.fromkeys(_TCP_NAMES, (1,))
_TCP_V2: dict[str, tuple[int, ...] | None] = dict.fromkeys(_TCP_NAMES)
_MATCHERS = {
    ("http", "v2"): _HTTP_V2,
    ("http", "v3"): _HTTP_V3,
    ("tcp", "v2"): _TCP_V2,
    ("tcp", "v3"): _TCP_V3,
}

_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+)|(?P<newline>\n)|(?P<raw>`[^`]*`)|(?P<text>\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<op>&&|\|\||!(?!=)|[(),])"
)
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))")
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class RuleError(ValueError):
    """Traefik refuses the rule and disables its router; `problem` says why, `where` shows it.

    "too_large" alone is this program's own limit: Traefik may accept such a rule.
    """

    def __init__(self, problem: Problem, where: str) -> None:
        super().__init__(f"{problem}: {where}")
        self.problem = problem
        self.where = where


class Match(Struct, frozen=True):
    """One matcher by its canonical name, and its parameters."""

    name: str
    args: tuple[str, ...]


class Not(Struct, frozen=True):
    """The opposite."""

    node: Node


class And(Struct, frozen=True):
    """All of them."""

    nodes: tuple[Node, ...]


class Or(Struct, frozen=True):
    """One of them."""

    nodes: tuple[Node, ...]


Node = Match | Not | And | Or


def _names(matchers: dict[str, tuple[int, ...] | None]) -> dict[str, str]:
    """The spellings Traefik knows: as written, lower, upper, and with one capital."""
    spelled = {}
    for name in matchers:
        for each in (name, name.lower(), name.upper(), name.lower().capitalize()):
            spelled[each] = name
    return spelled


def _unquote(token: str) -> str:
    def one(found: re.Match[str]) -> str:
        simple, byte, code, other = found.groups()
        if other is not None:
            raise RuleError("syntax", found.group())
        return _SIMPLE.get(simple, simple) if simple else chr(int(byte or code, 16))

    return _ESCAPE.sub(one, token[1:-1])


def _tokens(rule: str) -> Iterator[tuple[str, str]]:
    at, ended = 0, False
    while at < len(rule):
        found = _TOKEN.match(rule, at)
        if found is None:
            raise RuleError("syntax", rule[at : at + 40])
        at = found.end()
        kind, text = str(found.lastgroup), found.group()
        if kind == "space":
            continue
        if kind == "newline":
            if ended:
                yield "semicolon", "\n"
                ended = False
            continue
        ended = kind in ("raw", "text", "name") or text == ")"
        yield kind, text
    yield "end", ""


class _Parser:
    def __init__(self, rule: str, syntax: Syntax, protocol: Protocol) -> None:
        self.matchers = _MATCHERS[protocol, syntax]
        self.names = _names(self.matchers)
        self.tokens = list(_tokens(rule))
        self.at = 0
        self.depth = 0

    def next(self) -> tuple[str, str]:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def accept(self, text: str) -> bool:
        if self.tokens[self.at] != ("op", text):
            return False
        self.at += 1
        return True

    def fail(self, problem: Problem = "syntax") -> NoReturn:
        raise RuleError(problem, self.tokens[max(self.at - 1, 0)][1] or END)

    def rule(self) -> Node:
        node = self.either()
        while self.tokens[self.at][0] == "semicolon":  # the line break at the end of a block
            self.at += 1
        kind, text = self.tokens[self.at]
        if kind != "end":
            raise RuleError("syntax", text)
        return node

    def either(self) -> Node:
        nodes = [self.both()]
        while self.accept("||"):
            nodes.append(self.both())
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def both(self) -> Node:
        nodes = [self.unary()]
        while self.accept("&&"):
            nodes.append(self.unary())
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def unary(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise RuleError("too_large", "nested too deeply")
        try:
            if self.accept("!"):
                return Not(self.unary())
            if self.accept("("):
                node = self.either()
                if not self.accept(")"):
                    self.next()
                    self.fail()
                return node
            return self.call()
        finally:
            self.depth -= 1

    def call(self) -> Match:
        kind, text = self.next()
        if kind != "name":
            self.fail()
        if not self.accept("("):
            self.fail("unknown_matcher" if text not in self.names else "syntax")
        args = self.arguments()
        if text not in self.names:
            raise RuleError("unknown_matcher", text)
        name = self.names[text]
        shown = f"{text}({', '.join(args)})"
        if not args or not all(args):
            raise RuleError("parameters", shown)
        allowed = self.matchers[name]
        if allowed is not None and len(args) not in allowed:
            raise RuleError("parameters", shown)
        return Match(name, tuple(args))

    def arguments(self) -> list[str]:
        args: list[str] = []
        while not self.accept(")"):
            if args and not self.accept(","):
                self.next()
                self.fail()
            if args and self.accept(")"):  # Go allows a comma at the end
                break
            kind, text = self.next()
            if kind == "raw":
                args.append(text[1:-1].replace("\r", ""))
            elif kind == "text":
                args.append(_unquote(text))
            else:
                self.fail()
        return args


def parse_tree(rule: str, syntax: Syntax, protocol: Protocol) -> Node:
    """The tree of `rule`; raises RuleError. Values of matchers are not looked at here."""
    if len(rule) > _MAX_LENGTH:
        raise RuleError("too_large", f"{len(rule)} characters")
    if not rule.strip():
        raise RuleError("empty", rule)
    return _Parser(rule, syntax, protocol).rule()


def walk(node: Node) -> Iterator[tuple[Match, bool]]:
    """Each matcher of the tree, and whether it is negated."""
    todo: list[tuple[Node, bool]] = [(node, False)]
    while todo:
        each, negated = todo.pop(0)
        match each:
            case Match():
                yield each, negated
            case Not(inner):
                todo.insert(0, (inner, not negated))
            case And(nodes) | Or(nodes):
                todo[0:0] = [(node, negated) for node in nodes]
