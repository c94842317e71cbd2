"""Whether the pods that the Service picks run and are ready."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.kubernetes import pod_state
from hopcheck.behaviour.kubernetes.pod_state import PodState
from hopcheck.model import Finding, ObjectRef, Severity
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.endpoints.judged import State, judged, of_service, troubled
from hopcheck.steps.endpoints.service import missing_port_name
from hopcheck.steps.names import workload_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule


def serves_nothing(scene: Scene) -> list[tuple[Upstream, list[PodState]]]:
    """Services without a usable endpoint because of their pods, with the states of these.

    Where something is wrong with the Service as well, only if no pod at all is ready.
    """
    found = []
    for one in judged(scene, State.EMPTY, State.NO_PORT):
        states = troubled(one) if one.selector and one.pods_listed else []
        fault = one.port is None or missing_port_name(one) is not None
        if states and (not fault or len(states) == len(one.pods)):
            found.append((one, states))
    return found


def _in_trouble(scene: Scene, code: str, *, down: bool) -> Iterator[Finding]:
    for one, states in serves_nothing(scene):
        worst = [state for state in states if state.down]
        if bool(worst) is not down:
            continue
        first = (worst or states)[0]
        yield of_service(
            code,
            one,
            next(iter(workload_refs(one.pods, one.namespace)), one.ref),
            count=len(worst),
            total=len(one.pods),
            reason=first.words,
            advice=first.advice,
            pod=first.name,
            related=(one.ref, ObjectRef("Pod", first.name, one.namespace)),
            share=one.share,
        )


@rule(reads=("kube",), uses=BESIDE_KUBE)
def pods_run(scene: Scene) -> Iterator[Finding]:
    """The containers of the Service's pods run."""
    yield from _in_trouble(scene, "END005", down=True)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def pods_are_ready(scene: Scene) -> Iterator[Finding]:
    """A pod of the Service is ready."""
    yield from _in_trouble(scene, "END004", down=False)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def every_pod_is_ready(scene: Scene) -> Iterator[Finding]:
    """Every pod of a Service that serves is ready, or has just been started."""
    for one in judged(scene, State.SERVING):
        pods = [pod for pod in one.pods if not pod_state.leaving(pod)]
        waiting = pod_state.lasting(pods, scene.snapshot.taken_at)
        if waiting:
            first = waiting[0][1]
            yield of_service(
                "END006",
                one,
                next(iter(workload_refs(pods, one.namespace)), one.ref),
                severity=Severity.INFO if pod_state.stands_by(pods, waiting) else None,
                count=len(waiting),
                total=len(pods),
                reason=first.words,
                advice=first.advice,
                pod=first.name,
                share=len(waiting) / len(pods),
                related=(one.ref,),
            )
