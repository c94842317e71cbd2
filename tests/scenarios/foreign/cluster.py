"""An API server as unlike the lab's as may be, a load balancer's front, and a name server.

The API server knows paths and objects only: lists without kinds in their items and without
resourceVersion, every selector and limit ignored, 404 in plain text for groups that it does not
serve (CRDs, Gateway API, metrics), no pods/proxy, logs as text.
"""

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUDPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dns.message
import dns.rdatatype
import dns.rrset
import trustme
import yaml

Obj = dict[str, Any]
HOST = "shop.example.net"

PREFIXES = {
    "services": "/api/v1", "pods": "/api/v1", "nodes": "/api/v1", "namespaces": "/api/v1",
    "events": "/api/v1", "secrets": "/api/v1", "configmaps": "/api/v1",
    "ingresses": "/apis/networking.k8s.io/v1", "ingressclasses": "/apis/networking.k8s.io/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "deployments": "/apis/apps/v1", "daemonsets": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1", "statefulsets": "/apis/apps/v1",
}  # fmt: skip
PLURALS = {
    "Service": "services", "Pod": "pods", "Node": "nodes", "Namespace": "namespaces",
    "Event": "events", "Secret": "secrets", "ConfigMap": "configmaps", "Ingress": "ingresses",
    "IngressClass": "ingressclasses", "NetworkPolicy": "networkpolicies",
    "EndpointSlice": "endpointslices", "Deployment": "deployments", "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets", "StatefulSet": "statefulsets",
}  # fmt: skip


class Cluster:
    """What the API server answers from; may be replaced between diagnoses."""

    def __init__(self, objects: list[Obj]) -> None:
        self.objects = objects
        self.logs: dict[str, str] = {}  # pod -> text
        self.previous: dict[str, str] = {}
        self.denied: set[str] = set()  # plurals that the user may not read

    def listed(self, plural: str, namespace: str | None) -> list[Obj]:
        return [
            {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
            for obj in self.objects
            if PLURALS[obj["kind"]] == plural
            and namespace in (None, obj["metadata"].get("namespace"))
        ]


def answer(cluster: Cluster, target: str) -> tuple[int, str, str]:
    """Status, content type and body of GET `target`."""
    url = urlsplit(target)
    if url.path == "/version":
        return 200, "application/json", json.dumps({"gitVersion": "v1.29.4+k3s1"})
    prefix = next((p for p in set(PREFIXES.values()) if url.path.startswith(f"{p}/")), None)
    rest = url.path[len(prefix) + 1 :].split("/") if prefix else []
    namespace = None
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not rest or PREFIXES.get(rest[0]) != prefix:
        return 404, "text/plain", "404 page not found\n"
    if rest[0] in cluster.denied:
        words = f'{rest[0]} is forbidden: User "jane" cannot list resource "{rest[0]}"'
        return 403, "application/json", json.dumps({"kind": "Status", "code": 403, "message": words,
                                                    "reason": "Forbidden"})  # fmt: skip
    items = cluster.listed(rest[0], namespace)
    if len(rest) == 1:
        return 200, "application/json", json.dumps({"items": items})
    found = next((item for item in items if item["metadata"]["name"] == rest[1]), None)
    if found is None or rest[2:] not in ([], ["log"]):
        return 404, "application/json", json.dumps({"kind": "Status", "code": 404,
                                                    "reason": "NotFound"})  # fmt: skip
    if rest[2:] == ["log"]:
        logs = cluster.previous if parse_qs(url.query).get("previous") else cluster.logs
        return 200, "text/plain", logs.get(rest[1], "")
    return 200, "application/json", json.dumps(found)


# What stands behind the front: (status, headers, body) by the request's scheme and path.
Answer = tuple[int, dict[str, str], str]
Behaviour = Callable[[str, str], Answer | None]  # None: closed without an answer
PLAIN = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}


def application(_scheme: str, _path: str) -> Answer:
    return 200, {"Content-Type": "text/html", "X-Powered-By": "Express"}, "<h1>shop</h1>"


def not_found(_scheme: str, _path: str) -> Answer:
    return 404, PLAIN, "404 page not found\n"


def no_server(_scheme: str, _path: str) -> Answer:
    return 503, PLAIN, "no available server\n"


def bad_gateway(_scheme: str, _path: str) -> Answer:
    return 502, {"Content-Type": "text/plain; charset=utf-8"}, "Bad Gateway"


def gateway_timeout(_scheme: str, _path: str) -> Answer:
    return 504, {"Content-Type": "text/plain; charset=utf-8"}, "Gateway Timeout"


def silence(_scheme: str, _path: str) -> None:
    return None


class World:
    """The servers, for the length of a ``with`` block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster = Cluster([])
        self.behaviour: Behaviour | None = application  # None: nobody listens
        self._authority = trustme.CA()
        self._servers: list[ThreadingHTTPServer | ThreadingUDPServer] = []

    def __enter__(self) -> "World":
        self._authority.cert_pem.write_to_path(str(self.directory / "ca.pem"))
        site = self._authority.issue_cert(HOST)
        api = self._authority.issue_cert("127.0.0.1")
        self.api_port = self._serve(self._api(), api)
        self.https_port = self._serve(self._front("https"), site)
        self.http_port = self._serve(self._front("http"), None)
        self.dns_port = self._start(ThreadingUDPServer(("127.0.0.1", 0), _Names))
        self.kubeconfig.write_text(yaml.safe_dump(self._config()))
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    def _config(self) -> Obj:
        cluster = {
            "server": f"https://127.0.0.1:{self.api_port}",
            "certificate-authority": str(self.directory / "ca.pem"),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "prod", "cluster": cluster}],
            "users": [{"name": "jane", "user": {"token": "t"}}],
            "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "jane"}}],
            "current-context": "prod",
        }

    def _serve(self, handler: type[BaseHTTPRequestHandler], leaf: trustme.LeafCert | None) -> int:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if leaf is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            leaf.configure_cert(context)
            # The handshake belongs to the connection's own thread, not to accept().
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        return self._start(server)

    def _start(self, server: ThreadingHTTPServer | ThreadingUDPServer) -> int:
        server.daemon_threads = True
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return int(server.server_address[1])

    def _api(world) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # `self` is the handler's
        class Handler(_Quiet):
            def do_GET(self) -> None:
                status, kind, body = answer(world.cluster, self.path)
                self.give(status, {"Content-Type": kind}, body)

        return Handler

    def _front(world, scheme: str) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(_Quiet):
            def do_GET(self) -> None:
                found = (world.behaviour or silence)(scheme, self.path)
                if found is None:
                    self.close_connection = True
                else:
                    self.give(*found)

        return Handler


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is not the place."""

    def give(self, status: int, headers: dict[str, str], body: str) -> None:
        self.send_response_only(status)  # without Server: neither Traefik nor the API sends it
        for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


class _Names(BaseRequestHandler):
    """HOST is 127.0.0.1; it has no IPv6 address; nothing else exists."""

    def handle(self) -> None:
        data, sock = self.request
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        question = query.question[0]
        if question.name.to_text(omit_final_dot=True).lower() != HOST:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "127.0.0.1"))
        sock.sendto(response.to_wire(), self.client_address)
