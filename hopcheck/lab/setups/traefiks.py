"""Traefik itself: how it is run, configured, exposed and watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hopcheck.lab.setups.gallery import (
    Change,
    Obj,
    annotate,
    edit_ingress,
    edit_traefik_service,
    flags,
    get,
    ingress_only,
    put,
    setup,
)
from hopcheck.lab.setups.names import lead
from hopcheck.lab.topology import (
    APP,
    ENTRYPOINTS,
    GATEWAY,
    HOST,
    INGRESS,
    SERVICE,
    TARGETS_HTTP,
    TARGETS_HTTPS,
    TRAEFIK,
    TRAEFIK_PODS,
    Pod,
)

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab
    from hopcheck.lab.traefik import TraefikProcess

FAMILY = "traefik"
_QUIET = ("--api", "--accesslog", "--log", "--metrics")


def edit_pods(lab: Lab, change: Change) -> None:
    """Change the pod spec in Traefik's Deployment and in each of its pods."""
    lab.store.patch(
        "deployments", GATEWAY, TRAEFIK, lambda obj: change(obj["spec"]["template"]["spec"])
    )
    for pod in TRAEFIK_PODS:
        lab.store.patch("pods", GATEWAY, pod, lambda obj: change(obj["spec"]))


def edit_container(lab: Lab, change: Change) -> None:
    """Change Traefik's container there."""
    edit_pods(lab, lambda spec: change(spec["containers"][0]))


@setup(FAMILY, "private-image")
async def private_image(lab: Lab) -> None:
    """The image is a copy by digest whose name does not say Traefik."""
    image = f"registry.example.com/platform/edge-router@sha256:{'5e' * 32}"
    edit_container(lab, lambda container: container.update(image=image))


@setup(FAMILY, "sidecars")
async def sidecars(lab: Lab) -> None:
    """A log shipper and a mesh proxy beside Traefik, an init container before it."""

    def edit(spec: Obj) -> None:
        spec["initContainers"] = [{"name": "permissions", "image": "busybox:1.37"}]
        spec["containers"] += [
            {"name": "logs", "image": "fluent/fluent-bit:4.0", "ports": [{"containerPort": 2020}]},
            {
                "name": "istio-proxy",
                "image": "istio/proxyv2:1.27.0",
                "ports": [{"name": "http-envoy-prom", "containerPort": 15090}],
            },
        ]

    edit_pods(lab, edit)


def _owned_by(lab: Lab, kind: str) -> None:
    """Let the pods be another workload's than a Deployment's."""
    found = get(lab, "deployments", GATEWAY, TRAEFIK)
    spec = {k: v for k, v in found["spec"].items() if kind != "DaemonSet" or k != "replicas"}
    lab.store.delete("deployments", GATEWAY, TRAEFIK)
    lab.store.delete("replicasets", GATEWAY, "traefik-7d9f8b6c5d")
    owner = put(lab, kind, TRAEFIK, spec, GATEWAY)

    def edit(pod: Obj) -> None:
        pod["metadata"]["labels"] = {"app": TRAEFIK, "controller-revision-hash": "5d8f7c9b6"}
        reference = {"apiVersion": "apps/v1", "kind": kind, "name": TRAEFIK, "controller": True}
        pod["metadata"]["ownerReferences"] = [reference | {"uid": owner["metadata"]["uid"]}]

    for pod in TRAEFIK_PODS:
        lab.store.patch("pods", GATEWAY, pod, edit)


@setup(FAMILY, "stateful-set")
async def stateful_set(lab: Lab) -> None:
    """Traefik runs in a StatefulSet, for its ACME storage."""
    _owned_by(lab, "StatefulSet")


@setup(FAMILY, "host-ports")
async def host_ports(lab: Lab) -> None:
    """A DaemonSet with hostPorts and no NodePort Service; the targets are the hostPorts."""
    _owned_by(lab, "DaemonSet")
    for pod in TRAEFIK_PODS:

        def edit(obj: Obj) -> None:
            for port in obj["spec"]["containers"][0]["ports"]:
                if port["name"] in ("web", "websecure"):
                    port["hostPort"] = port["containerPort"]

        lab.store.patch("pods", GATEWAY, pod, edit)
    lab.store.delete("services", GATEWAY, TRAEFIK)
    _targets(lab, TARGETS_HTTP, "web")
    _targets(lab, TARGETS_HTTPS, "websecure")


def _targets(lab: Lab, name: str, entry: str) -> None:
    """Targets on the entryPoint's own port, on the nodes that run Traefik."""
    group = lab.cloud.target_groups[name]
    nodes = {pod.node.instance for pod in lab.plan.traefik}
    group.port = ENTRYPOINTS[entry][0]
    group.targets = [target for target in group.targets if target.id in nodes]
    for target in group.targets:
        target.port = group.port


async def _host_network(lab: Lab) -> None:
    _owned_by(lab, "DaemonSet")
    lab.store.delete("services", GATEWAY, TRAEFIK)
    moves = {pod.address: pod.node.address for pod in lab.plan.traefik}
    for pod in lab.plan.traefik:

        def edit(obj: Obj, own: Pod = pod) -> None:
            obj["spec"]["hostNetwork"] = True
            obj["status"] |= {"podIP": own.node.address, "podIPs": [{"ip": own.node.address}]}

        lab.store.patch("pods", GATEWAY, pod.name, edit)

    def run(process: TraefikProcess) -> None:
        old, process.address = process.address, moves[process.address]
        process.args = [
            word.replace(old, process.address) if ".address=" in word else word
            for word in process.args
        ]

    await lab.set_traefik_process(run)


@setup(FAMILY, "host-network")
async def host_network(lab: Lab) -> None:
    """A DaemonSet in the host network; the targets are its ports on the nodes."""
    await _host_network(lab)
    _targets(lab, TARGETS_HTTP, "web")
    _targets(lab, TARGETS_HTTPS, "websecure")


@setup(FAMILY, "host-network-dns", "pnppppp", target=f"https://{HOST}:8443/", without="aws")
async def host_network_dns(lab: Lab) -> None:
    """On premises: the host's records are the nodes that run Traefik."""
    await _host_network(lab)
    lead(lab, "A", *(pod.node.address for pod in lab.plan.traefik))


@setup(FAMILY, "entry-point-names")
async def entry_point_names(lab: Lab) -> None:
    """The entryPoints are called public and public-tls, the Service's ports http and https."""
    names = {"web": "public", "websecure": "public-tls"}

    def rename(args: list[str]) -> list[str]:
        for old, new in names.items():
            args = [word.replace(f"entryPoints.{old}.", f"entryPoints.{new}.") for word in args]
        return args

    _rename_ports(lab, {"web": "http", "websecure": "https"})
    await lab.set_traefik_args(rename)


def _rename_ports(lab: Lab, names: dict[str, str], *, numbers: bool = False) -> None:
    def ports(container: Obj) -> None:
        for port in container["ports"]:
            port["name"] = names.get(port["name"], port["name"])

    def service(obj: Obj) -> None:
        for port in obj["spec"]["ports"]:
            port["targetPort"] = names.get(port["name"], port["name"])
            if numbers:
                port["targetPort"] = ENTRYPOINTS[port["name"]][0]
            port["name"] = names.get(port["name"], port["name"])

    edit_container(lab, ports)
    edit_traefik_service(lab, service)


@setup(FAMILY, "port-numbers")
async def port_numbers(lab: Lab) -> None:
    """The Service's targetPorts are numbers, the containers declare no ports at all."""
    _rename_ports(lab, {"web": "plain", "websecure": "tls"}, numbers=True)
    edit_container(lab, lambda container: container.pop("ports"))


@setup(FAMILY, "other-node-ports")
async def other_node_ports(lab: Lab) -> None:
    """Other nodePorts than the page's, and the Service's ports are not 80 and 443."""
    moved = {"web": (8000, 32080), "websecure": (8443, 32443)}

    def edit(obj: Obj) -> None:
        for port in obj["spec"]["ports"]:
            if port["name"] in moved:
                port["port"], port["nodePort"] = moved[port["name"]]

    edit_traefik_service(lab, edit)
    for name, entry in ((TARGETS_HTTP, "web"), (TARGETS_HTTPS, "websecure")):
        group = lab.cloud.target_groups[name]
        group.port = moved[entry][1]
        for target in group.targets:
            target.port = group.port


@setup(FAMILY, "more-services")
async def more_services(lab: Lab) -> None:
    """Two further Services select Traefik's pods: one for metrics, one for use inside."""
    ports = "ports: [{name: metrics, port: 9100, targetPort: metrics}]"
    put(lab, "Service", "a-metrics", f"{{selector: {{app: traefik}}, {ports}}}", GATEWAY)
    ports = "ports: [{name: web, port: 80, targetPort: web}]"
    put(lab, "Service", "an-internal", f"{{selector: {{app: traefik}}, {ports}}}", GATEWAY)


@setup(FAMILY, "api-and-logs-off")
async def quiet(lab: Lab) -> None:
    """No API, no metrics, no access log, log level ERROR: only an answer tells."""
    await flags(lab, "--log.level=ERROR", without=_QUIET)


@setup(FAMILY, "api-and-logs-off-from-outside", "pppppup", without="direct")
async def quiet_outside(lab: Lab) -> None:
    """The same, and nothing behind the load balancer can be reached from here."""
    await flags(lab, "--log.level=ERROR", without=_QUIET)


@setup(FAMILY, "json-logs")
async def json_logs(lab: Lab) -> None:
    """Logs at DEBUG in JSON, the access log in the common format."""
    await flags(lab, "--log.level=DEBUG", "--log.format=json", "--accesslog=true",
                without=("--log", "--accesslog", "--api"))  # fmt: skip


@setup(FAMILY, "log-files")
async def log_files(lab: Lab) -> None:
    """Logs go to files in the container: the pod's own log is empty."""
    path = lab.directory
    await flags(lab, f"--log.filePath={path}/own.log", f"--accesslog.filePath={path}/access.log")


@setup(FAMILY, "ping-on-web")
async def ping_on_web(lab: Lab) -> None:
    """Ping is on entryPoint web; there is no entryPoint traefik."""

    def edit(container: Obj) -> None:
        container["readinessProbe"]["httpGet"]["port"] = ENTRYPOINTS["web"][0]
        container["ports"] = [one for one in container["ports"] if one["name"] != "traefik"]

    edit_container(lab, edit)

    def ping(process: TraefikProcess) -> None:
        process.ping_port = process.web_port

    await lab.set_traefik_process(ping)
    await flags(lab, "--ping.entryPoint=web", without=("--api", "--entryPoints.traefik"))


@setup(FAMILY, "old-errors")
async def old_errors(lab: Lab) -> None:
    """The log still holds errors of an hour ago about the host's own objects."""

    def name(service: str) -> Callable[[Obj], None]:
        def edit(obj: Obj) -> None:
            path = obj["spec"]["rules"][0]["http"]["paths"][0]
            path["backend"]["service"]["name"] = service

        return edit

    edit_ingress(lab, name("my-app-servce"))
    annotate(lab, "ingresses", INGRESS, router__middlewares="default-gone@kubernetescrd")
    await lab.settle()
    edit_ingress(lab, name(SERVICE))
    edit_ingress(lab, lambda obj: obj["metadata"].pop("annotations"))


@setup(FAMILY, "entry-point-redirect")
async def redirect(lab: Lab) -> None:
    """Web redirects all to websecure."""
    await flags(lab, "--entryPoints.web.http.redirections.entryPoint.to=:443",
                "--entryPoints.web.http.redirections.entryPoint.scheme=https")  # fmt: skip


@setup(FAMILY, "entry-point-redirect-http", target=f"http://{HOST}/")
async def redirect_http(lab: Lab) -> None:
    """The same, and the http URL is asked for."""
    await redirect(lab)


@setup(FAMILY, "entry-point-middlewares")
async def entry_point_middlewares(lab: Lab) -> None:
    """Websecure has middlewares, forwarded headers and a default TLS option of its own."""
    put(lab, "Middleware", "hsts", "headers: {stsSeconds: 31536000, frameDeny: true}", GATEWAY)
    put(lab, "TLSOption", "default", "minVersion: VersionTLS12", GATEWAY)
    reference = "http.middlewares=api-gateway-system-hsts@kubernetescrd"
    await flags(lab, f"--entryPoints.websecure.{reference}",
                "--entryPoints.websecure.forwardedHeaders.trustedIPs=10.0.0.0/8",
                "--entryPoints.websecure.asDefault=true")  # fmt: skip


@setup(FAMILY, "namespaces")
async def namespaces(lab: Lab) -> None:
    """Traefik reads the application's namespaces only."""
    await flags(lab, "--providers.kubernetesingress.namespaces=default,shop",
                "--providers.kubernetescrd.namespaces=default,shop")  # fmt: skip


@setup(FAMILY, "label-selector")
async def label_selector(lab: Lab) -> None:
    """Traefik reads Ingresses with a label only, and this one has it."""
    edit_ingress(lab, lambda obj: obj["metadata"].update(labels={"edge": "public", "team": "a"}))
    await flags(lab, "--providers.kubernetesingress.labelselector=edge in (public,shared),!hidden")


@setup(FAMILY, "class-flag")
async def class_flag(lab: Lab) -> None:
    """Traefik takes one class only, whose name is not its own."""
    put(lab, "IngressClass", "edge", "controller: traefik.io/ingress-controller")
    edit_ingress(lab, lambda obj: obj["spec"].update(ingressClassName="edge"))
    await flags(lab, "--providers.kubernetesingress.ingressclass=edge")


@setup(FAMILY, "no-cluster-scope")
async def no_cluster_scope(lab: Lab) -> None:
    """Traefik may look up nothing of cluster scope; the Ingress has the annotation."""

    def edit(obj: Obj) -> None:
        del obj["spec"]["ingressClassName"]
        obj["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "traefik"}

    edit_ingress(lab, edit)
    off = "disableclusterscoperesources=true"
    await flags(lab, f"--providers.kubernetesingress.{off}", f"--providers.kubernetescrd.{off}")


@setup(FAMILY, "http3")
async def http3(lab: Lab) -> None:
    """HTTP/3: websecure's port exists twice, once for UDP."""
    port = {"name": "websecure-http3", "port": 443, "targetPort": "websecure-http3"}
    more = {"nodePort": 30443, "protocol": "UDP"}
    edit_traefik_service(lab, lambda obj: obj["spec"]["ports"].insert(0, port | more))
    declared = {"name": "websecure-http3", "containerPort": 8443, "protocol": "UDP"}
    edit_container(lab, lambda container: container["ports"].append(declared))
    await flags(
        lab, "--entryPoints.websecure.http3", "--entryPoints.websecure.http3.advertisedport=443"
    )


@setup(FAMILY, "crd-only")
async def crd_only(lab: Lab) -> None:
    """The provider for Ingresses is off: everything is IngressRoutes."""
    from hopcheck.lab.setups.gallery import instead_of_ingress

    instead_of_ingress(lab, f"Host(`{HOST}`)", "[{name: my-app-service, port: 80}]")
    await flags(lab, without=("--providers.kubernetesingress",))


@setup(FAMILY, "allow-empty-services")
async def allow_empty(lab: Lab) -> None:
    """allowEmptyServices, as the chart sets it, and a path whose Service is empty."""
    put(lab, "Service", "later", "{selector: {app: later}, ports: [{port: 80}]}", APP)
    ingress_only(lab, (HOST, "/", SERVICE), (HOST, "/later", "later"))
    await flags(lab, "--providers.kubernetesingress.allowemptyservices=true",
                "--providers.kubernetescrd.allowemptyservices=true")  # fmt: skip


@setup(FAMILY, "dashboard-by-route")
async def dashboard(lab: Lab) -> None:
    """The dashboard is a route of its own behind a host that is none of ours."""
    put(
        lab, "IngressRoute", "dashboard",
        "{entryPoints: [websecure], tls: {}, routes: [{kind: Rule, match: 'Host(`t.example.com`)',"
        " services: [{name: api@internal, kind: TraefikService}]}]}", GATEWAY,
    )  # fmt: skip
    await flags(lab, "--api.dashboard=true", without=("--api",))


@setup(FAMILY, "helm-chart")
async def helm_chart(lab: Lab) -> None:
    """Labels, names and arguments as Traefik's own chart writes them."""
    labels = {
        "app.kubernetes.io/name": "traefik",
        "app.kubernetes.io/instance": "edge-api-gateway-system",
        "helm.sh/chart": "traefik-37.4.0",
        "app.kubernetes.io/managed-by": "Helm",
    }
    for name in TRAEFIK_PODS:

        def relabel(obj: Obj) -> None:
            obj["metadata"]["labels"] = labels | {"pod-template-hash": "7d9f8b6c5d"}

        lab.store.patch("pods", GATEWAY, name, relabel)
    chosen = {key: labels[key] for key in list(labels)[:2]}

    def select(obj: Obj) -> None:
        obj["spec"]["selector"] = {"matchLabels": chosen}
        obj["spec"]["template"]["metadata"]["labels"] = labels

    for resource, name in (("deployments", TRAEFIK), ("replicasets", "traefik-7d9f8b6c5d")):
        lab.store.patch(resource, GATEWAY, name, select)

    def service(obj: Obj) -> None:
        obj["metadata"]["labels"] = labels
        obj["spec"] |= {"selector": chosen, "type": "LoadBalancer"}

    edit_traefik_service(lab, service)
    await flags(lab, "--api.dashboard=true", "--providers.kubernetescrd.allowEmptyServices=true",
                "--providers.kubernetesingress.allowEmptyServices=true",
                "--providers.kubernetesingress.ingressendpoint.publishedservice="
                "api-gateway-system/traefik", without=("--api.insecure",))  # fmt: skip


@setup(FAMILY, "separate-services")
async def separate_services(lab: Lab) -> None:
    """Each entryPoint has a NodePort Service of its own."""
    found = get(lab, "services", GATEWAY, TRAEFIK)
    lab.store.delete("services", GATEWAY, TRAEFIK)
    for port in found["spec"]["ports"]:
        if port["name"] in ("web", "websecure"):
            spec = {"type": "NodePort", "selector": {"app": TRAEFIK}, "ports": [port]}
            put(lab, "Service", f"edge-{port['name']}", spec, GATEWAY)


@setup(FAMILY, "pending-load-balancer")
async def pending(lab: Lab) -> None:
    """The Service is of type LoadBalancer and no controller serves it: EXTERNAL-IP is pending."""
    edit_traefik_service(lab, lambda obj: obj["spec"].update(type="LoadBalancer"))


@setup(FAMILY, "node-forwarders")
async def forwarders(lab: Lab) -> None:
    """k3s behind an NLB: servicelb's pods hold the nodes' ports and forward to Traefik."""
    for number, (pod, node) in enumerate(
        zip((*lab.plan.traefik, lab.plan.traefik[0]), lab.plan.nodes, strict=True)
    ):
        ports = [
            {"name": f"lb-{name}", "containerPort": pod.ports[name], "hostPort": port}
            for name, port in (("web", 18080), ("websecure", 18443))
        ]
        container = {"name": "lb", "image": "rancher/klipper-lb:v0.4.13", "ports": ports}
        put(
            lab, "Pod", f"svclb-traefik-{number}",
            {"nodeName": node.name, "containers": [container]}, "kube-system",
            labels={"app": "svclb-traefik"},
            status={"phase": "Running", "podIP": pod.address,
                    "conditions": [{"type": "Ready", "status": "True"}]},
        )  # fmt: skip
    for name, port in ((TARGETS_HTTP, 18080), (TARGETS_HTTPS, 18443)):
        group = lab.cloud.target_groups[name]
        group.port = port
        for target in group.targets:
            target.port = port


@setup(FAMILY, "left-over-service")
async def left_over(lab: Lab) -> None:
    """Traefik is on hostPorts; the NodePort Service of an earlier one is still there."""
    await host_ports(lab)
    ports = "ports: [{name: websecure, port: 443, targetPort: tls, nodePort: 31444}]"
    put(
        lab,
        "Service",
        "traefik",
        f"{{type: NodePort, selector: {{app: traefik-v2}}, {ports}}}",
        GATEWAY,
    )
