"""Prometheus metrics: of the newest report of each host, and of a run as a whole.

Names of the request's phases are blackbox_exporter's (`resolve`, `connect`, `tls`, `processing`,
`transfer`). Series are bounded: the steps, the user's checks and one for each root cause of a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from hopcheck.history.database import posix
from hopcheck.model import Report, Step, Verdict
from hopcheck.report.json import public_url

if TYPE_CHECKING:
    from hopcheck.schedule.outlets.incidents import Outcome

PHASES = ("resolve", "connect", "tls", "processing", "transfer")
_STARTS = ("dns", "connect", "tls", "first_byte")  # a timing's phases, in the order of PHASES


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> tuple[Metric, ...]:
        return self._families


def registry(*parts: Iterable[Metric]) -> CollectorRegistry:
    """A registry of these families, without the process's and Python's own metrics."""
    made = CollectorRegistry()
    for families in parts:
        made.register(_Families(families))
    return made


def _family(name: str, words: str, labels: Sequence[str] = ("host",)) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"hopcheck_{name}", words, labels=labels)


def of_hosts(reports: Iterable[Report]) -> Iterator[Metric]:
    """What the reports say, with a series a host where something is known of it."""
    up = _family("up", "1 where requests to the host succeed, all or some; absent when unknown")
    verdict = _family("verdict", "1 for the host's verdict", ("host", "verdict"))
    steps = _family("step_status", "1 for the step's status", ("host", "step", "status"))
    broken = _family("broken_hop", "1 for each root cause", ("host", "step", "code"))
    phases = _family("http_duration_seconds", "Phases of the slowest request", ("host", "phase"))
    status = _family("http_status_code", "Status of the host's answer, the worst address's")
    expiry = _family("certificate_expiry_timestamp_seconds", "When the certificate expires")
    seconds = _family("run_duration_seconds", "How long the diagnosis of the host took")
    last = _family("last_run_timestamp_seconds", "When the host was last diagnosed")
    for report in reports:
        host = host_label(report)
        if report.verdict is not Verdict.UNKNOWN:
            up.add_metric([host], float(report.verdict is not Verdict.BROKEN))
        for one in Verdict:
            verdict.add_metric([host, one.value], float(one is report.verdict))
        for step in report.steps:
            steps.add_metric([host, step.step.value, step.status.value], 1)
        for own in {one.step: one for one in report.yours}.values():
            steps.add_metric([host, own.step, own.status.value], 1)
        for hop in dict.fromkeys((c.step.value, c.code) for c in report.root_causes):
            broken.add_metric([host, *hop], 1)
        facts = request_facts(report)
        for phase, value in phases_of(facts).items():
            phases.add_metric([host, phase], value)
        answered = status_code(facts)
        if answered is not None:
            status.add_metric([host], answered)
        expires = certificate_expiry(facts)
        if expires is not None:
            expiry.add_metric([host], expires)
        seconds.add_metric([host], report.duration_s)
        last.add_metric([host], posix(report.started_at))
    yield from (up, verdict, steps, broken, phases, status, expiry, seconds, last)


def merged(shards: Sequence[str]) -> Iterator[Metric]:
    """The families of several expositions that are about hosts, each family once."""
    found: dict[str, Metric] = {}
    for text in shards:
        for family in text_string_to_metric_families(text):
            of_hosts = [sample for sample in family.samples if "host" in sample.labels]
            if of_hosts:
                held = found.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                held.samples.extend(of_hosts)
    yield from found.values()


def of_run(run: Outcome, failed: Iterable[str] = ()) -> Iterator[Metric]:
    """The run as a whole; `failed` are those who did not take a message of it."""
    hosts = _family("hosts", "Hosts of the last run by verdict", ("verdict",))
    for one in Verdict:
        hosts.add_metric([one.value], run.verdicts.get(one.value, 0))
    yield hosts
    for name, words, value in (
        ("fleet_run_duration_seconds", "How long the last run took", run.seconds),
        ("fleet_last_run_timestamp_seconds", "When it ended", posix(run.finished_at)),
        ("hosts_in_maintenance", "Hosts left out of the last run", len(run.quiet)),
        ("defects", "Hosts in which hopcheck itself failed", run.defects),
    ):
        yield GaugeMetricFamily(f"hopcheck_{name}", words, value)
    sinks = _family("sink_failed", "1 for a sink that did not take a message", ("sink",))
    for name in dict.fromkeys(failed):
        sinks.add_metric([name], 1)
    yield sinks


# --- what a report says --------------------------------------------------------------------


def host_label(report: Report) -> str:
    """The host, or its URL where another than the default one is asked for."""
    target = report.target
    return target.host if target.url == f"https://{target.host}/" else public_url(target)


def request_facts(report: Report) -> dict[str, Any]:
    """The facts of step 7."""
    return next((step.facts for step in report.steps if step.step is Step.REQUEST), {})


def phases_of(facts: dict[str, Any]) -> dict[str, float]:
    """Seconds by blackbox_exporter's phase, of the address that took longest.

    `transfer` is what remains of the total after the first byte.
    """
    timings = facts.get("timings") or ()
    if not timings:
        return {}
    slowest = max(timings, key=lambda timing: timing.get("total") or 0.0)
    found = {
        phase: float(slowest[key])
        for phase, key in zip(PHASES, _STARTS, strict=False)
        if slowest.get(key) is not None
    }
    if "processing" in found:
        found["transfer"] = max(0.0, float(slowest["total"]) - sum(found.values()))
    return found


def status_code(facts: dict[str, Any]) -> int | None:
    """The highest status of the addresses' answers; None where there was none."""
    codes = [str(row.get("state")) for row in facts.get("answers") or ()]
    return max((int(code) for code in codes if code.isdigit()), default=None)


def certificate_expiry(facts: dict[str, Any]) -> float | None:
    """POSIX seconds; None where no certificate was presented."""
    ends = (facts.get("certificate") or {}).get("not_after")
    return posix(ends) if ends else None
