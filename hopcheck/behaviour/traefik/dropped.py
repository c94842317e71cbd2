"""Routes that match and that Traefik drops, because what they name leads nowhere.

Both providers make no router where a Service or its port is missing (loadConfigurationFromIngresses
in pkg/provider/kubernetes/ingress, loadIngressRouteConfiguration in pkg/provider/kubernetes/crd):
what matches next serves the request.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from hopcheck.behaviour.traefik.route import Route, View
from hopcheck.behaviour.traefik.routes import Selection, destination, rank
from hopcheck.behaviour.traefik.rule_syntax import walk
from hopcheck.behaviour.traefik.rules import RuleError, hosts_in, parse


def passing_over(found: Selection, dropped: Callable[[Route], bool], view: View) -> Selection:
    """The choice without routes that are dropped, where another means the request as precisely.

    A wildcard or a shorter path that serves instead is no replacement: then the route that was
    meant stays the winner, and what it lacks is the fault.
    """
    winner = found.winner
    if winner is None or len(found.order) == 1:
        return found
    first = winner
    if dropped(winner):
        meant = _precision(winner, found.host)
        others = (r for r in found.order[1:] if not dropped(r))
        first = next((r for r in others if _covers(_precision(r, found.host), meant)), winner)
    best = rank(first, view)
    rest = found.order[found.order.index(first) + 1 :]
    ties = tuple(
        route
        for route in rest
        if rank(route, view) == best
        and destination(route) != destination(first)
        and not dropped(route)
    )
    return replace(
        found,
        winner=first,
        ties=ties,
        shadowed=tuple(route for route in rest if route not in ties),
        passed_over=tuple(route for route in found.order if route is not first and dropped(route)),
    )


def _precision(route: Route, host: str) -> tuple[bool, int]:
    """Whether the rule names the host itself, and the length of its longest path."""
    try:
        node = parse(route.rule, route.syntax, route.protocol)
    except RuleError:
        return False, 0
    paths = [
        argument.rstrip("/")
        for match, negated in walk(node)
        if match.name in ("Path", "PathPrefix", "PathRegexp") and not negated
        for argument in match.args
    ]
    named = host.lower().rstrip(".") in hosts_in(route.rule, route.syntax, route.protocol)
    return named, max(map(len, paths), default=0)


def _covers(one: tuple[bool, int], other: tuple[bool, int]) -> bool:
    return one[0] >= other[0] and one[1] >= other[1]
