"""A kubelet for all of the lab's nodes: probes the running pods and writes their status."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from hopcheck.lab import workloads
from hopcheck.lab.apiserver.logs import Line
from hopcheck.lab.apiserver.store import Store, timestamp

Obj = dict[str, Any]
_INTERVAL_S = 0.4
_RESTARTS = 1  # at once, then the back-off: five minutes are longer than a lab's life


class Container(Protocol):
    """What runs in a pod."""

    exit_code: int | None
    exit_reason: str

    async def start(self) -> None:
        """Run it."""

    async def stop(self) -> None:
        """End it."""

    async def not_ready(self) -> str | None:
        """Why the readiness probe fails, in the kubelet's words; None when it succeeds."""

    def log(self) -> list[Line]:
        """What the running (or last) container wrote."""

    def previous_log(self) -> list[Line]:
        """What the container before it wrote."""


class Kubelet:
    """Keeps the status of the pods it was given; a held pod is left alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[tuple[str, str], Container] = {}
        self._restarts: dict[tuple[str, str], int] = {}
        self._held: set[tuple[str, str]] = set()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.on_error: Callable[[str], None] = lambda _text: None

    def add(self, namespace: str, name: str, container: Container) -> None:
        """Look after `container` as the only one of that pod."""
        self._running[namespace, name] = container
        self._restarts[namespace, name] = 0

    async def remove(self, namespace: str, name: str) -> None:
        """End the container of that pod and forget it."""
        async with self._lock:
            await self._running.pop((namespace, name)).stop()

    def container(self, namespace: str, name: str) -> Container:
        """What runs in that pod. Raises KeyError for a pod that is not the lab's."""
        return self._running[namespace, name]

    async def start(self) -> None:
        """Start every container and probe from now on."""
        await asyncio.gather(*(one.start() for one in self._running.values()))
        self._task = asyncio.get_running_loop().create_task(self._loop())

    async def stop(self) -> None:
        """End every container."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(one.stop() for one in self._running.values()))

    async def restart(self, namespace: str, name: str) -> None:
        """Replace the container of that pod by a new one: restart count 0."""
        async with self._lock:
            container = self._running[namespace, name]
            await container.stop()
            self._restarts[namespace, name] = 0
            await container.start()

    def hold(self, namespace: str, name: str, change: Callable[[Obj], None]) -> None:
        """Write a status of one's own into the pod and leave it alone until `release`."""
        self._held.add((namespace, name))
        self._store.patch("pods", namespace, name, change, manager="kubelet")

    def release(self) -> None:
        """Look after every pod again."""
        self._held.clear()

    async def probe(self) -> None:
        """Probe every pod now and write what changed."""
        async with self._lock:
            await asyncio.gather(*(self._probe(*key) for key in self._running))
            workloads.count(self._store)

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            try:
                await self.probe()
            except Exception as error:  # noqa: BLE001  # one bad round must not end all probing
                self.on_error(f"kubelet: {type(error).__name__}: {error}")

    async def _probe(self, namespace: str, name: str) -> None:
        key = (namespace, name)
        if key in self._held or self._store.get("pods", namespace, name) is None:
            return
        container = self._running[key]
        if container.exit_code is not None and self._restarts[key] < _RESTARTS:
            self._restarts[key] += 1
            await container.start()
        reason = None if container.exit_code is not None else await container.not_ready()
        if reason is not None and container.exit_code is None:
            self._event(namespace, name, "Unhealthy", f"Readiness probe failed: {reason}")
        if self._store.get("pods", namespace, name) is not None and key not in self._held:
            self._store.patch(
                "pods",
                namespace,
                name,
                lambda pod: self._write(pod, container, self._restarts[key], reason),
                manager="kubelet",
            )

    def _write(self, pod: Obj, container: Container, restarts: int, reason: str | None) -> None:
        status = pod.setdefault("status", {})
        spec = pod["spec"]["containers"][0]
        before = (status.get("containerStatuses") or [{}])[0]
        code = container.exit_code
        ready = code is None and reason is None
        started = before.get("state", {}).get("running", {}).get("startedAt") or timestamp()
        wanted: Obj = {
            "name": spec["name"],
            "image": spec["image"],
            "imageID": f"{spec['image']}@sha256:{'0' * 64}",
            "containerID": before.get("containerID", f"containerd://{pod['metadata']['uid']}"),
            "ready": ready,
            "started": code is None,
            "restartCount": restarts,
            "state": {"running": {"startedAt": started}},
            "lastState": {},
        }
        if code is not None:
            where = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}"
            text = (
                f"back-off 5m0s restarting failed container={spec['name']} "
                f"pod={where}({pod['metadata']['uid']})"
            )
            finished = before.get("lastState", {}).get("terminated") or {
                "exitCode": code,
                "reason": container.exit_reason,
                "startedAt": started,
                "finishedAt": timestamp(),
                "containerID": wanted["containerID"],
            }
            wanted["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
            wanted["lastState"] = {"terminated": finished}
            self._event(
                pod["metadata"]["namespace"],
                pod["metadata"]["name"],
                "BackOff",
                f"Back-off restarting failed container {spec['name']} in pod {where}",
            )
        status["phase"] = "Running"
        status["containerStatuses"] = [wanted]
        status["conditions"] = _conditions(status.get("conditions", []), spec["name"], ready)

    def _event(self, namespace: str, pod: str, reason: str, message: str) -> None:
        """Write the Warning event, once: the store drops a write that changes nothing."""
        found = self._store.get("pods", namespace, pod)
        name = f"{pod}.{reason.lower()}"
        if found is None or self._store.get("events", namespace, name) is not None:
            return
        self._store.put(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "namespace": namespace,
                    "name": pod,
                    "uid": found["metadata"]["uid"],
                },
                "type": "Warning",
                "reason": reason,
                "message": message,
                "count": 1,
                "source": {"component": "kubelet", "host": found["spec"].get("nodeName", "")},
                "firstTimestamp": timestamp(),
                "lastTimestamp": timestamp(),
            },
            manager="kubelet",
        )


def _conditions(before: list[Obj], container: str, ready: bool) -> list[Obj]:
    """The four conditions of a scheduled pod; transition times kept where nothing changed."""
    wanted: list[Obj] = [
        {"type": "Initialized", "status": "True"},
        {"type": "Ready", "status": "True" if ready else "False"},
        {"type": "ContainersReady", "status": "True" if ready else "False"},
        {"type": "PodScheduled", "status": "True"},
    ]
    known = {one["type"]: one for one in before}
    for condition in wanted:
        if condition["status"] == "False":
            condition["reason"] = "ContainersNotReady"
            condition["message"] = f"containers with unready status: [{container}]"
        old = known.get(condition["type"], {})
        same = old.get("status") == condition["status"]
        condition["lastTransitionTime"] = old["lastTransitionTime"] if same else timestamp()
    return wanted
