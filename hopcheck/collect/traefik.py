"""What each Traefik pod says of itself: its API, its metrics and its log.

API and metrics are asked through the API server's pod proxy; where that is denied and
--direct-probes allows it, at the pod's address. A Traefik without API or metrics is usual and
says nothing about its health. API paths, paging (``X-Next-Page: 1`` on the last page) and
``per_page`` are the same from v2.11 to v3.7 (pkg/api).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.graph import selects
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
from hopcheck.model import (
    Collected,
    KubeEvidence,
    LogLine,
    Replica,
    Target,
    TraefikEvidence,
    Why,
)
from hopcheck.model.kubernetes import Container, Pod, Service
from hopcheck.model.redact import redact_obj, redact_text
from hopcheck.model.traefik import LoadedService, Overview, Router, of_traefik

T = TypeVar("T")

MAX_REPLICAS = 10
LOG_LINES = 500
PREVIOUS_LINES = 50

_LOG_BYTES = 262_144
_PER_PAGE = 500
_MAX_PAGES = 10
_BASE_PATH = re.compile(r"(?i)--api\.basepath=(\S*)")
_METRICS_ENTRY = re.compile(r"(?i)--metrics\.prometheus\.entrypoint=(\S+)")
_LISTS = {  # fields of Replica
    "entrypoints": "/api/entrypoints",
    "routers": "/api/http/routers",
    "tcp_routers": "/api/tcp/routers",
    "services": "/api/http/services",
    "middlewares": "/api/http/middlewares",
}
_OTHERS = ("version", "overview", "metrics", "log", "previous_log")
_MANY = 500
_SERIES = 400
_SAMPLE = re.compile(r"^(traefik_\w+)(\{.*\})? (\S+)(?: \d+)?$")
_KEPT_SERIES = re.compile(
    r"traefik_(?:config_(?:reloads_total|reloads_failure_total|last_reload_\w+)"
    r"|open_connections|entrypoint_open_connections|tls_certs_not_after"
    r"|(?:entrypoint|router|service)_requests_total|service_server_up)"
)
_HOST_WORD = re.compile(r"\bHost(?:Header)?\(")


async def collect_traefik(
    target: Target,
    run: Run,
    kube: KubeEvidence,
    client: KubeClient,
    first: Iterable[Pod] = (),
) -> TraefikEvidence:
    """Ask every Traefik pod of `kube` at once; at most MAX_REPLICAS, ready ones of Services first.

    Before these come the pods `first`: those known to be on the host's way. Never raises but for
    cancellation. Pods beyond the limit are listed with the reason NOT_SELECTED and a detail that
    says how many were asked. A target without a host asks for all hosts: nothing is left out of
    the answers but metrics of single hosts.
    """
    wanted = {pod.key for pod in first}
    pods = sorted(_pods(kube), key=lambda pod: pod.key not in wanted)
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
    names = {pod.key for pod in _pods(kube)}
    return TraefikEvidence(
        tuple(_of_host(one, host) for one in whole.replicas if (one.namespace, one.pod) in names)
    )


def _of_host(replica: Replica, host: str) -> Replica:
    return replace(
        replica,
        routers=routers_of_host(replica.routers, host),
        services=_used(replica.services, replica.routers, host),
    )


def _pods(kube: KubeEvidence) -> list[Pod]:
    """Traefik pods, those behind a Service and ready ones first, then by name."""
    services = kube.every(Service)

    def order(pod: Pod) -> tuple[bool, bool, tuple[str, str]]:
        behind = any(selects(service, pod) for service in services)
        return not behind, not pod.ready, pod.key

    return sorted(traefik_pods(kube.every(Pod)), key=order)


def unheard(kube: KubeEvidence, reason: Collected[Any]) -> TraefikEvidence:
    """Every Traefik pod of `kube`, none of which was heard for that reason."""
    return TraefikEvidence(tuple(_not_asked(pod, reason) for pod in _pods(kube)))


def _not_asked(pod: Pod, reason: Collected[Any]) -> Replica:
    return Replica(
        namespace=pod.namespace,
        pod=pod.name,
        address=pod.status.pod_ip or None,
        **dict.fromkeys((*_LISTS, *_OTHERS), reason),
    )


class _Asking:
    """All questions to one pod."""

    def __init__(self, target: Target, run: Run, client: KubeClient, pod: Pod) -> None:
        self._target = target
        self._run = run
        self._client = client
        self._pod = pod
        self._namespace, self._name = pod.key
        self._address = pod.status.pod_ip or None
        self._container: Container = traefik_container(pod) or Container()
        words = " ".join(flags_of(self._container))
        base = _BASE_PATH.search(words)
        self._base = base.group(1).strip("'\"").rstrip("/") if base else ""
        entry = _METRICS_ENTRY.search(words)
        self._metrics_entry = entry.group(1).strip("'\"").lower() if entry else "traefik"

    async def replica(self) -> Replica:
        """Everything at once; the API's port is guessed where the arguments do not tell it."""
        log, previous, replica = await asyncio.gather(
            self._log(LOG_LINES), self._previous_log(), self._answers()
        )
        return replace(replica, log=log, previous_log=previous)

    async def _answers(self) -> Replica:
        phase = self._pod.status.phase
        if phase not in ("", "Running") or not self._address:
            detail = f"the pod is {phase or 'not running'} and has no address"
            return _not_asked(self._pod, Collected(why=Why.UNREACHABLE, detail=detail))
        replica, metrics = await asyncio.gather(self._api(), self._metrics())
        return replace(replica, metrics=metrics)

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
            self._api_at(ports[0]), asyncio.gather(*map(self._version, ports[1:]))
        )
        if replica.version.seen:
            return replica
        for port, version in zip(ports[1:], versions, strict=True):
            if version.seen:
                return await self._api_at(port)
        return replica

    async def _api_at(self, port: int) -> Replica:
        version, overview, *lists = await asyncio.gather(
            self._version(port),
            self._question(port, f"{self._base}/api/overview", self._overview),
            *(
                self._question(port, self._base + path, partial(self._pages, what))
                for what, path in _LISTS.items()
            ),
        )
        answers: dict[str, Any] = dict(zip(_LISTS, lists, strict=True))
        replica = Replica(
            *self._pod.key, self._address, version=version, overview=overview, **answers
        )
        return _of_host(replica, self._target.host) if self._target.host else replica

    async def _version(self, port: int) -> Collected[str]:
        async def ask(port: int, path: str) -> str:
            version = (await self._object(port, path)).get("Version")
            if not isinstance(version, str):
                raise Unavailable(Why.INVALID, "the answer is not Traefik's")
            return version

        return await self._question(port, f"{self._base}/api/version", ask)

    async def _question(
        self, port: int, path: str, ask: Callable[[int, str], Awaitable[T]]
    ) -> Collected[T]:
        source = f"pod {self._namespace}/{self._name}:{port} {path}"
        return await self._run.ask(source, lambda: ask(port, path), timeout=self._run.remaining())

    async def _object(self, port: int, path: str) -> dict[str, Any]:
        data = (await self._fetch(port, path)).json()
        if not isinstance(data, dict):
            raise Unavailable(Why.INVALID, "the answer is not Traefik's")
        found: dict[str, Any] = redact_obj(data)
        return found

    async def _overview(self, port: int, path: str) -> Overview:
        found: Overview = of_traefik("overview", await self._object(port, path))
        return found

    async def _pages(self, what: str, port: int, path: str) -> tuple[Any, ...]:
        """The whole list of `what`, a field of Replica."""
        items: list[Any] = []
        page = 1
        for _ in range(_MAX_PAGES):
            answer = await self._fetch(port, path, {"per_page": _PER_PAGE, "page": page})
            data = answer.json()
            if not isinstance(data, list):
                raise Unavailable(Why.INVALID, "the answer is not Traefik's")
            items += data
            following = answer.headers.get("x-next-page", "1")
            if not following.isdigit() or int(following) <= page:
                break
            page = int(following)
        return tuple(of_traefik(what, redact_obj(items)))

    async def _fetch(self, port: int, path: str, params: dict[str, int] | None = None) -> Answer:
        """A 200 from the pod, else Unavailable."""
        try:
            answer = await self._client.proxy(*self._pod.key, port, path, params=params)
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

        return await self._question(port, "/metrics", ask)

    async def _previous_log(self) -> Collected[tuple[LogLine, ...]]:
        statuses = self._pod.status.container_statuses
        own = (status.restart_count for status in statuses if status.name == self._container.name)
        if not next(own, 0):
            return Collected(why=Why.NOT_NEEDED, detail="the container was never restarted")
        return await self._log(PREVIOUS_LINES, previous=True)

    async def _log(self, lines: int, *, previous: bool = False) -> Collected[tuple[LogLine, ...]]:
        truncated = False

        async def ask() -> tuple[LogLine, ...]:
            nonlocal truncated
            tail, cut = lines, True
            while cut:
                body, cut = await self._client.log(
                    *self._pod.key,
                    self._container.name,
                    tail_lines=tail,
                    limit_bytes=_LOG_BYTES,
                    previous=previous,
                )
                truncated = truncated or cut
                if tail <= 20:
                    break
                # The bytes run out at the newest lines, the ones that matter: ask for fewer.
                tail //= 5
            return parse_log(redact_text(body.decode("utf-8", "replace")))

        which = f"{self._container.name}{' (previous)' if previous else ''}"
        source = f"log {self._namespace}/{self._name} {which}"
        found = await self._run.ask(source, ask, timeout=self._run.remaining())
        return replace(found, truncated=truncated)


# --- what is kept of the answers ------------------------------------------------------------


def _about_host(rule: str, host: str) -> bool:
    parent = host.partition(".")[2]
    lower = rule.lower()
    return (
        host in lower
        or "regexp(" in lower
        or not _HOST_WORD.search(rule)
        or bool(parent and f"*.{parent}" in lower)
    )


def routers_of_host(
    routers: Collected[tuple[Router, ...]], host: str
) -> Collected[tuple[Router, ...]]:
    """Of very many routers those that may match the host; of few all."""
    if not routers.seen or len(routers.get()) <= _MANY:
        return routers
    kept = tuple(router for router in routers.get() if _about_host(router.rule, host))
    return replace(routers, value=kept)


def _used(
    services: Collected[tuple[LoadedService, ...]],
    routers: Collected[tuple[Router, ...]],
    host: str,
) -> Collected[tuple[LoadedService, ...]]:
    """Of very many services those of the host's routers; of few all."""
    if not services.seen or not routers.seen or len(services.get()) <= _MANY:
        return services
    names = {router.name for router in routers_of_host(routers, host).get()}
    kept = (one for one in services.get() if not one.used_by or names & {*one.used_by})
    return replace(services, value=tuple(kept))


def chosen_series(text: str, host: str) -> dict[str, float]:
    """Traefik's series that a judge reads, from the Prometheus text format.

    Key: name and labels as exposed. Certificates' expiry (``traefik_tls_certs_not_after``) is
    kept for certificates whose names cover `host`. At most 400 series, in the order given.
    """
    found: dict[str, float] = {}
    for line in text.split("\n"):
        sample = _SAMPLE.match(line) if line.startswith("traefik_") else None
        if sample is None or not _KEPT_SERIES.fullmatch(sample.group(1)):
            continue
        name, labels = sample.group(1), sample.group(2) or ""
        if name == "traefik_tls_certs_not_after" and not _covers(labels, host):
            continue
        try:
            value = float(sample.group(3))
        except ValueError:
            continue
        found[redact_text(name + labels)] = value
        if len(found) >= _SERIES:
            break
    return found


def _covers(labels: str, host: str) -> bool:
    names: list[str] = re.findall(r'(?:cn|sans)="([^"]*)"', labels)
    wanted = (host, f"*.{host.partition('.')[2]}")
    return any(name.strip() in wanted for listed in names for name in listed.lower().split(","))
