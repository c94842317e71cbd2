"""Incidents as Alertmanager's alerts (its v2 API, `postableAlerts`; pure)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hopcheck.model import Verdict
from hopcheck.schedule.outlets.incidents import Incident, State

ALERT = "HopcheckHostBroken"


def alerts(before: State, after: State, *, now: dt.datetime, hold: int) -> list[dict[str, Any]]:
    """What Alertmanager has to hear after a run.

    Every open incident, again in each run, since an alert that is not repeated ends after `hold`
    seconds; and the end of those that were open before and are not any more (or not with these
    labels: another root cause is another alert).
    """
    open_now = _by_labels(after)
    until = now + dt.timedelta(seconds=hold)
    found = [_alert(labels, incident, until) for labels, incident in open_now.items()]
    over = {k: v for k, v in _by_labels(before).items() if k not in open_now}
    found += [_alert(labels, incident, now) for labels, incident in over.items()]
    return found


def _by_labels(state: State) -> dict[tuple[tuple[str, str], ...], Incident]:
    return {
        _labels(held.incident): held.incident
        for held in state.hosts.values()
        if held.incident is not None
    }


def _labels(incident: Incident) -> tuple[tuple[str, str], ...]:
    last = incident.last
    labels = {
        "alertname": ALERT,
        "host": last.name,
        "url": last.url,
        "severity": "critical" if last.verdict is Verdict.BROKEN else "warning",
    }
    if last.owner:
        labels["owner"] = last.owner
    if last.causes:
        labels |= {
            "code": last.causes[0].code,
            "step": last.causes[0].step,
            "object": last.causes[0].owner,
        }
    return tuple(sorted(labels.items()))


def _alert(
    labels: tuple[tuple[str, str], ...], incident: Incident, ends: dt.datetime
) -> dict[str, Any]:
    last = incident.last
    notes = {"summary": last.headline}
    if last.causes:
        notes |= {"description": last.causes[0].message, "fix": last.causes[0].fix}
    if last.link:
        anchor = f"#{last.causes[0].code}" if last.causes else ""
        notes["runbook_url"] = f"{last.link}{anchor}"
    starts = min(dt.datetime.fromisoformat(last.since or incident.opened_at), ends)
    return {
        "labels": dict(labels),
        "annotations": notes,
        "startsAt": starts.isoformat(),
        "endsAt": ends.isoformat(),
        **({"generatorURL": last.link} if last.link else {}),
    }
