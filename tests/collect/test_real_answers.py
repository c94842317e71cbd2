"""What a real API server answered, read as a run reads it.

Recorded of kube-apiserver v1.36.3 (docs/versions.md): one answer for each path that a diagnosis of
myapp.example.com asks for, by somebody who may read Secrets.
"""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from hopcheck.collect.ask import Run
from hopcheck.collect.kubernetes.client import METADATA_ONLY, KubeClient
from hopcheck.collect.kubernetes.read import collect_kube
from hopcheck.config.options import Options
from hopcheck.model import KubeEvidence, Target, Why

ANSWERS = Path(__file__).parent / "kube-apiserver-1.36.json.gz"


async def collected(answers: dict[str, Any], kubeconfig: Path) -> KubeEvidence:
    async def handler(request: web.Request) -> web.Response:
        answer = answers[request.path]
        if request.path.endswith("/secrets/myapp-tls"):
            assert request.headers["Accept"] == METADATA_ONLY
        body, kind = answer["body"].encode(), answer["type"]
        return web.Response(body=body, status=answer["status"], headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    cluster = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    await asyncio.to_thread(kubeconfig.write_text, yaml.safe_dump(config))
    try:
        run = Run(Options(kubeconfig=str(kubeconfig)))
        async with KubeClient(run) as client:
            return await collect_kube(Target(host="myapp.example.com"), run, client)
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> KubeEvidence:
    answers = json.loads(gzip.decompress(ANSWERS.read_bytes()))
    return asyncio.run(collected(answers, tmp_path_factory.mktemp("real") / "kubeconfig"))


def test_every_list_is_seen(evidence: KubeEvidence) -> None:
    assert evidence.server.get()["version"] == "v1.36.3"
    assert [key for key, found in evidence.lists.items() if not found.seen] == []
    counts = {key: len(found.get()) for key, found in evidence.lists.items() if found.get()}
    assert counts["nodes"] == 3
    assert counts["pods@default"] == counts["pods@api-gateway-system"] == 2
    assert counts["endpointslices@default"] == 2
    assert evidence.objects.keys() == {"secrets@default/myapp-tls"}


def test_items_of_lists_have_their_kind(evidence: KubeEvidence) -> None:
    kinds = {
        key.partition("@")[0]: {(item["apiVersion"], item["kind"]) for item in found.get()}
        for key, found in evidence.lists.items()
        if found.get() and not key.startswith("events")
    }
    assert kinds["services"] == {("v1", "Service")}
    assert kinds["ingresses"] == {("networking.k8s.io/v1", "Ingress")}
    assert kinds["endpointslices"] == {("discovery.k8s.io/v1", "EndpointSlice")}
    assert kinds["deployments"] == {("apps/v1", "Deployment")}


def test_a_secret_is_seen_and_its_contents_are_not(evidence: KubeEvidence) -> None:
    secret = evidence.objects["secrets@default/myapp-tls"].get()
    assert secret["keys"] == ("tls.crt", "tls.key")
    assert (secret["kind"], secret["apiVersion"]) == ("Secret", "v1")
    assert "data" not in secret


def test_an_event_of_the_newer_api_has_its_time(evidence: KubeEvidence) -> None:
    (event,) = evidence.list("events", "default").get()
    assert event["reason"] == "FailedScheduling"
    assert event["involvedObject"]["kind"] == "Pod"
    assert event.seen_at == "2026-11-25T15:21:00.654321Z"


def test_what_is_not_served_is_told_from_what_is_not_there(evidence: KubeEvidence) -> None:
    assert evidence.list("ingressroutes").get() == ()
    assert evidence.one("services", "default", "nope").why is Why.NOT_FOUND
