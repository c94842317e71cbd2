"""Delivering messages, by apprise's services and to Alertmanager; a failure becomes a word."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from hopcheck.catalogue.catalogue import text
from hopcheck.collect.web.deliver import deliver
from hopcheck.schedule.outlets.incidents import Kind, Message
from hopcheck.schedule.outlets.wording import body, title

PAUSES_S = (1.0, 3.0)  # before the second and the third try
_LIMIT_S = 10.0


def send(url: str, message: Message, now: str) -> str | None:
    """Deliver once, to Slack, PagerDuty, mail or what else apprise's URL names; why not, or None.

    The URL, which holds credentials, is in no text of ours.
    """
    try:
        import apprise
    except ImportError:
        return "pip install 'hopcheck[synthetic]'"
    service = apprise.Apprise()
    if not service.add(url):
        return text("notify", "sink_url")
    kind = apprise.NotifyType.SUCCESS if message.kind is Kind.RECOVERED else None
    accepted = service.notify(
        title=title(message),
        body=body(message, now=now),
        notify_type=kind or apprise.NotifyType.FAILURE,
        body_format=apprise.NotifyFormat.TEXT,
        timeout=_LIMIT_S,
    )
    return None if accepted else text("notify", "sink_refused")


def post_alerts(url: str, alerts: Sequence[dict[str, Any]]) -> str | None:
    """Tell Alertmanager once; why it did not accept, or None."""
    where = f"{url.rstrip('/')}/api/v2/alerts"
    body = json.dumps(alerts).encode()
    return deliver("POST", where, body, {"Content-Type": "application/json"}, limit_s=_LIMIT_S)


def persist(
    attempt: Callable[[], str | None], pauses: Sequence[float] = PAUSES_S, *, deadline: float
) -> str | None:
    """Try, and again after each pause while time is left (`deadline`: of time.monotonic)."""
    reason = attempt()
    for pause in pauses:
        if reason is None or time.monotonic() + pause >= deadline:
            break
        time.sleep(pause)
        reason = attempt()
    return reason
