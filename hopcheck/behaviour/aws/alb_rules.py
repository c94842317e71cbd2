"""Which rule of an Application Load Balancer's listener takes a request."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hopcheck.model.aws import ListenerRule, RuleCondition, Values


def _pattern(text: str) -> re.Pattern[str]:
    # ALB wildcards: * is any run of characters, ? is exactly one.
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in text), re.DOTALL)


def _holds(condition: RuleCondition, host: str, path: str) -> bool:
    field = condition.field
    if field == "host-header":
        values = _values(condition, condition.host_header_config)
        return any(_pattern(value.lower()).fullmatch(host.lower()) for value in values)
    if field == "path-pattern":
        values = _values(condition, condition.path_pattern_config)
        return any(_pattern(value).fullmatch(path.partition("?")[0]) for value in values)
    if field == "http-request-method":
        methods = condition.http_request_method_config
        return methods is not None and "GET" in methods.values
    # Headers, query strings and source addresses: a plain request is taken not to match.
    return False


def _values(condition: RuleCondition, config: Values | None) -> tuple[str, ...]:
    return (config.values if config is not None else ()) or condition.values


def priority(rule: ListenerRule) -> int:
    """The place of a rule in the order of evaluation; the default rule is the last."""
    return int(rule.priority) if rule.priority.isdecimal() else 2**31


def chosen_rule(rules: Iterable[ListenerRule], host: str, path: str) -> ListenerRule | None:
    """The first rule, by priority, whose conditions all hold; the default rule matches all."""
    for rule in sorted(rules, key=priority):
        if rule.is_default or all(_holds(condition, host, path) for condition in rule.conditions):
            return rule
    return None
