"""A message to the cluster's own parties (Alertmanager, a Pushgateway), by httpx."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from hopcheck.collect.ask import in_thread


def deliver(
    method: str, url: str, body: bytes, headers: Mapping[str, str], *, limit_s: float = 10.0
) -> str | None:
    """Send once, within `limit_s` seconds in all; why it was not accepted (no 2xx), or None."""
    import httpx

    from hopcheck.collect.web.tls import system_cas

    def send() -> str | None:
        verifying = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        system_cas(verifying)
        # A proxy of the environment is for the way out, not for the cluster's own parties.
        with (
            httpx.Client(trust_env=False, verify=verifying, timeout=limit_s) as client,
            client.stream(method, url, content=body, headers=dict(headers)) as answer,
        ):
            return None if answer.is_success else f"HTTP {answer.status_code}"

    async def limited() -> str | None:
        # httpx limits each read, and an answer may trickle.
        async with asyncio.timeout(limit_s):
            return await in_thread(send)

    try:
        return asyncio.run(limited())
    except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
