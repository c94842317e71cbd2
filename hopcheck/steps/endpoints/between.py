"""Whether connections to the pods come about: lost on the way is neither refused nor silent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hopcheck.behaviour.traefik.logs import moment
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import ErrorKind, Evidence, Finding, Hop, ObjectRef, Probe, Severity, Why
from hopcheck.model.kubernetes import NetworkPolicy
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.bounds import apart, nodes_of
from hopcheck.steps.endpoints.judged import State, judged, of_service, waiting
from hopcheck.steps.endpoints.policies import kept_out
from hopcheck.steps.endpoints.protocols import transport
from hopcheck.steps.endpoints.settings import gave_up
from hopcheck.steps.names import traefik_refs, workload_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule

_LOST = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
# Traefik at DEBUG; else its own 504 in the access log, which only a dial that timed out gives.
_GAVE_UP = re.compile(r"dial tcp (\S+): (?:i/o timeout|connect: no\b)")
_RECENT_S = 600.0
_TIMED_OUT = {"OriginStatus": "504", "OriginContentSize": "15"}


def lost(probes: Sequence[Probe]) -> list[Probe]:
    """Those to whose address no connection came about, though nobody refused it."""
    return [probe for probe in probes if probe.exchanges[-1].error in _LOST]


def _told(scene: Scene, one: Upstream) -> dict[str, Evidence]:
    """The endpoints to which Traefik's own connections came to nothing, by its log."""
    used = {f"{address}:{number}" for address, number, _ in one.used}
    # With a ServersTransport, or TLS, other limits may have been passed.
    plain = one.scheme == "http" and not transport(one)
    found: dict[str, Evidence] = {}
    since = (moment(scene.snapshot.taken_at) or 0) - _RECENT_S
    for replica in scene.snapshot.traefik.replicas:
        for line in replica.log.or_else(()) or ():
            gave_up, address = _GAVE_UP.search(line.raw), ""
            if (moment(line.time or "") or since) < since:
                continue  # history: what hangs now may hang for another reason
            if gave_up is not None:
                address = gave_up[1]
            elif plain and line.fields.items() >= _TIMED_OUT.items():
                address = line.fields.get("ServiceAddr", "")
            if address in used:
                found[address] = Evidence(text("source", "log", pod=replica.pod), line.raw)
    return found


def _perhaps_by_policy(scene: Scene, one: Upstream) -> bool:
    """Whether a policy may do it: unseen itself, or the pods at one end, which policies select."""
    instance = scene.instance
    spaces = {one.namespace, *([instance.namespace] if instance is not None else ())}
    lists = [scene.kube.of(NetworkPolicy, space) for space in spaces]
    ends = (one.selected, instance.pods if instance is not None else ())
    unseen = any(not each.seen and each.why is not Why.NOT_FOUND for each in lists)
    return unseen or (bool(scene.kube.every(NetworkPolicy)) and not all(ends))


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def connections_to_the_pods_come_about(scene: Scene) -> Iterator[Finding]:
    """A connection to a pod comes about, or is refused by somebody: no packet is lost on the way.

    That none does counts where Traefik waits as well, and somebody else is reached from here.
    """
    others = [*probes_at(scene, Hop.POD), *probes_at(scene, Hop.TRAEFIK_POD)]
    reached, waits = [p for p in others if p not in lost(others)], waiting(scene)
    for one in judged(scene, State.SERVING):
        gone = [f"{probe.address}:{probe.port}" for probe in lost(one.probes)]
        unmet = waits and not one.probes and gave_up(scene, one) is None
        if kept_out(scene, one) or not (gone or unmet):
            continue
        if _perhaps_by_policy(scene, one):
            continue
        if gone and (len(gone) < len(one.probes) or (waits and reached)):
            yield _between(scene, one, gone, reached, severity=None if waits else Severity.WARNING)
        elif told := {} if gone else _told(scene, one):
            yield _between(scene, one, list(told), (), variant="told", evidence=(*told.values(),))
        elif not gone and apart(scene, one.selected):
            yield _between(scene, one, [f"{a}:{n}" for a, n, _ in one.used], (), variant="either")


def _between(
    scene: Scene, one: Upstream, gone: Sequence[str], reached: Sequence[Probe], /, **more: Any
) -> Finding:
    """A finding about the one pod, the node, or the Service to which packets are lost."""
    instance = scene.instance
    nodes = nodes_of((*one.selected, *(instance.pods if instance is not None else ())))
    theirs = sorted({nodes.get(address.rpartition(":")[0], "") for address in gone} - {""})
    good = {nodes.get(probe.address) for probe in reached}
    ref, names = one.ref, [p.name for p in lost(one.probes) if p.name]
    if reached and len(gone) == len(names) == 1:
        ref, more = ObjectRef("Pod", names[0], one.namespace), {"variant": "pod"} | more
    elif reached and len(theirs) == 1 and theirs[0] not in good:
        ref = ObjectRef("Node", theirs[0])
    part = len(gone) / len(one.probes) if len(gone) < len(one.probes) else one.share
    return of_service(
        "END021",
        one,
        ref,
        share=part,
        endpoints=listing(gone),
        nodes=listing(theirs),
        node=theirs[0] if theirs else "",
        url=f"{one.scheme}://{gone[0]}{scene.target.path}",
        works=listing(probe.member for probe in reached),
        related=(
            *(r for r in (one.ref,) if r != ref),
            *(ObjectRef("Node", node) for node in theirs[:3] if ref.kind != "Node"),
            *workload_refs(one.selected, one.namespace),
            *traefik_refs(scene),
        ),
        **more,
    )
