"""What is done with the results of a scheduled run: metrics, notifications, publishing.

Nothing here changes a verdict or raises for a party that fails: it is a line in what is returned.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from hopcheck.collect.web.deliver import deliver
from hopcheck.model import Report
from hopcheck.report.store import slug
from hopcheck.schedule.fleet_model import FleetHost, FleetResult
from hopcheck.schedule.outlets.destination import Destination, DestinationError, Directory
from hopcheck.schedule.outlets.incidents import Message, Outcome, observe
from hopcheck.schedule.outlets.notify import load_memory, notify
from hopcheck.schedule.outlets.settings import Outlets
from hopcheck.schedule.outlets.workspace import MEMORY, METRICS


def outcome_of(result: FleetResult) -> Outcome:
    """A fleet run's result as the outlets tell it."""
    whole = result.complete and not result.problems
    return Outcome(
        observations=tuple(
            observe(r.report, owner=r.host.owner, link=link_of(r.host))
            for r in result.hosts
            # A defect is the suite's own trouble, not the host's.
            if r.report is not None and not r.defects
        ),
        quiet=tuple(slug(r.target) for r in result.skipped),
        known=tuple(slug(r.target) for r in result.hosts) if whole else None,
        runs=tuple(
            (Path(r.written).parent.name, Path(r.written).name) for r in result.hosts if r.written
        ),
        verdicts=Counter(r.report.verdict.value for r in result.hosts if r.report is not None),
        defects=len(result.defective),
        seconds=result.seconds,
        finished_at=result.finished_at,
    )


def link_of(host: FleetHost) -> str | None:
    """The stable link to the host's newest report, where a base URL is configured."""
    base = host.run.base_url
    return f"{base.rstrip('/')}/{slug(host.run.target)}/latest/report.html" if base else None


def tell(
    outcome: Outcome, outlets: Outlets, place: Destination, now: dt.datetime
) -> tuple[tuple[Message, ...], list[tuple[str, str]]]:
    """Tell the sinks what changed; the messages and what failed, as (party, reason).

    Where the memory of earlier runs cannot be read nobody is told anything: an incident that is
    known already would be told again.
    """
    if not outlets.sinks:
        return (), []
    try:
        memory = load_memory(place.read(MEMORY))
    except DestinationError as error:
        return (), [("notifications", str(error))]
    except ValueError as error:
        return (), [("notifications", f"{place.name}/{MEMORY}: {error}")]
    memory, told = notify(
        memory,
        outcome.observations,
        outlets,
        now=now,
        quiet=outcome.quiet,
        known=outcome.known,
    )
    failures = list(told.failures)
    try:
        place.write(MEMORY, msgspec.json.encode(memory))
    except DestinationError as error:
        failures.append(("notifications", str(error)))
    return told.messages, failures


def _pushed(
    url: str,
    method: str,
    timeout: float | None,
    headers: Sequence[tuple[str, str]],
    data: bytes,
) -> Callable[[], None]:
    """prometheus_client's handler, whose own knows no limit for the whole. Raises OSError."""

    def push() -> None:
        reason = deliver(method, url, data, dict(headers), limit_s=timeout or 10.0)
        if reason is not None:
            raise OSError(reason)

    return push


def expose(
    outcome: Outcome,
    outlets: Outlets,
    base: Path,
    *,
    reports: Iterable[Report] = (),
    shards: Sequence[str] = (),
    failed: Sequence[str] = (),
    instance: str = "",
) -> list[tuple[str, str]]:
    """Write the run's metrics to `base`, the textfile and the Pushgateway; what failed."""
    try:
        from prometheus_client import generate_latest, push_to_gateway

        from hopcheck.schedule.outlets.metrics import Metrics, registry
    except ImportError:
        wanted = outlets.textfile or outlets.pushgateway
        return [("metrics", "pip install 'hopcheck[synthetic]'")] if wanted else []
    made = registry(Metrics(reports, outcome, shards, failed))
    failures: list[tuple[str, str]] = []
    text = generate_latest(made)
    for path in (base / METRICS, *([Path(outlets.textfile)] if outlets.textfile else [])):
        try:
            Directory(path.parent).write(path.name, text)
        except DestinationError as error:
            failures.append(("metrics", str(error)))
    if outlets.pushgateway:
        try:
            push_to_gateway(
                outlets.pushgateway,
                job=outlets.job,
                registry=made,
                timeout=10,
                handler=_pushed,
                grouping_key={"instance": instance} if instance else None,
            )
        except (OSError, ValueError) as error:
            failures.append(("pushgateway", str(error)))
    return failures
