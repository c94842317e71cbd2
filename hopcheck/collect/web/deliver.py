"""A message to the cluster's own parties (Alertmanager, a Pushgateway), by httpx."""

from __future__ import annotations

from collections.abc import Mapping

from hopcheck.collect.ask import within


def deliver(
    method: str, url: str, body: bytes, headers: Mapping[str, str], *, limit_s: float = 10.0
) -> str | None:
    """Send once, within `limit_s` seconds in all; why it was not accepted (no 2xx), or None."""
    import httpx

    from hopcheck.collect.web.tls import trusting

    def send() -> str | None:
        # A proxy of the environment is for the way out, not for the cluster's own parties.
        with (
            httpx.Client(trust_env=False, verify=trusting(), timeout=limit_s) as client,
            client.stream(method, url, content=body, headers=dict(headers)) as answer,
        ):
            return None if answer.is_success else f"HTTP {answer.status_code}"

    try:
        return within(limit_s, send)  # httpx limits each read, and an answer may trickle
    except Exception as error:  # noqa: BLE001  # whatever a stranger's answer leads to is a line
        return str(error) or type(error).__name__
