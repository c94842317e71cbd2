"""The kinds that are served, with the names and subresources that discovery tells of them."""

from __future__ import annotations

from dataclasses import dataclass

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API; `short` are kubectl's abbreviations."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = tuple(VERBS)

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """What the store calls it: its plural, with the group where two groups have one."""
        return f"{self.plural}.{self.group}" if self.group == LEGACY_GROUP else self.plural

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition brings it; its list items keep kind and version."""
        return self.group in CUSTOM_GROUPS


LEGACY_GROUP = "traefik.containo.us"  # of Traefik v2: version 3 reads none of it
CERT_MANAGER = frozenset({"cert-manager.io", "acme.cert-manager.io"})
CUSTOM_GROUPS = CERT_MANAGER | {"traefik.io", LEGACY_GROUP, "gateway.networking.k8s.io"}
# Groups whose CustomResourceDefinitions an ordinary cluster does not have.
UNSERVED = CERT_MANAGER | {LEGACY_GROUP}

_ALL = ("all",)
_STATUS = ("status",)


def _core(
    plural: str,
    kind: str,
    *short: str,
    subresources: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
) -> Resource:
    return Resource(
        "", "v1", plural, kind, short=short, subresources=subresources, categories=categories
    )


def _apps(plural: str, kind: str, short: str) -> Resource:
    return Resource(
        "apps", "v1", plural, kind, short=(short,), subresources=_STATUS, categories=_ALL
    )


def _traefik(plural: str, kind: str, group: str = "traefik.io") -> Resource:
    return Resource(group, "v1alpha1", plural, kind)


def _issuing(plural: str, kind: str, group: str = "cert-manager.io") -> Resource:
    return Resource(group, "v1", plural, kind, plural != "clusterissuers", subresources=_STATUS)


def _review(plural: str, kind: str, group: str = "authorization.k8s.io") -> Resource:
    return Resource(group, "v1", plural, kind, namespaced=False, verbs=("create",))


_NETWORKING = "networking.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"

RESOURCES: tuple[Resource, ...] = (
    _core("pods", "Pod", "po", subresources=("log", "proxy", "status"), categories=_ALL),
    _core("services", "Service", "svc", subresources=("proxy", "status"), categories=_ALL),
    _core("endpoints", "Endpoints", "ep"),
    _core("secrets", "Secret"),
    _core("configmaps", "ConfigMap", "cm"),
    _core("events", "Event", "ev"),
    _core("serviceaccounts", "ServiceAccount", "sa"),
    Resource("", "v1", "nodes", "Node", namespaced=False, short=("no",), subresources=_STATUS),
    Resource(
        "", "v1", "namespaces", "Namespace", namespaced=False, short=("ns",), subresources=_STATUS
    ),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Resource(_NETWORKING, "v1", "ingresses", "Ingress", short=("ing",), subresources=_STATUS),
    Resource(_NETWORKING, "v1", "ingressclasses", "IngressClass", namespaced=False),
    Resource(_NETWORKING, "v1", "networkpolicies", "NetworkPolicy", short=("netpol",)),
    _apps("deployments", "Deployment", "deploy"),
    _apps("daemonsets", "DaemonSet", "ds"),
    _apps("replicasets", "ReplicaSet", "rs"),
    _apps("statefulsets", "StatefulSet", "sts"),
    _traefik("ingressroutes", "IngressRoute"),
    _traefik("ingressroutetcps", "IngressRouteTCP"),
    _traefik("ingressrouteudps", "IngressRouteUDP"),
    _traefik("middlewares", "Middleware"),
    _traefik("middlewaretcps", "MiddlewareTCP"),
    _traefik("tlsoptions", "TLSOption"),
    _traefik("tlsstores", "TLSStore"),
    _traefik("traefikservices", "TraefikService"),
    _traefik("serverstransports", "ServersTransport"),
    _traefik("serverstransporttcps", "ServersTransportTCP"),
    _traefik("ingressroutes", "IngressRoute", LEGACY_GROUP),
    _traefik("ingressroutetcps", "IngressRouteTCP", LEGACY_GROUP),
    _traefik("ingressrouteudps", "IngressRouteUDP", LEGACY_GROUP),
    _traefik("middlewaretcps", "MiddlewareTCP", LEGACY_GROUP),
    _traefik("middlewares", "Middleware", LEGACY_GROUP),
    _traefik("tlsoptions", "TLSOption", LEGACY_GROUP),
    _traefik("tlsstores", "TLSStore", LEGACY_GROUP),
    _traefik("traefikservices", "TraefikService", LEGACY_GROUP),
    _traefik("serverstransports", "ServersTransport", LEGACY_GROUP),
    Resource(_GATEWAY, "v1", "gateways", "Gateway", short=("gtw",), subresources=_STATUS),
    Resource(_GATEWAY, "v1", "httproutes", "HTTPRoute", subresources=_STATUS),
    Resource(_GATEWAY, "v1", "gatewayclasses", "GatewayClass", namespaced=False, short=("gc",)),
    _issuing("certificates", "Certificate"),
    _issuing("certificaterequests", "CertificateRequest"),
    _issuing("issuers", "Issuer"),
    _issuing("clusterissuers", "ClusterIssuer"),
    _issuing("orders", "Order", "acme.cert-manager.io"),
    _issuing("challenges", "Challenge", "acme.cert-manager.io"),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        short=("crd", "crds"),
    ),
    _review("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _review("selfsubjectreviews", "SelfSubjectReview", group="authentication.k8s.io"),
)

BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
BY_KIND = {(r.api_version, r.kind): r for r in RESOURCES}
BY_KEY = {r.key: r for r in RESOURCES}
