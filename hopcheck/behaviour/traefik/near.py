"""Hosts and paths that nearly fit: what somebody may have meant."""

from __future__ import annotations

import re

from hopcheck.behaviour.traefik.regexp import Regexp, RegexpError, UnsupportedError
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.rules import arguments, hosts_in, looks_v2, matches, routing_path

# What may stand around a host and is no part of it.
_BESIDE = re.compile(r"^[a-z]+://|(?::\d+)?(?:/.*)?$")
# What a path hardly holds, and a regular expression does.
_PATTERN = re.compile(r"[*+()|\\^$\[\]{}]")


def near_host(route: Route, host: str) -> tuple[str, str] | None:
    """A hint and the route's host that nearly fits.

    "wildcard_apex", "wildcard_depth", "typo"; "beside": with a scheme, a port or a path it is none.

    "v2_syntax": the rule would match, were it read as Traefik v2 reads it; then the rule itself.
    """
    old = route.syntax == "v3" and looks_v2(route.rule)
    if old and matches(route.rule, host, None, syntax="v2") is not False:
        return "v2_syntax", route.rule
    named = [route.host] if route.host else list(hosts_in(route.rule, route.syntax))
    wanted = host.lower().rstrip(".")
    for each in named:
        name = each.lower().rstrip(".")
        if name.startswith("*."):
            if wanted == name[2:]:
                return "wildcard_apex", name
            if wanted.endswith(name[1:]) and wanted.count(".") > name.count("."):
                return "wildcard_depth", name
        if _BESIDE.sub("", name) == wanted != name:
            return "beside", name
        if within(name, wanted, 2) and min(len(name), len(wanted)) > 5:
            return "typo", name
    return None


def near_path(route: Route, path: str) -> str:
    """A hint: "exact" (a prefix would match), "trailing_slash", "case", or nothing.

    "v2_syntax": the rule would match, were it read as Traefik v2 reads it; "regex": its path
    would, were it read as a regular expression.
    """
    asked = routing_path(path)
    old = route.syntax == "v3" and looks_v2(route.rule)
    if old and matches(route.rule, None, asked, syntax="v2") is not False:
        return "v2_syntax"
    other = asked.removesuffix("/") if asked.endswith("/") else asked + "/"
    if other and matches(route.rule, None, other, syntax=route.syntax) is not False:
        return "trailing_slash"
    if route.path:
        if route.path_type == "Exact" and asked.startswith(route.path.removesuffix("/") + "/"):
            return "exact"
        if asked.lower().startswith(route.path.lower()):
            return "case"
    named = arguments(route.rule, route.syntax, route.protocol, "Path", "PathPrefix")
    return "regex" if any(_as_pattern(one, asked) for one in named) else ""


def _as_pattern(path: str, asked: str) -> bool:
    """Whether a path reads like a regular expression, and would match as one."""
    try:
        return bool(_PATTERN.search(path)) and Regexp(f"^(?:{path})").search(asked)
    except (RegexpError, UnsupportedError):
        return False


def within(one: str, other: str, limit: int) -> bool:
    """Whether at most `limit` characters were changed, added, left out or swapped (not zero)."""
    if one == other or abs(len(one) - len(other)) > limit:
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        following = [i]
        for j, right in enumerate(other, 1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (left != right))
            if before and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        if min(following) > limit:
            return False
        before, row = row, following
    return row[-1] <= limit
