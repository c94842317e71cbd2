"""Where one probe is to be sent: `hopcheck.scene.probes` plans it, `hopcheck.collect` sends it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hopcheck.model import Hop


class HopTarget(Struct, frozen=True):
    """One member of a hop to send the request to; `scheme` is what is spoken there.

    `forwarded`: with the X-Forwarded-* headers of a load balancer that speaks HTTP itself.
    """

    hop: Hop
    member: str
    address: str
    port: int
    scheme: Literal["http", "https"]
    proxy_protocol: bool = False
    namespace: str | None = None
    name: str | None = None
    forwarded: bool = False
