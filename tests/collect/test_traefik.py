"""Traefik's own word: the real binary behind the lab's pod proxy, and odd answers."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from hopcheck.collect.ask import Run
from hopcheck.collect.kubernetes.client import KubeClient
from hopcheck.collect.kubernetes.read import collect_kube
from hopcheck.collect.traefik import chosen_series, collect_traefik, routers_of_host
from hopcheck.config.options import Options
from hopcheck.model import Collected, Replica, Target, Why
from hopcheck.model.traefik import Router
from tests.lab.serving import ADMIN, Serving, pod, wait_for

TARGET = Target(host="myapp.example.com")
ROUTES = """
http:
  routers:
    good: {rule: "Host(`myapp.example.com`)", service: s, entryPoints: [web]}
    bad: {rule: "Host(`bad.example.com`)", service: s, entryPoints: [web], middlewares: [gone]}
  services:
    s: {loadBalancer: {servers: [{url: "http://127.0.0.1:9"}]}}
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class RealTraefik:
    """A Traefik with a file provider; `args` are those of its pod."""

    def __init__(self, directory: Path) -> None:
        binary = shutil.which("traefik", path=str(Path(sys.prefix) / "bin"))
        if binary is None:
            pytest.skip("traefik is not installed")
        self.web, self.api, self.metrics = free_ports(3)
        routes = directory / "routes.yml"
        routes.write_text(ROUTES)
        self.args = [
            f"--entryPoints.web.address=127.0.0.1:{self.web}",
            f"--entryPoints.traefik.address=127.0.0.1:{self.api}",
            f"--entryPoints.metrics.address=127.0.0.1:{self.metrics}",
            "--metrics.prometheus=true",
            "--metrics.prometheus.entryPoint=metrics",
            "--metrics.prometheus.addRoutersLabels=true",
            "--api.insecure=true",
            "--log.level=DEBUG",
            "--accesslog=true",
            "--accesslog.format=json",
            "--global.checknewversion=false",
            f"--providers.file.filename={routes}",
        ]
        self.log = directory / "traefik.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [binary, *self.args], stdout=output, stderr=subprocess.STDOUT
            )

    def ready(self) -> None:
        def loaded() -> bool:
            try:
                url = f"http://127.0.0.1:{self.api}/api/http/routers"
                names = [item["name"] for item in httpx.get(url, trust_env=False).json()]
            except (httpx.HTTPError, ValueError):
                return False
            return "good@file" in names

        wait_for(loaded, "Traefik loads its routes", 20)
        answer = httpx.get(
            f"http://127.0.0.1:{self.web}/", headers={"Host": TARGET.host}, trust_env=False
        )
        assert answer.status_code == 502
        # Access lines are written after the answer is sent.
        wait_for(lambda: '"RouterName":"good@file"' in self.log.read_text(), "its access line")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def traefik(tmp_path_factory):
    running = RealTraefik(tmp_path_factory.mktemp("traefik"))
    try:
        running.ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def serving(tmp_path):
    with Serving(tmp_path) as serving:
        yield serving


def traefik_pod(serving: Serving, args: list[str], name: str = "gate-1", **status) -> None:
    made = pod(name, "127.0.0.1", labels={"app": "gate"}, ports=status.pop("ports", None))
    container = made["spec"]["containers"][0]
    container.update({"name": "gate", "image": "traefik:v3.7.15", "args": args})
    made["status"] |= status
    for state in made["status"]["containerStatuses"]:
        state["name"] = "gate"
    serving.store.put(made)


def replicas(serving: Serving, token: str = ADMIN, **options) -> tuple[Replica, ...]:
    async def main():
        run = Run(Options(kubeconfig=str(serving.kubeconfig(token)), **options))
        async with KubeClient(run) as client:
            kube = await collect_kube(TARGET, run, client)
            return (await collect_traefik(TARGET, run, kube, client)).replicas

    return asyncio.run(main())


def test_the_real_traefik_tells_everything(serving, traefik):
    traefik_pod(serving, traefik.args)
    serving.server.set_log("default", "gate-1", "gate", traefik.log.read_text)
    (found,) = replicas(serving)
    assert (found.namespace, found.pod, found.address) == ("default", "gate-1", "127.0.0.1")
    assert found.version.get().startswith("3.")
    assert found.overview.get()["http"]["routers"]["errors"] == 1
    assert {item["name"] for item in found.entrypoints.get()} == {"web", "traefik", "metrics"}
    routers = {item["name"]: item for item in found.routers.get()}
    assert routers["good@file"]["status"] == "enabled"
    assert routers["bad@file"]["error"] == ('middleware "gone@file" does not exist',)
    assert found.tcp_routers.get() == ()
    assert "s@file" in {item["name"] for item in found.services.get()}
    assert found.middlewares.seen
    assert found.metrics.get()["traefik_config_reloads_total"] >= 1
    series = [key for key in found.metrics.get() if key.startswith("traefik_router_requests_total")]
    assert any('router="good@file"' in key for key in series)
    errors = [line for line in found.log.get() if line.level == "error"]
    assert errors[0].fields["error"] == 'middleware "gone@file" does not exist'
    access = [line for line in found.log.get() if line.kind == "access"]
    assert access[0].fields["RequestHost"] == "myapp.example.com"
    assert not found.log.truncated
    assert found.previous_log.why is Why.NOT_NEEDED


def test_the_api_port_is_found_by_the_container_port(serving, traefik):
    args = [arg for arg in traefik.args if "entryPoints.traefik" not in arg]
    traefik_pod(serving, args, ports=[{"name": "traefik", "containerPort": traefik.api}])
    (found,) = replicas(serving)
    assert found.version.seen
    assert {item["name"] for item in found.routers.get()} >= {"good@file", "bad@file"}


def test_denied_the_proxy_is_unknown_and_the_log_still_read(serving, traefik):
    traefik_pod(serving, traefik.args)
    serving.server.set_log("default", "gate-1", "gate", lambda: "hello\n")
    rule = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}
    serving.server.account("log", "log", [rule])
    (found,) = replicas(serving, "log")
    assert {found.version.why, found.routers.why, found.metrics.why} == {Why.DENIED}
    assert "pods/proxy" in found.routers.detail
    assert [line.message for line in found.log.get()] == ["hello"]


def test_denied_the_proxy_the_pod_is_asked_directly_where_that_is_wanted(serving, traefik):
    traefik_pod(serving, traefik.args)
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
    serving.server.account("direct", "direct", [rule])
    (found,) = replicas(serving, "direct", direct_probes=True)
    assert "good@file" in {item["name"] for item in found.routers.get()}
    assert found.metrics.seen
    assert found.log.why is Why.DENIED


def test_an_api_that_is_off_is_not_found(serving, traefik):
    args = [f"--entryPoints.traefik.address=:{traefik.web}", "--entryPoints.web.address=:1"]
    traefik_pod(serving, args)
    (found,) = replicas(serving)
    assert (found.routers.why, found.version.why) == (Why.NOT_FOUND, Why.NOT_FOUND)
    assert found.routers.detail == "HTTP 404: 404 page not found"


def test_a_port_where_nobody_listens_is_unreachable(serving):
    (port,) = free_ports(1)
    traefik_pod(serving, [f"--entryPoints.traefik.address=:{port}"])
    (found,) = replicas(serving)
    assert found.routers.why is Why.UNREACHABLE
    assert found.metrics.why is Why.UNREACHABLE


def test_a_pod_that_restarted_shows_its_previous_log(serving, traefik):
    said = "2026-02-25T03:00:00Z ERR cmd/traefik/traefik.go:1 > command error field not found"
    traefik_pod(serving, traefik.args)
    serving.store.patch(
        "pods",
        "default",
        "gate-1",
        lambda p: p["status"]["containerStatuses"][0].update(restartCount=3),
    )
    serving.server.set_log("default", "gate-1", "gate", lambda: "", lambda: said)
    (found,) = replicas(serving)
    assert found.log.get() == ()
    assert found.previous_log.get()[0].level == "error"


def test_a_pending_pod_is_not_asked(serving):
    traefik_pod(serving, ["--entryPoints.web.address=:80"], phase="Pending", podIP=None)
    (found,) = replicas(serving)
    assert found.routers.why is Why.UNREACHABLE
    assert found.routers.detail == "the pod is Pending and has no address"
    assert not any("/proxy" in path for _, path in serving.server.requests)


def test_no_more_than_ten_pods_are_asked_and_that_is_said(serving):
    (port,) = free_ports(1)
    for index in range(12):
        traefik_pod(serving, [f"--entryPoints.traefik.address=:{port}"], name=f"gate-{index:02}")
    found = replicas(serving)
    assert len(found) == 12
    assert [replica.routers.why for replica in found[10:]] == [Why.NOT_SELECTED] * 2
    assert found[11].routers.detail == "12 Traefik pods; the first 10 were asked"


def test_a_long_log_keeps_its_newest_lines(serving):
    text = "\n".join(f"line {index} {'x' * 5_000}" for index in range(400))
    traefik_pod(serving, ["--entryPoints.web.address=:1"], phase="Pending", podIP=None)
    serving.server.set_log("default", "gate-1", "gate", lambda: text)
    (found,) = replicas(serving)
    assert found.log.truncated
    assert found.log.get()[-1].message.startswith("line 399 ")


def test_secrets_in_logs_are_redacted(serving):
    line = "2026-02-25T03:00:00Z DBG request Authorization: Bearer abcdefgh12345678"
    traefik_pod(serving, ["--entryPoints.web.address=:1"], phase="Pending", podIP=None)
    serving.server.set_log("default", "gate-1", "gate", lambda: line)
    (found,) = replicas(serving)
    assert "abcdefgh12345678" not in repr(found)


# --- odd answers from the port that should be Traefik's API ---------------------------------------


def answering(serving: Serving, handler) -> Replica:
    """The replica whose API port is served by `handler`."""

    async def start():
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = serving.run(start())
    traefik_pod(serving, [f"--entryPoints.traefik.address=:{runner.addresses[0][1]}"])
    try:
        (found,) = replicas(serving)
    finally:
        serving.run(runner.cleanup())
    return found


def test_all_pages_are_read(serving):
    async def handler(request):
        page = int(request.query.get("page", 1))
        data = [{"name": f"r{page}", "rule": "Host(`a`)"}]
        return web.json_response(data, headers={"X-Next-Page": str(page + 1 if page < 3 else 1)})

    found = answering(serving, handler)
    assert [item["name"] for item in found.routers.get()] == ["r1", "r2", "r3"]


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (lambda: web.Response(text="<html></html>"), Why.INVALID),
        (lambda: web.json_response("x"), Why.INVALID),
        (lambda: web.Response(status=401, text="401 Unauthorized"), Why.DENIED),
        (lambda: web.Response(status=500, text="oops"), Why.ERROR),
    ],
)
def test_not_traefiks_api(serving, response, why):
    async def handler(_):
        return response()

    found = answering(serving, handler)
    assert (found.version.why, found.overview.why, found.routers.why) == (why, why, why)


# --- what is kept ---------------------------------------------------------------------------------


def test_chosen_series():
    text = "\n".join(
        [
            "# HELP traefik_config_reloads_total x",
            "traefik_config_reloads_total 4",
            'traefik_tls_certs_not_after{cn="",sans="a.org,*.example.com",serial="1"} 1.7e+09',
            'traefik_tls_certs_not_after{cn="b.org",sans="b.org",serial="2"} 1.7e+09',
            'traefik_service_requests_total{code="200",service="s@file"} 5',
            'traefik_service_request_duration_seconds_bucket{le="0.1"} 5',
            "traefik_config_last_reload_success NaN-ish",
            "go_goroutines 7",
        ]
    )
    assert chosen_series(text, "myapp.example.com") == {
        "traefik_config_reloads_total": 4.0,
        'traefik_tls_certs_not_after{cn="",sans="a.org,*.example.com",serial="1"}': 1.7e9,
        'traefik_service_requests_total{code="200",service="s@file"}': 5.0,
    }


def test_of_very_many_routers_those_that_may_match_are_kept():
    rules = [f"Host(`h{index}.org`)" for index in range(600)]
    rules += ["Host(`myapp.example.com`)", "PathPrefix(`/`)", "HostRegexp(`.*`)"]
    routers = Collected(value=tuple(Router(name=rule, rule=rule) for rule in rules))
    assert [item.rule for item in routers_of_host(routers, TARGET.host).get()] == rules[600:]
    few = Collected(value=routers.get()[:10])
    assert routers_of_host(few, TARGET.host) is few


def test_evidence_is_json(serving, traefik):
    import msgspec

    traefik_pod(serving, traefik.args)
    assert json.loads(msgspec.json.encode(replicas(serving)))
