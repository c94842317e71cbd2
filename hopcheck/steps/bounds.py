"""Bounded gaps: the request works at one hop and fails at the hop before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hopcheck.catalogue.catalogue import listing, make
from hopcheck.model import ErrorKind, Finding, Hop, ObjectRef, Probe
from hopcheck.model.aws import LoadBalancer
from hopcheck.model.kubernetes import Node, Pod, Service
from hopcheck.scene.outcome import Producer, outcome_of, producer, requests_made, succeeded
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import failure, ref_of
from hopcheck.verdict.contradicted import Claim, Claimed

_SILENT = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.REFUSED, ErrorKind.UNREACHABLE)


def works(scene: Scene, probes: Sequence[Probe]) -> list[Probe]:
    """Those of `probes` that got a good answer."""
    return [p for p in probes if succeeded(scene, p)]


def said(probe: Probe) -> str:
    """What a probe's last exchange gave, in a few words."""
    last = probe.exchanges[-1]
    return f"{probe.member}: {last.status if last.error is None else failure(last)}"


def requests_reach_pods(scene: Scene) -> bool:
    """Whether any request came to a pod, as far as its answer tells."""
    waiting = (ErrorKind.READ_TIMEOUT, ErrorKind.TOO_MANY_REDIRECTS)
    return any(
        last.error in waiting
        or (
            last.status is not None
            and (last.status != 404 or producer(last) is not Producer.TRAEFIK)
        )
        for last in (probe.exchanges[-1] for probe in requests_made(scene.snapshot))
    )


def nodes_of(pods: Iterable[Pod]) -> dict[str, str]:
    """The node of each pod, by the pod's address."""
    return {pod.status.pod_ip: pod.spec.node_name for pod in pods if pod.spec.node_name}


def apart(scene: Scene, pods: Sequence[Pod]) -> bool:
    """Whether Traefik reaches these pods over the network between nodes alone."""
    own = {*nodes_of(scene.instance.pods if scene.instance else ()).values()}
    theirs = {*nodes_of(pods).values()}
    return bool(own and theirs) and own.isdisjoint(theirs)


def between_balancer_and_nodes(scene: Scene, balancer: LoadBalancer) -> list[Finding]:
    """Requests through the load balancer fail while every node answers it well.

    Where some of the load balancer's own addresses serve, only silence or refusal at the others
    counts (a bad answer may be one of several replicas'); they bound the fault even where no node
    could be asked.
    """
    made = requests_made(scene.snapshot)
    nodes = probes_at(scene, Hop.NODE)
    good = works(scene, nodes)
    failing = [p for p in made if not succeeded(scene, p)]
    part = len(failing) < len(made)
    if part:
        errors = _SILENT if not nodes else tuple(ErrorKind)
        failing = [
            p
            for p in failing
            if p.exchanges[-1].error in errors and p.address not in scene.match.foreign
        ]
        good = good if nodes else works(scene, made)
    answering = [p for p in made if p.exchanges[-1].status is not None]
    silent = [p for p in failing if p.exchanges[-1].error in _SILENT]
    if not part and answering and silent:
        # Another fault spoils the answers; that some addresses give none is a fault of its own.
        part, nodes, good = True, [], answering
        failing = [p for p in silent if p.address not in scene.match.foreign]
    if not good or (nodes and len(good) < len(nodes)):
        return []
    if not failing or any(_answered(probe) for probe in failing):
        return []
    return [
        make(
            "TGT020",
            ObjectRef("LoadBalancer", balancer.load_balancer_name),
            variant="part" if part else None,
            share=len(failing) / len(made) if part else None,
            count=len(failing),
            total=len(made),
            works=listing(p.member for p in good),
            fails=listing(p.address for p in failing),
            members=[p.address for p in failing],
            actual=listing(said(p) for p in failing),
            host=scene.target.host,
            port=scene.target.port,
            address=failing[0].exchanges[-1].address or "",
            url=scene.target.url,
        )
    ]


def _answered(probe: Probe) -> bool:
    """Whether the answer, though bad, came through, or who gave it instead is known."""
    last = probe.exchanges[-1]
    if last.error in (ErrorKind.TOO_MANY_REDIRECTS, ErrorKind.READ_TIMEOUT):
        return True
    # What was redirected had come through; where it was sent to is another matter.
    refused = producer(last) is Producer.ALB and (last.status or 500) < 500
    return refused or len(probe.exchanges) > 1 or producer(last) is Producer.APPLICATION


def _missed(scene: Scene) -> set[str | None]:
    """The nodes that the host's load balancer finds unhealthy, though they are ready and in use."""
    out = {
        node.name
        for node in scene.kube.of(Node).or_else(()) or ()
        if node.spec.unschedulable
        or any(one.type == "Ready" and one.status != "True" for one in node.status.conditions)
    }
    targets = scene.way.targets if scene.way is not None else ()
    return {one.node_name for one in targets if one.state == "unhealthy"} - {None, *out}


def between_nodes_and_pods(scene: Scene, service: Service) -> list[Claimed]:
    """Traefik's pods answer, whatever they answer, and nodePorts give no answer at all.

    Where no node answers here and requests pass, it is the way from here to the nodes.
    """
    nodes = probes_at(scene, Hop.NODE)
    pods = probes_at(scene, Hop.TRAEFIK_POD)
    # Where a pod gives no answer itself, what a node lacks may be that pod's.
    answered = pods if all(p.exchanges[-1].status is not None for p in pods) else []
    passing = [p for p in nodes if p.exchanges[-1].status is not None]
    local = service.spec.external_traffic_policy == "Local"
    if not nodes or not answered or len(passing) == len(nodes) or (local and passing):
        return []
    failing = [p for p in nodes if p not in passing]
    # Waiting for an answer is beyond what kube-proxy does.
    if any(p.exchanges[-1].error is ErrorKind.READ_TIMEOUT for p in failing):
        return []
    made = outcome_of(scene)
    if made.made and made.succeeded == made.made:
        # The load balancer may be admitted where we are not: what it finds healthy is fine.
        # And a node that is down, or taken out on purpose, is no fault of the way to it.
        missed = _missed(scene)
        failing = [p for p in failing if p.name in missed]
        if not failing:
            return []
    found = make(
        "SVC016",
        ref_of(service),
        works=listing(p.member for p in answered),
        fails=listing(p.member for p in failing),
        actual=listing(said(p) for p in failing),
        policy="",
        port="",
        ns=service.namespace,
        name="",
        share=len(failing) / len(nodes),
        related=tuple(ObjectRef("Node", p.name) for p in failing[:3] if p.name),
    )
    return [Claimed(Claim.STOPS_NOTHING_NOW if passing else Claim.STOPS_EVERYTHING, found)]
