"""Real clients, unmodified, on the lab's API server: kubectl, the official client, Traefik."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from hopcheck.lab.controllers import EndpointController
from tests.lab.serving import (
    ADMIN,
    INGRESS_CLASS,
    NODE,
    READER,
    Serving,
    ingress,
    pod,
    service,
    wait_for,
)
from tests.other_traefik import other_binary

SCRIPTS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
KUBECTL = shutil.which("kubectl", path=SCRIPTS) or "kubectl"
TRAEFIK = shutil.which("traefik", path=SCRIPTS) or "traefik"

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: my-app}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: https, port: 443, targetPort: 8443}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: strip, namespace: default}
spec: {stripPrefix: {prefixes: [/api]}}
"""
# What Traefik's own chart grants it.
TRAEFIK_RULES = [
    {
        "apiGroups": [""],
        # Endpoints: up to 3.0, which reads no EndpointSlices.
        "resources": ["services", "secrets", "nodes", "configmaps", "endpoints"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    },
    {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["ingresses", "ingressclasses"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["ingresses/status"],
        "verbs": ["update"],
    },
    {"apiGroups": ["traefik.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    with Serving(tmp_path_factory.mktemp("apiserver")) as serving:
        yield serving


@pytest.fixture
def cluster(serving):
    """The page's application, whole again for each test."""
    store = serving.store
    if not store.list("nodes"):
        EndpointController(store)
    for obj in (NODE, INGRESS_CLASS, service(), ingress()):
        store.put(obj)
    store.put(pod("my-app-1", "127.0.9.1"))
    store.put(pod("my-app-2", "127.0.9.2", ready=False))
    serving.server.set_log("default", "my-app-1", "app", lambda: "first\nlast\n")
    serving.server.account(
        READER, "reader", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    )
    return serving


@pytest.fixture
def kubectl(cluster, tmp_path):
    def run(*arguments, token=ADMIN, code=0, stdin=None):
        environment = {
            "PATH": SCRIPTS,
            "HOME": str(tmp_path),
            "KUBECONFIG": str(cluster.kubeconfig(token)),
        }
        done = subprocess.run(
            [KUBECTL, *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def rows(text):
    return [line.split() for line in text.splitlines() if line.strip()]


# kubectl


def test_kubectl_describes_an_ingress_with_its_endpoints(kubectl):
    text = kubectl("describe", "ingress", "my-app-ingress")
    assert "Ingress Class:    traefik" in text
    assert "myapp.example.com" in text
    assert "my-app:80 (127.0.9.1:8080)" in text


def test_kubectl_gets_what_the_checklist_asks_for(kubectl):
    header, row = rows(kubectl("get", "ingress", "-A"))
    assert header == ["NAMESPACE", "NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
    assert row[:5] == ["default", "my-app-ingress", "traefik", "myapp.example.com", "80"]

    header, row = rows(kubectl("get", "svc", "-A", "-o", "wide"))
    assert row[:3] == ["default", "my-app", "ClusterIP"]
    assert (row[5], row[-1]) == ("80/TCP", "app=my-app")

    _, one, two = rows(kubectl("get", "pods", "-o", "wide"))
    assert (one[:4], one[5:7]) == (["my-app-1", "1/1", "Running", "0"], ["127.0.9.1", "node-1"])
    assert two[:2] == ["my-app-2", "0/1"]

    _, row = rows(kubectl("get", "endpoints"))
    assert row[:2] == ["my-app", "127.0.9.1:8080"]
    _, row = rows(kubectl("get", "endpointslices"))
    assert row[1:4] == ["IPv4", "8080", "127.0.9.1,127.0.9.2"]
    assert "No resources found" not in kubectl("get", "all,ingressclasses,nodes", "-A")


def test_kubectl_selects_and_prints_other_forms(kubectl):
    names = kubectl(
        "get", "pods", "-l", "app=my-app", "--field-selector", "spec.nodeName=node-1", "-o", "name"
    )
    assert names.split() == ["pod/my-app-1", "pod/my-app-2"]
    path = "{.spec.rules[0].host}"
    assert kubectl("get", "ing", "my-app-ingress", f"-o=jsonpath={path}") == "myapp.example.com"


def test_kubectl_describes_pods_services_and_nodes(kubectl):
    assert "Ready:          True" in kubectl("describe", "pod", "my-app-1")
    assert "Endpoints:                127.0.9.1:8080" in kubectl("describe", "svc", "my-app")
    assert "ap-northeast-2a" in kubectl("describe", "node", "node-1")


def test_kubectl_logs(kubectl):
    assert kubectl("logs", "my-app-1") == "first\nlast\n"
    assert kubectl("logs", "my-app-1", "--tail=1") == "last\n"
    assert 'previous terminated container "app"' in kubectl("logs", "my-app-1", "-p", code=1)


def test_kubectl_finds_the_pods_of_a_workload(kubectl, cluster):
    template = {"metadata": {"labels": {"app": "my-app"}}, "spec": {"containers": []}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "my-app", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "my-app"}},
            "template": template,
        },
        "status": {"readyReplicas": 1},
    }
    cluster.store.put(deployment)
    assert kubectl("logs", "deploy/my-app") == "first\nlast\n"
    assert rows(kubectl("get", "deploy"))[1][:2] == ["my-app", "1/2"]


def test_kubectl_sorts_events(kubectl, cluster):
    for name, moment in (("late", "2026-02-25T03:00:00Z"), ("early", "2026-02-25T02:00:00Z")):
        cluster.store.put(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": "default"},
                "involvedObject": {"kind": "Pod", "name": "my-app-1", "namespace": "default"},
                "lastTimestamp": moment,
                "type": "Warning",
                "reason": name,
                "message": "a message",
            }
        )
    found = rows(kubectl("get", "events", "--sort-by=.lastTimestamp"))
    assert [row[2] for row in found[1:]] == ["early", "late"]
    assert found[0] == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert found[1][3] == "pod/my-app-1"


def test_kubectl_waits(kubectl, cluster):
    assert "condition met" in kubectl(
        "wait", "pod/my-app-1", "--for=condition=Ready", "--timeout=5s"
    )
    threading.Timer(0.5, lambda: cluster.store.put(pod("my-app-2", "127.0.9.2"))).start()
    assert "condition met" in kubectl(
        "wait", "pod/my-app-2", "--for=condition=Ready", "--timeout=9s"
    )


def test_kubectl_raw(kubectl):
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert '"kind":"PodList"' in kubectl("get", "--raw", "/api/v1/pods?limit=1")


def test_kubectl_asks_what_it_may(kubectl):
    assert kubectl("auth", "can-i", "list", "pods", token=READER) == "yes\n"
    kubectl("auth", "can-i", "list", "secrets", token=READER, code=1)
    assert rows(kubectl("auth", "can-i", "--list", token=READER))[-3:-2] == [
        ["pods", "[]", "[]", "[get", "list]"]
    ]
    assert "reader" in kubectl("auth", "whoami", token=READER)
    assert 'User "reader" cannot list resource "services"' in kubectl(
        "get", "svc", token=READER, code=1
    )
    assert "must be logged in" in kubectl("get", "pods", token="expired", code=1)


def test_kubectl_applies_edits_and_deletes(kubectl, cluster):
    assert "service/web created" in kubectl("apply", "-f", "-", stdin=MANIFEST)
    kubectl("label", "svc", "web", "tier=front")
    kubectl("patch", "svc", "web", "-p", '{"spec":{"ports":[{"port":80,"targetPort":1}]}}')
    edited = cluster.store.get("services", "default", "web")
    assert edited["metadata"]["labels"] == {"tier": "front"}
    assert [p["targetPort"] for p in edited["spec"]["ports"]] == [1, 8443]
    applied = kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert "service/web configured" in applied
    assert "middleware.traefik.io/strip unchanged" in applied
    again = cluster.store.get("services", "default", "web")
    assert [p["targetPort"] for p in again["spec"]["ports"]] == [8080, 8443]
    assert "serverside-applied" in kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=MANIFEST
    )
    kubectl("delete", "-f", "-", stdin=MANIFEST)
    assert cluster.store.get("services", "default", "web") is None
    assert cluster.store.get("middlewares", "default", "strip") is None
    assert '"web" not found' in kubectl("get", "svc", "web", code=1)


# The official client


@pytest.fixture
def api(cluster):
    from kubernetes import client, config

    def configured(token=ADMIN):
        made = config.new_client_from_config(str(cluster.kubeconfig(token)))
        return client.CoreV1Api(made)

    return configured


def test_the_official_client_lists_reads_and_logs(api):
    core = api()
    found = core.list_pod_for_all_namespaces(label_selector="app=my-app", limit=1)
    assert [p.metadata.name for p in found.items] == ["my-app-1"]
    following = core.list_pod_for_all_namespaces(
        label_selector="app=my-app", limit=1, _continue=found.metadata._continue
    )
    assert [p.metadata.name for p in following.items] == ["my-app-2"]
    assert core.read_namespaced_service("my-app", "default").spec.ports[0].target_port == "http"
    assert core.read_namespaced_pod_log("my-app-1", "default", tail_lines=1) == "last\n"


def test_the_official_client_reads_slices_and_ingresses(api):
    from kubernetes import client

    made = api().api_client
    slices = client.DiscoveryV1Api(made).list_namespaced_endpoint_slice(
        "default", label_selector="kubernetes.io/service-name=my-app"
    )
    ready = {e.addresses[0]: e.conditions.ready for s in slices.items for e in s.endpoints}
    assert ready == {"127.0.9.1": True, "127.0.9.2": False}
    (found,) = client.NetworkingV1Api(made).list_ingress_for_all_namespaces().items
    assert found.spec.rules[0].http.paths[0].backend.service.port.number == 80
    routes = client.CustomObjectsApi(made).list_cluster_custom_object(
        "traefik.io", "v1alpha1", "ingressroutes"
    )
    assert (routes["kind"], routes["items"]) == ("IngressRouteList", [])


def test_the_official_client_is_forbidden_and_unauthorized(api):
    from kubernetes.client import ApiException

    with pytest.raises(ApiException) as forbidden:
        api(READER).list_service_for_all_namespaces()
    assert (forbidden.value.status, forbidden.value.reason) == (403, "Forbidden")
    assert 'User \\"reader\\" cannot list resource' in forbidden.value.body
    with pytest.raises(ApiException) as unauthorized:
        api("expired").list_service_for_all_namespaces()
    assert unauthorized.value.status == 401


def test_the_official_client_watches(api, cluster):
    from kubernetes import watch

    seen = []
    reader = watch.Watch()

    def follow():
        for event in reader.stream(
            api().list_namespaced_pod, "default", label_selector="watched=yes", timeout_seconds=10
        ):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                reader.stop()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    cluster.store.put(pod("late", "127.0.9.9", labels={"watched": "yes"}))
    wait_for(lambda: seen, "the watch's first event")
    cluster.store.delete("pods", "default", "late")
    thread.join(10)
    assert seen == [("ADDED", "late"), ("DELETED", "late")]


# Traefik


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(binary, arguments, log):
    with log.open("wb") as output:
        process = subprocess.Popen([binary, *arguments], stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(params=["own", "other"])
def binary(request, pytestconfig):
    """The Traefik of this environment, and another version of it."""
    return TRAEFIK if request.param == "own" else str(other_binary(pytestconfig))


def test_traefik_reads_routes_and_follows_changes(cluster, tmp_path, binary):
    token = "traefik-token"
    account = "system:serviceaccount:api-gateway-system:traefik"
    cluster.server.account(token, account, TRAEFIK_RULES)
    api = free_port()
    access = {
        "endpoint": cluster.server.url,
        "token": token,
        "certauthfilepath": cluster.ca_file,
    }
    arguments = [
        "--global.checknewversion=false",
        "--providers.providersthrottleduration=50ms",
        "--api.insecure=true",
        f"--entrypoints.traefik.address=127.0.0.1:{api}",
        f"--entrypoints.web.address=127.0.0.1:{free_port()}",
        "--providers.kubernetesingress.ingressendpoint.hostname=lb.example.com",
        *(f"--providers.kubernetesingress.{key}={value}" for key, value in access.items()),
        *(f"--providers.kubernetescrd.{key}={value}" for key, value in access.items()),
    ]
    log = tmp_path / "traefik.log"
    base = f"http://127.0.0.1:{api}/api/http"

    def read(path):
        try:
            answer = httpx.get(f"{base}/{path}", trust_env=False)
        except httpx.TransportError:
            return []
        # While Traefik starts, it answers 404.
        return answer.json() if answer.status_code == 200 else []

    def rules(provider):
        return [r["rule"] for r in read("routers") if r["provider"] == provider]

    def servers():
        found = [s for s in read("services") if s["provider"] == "kubernetes"]
        return [x["url"] for s in found for x in s["loadBalancer"]["servers"]]

    with running(binary, arguments, log):
        wait_for(lambda: rules("kubernetes"), "Traefik loads the Ingress", 15)
        (rule,) = rules("kubernetes")
        # Backquotes up to 3.6.10, Go's %q since.
        assert rule.replace("`", '"') == 'Host("myapp.example.com") && PathPrefix("/")'
        assert servers() == ["http://127.0.9.1:8080"]

        published = wait_for(
            lambda: cluster.store.get("ingresses", "default", "my-app-ingress")["status"][
                "loadBalancer"
            ].get("ingress"),
            "Traefik publishes the load balancer's name",
        )
        assert published == [{"hostname": "lb.example.com"}]

        cluster.store.patch(
            "ingresses",
            "default",
            "my-app-ingress",
            lambda o: o["spec"]["rules"][0].update(host="other.example.com"),
        )
        wait_for(
            lambda: any("other.example.com" in r for r in rules("kubernetes")),
            "the changed host arrives by watch",
        )
        cluster.store.put(pod("my-app-2", "127.0.9.2"))
        wait_for(lambda: len(servers()) == 2, "the second pod arrives through its slice")

        route = {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": {"name": "route", "namespace": "default"},
            "spec": {
                "entryPoints": ["web"],
                "routes": [
                    {
                        "kind": "Rule",
                        "match": "Host(`crd.example.com`)",
                        "services": [{"name": "my-app", "port": 80}],
                    }
                ],
            },
        }
        cluster.store.put(route)
        wait_for(lambda: rules("kubernetescrd") == ["Host(`crd.example.com`)"], "the IngressRoute")
        cluster.store.delete("ingressroutes", "default", "route")
        wait_for(lambda: rules("kubernetescrd") == [], "the IngressRoute's end")
        lines = log.read_text().splitlines()  # what comes after is of the end: closed listeners
    # A status update conflicts where Traefik's cache is older than its own last update.
    conflict = "the object has been modified; please apply your changes to the latest version"
    assert [line for line in lines if "ERR" in line and conflict not in line] == []
