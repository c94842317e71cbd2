"""The Kubernetes collector against the lab's API server over TLS, and against odd servers."""

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest
from aiohttp import web

from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes.client import KubeClient
from hopcheck.collect.kubernetes.read import collect_kube
from hopcheck.config.options import Options
from hopcheck.lab.controllers import EndpointController
from hopcheck.model import KubeEvidence, Target, Why
from hopcheck.model.kubernetes import Env, IngressSpec
from tests.lab.serving import ADMIN, INGRESS_CLASS, NODE, Serving, ingress, pod, service

TARGET = Target(host="myapp.example.com")


def traefik_pod(name: str = "gate-1", namespace: str = "edge") -> dict:
    made = pod(name, "127.0.0.9", labels={"app": "gate"})
    made["metadata"]["namespace"] = namespace
    container = made["spec"]["containers"][0]
    container.update(
        {
            "name": "gate",
            "image": "traefik:v3.6.7",
            "args": ["--entryPoints.web.address=:8000", "--certificatesresolvers.le.acme.email=a"],
            "env": [
                {"name": "TRAEFIK_LOG_LEVEL", "value": "INFO"},
                {"name": "CF_DNS_API_TOKEN", "value": "cloudflare-token"},
            ],
            "volumeMounts": [{"name": "static", "mountPath": "/etc/traefik"}],
        }
    )
    made["spec"]["volumes"] = [
        {"name": "static", "configMap": {"name": "gate-config"}},
        {"name": "other", "configMap": {"name": "not-mounted"}},
    ]
    return made


def traefik_service(namespace: str = "edge") -> dict:
    made = service(
        "gate",
        type="NodePort",
        selector={"app": "gate"},
        ports=[{"name": "web", "port": 80, "targetPort": 8000, "nodePort": 30000}],
    )
    made["metadata"]["namespace"] = namespace
    return made


def event(name: str, kind: str, time: str, about: str = "Service") -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "type": kind,
        "reason": name,
        "lastTimestamp": time,
        "involvedObject": {"kind": about, "name": "my-app-1", "namespace": "default"},
    }


def furnished(serving: Serving) -> None:
    store = serving.store
    EndpointController(store)
    app = pod("my-app-1", "127.0.0.5")
    app["spec"]["containers"][0]["env"] = [{"name": "DB_PASSWORD", "value": "hunter2"}]
    app["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    secured = ingress()
    secured["spec"]["tls"] = [{"hosts": ["myapp.example.com"], "secretName": "my-tls"}]
    tls = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "my-tls", "namespace": "default"},
        "data": {"tls.crt": "Q0VSVA==", "tls.key": "S0VZ"},
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "gate-config", "namespace": "edge"},
        "data": {"traefik.yml": "log:\n  level: INFO\n"},
    }
    objects = [NODE, INGRESS_CLASS, app, service(), secured, tls, config, traefik_service()]
    objects += [
        traefik_pod(),
        event("Old", "Warning", "2026-02-25T03:00:00Z"),
        event("New", "Warning", "2026-02-25T03:05:00Z"),
        event("Fine", "Normal", "2026-02-25T03:06:00Z"),
        event("EnsuredLoadBalancer", "Normal", "2026-02-25T03:07:00Z"),
        event("BackOff", "Warning", "2026-02-25T03:08:00Z", "Pod"),
    ]
    for obj in objects:
        store.put(json.loads(json.dumps(obj)))


@pytest.fixture
def serving(tmp_path):
    with Serving(tmp_path) as serving:
        furnished(serving)
        yield serving


async def read(run: Run, target=TARGET) -> KubeEvidence:
    async with KubeClient(run) as client:
        return await collect_kube(target, run, client)


def collect(serving: Serving, token: str = ADMIN, target=TARGET, **options) -> KubeEvidence:
    run = Run(Options(kubeconfig=str(serving.kubeconfig(token)), **options))
    return asyncio.run(read(run, target))


def names(evidence: KubeEvidence, resource: str, namespace: str | None = None) -> list[str]:
    return [item["metadata"]["name"] for item in evidence.list(resource, namespace).get()]


def rule(*resources: str, verbs: tuple[str, ...] = ("get", "list")) -> dict:
    groups = ["", "apps", "networking.k8s.io", "discovery.k8s.io", "traefik.io"]
    return {"apiGroups": groups, "resources": list(resources), "verbs": list(verbs)}


def test_all_that_matters_is_read(serving):
    evidence = collect(serving)
    assert evidence.server.get()["context"] == "lab"
    assert evidence.server.get()["version"].startswith("v1.")
    assert names(evidence, "ingresses") == ["my-app-ingress"]
    assert names(evidence, "ingressclasses") == ["traefik"]
    assert sorted(names(evidence, "services")) == ["gate", "my-app"]
    assert names(evidence, "nodes") == ["node-1"]
    assert names(evidence, "ingressroutes") == []
    assert names(evidence, "pods", "edge") == ["gate-1"]
    assert names(evidence, "pods", "default") == ["my-app-1"]
    (piece,) = evidence.list("endpointslices", "default").get()
    assert piece["endpoints"][0]["addresses"] == ("127.0.0.5",)
    assert evidence.list("deployments", "default").get() == ()
    assert names(evidence, "events", "default") == ["Old", "New", "EnsuredLoadBalancer"]
    assert evidence.objects["configmaps@edge/gate-config"].get()["data"] == {
        "traefik.yml": "log:\n  level: INFO\n"
    }
    assert "configmaps@edge/not-mounted" not in evidence.objects
    assert evidence.totals["ingresses"] == 1
    assert evidence.rights["list ingresses"] is True


def test_pods_are_kept_by_namespace_alone(serving):
    evidence = collect(serving)
    assert evidence.list("pods").why is Why.NOT_SELECTED
    assert evidence.list("pods", "kube-system").why is Why.NOT_SELECTED
    assert evidence.totals["pods"] == 2


def test_secrets_never_arrive(serving):
    evidence = collect(serving)
    secret = evidence.objects["secrets@default/my-tls"].get()
    assert secret["kind"] == "Secret"
    assert set(secret) <= {"apiVersion", "kind", "metadata", "keys"}
    text = repr(evidence)
    for value in ("S0VZ", "hunter2", "cloudflare-token", "admin-token", "last-applied"):
        assert value not in text
    (app,) = evidence.list("pods", "default").get()
    assert app["spec"]["containers"][0]["env"] == (Env(name="DB_PASSWORD"),)
    (gate,) = evidence.list("pods", "edge").get()
    logged = Env(name="TRAEFIK_LOG_LEVEL", value="INFO")
    assert logged in gate["spec"]["containers"][0]["env"]


def test_a_secret_that_is_not_there_is_not_found(serving):
    serving.store.delete("secrets", "default", "my-tls")
    found = collect(serving).objects["secrets@default/my-tls"]
    assert found.why is Why.NOT_FOUND
    assert "my-tls" in found.detail


def test_only_reading(serving):
    collect(serving)
    assert {method for method, _ in serving.server.requests} == {"GET"}


def test_few_waves(serving):
    """With every answer 0.1 s late a whole collection stays near three of them."""
    serving.server.delay = 0.1
    began = time.monotonic()
    collect(serving)
    assert time.monotonic() - began < 1.5
    asked = [path for _, path in serving.server.requests]
    assert len(asked) < 45
    assert sum(path.endswith("/events") for path in asked) == 2  # failures and successes at once


def test_without_the_crds_their_absence_is_believed(serving):
    serving.server.hidden |= {"traefik.io", "gateway.networking.k8s.io"}
    evidence = collect(serving)
    found = evidence.list("ingressroutes")
    assert (found.why, found.detail) == (Why.NOT_FOUND, "no such API")
    assert evidence.list("httproutes").why is Why.NOT_FOUND
    assert names(evidence, "ingresses") == ["my-app-ingress"]


def test_traefik_is_found_where_its_service_has_another_name_and_selects_nothing(serving):
    serving.store.patch("services", "edge", "gate", lambda s: s["spec"].update(selector={"a": "b"}))
    assert names(collect(serving), "pods", "edge") == ["gate-1"]


def test_traefik_without_any_service(serving):
    serving.store.delete("services", "edge", "gate")
    assert names(collect(serving), "pods", "edge") == ["gate-1"]


def test_many_pods_and_no_hint_every_page_is_read(serving):
    serving.store.patch(
        "services", "edge", "gate", lambda s: s["spec"]["ports"][0].update(name="x")
    )
    for index in range(510):
        crowd = pod(f"crowd-{index:03}", "127.0.1.1", labels={"app": "crowd"})
        crowd["metadata"]["namespace"] = "crowd"
        serving.store.put(crowd)
    evidence = collect(serving)
    assert names(evidence, "pods", "edge") == ["gate-1"]
    assert evidence.totals["pods"] == 512
    assert evidence.list("pods", "crowd").why is Why.NOT_SELECTED


def test_many_pods_with_a_hint_only_the_namespaces_are_listed(serving):
    for index in range(510):
        crowd = pod(f"crowd-{index:03}", "127.0.1.1", labels={"app": "crowd"})
        crowd["metadata"]["namespace"] = "crowd"
        serving.store.put(crowd)
    evidence = collect(serving)
    assert names(evidence, "pods", "edge") == ["gate-1"]
    assert names(evidence, "pods", "default") == ["my-app-1"]
    paths = [path for _, path in serving.server.requests]
    assert paths.count("/api/v1/pods") == 1


def test_foreign_ingresses_are_counted_and_kept_slim(serving):
    for index in range(120):
        other = ingress(f"h{index}.example.org")
        other["metadata"] |= {
            "name": f"other-{index}",
            "namespace": f"team-{index}",
            "annotations": {"kubernetes.io/ingress.class": "nginx", "note": "x"},
        }
        serving.store.put(other)
    evidence = collect(serving)
    assert evidence.totals["ingresses"] == 121
    listed = evidence.list("ingresses").get()
    assert len(listed) == 121
    whole = [item for item in listed if not item.get("slim")]
    assert [item["metadata"]["name"] for item in whole] == ["my-app-ingress"]
    slim = next(item for item in listed if item["metadata"]["name"] == "other-7")
    assert slim["spec"] == IngressSpec(ingress_class_name="traefik", hosts=("h7.example.org",))
    assert slim["metadata"]["annotations"] == {"kubernetes.io/ingress.class": "nginx"}
    assert not any(
        path.startswith("/api/v1/namespaces/team") for _, path in serving.server.requests
    )


def test_a_crowd_of_services_stays_findable_and_costs_little(serving):
    for index in range(350):
        other = service(f"other-{index}", type="ClusterIP")
        other["metadata"] |= {"namespace": f"team-{index}", "annotations": {"note": "x"}}
        serving.store.put(other)
    evidence = collect(serving)
    found = evidence.one("services", "team-7", "other-7").get()
    assert found["slim"]
    assert found["spec"]["ports"][0]["port"] == 80
    assert "annotations" not in found["metadata"]
    assert "slim" not in evidence.one("services", "default", "my-app").get()
    assert evidence.totals["services"] == 352


def test_replica_sets_of_the_past_are_left_out(serving):
    for name, replicas in (("now", 2), ("past", 0)):
        serving.store.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"replicas": replicas, "selector": {}},
                "status": {"replicas": 0},
            }
        )
    evidence = collect(serving)
    assert names(evidence, "replicasets", "default") == ["now"]


LEGACY_ROUTE = {
    "apiVersion": "traefik.containo.us/v1alpha1",
    "kind": "IngressRoute",
    "metadata": {"name": "old", "namespace": "shop"},
    "spec": {"routes": [{"match": "Host(`myapp.example.com`)", "services": [{"name": "s"}]}]},
}


@pytest.mark.parametrize(
    ("image", "routes"),
    [("traefik:2.11.2", ["old"]), ("edge:latest", ["old"]), ("traefik:v3.1", None)],
)
def test_routes_of_the_old_group_count_for_traefik_v2_alone(tmp_path, image, routes):
    gate = traefik_pod()
    gate["spec"]["containers"][0]["image"] = image

    async def handler(request):
        group = "/apis/traefik.containo.us/v1alpha1"
        if request.path == group:
            return web.json_response({"kind": "APIResourceList", "resources": []})
        found = {f"{group}/ingressroutes": [LEGACY_ROUTE], "/api/v1/pods": [gate]}
        if request.path in found:
            return web.json_response({"kind": "XList", "items": found[request.path]})
        if request.path.startswith("/api/v1"):
            return page([])
        return web.Response(status=404, text="404 page not found")

    async def ask(client):
        return await collect_kube(TARGET, client.run, client)

    evidence = against(tmp_path, handler, ask)
    found = evidence.list("ingressroutes")
    if routes is None:
        assert found.why is Why.NOT_FOUND
        ignored = evidence.list("ingressroutes.traefik.containo.us")  # read to be told of
        assert [item.name for item in ignored.get()] == ["old"]
    else:
        assert [item["metadata"]["name"] for item in found.get()] == routes
        assert evidence.list("endpointslices", "shop").why is Why.NOT_FOUND
    assert evidence.list("middlewares").why is Why.NOT_FOUND


def test_a_list_of_the_old_group_that_is_cut_is_marked(tmp_path, monkeypatch):
    monkeypatch.setattr("hopcheck.collect.kubernetes.client.MAX_PAGES", 2)
    monkeypatch.setattr("hopcheck.collect.kubernetes.read.MAX_PAGES", 2)
    group = "/apis/traefik.containo.us/v1alpha1"

    async def handler(request):
        if request.path == group:
            return web.json_response({"kind": "APIResourceList", "resources": []})
        if request.path == f"{group}/ingressroutes":
            return web.json_response({"metadata": {"continue": "next"}, "items": [LEGACY_ROUTE]})
        return page([])  # whatever stands in today's group is read to the end

    async def ask(client):
        return await collect_kube(TARGET, client.run, client)

    evidence = against(tmp_path, handler, ask)
    assert evidence.list("ingressroutes").truncated
    assert not evidence.list("middlewares").truncated


# --- rights -------------------------------------------------------------------------------------


def test_denied_is_not_missing(serving):
    serving.server.account("some", "some", [rule("ingresses", "services", "pods")])
    evidence = collect(serving, "some")
    assert names(evidence, "ingresses") == ["my-app-ingress"]
    found = evidence.list("endpointslices", "default")
    assert found.why is Why.DENIED
    assert "endpointslices" in found.detail
    assert evidence.list("nodes").why is Why.DENIED
    assert evidence.objects["secrets@default/my-tls"].why is Why.DENIED
    assert evidence.rights["list ingresses"] is True
    assert evidence.rights["list nodes"] is False
    assert evidence.rights["list endpointslices in default"] is False


def test_nothing_is_allowed(serving):
    evidence = collect(serving, "nobody-token")
    assert {found.why for found in evidence.lists.values()} == {Why.DENIED}
    assert evidence.server.seen


def test_with_a_namespace_nothing_else_is_listed(serving):
    reads = [rule("*")]
    serving.server.account("team", "team", [], {"default": reads})
    evidence = collect(serving, "team", namespace="default")
    assert evidence.namespace == "default"
    assert names(evidence, "ingresses", "default") == ["my-app-ingress"]
    assert names(evidence, "pods", "default") == ["my-app-1"]
    assert len(evidence.list("endpointslices", "default").get()) == 1
    assert evidence.list("ingressclasses").why is Why.DENIED
    assert evidence.list("ingresses").why is Why.NOT_SELECTED


def test_without_cluster_rights_the_contexts_namespace_is_tried(serving):
    serving.server.account("team", "team", [], {"default": [rule("*")]})
    path = serving.kubeconfig("team")
    config = json.loads(path.read_text())
    config["contexts"][0]["context"]["namespace"] = "default"
    path.write_text(json.dumps(config))
    run = Run(Options(kubeconfig=str(path)))
    evidence = asyncio.run(read(run))
    assert evidence.list("ingresses").why is Why.DENIED
    assert names(evidence, "ingresses", "default") == ["my-app-ingress"]
    assert names(evidence, "services", "default") == ["my-app"]
    assert len(evidence.list("endpointslices", "default").get()) == 1
    assert evidence.namespace is None


def test_the_traefik_service_option_names_a_namespace(serving):
    reads = {"default": [rule("*")], "edge": [rule("*")]}
    serving.server.account("team", "team", [], reads)
    evidence = collect(serving, "team", namespace="default", traefik_service="edge/gate")
    assert names(evidence, "services", "edge") == ["gate"]
    assert names(evidence, "pods", "edge") == ["gate-1"]


def test_an_expired_token(serving):
    evidence = collect(serving, "expired")
    assert evidence.server.why is Why.UNAUTHENTICATED
    assert {found.why for found in evidence.lists.values()} == {Why.UNAUTHENTICATED}
    assert evidence.list("endpointslices", "default").why is Why.UNAUTHENTICATED


# --- servers that are away, or none -------------------------------------------------------------


def kubeconfig(directory: Path, server: str, **user) -> str:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def away(directory: Path, server: str, **options) -> tuple[KubeEvidence, float]:
    """What is found of a server, and the seconds that its answers took."""

    async def main():
        run = Run(Options(kubeconfig=kubeconfig(directory, server), **options))
        async with KubeClient(run) as client:
            with contextlib.suppress(Unavailable):
                await client._ready()  # to load the credentials is not the server's time
            began = time.monotonic()
            evidence = await collect_kube(TARGET, run, client)
            return evidence, time.monotonic() - began

    return asyncio.run(main())


def test_refused(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    evidence, took = away(tmp_path, f"https://127.0.0.1:{port}")
    assert {found.why for found in evidence.lists.values()} == {Why.UNREACHABLE}
    assert evidence.server.why is Why.UNREACHABLE
    assert evidence.list("networkpolicies", "default").why is Why.UNREACHABLE
    assert took < 2


def test_silent_costs_one_timeout(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        evidence, took = away(tmp_path, f"https://127.0.0.1:{silent.getsockname()[1]}", timeout=0.6)
    assert {found.why for found in evidence.lists.values()} == {Why.TIMED_OUT}
    assert "no answer within 0.6 s" in evidence.list("ingresses").detail
    assert took < 1.6


def test_the_deadline_ends_everything(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        server = f"https://127.0.0.1:{silent.getsockname()[1]}"
        evidence, took = away(tmp_path, server, deadline=0.5)
    assert {found.why for found in evidence.lists.values()} == {Why.TIMED_OUT}
    assert took < 1.5


def test_an_unknown_authority(serving, tmp_path):
    evidence, _ = away(tmp_path, serving.server.url)
    found = evidence.list("ingresses")
    assert found.why is Why.INVALID
    assert "certificate verify failed" in found.detail


def test_a_wrong_server_name(serving, tmp_path):
    config = json.loads(serving.kubeconfig().read_text())
    config["clusters"][0]["cluster"]["tls-server-name"] = "kubernetes.default"
    path = tmp_path / "named"
    path.write_text(json.dumps(config))
    evidence = asyncio.run(read(Run(Options(kubeconfig=str(path)))))
    assert evidence.server.why is Why.INVALID
    assert "kubernetes.default" in evidence.server.detail
    config["clusters"][0]["cluster"]["tls-server-name"] = "localhost"
    path.write_text(json.dumps(config))
    assert asyncio.run(read(Run(Options(kubeconfig=str(path))))).server.seen


def test_insecure_skip_tls_verify(serving, tmp_path):
    config = json.loads(serving.kubeconfig().read_text())
    cluster = config["clusters"][0]["cluster"]
    del cluster["certificate-authority"]
    cluster["insecure-skip-tls-verify"] = True
    path = tmp_path / "insecure"
    path.write_text(json.dumps(config))
    assert asyncio.run(read(Run(Options(kubeconfig=str(path))))).server.seen


def test_no_kubeconfig_settles_all(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    evidence = asyncio.run(read(Run(Options())))
    assert evidence.server.why is Why.NOT_CONFIGURED
    assert "no kubeconfig" in evidence.server.detail
    assert {found.why for found in evidence.lists.values()} == {Why.NOT_CONFIGURED}


def test_an_exec_plugin_is_asked_once(serving, tmp_path):
    calls = tmp_path / "calls"
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "admin-token"},
    }
    script = tmp_path / "plugin"
    script.write_text(f"#!/bin/sh\necho call >> {calls}\necho '{json.dumps(answer)}'\n")
    script.chmod(0o755)
    config = json.loads(serving.kubeconfig().read_text())
    config["users"][0]["user"] = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script)}
    }
    path = tmp_path / "exec"
    path.write_text(json.dumps(config))
    evidence = asyncio.run(read(Run(Options(kubeconfig=str(path)))))
    assert names(evidence, "ingresses") == ["my-app-ingress"]
    assert calls.read_text() == "call\n"


# --- the client against a server of its own ------------------------------------------------------


def against(tmp_path, handler, ask, **options):
    """The result of `ask(client)` where every request is answered by `handler`."""

    async def main():
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        path = kubeconfig(tmp_path, f"http://127.0.0.1:{port}")
        try:
            async with KubeClient(Run(Options(kubeconfig=path, **options))) as client:
                return await ask(client)
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def status(code: int, message: str, **headers) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}
    return web.json_response(body, status=code, headers=headers)


def page(names_: list[str], following: str = "") -> web.Response:
    items = [{"metadata": {"name": name}} for name in names_]
    meta = {"continue": following} if following else {}
    return web.json_response(
        {"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": items}
    )


def test_an_expired_page_begins_the_list_again(tmp_path):
    asked = []

    async def handler(request):
        asked.append(request.query.get("continue"))
        if asked[-1] is None:
            return page(["a"], "next")
        return status(410, "too old") if asked.count("next") == 1 else page(["b"])

    listing = against(tmp_path, handler, lambda client: client.list("/api/v1/pods"))
    assert asked == [None, "next", None, "next"]
    assert [item["metadata"]["name"] for item in listing.items] == ["a", "b"]
    assert listing.items[0]["kind"] == "Pod"
    assert not listing.truncated


def test_pages_have_an_end(tmp_path):
    async def handler(_):
        return page(["a"], "next")

    listing = against(tmp_path, handler, lambda client: client.list("/api/v1/pods", max_pages=3))
    assert len(listing.items) == 3
    assert listing.truncated


def test_too_many_requests_are_asked_again_after_the_time_given(tmp_path):
    asked = []

    async def handler(_):
        asked.append(time.monotonic())
        if len(asked) == 1:
            return status(429, "slow down", **{"Retry-After": "1"})
        return page(["a"])

    against(tmp_path, handler, lambda client: client.list("/api/v1/pods"))
    assert asked[1] - asked[0] >= 1


def failure(tmp_path, handler, **options) -> tuple[Why, str]:
    with pytest.raises(Unavailable) as caught:
        against(tmp_path, handler, lambda client: client.list("/api/v1/pods"), **options)
    return caught.value.why, caught.value.detail


@pytest.mark.parametrize(
    ("response", "why", "words"),
    [
        (lambda: status(429, "slow down", **{"Retry-After": "60"}), Why.THROTTLED, "slow down"),
        (lambda: status(403, "pods is forbidden"), Why.DENIED, "pods is forbidden"),
        (lambda: status(401, "Unauthorized"), Why.UNAUTHENTICATED, "Unauthorized"),
        (lambda: status(500, "etcd leader changed"), Why.ERROR, "etcd leader changed"),
        (lambda: status(504, "timed out"), Why.TIMED_OUT, "timed out"),
        (lambda: web.Response(text="<html>login</html>"), Why.INVALID, "no JSON"),
        (lambda: web.json_response([1]), Why.INVALID, "no Kubernetes object"),
        (lambda: web.json_response({"kind": "Pod"}), Why.INVALID, "no list"),
        (lambda: web.Response(body=b"[" * 100_000), Why.INVALID, "no JSON"),
        (lambda: web.Response(status=302, headers={"Location": "/login"}), Why.INVALID, "redirect"),
        (lambda: web.Response(status=404, text="404 page not found"), Why.NOT_FOUND, "no such API"),
    ],
)
def test_what_a_server_may_answer(tmp_path, response, why, words):
    async def handler(_):
        return response()

    found = failure(tmp_path, handler)
    assert found[0] is why
    assert words in found[1]


def test_a_slow_body_times_out(tmp_path):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await asyncio.sleep(2)
        return response

    assert failure(tmp_path, handler, timeout=0.3)[0] is Why.TIMED_OUT


def test_a_failure_after_an_answer_does_not_break_the_rest(tmp_path):
    async def handler(request):
        if request.path == "/slow":
            await asyncio.sleep(2)
        return page(["a"])

    async def ask(client):
        await client.list("/api/v1/pods")
        with pytest.raises(Unavailable):
            await client.list("/slow")
        return await client.list("/api/v1/pods")

    assert len(against(tmp_path, handler, ask, timeout=0.3).items) == 1


def test_not_http_at_all(tmp_path):
    async def main():
        async def answer(_, writer):
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        path = kubeconfig(tmp_path, f"http://127.0.0.1:{port}")
        async with server:
            return await read(Run(Options(kubeconfig=path)))

    evidence = asyncio.run(main())
    assert evidence.server.why in (Why.INVALID, Why.UNREACHABLE)


async def _each(client, ask) -> list[Why | None]:
    """Why each of several questions had no answer."""

    async def one(pod: str) -> Why | None:
        try:
            await ask(client, pod)
        except Unavailable as failure:
            return failure.why
        return None

    return await asyncio.gather(*(one(f"gate-{number}") for number in range(8)))


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, pod: client.proxy("gw", pod, 8080, "/api/version"),
        lambda client, pod: client.log("gw", pod, "gate", tail_lines=5, limit_bytes=99),
    ],
)
def test_what_a_role_forbids_is_asked_once_for_all_pods_of_a_namespace(tmp_path, ask):
    asked: list[str] = []

    async def handler(request):
        asked.append(request.path)
        return status(403, "pods is forbidden")

    assert set(against(tmp_path, handler, lambda c: _each(c, ask))) == {Why.DENIED}
    assert len(asked) == 1


def test_one_pod_that_does_not_answer_keeps_nobody_from_asking_the_others(tmp_path):
    async def handler(request):
        if "gate-0" in request.path:
            return status(503, "error trying to reach service")
        return web.Response(text="{}")

    found = against(
        tmp_path, handler, lambda c: _each(c, lambda c, pod: c.proxy("gw", pod, 8080, "/"))
    )
    assert found == [Why.UNREACHABLE, *[None] * 7]


def test_an_api_server_that_still_starts_is_asked_again_and_is_no_missing_right(tmp_path):
    asked: list[str] = []

    async def handler(request):
        asked.append(request.path)
        if len(asked) == 1:
            return status(503, "the server is starting", **{"Retry-After": "0"})
        return page(["a"])

    assert against(tmp_path, handler, lambda client: client.list("/api/v1/pods")).items
    assert len(asked) == 2

    async def never(_):
        return status(503, "etcd is not ready", **{"Retry-After": "0"})

    assert failure(tmp_path, never) == (Why.ERROR, "etcd is not ready")
