"""A running API server for tests: its own loop in a thread, its own CA, three accounts."""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import trustme

from hopcheck.lab.apiserver import ApiServer, Store

ADMIN = "admin-token"
READER = "reader-token"
NOBODY = "nobody-token"

Obj = dict[str, Any]


class Serving:
    """`with Serving(directory) as serving:`; the server answers until the block ends."""

    def __init__(self, directory: Path) -> None:
        ca = trustme.CA()
        issued = ca.issue_cert("127.0.0.1", "localhost")
        self.ca_file = directory / "ca.pem"
        certificate, key = directory / "server.pem", directory / "server.key"
        ca.cert_pem.write_to_path(self.ca_file)
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        self.directory = directory
        self.server = ApiServer(certificate=certificate, key=key)
        self.server.account(ADMIN, "admin", None)
        self.server.account(NOBODY, "nobody", [])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Serving":
        self._thread.start()
        self.run(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def store(self) -> Store:
        return self.server.store

    def run(self, work: Awaitable[Any], timeout: float = 10) -> Any:
        async def awaited() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(timeout)

    def client(self, token: str | None = ADMIN) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            base_url=self.server.url,
            headers=headers,
            verify=ssl.create_default_context(cafile=str(self.ca_file)),
            trust_env=False,
            timeout=5,
        )

    def kubeconfig(self, token: str = ADMIN) -> Path:
        cluster = {"server": self.server.url, "certificate-authority": str(self.ca_file)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "user"}}],
            "current-context": "lab",
        }
        path = self.directory / f"kubeconfig-{token}"
        path.write_text(json.dumps(config))
        return path


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 10) -> Any:
    """Wait until the condition gives something true, and return that."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"in vain: {what}")


def pod(
    name: str,
    address: str,
    *,
    labels: dict[str, str] | None = None,
    ready: bool = True,
    ports: list[Obj] | None = None,
    node: str = "node-1",
    phase: str = "Running",
) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app": "my-app"} if labels is None else labels,
        },
        "spec": {
            "nodeName": node,
            "containers": [
                {
                    "name": "app",
                    "image": "example/app:1",
                    "ports": ports or [{"name": "http", "containerPort": 8080}],
                }
            ],
        },
        "status": {
            "phase": phase,
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [
                {"name": "app", "ready": ready, "restartCount": 0, "state": {"running": {}}}
            ],
        },
    }


def service(name: str = "my-app", **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": "my-app"}, "ports": ports} | spec,
    }


def ingress(host: str = "myapp.example.com", backend: str = "my-app") -> Obj:
    path = {
        "path": "/",
        "pathType": "Prefix",
        "backend": {"service": {"name": backend, "port": {"number": 80}}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "my-app-ingress", "namespace": "default"},
        "spec": {
            "ingressClassName": "traefik",
            "rules": [{"host": host, "http": {"paths": [path]}}],
        },
    }


INGRESS_CLASS: Obj = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "traefik"},
    "spec": {"controller": "traefik.io/ingress-controller"},
}
NODE: Obj = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {
        "name": "node-1",
        "labels": {"topology.kubernetes.io/zone": "ap-northeast-2a"},
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
