"""Traefik's static configuration as its pod declares it: entryPoints, providers, API.

Traefik reads one source only, the first it finds of file, flags, environment
(cmd/traefik/traefik.go: the loaders' order; pkg/cli/loader_file.go: the default places).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network

from msgspec import Struct, field, to_builtins

from hopcheck.behaviour.traefik.discovery import traefik_container
from hopcheck.behaviour.traefik.flags import (
    ROOTS,
    Flags,
    command_line,
    flatten,
    from_environment,
    from_file,
    parse_flags,
)
from hopcheck.behaviour.traefik.version import Syntax, Version, has_as_default
from hopcheck.model import KubeEvidence
from hopcheck.model.kubernetes import ConfigMap, Container, ForwardingTimeouts, Pod
from hopcheck.model.traefik import ListedEntryPoint

INTERNAL = "traefik"  # the entryPoint that is never a default
REDIRECT_PRIORITY = 2**63 - 2  # math.MaxInt - 1, RedirectEntryPoint.SetDefaults

_DEFAULT_FILES = tuple(
    f"{base}.{extension}"
    for base in ("/etc/traefik/traefik", "/traefik", "/root/.config/traefik")
    for extension in ("toml", "yaml", "yml")
)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # strconv.ParseBool
_ADDRESS = re.compile(r"^(?P<host>\[[^\]]*\]|[^:\[\]]*):(?P<port>\d{1,5})$")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PROVIDERS = frozenset(
    {
        "consul", "consulcatalog", "docker", "ecs", "etcd", "file", "http", "knative",
        "kubernetescrd", "kubernetesgateway", "kubernetesingress", "kubernetesingressnginx",
        "marathon", "nomad", "plugin", "precedence", "providersthrottleduration", "rancher",
        "redis", "rest", "swarm", "zookeeper",
    }
)  # fmt: skip
_ENTRY_POINT_PARTS = frozenset(
    {
        "address", "allowacmebypass", "asdefault", "enablehttp3", "forwardedheaders", "http",
        "http2", "http3", "observability", "proxyprotocol", "reuseport", "transport", "udp",
    }
)  # fmt: skip


class EntryPoint(Struct, frozen=True):
    """One entryPoint. `host` is "" for all addresses; `port` None where the address is unreadable.

    `redirect_to` is the name of another entryPoint or ":port".
    """

    name: str
    address: str
    host: str = ""
    port: int | None = None
    protocol: str = "tcp"
    tls: bool = False
    tls_options: str | None = None
    cert_resolver: str = ""
    redirect_to: str | None = None
    redirect_priority: int = REDIRECT_PRIORITY
    as_default: bool = False
    proxy_protocol: bool = False
    proxy_trusted: tuple[str, ...] = ()  # from whom its header is taken
    middlewares: tuple[str, ...] = ()


class Provider(Struct, frozen=True):
    """A Kubernetes provider and its filters; `namespaces` empty means all."""

    enabled: bool = False
    ingress_class: str = ""
    namespaces: tuple[str, ...] = ()
    label_selector: str = ""
    allow_external_name: bool = False
    allow_empty_services: bool = False
    allow_cross_namespace: bool = False
    disable_class_lookup: bool = False
    disable_cluster_scope: bool = False
    strict_prefix: bool = False
    native_lb: bool = False
    # None: every namespace may refer to objects of other providers
    cross_provider_namespaces: tuple[str, ...] | None = None
    default_tls_namespace: str = ""  # whose default TLSOption and TLSStore count; "": any one's


# What routes may lead to as name@internal, and the setting that brings it (internalhandler.go).
INTERNAL_SERVICES = {
    "api": "api",
    "dashboard": "api.dashboard",
    "ping": "ping",
    "prometheus": "metrics.prometheus",
    "rest": "providers.rest",
}


class StaticConfig(Struct, frozen=True):
    """What one Traefik was started with.

    `known` is False where its source could not be read: then nothing here is evidence but
    `entry_points`, which Traefik's API may have told instead.
    `unknown` names settings that no Traefik from 2.11 to 3.7 is known to have (it refuses to
    start), `ignored` words of the command line that Traefik does not read, `doubtful` flags that
    it may read differently.
    """

    known: bool = False
    entry_points: dict[str, EntryPoint] = field(default_factory=dict)
    ingress: Provider = Provider()
    crd: Provider = Provider()
    gateway: bool = False
    file_provider: bool = False
    precedence: tuple[str, ...] = ()
    default_rule_syntax: Syntax | None = None
    api_insecure: bool = False
    ping: bool = False
    ping_entry_point: str = INTERNAL
    internal_services: tuple[str, ...] = ()  # those of INTERNAL_SERVICES that are on
    cert_resolvers: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    timeouts: ForwardingTimeouts = ForwardingTimeouts()  # where no ServersTransport is named
    throttle_s: float = 2.0  # seconds between a provider's change and its reload, at most
    unknown: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()

    def default_entry_points(self, version: Version | None) -> tuple[str, ...]:
        """The entryPoints of a router that names none (getDefaultsEntrypoints), sorted."""
        marked = has_as_default(version) and any(e.as_default for e in self.entry_points.values())
        return tuple(
            sorted(
                name
                for name, each in self.entry_points.items()
                if each.protocol != "udp" and name != INTERNAL and (each.as_default or not marked)
            )
        )


def seconds(text: int | str | None, default: float) -> float:
    """A duration as Go writes it ("1m30s", "100ms"); a bare number is seconds (paerser)."""
    text = str(text or "")
    if text.isdigit():
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return default
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class _Values:
    """Typed access to the flat mapping."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    def text(self, key: str, default: str = "") -> str:
        return self.values.get(key, "") or default

    def optional(self, key: str) -> str | None:
        return self.values.get(key) or None

    def true(self, key: str, *, default: bool = False) -> bool:
        return self.values[key] in _TRUE if key in self.values else default

    def names(self, key: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(key).split(",") if part.strip())

    def number(self, key: str, default: int) -> int:
        try:
            return int(self.text(key)) if self.text(key) else default
        except ValueError:
            return default

    def on(self, key: str) -> bool:
        """Whether a section is switched on: by itself, or by anything within it.

        paerser, parser/nodes_metadata.go: a value other than "true" switches the section off.
        """
        if self.values.get(key, "").lower() not in ("", "true"):
            return False
        return key in self.values or any(name.startswith(key + ".") for name in self.values)

    def children(self, key: str) -> list[str]:
        prefix = key + "."
        found = (n[len(prefix) :].partition(".")[0] for n in self.values if n.startswith(prefix))
        return list(dict.fromkeys(found))


def _has_hidden_mount(pod: Pod, container: Container, files: Mapping[str, str]) -> bool:
    """Whether a mount may hold a static file at its default place, and none of its was read."""
    empty = {volume.name for volume in pod.spec.volumes if volume.empty_dir is not None}
    for mount in container.volume_mounts:
        path = mount.mount_path.rstrip("/")
        holds = any(file == path or posixpath.dirname(file) == path for file in _DEFAULT_FILES)
        read = any(file == path or file.startswith(path + "/") for file in files)
        if holds and path and not read and mount.name not in empty:
            return True
    return False


def config_files(pod: Pod, container: Container, kube: KubeEvidence) -> dict[str, str]:
    """The container's files from ConfigMaps, as far as they were read: path -> text."""
    sources = {volume.name: volume.config_map for volume in pod.spec.volumes if volume.config_map}
    files: dict[str, str] = {}
    for mount in container.volume_mounts:
        source = sources.get(mount.name)
        if source is None:
            continue
        read = kube.find(ConfigMap, pod.namespace, source.name)
        data = read.get().data if read.seen else {}
        items = source.items
        named = {i.path: i.key for i in items} if items else {key: key for key in data}
        base, part = mount.mount_path, mount.sub_path
        for path, key in named.items():
            if key not in data or (part and part != path):
                continue
            files[base if part else posixpath.join(base, path)] = data[key]
    return files


@lru_cache(maxsize=32)  # the pods of a Traefik have the same, whatever the host
def _by_flags(args: tuple[str, ...]) -> tuple[Flags, StaticConfig]:
    flags = parse_flags(args)
    return flags, _build(flags)


def static_config(pod: Pod, files: Mapping[str, str] | None = None) -> StaticConfig:
    """The static configuration of the pod's Traefik container; `files` as of `config_files`."""
    found = traefik_container(pod)
    if found is None:
        return StaticConfig()
    args = command_line(found.command, found.args)
    if args is None:  # the command line is put together by a script
        return StaticConfig()
    flags, by_flags = _by_flags(tuple(args))
    seen = files or {}
    wanted = flags.values.get("configfile")
    path = next((each for each in (wanted, *_DEFAULT_FILES) if each and each in seen), None)
    if path is not None:
        try:
            return _build(from_file(path, seen[path]))
        except ValueError:
            return StaticConfig()
    if wanted or _has_hidden_mount(pod, found, seen):
        return StaticConfig()
    if args:
        return by_flags
    values = from_environment(found.env)
    return StaticConfig() if values is None else _build(Flags(values))


def _unknown(values: _Values) -> tuple[str, ...]:
    unknown = []
    for key in values.values:
        parts = key.split("[", 1)[0].split(".")
        if parts[0] == "configfile":
            continue
        known = parts[0] in ROOTS
        if parts[0] == "providers" and len(parts) > 1:
            known = parts[1] in _PROVIDERS
        if parts[0] == "entrypoints" and len(parts) > 2:
            known = parts[2] in _ENTRY_POINT_PARTS
        if not known:
            unknown.append(key)
    return tuple(unknown)


def _build(flags: Flags) -> StaticConfig:
    own = _Values(flags.values)
    syntax = own.text("core.defaultrulesyntax").lower()
    return StaticConfig(
        known=True,
        entry_points=_entry_points(own, flags.names),
        ingress=_provider(own, "kubernetesingress"),
        crd=_provider(own, "kubernetescrd"),
        gateway=own.on("providers.kubernetesgateway"),
        file_provider=own.on("providers.file"),
        precedence=tuple(name.lower() for name in own.names("providers.precedence")),
        default_rule_syntax="v2" if syntax == "v2" else "v3" if syntax == "v3" else None,
        api_insecure=own.true("api.insecure"),
        ping=own.on("ping"),
        ping_entry_point=own.text("ping.entrypoint", INTERNAL),
        internal_services=tuple(
            name
            for name, flag in INTERNAL_SERVICES.items()
            if own.on(flag.partition(".dashboard")[0]) and own.text(flag).lower() != "false"
        ),
        cert_resolvers=tuple(
            flags.names.get(name, name) for name in own.children("certificatesresolvers")
        ),
        plugins=tuple(
            flags.names.get(name, name)
            for key in ("experimental.plugins", "experimental.localplugins")
            for name in own.children(key)
        ),
        timeouts=ForwardingTimeouts(
            own.optional("serverstransport.forwardingtimeouts.dialtimeout"),
            own.optional("serverstransport.forwardingtimeouts.responseheadertimeout"),
        ),
        throttle_s=seconds(own.text("providers.providersthrottleduration"), 2.0),
        unknown=_unknown(own),
        ignored=flags.ignored,
        doubtful=flags.doubtful,
    )


def _provider(own: _Values, name: str) -> Provider:
    key = f"providers.{name}"
    allowed = own.names(f"{key}.crossprovidernamespaces")
    return Provider(
        enabled=own.on(key),
        ingress_class=own.text(f"{key}.ingressclass"),
        namespaces=own.names(f"{key}.namespaces"),
        label_selector=own.text(f"{key}.labelselector"),
        allow_external_name=own.true(f"{key}.allowexternalnameservices"),
        allow_empty_services=own.true(f"{key}.allowemptyservices"),
        allow_cross_namespace=own.true(f"{key}.allowcrossnamespace"),
        disable_class_lookup=own.true(f"{key}.disableingressclasslookup"),
        disable_cluster_scope=own.true(f"{key}.disableclusterscoperesources"),
        strict_prefix=own.true(f"{key}.strictprefixmatching"),
        native_lb=own.true(f"{key}.nativelbbydefault"),
        cross_provider_namespaces=allowed or None,
        default_tls_namespace=own.text(f"{key}.defaulttlsresourcesnamespace"),
    )


def _entry_points(own: _Values, names: Mapping[str, str]) -> dict[str, EntryPoint]:
    lower = own.children("entrypoints")
    named = {names.get(each, each): _entry_point(own, names.get(each, each)) for each in lower}
    if not named:
        named = {"http": EntryPoint("http", ":80", port=80)}
    # SetEffectiveConfiguration in pkg/config/static/static_config.go
    internal = own.true("api.insecure") or any(
        own.on(key)
        and own.text(f"{key}.entrypoint", INTERNAL) == INTERNAL
        and not own.true(f"{key}.manualrouting")
        for key in ("ping", "metrics.prometheus")
    )
    if internal and INTERNAL not in named:
        named[INTERNAL] = EntryPoint(INTERNAL, ":8080", port=8080)
    return named


def entry_points_of_api(entries: Iterable[ListedEntryPoint]) -> dict[str, EntryPoint]:
    """The entryPoints that Traefik's own ``/api/entrypoints`` shows, where no source was read."""
    values: dict[str, str] = {}
    names: dict[str, str] = {}
    for entry in entries:
        name = entry.name
        names[name.lower()] = name
        parts = {key: value for key, value in to_builtins(entry).items() if key != "name"}
        flatten(f"entrypoints.{name.lower()}", parts, values)
    return _entry_points(_Values(values), names) if names else {}


_ANYBODY = ("0.0.0.0/0", "::/0")


def _entry_point(own: _Values, name: str) -> EntryPoint:
    key = f"entrypoints.{name.lower()}"
    address, _, protocol = own.text(f"{key}.address").partition("/")
    found = _ADDRESS.match(address)
    redirect = f"{key}.http.redirections.entrypoint"
    return EntryPoint(
        name=name,
        address=own.text(f"{key}.address"),
        host=found["host"].strip("[]") if found else "",
        port=int(found["port"]) if found and int(found["port"]) < 65536 else None,
        protocol=protocol.lower() or "tcp",
        tls=own.on(f"{key}.http.tls"),
        tls_options=own.optional(f"{key}.http.tls.options"),
        cert_resolver=own.text(f"{key}.http.tls.certresolver"),
        redirect_to=own.optional(f"{redirect}.to"),
        redirect_priority=own.number(f"{redirect}.priority", REDIRECT_PRIORITY),
        as_default=own.true(f"{key}.asdefault"),
        proxy_protocol=own.on(f"{key}.proxyprotocol"),
        proxy_trusted=_ANYBODY
        if own.true(f"{key}.proxyprotocol.insecure")
        else own.names(f"{key}.proxyprotocol.trustedips"),
        middlewares=own.names(f"{key}.http.middlewares"),
    )


def within(address: str, ranges: Iterable[str]) -> bool:
    """Whether an address is in one of the ranges, as pkg/ip reads trustedIPs."""
    for one in ranges:
        try:
            if ip_address(address) in ip_network(one, strict=False):
                return True
        except ValueError:
            continue
    return False
