"""What was gathered: `Collected` pieces of evidence, and the `Snapshot` that holds a run's.

Everything here is a frozen ``msgspec.Struct``: typed, comparable and serialisable, so that a
Snapshot written to a file replays to the same findings (rule 3 of the house).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from hopcheck.model.aws import SHAPES
from hopcheck.model.aws import Identity as Caller
from hopcheck.model.kubernetes import FORMER_GROUP, Object, kind_of
from hopcheck.model.kubernetes import Server as ApiServer
from hopcheck.model.read import Thing, read, read_all
from hopcheck.model.traefik import of_traefik

if TYPE_CHECKING:
    from hopcheck.model.aws import (
        Identity,
        Instance,
        Listener,
        ListenerRule,
        LoadBalancer,
        NetworkInterface,
        SecurityGroup,
        TargetGroup,
        TargetHealth,
    )
    from hopcheck.model.kubernetes import Server
    from hopcheck.model.traefik import (
        ListedEntryPoint,
        LoadedMiddleware,
        LoadedService,
        Overview,
        Router,
    )
else:  # as decoded; read leniently, field by field, when the evidence is made
    Instance = Listener = ListenerRule = LoadBalancer = NetworkInterface = SecurityGroup = Any
    TargetGroup = TargetHealth = ListedEntryPoint = LoadedMiddleware = LoadedService = Any
    Overview = Router = Identity = Server = Any

T = TypeVar("T")
K = TypeVar("K", bound=Object)

# An object of an API, read by the API's own names.
Obj = Any


class Why(StrEnum):
    """Why a piece of evidence has no value. 'denied' is never 'not_found'."""

    NOT_FOUND = "not_found"  # the party answered that there is none, and may be believed
    DENIED = "denied"  # 401 or 403, AccessDenied: authenticated or not, no right to see it
    UNAUTHENTICATED = "unauthenticated"  # 401, expired token or credentials
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"  # refused, no route, name of the party does not resolve
    NOT_CONFIGURED = "not_configured"  # no kubeconfig, no credentials, no region
    MISCONFIGURED = "misconfigured"  # broken kubeconfig, wrong context, exec plugin fails
    THROTTLED = "throttled"
    NOT_SELECTED = "not_selected"  # no selected check reads it
    NOT_REACHABLE_FROM_HERE = "not_reachable_from_here"  # probing it needs --direct-probes
    NOT_NEEDED = "not_needed"  # a hop this set-up does not have, nothing to ask
    INVALID = "invalid"  # the party answered something that is not its protocol
    ERROR = "error"  # anything else, in the party's own words in `detail`


class Collected(Struct, Generic[T], frozen=True):
    """One piece of evidence: a value, or the typed reason why there is none.

    Exactly one of `value` and `why` is set. `source` says what was asked, as a person would
    write it ("GET /api/v1/services", "A myapp.example.com @10.0.0.2"); `detail` holds the
    party's own words (redacted); times are seconds, `started_s` counted from the run's start.
    """

    value: T | None = None
    why: Why | None = None
    detail: str = ""
    source: str = ""
    started_s: float = 0.0
    duration_s: float = 0.0
    truncated: bool = False

    @property
    def seen(self) -> bool:
        """Whether there is a value."""
        return self.why is None

    def get(self) -> T:
        """The value. Raises LookupError when there is none: ask `seen` first."""
        if self.why is not None:
            raise LookupError(f"{self.source}: {self.why}")
        return self.value  # type: ignore[return-value]  # None is a value where T allows it

    def or_else(self, default: T) -> T:
        """The value, or `default`; only for what may be shown, never for what is judged."""
        return default if self.why is not None else self.value  # type: ignore[return-value]


NOT_SELECTED: Collected[Any] = Collected(why=Why.NOT_SELECTED)


EXPECTED = "200-399,401,403,405,429"  # the 4xx only where the application gave them


class Target(Struct, frozen=True):
    """What is diagnosed: one host and the URL on it."""

    host: str  # lower case, no trailing dot, IDNA A-labels; an IP literal without brackets
    scheme: Literal["http", "https"] = "https"
    port: int = 443
    path: str = "/"  # with the query string; in evidence and reports without its values
    scheme_asked: bool = False  # given in a URL or by --scheme: then http is no substitute
    path_asked: bool = False  # given in a URL or by --path: then an application's 404 is an error
    display_host: str = ""  # the U-label form where it differs
    expect_status: str = EXPECTED
    certificate_days: int | None = None  # warn when a certificate expires sooner (None: usual)
    slow_seconds: float | None = None  # an answer that takes longer is worth a warning
    # Tells URLs apart whose query was redacted: hex digits of the hash of the URL as asked.
    mark: str = ""

    @property
    def url(self) -> str:
        """The URL as a person would write it."""
        default = {"http": 80, "https": 443}[self.scheme]
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == default else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


class Vantage(Struct, frozen=True):
    """From where the run looked."""

    kube_context: str | None = None
    in_cluster: bool = False
    aws_account: str | None = None
    aws_region: str | None = None
    resolvers: tuple[str, ...] = ()
    proxy: str | None = None  # an HTTP proxy seen in the environment (ignored by probes)
    direct_probes: bool = False
    ipv6: bool | None = None  # whether this machine has an IPv6 route


# --- evidence: dns -------------------------------------------------------------------------


class Cname(Struct, frozen=True):
    """One CNAME record of a chain; names in lower case without trailing dot."""

    owner: str
    target: str
    ttl: int


class DnsAnswer(Struct, frozen=True):
    """What one resolver answered to one query."""

    resolver: str  # "ADDR:PORT"
    name: str
    rrtype: Literal["A", "AAAA"]
    rcode: str  # NOERROR, NXDOMAIN, SERVFAIL, REFUSED, …
    addresses: tuple[str, ...] = ()
    chain: tuple[Cname, ...] = ()
    ttl: int | None = None
    soa: str | None = None  # owner of the SOA in the authority section
    rcode_checking_disabled: str | None = None  # rcode with CD set, asked again after SERVFAIL
    authoritative: bool = False  # AA: the zone's own server answered, not a cache


class DnsEvidence(Struct, frozen=True):
    """Answers by resolver and record type; what getaddrinfo gives; load balancers' own names."""

    answers: tuple[Collected[DnsAnswer], ...] = ()
    getaddrinfo: Collected[tuple[str, ...]] = NOT_SELECTED
    # DNSName of a candidate load balancer (lower case) -> its addresses by the same resolver
    names: dict[str, Collected[tuple[str, ...]]] = field(default_factory=dict)


# --- evidence: aws -------------------------------------------------------------------------


_LISTS_OF_AWS = {
    "load_balancers": "LoadBalancers",
    "target_groups": "TargetGroups",
    "security_groups": "SecurityGroups",
    "network_interfaces": "NetworkInterfaces",
    "instances": "Instances",
}
_BY_ARN_OF_AWS = {
    "listeners": "Listeners",
    "rules": "Rules",
    "target_health": "TargetHealthDescriptions",
}


class AwsEvidence(Struct, frozen=True):
    """ELBv2 and EC2 answers: the objects of `hopcheck.model.aws`, plain JSON is read as such."""

    identity: Collected[Identity] = NOT_SELECTED
    load_balancers: Collected[tuple[LoadBalancer, ...]] = NOT_SELECTED  # all of the region
    listeners: dict[str, Collected[tuple[Listener, ...]]] = field(default_factory=dict)  # by ARN
    rules: dict[str, Collected[tuple[ListenerRule, ...]]] = field(
        default_factory=dict
    )  # by listener
    target_groups: Collected[tuple[TargetGroup, ...]] = NOT_SELECTED  # all of the region
    target_health: dict[str, Collected[tuple[TargetHealth, ...]]] = field(
        default_factory=dict
    )  # by group
    target_group_attributes: dict[str, Collected[dict[str, str]]] = field(default_factory=dict)
    load_balancer_attributes: dict[str, Collected[dict[str, str]]] = field(default_factory=dict)
    security_groups: Collected[tuple[SecurityGroup, ...]] = NOT_SELECTED
    network_interfaces: Collected[tuple[NetworkInterface, ...]] = (
        NOT_SELECTED  # balancers', targets'
    )
    instances: Collected[tuple[Instance, ...]] = NOT_SELECTED  # targets and nodes

    def __post_init__(self) -> None:
        force_setattr(self, "identity", _typed(self.identity, read, Caller))
        for name, key in _LISTS_OF_AWS.items():
            force_setattr(self, name, _typed(getattr(self, name), read_all, SHAPES[key]))
        for name, key in _BY_ARN_OF_AWS.items():
            held = getattr(self, name).items()
            by_arn = {arn: _typed(found, read_all, SHAPES[key]) for arn, found in held}
            force_setattr(self, name, by_arn)


def _typed(found: Collected[Any], reads: Callable[[Any, Any], Any], kind: Any) -> Collected[Any]:
    """Plain JSON as `reads` reads it as `kind`; what is typed already stays as it is."""
    value = found.value
    first = value[0] if isinstance(value, list | tuple) and value else value
    if not value or isinstance(first, Thing):
        return found
    return replace(found, value=reads(kind, value))


# --- evidence: kubernetes ------------------------------------------------------------------


class KubeEvidence(Struct, frozen=True):
    """API objects by list: those of `hopcheck.model.kubernetes`, plain JSON is read as such.

    Keys of `lists` are the resource's plural, with ``@namespace`` where only that namespace was
    listed: "ingresses", "ingressclasses", "services", "nodes", "namespaces",
    "ingressroutes", "ingressroutetcps", "middlewares", "traefikservices", "tlsoptions",
    "tlsstores", "serverstransports", "httproutes", "gateways", and per namespace "pods@ns",
    "endpointslices@ns", "networkpolicies@ns", "deployments@ns", "daemonsets@ns",
    "replicasets@ns", "statefulsets@ns", "events@ns". "ingresses", "services" and "pods" hold
    the objects that can matter for the host; `totals` says how many there were.
    Keys of `objects` are "resource@namespace/name" for single objects ("configmaps@ns/name",
    "secrets@ns/name" as PartialObjectMetadata: never with data).
    """

    server: Collected[Server] = NOT_SELECTED
    lists: dict[str, Collected[tuple[Obj, ...]]] = field(default_factory=dict)
    objects: dict[str, Collected[Obj]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    # SelfSubjectAccessReview or the observed 403s: "list ingresses" -> allowed
    rights: dict[str, bool] = field(default_factory=dict)
    namespace: str | None = None  # --namespace: nothing outside of it was looked at

    def __post_init__(self) -> None:
        force_setattr(self, "server", _typed(self.server, read, ApiServer))
        for name, reads in (("lists", read_all), ("objects", read)):
            held = getattr(self, name).items()
            by_key = {key: _typed(found, reads, kind_of(key)) for key, found in held}
            force_setattr(self, name, by_key)

    def of(self, kind: type[K], namespace: str | None = None) -> Collected[tuple[K, ...]]:
        """The list of `kind` in `namespace`, or in all: `list` with its type."""
        return self.list(kind.plural, namespace)

    def former(self, kind: type[K]) -> tuple[K, ...]:
        """What stands of `kind` in Traefik's former group, where its version does not read that."""
        listed = self.lists.get(f"{kind.plural}.{FORMER_GROUP}", NOT_SELECTED)
        return listed.or_else(()) or ()

    def every(self, kind: type[K]) -> list[K]:
        """Every object of `kind` that was listed anywhere, each once."""
        found: dict[tuple[str, str], K] = {}
        for key, listed in self.lists.items():
            if key.partition("@")[0] == kind.plural:
                found.update((obj.key, obj) for obj in listed.or_else(()) or ())
        return [*found.values()]

    def find(self, kind: type[K], namespace: str | None, name: str) -> Collected[K]:
        """One object of `kind`: `one` with its type."""
        return self.one(kind.plural, namespace, name)

    def list(self, resource: str, namespace: str | None = None) -> Collected[tuple[Obj, ...]]:
        """The list of `resource` in `namespace`, or the cluster-wide one narrowed to it."""
        if namespace is not None and f"{resource}@{namespace}" in self.lists:
            return self.lists[f"{resource}@{namespace}"]
        found = self.lists.get(resource)
        if found is None:
            return NOT_SELECTED
        if namespace is None or not found.seen:
            return found
        narrowed = tuple(
            item
            for item in found.get()
            if item.namespace == namespace or (item.unread and not item.namespace)
        )
        return Collected(value=narrowed, source=found.source)

    def one(self, resource: str, namespace: str | None, name: str) -> Collected[Obj]:
        """One object, from `objects` or from the list that would hold it."""
        single = self.objects.get(f"{resource}@{namespace or ''}/{name}")
        if single is not None:
            return single
        listed = self.list(resource, namespace)
        if not listed.seen:
            return Collected(why=listed.why, detail=listed.detail, source=listed.source)
        for item in listed.get():
            if item.name == name:
                return Collected(value=item, source=listed.source)
        # One whose name could not be read may be it.
        unnamed = any(item.unread and not item.name for item in listed.get())
        return Collected(why=Why.INVALID if unnamed else Why.NOT_FOUND, source=listed.source)


# --- evidence: traefik ---------------------------------------------------------------------


class LogLine(Struct, frozen=True):
    """One parsed log line (text or JSON, v2 or v3, klog, access log)."""

    raw: str
    time: str | None = None  # RFC 3339, from the API server's timestamp or from the line
    level: str | None = None  # debug info warn error fatal panic
    message: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    kind: Literal["traefik", "klog", "access", "other"] = "other"


class Replica(Struct, frozen=True):
    """What one Traefik pod says of itself."""

    namespace: str
    pod: str
    address: str | None = None
    version: Collected[str] = NOT_SELECTED  # "3.7.15", from /api/version (image tag: from the pod)
    overview: Collected[Overview] = NOT_SELECTED
    entrypoints: Collected[tuple[ListedEntryPoint, ...]] = NOT_SELECTED
    routers: Collected[tuple[Router, ...]] = NOT_SELECTED  # /api/http/routers, all pages
    tcp_routers: Collected[tuple[Router, ...]] = NOT_SELECTED
    services: Collected[tuple[LoadedService, ...]] = NOT_SELECTED
    middlewares: Collected[tuple[LoadedMiddleware, ...]] = NOT_SELECTED
    metrics: Collected[dict[str, float]] = NOT_SELECTED  # chosen series: 'name{label="x"}' -> value
    log: Collected[tuple[LogLine, ...]] = NOT_SELECTED
    previous_log: Collected[tuple[LogLine, ...]] = NOT_SELECTED

    def __post_init__(self) -> None:
        told = ("overview", "entrypoints", "routers", "tcp_routers", "services", "middlewares")
        for name in told:
            force_setattr(self, name, _typed(getattr(self, name), of_traefik, name))


class TraefikEvidence(Struct, frozen=True):
    """One entry per Traefik pod on the host's way."""

    replicas: tuple[Replica, ...] = ()


# --- evidence: http ------------------------------------------------------------------------


class Certificate(Struct, frozen=True):
    """One certificate as presented."""

    subject: str  # RFC 4514
    issuer: str
    names: tuple[str, ...]  # dNSName and iPAddress entries of subjectAltName
    not_before: str  # RFC 3339
    not_after: str
    sha256: str
    self_signed: bool = False


class TlsInfo(Struct, frozen=True):
    """A TLS session as it was set up (or as far as it came)."""

    version: str | None = None  # "TLSv1.3"
    cipher: str | None = None
    alpn: str | None = None
    chain: tuple[Certificate, ...] = ()  # leaf first
    verified: bool = False
    verify_code: int | None = None  # OpenSSL's X509_V_ERR number
    verify_error: str | None = None  # OpenSSL's words


class Timing(Struct, frozen=True):
    """Seconds spent in each phase of one request; None where it was not reached."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float = 0.0


class ErrorKind(StrEnum):
    """How a request failed before an HTTP status was read."""

    RESOLVE = "resolve"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"  # no route to host, network unreachable
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_ALERT = "tls_alert"  # the peer sent an alert (unrecognized_name, …)
    TLS_PROTOCOL = "tls_protocol"  # wrong version number: the peer does not speak TLS
    TLS_TIMEOUT = "tls_timeout"
    RESET = "reset"  # closed or reset before or within the answer
    READ_TIMEOUT = "read_timeout"
    PROTOCOL = "protocol"  # the answer is not HTTP
    TOO_MANY_REDIRECTS = "too_many_redirects"
    LOCAL = "local"  # this machine: no IPv6 route, no buffer, no permission


class Exchange(Struct, frozen=True):
    """One request and its answer."""

    url: str
    address: str | None = None
    port: int | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case, in order
    body: str = ""  # the first 2,048 bytes, decoded with replacement
    body_bytes: int = 0  # read so far
    http_version: str | None = None
    tls: TlsInfo | None = None
    timing: Timing = Timing()
    error: ErrorKind | None = None
    error_text: str = ""
    error_phase: Literal["dns", "connect", "tls", "send", "first_byte", "body"] | None = None

    def header(self, name: str) -> str | None:
        """The first header of that name (given in lower case)."""
        return next((value for key, value in self.headers if key == name), None)


class Hop(StrEnum):
    """The hops in the order a request takes them (report schema: path[].hop)."""

    DNS = "dns"
    LOAD_BALANCER = "load-balancer"
    TARGET_GROUP = "target-group"
    NODE = "node"
    TRAEFIK_SERVICE = "traefik-service"
    TRAEFIK_POD = "traefik-pod"
    ROUTE = "route"
    SERVICE = "service"
    POD = "pod"


class Probe(Struct, frozen=True):
    """The host's request sent to one member of one hop; redirects on the same host followed.

    `exchanges` holds each request in turn, the last one decides. `member` names what was asked
    as a person would: an address, "node-1 10.0.1.10:30001", "pod ns/name 10.244.1.5:8443".
    """

    hop: Hop
    member: str
    address: str
    port: int
    scheme: Literal["http", "https"]
    via: Literal["direct", "apiserver-proxy", "port-forward"] = "direct"
    exchanges: tuple[Exchange, ...] = ()
    redirected_to: str | None = None  # another host: a success, not followed
    namespace: str | None = None  # of the pod or Service probed
    name: str | None = None
    proxy_protocol: bool = False  # a PROXY header was sent first


class HttpEvidence(Struct, frozen=True):
    """The host's request as a client sends it, and the same at each hop reachable from here."""

    # One Collected per address of the host, over the target's scheme.
    requests: tuple[Collected[Probe], ...] = ()
    # The other scheme (http where https was asked or assumed), one probe, first address.
    other_scheme: Collected[Probe] = NOT_SELECTED
    # Where the two versions of HTTP were compared: the requests of one address in the order sent
    # (hopcheck.scene.http_versions); of several addresses one after the other.
    versions: tuple[Collected[Probe], ...] = ()
    # Nodes, Traefik pods, Service, application pods.
    hops: tuple[Collected[Probe], ...] = ()
    ca_file: bool = False  # --ca-file said which authority is meant
    # What an ACME authority asks for by plain HTTP, where one of cert-manager's challenges is open.
    challenge: Collected[Probe] = NOT_SELECTED


class Snapshot(Struct, frozen=True):
    """All evidence of one run for one host; what judges see, and what a replay reads."""

    target: Target
    vantage: Vantage = Vantage()
    taken_at: str = ""  # RFC 3339 UTC; judges' only clock
    dns: DnsEvidence = DnsEvidence()
    aws: AwsEvidence = AwsEvidence()
    kube: KubeEvidence = KubeEvidence()
    traefik: TraefikEvidence = TraefikEvidence()
    http: HttpEvidence = HttpEvidence()
    redaction: Literal["default", "strict"] = "default"  # strict: written with placeholders
    format: Literal["hopcheck-evidence-1"] = "hopcheck-evidence-1"
    # Set by judges alone: the Traefik to assume where nothing tells which version runs.
    assumed_version: str | None = None
