"""Hand-written objects in the style of Traefik's Helm chart, k3s and a hostPort DaemonSet."""

from typing import Any

from tests.scenarios.foreign.cluster import HOST

Obj = dict[str, Any]
CHART_LABELS = {
    "app.kubernetes.io/name": "traefik",
    "app.kubernetes.io/instance": "traefik-traefik",
    "app.kubernetes.io/managed-by": "Helm",
    "helm.sh/chart": "traefik-28.3.0",
}
SELECTOR = {
    "app.kubernetes.io/name": "traefik",
    "app.kubernetes.io/instance": "traefik-traefik",
}
CHART_ARGS = [
    "--global.checknewversion",
    "--global.sendanonymoususage",
    "--entryPoints.metrics.address=:9100/tcp",
    "--entryPoints.traefik.address=:9000/tcp",
    "--entryPoints.web.address=:8000/tcp",
    "--entryPoints.websecure.address=:8443/tcp",
    "--api.dashboard=true",
    "--ping=true",
    "--metrics.prometheus=true",
    "--metrics.prometheus.entrypoint=metrics",
    "--providers.kubernetescrd",
    "--providers.kubernetescrd.allowEmptyServices=true",
    "--providers.kubernetesingress",
    "--providers.kubernetesingress.allowEmptyServices=true",
    "--providers.kubernetesingress.ingressendpoint.publishedservice=traefik/traefik",
    "--entryPoints.websecure.http.tls=true",
    "--log.level=INFO",
]


def made(kind: str, name: str, namespace: str | None = None, **rest: Any) -> Obj:
    metadata: Obj = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    for key in ("labels", "annotations", "ownerReferences"):
        if key in rest:
            metadata[key] = rest.pop(key)
    return {"kind": kind, "metadata": metadata, **rest}


def pod(namespace: str, app: str, number: int, container: Obj, **rest: Any) -> Obj:
    """A running, ready pod of Deployment (or `owner`) `app`."""
    labels = {**rest.pop("labels"), "pod-template-hash": "5d8f9c7b6"}
    kind = rest.pop("owner", "ReplicaSet")
    owner = f"{app}-5d8f9c7b6" if kind == "ReplicaSet" else app
    status = {"name": container["name"], "ready": True, "restartCount": 0,
              "state": {"running": {"startedAt": "2026-02-25T00:00:00Z"}}}  # fmt: skip
    return made(
        "Pod", f"{owner}-{'abcde'[number] * 5}", namespace,
        labels=labels,
        ownerReferences=[{"kind": kind, "name": owner, "controller": True}],
        spec={"containers": [container], "nodeName": f"ip-10-40-1-{number + 10}", **rest},
        status={
            "phase": "Running", "podIP": f"10.42.{len(app)}.{number + 5}",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [status],
        },
    )  # fmt: skip


def traefik_container(args: list[str], image: str, ports: dict[str, int]) -> Obj:
    return {
        "name": "traefik",
        "image": image,
        "args": list(args),
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()
        ],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": ports["traefik"]}},
    }


PORTS = {"metrics": 9100, "traefik": 9000, "web": 8000, "websecure": 8443}


def slice_of(service: Obj, pods: list[Obj], port: int, name: str) -> Obj:
    meta = service["metadata"]
    return made(
        "EndpointSlice", f"{meta['name']}-x7k2p", meta["namespace"],
        labels={"kubernetes.io/service-name": meta["name"]},
        addressType="IPv4",
        ports=[{"name": name, "port": port, "protocol": "TCP"}],
        endpoints=[
            {
                "addresses": [one["status"]["podIP"]],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "name": one["metadata"]["name"],
                              "namespace": meta["namespace"]},
            }
            for one in pods
        ],
    )  # fmt: skip


def application() -> list[Obj]:
    """Namespace shop: a Deployment of two pods, its Service, its Ingress; and others' objects."""
    container = {"name": "web", "image": "ghcr.io/acme/shop:2.3",
                 "ports": [{"name": "http", "containerPort": 3000, "protocol": "TCP"}]}  # fmt: skip
    pods = [pod("shop", "shop", n, container, labels={"app": "shop"}) for n in range(2)]
    service = made(
        "Service", "shop", "shop",
        spec={
            "type": "ClusterIP", "clusterIP": "10.43.7.7", "selector": {"app": "shop"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    )  # fmt: skip
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    ingress = made(
        "Ingress", "shop", "shop",
        spec={
            "ingressClassName": "traefik",
            "rules": [{"host": HOST, "http": {
                "paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    )  # fmt: skip
    other = made(
        "Ingress", "blog", "blog",
        spec={
            "ingressClassName": "nginx",
            "rules": [{"host": "blog.example.net", "http": {"paths": [
                {"path": "/", "pathType": "Prefix",
                 "backend": {"service": {"name": "gone", "port": {"name": "no"}}}}]}}],
        },
    )  # fmt: skip
    return [*pods, service, ingress, slice_of(service, pods, 3000, "http"), other,
            made("Deployment", "shop", "shop", spec={"replicas": 2}),
            *(made("Namespace", name, labels={"kubernetes.io/metadata.name": name})
              for name in ("shop", "blog", "traefik", "kube-system"))]  # fmt: skip


def nodes() -> list[Obj]:
    return [
        made("Node", f"ip-10-40-1-{n + 10}", status={
            "addresses": [{"type": "InternalIP", "address": f"10.40.1.{n + 10}"}]})
        for n in range(2)
    ]  # fmt: skip


def ingress_class() -> Obj:
    return made(
        "IngressClass", "traefik",
        annotations={"ingressclass.kubernetes.io/is-default-class": "true"},
        spec={"controller": "traefik.io/ingress-controller"},
    )  # fmt: skip


def _service(namespace: str, selector: dict[str, str]) -> Obj:
    return made(
        "Service", "traefik", namespace,
        labels=CHART_LABELS,
        spec={
            "type": "LoadBalancer", "clusterIP": "10.43.0.9", "selector": selector,
            "externalTrafficPolicy": "Cluster",
            "ports": [
                {"name": "web", "port": 80, "targetPort": "web", "nodePort": 31080,
                 "protocol": "TCP"},
                {"name": "websecure", "port": 443, "targetPort": "websecure", "nodePort": 31443,
                 "protocol": "TCP"},
            ],
        },
        status={"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}},
    )  # fmt: skip


def _traefik(namespace: str, image: str, labels: dict[str, str], args: list[str]) -> list[Obj]:
    container = traefik_container(args, image, PORTS)
    pods = [pod(namespace, "traefik", 0, container, labels=labels, serviceAccountName="traefik")]
    service = _service(namespace, labels)
    return [*pods, service, slice_of(service, pods, 8000, "web"),
            made("Deployment", "traefik", namespace, spec={"replicas": 1})]  # fmt: skip


def chart(image: str = "docker.io/traefik:v3.0.3") -> list[Obj]:
    """Traefik by its Helm chart in the namespace traefik, behind a cloud's load balancer."""
    return [*nodes(), ingress_class(), *_traefik("traefik", image, SELECTOR, CHART_ARGS),
            *application()]  # fmt: skip


def k3s() -> list[Obj]:
    """k3s's own Traefik in kube-system, with its finished Helm jobs and svclb DaemonSet."""
    job = pod("kube-system", "helm-install-traefik", 0,
              {"name": "helm", "image": "rancher/klipper-helm:v0.8.3",
               "args": ["install", "--set-string", "global.systemDefaultRegistry="]},
              labels={"helmcharts.helm.cattle.io/chart": "traefik"}, owner="Job")  # fmt: skip
    job["status"] |= {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}
    job["status"]["containerStatuses"][0] |= {
        "ready": False,
        "state": {"terminated": {"reason": "Completed", "exitCode": 0}},
    }
    balancers = [
        pod("kube-system", "svclb-traefik-0a1b2c3d", n,
            {"name": "lb-tcp-80", "image": "rancher/klipper-lb:v0.4.7",
             "ports": [{"name": "lb-tcp-80", "containerPort": 80, "hostPort": 80}]},
            labels={"app": "svclb-traefik-0a1b2c3d",
                    "svccontroller.k3s.cattle.io/svcname": "traefik"}, owner="DaemonSet")
        for n in range(2)
    ]  # fmt: skip
    args = [one.replace("traefik/traefik", "kube-system/traefik") for one in CHART_ARGS]
    image = "rancher/mirrored-library-traefik:2.10.7"
    labels = {**SELECTOR, "app.kubernetes.io/instance": "traefik-kube-system"}
    return [*nodes(), ingress_class(), job, *balancers,
            *_traefik("kube-system", image, labels, args), *application()]  # fmt: skip


def host_ports() -> list[Obj]:
    """A DaemonSet with host ports and no Service at all."""
    container = traefik_container(CHART_ARGS, "traefik:v3.1.2", PORTS)
    for port in container["ports"]:
        if port["name"] in ("web", "websecure"):
            port["hostPort"] = {"web": 80, "websecure": 443}[port["name"]]
    pods = [
        pod("ingress", "edge", n, container, labels={"app": "edge"}, owner="DaemonSet",
            serviceAccountName="edge")
        for n in range(2)
    ]  # fmt: skip
    return [*nodes(), ingress_class(), *pods, *application(),
            made("DaemonSet", "edge", "ingress", spec={})]  # fmt: skip
