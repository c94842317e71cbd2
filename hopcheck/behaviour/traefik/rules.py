"""What Traefik's rules match: evaluation in three values, priority, and the hosts they name.

Source: pkg/muxer/http (matcher.go, matcher_v2.go) and pkg/muxer/tcp of github.com/traefik/traefik,
v2.11 to v3.7; v2's templates: github.com/containous/mux, regexp.go.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import parse_qs, unquote

from msgspec import Struct

from hopcheck.behaviour.traefik.regexp import Regexp, RegexpError, UnsupportedError, quote_meta
from hopcheck.behaviour.traefik.rule_syntax import (
    And,
    Match,
    Node,
    Not,
    Or,
    Protocol,
    RuleError,
    parse_tree,
    walk,
)
from hopcheck.behaviour.traefik.version import (
    Syntax,
    Version,
    cleans_path,
    decodes_routing_path,
    rule_syntax,
    wildcard_in_host,
)
from hopcheck.model.redact import REDACTED

Answer = bool | None

_RESERVED = ":/?#[]@!$&'()*+,;=%"
_HOST_OR_IP = re.compile(r"^(\*\.)?[\w.\-:]+$", re.ASCII)
_TEMPLATE = re.compile(r"\{[A-Za-z_]\w*(?::[^`]*)?\}")


class _Subject(Struct, frozen=True):
    """A request as far as it is known; None in a field: it is left open.

    `host` is the Host header without port (for TCP the SNI); `path` holds the query string.
    `version` and `syntax` are those of the Traefik that it meets; `headers` those that are known,
    by their names in lower case.
    """

    host: str | None
    path: str | None
    method: str | None
    version: Version | None
    syntax: Syntax
    headers: Mapping[str, str]


def priority(rule: str) -> int:
    """The priority of a rule that sets none: its length in bytes (GetRulePriority)."""
    return len(rule.encode())


@lru_cache(maxsize=4096)
def parse(rule: str, syntax: Syntax = "v3", protocol: Protocol = "http") -> Node:
    """The rule's tree. Raises RuleError where Traefik would disable the router."""
    node = parse_tree(rule, syntax, protocol)
    for match, _ in walk(node):
        _check(match, syntax, protocol)
    return node


def _check(match: Match, syntax: Syntax, protocol: Protocol) -> None:
    """Refuse values that Traefik refuses when it builds the matcher."""
    name, args = match.name, match.args
    shown = f"{name}({', '.join(args)})"
    if name in ("Host", "HostHeader", "HostRegexp", "HostSNIRegexp") and not all(
        arg.isascii() for arg in args
    ):
        raise RuleError("value", shown)
    if name == "HostSNI" and not all(arg == "*" or _HOST_OR_IP.match(arg) for arg in args):
        raise RuleError("value", shown)
    if name in ("Path", "PathPrefix") and not all(arg.startswith("/") for arg in args):
        raise RuleError("value", shown)
    if name == "Query" and syntax == "v2" and len(_pairs(args)) % 2:
        raise RuleError("parameters", shown)
    try:
        for pattern in _patterns(match, syntax, protocol):
            _compiled(pattern)
    except RegexpError as error:
        raise RuleError("value", f"{shown}: {error}") from error
    except UnsupportedError:
        return  # Traefik may well accept it; matching it then tells nothing


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Regexp:
    return Regexp(pattern)


def _pairs(args: tuple[str, ...]) -> list[str]:
    return [part for arg in args for part in arg.split("=", 1)]


def _patterns(match: Match, syntax: Syntax, protocol: Protocol) -> list[str]:
    """The Go patterns that a matcher compiles."""
    name, args = match.name, match.args
    if syntax == "v3":
        if not name.endswith("Regexp") or (name == "QueryRegexp" and len(args) == 1):
            return []
        return [args[-1]]
    if protocol == "tcp":
        return [_template(arg, "[^.]+", "(?i)", "$") for arg in args if name == "HostSNIRegexp"]
    if name == "HostRegexp":
        return [_template(arg, "[^.]+", "(?i)", "$") for arg in args]
    if name in ("Path", "PathPrefix"):
        return [_template(arg, "[^/]+", "", "$" if name == "Path" else "") for arg in args]
    return []


def _template(template: str, default: str, before: str, after: str) -> str:
    """v2's ``{name:pattern}`` template as a pattern (newRouteRegexp). Raises RuleError."""
    pattern, level, start, raw = before + "^", 0, 0, 0
    for at, char in enumerate(template):
        if char == "{":
            level += 1
            if level == 1:
                start = at
        elif char == "}":
            level -= 1
            if level < 0:
                break
            if level == 0:
                name, colon, inner = template[start + 1 : at].partition(":")
                if not name or (colon and not inner):
                    raise RuleError("value", template)
                pattern += quote_meta(template[raw:start]) + f"({inner or default})"
                raw = at + 1
    if level != 0:
        raise RuleError("value", template)
    return pattern + quote_meta(template[raw:]) + after


def unquoted(rule: str) -> str:
    """A rule for comparison: versions differ in whether parameters stand in `` or in ""."""
    return rule.replace("`", '"')


def routing_path(path: str, version: Version | None = None) -> str:
    """The path that matchers see: without query, cleaned and decoded as that version does."""
    raw = path.split("?", 1)[0].split("#", 1)[0] or "/"
    clean = _clean if cleans_path(version) else str
    if not decodes_routing_path(version):
        return clean(unquote(raw))
    decoded = re.sub(
        r"(?:%[0-9A-Fa-f]{2})+",
        lambda run: "".join(
            part if part.startswith("%") and unquote(part) in _RESERVED else unquote(part)
            for part in _split_reserved(run.group())
        ),
        raw,
    )
    return clean(decoded)


def _split_reserved(run: str) -> list[str]:
    """``%41%2F%42`` as runs without a reserved character, and reserved ones alone."""
    out: list[str] = []
    for at in range(0, len(run), 3):
        code = run[at : at + 3]
        alone = unquote(code) in _RESERVED
        if alone or not out or unquote(out[-1][-3:]) in _RESERVED:
            out.append(code)
        else:
            out[-1] += code
    return out


def _clean(path: str) -> str:
    """The path without ``//``, ``/./`` and ``/../`` (entryPoint option sanitizePath, on)."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith(("/", "/.", "/..")) and cleaned != "/" else cleaned


def matches(
    rule: str,
    host: str | None,
    path: str | None,
    method: str | None = "GET",
    version: Version | None = None,
    *,
    syntax: Syntax | None = None,
    protocol: Protocol = "http",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Whether the rule matches; None: it cannot be told (ClientIP, headers, an unreadable rule).

    With `host` or `path` None that part is left open: False then means that no request with the
    other part can match.
    """
    spoken = syntax or rule_syntax(version)
    try:
        node = parse(rule, spoken, protocol)
    except RuleError:
        return None
    return _evaluate(node, _Subject(host, path, method, version, spoken, headers or {}))


def _evaluate(node: Node, subject: _Subject) -> Answer:
    """The tree's answer for `subject`, in three values (False && unknown is False)."""
    match node:
        case Not(inner):
            answer = _evaluate(inner, subject)
            return None if answer is None else not answer
        case And(nodes):
            return _all([_evaluate(each, subject) for each in nodes])
        case Or(nodes):
            answers = [_evaluate(each, subject) for each in nodes]
            opposite = _all([None if each is None else not each for each in answers])
            return None if opposite is None else not opposite
        case Match():
            try:
                return _MATCH.get(node.name, _unknown)(node, subject)
            except (UnsupportedError, RegexpError, RuleError):
                return None


def _all(answers: list[Answer]) -> Answer:
    if False in answers:
        return False
    return None if None in answers else True


_Matcher = Callable[[Match, _Subject], Answer]


def _unknown(match: Match, subject: _Subject) -> Answer:  # noqa: ARG001
    return None


def same_host(expression: str, host: str, *, wildcard: bool) -> bool:
    """Whether a Host() expression means `host`; ``*.x`` stands for one label.

    DomainMatchHostExpression in pkg/muxer/muxer.go.
    """
    given, wanted = host.lower().rstrip("."), expression.lower().rstrip(".")
    if wildcard and wanted.startswith("*"):
        given = ".".join(["*", *given.split(".")[1:]])
    return given == wanted


def _host(match: Match, subject: _Subject) -> Answer:
    wildcard = subject.syntax == "v3" and wildcard_in_host(subject.version)
    if "*" in match.args and match.name == "HostSNI":
        return True
    if subject.host is None:
        return None
    if match.args == ("*",) and wildcard:
        return True
    return any(same_host(arg, subject.host, wildcard=wildcard) for arg in match.args)


def _host_regexp(match: Match, subject: _Subject) -> Answer:
    if subject.host is None:
        return None
    protocol: Protocol = "tcp" if match.name == "HostSNIRegexp" else "http"
    host = subject.host.lower()
    return any(_compiled(each).search(host) for each in _patterns(match, subject.syntax, protocol))


def _path(match: Match, subject: _Subject) -> Answer:
    if subject.path is None:
        return None
    path = routing_path(subject.path, subject.version)
    if match.name == "PathRegexp" or subject.syntax == "v2":
        patterns = _patterns(match, subject.syntax, "http")
        return any(_compiled(each).search(path) for each in patterns)
    return path == match.args[0] if match.name == "Path" else path.startswith(match.args[0])


def _method(match: Match, subject: _Subject) -> Answer:
    if subject.method is None:
        return None
    return subject.method.upper() in (arg.upper() for arg in match.args)


def _header(match: Match, subject: _Subject) -> Answer:
    given = subject.headers.get(match.args[0].lower())
    if given is None or given == REDACTED or len(match.args) != 2:
        return None
    pattern = match.name.endswith("Regexp")
    return _compiled(match.args[1]).search(given) if pattern else given == match.args[1]


def _query(match: Match, subject: _Subject) -> Answer:
    """By the query's values, as far as they are known: in evidence they are redacted."""
    if subject.path is None:
        return None
    given = parse_qs(subject.path.partition("?")[2], keep_blank_values=True)
    if subject.syntax == "v2":
        return _query_v2(match, given)
    key, value = match.args[0], match.args[1] if len(match.args) > 1 else ""
    values = given.get(key, [])
    if value and REDACTED in values:
        return None
    if match.name == "QueryRegexp" and len(match.args) > 1:
        return any(_compiled(value).search(each) for each in values)
    return value in values or (not value and REDACTED in values)


def _query_v2(match: Match, given: dict[str, list[str]]) -> Answer:
    pairs = _pairs(match.args)
    wanted = list(zip(pairs[::2], pairs[1::2], strict=True))
    if any("{" in value for _, value in wanted):
        return None
    if any(key not in given for key, _ in wanted):
        return False
    if any(value and given[key][0] == REDACTED for key, value in wanted):
        return None
    return all(not value or given[key][0] == value for key, value in wanted)


_MATCH: dict[str, _Matcher] = {
    "Host": _host,
    "HostHeader": _host,
    "HostRegexp": _host_regexp,
    "HostSNI": _host,
    "HostSNIRegexp": _host_regexp,
    "Path": _path,
    "PathPrefix": _path,
    "PathRegexp": _path,
    "Method": _method,
    **dict.fromkeys(("Header", "HeaderRegexp", "Headers", "HeadersRegexp"), _header),
    "Query": _query,
    "QueryRegexp": _query,
}


def hosts_in(rule: str, syntax: Syntax = "v3", protocol: Protocol = "http") -> tuple[str, ...]:
    """The hosts that the rule names (Host, HostHeader, HostSNI), lower case, negated ones left out.

    Wildcards stay as written; an unreadable rule names none.
    """
    named = arguments(rule, syntax, protocol, "Host", "HostHeader", "HostSNI")
    return tuple(dict.fromkeys(name.lower().rstrip(".") for name in named))


def arguments(rule: str, syntax: Syntax, protocol: Protocol, *matchers: str) -> list[str]:
    """What stands in these matchers, negated ones left out; nothing in an unreadable rule."""
    try:
        found = walk(parse(rule, syntax, protocol))
    except RuleError:
        return []
    return [
        arg for one, negated in found if one.name in matchers and not negated for arg in one.args
    ]


def looks_v2(rule: str, protocol: Protocol = "http") -> bool:
    """Whether the rule is written in v2's syntax and means something else, or nothing, in v3."""
    try:
        node = parse(rule, "v2", protocol)
    except RuleError:
        return False
    for match, _ in walk(node):
        templated = match.name.endswith("Regexp") or match.name in ("Path", "PathPrefix")
        if templated and any(_TEMPLATE.search(arg) for arg in match.args):
            return True
        if match.name in ("HostHeader", "Headers", "HeadersRegexp"):
            return True
        if match.name == "Query" and any("=" in arg for arg in match.args):
            return True
        if len(match.args) > 1 and match.name != "Query":
            return True
    return False


_SPELT_V3 = {"HostHeader": "Host", "Headers": "Header", "HeadersRegexp": "HeaderRegexp"}


def in_v3(rule: str, protocol: Protocol = "http") -> str:
    """A rule of v2's syntax as v3 spells it; "" where it is none, or cannot be written so."""
    try:
        spelt = _spelt(parse(rule, "v2", protocol), protocol)
        parse(spelt, "v3", protocol)
    except RuleError:
        return ""
    return spelt


def _spelt(node: Node, protocol: Protocol) -> str:
    match node:
        case Not(inner):
            own = _spelt(inner, protocol)
            return f"!{own}" if isinstance(inner, Match) and own.endswith("`)") else f"!({own})"
        case And(nodes):
            parts = [(each, _spelt(each, protocol)) for each in nodes]
            return " && ".join(f"({own})" if isinstance(one, Or) else own for one, own in parts)
        case Or(nodes):
            return " || ".join(_spelt(each, protocol) for each in nodes)
        case Match(name, args):
            new = _SPELT_V3.get(name, name)
            if name in ("Headers", "HeadersRegexp", "Query"):  # a name and its value
                own = "`, `".join(_pairs(args) if name == "Query" else args)
                return f"{new}(`{own}`)"
            by_pattern = f"{new.removesuffix('Regexp').removesuffix('Prefix')}Regexp"
            patterns = zip(args, _patterns(node, "v2", protocol) or args, strict=True)
            one = [
                f"{by_pattern}(`{pattern}`)"
                if _TEMPLATE.search(arg) or name.endswith("Regexp")
                else f"{new}(`{arg}`)"
                for arg, pattern in patterns
            ]
            return one[0] if len(one) == 1 else f"({' || '.join(one)})"
