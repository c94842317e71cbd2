"""The application, asked directly at its pods, where no request of a client gets as far."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import make
from hopcheck.model import ErrorKind, Finding, Probe, Severity
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream, upstreams
from hopcheck.steps.bounds import requests_reach_pods
from hopcheck.steps.names import labels_as_text, workload_refs
from hopcheck.steps.request.application import USES
from hopcheck.steps.rule import rule


@rule(reads=("dns", "http"), uses=USES)
def pods_serve_when_asked_directly(scene: Scene) -> Iterator[Finding]:
    """The pods serve when they are asked directly, where no request of a client gets as far.

    Else it is a fault of the application that another, nearer to the client, keeps from showing.
    Said only where every pod of a Service errs (a status of 500 and above, or silence), and where
    nothing shows that requests reach pods at all; or where it is one of several Services, and all
    requests had the luck to be sent to others. It is a warning where what Traefik would have
    added could have changed the answer, and where a pod only took longer than a probe may.
    """
    reach = requests_reach_pods(scene)
    lucky = 0 < outcome_of(scene).made == outcome_of(scene).succeeded
    if reach and not lucky:
        return
    route = routing_of(scene).winner
    altered = Severity.WARNING if route is not None and route.middlewares else None
    for one, probes in _asked(scene):
        last = [probe.exchanges[-1] for probe in probes]
        if reach and (one.alone or one.backend.weight == 0):
            continue
        silent = all(e.error is ErrorKind.READ_TIMEOUT for e in last)
        if silent and reach:
            continue  # the step before says so
        if not silent and not all((e.status or 0) >= 500 for e in last):
            continue
        line = next(iter(last[0].body.strip().splitlines()), "")
        yield make(
            "REQ003" if silent else "REQ001",
            one.application,
            variant="unmet" if reach else "direct",
            share=one.share if reach else None,
            severity=Severity.WARNING if silent else altered,
            url=f"{probes[0].scheme}://{probes[0].address}:{probes[0].port}{scene.target.path}",
            status=last[0].status,
            expect=scene.target.expect_status,
            sample=f" ({line[:80]})" if line else "",
            services=one.full,
            tls="",
            seconds=round(last[0].timing.total, 1),
            ns=one.namespace,
            selector=labels_as_text(one.selector),
            related=(one.ref, *workload_refs(one.selected, one.namespace)),
        )


def _asked(scene: Scene) -> Iterator[tuple[Upstream, list[Probe]]]:
    """Each Service behind the route of which every pod was asked, with what they answered."""
    for one in upstreams(scene):
        probes = one.asked(one.endpoints)
        if probes and len(probes) == len(one.endpoints):
            yield one, probes
