"""The page's path as objects: cluster, load balancer and DNS of a healthy set-up.

Names, ports and labels are those of the page: NLB, Service api-gateway-system/traefik with five
nodePorts, two Traefik pods, Ingress default/my-app-ingress, Service default/my-app-service,
two application pods.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hopcheck.lab.addresses import Addresses

Obj = dict[str, Any]

HOST = "myapp.example.com"
_MADE = "2026-01-12T01:15:00Z"  # a pod that is not ready for long is another matter than a new one
REGION = "ap-northeast-2"
ZONES = ("ap-northeast-2a", "ap-northeast-2c")
GATEWAY = "api-gateway-system"
APP = "default"
TRAEFIK = "traefik"
INGRESS = "my-app-ingress"
SERVICE = "my-app-service"
SECRET = "myapp-tls"  # noqa: S105  # the name of a Secret
LOAD_BALANCER = "myapp-nlb"
TARGETS_HTTP = "myapp-web"
TARGETS_HTTPS = "myapp-websecure"
GUESTS = range(52, 60)  # addresses of the Traefiks that set-ups add
TRAEFIK_PODS = ("traefik-7d9f8b6c5d-2xk4q", "traefik-7d9f8b6c5d-w8zjp")
APP_PODS = ("my-app-6f7c9d5b84-5mnlt", "my-app-6f7c9d5b84-hq2vd")
_APP_REPLICA_SET = "my-app-6f7c9d5b84"
INSTANCES = ("i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002", "i-0a1b2c3d4e5f60003")

# name -> (container port, Service port, nodePort), section 5.1 of the page
ENTRYPOINTS = {
    "web": (8080, 80, 30000),
    "websecure": (8443, 443, 30001),
    "traefik": (9000, 9000, 30900),
    "metrics": (9100, 9100, 31958),
    "k8s": (6443, 6443, 30266),
}


@dataclass(frozen=True)
class Node:
    """One worker node."""

    name: str
    address: str
    zone: str
    instance: str


@dataclass(frozen=True)
class Pod:
    """One pod's place: its ports by name (entryPoints, or "http" for the application)."""

    name: str
    address: str
    node: Node
    ports: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """Every address and port of one lab."""

    nodes: tuple[Node, ...]
    traefik: tuple[Pod, ...]
    app: tuple[Pod, ...]
    node_ports: dict[str, int]
    zones: dict[str, str]  # availability zone -> the load balancer's address in it
    stale_address: str  # nobody's
    api_address: str
    dns_address: str
    cluster_ips: dict[str, str]  # Service name -> address; empty: the API server's own choice


def plan(addresses: Addresses) -> Plan:
    """Lay a lab out: three nodes, two zones, two pods of each kind.

    Where there is only one address: one node, one zone and one application pod.
    """
    single = addresses.single
    nodes = tuple(
        Node(f"node-{n + 1}", addresses.host(10 + n), ZONES[n % 2], INSTANCES[n])
        for n in range(1 if single else 3)
    )

    def pod(name: str, host: int, node: int, ports: dict[str, int]) -> Pod:
        address = addresses.host(host)
        free = {port: addresses.port(address, number) for port, number in ports.items()}
        return Pod(name, address, nodes[node % len(nodes)], free)

    entry = {name: ports[0] for name, ports in ENTRYPOINTS.items()}
    return Plan(
        nodes=nodes,
        traefik=tuple(pod(name, 50 + n, n, entry) for n, name in enumerate(TRAEFIK_PODS)),
        # Traefik takes each address of a Service once, so one address carries one pod.
        app=tuple(
            pod(name, 60 + n, n + 1, {"http": 8080})
            for n, name in enumerate(APP_PODS[: 1 if single else 2])
        ),
        node_ports={
            name: addresses.common_port((node.address for node in nodes), ports[2])
            for name, ports in ENTRYPOINTS.items()
        },
        zones={zone: addresses.host(30 + n) for n, zone in enumerate(ZONES[: len(nodes)])},
        stale_address=addresses.host(250),
        api_address=addresses.host(2),
        dns_address=addresses.host(3),
        cluster_ips={} if single else {TRAEFIK: addresses.host(40), SERVICE: addresses.host(41)},
    )


def traefik_args(address: str, ports: dict[str, int], cluster: dict[str, str]) -> list[str]:
    """The arguments of one Traefik: the page's entryPoints, both Kubernetes providers.

    `cluster` holds the providers' ``endpoint``, ``token`` (a file) and ``certauthfilepath``.
    """
    providers = [
        f"--providers.{provider}.{key}={value}"
        for provider in ("kubernetesingress", "kubernetescrd")
        for key, value in cluster.items()
    ]
    return [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        *(f"--entryPoints.{name}.address={address}:{ports[name]}/tcp" for name in ENTRYPOINTS),
        "--entryPoints.websecure.http.tls=true",
        "--api.insecure=true",
        "--ping=true",
        "--metrics.prometheus=true",
        "--metrics.prometheus.entrypoint=metrics",
        "--providers.kubernetesingress",
        "--providers.kubernetescrd",
        *providers,
        "--providers.providersThrottleDuration=100ms",
        "--accesslog=true",
        "--accesslog.format=json",
        "--log.level=INFO",
    ]


def traefik_rules(version: str) -> list[Obj]:
    """The ClusterRole of Traefik's documentation for `version` ("3.7.15").

    Up to v3.0 Traefik reads Endpoints, from v3.1 on EndpointSlices (and nodes).
    """
    read = ["get", "list", "watch"]
    slices: Obj = {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": read,
    }
    if version.startswith(("2.", "3.0.")):
        slices = {"apiGroups": [""], "resources": ["endpoints"], "verbs": read}
    return [
        {"apiGroups": [""], "resources": ["services", "secrets", "configmaps"], "verbs": read},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": read},
        slices,
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["ingresses", "ingressclasses"],
            "verbs": read,
        },
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["ingresses/status"],
            "verbs": ["update"],
        },
        {"apiGroups": ["traefik.io"], "resources": ["*"], "verbs": read},
    ]


def reader_rules() -> list[Obj]:
    """What a person who diagnoses needs: least privilege and the optional rights, read only."""
    read = ["get", "list"]
    return [
        {"apiGroups": [""], "resources": ["services", "pods"], "verbs": read},
        {"apiGroups": [""], "resources": ["nodes", "events", "namespaces"], "verbs": read},
        {
            "apiGroups": [""],
            "resources": ["pods/log", "pods/proxy", "services/proxy", "endpoints", "configmaps"],
            "verbs": read,
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["ingresses", "ingressclasses", "networkpolicies"],
            "verbs": read,
        },
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "daemonsets", "replicasets", "statefulsets"],
            "verbs": read,
        },
        {
            "apiGroups": ["traefik.io", "traefik.containo.us", "gateway.networking.k8s.io"],
            "resources": ["*"],
            "verbs": read,
        },
        {
            "apiGroups": ["cert-manager.io", "acme.cert-manager.io"],
            "resources": ["*"],
            "verbs": read,
        },
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            "verbs": ["create"],
        },
    ]


def objects(
    lab: Plan, image: str, args: Callable[[Pod | None], list[str]], certificate: bytes, key: bytes
) -> list[Obj]:
    """Every object of the healthy cluster but slices, which a controller makes.

    `args` gives a Traefik pod's arguments; for None those of the Deployment's template.
    """
    found: list[Obj] = [
        *(_meta("v1", "Namespace", None, name) for name in ("kube-system", APP, GATEWAY)),
        *(_node(node) for node in lab.nodes),
        _meta("v1", "ServiceAccount", GATEWAY, TRAEFIK),
        {
            **_meta("networking.k8s.io/v1", "IngressClass", None, TRAEFIK),
            "spec": {"controller": "traefik.io/ingress-controller"},
        },
        _tls_secret(certificate, key),
        _ingress(),
        _traefik_service(lab),
        _app_service(lab),
    ]
    template = _traefik_spec(image, args(None), {n: p[0] for n, p in ENTRYPOINTS.items()})
    found += _workload(GATEWAY, TRAEFIK, "traefik-7d9f8b6c5d", len(lab.traefik), template)
    for pod in lab.traefik:
        spec = _traefik_spec(image, args(pod), pod.ports)
        found.append(_pod(GATEWAY, TRAEFIK, "traefik-7d9f8b6c5d", pod, spec))
    found += _workload(APP, "my-app", _APP_REPLICA_SET, len(lab.app), _app_spec(8080))
    return [*found, *map(app_pod, lab.app)]


def app_pod(pod: Pod) -> Obj:
    """The object of one of the application's pods."""
    return _pod(APP, "my-app", _APP_REPLICA_SET, pod, _app_spec(pod.ports["http"]))


def further_app_pods(lab: Plan, addresses: Addresses, replicas: int) -> list[Pod]:
    """Places for the application's pods beyond those of the plan, up to `replicas` in all."""
    return [
        Pod(
            f"{_APP_REPLICA_SET}-x{n}k7q",
            addresses.host(60 + n),
            lab.nodes[n % len(lab.nodes)],
            lab.app[0].ports,
        )
        for n in range(len(lab.app), replicas)
    ]


def _meta(api: str, kind: str, namespace: str | None, name: str) -> Obj:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **where}}


def _node(node: Node) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": {
                "kubernetes.io/hostname": node.name,
                "topology.kubernetes.io/region": REGION,
                "topology.kubernetes.io/zone": node.zone,
                "node.kubernetes.io/instance-type": "m7i.large",
            },
        },
        "spec": {"providerID": f"aws:///{node.zone}/{node.instance}"},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
            ],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {"kubeletVersion": "v1.34.2", "osImage": "Amazon Linux 2023"},
        },
    }


def _tls_secret(certificate: bytes, key: bytes) -> Obj:
    return {
        **_meta("v1", "Secret", APP, SECRET),
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(certificate).decode(),
            "tls.key": base64.b64encode(key).decode(),
        },
    }


def _ingress() -> Obj:
    backend = {"service": {"name": SERVICE, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        **_meta("networking.k8s.io/v1", "Ingress", APP, INGRESS),
        "spec": {
            "ingressClassName": TRAEFIK,
            "tls": [{"hosts": [HOST], "secretName": SECRET}],
            "rules": [{"host": HOST, "http": {"paths": [path]}}],
        },
    }


def _traefik_service(lab: Plan) -> Obj:
    ports = [
        {
            "name": name,
            "port": ports[1],
            "targetPort": name,
            "nodePort": lab.node_ports[name],
            "protocol": "TCP",
        }
        for name, ports in ENTRYPOINTS.items()
    ]
    spec: Obj = {"type": "NodePort", "selector": {"app": TRAEFIK}, "ports": ports}
    return _service(lab, GATEWAY, TRAEFIK, spec)


def _app_service(lab: Plan) -> Obj:
    numbers = {pod.ports["http"] for pod in lab.app}
    # Where 8080 was taken on one address the pods' port numbers differ: then a name must do.
    target: int | str = numbers.pop() if len(numbers) == 1 else "http"
    port = {"name": "http", "port": 80, "targetPort": target, "protocol": "TCP"}
    spec: Obj = {"type": "ClusterIP", "selector": {"app": "my-app"}, "ports": [port]}
    return _service(lab, APP, SERVICE, spec)


def _service(lab: Plan, namespace: str, name: str, spec: Obj) -> Obj:
    if name in lab.cluster_ips:
        spec["clusterIP"] = lab.cluster_ips[name]
        spec["clusterIPs"] = [lab.cluster_ips[name]]
    return {**_meta("v1", "Service", namespace, name), "spec": spec}


def _traefik_spec(image: str, args: list[str], ports: dict[str, int]) -> Obj:
    return {
        "serviceAccountName": TRAEFIK,
        "containers": [
            {
                "name": TRAEFIK,
                "image": image,
                "args": args,
                "ports": [
                    {"name": name, "containerPort": port, "protocol": "TCP"}
                    for name, port in ports.items()
                ],
                "readinessProbe": {
                    "httpGet": {"path": "/ping", "port": ports["traefik"], "scheme": "HTTP"},
                    "periodSeconds": 10,
                },
            }
        ],
    }


def _app_spec(port: int) -> Obj:
    return {
        "serviceAccountName": "default",
        "containers": [
            {
                "name": "my-app",
                "image": "registry.example.com/my-app:1.4.2",
                "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
                "readinessProbe": {"exec": {"command": ["cat", "/tmp/ready"]}},  # noqa: S108
            }
        ],
    }


def _workload(
    namespace: str, name: str, replica_set: str, replicas: int, template: Obj
) -> list[Obj]:
    """A Deployment and its ReplicaSet; both select by the label `app`, as the page does."""
    labels = {"app": name}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": template},
    }
    deployment = _meta("apps/v1", "Deployment", namespace, name) | {"spec": spec}
    owned = _meta("apps/v1", "ReplicaSet", namespace, replica_set) | {"spec": spec}
    owned["metadata"]["ownerReferences"] = [_owner("Deployment", name)]
    for one in (deployment, owned):
        one["metadata"]["uid"] = _owner(one["kind"], one["metadata"]["name"])["uid"]
    return [deployment, owned]


def _owner(kind: str, name: str) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": name,
        "controller": True,
        "uid": f"00000000-0000-4000-8000-{sum(map(ord, kind + name)):012x}",
    }


def _pod(namespace: str, app: str, replica_set: str, pod: Pod, spec: Obj) -> Obj:
    meta = _meta("v1", "Pod", namespace, pod.name)
    meta["metadata"] |= {
        "creationTimestamp": _MADE,
        "labels": {"app": app, "pod-template-hash": replica_set.rpartition("-")[2]},
        "ownerReferences": [_owner("ReplicaSet", replica_set)],
    }
    meta["spec"] = {**spec, "nodeName": pod.node.name}
    meta["status"] = {"phase": "Running", "podIP": pod.address, "hostIP": pod.node.address}
    return meta
