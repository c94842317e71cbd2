"""Which rule of an Application Load Balancer's listener takes a request."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hopcheck.model import Obj


def _pattern(text: str) -> re.Pattern[str]:
    # ALB wildcards: * is any run of characters, ? is exactly one.
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in text), re.DOTALL)


def _holds(condition: Obj, host: str, path: str) -> bool:
    field = condition.get("Field")
    config = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}.get(
        str(field), ""
    )
    values = (condition.get(config) or {}).get("Values") or condition.get("Values") or []
    if field == "host-header":
        return any(_pattern(str(v).lower()).fullmatch(host.lower()) for v in values)
    if field == "path-pattern":
        return any(_pattern(str(v)).fullmatch(path.partition("?")[0]) for v in values)
    if field == "http-request-method":
        wanted = (condition.get("HttpRequestMethodConfig") or {}).get("Values") or []
        return "GET" in wanted
    # Headers, query strings and source addresses: a plain request is taken not to match.
    return False


def _priority(rule: Obj) -> int:
    text = str(rule.get("Priority", ""))
    return int(text) if text.isdecimal() else 2**31


def chosen_rule(rules: Iterable[Obj], host: str, path: str) -> Obj | None:
    """The first rule, by priority, whose conditions all hold; the default rule matches all."""
    for rule in sorted(rules, key=_priority):
        if rule.get("IsDefault") or all(
            _holds(condition, host, path) for condition in rule.get("Conditions") or ()
        ):
            return rule
    return None
