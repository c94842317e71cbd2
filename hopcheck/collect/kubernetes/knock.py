"""Whether anybody listens on a pod's port, by the word of the API server's pod proxy.

For where nothing can be sent to pods from here. What is answered there is no answer to the host's
request, which names another host and comes through Traefik: kept is that a connection came about,
or that it was refused. That it timed out says nothing of the pod: the API server's own way to it
may be closed, as by the security groups of an EKS control plane.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import groupby

from msgspec.structs import replace

from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes.client import KubeClient
from hopcheck.model import Collected, ErrorKind, Exchange, Probe, Why
from hopcheck.scene.probes import HopTarget

_PATIENCE = 2.0  # seconds for one port
# The API server's words for what its own client met (k8s.io/apimachinery, pkg/util/proxy), where
# there was a connection: the other end speaks TLS or HTTP/2, or something else, or hung up.
_CONNECTED = re.compile(
    r"malformed HTTP|transport connection broken|connection reset by peer|: EOF$"
)


async def knock(
    client: KubeClient, run: Run, targets: Sequence[HopTarget]
) -> tuple[Collected[Probe], ...]:
    """Ask for each pod's port, in order; never raises. Exchanges have an error, or no status."""

    async def one(to: HopTarget) -> Collected[Probe]:
        source = f"pod {to.namespace}/{to.name}:{to.port} by pods/proxy"
        return await run.ask(source, lambda: _ask(client, to), timeout=_PATIENCE)

    async def of_namespace(own: Sequence[HopTarget]) -> list[Collected[Probe]]:
        # The client waits with the others for whether the role forbids the first.
        return [await one(own[0]), *await asyncio.gather(*map(one, own[1:]))]

    ordered = sorted(targets, key=lambda to: to.namespace or "")
    groups = [list(own) for _, own in groupby(ordered, key=lambda to: to.namespace)]
    asked = await asyncio.gather(*map(of_namespace, groups))
    return tuple(found for group in asked for found in group)


async def _ask(client: KubeClient, to: HopTarget) -> Probe:
    place = f"[{to.address}]:{to.port}" if ":" in to.address else f"{to.address}:{to.port}"
    exchange = Exchange(f"http://{place}/", to.address, to.port)
    try:
        await client.proxy(to.namespace or "", to.name or "", to.port, "/")
    except Unavailable as failure:
        words = failure.detail
        refused = f"dial tcp {place}: " in words and "connection refused" in words
        if failure.why is not Why.UNREACHABLE or not (refused or _CONNECTED.search(words)):
            raise
        if refused:
            told = {"error": ErrorKind.REFUSED, "error_text": words, "error_phase": "connect"}
            exchange = replace(exchange, **told)
    return Probe(
        to.hop,
        to.member,
        to.address,
        to.port,
        "http",
        via="apiserver-proxy",
        exchanges=(exchange,),
        namespace=to.namespace,
        name=to.name,
    )
