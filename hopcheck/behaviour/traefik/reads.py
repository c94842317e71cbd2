"""Whether an installation reads a route for a host."""

from __future__ import annotations

from hopcheck.behaviour.traefik.route import View
from hopcheck.behaviour.traefik.routes import candidates
from hopcheck.behaviour.traefik.rules import matches
from hopcheck.model import KubeEvidence


def reads_route(kube: KubeEvidence, view: View, host: str) -> bool:
    """Whether that installation may have loaded a route for the host, by what is declared."""
    return any(
        # The path is left open, so that a rule with one is undecided.
        matches(
            route.rule,
            host,
            None,
            version=view.version,
            syntax=route.syntax,
            protocol=route.protocol,
        )
        is not False
        for route in candidates(kube, [view])
        if route.loaded
    )
