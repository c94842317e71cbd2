"""Kubernetes objects: core, apps, discovery, networking, Gateway API and Traefik's own kinds.

What is declared here is what is kept of an object. Text that is "" and a list that is empty are
absent, as Kubernetes has it, but where nil means something else (then the default is None). What is
compared as a whole and never read is a plain dict.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

from msgspec import Meta as Bounds
from msgspec import field

from hopcheck.model.read import Entry, Thing, read

Number = Annotated[int, Bounds(ge=0, le=65535)]  # of a port, which the API server checks
Port = int | str  # a number, or the name of a port (intOrString)
Texts = dict[str, str]


class Server(Thing, frozen=True):
    """The API server: by which context it was found, where it is and what it runs."""

    context: str = ""
    url: str = ""
    namespace: str = ""
    version: str = ""


class ObjectReference(Thing, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class Owner(Thing, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool = False


class Manager(Thing, frozen=True):
    """An entry of managedFields; `fields` is what is kept of its FieldsV1."""

    manager: str = ""
    time: str = ""
    subresource: str = ""
    fields_v1: dict[str, Any] | None = None
    fields: dict[str, Any] | None = None


class Meta(Thing, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Texts = field(default_factory=dict)
    annotations: Texts = field(default_factory=dict)
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    resource_version: str = ""
    owner_references: tuple[Owner, ...] = ()
    managed_fields: tuple[Manager, ...] = ()


class Object(Entry, frozen=True):
    """What every object has. `slim`: kept in part, since it is not the host's."""

    plural: ClassVar[str] = ""

    api_version: str = ""
    kind: str = ""
    metadata: Meta = Meta()
    slim: bool = False

    @property
    def lacking(self) -> bool:
        """Whether it has no name, which every object has."""
        return not self.metadata.name

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """Its namespace, "" for a cluster-scoped object."""
        return self.metadata.namespace

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata.namespace, self.metadata.name


class Expression(Thing, frozen=True):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class LabelSelector(Thing, frozen=True):
    """A label selector; an empty one selects everything."""

    match_labels: Texts = field(default_factory=dict)
    match_expressions: tuple[Expression, ...] = ()


class Condition(Thing, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""


# --- pods, workloads, nodes


class HttpGet(Thing, frozen=True):
    path: str = ""
    port: Port | None = None
    scheme: str = ""


class TcpSocket(Thing, frozen=True):
    port: Port | None = None


class Grpc(Thing, frozen=True):
    port: int | None = None


class ContainerProbe(Thing, frozen=True):
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: dict[str, Any] | None = None
    grpc: Grpc | None = None
    period_seconds: int | None = None


class ContainerPort(Thing, frozen=True):
    name: str = ""
    container_port: int = 0
    host_port: int | None = None
    host_ip: str = field(default="", name="hostIP")
    protocol: str = ""


class Env(Thing, frozen=True):
    """A variable; its value is kept where it is Traefik's static configuration."""

    name: str = ""
    value: str = ""
    value_from: dict[str, Any] | None = None


class VolumeMount(Thing, frozen=True):
    name: str = ""
    mount_path: str = ""
    sub_path: str = ""


class Container(Thing, frozen=True):
    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[Env, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    liveness_probe: ContainerProbe | None = None
    readiness_probe: ContainerProbe | None = None
    startup_probe: ContainerProbe | None = None


class KeyToPath(Thing, frozen=True):
    key: str = ""
    path: str = ""


class ConfigMapSource(Thing, frozen=True):
    name: str = ""
    items: tuple[KeyToPath, ...] = ()


class SecretSource(Thing, frozen=True):
    secret_name: str = ""
    name: str = ""  # of a projected one
    items: tuple[KeyToPath, ...] = ()


class Projection(Thing, frozen=True):
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None


class Projected(Thing, frozen=True):
    sources: tuple[Projection, ...] = ()


class Volume(Thing, frozen=True):
    name: str = ""
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    projected: Projected | None = None
    persistent_volume_claim: dict[str, Any] | None = None
    empty_dir: dict[str, Any] | None = None


class ReadinessGate(Thing, frozen=True):
    condition_type: str = ""


class PodSpec(Thing, frozen=True):
    node_name: str = ""
    host_network: bool = False
    service_account_name: str = ""
    termination_grace_period_seconds: int | None = None
    restart_policy: str = ""
    node_selector: Texts = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    readiness_gates: tuple[ReadinessGate, ...] = ()
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class StateDetails(Thing, frozen=True):
    """Of any of a container's states: running has no reason, waiting no times."""

    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started_at: str = ""
    finished_at: str = ""


class ContainerState(Thing, frozen=True):
    waiting: StateDetails | None = None
    running: StateDetails | None = None
    terminated: StateDetails | None = None


class ContainerStatus(Thing, frozen=True):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodAddress(Thing, frozen=True):
    ip: str = ""


class PodStatus(Thing, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[PodAddress, ...] = field(default=(), name="podIPs")
    host_ip: str = field(default="", name="hostIP")
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Object, frozen=True):
    plural: ClassVar[str] = "pods"

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, each once."""
        every = (self.status.pod_ip, *(one.ip for one in self.status.pod_ips))
        return tuple(dict.fromkeys(address for address in every if address))

    @property
    def ready(self) -> bool:
        """Whether its condition Ready is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)


class PodTemplate(Thing, frozen=True):
    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()


class WorkloadSpec(Thing, frozen=True):
    replicas: int | None = None
    selector: LabelSelector | None = None
    template: PodTemplate = PodTemplate()
    strategy: dict[str, Any] | None = None
    update_strategy: dict[str, Any] | None = None
    min_ready_seconds: int | None = None
    paused: bool = False


class WorkloadStatus(Thing, frozen=True):
    replicas: int | None = None
    ready_replicas: int | None = None
    number_ready: int | None = None
    conditions: tuple[Condition, ...] = ()


class Workload(Object, frozen=True):
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class Deployment(Workload, frozen=True):
    plural: ClassVar[str] = "deployments"


class DaemonSet(Workload, frozen=True):
    plural: ClassVar[str] = "daemonsets"


class StatefulSet(Workload, frozen=True):
    plural: ClassVar[str] = "statefulsets"


class ReplicaSet(Workload, frozen=True):
    plural: ClassVar[str] = "replicasets"


class Taint(Thing, frozen=True):
    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(Thing, frozen=True):
    provider_id: str = field(default="", name="providerID")
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False


class NodeAddress(Thing, frozen=True):
    type: str = ""
    address: str = ""


class NodeStatus(Thing, frozen=True):
    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Node(Object, frozen=True):
    plural: ClassVar[str] = "nodes"

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class NamespaceStatus(Thing, frozen=True):
    phase: str = ""


class Namespace(Object, frozen=True):
    plural: ClassVar[str] = "namespaces"

    status: NamespaceStatus = NamespaceStatus()


class EventSeries(Thing, frozen=True):
    count: int | None = None
    last_observed_time: str = ""


class Event(Object, frozen=True):
    """An event: what happened to which object, how often and when."""

    plural: ClassVar[str] = "events"

    involved_object: ObjectReference = ObjectReference()
    reason: str = ""
    message: str = ""
    type: str = ""
    count: int | None = None
    last_timestamp: str = ""
    event_time: str = ""
    series: EventSeries | None = None

    @property
    def seen_at(self) -> str:
        """When it was last seen, RFC 3339, "" where it does not say."""
        observed = self.series.last_observed_time if self.series else ""
        created = self.metadata.creation_timestamp
        return observed or self.last_timestamp or self.event_time or created


class ConfigMap(Object, frozen=True):
    plural: ClassVar[str] = "configmaps"

    data: Texts = field(default_factory=dict)


class Secret(Object, frozen=True):
    """A Secret's metadata; `keys` are the names of its entries as managedFields tell them."""

    plural: ClassVar[str] = "secrets"

    entries: tuple[str, ...] | None = field(default=None, name="keys")


# --- Services, slices, policies


class ServicePort(Thing, frozen=True):
    name: str = ""
    port: Number | None = None
    target_port: Port | None = None
    node_port: Number | None = None
    protocol: str = ""
    app_protocol: str = ""


class ServiceSpec(Thing, frozen=True):
    type: str = ""
    selector: Texts = field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    external_name: str = ""
    external_ips: tuple[str, ...] = field(default=(), name="externalIPs")
    external_traffic_policy: str = ""
    internal_traffic_policy: str = ""
    health_check_node_port: int | None = None
    publish_not_ready_addresses: bool = False
    allocate_load_balancer_node_ports: bool | None = None
    load_balancer_class: str = ""
    load_balancer_source_ranges: tuple[str, ...] = ()
    session_affinity: str = ""
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str = ""


class LoadBalancerIngress(Thing, frozen=True):
    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Thing, frozen=True):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class LoadBalanced(Thing, frozen=True):
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class Service(Object, frozen=True):
    plural: ClassVar[str] = "services"

    spec: ServiceSpec = ServiceSpec()
    status: LoadBalanced = LoadBalanced()


class EndpointConditions(Thing, frozen=True):
    """Of an endpoint; None for ready and serving means true, for terminating false."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Thing, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    hostname: str = ""
    node_name: str = ""
    zone: str = ""
    target_ref: ObjectReference | None = None


class EndpointPort(Thing, frozen=True):
    name: str = ""
    port: Number | None = None
    protocol: str = ""
    app_protocol: str = ""


class EndpointSlice(Object, frozen=True):
    plural: ClassVar[str] = "endpointslices"

    address_type: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class IpBlock(Thing, frozen=True):
    cidr: str = ""
    except_: tuple[str, ...] = field(default=(), name="except")


class PolicyPeer(Thing, frozen=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IpBlock | None = None


class PolicyPort(Thing, frozen=True):
    protocol: str = ""
    port: Port | None = None
    end_port: int | None = None


class IngressRule(Thing, frozen=True):
    """A rule of a policy for what comes in; None for from or ports lets all through."""

    from_: tuple[PolicyPeer, ...] | None = field(default=None, name="from")
    ports: tuple[PolicyPort, ...] | None = None


class EgressRule(Thing, frozen=True):
    to: tuple[PolicyPeer, ...] | None = None
    ports: tuple[PolicyPort, ...] | None = None


class PolicySpec(Thing, frozen=True):
    pod_selector: LabelSelector = LabelSelector()
    policy_types: tuple[str, ...] = ()
    ingress: tuple[IngressRule, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None


class NetworkPolicy(Object, frozen=True):
    plural: ClassVar[str] = "networkpolicies"

    spec: PolicySpec = PolicySpec()


# --- Ingresses


class BackendPort(Thing, frozen=True):
    name: str = ""
    number: Number | None = None


class BackendService(Thing, frozen=True):
    name: str = ""
    port: BackendPort = BackendPort()


class ResourceRef(Thing, frozen=True):
    api_group: str = ""
    kind: str = ""
    name: str = ""


class IngressBackend(Thing, frozen=True):
    service: BackendService | None = None
    resource: ResourceRef | None = None


class HttpPath(Thing, frozen=True):
    path: str = ""
    path_type: str = ""
    backend: IngressBackend = IngressBackend()


class HttpRule(Thing, frozen=True):
    paths: tuple[HttpPath, ...] = ()


class IngressHostRule(Thing, frozen=True):
    """A rule of an Ingress: a host, or any where it is empty."""

    host: str = ""
    http: HttpRule | None = None


class IngressTls(Thing, frozen=True):
    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Thing, frozen=True):
    """What an Ingress routes. `hosts` stand for the rules of one that is slim."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    tls: tuple[IngressTls, ...] = ()
    rules: tuple[IngressHostRule, ...] = ()
    hosts: tuple[str, ...] = ()


class Ingress(Object, frozen=True):
    plural: ClassVar[str] = "ingresses"

    spec: IngressSpec = IngressSpec()
    status: LoadBalanced = LoadBalanced()


class IngressClassSpec(Thing, frozen=True):
    controller: str = ""


class IngressClass(Object, frozen=True):
    plural: ClassVar[str] = "ingressclasses"

    spec: IngressClassSpec = IngressClassSpec()


# --- Traefik's own kinds


class Ref(Thing, frozen=True):
    name: str = ""
    namespace: str = ""


class LoadBalancerRef(Thing, frozen=True):
    name: str = ""
    namespace: str = ""
    kind: str = ""
    port: Port | None = None
    scheme: str = ""
    servers_transport: str = ""
    native_lb: bool | None = field(default=None, name="nativeLB")
    weight: int | None = None
    percent: int | None = None
    pass_host_header: bool | None = None
    sticky: dict[str, Any] | None = None
    strategy: str = ""
    health_check: dict[str, Any] | None = None


class RouteTls(Thing, frozen=True):
    """TLS of an IngressRoute: that it is there, even empty, makes the routers TLS routers."""

    secret_name: str = ""
    cert_resolver: str = ""
    passthrough: bool = False
    options: Ref | None = None
    store: Ref | None = None
    domains: tuple[dict[str, Any], ...] = ()


class TraefikRule(Thing, frozen=True):
    match: str = ""
    kind: str = ""
    priority: int | None = None
    syntax: str = ""
    services: tuple[LoadBalancerRef, ...] = ()
    middlewares: tuple[Ref, ...] = ()
    tls: RouteTls | None = None  # of a single rule: its options alone


class ParentRef(Thing, frozen=True):
    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    section_name: str = ""
    port: int | None = None


class IngressRouteSpec(Thing, frozen=True):
    """What an IngressRoute routes. `hosts` stand for the rules of one that is slim."""

    entry_points: tuple[str, ...] = ()
    routes: tuple[TraefikRule, ...] = ()
    tls: RouteTls | None = None
    parent_refs: tuple[ParentRef, ...] = ()
    ingress_class_name: str | None = None
    hosts: tuple[str, ...] = ()


class IngressRoute(Object, frozen=True):
    plural: ClassVar[str] = "ingressroutes"

    spec: IngressRouteSpec = IngressRouteSpec()


class IngressRouteTCP(Object, frozen=True):
    plural: ClassVar[str] = "ingressroutetcps"

    spec: IngressRouteSpec = IngressRouteSpec()


class Weighted(Thing, frozen=True):
    services: tuple[LoadBalancerRef, ...] = ()
    sticky: dict[str, Any] | None = None


class Mirroring(LoadBalancerRef, frozen=True):
    mirrors: tuple[LoadBalancerRef, ...] = ()


class Failover(Thing, frozen=True):
    service: LoadBalancerRef | None = None
    fallback: LoadBalancerRef | None = None


class TraefikServiceSpec(Thing, frozen=True):
    weighted: Weighted | None = None
    highest_random_weight: Weighted | None = None
    mirroring: Mirroring | None = None
    failover: Failover | None = None


class TraefikService(Object, frozen=True):
    plural: ClassVar[str] = "traefikservices"

    spec: TraefikServiceSpec = TraefikServiceSpec()


class AuthSecret(Thing, frozen=True):
    """BasicAuth and digestAuth: the name of the Secret with the users."""

    secret: str = ""


class AuthTls(Thing, frozen=True):
    ca_secret: str = ""
    cert_secret: str = ""


class ForwardAuth(Thing, frozen=True):
    address: str = ""
    tls: AuthTls = AuthTls()


class ErrorPages(Thing, frozen=True):
    status: tuple[str, ...] = ()
    query: str = ""
    service: LoadBalancerRef | None = None


class RedirectScheme(Thing, frozen=True):
    scheme: str = ""


class StripPrefix(Thing, frozen=True):
    prefixes: tuple[str, ...] = ()


class Chain(Thing, frozen=True):
    middlewares: tuple[Ref, ...] = ()


class Headers(Thing, frozen=True):
    custom_request_headers: Texts = field(default_factory=dict)
    allowed_hosts: tuple[str, ...] = ()


S = TypeVar("S", bound=Thing)


class Middleware(Object, frozen=True):
    """A Middleware: one kind and its settings, by the kind's name as written (or misspelt)."""

    plural: ClassVar[str] = "middlewares"

    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that it names."""
        return frozenset(self.spec)

    def settings(self, kind: str, shape: type[S]) -> S | None:
        """The settings of `kind` ("forwardAuth"); None where it is of another."""
        return read(shape, self.spec[kind] or {}) if kind in self.spec else None


class DefaultCertificate(Thing, frozen=True):
    secret_name: str = ""


class TLSStoreSpec(Thing, frozen=True):
    default_certificate: DefaultCertificate | None = None
    default_generated_cert: dict[str, Any] | None = None
    certificates: tuple[DefaultCertificate, ...] = ()


class TLSStore(Object, frozen=True):
    plural: ClassVar[str] = "tlsstores"

    spec: TLSStoreSpec = TLSStoreSpec()


class ClientAuth(Thing, frozen=True):
    secret_names: tuple[str, ...] = ()
    client_auth_type: str = ""


class TLSOptionSpec(Thing, frozen=True):
    sni_strict: bool = False
    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    alpn_protocols: tuple[str, ...] = ()
    client_auth: ClientAuth | None = None


class TLSOption(Object, frozen=True):
    plural: ClassVar[str] = "tlsoptions"

    spec: TLSOptionSpec = TLSOptionSpec()


class ForwardingTimeouts(Thing, frozen=True):
    """For how long Traefik waits for a server: "500ms", or seconds."""

    dial_timeout: Port | None = None
    response_header_timeout: Port | None = None


class ServersTransportSpec(Thing, frozen=True):
    server_name: str = ""
    forwarding_timeouts: ForwardingTimeouts = ForwardingTimeouts()
    insecure_skip_verify: bool = False
    root_cas_secrets: tuple[str, ...] = field(default=(), name="rootCAsSecrets")
    certificates_secrets: tuple[str, ...] = ()


class ServersTransport(Object, frozen=True):
    plural: ClassVar[str] = "serverstransports"

    spec: ServersTransportSpec = ServersTransportSpec()


# --- Gateway API


class BackendRef(Thing, frozen=True):
    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    port: int | None = None
    weight: int | None = None


class RouteFilter(Thing, frozen=True):
    type: str = ""


class HTTPRouteRule(Thing, frozen=True):
    matches: tuple[dict[str, Any], ...] = ()
    filters: tuple[RouteFilter, ...] = ()
    backend_refs: tuple[BackendRef, ...] = ()


class HTTPRouteSpec(Thing, frozen=True):
    """What an HTTPRoute routes. `hosts` stand for the rest of one that is slim."""

    hostnames: tuple[str, ...] = ()
    parent_refs: tuple[ParentRef, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = ()
    hosts: tuple[str, ...] = ()


class RouteParent(Thing, frozen=True):
    controller_name: str = ""
    conditions: tuple[Condition, ...] = ()


class HTTPRouteStatus(Thing, frozen=True):
    parents: tuple[RouteParent, ...] = ()


class HTTPRoute(Object, frozen=True):
    plural: ClassVar[str] = "httproutes"

    spec: HTTPRouteSpec = HTTPRouteSpec()
    status: HTTPRouteStatus = HTTPRouteStatus()


class ListenerTls(Thing, frozen=True):
    mode: str = ""
    certificate_refs: tuple[Ref, ...] = ()


class RouteNamespaces(Thing, frozen=True):
    from_: str = field(default="", name="from")
    selector: LabelSelector | None = None


class AllowedRoutes(Thing, frozen=True):
    namespaces: RouteNamespaces | None = None


class GatewayListener(Thing, frozen=True):
    name: str = ""
    hostname: str = ""
    port: int | None = None
    protocol: str = ""
    tls: ListenerTls | None = None
    allowed_routes: AllowedRoutes | None = None


class GatewaySpec(Thing, frozen=True):
    gateway_class_name: str = ""
    listeners: tuple[GatewayListener, ...] = ()


class Gateway(Object, frozen=True):
    plural: ClassVar[str] = "gateways"

    spec: GatewaySpec = GatewaySpec()


# --- cert-manager: what is judged of its pkg/apis/certmanager/v1 and pkg/apis/acme/v1


class IssuerRef(Thing, frozen=True):
    group: str = ""
    kind: str = ""
    name: str = ""


class CertificateSpec(Thing, frozen=True):
    secret_name: str = ""
    common_name: str = ""
    dns_names: tuple[str, ...] = ()
    issuer_ref: IssuerRef = IssuerRef()


class Issued(Thing, frozen=True):
    """A status: conditions, or an Order's and a Challenge's state; the rest is a Certificate's."""

    conditions: tuple[Condition, ...] = ()
    state: str = ""
    reason: str = ""
    not_after: str = ""
    renewal_time: str = ""
    failed_issuance_attempts: int = 0


class Issuing(Object, frozen=True):
    """An object of cert-manager's. A token is not kept: the solver's Ingress has it in its path."""

    status: Issued = Issued()


class Certificate(Issuing, frozen=True):
    plural: ClassVar[str] = "certificates"

    spec: CertificateSpec = CertificateSpec()


class CertificateRequest(Issuing, frozen=True):
    plural: ClassVar[str] = "certificaterequests"


class Order(Issuing, frozen=True):
    plural: ClassVar[str] = "orders"


class Challenge(Issuing, frozen=True):
    plural: ClassVar[str] = "challenges"


class Issuer(Issuing, frozen=True):
    plural: ClassVar[str] = "issuers"


class ClusterIssuer(Issuing, frozen=True):
    plural: ClassVar[str] = "clusterissuers"


# Of Traefik's own objects up to v2; v3 does not read it.
FORMER_GROUP = "traefik.containo.us"

KINDS: dict[str, type[Object]] = {
    kind.plural: kind
    for kind in (
        Pod, Deployment, DaemonSet, StatefulSet, ReplicaSet, Node, Namespace, Event, ConfigMap,
        Secret, Service, EndpointSlice, NetworkPolicy, Ingress, IngressClass, IngressRoute,
        IngressRouteTCP, TraefikService, Middleware, TLSStore, TLSOption, ServersTransport,
        HTTPRoute, Gateway, Certificate, CertificateRequest, Issuer, ClusterIssuer, Order,
        Challenge,
    )
}  # fmt: skip


def kind_of(key: str) -> type[Object]:
    """The type of a resource: "pods", "pods@namespace", "configmaps@namespace/name"."""
    return KINDS.get(key.partition("@")[0].removesuffix(f".{FORMER_GROUP}"), Object)


def kubernetes_object(resource: str, obj: Any) -> Object | None:
    """An object of `resource` (its plural), every field of its type; None where it is no object."""
    return read(kind_of(resource), obj)
