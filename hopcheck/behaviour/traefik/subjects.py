"""Which object a line of Traefik's log, or an error of its API, is about (pure).

By general rules, for the wordings of v2.11 to v3.7 alike: the fields that a line carries, the few
texts that carry a name themselves, and the ids that the providers build of an object's name:

* ``namespace-name-host-path@kubernetes``, ``namespace-name-<hash>@kubernetescrd``, with safeNaming
  ``namespace_name_0@kubernetescrd``, ``namespace-name-rule-0-path-0@kubernetesingressnginx``,
  ``httproute-namespace-name-gw-…@kubernetesgateway``;
* before it ``entryPoint-`` where TLS is set on the entryPoint (aggregator.go, applyModel).

An id does not tell where the namespace ends: `owners` finds its object among those that there are.
The table tests/behaviour/traefik_lines.json has every line; each is held against its object.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from hopcheck.behaviour.kubernetes.references import joined_name
from hopcheck.behaviour.traefik.logs import (
    forbidden_resources,
    unauthenticated_kinds,
    unserved_kinds,
)
from hopcheck.model import LogLine, ObjectRef


class Subject(Struct, frozen=True):
    """What a line is about.

    `kind` is the object's where the line tells it, else one of Traefik's own words: Router,
    Service or Middleware (by an id), EntryPoint, Resolver, Provider, Plugin, Host, Certificate,
    File, Namespace, or Resource (its plural; where only its kind is told, that).
    """

    kind: str
    name: str
    namespace: str = ""
    provider: str = ""
    entry_point: str = ""


# The first field that a line has says what it is about; the others only where it happened.
_OBJECTS = (
    ("resolver", "Resolver"),
    ("http_route", "HTTPRoute"),
    ("grpc_route", "GRPCRoute"),
    ("tcp_route", "TCPRoute"),
    ("tls_route", "TLSRoute"),
    ("gateway", "Gateway"),
    ("gateway_class", "GatewayClass"),
    ("ingress", "Ingress"),
    ("middlewareName", "Middleware"),
    ("serversTransport", "ServersTransport"),
    ("tlsOption", "TLSOption"),
    ("TLSOption", "TLSOption"),
    ("optionsName", "TLSOption"),
    ("TLSStore", "TLSStore"),
)
_BUILT = (
    ("tlsStoreName", "TLSStore"),
    ("storeName", "TLSStore"),
    ("serviceName", "Service"),
    ("service", "Service"),
    ("routerName", "Router"),
    ("router", "Router"),
    ("plugins", "Plugin"),
    ("entryPointName", "EntryPoint"),
    ("name", "EntryPoint"),  # socket activation
    ("listenersName", "EntryPoint"),
    ("filename", "File"),
    ("providerName", "Provider"),
)
# Each from the line's beginning: what v2 appends to it is an error's own text.
_TEXTS = tuple(
    (kind, re.compile(rf"^(?:{pattern})"))
    for kind, pattern in (
        ("Router", r"Router (\S+) (?:uses|cannot)"
                   r"|On EntryPoint \"[^\"]*\", router \"([^\"]+)\", with no domains"),
        ("Host", r"On EntryPoint \"[^\"]*\", Host \"([^\"]+)\" is served"
                 r"|Found different TLS options for routers on the same host (\S+?),"
                 r"|CNAME lookup for hostname \"([^\"]+)\""
                 r"|Could not retrieve CanonizedHost, rejecting (\S+)"),
        ("Middleware", r"Middleware \"([^\"]+)\" of type"),
        ("Service", r"(?:In (?:udp )?service|Service|Backend|Passthrough backend) \"([^\"]+)\""
                    r"|(?:Health check|Ignoring hea|Illegal hea)[^\"']*[\"']([^\"']+)[\"']"),
        ("EntryPoint", r"EntryPoint \"([^\"]+)\" does not exist"),
        ("TLSOption", r"TLSOption \"([^\"]+)\" uses|TLS options (\S+) already"
                      r"|Default TLS Option()s defined"),
        ("TLSStore", r"TLS store (\S+) already|Default TLS Store()s? defined"
                     r"|TLS: No certificate store found with this name: \"([^\"]+)\""),
        ("ServersTransport", r"Could not configure HTTP Transport ([^\s,]+)"),
        ("Certificate", r"Unable to (?:parse|parse issuer|append|upsert OCSP) certificate (\S+)"
                        r"|Unable to retieve OCSP staple for: (.+)"
                        r"|TLS (?:configuration|certificate) (.+) already configured"),
        ("Resolver", r"The ACME resolver \"([^\"]+)\" is skipped"),
        ("IngressClass", r"Failed to convert ingress class (\S+) from"),
        ("Provider", r"(?:Error while initializing|Cannot start the) provider \*(\w+)\.Provider"),
        ("Namespace", r"(?:Namespace|Failed to get \w+:) \"([^\"]+)\" is not within"),
        ("Plugin", r"Plugins are disabled()"),
    )
)  # fmt: skip
_LISTED = re.compile(
    r"^Failed to (?:list|convert|get) ([\w ]+?)(?: in namespace(?: (\S*?))?)?(?::|$)"
)
_EXTERNAL = re.compile(r"^The port .* ExternalName service ([^\s/]+)/(\S+?)\.?$")
_LOCATION = re.compile(r"([^\s/]+)/(\S+) rule-\d+ path-\d+$")  # the nginx provider's "ingress"
_PACKAGES = {
    "crd": "kubernetescrd",
    "ingress": "kubernetes",
    "ingressnginx": "kubernetesingressnginx",
    "gateway": "kubernetesgateway",
}


def subject(line: LogLine) -> Subject | None:
    """What the line is about; None where it bears nothing."""
    if line.kind == "access":
        return None
    resources = (forbidden_resources([line]), unserved_kinds([line]), unauthenticated_kinds([line]))
    for found in resources:
        if found:
            return Subject("Resource", min(found))
    return _by_fields(line, _OBJECTS) or _by_text(line) or _by_fields(line, _BUILT)


def _by_fields(line: LogLine, table: Iterable[tuple[str, str]]) -> Subject | None:
    fields = line.fields
    for field, kind in table:
        if not fields.get(field):
            continue
        provider = fields.get("providerName", "")
        namespace = fields.get("namespace", "")
        name = fields[field]
        if kind == "Ingress":
            inside = _LOCATION.match(name)
            name = inside.group(2) if inside else name
            kind = "IngressRoute" if provider == "kubernetescrd" else kind
        elif kind == "Service" and line.message.endswith("building TraefikService"):
            kind = "TraefikService"
        elif kind == "Plugin":
            name = name.strip('[]"')
        elif kind == "Provider" and name.endswith(".acme"):
            kind, name = "Resolver", name.removesuffix(".acme")
        return _made(kind, name, namespace, provider, fields.get("entryPointName", ""))
    return None


def of_status(line: LogLine) -> bool:
    """Whether a status could not be written: no request depends on that."""
    return line.message.startswith(("Error while updating", "Unable to update"))


def loaded(kind: str, name: str, entry_point: str = "") -> Subject:
    """A Router, Service or Middleware as Traefik's API names it."""
    return _made(kind, name, "", "", entry_point)


def _made(kind: str, name: str, namespace: str, provider: str, entry_point: str) -> Subject:
    own = name.rpartition("@")[2] if "@" in name else provider
    return Subject(kind, name, namespace, own, entry_point)


def _by_text(line: LogLine) -> Subject | None:
    fields = line.fields
    if listed := _LISTED.match(line.message):
        return Subject("Resource", _plural(listed.group(1)), listed.group(2) or "")
    if outside := _EXTERNAL.search(line.message):
        return Subject("Service", outside.group(2), outside.group(1))
    for kind, pattern in _TEXTS:
        if match := pattern.search(line.message):
            name = next((group for group in match.groups() if group is not None), "")
            if kind == "Provider":
                name = _PACKAGES.get(name, name)
            elif not name and kind != "Plugin":
                name = "default"
            where = fields.get("entryPointName", "")
            return _made(kind, name, "", fields.get("providerName", ""), where)
    return None


def _plural(words: str) -> str:
    """A resource's plural of the words for it: "tcp ingress routes" is ingressroutetcps."""
    parts = words.lower().removesuffix("s").split()
    protocol = next((part for part in parts if part in ("tcp", "udp")), "")
    kept = "".join(part.removesuffix("s") if part == "routes" else part for part in parts
                   if part != protocol)  # fmt: skip
    return f"{kept}{'e' if kept.endswith('ss') else ''}{protocol}s"


_ROUTES = {
    "kubernetes": ("Ingress",),
    "kubernetesingressnginx": ("Ingress",),
    "kubernetescrd": ("IngressRoute", "IngressRouteTCP", "IngressRouteUDP"),
    "kubernetesgateway": ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"),
}
_TCP_TOO = {"Middleware": "MiddlewareTCP", "ServersTransport": "ServersTransportTCP"}
# What follows the object's name in a router's id of the CRD provider: a hash, or a number.
_CRD_TAIL = re.compile(r"[0-9a-f]{20}(?:[_\-].*)?|\d+(?:[_\-].*)?")


def _kinds(found: Subject) -> tuple[str, ...]:
    """The kinds of objects that what is named so may have been built of, the likeliest first."""
    kind, crd = found.kind, found.provider == "kubernetescrd"
    routes = _ROUTES.get(found.provider, ())
    if found.provider and not routes and not found.provider.endswith(".acme"):
        return ()  # what another provider brings is no object of the cluster
    if not routes:
        routes = tuple(each for kinds in _ROUTES.values() for each in kinds)
    if kind == "Router":
        return routes
    if kind == "IngressRoute":
        return _ROUTES["kubernetescrd"]
    if kind == "Service":
        return (*routes, "TraefikService", "Service", "Middleware") if crd else ("Service", *routes)
    if kind in _TCP_TOO:
        return (kind, _TCP_TOO[kind]) if crd or not routes else (kind, *routes)
    return (kind,)


def owners(
    found: Subject, objects: Iterable[ObjectRef], entry_points: Collection[str] = ()
) -> tuple[ObjectRef, ...]:
    """The object that the subject is, or was built of; several where nothing tells which.

    `entry_points`: those that there are, for the ids that begin with one.
    """
    kinds = _kinds(found)
    known = {*(entry_points or ("web", "websecure")), found.entry_point} - {""}
    ranked = [
        (rank, ref)
        for ref in objects
        if ref.kind in kinds
        and found.namespace in ("", ref.namespace)
        and (rank := _rank(found, ref, known)) is not None
    ]
    best = max((rank for rank, _ in ranked), default=None)
    return tuple(dict.fromkeys(ref for rank, ref in ranked if rank == best))


def _rank(found: Subject, ref: ObjectRef, known: set[str]) -> tuple[int, ...] | None:
    """How well the object fits: by its very name, else by how much of the id its name is."""
    name = found.name.partition("@")[0]
    if name == ref.name and "@" not in found.name and found.kind != "Router":
        return (2,)
    space, safe = ref.namespace or "", "_" in name
    want = f"{space}_{ref.name}" if safe else joined_name(space, ref.name)
    for depth, text in enumerate(_without_entry_points(name, known)):
        for form in (text, text.removeprefix(f"{ref.kind.lower()}-")):
            given = form if safe else joined_name("", form)
            if given == want:
                return (1, -depth, len(want), int(ref.kind != "Service"))
            if given.startswith(want) and given[len(want)] in "-_":
                tail = _CRD_TAIL.fullmatch(given[len(want) + 1 :]) is not None
                route = ref.kind in _ROUTES["kubernetescrd"]
                if not route or tail:
                    return (1, -depth, len(want), int(route and tail))
    return None


def _without_entry_points(name: str, known: set[str]) -> Iterator[str]:
    """The id as it stands, then without the entryPoints that it begins with.

    3.7 also marks routers whose TLS options conflict ("conflicted-").
    """
    yield name
    if prefix := next((p for p in (*known, "conflicted") if name.startswith(f"{p}-")), ""):
        yield from _without_entry_points(name.removeprefix(f"{prefix}-"), known)
