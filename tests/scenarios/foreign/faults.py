"""Faults as edits of the manifests, of the logs and of what the front answers."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.scenarios.foreign import cluster as front
from tests.scenarios.foreign import manifests
from tests.scenarios.foreign.cluster import Behaviour, Cluster

Obj = dict[str, Any]
Edit = Callable[[Cluster], None]


class Fault(NamedTuple):
    edit: Edit
    behaviour: Behaviour | None  # None: nothing listens
    expected: set[str]
    base: Callable[[], list[Obj]] = manifests.chart
    verdict: str = "broken"


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, behaviour: Behaviour | None, *expected: str, **more: Any
) -> Callable[[Edit], Edit]:
    def register(edit: Edit) -> Edit:
        FAULTS[name] = Fault(edit, behaviour, set(expected), **more)
        return edit

    return register


def one(cluster: Cluster, kind: str, name: str) -> Obj:
    return next(o for o in cluster.objects if (o["kind"], o["metadata"]["name"]) == (kind, name))


def drop(cluster: Cluster, kind: str, name: str) -> None:
    cluster.objects.remove(one(cluster, kind, name))


def pods_of(cluster: Cluster, namespace: str) -> list[Obj]:
    return [
        o for o in cluster.objects if o["kind"] == "Pod" and o["metadata"]["namespace"] == namespace
    ]


def traefiks(cluster: Cluster) -> list[Obj]:
    return [
        o
        for o in cluster.objects
        if o["kind"] == "Pod" and o["spec"]["containers"][0]["name"] == "traefik"
    ]


def slice_named(cluster: Cluster, service: str) -> Obj:
    return one(cluster, "EndpointSlice", f"{service}-x7k2p")


def backend(cluster: Cluster) -> Obj:
    rule = one(cluster, "Ingress", "shop")["spec"]["rules"][0]
    found: Obj = rule["http"]["paths"][0]["backend"]["service"]
    return found


def log(cluster: Cluster, text: str) -> None:
    for pod in traefiks(cluster):
        cluster.logs[pod["metadata"]["name"]] = text


def waiting(pod: Obj, why: str, **last: Any) -> None:
    """The pod's container does not run, for `why`."""
    status = pod["status"]
    status["conditions"] = [{"type": "Ready", "status": "False"}]
    state = status["containerStatuses"][0]
    state |= {"ready": False, "restartCount": 7, "state": {"waiting": {"reason": why}}}
    if last:
        state["lastState"] = {"terminated": last}


def unready(cluster: Cluster, service: str) -> None:
    for endpoint in slice_named(cluster, service)["endpoints"]:
        endpoint["conditions"] = {"ready": False, "serving": False, "terminating": False}


INGRESS, SERVICE = "Ingress shop/shop", "Service shop/shop"
DEPLOYMENT, TRAEFIK = "Deployment shop/shop", "Deployment traefik/traefik"


# --- ingress


@fault("host", front.not_found, f"ING001 {INGRESS}")
def _host(cluster: Cluster) -> None:
    one(cluster, "Ingress", "shop")["spec"]["rules"][0]["host"] = "shop.example.org"


@fault("class-other", front.not_found, f"ING002 {INGRESS}")
def _class_other(cluster: Cluster) -> None:
    cluster.objects.append(
        manifests.made("IngressClass", "nginx", spec={"controller": "k8s.io/ingress-nginx"})
    )
    one(cluster, "Ingress", "shop")["spec"]["ingressClassName"] = "nginx"


@fault("class-missing", front.not_found, f"ING002 {INGRESS}")
def _class_missing(cluster: Cluster) -> None:
    one(cluster, "Ingress", "shop")["spec"]["ingressClassName"] = "traefik-internal"


@fault("class-annotation", front.not_found, f"ING002 {INGRESS}", base=manifests.k3s)
def _class_annotation(cluster: Cluster) -> None:
    ingress = one(cluster, "Ingress", "shop")
    del ingress["spec"]["ingressClassName"]
    ingress["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}


@fault("service-missing", front.not_found, f"ING004 {INGRESS}")
def _service_missing(cluster: Cluster) -> None:
    backend(cluster)["name"] = "shop-svc"
    log(
        cluster,
        "2026-02-25T03:00:00.1Z 2026-02-25T03:00:00Z \x1b[1m\x1b[31mERR\x1b[0m\x1b[0m "
        'Cannot create service \x1b[36merror=\x1b[0m\x1b[31m"service not found"\x1b[0m '
        "ingress=shop namespace=shop providerName=kubernetes serviceName=shop-svc\n",
    )


@fault("service-missing-v2", front.not_found, f"ING004 {INGRESS}", base=manifests.k3s)
def _service_missing_v2(cluster: Cluster) -> None:
    backend(cluster)["name"] = "shop-svc"
    log(
        cluster,
        '2026-02-25T03:00:00.1Z time="2026-02-25T03:00:00Z" level=error msg="Cannot create '
        'service: service not found" namespace=shop serviceName=shop-svc servicePort="&'
        'ServiceBackendPort{Name:,Number:80,}" providerName=kubernetes ingress=shop\n',
    )


@fault("port-number", front.not_found, f"ING005 {INGRESS}")
def _port_number(cluster: Cluster) -> None:
    backend(cluster)["port"] = {"number": 3000}
    log(
        cluster,
        '2026-02-25T03:00:00.1Z {"level":"error","providerName":"kubernetes","ingress":"shop",'
        '"namespace":"shop","serviceName":"shop","error":"service port not found",'
        '"time":"2026-02-25T03:00:00Z","message":"Cannot create service"}\n',
    )


@fault("port-name", front.not_found, f"ING005 {INGRESS}", base=manifests.host_ports)
def _port_name(cluster: Cluster) -> None:
    backend(cluster)["port"] = {"name": "web"}


@fault("path-exact", front.not_found, f"ING007 {INGRESS}")
def _path_exact(cluster: Cluster) -> None:
    path = one(cluster, "Ingress", "shop")["spec"]["rules"][0]["http"]["paths"][0]
    path.update(path="/cart", pathType="Exact")


@fault("entrypoint", front.not_found, f"ING010 {INGRESS}")
def _entrypoint(cluster: Cluster) -> None:
    one(cluster, "Ingress", "shop")["metadata"]["annotations"] = {
        "traefik.ingress.kubernetes.io/router.entrypoints": "https"
    }


# --- endpoints


@fault("selector", front.no_server, f"END001 {SERVICE}")
def _selector(cluster: Cluster) -> None:
    one(cluster, "Service", "shop")["spec"]["selector"] = {"app": "shopp"}
    slice_named(cluster, "shop").update(endpoints=None, ports=None)


@fault("target-port-name", front.no_server, f"END002 {SERVICE}")
def _target_port_name(cluster: Cluster) -> None:
    one(cluster, "Service", "shop")["spec"]["ports"][0]["targetPort"] = "web"
    slice_named(cluster, "shop")["ports"] = None


@fault("not-ready", front.no_server, f"END004 {DEPLOYMENT}")
def _not_ready(cluster: Cluster) -> None:
    for pod in pods_of(cluster, "shop"):
        pod["status"]["conditions"] = [
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
        ]
        pod["status"]["containerStatuses"][0]["ready"] = False
    unready(cluster, "shop")


@fault("crash-loop", front.no_server, f"END005 {DEPLOYMENT}", base=manifests.k3s)
def _crash_loop(cluster: Cluster) -> None:
    for pod in pods_of(cluster, "shop"):
        waiting(pod, "CrashLoopBackOff", reason="OOMKilled", exitCode=137)
    unready(cluster, "shop")


@fault("image-pull", front.no_server, f"END005 {DEPLOYMENT}")
def _image_pull(cluster: Cluster) -> None:
    for pod in pods_of(cluster, "shop"):
        waiting(pod, "ImagePullBackOff")
        pod["status"]["phase"] = "Pending"
    unready(cluster, "shop")


@fault("network-policy", front.gateway_timeout, "END010 NetworkPolicy shop/default-deny")
def _network_policy(cluster: Cluster) -> None:
    cluster.objects.append(
        manifests.made(
            "NetworkPolicy", "default-deny", "shop",
            spec={"podSelector": {}, "policyTypes": ["Ingress"],
                  "ingress": [{"from": [{"podSelector": {}}]}]},
        )
    )  # fmt: skip


@fault("external-name", front.not_found, f"END007 {SERVICE}")
def _external_name(cluster: Cluster) -> None:
    one(cluster, "Service", "shop")["spec"] = {
        "type": "ExternalName",
        "externalName": "shop.internal.example.net",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    }
    drop(cluster, "EndpointSlice", "shop-x7k2p")


@fault("refused", front.bad_gateway, f"END003 {SERVICE}")
def _refused(cluster: Cluster) -> None:
    one(cluster, "Service", "shop")["spec"]["ports"][0]["targetPort"] = 8080
    slice_named(cluster, "shop")["ports"][0]["port"] = 8080


# --- traefik


@fault("traefik-selector", None, "SVC002 Service traefik/traefik")
def _traefik_selector(cluster: Cluster) -> None:
    service = one(cluster, "Service", "traefik")
    service["spec"]["selector"] = {**manifests.SELECTOR, "app.kubernetes.io/instance": "traefik"}
    slice_named(cluster, "traefik").update(endpoints=None, ports=None)


# Without AWS nobody can tell whether a nodePort is needed: targets may be pods' addresses.
@fault("traefik-clusterip", None)
def _traefik_clusterip(cluster: Cluster) -> None:
    service = one(cluster, "Service", "traefik")
    service["spec"]["type"] = "ClusterIP"
    for port in service["spec"]["ports"]:
        del port["nodePort"]
    service["status"] = {"loadBalancer": {}}


@fault("traefik-gone", None, "SVC001 Service traefik/traefik")
def _traefik_gone(cluster: Cluster) -> None:
    drop(cluster, "Service", "traefik")
    drop(cluster, "EndpointSlice", "traefik-x7k2p")


@fault("traefik-target-port", None, "SVC004 Service traefik/traefik")
def _traefik_target_port(cluster: Cluster) -> None:
    for port in one(cluster, "Service", "traefik")["spec"]["ports"]:
        port["targetPort"] = {"web": "http", "websecure": "https"}[port["name"]]
    slice_named(cluster, "traefik")["ports"] = None


def _crashing(cluster: Cluster, words: str) -> None:
    for pod in traefiks(cluster):
        waiting(pod, "CrashLoopBackOff", reason="Error", exitCode=1)
        cluster.logs[pod["metadata"]["name"]] = words
        cluster.previous[pod["metadata"]["name"]] = words
    unready(cluster, "traefik")


@fault("traefik-flag", None, f"SVC008 {TRAEFIK}")
def _traefik_flag(cluster: Cluster) -> None:
    for pod in traefiks(cluster):
        pod["spec"]["containers"][0]["args"].append("--providers.kubernetesgateways=true")
    _crashing(
        cluster,
        "2026-02-25T03:00:00.1Z 2026/02/25 03:00:00 command traefik error: failed to decode "
        "configuration from flags: field not found, node: kubernetesgateways\n",
    )


@fault("traefik-bind-v2", None, "SVC008 Deployment kube-system/traefik", base=manifests.k3s)
def _traefik_bind(cluster: Cluster) -> None:
    _crashing(
        cluster,
        '2026-02-25T03:00:00.1Z time="2026-02-25T03:00:00Z" level=fatal msg="Error while building '
        "entryPoint web: error preparing server: error opening listener: listen tcp :80: bind: "
        'permission denied"\n',
    )


_FORBIDDEN = (
    'endpointslices.discovery.k8s.io is forbidden: User "system:serviceaccount:traefik:traefik" '
    'cannot list resource "endpointslices" in API group "discovery.k8s.io" at the cluster scope'
)


@fault(
    "rbac-v3", front.not_found, f"SVC011 {TRAEFIK}", base=lambda: manifests.chart("traefik:v3.2.1")
)
def _rbac_v3(cluster: Cluster) -> None:
    where = "k8s.io/client-go@v0.31.1/tools/cache/reflector.go:243"
    log(
        cluster,
        f"2026-02-25T03:00:00.1Z W0225 03:00:00.100000       1 reflector.go:561] {where}: failed "
        f"to list *v1.EndpointSlice: {_FORBIDDEN}\n"
        f'2026-02-25T03:00:00.1Z E0225 03:00:00.100000       1 reflector.go:158] "Unhandled '
        f'Error" err="{where}: Failed to watch *v1.EndpointSlice: failed to list '
        f'*v1.EndpointSlice: {_FORBIDDEN}" logger="UnhandledError"\n'.replace(
            'User "system', 'User \\"system'
        ),
    )


@fault("rbac-v2", front.not_found, "SVC011 Deployment kube-system/traefik", base=manifests.k3s)
def _rbac_v2(cluster: Cluster) -> None:
    words = _FORBIDDEN.replace("endpointslices.discovery.k8s.io", "ingresses.networking.k8s.io")
    words = words.replace("endpointslices", "ingresses").replace("discovery", "networking")
    log(
        cluster,
        "2026-02-25T03:00:00.1Z E0225 03:00:00.100000       1 reflector.go:148] "
        "k8s.io/client-go@v0.26.7/tools/cache/reflector.go:169: Failed to watch *v1.Ingress: "
        f"failed to list *v1.Ingress: {words}\n",
    )


@fault("provider-off", front.not_found, f"SVC012 {TRAEFIK}")
def _provider_off(cluster: Cluster) -> None:
    for pod in traefiks(cluster):
        container = pod["spec"]["containers"][0]
        container["args"] = [a for a in container["args"] if "kubernetesingress" not in a]


# --- request


def broken_application(_scheme: str, _path: str) -> front.Answer:
    return 500, {"Content-Type": "application/json"}, '{"error":"no database"}'


@fault("application", broken_application, "REQ001 Application shop/shop")
def _application(cluster: Cluster) -> None:
    """Nothing in the cluster is wrong."""


@fault("silence", front.silence, f"REQ008 Host {front.HOST}")
def _silence(cluster: Cluster) -> None:
    """What stands in front accepts the connection and closes it."""


@fault("no-ingress", front.not_found, f"ING001 Host {front.HOST}")
def _no_ingress(cluster: Cluster) -> None:
    """Only another host of the same domain has an Ingress: it is not to blame."""
    drop(cluster, "Ingress", "shop")


def behind_nginx(_scheme: str, _path: str) -> front.Answer:
    status, headers, body = front.not_found("https", "/")
    return status, {**headers, "Server": "nginx"}, body


@fault("behind-a-proxy", behind_nginx, f"ING002 {INGRESS}")
def _behind_a_proxy(cluster: Cluster) -> None:
    """Traefik's 404 passed on by a proxy that names itself."""
    one(cluster, "Ingress", "shop")["spec"]["ingressClassName"] = "traefik-internal"
