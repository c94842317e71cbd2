"""What each Traefik pod says of itself: its API, its metrics and its log.

API and metrics are asked through the API server's pod proxy; where that is denied and
--direct-probes allows it, at the pod's address. A Traefik without API or metrics is usual and
says nothing about its health. API paths, paging (``X-Next-Page: 1`` on the last page) and
``per_page`` are the same from v2.11 to v3.7 (pkg/api).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.graph import selects
from hopcheck.behaviour.kubernetes.objects import key_of
from hopcheck.behaviour.traefik.discovery import (
    container_port,
    entry_point_port,
    flags_of,
    traefik_container,
    traefik_pods,
)
from hopcheck.behaviour.traefik.logs import parse_log
from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes.client import Answer, KubeClient
from hopcheck.collect.traefik_pruning import chosen_series, used
from hopcheck.collect.traefik_pruning import of_host as routers_of_host
from hopcheck.model import (
    Collected,
    KubeEvidence,
    LogLine,
    Obj,
    Replica,
    Target,
    TraefikEvidence,
    Why,
)
from hopcheck.model.redact import redact_obj, redact_text
from hopcheck.model.traefik import of_traefik

T = TypeVar("T")

MAX_REPLICAS = 10
LOG_LINES = 500
PREVIOUS_LINES = 50

_LOG_BYTES = 262_144
_PER_PAGE = 500
_MAX_PAGES = 10
_BASE_PATH = re.compile(r"(?i)--api\.basepath=(\S*)")
_METRICS_ENTRY = re.compile(r"(?i)--metrics\.prometheus\.entrypoint=(\S+)")


async def collect_traefik(
    target: Target,
    run: Run,
    kube: KubeEvidence,
    client: KubeClient | None = None,
    first: Iterable[Obj] = (),
) -> TraefikEvidence:
    """Ask every Traefik pod of `kube` at once; at most MAX_REPLICAS, ready ones of Services first.

    Before these come the pods `first`: those known to be on the host's way.

    `client` is best the one that read `kube`: without it the kubeconfig is read again, and an
    exec plugin asked again. Never raises but for cancellation. Pods beyond the limit are listed
    with the reason NOT_SELECTED and a detail that says how many were asked. A target without a
    host asks for all hosts: nothing is left out of the answers but metrics of single hosts.
    """
    wanted = {key_of(pod) for pod in first}
    pods = sorted(_pods(kube), key=lambda pod: key_of(pod) not in wanted)
    if not pods:
        return TraefikEvidence()
    if client is not None:
        return await _ask_pods(target, run, client, pods)
    async with KubeClient(run) as own:
        return await _ask_pods(target, run, own, pods)


async def _ask_pods(
    target: Target, run: Run, client: KubeClient, pods: Sequence[Obj]
) -> TraefikEvidence:
    asked = await asyncio.gather(
        *(_Asking(target, run, client, pod).replica() for pod in pods[:MAX_REPLICAS])
    )
    detail = f"{len(pods)} Traefik pods; the first {MAX_REPLICAS} were asked"
    beyond: Collected[Any] = Collected(why=Why.NOT_SELECTED, detail=detail)
    rest = [_not_asked(pod, beyond) for pod in pods[MAX_REPLICAS:]]
    return TraefikEvidence(replicas=(*asked, *rest))


def of_host(whole: TraefikEvidence, kube: KubeEvidence, host: str) -> TraefikEvidence:
    """What `collect_traefik` would have found for `host`, out of what was asked for no host.

    Replicas that are not in `kube` are left out. Metrics stay those that concern every host.
    """
    names = {(pod["metadata"].get("namespace", ""), pod["metadata"]["name"]) for pod in _pods(kube)}
    return TraefikEvidence(
        tuple(
            replace(
                one,
                routers=routers_of_host(one.routers, host),
                services=used(one.services, one.routers, host),
            )
            for one in whole.replicas
            if (one.namespace, one.pod) in names
        )
    )


def _pods(kube: KubeEvidence) -> list[Obj]:
    """Traefik pods, those behind a Service and ready ones first, then by name."""
    found = [
        pod
        for key, listed in kube.lists.items()
        if key.partition("@")[0] == "pods" and listed.seen
        for pod in traefik_pods(listed.get())
    ]
    services = [
        service
        for key, listed in kube.lists.items()
        if key.partition("@")[0] == "services" and listed.seen
        for service in listed.get()
    ]

    def order(pod: Obj) -> tuple[bool, bool, str, str]:
        behind = any(selects(service, pod) for service in services)
        meta = pod["metadata"]
        return not behind, not _ready(pod), meta.get("namespace", ""), meta.get("name", "")

    return sorted(found, key=order)


def _status(pod: Obj) -> Obj:
    return pod.get("status") or {}


def _ready(pod: Obj) -> bool:
    conditions = _status(pod).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _not_asked(pod: Obj, reason: Collected[Any]) -> Replica:
    meta = pod["metadata"]
    return Replica(
        namespace=meta.get("namespace", ""),
        pod=meta.get("name", ""),
        address=_status(pod).get("podIP"),
        version=reason,
        overview=reason,
        entrypoints=reason,
        routers=reason,
        tcp_routers=reason,
        services=reason,
        middlewares=reason,
        metrics=reason,
        log=reason,
        previous_log=reason,
    )


class _Asking:
    """All questions to one pod."""

    def __init__(self, target: Target, run: Run, client: KubeClient, pod: Obj) -> None:
        self._target = target
        self._run = run
        self._client = client
        self._pod = pod
        self._namespace = str(pod["metadata"].get("namespace", ""))
        self._name = str(pod["metadata"].get("name", ""))
        self._address: str | None = _status(pod).get("podIP")
        self._container = traefik_container(pod) or {}
        words = " ".join(flags_of(self._container))
        base = _BASE_PATH.search(words)
        self._base = base.group(1).strip("'\"").rstrip("/") if base else ""
        entry = _METRICS_ENTRY.search(words)
        self._metrics_entry = entry.group(1).strip("'\"").lower() if entry else "traefik"

    async def replica(self) -> Replica:
        """Everything at once; the API's port is guessed where the arguments do not tell it."""
        running = _status(self._pod).get("phase") in (None, "Running") and self._address
        log, previous, metrics, replica = await asyncio.gather(
            self._log(),
            self._previous_log(),
            self._metrics() if running else self._not_running(),
            self._api() if running else self._no_api(),
        )
        answered: Replica = replica
        return replace(answered, log=log, previous_log=previous, metrics=metrics)

    async def _not_running(self) -> Collected[Any]:
        phase = _status(self._pod).get("phase")
        return Collected(why=Why.UNREACHABLE, detail=f"the pod is {phase} and has no address")

    async def _no_api(self) -> Replica:
        reason = await self._not_running()
        return replace(_not_asked(self._pod, reason), address=self._address)

    # --- API ---------------------------------------------------------------------------------

    def _api_ports(self) -> list[int]:
        stated = entry_point_port(self._container, "traefik")
        if stated:
            return [stated]
        named = container_port(self._container, ("traefik", "admin", "dashboard", "api"))
        # 8080 is Traefik's own default, 9000 that of older charts.
        return list(dict.fromkeys([named, 8080, 9000] if named else [8080, 9000]))

    async def _api(self) -> Replica:
        ports = self._api_ports()
        replica, versions = await asyncio.gather(
            self._api_at(ports[0]),
            asyncio.gather(*(self._version(port) for port in ports[1:])),
        )
        if replica.version.seen:
            return replica
        for port, version in zip(ports[1:], versions, strict=True):
            if version.seen:
                return await self._api_at(port)
        return replica

    async def _api_at(self, port: int) -> Replica:
        general = asyncio.gather(
            self._version(port),
            self._question(port, "/api/overview", self._overview),
            self._question(port, "/api/entrypoints", self._all("entrypoints")),
        )
        loaded = asyncio.gather(
            self._question(port, "/api/http/routers", self._all("routers")),
            self._question(port, "/api/tcp/routers", self._all("tcp_routers")),
            self._question(port, "/api/http/services", self._all("services")),
            self._question(port, "/api/http/middlewares", self._all("middlewares")),
        )
        answers = await asyncio.gather(general, loaded)
        (version, overview, entrypoints), (routers, tcp, services, middlewares) = answers
        return Replica(
            namespace=self._namespace,
            pod=self._name,
            address=self._address,
            version=version,
            overview=overview,
            entrypoints=entrypoints,
            routers=routers_of_host(routers, self._target.host) if self._target.host else routers,
            tcp_routers=tcp,
            services=(
                used(services, routers, self._target.host) if self._target.host else services
            ),
            middlewares=middlewares,
        )

    async def _version(self, port: int) -> Collected[str]:
        async def ask(port: int, path: str) -> str:
            version = (await self._object(port, path)).get("Version")
            if not isinstance(version, str):
                raise Unavailable(Why.INVALID, "the answer is not Traefik's")
            return version

        return await self._question(port, "/api/version", ask)

    async def _question(
        self, port: int, path: str, ask: Callable[[int, str], Awaitable[T]]
    ) -> Collected[T]:
        source = f"pod {self._namespace}/{self._name}:{port} {self._base}{path}"
        return await self._run.ask(
            source, lambda: ask(port, self._base + path), timeout=self._run.remaining()
        )

    async def _object(self, port: int, path: str) -> Obj:
        data = (await self._fetch(port, path)).json()
        if not isinstance(data, dict):
            raise Unavailable(Why.INVALID, "the answer is not Traefik's")
        return redact_obj(data)

    async def _overview(self, port: int, path: str) -> Obj:
        return of_traefik("overview", await self._object(port, path))

    def _all(self, what: str) -> Callable[[int, str], Awaitable[tuple[Obj, ...]]]:
        """The question for the whole list of `what`, a field of Replica."""

        async def ask(port: int, path: str) -> tuple[Obj, ...]:
            return tuple(of_traefik(what, await self._pages(port, path)))

        return ask

    async def _pages(self, port: int, path: str) -> tuple[Obj, ...]:
        items: list[Obj] = []
        page = 1
        for _ in range(_MAX_PAGES):
            answer = await self._fetch(port, path, {"per_page": _PER_PAGE, "page": page})
            data = answer.json()
            if not isinstance(data, list):
                raise Unavailable(Why.INVALID, "the answer is not Traefik's")
            items += [item for item in data if isinstance(item, dict)]
            following = answer.headers.get("x-next-page", "1")
            if not following.isdigit() or int(following) <= page:
                break
            page = int(following)
        return tuple(redact_obj(items))

    async def _fetch(self, port: int, path: str, params: dict[str, int] | None = None) -> Answer:
        """A 200 from the pod, else Unavailable."""
        try:
            answer = await self._client.proxy(
                "pods", self._namespace, self._name, port, path, params=params
            )
        except Unavailable as failure:
            if failure.why is not Why.DENIED or not self._client.direct_probes:
                raise
            answer = await self._client.direct(str(self._address), port, path, params=params)
        if answer.status == 200:
            return answer
        text = redact_text(" ".join(answer.body[:200].decode("utf-8", "replace").split()))
        why = {
            401: Why.DENIED,
            403: Why.DENIED,
            404: Why.NOT_FOUND,
            502: Why.UNREACHABLE,
            503: Why.UNREACHABLE,
            504: Why.TIMED_OUT,
        }.get(answer.status, Why.ERROR)
        raise Unavailable(why, f"HTTP {answer.status}: {text}")

    # --- metrics and log ---------------------------------------------------------------------

    async def _metrics(self) -> Collected[dict[str, float]]:
        stated = entry_point_port(self._container, self._metrics_entry)
        named = container_port(self._container, ("metrics", self._metrics_entry, "traefik"))
        port = stated or named or 8080

        async def ask(port: int, path: str) -> dict[str, float]:
            answer = await self._fetch(port, path)
            return chosen_series(answer.body.decode("utf-8", "replace"), self._target.host)

        source = f"pod {self._namespace}/{self._name}:{port} /metrics"
        return await self._run.ask(
            source, lambda: ask(port, "/metrics"), timeout=self._run.remaining()
        )

    def _container_status(self) -> Obj:
        for status in _status(self._pod).get("containerStatuses") or ():
            if status.get("name") == self._container.get("name"):
                return dict(status)
        return {}

    async def _log(self) -> Collected[tuple[LogLine, ...]]:
        return await self._read_log(LOG_LINES, previous=False)

    async def _previous_log(self) -> Collected[tuple[LogLine, ...]]:
        status = self._container_status()
        if not status.get("restartCount"):
            return Collected(why=Why.NOT_NEEDED, detail="the container was never restarted")
        return await self._read_log(PREVIOUS_LINES, previous=True)

    async def _read_log(self, lines: int, *, previous: bool) -> Collected[tuple[LogLine, ...]]:
        truncated = False

        async def ask() -> tuple[LogLine, ...]:
            nonlocal truncated
            tail = lines
            body, truncated = await self._tail(tail, previous=previous)
            while truncated and tail > 20:
                # The bytes run out at the newest lines, the ones that matter: ask for fewer.
                tail //= 5
                body, truncated = await self._tail(tail, previous=previous)
            truncated = truncated or tail < lines
            return parse_log(redact_text(body.decode("utf-8", "replace")))

        which = f"{self._container.get('name')}{' (previous)' if previous else ''}"
        source = f"log {self._namespace}/{self._name} {which}"
        found = await self._run.ask(source, ask, timeout=self._run.remaining())
        return replace(found, truncated=truncated)

    async def _tail(self, lines: int, *, previous: bool) -> tuple[bytes, bool]:
        return await self._client.log(
            self._namespace,
            self._name,
            str(self._container.get("name", "")),
            tail_lines=lines,
            limit_bytes=_LOG_BYTES,
            previous=previous,
        )
