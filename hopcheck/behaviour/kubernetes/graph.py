"""Which routes of a large cluster matter for one host (pure).

Generous on purpose: what is left out here can be judged by nobody. Rules are not evaluated, hosts
are only looked for in them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from hopcheck.behaviour.kubernetes.objects import key_of, meta
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


Port = int | str | None


Backend = tuple[str, str, Port]  # namespace, Service, port by number or name (None: not given)


def selects(service: Obj, pod: Obj) -> bool:
    """Whether the Service's selector picks the pod (an empty selector picks none)."""
    selector = (service.get("spec") or {}).get("selector") or {}
    if not selector or key_of(service)[0] != key_of(pod)[0]:
        return False
    labels = meta(pod).get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def workload_of(pod: Obj) -> tuple[str, str]:
    """(kind, name) of what made the pod: a ReplicaSet's Deployment rather than the ReplicaSet.

    The Deployment's name is the ReplicaSet's without the pod-template-hash it ends with.
    """
    own = meta(pod)
    owners = own.get("ownerReferences") or ()
    owner = next((o for o in owners if o.get("controller")), None)
    if owner is None:
        return "Pod", own.get("name", "")
    kind, name = str(owner.get("kind", "")), str(owner.get("name", ""))
    suffix = (own.get("labels") or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and suffix and name.endswith(f"-{suffix}"):
        return "Deployment", name[: -len(suffix) - 1]
    return kind, name


def backends_of(
    route: Obj, traefik_services_by_name: Mapping[tuple[str, str], Obj] | None = None
) -> list[Backend]:
    """The Services a route leads to: (namespace, Service, port), in order, without repeats.

    `route` is an Ingress, IngressRoute, IngressRouteTCP or TraefikService. A reference to a
    TraefikService is followed where it is found in `traefik_services_by_name`.
    """
    namespace = key_of(route)[0]
    spec = route.get("spec") or {}
    if route.get("kind") == "Ingress" or "defaultBackend" in spec or "rules" in spec:
        found = _ingress_backends(spec, namespace)
    else:
        found = []
        _follow(_references(spec), namespace, traefik_services_by_name or {}, found, set())
    return list(dict.fromkeys(found))


def _ingress_backends(spec: Obj, namespace: str) -> list[Backend]:
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or ():
        paths = (rule.get("http") or {}).get("paths") or ()
        backends += [path.get("backend") or {} for path in paths]
    found: list[Backend] = []
    for backend in backends:
        service = backend.get("service") or {}
        if service.get("name"):
            port = service.get("port") or {}
            found.append((namespace, service["name"], port.get("number") or port.get("name")))
    return found


def _references(spec: Obj) -> list[Obj]:
    """Every Service reference of an IngressRoute's or a TraefikService's spec."""
    references: list[Obj] = []
    for route in spec.get("routes") or ():
        references += route.get("services") or ()
    references += (spec.get("weighted") or {}).get("services") or ()
    mirroring = spec.get("mirroring") or {}
    if mirroring.get("name"):
        references.append(mirroring)
    references += mirroring.get("mirrors") or ()
    return references


def _follow(
    references: Iterable[Obj],
    namespace: str,
    known: Mapping[tuple[str, str], Obj],
    found: list[Backend],
    seen: set[tuple[str, str]],
) -> None:
    for reference in references:
        key = (reference.get("namespace") or namespace, str(reference.get("name", "")))
        if reference.get("kind") != "TraefikService":
            found.append((*key, reference.get("port")))
        elif key in known and key not in seen:
            seen.add(key)
            _follow(_references(known[key].get("spec") or {}), key[0], known, found, seen)


# The lists that discovery reads, in this order.
RESOURCES = ("ingresses", "ingressroutes", "ingressroutetcps")
