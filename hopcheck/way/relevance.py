"""Which routes of a large cluster matter for one host (pure).

Generous on purpose: what is left out here can be judged by nobody. Rules are not evaluated, hosts
are only looked for in them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from msgspec import Struct

from hopcheck.model import Obj

# In a cluster with no more routes than this of one kind, all are kept whole.
KEEP_ALL = 100
_NEIGHBOURS = 50
_NEAR = 10
_COMPARED = 3_000

_HOST_CALL = re.compile(r"\b(?:Host|HostHeader|HostSNI)\(([^()]*)\)")
_HOST_WORD = re.compile(r"\bHost(?:Header|SNI)?(?:Regexp)?\(")
_QUOTED = re.compile(r"[`\"']([^`\"']*)[`\"']")


class Relevant(Struct, frozen=True):
    """Indices into the routes given: `matched` may serve the host, `near` are kept with them."""

    matched: tuple[int, ...]
    near: tuple[int, ...]


def hosts_of(route: Obj) -> list[str]:
    """Hosts that a route names, in lower case; "" stands for any host.

    Of an Ingress its rules' hosts ("" for a rule without one and for a default backend); of an
    IngressRoute those in Host, HostHeader and HostSNI; HTTPRoutes' hostnames. A regular
    expression counts as any host.
    """
    spec = route.get("spec") or {}
    if "routes" in spec:
        return _hosts_in_rules([str(item.get("match") or "") for item in spec["routes"] or ()])
    if "hostnames" in spec or route.get("kind") == "HTTPRoute":
        return [str(host).lower() for host in spec.get("hostnames") or ()] or [""]
    hosts = [str(rule.get("host") or "").lower() for rule in spec.get("rules") or ()]
    if spec.get("defaultBackend"):
        hosts.append("")
    return list(dict.fromkeys(hosts))


def _hosts_in_rules(rules: Sequence[str]) -> list[str]:
    hosts: dict[str, None] = {}
    for rule in rules:
        if not _HOST_WORD.search(rule) or "Regexp(" in rule or "{" in rule:
            hosts[""] = None
        for call in _HOST_CALL.finditer(rule):
            for host in _QUOTED.findall(call.group(1)):
                hosts["" if host == "*" else host.lower()] = None
    return list(hosts)


def names_host(pattern: str, host: str) -> bool:
    """Whether a route's host is `host`: equal, or a wildcard for exactly one label."""
    if pattern.startswith("*."):
        first, dot, rest = host.partition(".")
        return bool(first and dot) and rest == pattern[2:]
    return pattern == host


def relevant(routes: Sequence[Obj], host: str) -> Relevant:
    """Which of `routes` to keep whole for `host`.

    Matched: those that name the host or any host, those that name it first. Near: those in the
    same namespaces, hosts spelled alike, hosts under the same parent domain.
    """
    hosts = [hosts_of(route) for route in routes]
    exact = [i for i, named in enumerate(hosts) if any(names_host(name, host) for name in named)]
    known = set(exact)
    anyhost = [i for i, named in enumerate(hosts) if "" in named and i not in known]
    matched = (*exact, *anyhost)
    if len(routes) <= KEEP_ALL:
        return Relevant(matched, tuple(i for i in range(len(routes)) if i not in {*matched}))
    parent = host.partition(".")[2]
    spaces = {(routes[i].get("metadata") or {}).get("namespace") for i in exact}
    near: dict[int, None] = dict.fromkeys([] if exact else _alike(hosts, host))
    neighbours = [
        i
        for i, route in enumerate(routes)
        if (route.get("metadata") or {}).get("namespace") in spaces
        or (parent and any(name.endswith(f".{parent}") or name == parent for name in hosts[i]))
    ]
    near.update(dict.fromkeys(neighbours[:_NEIGHBOURS]))
    return Relevant(matched, tuple(i for i in near if i not in {*matched}))


def _alike(hosts: Sequence[Sequence[str]], host: str) -> list[int]:
    """Routes whose hosts are spelled much like `host`, the likest first."""
    places: dict[str, list[int]] = {}
    for index, named in enumerate(hosts[:_COMPARED]):
        for name in named:
            if name:
                places.setdefault(name, []).append(index)
    close = difflib.get_close_matches(host, places, n=_NEAR, cutoff=0.75)
    return [index for name in close for index in places[name][:_NEAR]]
