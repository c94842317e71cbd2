"""Go's regular expressions: the language, what Go refuses, and linear time."""

import itertools
import re
import sys
import time

import pytest

from hopcheck.behaviour.traefik.regexp import Regexp, RegexpError, UnsupportedError, quote_meta

# Patterns that mean the same to Python's re: it is the oracle.
SHARED = [
    r"^[a-zA-Z0-9-]+\.example\.com$",
    r"^(www|api)\.a$",
    r"^([a-z]+\.)+b$",
    r"a*b?c+",
    r"^(?:ab|a)(?:bc|c)?$",
    r"^.{2,3}$",
    r"^a{2}b{1,}$",
    r"[^abc]",
    r"\bab\b",
    r"^\w\d\s?\D$",
    r"^(?i:AB)c$",
    r"(?i)^A[b-c]$",
    r"^$",
    r"a|",
    r"^[]a]+$",
    r"^[a\-.]+$",
    r"x{,2}y",
    r"^(a|ab)(c|bcd)$",
    r"^(a*)*b$",
    r"^a.c$",
    r"^\.\*\$$",
]


@pytest.mark.parametrize("pattern", SHARED)
def test_same_as_the_oracle(pattern: str) -> None:
    # Python 3.11 reads {,2} as a repetition, Go as a literal.
    oracle = re.compile(pattern.replace("{,2}", r"\{,2\}"), re.ASCII)
    texts = [
        "".join(chars) for size in range(4) for chars in itertools.product("abc.1", repeat=size)
    ]
    texts += ["www.a", "x.example.com", "x.y.example.com", "a.b.b", "aabb", "ABc", "aab", "x{,2}y",
              "a1 .", "-a.", "]a", "abcd", ".*$", "ab c", "aaab"]  # fmt: skip
    compiled = Regexp(pattern)
    for text in texts:
        assert compiled.search(text) == bool(oracle.search(text)), text


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"^[[:alpha:]]+\z", "abc", True),
        (r"^[[:alpha:]]+\z", "ab1", False),
        (r"^\Qa.b\E$", "a.b", True),
        (r"^\Qa.b\E$", "axb", False),
        (r"(?P<sub>[a-z]+)", "x", True),
        (r"^(?<sub>[a-z]+)$", "X", False),
        (r"^\x41\x{42}\103$", "ABC", True),
        (r"{sub:[a-z]+}.example.com", "www.example.com", False),
        (r"^(?s).$", "\n", True),
        (r"^.$", "\n", False),
        (r"(?m)^b$", "a\nb", True),
        (r"^(?:(?i)a)b$", "AB", False),
        (r"^\pL+$", "aé", True),
        (r"^[^\p{Greek}]$", "\u03b1", False),
        (r"(?i)^k$", "\u212a", True),
        (r"^\Q\C\E$", r"\C", True),
        ("a$", "a\n", False),
    ],
)
def test_go_only(pattern: str, text: str, expected: bool) -> None:
    assert Regexp(pattern).search(text) is expected


@pytest.mark.parametrize(
    "pattern",
    ["(?!x)a", "(?=x)", "(?<=a)b", "(?<!a)b", r"(a)\1", "a**", "a{2}{3}", "*a", "(a", "a)", "[a",
     "[b-a]", r"\y", "a{1001}", "a{3,2}", "(?>a)", "(?P<n", "[[:nope:]]", "a\\", r"\x4",
     r"a\C", "(?P<é>a)", r"a\Z", "((a{100}){100}){100}", "(" * 300],
)  # fmt: skip
def test_go_refuses(pattern: str) -> None:
    with pytest.raises(RegexpError):
        Regexp(pattern)


@pytest.mark.parametrize("pattern", [r"\p{Letter}", r"[\P{Nope}]", r"(\pL{1,60}){1,10}", "\ud800"])
def test_not_told(pattern: str) -> None:
    with pytest.raises(UnsupportedError):
        Regexp(pattern)


def test_without_the_package_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    for pattern in ("a", "("):
        with pytest.raises(UnsupportedError):
            Regexp(pattern)


def test_hostile_pattern_is_quick() -> None:
    began = time.monotonic()
    assert not Regexp("^(a+)+$").search("a" * 2000 + "!")
    assert not Regexp("^(a|a)*$").search("a" * 2000 + "!")
    assert time.monotonic() - began < 2


def test_too_much_work_is_not_told() -> None:
    for text in ("a" * 100_000, "\ud800"):
        with pytest.raises(UnsupportedError):
            Regexp("(a?){500}").search(text)


def test_quote_meta() -> None:
    assert quote_meta("*.a-b.com") == r"\*\.a-b\.com"
