"""Which routes of a cluster may serve a host (pure).

Generous on purpose: what is left out here can be judged by nobody. Rules are not evaluated, hosts
are only looked for in them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from hopcheck.model.kubernetes import (
    HTTPRoute,
    Ingress,
    IngressRoute,
    IngressRouteTCP,
    Object,
)

# What serves hosts, in the order in which their backends are followed.
ROUTES = ("ingresses", "ingressroutes", "ingressroutetcps", "httproutes")
# The lists by which hosts are discovered, in this order.
NAMING = ("ingresses", "ingressroutes", "ingressroutetcps")
# In a cluster with no more routes than this of one kind, all are kept whole.
KEEP_ALL = 100
_NEIGHBOURS = 50
_NEAR = 10
_COMPARED = 3_000

_HOST_CALL = re.compile(r"\b(?:Host|HostHeader|HostSNI)\(([^()]*)\)")
_HOST_WORD = re.compile(r"\bHost(?:Header|SNI)?(?:Regexp)?\(")
_QUOTED = re.compile(r"[`\"']([^`\"']*)[`\"']")

R = TypeVar("R", bound=Object)


class Relevant(Struct, frozen=True):
    """Indices into the routes given: `matched` may serve the host, `near` are kept with them."""

    matched: tuple[int, ...]
    near: tuple[int, ...]


def hosts_of(route: Object) -> list[str]:
    """Hosts that a route names, in lower case; "" stands for any host.

    Of an Ingress its rules' hosts ("" for a rule without one and for a default backend); of an
    IngressRoute those in Host, HostHeader and HostSNI; HTTPRoutes' hostnames. A regular
    expression counts as any host. Of a route that is kept in part, those that were noted.
    """
    match route:
        case Ingress(spec=spec):
            hosts = [rule.host.lower() for rule in spec.rules]
            if spec.default_backend is not None:
                hosts.append("")
        case IngressRoute(spec=spec) | IngressRouteTCP(spec=spec):
            hosts = _hosts_in_rules([rule.match for rule in spec.routes])
        case HTTPRoute(spec=spec):
            hosts = [host.lower() for host in spec.hostnames]
            if not hosts and not route.slim:
                hosts.append("")
        case _:
            return []
    return list(dict.fromkeys((*hosts, *(spec.hosts if route.slim else ()))))


def _hosts_in_rules(rules: Sequence[str]) -> list[str]:
    hosts: dict[str, None] = {}
    for rule in rules:
        if not _HOST_WORD.search(rule) or "Regexp(" in rule or "{" in rule:
            hosts[""] = None
        for call in _HOST_CALL.finditer(rule):
            for host in _QUOTED.findall(call.group(1)):
                hosts["" if host == "*" else host.lower()] = None
    return list(hosts)


def names_host(pattern: str, host: str, *, labels: int | None = 1) -> bool:
    """Whether a route's host is `host`: equal, or a wildcard.

    A wildcard stands for `labels` labels: one in Kubernetes' Ingresses and in Traefik's rules, any
    number (None) in the Gateway API.
    """
    if not pattern.startswith("*."):
        return pattern == host
    rest = host.removesuffix(pattern[1:])
    return rest not in ("", host) and (labels is None or rest.count(".") < labels)


class RouteIndex(Generic[R]):
    """Routes of one kind by the hosts that they name: found without looking at each."""

    def __init__(self, routes: Iterable[R]) -> None:
        self.routes = tuple(routes)
        self.hosts = [hosts_of(route) for route in self.routes]
        self._by_host: dict[str, list[int]] = {}
        for place, named in enumerate(self.hosts):
            for host in named:
                self._by_host.setdefault(host, []).append(place)

    def naming(self, host: str) -> list[int]:
        """The places of routes that name `host`, in the order listed."""
        places = {*self._by_host.get(host, ())} if host else set()
        parent = host.partition(".")[2]
        while parent:
            for place in self._by_host.get(f"*.{parent}", ()):
                labels = None if isinstance(self.routes[place], HTTPRoute) else 1
                if names_host(f"*.{parent}", host, labels=labels):
                    places.add(place)
            parent = parent.partition(".")[2]
        return sorted(places)

    def of(self, host: str) -> list[R]:
        """Routes that may serve `host`, those for any host too, in the order listed."""
        places = {*self.naming(host), *self._by_host.get("", ())}
        return [self.routes[place] for place in sorted(places)]

    def relevant(self, host: str) -> Relevant:
        """Which of many routes to keep whole for `host`.

        Matched: those that name the host or any host, those that name it first. Near: those in the
        same namespaces, hosts spelled alike, hosts under the same parent domain.
        """
        exact = self.naming(host)
        matched = tuple(dict.fromkeys((*exact, *self._by_host.get("", ()))))
        others = [i for i in range(len(self.routes)) if i not in {*matched}]
        if len(self.routes) <= KEEP_ALL:
            return Relevant(matched, tuple(others))
        parent = host.partition(".")[2]
        spaces = {self.routes[i].namespace for i in exact}
        near: dict[int, None] = dict.fromkeys([] if exact else self._alike(host))
        neighbours = [
            i
            for i in others
            if self.routes[i].namespace in spaces
            or (
                parent
                and any(name.endswith(f".{parent}") or name == parent for name in self.hosts[i])
            )
        ]
        near.update(dict.fromkeys(neighbours[:_NEIGHBOURS]))
        return Relevant(matched, tuple(i for i in near if i not in {*matched}))

    def _alike(self, host: str) -> list[int]:
        """Routes whose hosts are spelled much like `host`, the likest first."""
        names = {name for named in self.hosts[:_COMPARED] for name in named if name}
        close = difflib.get_close_matches(host, sorted(names), n=_NEAR, cutoff=0.75)
        return [place for name in close for place in self._by_host[name][:_NEAR]]
