"""What makes the real Traefik write its errors and warnings: objects, files and arguments.

Each object that is at fault has a name of its own, so that a line can be held against it. A scene
is one process; `record` runs one and gives its log and the errors that its API shows.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from hopcheck.lab.apiserver import kinds
from tests.behaviour.real_traefik import free_ports
from tests.behaviour.test_routes_real import custom, ingress, ingress_class, path, route, service
from tests.lab.serving import ADMIN, NOBODY, READER, Serving

Obj = dict[str, Any]

ROUTER = "traefik.ingress.kubernetes.io/router."
NGINX = "nginx.ingress.kubernetes.io/"
GATEWAY = "gateway.networking.k8s.io"


def secret(name: str, kind: str = "Opaque", **data: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"namespace": "one", "name": name},
        "data": data,
    }


def _one(name: str, host: str = "", note: str = "", value: str = "", **more: Any) -> Obj:
    """An Ingress with one rule, and one annotation of Traefik's routers."""
    notes = {f"{ROUTER}{note}": value} if note else {}
    return ingress(name, (host or f"{name}.example", [path("/")]), notes=notes, **more)


def _tls(secret_name: str, host: str = "x.example") -> list[Obj]:
    return [{"hosts": [host], "secretName": secret_name}]


def _middleware(name: str, **spec: Any) -> Obj:
    return custom("Middleware", name, spec)


def _ir(name: str, *services: Obj, match: str = "", tls: Obj | None = None, **more: Any) -> Obj:
    spec: Obj = {"routes": [route(match or f"Host(`{name}.example`)", *services, **more)]}
    if tls is not None:
        spec["tls"] = tls
    return custom("IngressRoute", name, spec)


def _port(port: int = 80, number: int | str | None = None) -> Obj:
    return {"name": "app", "port": number or port}


def _tcp(name: str, *services: Obj, match: str = "HostSNI(`*`)", **spec: Any) -> Obj:
    one: Obj = {"match": match, "services": list(services) or [{"name": "app", "port": 80}]}
    middlewares = spec.pop("middlewares", None)
    if middlewares:
        one["middlewares"] = middlewares
    return custom("IngressRouteTCP", name, {"routes": [one], **spec})


def _udp(name: str, *services: Obj, **spec: Any) -> Obj:
    return custom("IngressRouteUDP", name, {"routes": [{"services": list(services)}], **spec})


def _backed(name: str) -> list[Obj]:
    """Endpoints of a Service, as the older and the newer versions read them."""
    meta = {"namespace": "one", "name": name}
    ports = [{"name": "http", "port": 9}]
    sliced = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
    }
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": ports}]
    return [
        sliced,
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets},
    ]


INGRESSES: list[Obj] = [
    ingress_class("traefik"),
    *service("one", "app", 1),
    *service("one", "lonely", 3),
    *service("two", "app", 2),
    *_backed("app"),
    *_backed("transported"),
    {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "one", "name": "outside"},
     "spec": {"type": "ExternalName", "externalName": "outside.example",
              "ports": [{"name": "http", "port": 80}]}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "one", "name": "headless"},
     "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "one", "name": "native",
        "annotations": {"traefik.ingress.kubernetes.io/service.nativelb": "true"}},
     "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}},
    secret("empty"),
    secret("half", "kubernetes.io/tls", **{"tls.crt": "", "tls.key": ""}),
    secret("garbage", "kubernetes.io/tls", **{"tls.crt": "bm90IGEgY2VydA==", "tls.key": "bm8="}),
    _one("tls-gone", tls=_tls("gone")),
    _one("tls-empty", tls=_tls("empty")),
    _one("tls-half", tls=_tls("half")),
    _one("tls-garbage", tls=_tls("garbage")),
    _one("bad-priority", note="priority", value="high"),
    ingress("no-service", ("no-service.example", [path("/", "gone")])),
    ingress("no-port", ("no-port.example", [path("/", port=81)])),
    ingress("no-endpoints", ("no-endpoints.example", [path("/", "lonely")])),
    ingress("external", ("external.example", [path("/", "outside")])),
    ingress("headless", ("headless.example", [path("/", "native")])),
    ingress("default-one", defaultBackend={"service": {"name": "app", "port": {"number": 80}}}),
    ingress("default-two", defaultBackend={"service": {"name": "app", "port": {"number": 80}}}),
    ingress("default-gone", defaultBackend={"service": {"name": "gone", "port": {"number": 80}}}),
    _one("bad-matcher", note="pathmatcher", value="Nonsense"),
    _one("no-middleware", note="middlewares", value="one-gone@kubernetescrd"),
    _one("no-provider", note="middlewares", value="gone@file"),
    _one("no-entrypoint", note="entrypoints", value="nowhere"),
    _one("no-entrypoint-too", note="entrypoints", value="web,nowhere"),
    _one("no-resolver", note="tls.certresolver", value="gone"),
    _one("no-options", note="tls.options", value="one-gone@kubernetescrd"),
    _one("high-priority", note="priority", value="9223372036854775807"),
    _one("options-a", "shared.example", note="tls.options", value="one-strict@kubernetescrd"),
    _one("options-b", "shared.example", note="tls", value="true"),
    ingress("no-domain", ("", [path("/no-domain")]),
            notes={f"{ROUTER}tls": "true", f"{ROUTER}tls.options": "one-strict@kubernetescrd"}),
    _one("umlaut", "bücher.example", note="tls", value="true"),
    _one("old-syntax", note="rulesyntax", value="v2"),
    _one("mail.domain", note="tls.certresolver", value="unreachable"),
    ingress("no-transport", ("no-transport.example", [path("/", "transported")])),
    {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "one", "name": "transported",
        "annotations": {"traefik.ingress.kubernetes.io/service.serverstransport":
                        "one-gone@kubernetescrd"}},
     "spec": {"clusterIP": "10.96.9.9", "ports": [{"name": "http", "port": 80}]}},
]  # fmt: skip

# Up to 3.5.3 one of these makes the whole provider panic, and again at each attempt.
BACKENDS: list[Obj] = [
    ingress_class("traefik"),
    ingress("default-resource", defaultBackend={"resource": {"kind": "Bucket", "name": "x"}}),
    ingress("default-nothing", defaultBackend={}),
    ingress("resource", ("resource.example", [
        {"path": "/", "pathType": "Prefix", "backend": {"resource": {"kind": "B", "name": "x"}}}])),
    ingress("nothing", ("nothing.example", [{"path": "/", "pathType": "Prefix", "backend": {}}])),
]  # fmt: skip

# From 3.0 to 3.5 Traefik builds a service that names itself without an end.
ENDLESS = ("self", "r-self")

CUSTOM: list[Obj] = [
    _middleware("basic", basicAuth={"secret": "gone"}),
    _middleware("digest", digestAuth={"secret": "gone"}),
    _middleware("digest-empty", digestAuth={"secret": "empty"}),
    _middleware("forward", forwardAuth={"address": "http://127.0.0.1:9", "tls": {
        "caSecret": "gone"}}),
    _middleware("forward-nowhere", forwardAuth={}),
    _middleware("pages", errors={"status": ["500"], "query": "/", "service": {
        "name": "gone", "port": 80}}),
    _middleware("plugged", plugin={"p": {"key": "urn:k8s:secret:gone:key"}}),
    _middleware("plugged-too", plugin={"unknown": {"a": "b"}}),
    _middleware("limit", rateLimit={"period": "often"}),
    _middleware("again", retry={"attempts": 1, "initialInterval": "soon"}),
    _middleware("breaker", circuitBreaker={"expression": "x", "checkPeriod": "often"}),
    _middleware("breaker-rule", circuitBreaker={"expression": "Nonsense()"}),
    _middleware("chained", chain={"middlewares": [{"name": "m", "namespace": "two"}]}),
    _middleware("chained-file", chain={"middlewares": [{"name": "m@file", "namespace": "two"}]}),
    _middleware("circle", chain={"middlewares": [{"name": "circle"}]}),
    _middleware("both", stripPrefix={"prefixes": ["/a"]}, addPrefix={"prefix": "/b"}),
    _middleware("no-kind"),
    _middleware("white", ipWhiteList={"sourceRange": ["127.0.0.1/32"]}),
    _middleware("allow", ipAllowList={"sourceRange": ["nonsense"]}),
    _middleware("regex", redirectRegex={"regex": "(", "replacement": "x"}),
    _middleware("slash", stripPrefix={"prefixes": ["/a"], "forceSlash": True}),
    _middleware("typed", contentType={"autoDetect": True}),
    _middleware("trusting", forwardAuth={"address": "http://127.0.0.1:9", "tls": {
        "caOptional": True}}),
    _middleware("deprecated", headers={"sslRedirect": True, "sslHost": "x",
        "sslTemporaryRedirect": True, "sslForceHost": True, "featurePolicy": "x"}),
    *[_ir(f"uses-{name}", middlewares=[{"name": name}]) for name in (
        "basic", "plugged-too", "breaker-rule", "circle", "both", "no-kind", "white", "allow",
        "regex", "slash", "typed", "trusting", "deprecated")],
    custom("MiddlewareTCP", "white-tcp", {"ipWhiteList": {"sourceRange": ["127.0.0.1/32"]}}),
    custom("MiddlewareTCP", "allow-tcp", {"ipAllowList": {"sourceRange": ["nonsense"]}}),
    custom("TraefikService", "mirror", {"mirroring": {"name": "gone", "port": 80}}),
    custom("TraefikService", "weighted", {"weighted": {"services": [{"name": "gone",
        "port": 80}]}}),
    custom("TraefikService", "nothing", {}),
    custom("TraefikService", "self", {"weighted": {"services": [
        {"name": "self", "kind": "TraefikService"}]}}),
    custom("ServersTransport", "roots", {"rootCAsSecrets": ["gone"]}),
    custom("ServersTransport", "roots-new", {"rootCAs": [{"secret": "gone"}]}),
    custom("ServersTransport", "roots-map", {"rootCAs": [{"configMap": "gone"}]}),
    custom("ServersTransport", "roots-both", {"rootCAs": [{"configMap": "a", "secret": "b"}]}),
    custom("ServersTransport", "certs", {"certificatesSecrets": ["gone"]}),
    custom("ServersTransport", "dial", {"forwardingTimeouts": {"dialTimeout": "soon"}}),
    custom("ServersTransport", "header", {"forwardingTimeouts": {"responseHeaderTimeout": "x"}}),
    custom("ServersTransport", "idle", {"forwardingTimeouts": {"idleConnTimeout": "x"}}),
    custom("ServersTransport", "read", {"forwardingTimeouts": {"readIdleTimeout": "x"}}),
    custom("ServersTransport", "ping", {"forwardingTimeouts": {"pingTimeout": "x"}}),
    custom("ServersTransport", "cipher", {"cipherSuites": ["NONSENSE"]}),
    custom("ServersTransport", "least", {"minVersion": "Nonsense"}),
    custom("ServersTransport", "most", {"maxVersion": "Nonsense"}),
    custom("ServersTransport", "crossed", {"minVersion": "VersionTLS13",
                                           "maxVersion": "VersionTLS12"}),
    custom("ServersTransport", "spiffe", {"spiffe": {"ids": ["spiffe://a.example/b"]}}),
    custom("ServersTransportTCP", "tcp-roots", {"tls": {"rootCAsSecrets": ["gone"]}}),
    custom("ServersTransportTCP", "tcp-roots-new", {"tls": {"rootCAs": [{"secret": "gone"}]}}),
    custom("ServersTransportTCP", "tcp-roots-map", {"tls": {"rootCAs": [{"configMap": "gone"}]}}),
    custom("ServersTransportTCP", "tcp-roots-both", {"tls": {"rootCAs": [
        {"configMap": "a", "secret": "b"}]}}),
    custom("ServersTransportTCP", "tcp-certs", {"tls": {"certificatesSecrets": ["gone"]}}),
    custom("ServersTransportTCP", "tcp-dial", {"dialTimeout": "soon"}),
    custom("ServersTransportTCP", "tcp-keep", {"dialKeepAlive": "soon"}),
    custom("ServersTransportTCP", "tcp-end", {"terminationDelay": "soon"}),
    custom("TLSOption", "strict", {"minVersion": "VersionTLS12"}),
    custom("TLSOption", "clients", {"clientAuth": {"secretNames": ["gone"]}}),
    custom("TLSOption", "clients-empty", {"clientAuth": {"secretNames": ["empty"]}}),
    custom("TLSOption", "prefers", {"preferServerCipherSuites": True}),
    custom("TLSOption", "cipher", {"cipherSuites": ["NONSENSE"]}),
    _ir("uses-cipher", tls={"options": {"name": "cipher"}}),
    custom("TLSOption", "default", {}),
    custom("TLSOption", "default", {}, namespace="two"),
    custom("TLSStore", "store", {"defaultCertificate": {"secretName": "gone"}}),
    custom("TLSStore", "store-empty", {"defaultCertificate": {"secretName": "empty"}}),
    custom("TLSStore", "store-list", {"certificates": [{"secretName": "gone"}]}),
    custom("TLSStore", "default", {"defaultCertificate": {"secretName": "garbage"},
                                   "defaultGeneratedCert": {"resolver": "unreachable"}}),
    custom("TLSStore", "default", {}, namespace="two"),
    _ir("r-tls", tls={"secretName": "gone"}),
    {**_ir("r-kind"), "spec": {"routes": [{"kind": "Path", "match": "Host(`a`)"}]}},
    {**_ir("r-empty"), "spec": {"routes": [{"kind": "Rule", "match": ""}]}},
    _ir("r-syntax", match="Host('r-syntax.example')"),
    _ir("r-matcher", match="Nonsense(`x`)"),
    _ir("r-old-regexp", match="HostRegexp(`{a:[a-z]+}.example`)"),
    _ir("r-regexp", match="PathRegexp(`(`)"),
    _ir("r-cross", middlewares=[{"name": "m", "namespace": "two"}]),
    _ir("r-cross-file", middlewares=[{"name": "m@file", "namespace": "two"}]),
    _ir("r-gone", middlewares=[{"name": "gone"}]),
    _ir("r-service", {"name": "gone", "port": 80}),
    _ir("r-port", {"name": "app", "port": 81}),
    _ir("r-no-port", {"name": "app"}),
    _ir("r-namespace", {"name": "app", "namespace": "two", "port": 80}),
    _ir("r-external", {"name": "outside", "port": 80}),
    _ir("r-headless", {"name": "headless", "port": 80, "nativeLB": True}),
    _ir("r-scheme", {"name": "app", "port": 80, "scheme": "ftp"}),
    _ir("r-alone", {"name": "lonely", "port": 80}),
    _ir("r-strategy", {"name": "app", "port": 80, "strategy": "Nonsense"}),
    _ir("r-robin", {"name": "app", "port": 80, "strategy": "RoundRobin"}),
    _ir("r-kind-service", {"name": "app", "kind": "Nonsense", "port": 80}),
    _ir("r-transport", {"name": "app", "port": 80, "serversTransport": "gone"}),
    _ir("r-spiffe", {"name": "app", "port": 80, "serversTransport": "spiffe"}),
    _ir("r-transport-cross", {"name": "app", "port": 80,
                              "serversTransport": "two-x@kubernetescrd"}),
    _ir("r-file", {"name": "gone@file", "kind": "TraefikService", "namespace": "two"}),
    _ir("r-api", {"name": "rest@internal", "kind": "TraefikService"}),
    _ir("r-self", {"name": "self", "kind": "TraefikService"}),
    _ir("r-option", tls={"options": {"name": "x", "namespace": "two"}}),
    _ir("r-option-gone", tls={"options": {"name": "gone"}}),
    _ir("r-option-file", tls={"options": {"name": "x@file", "namespace": "two"}}),
    _ir("r-resolver", tls={"certResolver": "gone"}),
    _ir("r-acme", tls={"certResolver": "unreachable"}),
    _ir("r-acme-rule", match="PathPrefix(`/acme`)", tls={"certResolver": "unreachable"}),
    _ir("r-acme-wild", tls={"certResolver": "unreachable", "domains": [
        {"main": "*.wild.example"}, {"main": "a.wild.example"}, {"main": "b.wild.example."},
        {"main": "c.example", "sans": ["d.example"]}, {"main": "d.example"}]}),
    _ir("r-acme-bad", match="Host('x')", tls={"certResolver": "unreachable"}),
    _ir("r-acme-same", tls={"certResolver": "unreachable", "domains": [
        {"main": "dup.example"}, {"main": "dup.example"}]}),
    _ir("r-skipped", tls={"certResolver": "open"}),
    custom("IngressRoute", "r-entry", {"entryPoints": ["nowhere"], "routes": [
        route("Host(`r-entry.example`)")]}),
    custom("IngressRoute", "r-class", {"routes": [route("Host(`r-class.example`)")]},
           annotations={"kubernetes.io/ingress.class": "traefik"}),
    custom("IngressRoute", "r-parent", {"parentRefs": [{"name": "gone"}], "routes": [
        route("Host(`r-parent.example`)")]}),
    _ir("r-priority", priority=9223372036854775807),
    _ir("r-old", syntax="v2"),
    _ir("r-plus", match="Host(`bücher.example`)", tls={}),
    _tcp("t-tls", tls={"secretName": "gone"}),
    _tcp("t-empty", match=""),
    _tcp("t-cross", middlewares=[{"name": "m", "namespace": "two"}]),
    _tcp("t-file", middlewares=[{"name": "m@file", "namespace": "two"}]),
    _tcp("t-gone", middlewares=[{"name": "gone"}]),
    _tcp("t-white", middlewares=[{"name": "white-tcp"}], entryPoints=["other"]),
    _tcp("t-allow", middlewares=[{"name": "allow-tcp"}], entryPoints=["other"]),
    _tcp("t-service", {"name": "gone", "port": 80}),
    _tcp("t-port", {"name": "app", "port": 81}),
    _tcp("t-namespace", {"name": "app", "namespace": "two", "port": 80}),
    _tcp("t-external", {"name": "outside", "port": 80}),
    _tcp("t-delay", {"name": "app", "port": 80, "terminationDelay": 5,
                     "proxyProtocol": {"version": 1}}, match="HostSNI(`t-delay.example`)", tls={}),
    _tcp("t-transport", {"name": "app", "port": 80, "serversTransport": "gone"}),
    _tcp("t-option", tls={"options": {"name": "x", "namespace": "two"}}),
    _tcp("t-option-gone", tls={"options": {"name": "gone"}}, match="HostSNI(`o.example`)"),
    _tcp("t-option-file", tls={"options": {"name": "x@file", "namespace": "two"}}),
    _tcp("t-sni", match="HostSNI(`sni.example`)"),
    _tcp("t-syntax", match="HostSNI('a')"),
    _tcp("t-entry", entryPoints=["nowhere"]),
    _tcp("t-resolver", tls={"certResolver": "gone"}, match="HostSNI(`r.example`)"),
    custom("IngressRouteTCP", "t-class", {"routes": []},
           annotations={"kubernetes.io/ingress.class": "traefik"}),
    _udp("u-service", {"name": "gone", "port": 80}, entryPoints=["datagrams"]),
    _udp("u-port", {"name": "app", "port": 81}, entryPoints=["datagrams"]),
    _udp("u-entry", {"name": "app", "port": 80}, entryPoints=["nowhere"]),
    _udp("u-one", {"name": "app", "port": 80}, entryPoints=["datagrams"]),
    _udp("u-two", {"name": "app", "port": 80}, entryPoints=["datagrams"]),
    custom("IngressRouteUDP", "u-class", {"routes": []},
           annotations={"kubernetes.io/ingress.class": "traefik"}),
]  # fmt: skip


def _nginx(name: str, *rules: tuple[str, list[Obj]], **notes: str) -> Obj:
    """An Ingress of the class nginx, with annotations of ingress-nginx (`_` stands for `-`)."""
    written = {f"{NGINX}{key.replace('_', '-')}": value for key, value in notes.items()}
    shown = rules or ((f"{name}.example", [path("/")]),)
    return ingress(name, *shown, cls="nginx", notes=written)


NGINXES: list[Obj] = [
    ingress_class("nginx", "k8s.io/ingress-nginx"),
    *service("one", "app", 1),
    *_backed("app"),
    secret("empty"),
    _nginx("n-type", auth_type="nonsense", auth_secret="one/empty"),
    _nginx("n-secret", auth_type="basic", auth_secret="gone"),
    _nginx("n-secret-empty", auth_type="basic", auth_secret="empty"),
    _nginx("n-service", ("n-service.example", [path("/", "gone")])),
    _nginx("n-port", ("n-port.example", [path("/", port=81)])),
    _nginx("n-proxy-ssl", proxy_ssl_secret="one/gone", backend_protocol="HTTPS"),
    _nginx("n-proxy-form", proxy_ssl_secret="gone", backend_protocol="HTTPS"),
    _nginx("n-tls-auth", auth_tls_secret="one/gone"),
    _nginx("n-headers", custom_headers="one/gone"),
    _nginx("n-passthrough", ("", [path("/")]), ssl_passthrough="true"),
    _nginx("n-passthrough-gone", ("pg.example", [path("/", "gone")]), ssl_passthrough="true"),
    _nginx("n-passthrough-none", ("pn.example", [path("/other")]), ssl_passthrough="true"),
    _nginx("n-http-1", proxy_http_version="1.0"),
    _nginx("n-http-9", proxy_http_version="9"),
    _nginx("n-buffer", client_body_buffer_size="x", proxy_body_size="x", proxy_buffer_size="x",
           proxy_max_temp_file_size="x", proxy_buffering="on", proxy_request_buffering="on"),
    _nginx("n-retry", proxy_next_upstream="error", proxy_next_upstream_tries="2",
           proxy_body_size="x"),
    _nginx("n-snippet", configuration_snippet="deny all;"),
    _nginx("n-auth-url", auth_url=""),
    _nginx("n-canary", canary="true", canary_weight="10"),
    _nginx("n-base", ("base.example", [path("/")])),
    _nginx("n-canary-one", ("base.example", [path("/")]), canary="true", canary_weight="10"),
    _nginx("n-canary-two", ("base.example", [path("/")]), canary="true", canary_weight="10"),
    _nginx("n-modsecurity", enable_modsecurity="true"),
    {**_nginx("n-tls"), "spec": {**_nginx("n-tls")["spec"], "tls": _tls("gone", "n-tls.example")}},
    {**_nginx("n-pass-tls", ssl_passthrough="true"),
     "spec": {**_nginx("n-pass-tls")["spec"], "tls": _tls("gone", "n-pass-tls.example")}},
    ingress("n-default", cls="nginx",
            defaultBackend={"service": {"name": "gone", "port": {"number": 80}}}),
    _nginx("n-resource", ("nr.example", [
        {"path": "/", "pathType": "Prefix", "backend": {"resource": {"kind": "B", "name": "x"}}}])),
]  # fmt: skip


def _gateway(kind: str, name: str, spec: Obj, version: str = "v1", **meta: Any) -> Obj:
    meta = {"namespace": "one", "generation": 1, "uid": name, **meta, "name": name}
    return {"apiVersion": f"{GATEWAY}/{version}", "kind": kind, "metadata": meta, "spec": spec}


def _http_route(
    name: str, to: Obj | None = None, *, kind: str = "HTTPRoute", filters: Any = ()
) -> Obj:
    target = {"name": "app", "port": 80, "kind": "Service", "group": "", "weight": 1, **(to or {})}
    rule: Obj = {"filters": list(filters), "backendRefs": [target]}
    if kind == "HTTPRoute":
        rule["matches"] = [{"path": {"type": "PathPrefix", "value": f"/{name}"}}]
    parents = [{"name": "front", "kind": "Gateway", "group": GATEWAY}]
    return _gateway(kind, name, {"parentRefs": parents, "rules": [rule]})


_ANY: Obj = {"namespaces": {"from": "All"}}
GATEWAYS: list[Obj] = [
    *service("one", "app", 1),
    *_backed("app"),
    _gateway("GatewayClass", "traefik", {"controllerName": "traefik.io/gateway-controller"}),
    _gateway("Gateway", "front", {"gatewayClassName": "traefik", "listeners": [
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": _ANY}]}),
    _gateway("Gateway", "wrong-port", {"gatewayClassName": "traefik", "listeners": [
        {"name": "http", "port": 81, "protocol": "HTTP", "allowedRoutes": _ANY}]}),
    _gateway("Gateway", "no-secret", {"gatewayClassName": "traefik", "listeners": [
        {"name": "https", "port": 443, "protocol": "HTTPS", "allowedRoutes": _ANY,
         "tls": {"mode": "Terminate", "certificateRefs": [
             {"name": "gone", "kind": "Secret", "group": ""}]}}]}),
    _gateway("Gateway", "passes", {"gatewayClassName": "traefik", "listeners": [
        {"name": "tls", "port": 443, "protocol": "TLS", "allowedRoutes": _ANY,
         "tls": {"mode": "Passthrough", "certificateRefs": [
             {"name": "gone", "kind": "Secret", "group": ""}]}}]}),
    _http_route("h-service", {"name": "gone"}),
    _http_route("h-port", {"port": 81}),
    _http_route("h-kind", {"kind": "X", "group": "x.example"}),
    _http_route("h-filter", filters=[{"type": "Nonsense"}]),
    _http_route("h-extension", filters=[{"type": "ExtensionRef", "extensionRef": {
        "group": "x.example", "kind": "X", "name": "x"}}]),
    _http_route("h-traefik", {"kind": "X", "group": "traefik.io"}),
    _http_route("g-filter", kind="GRPCRoute", filters=[{"type": "Nonsense"}]),
]  # fmt: skip

# What the Gateway provider lists and the lab's API server does not serve.
EXTRA = tuple(
    kinds.Resource(GATEWAY, version, plural, kind, subresources=("status",))
    for version, plural, kind in (
        ("v1", "grpcroutes", "GRPCRoute"),
        ("v1beta1", "referencegrants", "ReferenceGrant"),
        ("v1alpha3", "backendtlspolicies", "BackendTLSPolicy"),
        ("v1", "backendtlspolicies", "BackendTLSPolicy"),
        ("v1alpha2", "tcproutes", "TCPRoute"),
        ("v1alpha2", "tlsroutes", "TLSRoute"),
        ("v1", "tlsroutes", "TLSRoute"),
    )
)

# 2.11 also lists the former group, and the Gateway API's alpha; they hold the same objects here.
FORMER = tuple(
    (group, "v1alpha1" if group != GATEWAY else "v1alpha2", one.plural, one)
    for one in kinds.RESOURCES
    for group in ("traefik.containo.us", GATEWAY)
    if one.group == ("traefik.io" if group != GATEWAY else GATEWAY)
)

FILE = """
http:
  routers:
    f-middleware: {rule: "Host(`a`)", service: ok, middlewares: [gone]}
    f-service: {rule: "Host(`b`)", service: gone}
    f-none: {rule: "Host(`c`)"}
    f-rule: {rule: "Nonsense(`x`)", service: ok}
    f-entry: {rule: "Host(`d`)", service: ok, entryPoints: [nowhere]}
    f-two: {rule: "Host(`e`)", service: two-types}
    f-typeless: {rule: "Host(`f`)", service: typeless}
    f-transport: {rule: "Host(`g`)", service: lost}
    f-url: {rule: "Host(`h`)", service: url}
    f-plugin: {rule: "Host(`i`)", service: ok, middlewares: [plugged]}
    f-checked: {rule: "Host(`j`)", service: checked}
    f-negative: {rule: "Host(`k`)", service: negative}
    f-forward: {rule: "Host(`forward`)", service: ok, middlewares: [forward]}
    f-limit: {rule: "Host(`limit`)", service: ok, middlewares: [limit]}
    f-resolver: {rule: "Host(`m`)", service: ok, tls: {certResolver: gone}}
    f-broken-tls: {rule: "Host(`n`)", service: broken-tls}
    f-failover: {rule: "Host(`o`)", service: failing}
    f-weighted-check: {rule: "Host(`p`)", service: weighted}
    f-down: {rule: "Host(`down`)", service: down}
    f-up: {rule: "Host(`replace`)", service: ok, middlewares: [replace]}
    f-pages: {rule: "Host(`pages`)", service: down, middlewares: [pages]}
  services:
    ok: {loadBalancer: {servers: [{url: "http://127.0.0.1:9"}]}}
    down: {loadBalancer: {servers: [{url: "http://127.0.0.1:9"}]}}
    two-types: {loadBalancer: {servers: [{url: "http://127.0.0.1:9"}]}, weighted: {services: []}}
    typeless: {}
    lost: {loadBalancer: {serversTransport: gone, servers: [{url: "http://127.0.0.1:9"}]}}
    broken-tls: {loadBalancer: {serversTransport: broken, servers: [{url: "http://127.0.0.1:9"}]}}
    url: {loadBalancer: {servers: [{url: "http://%zz"}]}}
    checked: {loadBalancer: {healthCheck: {path: /, interval: 1s, timeout: 1s},
              servers: [{url: "http://127.0.0.1:9"}]}}
    negative: {loadBalancer: {healthCheck: {path: /, interval: -1s, timeout: -1s},
               servers: [{url: "http://127.0.0.1:9"}]}}
    failing: {failover: {service: ok, fallback: ok, healthCheck: {}}}
    weighted: {weighted: {services: [{name: ok}], healthCheck: {}}}
  middlewares:
    plugged: {plugin: {unknown: {a: b}}}
    forward: {forwardAuth: {address: "http://127.0.0.1:9"}}
    limit: {rateLimit: {average: 1, sourceCriterion: {requestHeaderName: X-None}}}
    replace: {replacePathRegex: {regex: "^/(.*)", replacement: "/%zz"}}
    pages: {errors: {status: ["502"], service: gone, query: "/"}}
  serversTransports:
    broken: {rootCAs: [/nowhere/ca.pem], certificates: [{certFile: /nowhere, keyFile: /nowhere}]}
tcp:
  routers:
    ft-service: {rule: "HostSNI(`*`)", service: gone, entryPoints: [other]}
    ft-none: {rule: "HostSNI(`*`)", entryPoints: [other]}
    ft-address: {rule: "HostSNI(`*`)", service: address, entryPoints: [other]}
    ft-middleware: {rule: "HostSNI(`*`)", service: ok, entryPoints: [other], middlewares: [gone]}
    ft-down: {rule: "HostSNI(`*`)", service: down, entryPoints: [raw]}
  services:
    ok: {loadBalancer: {servers: [{address: "127.0.0.1:9"}]}}
    down: {loadBalancer: {servers: [{address: "127.0.0.1:9"}]}}
    address: {loadBalancer: {servers: [{address: "nonsense"}]}}
  middlewares: {few: {inFlightConn: {amount: 1}}}
  serversTransports: {plain: {dialTimeout: 1s}}
udp:
  routers:
    fu-service: {service: gone, entryPoints: [packets]}
  services:
    address: {loadBalancer: {servers: [{address: "nonsense"}]}}
tls:
  certificates: [{certFile: /nowhere/cert.pem, keyFile: /nowhere/key.pem}]
  stores: {default: {defaultCertificate: {certFile: /nowhere/a.pem, keyFile: /nowhere/b.pem}}}
  options:
    default: {minVersion: VersionTLS12}
    clients: {clientAuth: {caFiles: [/nowhere/ca.pem]}}
"""
TWICE = """
http:
  routers: {f-service: {rule: "Host(`x`)", service: ok}}
  services: {ok: {loadBalancer: {servers: [{url: "http://127.0.0.1:8"}]}}}
  middlewares: {forward: {addPrefix: {prefix: /x}}}
  serversTransports: {broken: {serverName: x}}
tcp:
  routers: {ft-none: {rule: "HostSNI(`x`)", service: ok}}
  services: {ok: {loadBalancer: {servers: [{address: "127.0.0.1:8"}]}}}
  middlewares: {few: {inFlightConn: {amount: 2}}}
  serversTransports: {plain: {dialTimeout: 2s}}
udp:
  routers: {fu-service: {service: other, entryPoints: [packets]}}
  services: {address: {loadBalancer: {servers: [{address: "127.0.0.1:8"}]}}}
tls:
  certificates: [{certFile: /nowhere/cert.pem, keyFile: /nowhere/key.pem}]
  stores: {default: {defaultCertificate: {certFile: /nowhere/c.pem, keyFile: /nowhere/d.pem}}}
  options: {default: {minVersion: VersionTLS13}}
"""
# What 3.6 and later know beside it.
NEW = """
http:
  routers:
    f-forward-body: {rule: "Host(`q`)", service: ok, middlewares: [forward-body]}
    f-unhealthy: {rule: "Host(`r`)", service: unhealthy}
    child-gone: {rule: "Path(`/a`)", service: ok, parentRefs: [gone]}
    parent: {rule: "Host(`s`)"}
    child-fine: {rule: "Path(`/b`)", service: ok, parentRefs: [parent]}
    child-tls: {rule: "Path(`/c`)", service: ok, parentRefs: [parent], tls: {}}
    child-entry: {rule: "Path(`/d`)", service: ok, parentRefs: [parent], entryPoints: [web]}
    child-seen: {rule: "Path(`/e`)", service: ok, parentRefs: [parent],
                 observability: {accessLogs: true}}
    child-bad: {rule: "Path(`/f`)", service: gone, parentRefs: [parent]}
    parent-served: {rule: "Host(`t`)", service: ok}
    child-served: {rule: "Path(`/g`)", service: ok, parentRefs: [parent-served]}
    turn-a: {rule: "Path(`/h`)", parentRefs: [turn-b]}
    turn-b: {rule: "Path(`/i`)", parentRefs: [turn-a]}
  services:
    unhealthy: {loadBalancer: {healthCheck: {path: /, unhealthyInterval: -1s},
                servers: [{url: "http://127.0.0.1:9"}]}}
  middlewares:
    forward-body: {forwardAuth: {address: "http://127.0.0.1:9", forwardBody: true}}
tcp:
  routers:
    ft-checked: {rule: "HostSNI(`a`)", service: checked, entryPoints: [other], tls: {}}
    ft-negative: {rule: "HostSNI(`b`)", service: negative, entryPoints: [other], tls: {}}
  services:
    checked: {loadBalancer: {healthCheck: {interval: 1s, timeout: 1s},
              servers: [{address: "127.0.0.1:9"}]}}
    negative: {loadBalancer: {healthCheck: {interval: -1s, timeout: -1s, unhealthyInterval: -1s},
               servers: [{address: "127.0.0.1:9"}]}}
"""
DEFAULTS: list[Obj] = [
    ingress_class("traefik"),
    *service("one", "app", 1),
    *_backed("app"),
    {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "one", "name": "outside"},
     "spec": {"type": "ExternalName", "externalName": "outside.example",
              "ports": [{"name": "http", "port": 80}]}},
    custom("TLSOption", "default", {}),
    custom("TLSStore", "default", {"defaultGeneratedCert": {
        "resolver": "unreachable", "domain": {"main": "generated.example"}}}),
    _one("other-middleware", note="middlewares", value="gone@file"),
    _one("other-options", note="tls.options", value="gone@file"),
    _ir("r-outside", {"name": "outside", "port": 81}),
    _ir("r-other-middleware", middlewares=[{"name": "gone@file"}]),
    _ir("r-other-transport", {"name": "app", "port": 80, "serversTransport": "gone@file"}),
    _ir("r-other-option", tls={"options": {"name": "gone@file"}}),
    _ir("r-other-service", {"name": "gone@file", "kind": "TraefikService"}),
    _tcp("t-other-option", tls={"options": {"name": "gone@file"}}),
    _tcp("t-other-middleware", middlewares=[{"name": "gone@file"}]),
]  # fmt: skip

CLUSTER = {
    "ingresses": [*INGRESSES, *CUSTOM],
    "backends": BACKENDS,
    "defaults": DEFAULTS,
    "nginx": NGINXES,
    "gateway": GATEWAYS,
    "forbidden": [*INGRESSES[:3]],
    "plugins": [],
}


class Recording(NamedTuple):
    log: str
    api: dict[str, list[Obj]]


def _arguments(scene: str, serving: Serving, version: tuple[int, int], work: Path) -> list[str]:
    token = {"forbidden": NOBODY, "gateway": READER, "nginx": READER}.get(scene, ADMIN)
    common = [f"endpoint={serving.server.url}", f"token={token}",
              f"certauthfilepath={serving.ca_file}"]  # fmt: skip
    args: list[str] = []

    def provider(name: str, *more: str) -> None:
        args.extend(f"--providers.{name}.{each}" for each in (*common, *more))

    external = ("allowexternalnameservices",) if scene == "defaults" else ()
    has = version >= (3, 7) or version < (3, 0)
    restricted = ("crossprovidernamespaces=two",) if external and has else ()
    if external:
        args += ["--providers.kubernetescrd.allowcrossnamespace",
                 "--entrypoints.other.http.redirections.entrypoint.to=gone"]  # fmt: skip
    if scene in ("ingresses", "backends", "defaults", "forbidden", "plugins"):
        options = (*external, *restricted)
        provider("kubernetesingress", "ingressendpoint.publishedservice=one/gone", *options)
        provider("kubernetescrd", *options)
    if scene == "plugins":
        args.append("--experimental.localplugins.p.modulename=github.com/gone/gone")
    if scene in ("ingresses", "defaults"):
        directory = work / "files"
        directory.mkdir(exist_ok=True)
        (directory / "a.yml").write_text(FILE)
        (directory / "b.yml").write_text(TWICE)
        if version >= (3, 6):
            (directory / "c.yml").write_text(NEW)
        args.append(f"--providers.file.directory={directory}")
        opened = work / "open.json"
        opened.write_text("")
        opened.chmod(0o666)
        nowhere = "http://127.0.0.1:9/directory"
        for name, storage in (("open", opened), ("unreachable", work / "acme.json")):
            resolver = f"--certificatesresolvers.{name}.acme"
            args += [f"{resolver}.storage={storage}", f"{resolver}.caserver={nowhere}",
                     f"{resolver}.tlschallenge=true",
                     f"{resolver}.email=a@example.org"]  # fmt: skip
    if scene == "nginx":
        provider(
            "kubernetesingressnginx", "publishservice=one/app", "defaultbackendservice=one/gone"
        )
        if version < (3, 6):
            args.append("--experimental.kubernetesingressnginx=true")
    if scene in ("gateway", "forbidden"):
        provider("kubernetesgateway")
        if version < (3, 1):
            args.append("--experimental.kubernetesgateway=true")
    return args


def scenes(version: tuple[int, int]) -> list[str]:
    """The scenes that this version has the providers for."""
    return [scene for scene in CLUSTER if scene != "nginx" or version >= (3, 5)]


@contextlib.contextmanager
def cluster(directory: Path, scene: str, version: tuple[int, int]) -> Iterator[Serving]:
    """The lab's API server with the scene's objects."""
    tables = (kinds.BY_PATH, kinds.BY_KIND, kinds.BY_KEY)
    before = [dict(table) for table in tables]
    if scene == "gateway":
        for one in EXTRA:
            kinds.BY_PATH[one.group, one.version, one.plural] = one
            kinds.BY_KIND[one.api_version, one.kind] = one
            kinds.BY_KEY[one.key] = one
    if version < (3, 0):
        for group, served, plural, one in FORMER:
            kinds.BY_PATH[group, served, plural] = one
    try:
        with Serving(directory) as serving:
            everything = {"apiGroups": ["*"], "resources": ["*"]}
            serving.server.account(
                READER, "reader", [{**everything, "verbs": ["get", "list", "watch"]}]
            )

            async def fill() -> None:
                for name in ("one", "two"):
                    serving.store.put({"apiVersion": "v1", "kind": "Namespace",
                                       "metadata": {"name": name}})  # fmt: skip
                for obj in CLUSTER[scene]:
                    endless = obj["metadata"]["name"] in ENDLESS
                    if not endless or version >= (3, 6) or version < (3, 0):
                        serving.store.put(json.loads(json.dumps(obj)))

            serving.run(fill())
            yield serving
    finally:
        for table, was in zip(tables, before, strict=True):
            table.clear()
            table.update(was)  # type: ignore[arg-type]


def _listen(serving: Serving, ports: dict[int, int]) -> None:
    """The Gateways' ports are those that the entryPoints have here."""

    async def changed() -> None:
        for obj in CLUSTER["gateway"]:
            if obj["kind"] == "Gateway":
                copy = json.loads(json.dumps(obj))
                for one in copy["spec"]["listeners"]:
                    one["port"] = ports.get(one["port"], one["port"])
                serving.store.put(copy)

    serving.run(changed())


KINDS = tuple(f"{protocol}/{what}" for protocol in ("http", "tcp", "udp")
              for what in ("routers", "services", "middlewares"))  # fmt: skip


def _get(port: int, target: str, host: str = "") -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", target, headers={"Host": host} if host else {})
        return connection.getresponse().read()
    finally:
        connection.close()


def record(
    binary: str, version: tuple[int, int], scene: str, serving: Serving, work: Path,
    form: str = "json",
) -> Recording:  # fmt: skip
    """What this Traefik logs of the scene, and what is in error in its API."""
    web, websecure, other, api, raw, datagrams, packets = free_ports(7)
    args = [
        f"--entrypoints.web.address=127.0.0.1:{web}",
        f"--entrypoints.websecure.address=127.0.0.1:{websecure}",
        "--entrypoints.websecure.http.tls",
        f"--entrypoints.other.address=127.0.0.1:{other}",
        f"--entrypoints.raw.address=127.0.0.1:{raw}",
        f"--entrypoints.datagrams.address=127.0.0.1:{datagrams}/udp",
        f"--entrypoints.packets.address=127.0.0.1:{packets}/udp",
        f"--entrypoints.traefik.address=127.0.0.1:{api}",
        "--api.insecure", "--ping", "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--providers.providersthrottleduration=0s", f"--log.format={form}",
        "--log.level=WARN", *(["--log.nocolor"] if version >= (3, 0) and form == "common" else []),
        *_arguments(scene, serving, version, work),
    ]  # fmt: skip
    log = work / f"{scene}-{form}.log"
    if scene == "gateway":
        _listen(serving, {80: web, 443: websecure})
    found: dict[str, list[Obj]] = {}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [binary, *args], stdout=out, stderr=out, env={"PATH": ""}, cwd=work
        )
        try:
            # A provider that cannot fill its caches says so after ten seconds.
            time.sleep(15 if scene == "forbidden" else 7)
            for host in ("forward", "limit", "replace", "down", "pages"):
                with contextlib.suppress(OSError):
                    _get(web, "/a%zz" if host == "replace" else "/", host)
            with contextlib.suppress(OSError):
                _get(raw, "/")
            for kind in KINDS:
                with contextlib.suppress(OSError, ValueError):
                    shown = json.loads(_get(api, f"/api/{kind}?per_page=1000"))
                    found[kind] = [one for one in shown if one.get("error")]
        finally:
            process.kill()
            process.wait(10)
    return Recording(log.read_text("utf-8", "replace"), found)
