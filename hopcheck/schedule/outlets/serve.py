"""``hopcheck serve``: the page that is always there.

``/metrics`` of the newest scheduled run, ``/probe?target=<host>`` in blackbox_exporter's
multi-target form (a diagnosis at each scrape), ``/healthz``, and the published reports. Only
configured hosts are probed, at their own URL or their front page: whoever can reach the port cannot
make it send requests elsewhere.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily

from hopcheck.catalogue.catalogue import text
from hopcheck.config.options import Misnamed, UsageError
from hopcheck.config.target import parse_target
from hopcheck.model import Report, Target, Verdict
from hopcheck.report.store import HISTORY, INDEX
from hopcheck.schedule.outlets.destination import CONTENT_TYPES, Destination, DestinationError
from hopcheck.schedule.outlets.metrics import (
    certificate_expiry,
    of_hosts,
    phases_of,
    registry,
    request_facts,
    status_code,
)
from hopcheck.schedule.outlets.workspace import MEMORY, METRICS

PROBES_AT_ONCE = 4
IDLE_S = 60.0  # Prometheus's and browsers' own connections are asked more often, or opened again
# Prometheus says how long it waits; the answer has to be back before that.
_MARGIN_S = 0.5
_DEFAULT_S = 25.0
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,120}){0,2}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

# Diagnoses the named host within so many seconds; None where it could not (a defect).
Diagnose = Callable[[str, float], Awaitable[Report | None]]


class Site:
    """The handlers. `configured` are names and URLs of hosts, `patterns` those of further names."""

    def __init__(
        self,
        published: Destination,
        diagnose: Diagnose,
        configured: Callable[[], Awaitable[frozenset[str]]],
        patterns: tuple[str, ...] = (),
    ) -> None:
        self._published = published
        self._diagnose = diagnose
        self._configured = configured
        self._patterns = patterns
        self._slots = asyncio.Semaphore(PROBES_AT_ONCE)
        self._busy: set[asyncio.BaseTransport | None] = set()

    def application(self) -> web.Application:
        """The application with its routes."""
        application = web.Application(middlewares=[self._note])
        for path, handler in (
            ("/healthz", self.healthz),
            ("/metrics", self.metrics),
            ("/probe", self.probe),
            ("/", self.report),
            ("/{key:.+}", self.report),
        ):
            application.router.add_get(path, handler)
        return application

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Which connections are served just now."""
        self._busy.add(request.transport)
        try:
            return await handler(request)
        finally:
            self._busy.discard(request.transport)

    async def end_idle(self, server: web.Server, seconds: float = IDLE_S) -> None:
        """Close connections on which nothing whole was asked for so long; until cancelled."""
        idle: dict[asyncio.BaseTransport | None, float] = {}
        while True:
            await asyncio.sleep(seconds / 4)
            now = asyncio.get_running_loop().time()
            present = {one.transport for one in server.connections} - self._busy
            idle = {one: idle.get(one, now) for one in present}
            for one, since in idle.items():
                if isinstance(one, asyncio.Transport) and now - since >= seconds:
                    one.abort()

    async def healthz(self, _request: web.Request) -> web.Response:
        """Whether this process answers; it says nothing of any host."""
        return web.Response(text="ok\n")

    async def metrics(self, _request: web.Request) -> web.Response:
        """What the newest scheduled run has left; an empty answer before the first one."""
        headers = {"Content-Type": CONTENT_TYPES[".prom"]}
        found = await self._published_as(METRICS, headers)
        return found if found is not None else web.Response(headers=headers)

    async def probe(self, request: web.Request) -> web.Response:
        """Diagnose one host now and give its metrics."""
        asked = request.query.get("target", "")
        try:
            target = parse_target(asked)
        except UsageError as error:
            return web.Response(status=400, text=f"{error}\n")
        if not await self._allowed(target):
            return web.Response(status=403, text=f"{target.host} is not configured here\n")
        limit = _limit(request.headers.get("X-Prometheus-Scrape-Timeout-Seconds"))
        began = asyncio.get_running_loop().time()
        report: Report | None = None
        begun = False
        try:
            async with asyncio.timeout(limit + _MARGIN_S / 2):
                async with self._slots:
                    left = limit - (asyncio.get_running_loop().time() - began)
                    if begun := left > 0:
                        report = await self._diagnose(asked, left)
        except Misnamed as error:
            return web.Response(status=500, text=f"{error}\n")
        except TimeoutError:
            report = None
        if not begun:  # of the host nothing is known
            return web.Response(status=503, text="too many probes at once\n")
        seconds = asyncio.get_running_loop().time() - began
        return web.Response(
            body=probe_metrics(report, seconds), headers={"Content-Type": CONTENT_TYPES[".prom"]}
        )

    async def _allowed(self, target: Target) -> bool:
        """Whether it is a configured URL, or the front page of a host that may be asked."""
        known = await self._configured()
        if target.port != (443 if target.scheme == "https" else 80) or target.path != "/":
            return target.url in known
        host = target.host
        return host in known or any(fnmatchcase(host, pattern) for pattern in self._patterns)

    async def report(self, request: web.Request) -> web.Response:
        """A file of the published reports."""
        key = request.match_info.get("key", "") or INDEX
        kind = CONTENT_TYPES.get(PurePosixPath(key).suffix)
        # The history and the memory of notifications are nobody's business.
        if _KEY.fullmatch(key) is None or kind is None or key in (HISTORY, MEMORY):
            return web.Response(status=404, text="no such report\n")
        found = await self._published_as(key, _HEADERS | {"Content-Type": kind})
        if found is None:
            return web.Response(status=404, text="no such report\n")
        return found

    async def _published_as(self, key: str, headers: dict[str, str]) -> web.Response | None:
        try:
            held = await asyncio.to_thread(self._published.read, key)
        except DestinationError as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(body=held, headers=headers) if held is not None else None


def _limit(given: str | None) -> float:
    try:
        seconds = float(given or "nan")
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        seconds = _DEFAULT_S
    return min(max(seconds - _MARGIN_S, 0.5), 300.0)


def probe_metrics(report: Report | None, seconds: float) -> bytes:
    """The metrics of one diagnosis: blackbox_exporter's own names, and those of a scheduled run.

    Without a report (a defect, no time left) the probe has failed, and nothing else is said.
    """
    reports = [report] if report is not None else []
    return generate_latest(registry(of_hosts(reports), _of_probe(report, seconds)))


def _of_probe(report: Report | None, seconds: float) -> Iterator[GaugeMetricFamily]:
    success = report is not None and report.verdict in (Verdict.HEALTHY, Verdict.DEGRADED)
    yield _gauge("success", "Whether requests to the host succeed", success)
    yield _gauge("duration_seconds", "How long the diagnosis took", seconds)
    if report is None:
        return
    facts = request_facts(report)
    phases = phases_of(facts)
    family = GaugeMetricFamily(
        "probe_http_duration_seconds", "Phases of the slowest request", labels=["phase"]
    )
    for phase, value in phases.items():
        family.add_metric([phase], value)
    yield family
    redirects = max(0, len(facts.get("redirects") or ()) - 1)
    yield _gauge("dns_lookup_time_seconds", "DNS lookup", phases.get("resolve", 0.0))
    yield _gauge("http_status_code", "Status", status_code(facts) or 0)
    yield _gauge("http_ssl", "Whether TLS was spoken", "tls" in facts)
    yield _gauge("http_redirects", "Redirects followed", redirects)
    expires = certificate_expiry(facts)
    if expires is not None:
        yield _gauge("ssl_earliest_cert_expiry", "When the certificate expires", expires)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"probe_{name}", words, value)


def split_listen(listen: str) -> tuple[str | None, int]:
    """``ADDRESS:PORT`` or ``:PORT`` (every address). Raises UsageError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(text("usage", "listen", value=listen[:60]))
    return host.strip("[]") or None, int(port)
