"""Whether NetworkPolicies let Traefik's requests through to the pods."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import make, text
from hopcheck.model import ErrorKind, Finding, Severity
from hopcheck.model.kubernetes import NetworkPolicy
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.bounds import requests_reach_pods
from hopcheck.steps.endpoints.judged import State, judged, waiting
from hopcheck.steps.names import ref_of, traefik_refs
from hopcheck.steps.network_policies import shut_in, shut_out
from hopcheck.steps.rule import BESIDE_KUBE, rule


def kept_out(scene: Scene, one: Upstream) -> bool:
    """Whether a policy keeps Traefik from the pods, and requests show it."""
    return waiting(scene) and any(_shut(scene, one))


def _shut(scene: Scene, one: Upstream) -> tuple[list[NetworkPolicy], list[NetworkPolicy]]:
    """The policies on the pods' side that keep Traefik out; where there are none, those on its own.

    None where a pod, asked directly, takes a request and never answers: then it is its own fault.
    A policy on Traefik's side does not hold for requests from here, and one on the pods' side is
    not enforced where they take a connection.
    """
    if any(p.exchanges[-1].error is ErrorKind.READ_TIMEOUT for p in one.probes) or not one.selected:
        return [], []
    pod, number = one.selected[0], one.used[0][1]
    inward = shut_in(scene, pod, number)
    return inward, [] if inward else shut_out(scene, pod, number)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def policies_admit_traefik(scene: Scene) -> Iterator[Finding]:
    """NetworkPolicies admit Traefik to the pods, and let it out to them."""
    for one in judged(scene, State.SERVING):
        shown = kept_out(scene, one)
        if not shown and (not requests_made(scene.snapshot) or requests_reach_pods(scene)):
            continue
        inward, outward = _shut(scene, one)
        policies, instance = inward or outward, scene.instance
        if not policies or instance is None:
            continue
        key, peer = ("policy", instance.namespace) if inward else ("egress", one.namespace)
        first = policies[0]
        count = sum(len((p.spec.ingress if inward else p.spec.egress) or ()) for p in policies)
        yield make(
            "END010",
            ref_of(first),
            variant=None if inward else "egress",
            # Whether the network plugin enforces it shows once requests come as far.
            severity=None if shown else Severity.WARNING,
            policy=f"{first.namespace}/{first.name}",
            service=one.full,
            traefik_ns=instance.namespace,
            port=one.used[0][1],
            admits=text("said", key, count=count, namespace=peer),
            ns=first.namespace,
            name=first.name,
            related=(one.ref, *(map(ref_of, inward[1:3]) if inward else traefik_refs(scene))),
        )
