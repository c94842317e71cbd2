"""The application, asked directly at its pods, where no request of a client gets as far."""

from __future__ import annotations

from hopcheck.catalogue.catalogue import make
from hopcheck.model import ErrorKind, Finding, ObjectRef, Probe, Severity
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.bounds import requests_reach_pods
from hopcheck.steps.names import workloads_of
from hopcheck.steps.request.application import USES
from hopcheck.steps.rule import rule


@rule(reads=("dns", "http"), uses=USES)
def pods_serve_when_asked_directly(scene: Scene) -> list[Finding]:
    """The pods serve when they are asked directly, where no request of a client gets as far.

    Else it is a fault of the application that another, nearer to the client, keeps from showing.
    Said only where every pod of a Service errs (a status of 500 and above, or silence), and where
    nothing shows that requests reach pods at all. It is a warning where what Traefik would have
    added could have changed the answer, and where a pod only took longer than a probe may.
    """
    if requests_reach_pods(scene):
        return []
    route = routing_of(scene).winner
    altered = Severity.WARNING if route is not None and route.middlewares else None
    found = []
    for namespace, name, selector, probes in _asked(scene):
        last = [probe.exchanges[-1] for probe in probes]
        ref = ObjectRef("Application", name, namespace)
        related = (ObjectRef("Service", name, namespace), *workloads_of(scene, namespace, name))
        url = f"{probes[0].scheme}://{probes[0].address}:{probes[0].port}{scene.target.path}"
        if all((e.status or 0) >= 500 for e in last):
            line = next(iter(last[0].body.strip().splitlines()), "")
            found.append(
                make(
                    "REQ001",
                    ref,
                    variant="direct",
                    severity=altered,
                    url=url,
                    status=last[0].status,
                    expect=scene.target.expect_status,
                    sample=f" ({line[:80]})" if line else "",
                    ns=namespace,
                    selector=selector,
                    related=related,
                )
            )
        elif all(e.error is ErrorKind.READ_TIMEOUT for e in last):
            found.append(
                make(
                    "REQ003",
                    ref,
                    variant="direct",
                    severity=Severity.WARNING,
                    url=url,
                    tls="",
                    seconds=round(last[0].timing.total, 1),
                    ns=namespace,
                    selector=selector,
                    related=related,
                )
            )
    return found


def _asked(scene: Scene) -> list[tuple[str, str, str, list[Probe]]]:
    """Namespace, name and selector of each Service behind the route, with its pods' probes."""
    found = []
    for backend, service in routing_of(scene).services():
        one = Upstream(scene, backend, service)
        probes = one.asked(one.endpoints)
        if probes and len(probes) == len(one.endpoints):
            words = ",".join(f"{key}={value}" for key, value in sorted(one.selector.items()))
            found.append((one.namespace, one.name, words, probes))
    return found
