"""Why a pod does not run or is not ready, from its status alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from msgspec import Struct

from hopcheck.catalogue.catalogue import has_text, text
from hopcheck.model.kubernetes import ContainerProbe, Pod, PodStatus, StateDetails

# The worst first: a pod of several containers is named by its worst one.
_REASONS = (
    "OOMKilled",
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "Unschedulable",
    "Pending",
    "Evicted",
    "Failed",
)


_CREATING = ("ContainerCreating", "PodInitializing")
_START_S = 180.0
_ROLL_OUT_S = 600.0  # a Deployment's default progressDeadlineSeconds


class PodState(Struct, frozen=True):
    """One pod's trouble: `down` means that its containers do not run at all."""

    name: str
    reason: str  # "CrashLoopBackOff", "NotReady", …; "" for a ready pod
    detail: str = ""
    down: bool = False

    @property
    def words(self) -> str:
        """Reason and detail in one phrase."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason

    @property
    def advice(self) -> str:
        """What to do about it."""
        key = self.reason if has_text("pod_advice", self.reason) else "other"
        return text("pod_advice", key)


def terminal(pod: Pod) -> bool:
    """Completed and failed pods, which are no endpoints and no trouble."""
    return pod.status.phase in ("Succeeded", "Failed")


def leaving(pod: Pod) -> bool:
    """Whether the pod is being deleted."""
    return bool(pod.metadata.deletion_timestamp)


def lasting(pods: Iterable[Pod], now: str) -> list[tuple[Pod, PodState]]:
    """The pods in trouble at `now` (RFC 3339), those left out that end or are merely starting.

    Where others serve, a pod that is not ready yet is a roll-out or a scale-up for some minutes,
    unless it has failed already. Where none serves, each counts.
    """
    current = [pod for pod in pods if not terminal(pod) and not leaving(pod)]
    troubled = [(pod, state) for pod in current if (state := state_of(pod)).reason]
    if len(troubled) == len(current):
        return troubled
    limit = _ROLL_OUT_S if _rolling(current) else _START_S
    return [(pod, s) for pod, s in troubled if not _starting(pod, s) or _age(pod, now) > limit]


def _starting(pod: Pod, state: PodState) -> bool:
    if state.reason == "Pending":
        return state.detail in ("", *_CREATING)
    if state.reason == "Unschedulable":  # until an autoscaler has brought a node for it
        return True
    statuses = pod.status.container_statuses
    return state.reason == "NotReady" and not any(one.restart_count for one in statuses)


def stands_by(pods: Iterable[Pod], troubled: Iterable[tuple[Pod, PodState]]) -> bool:
    """Whether one pod is ready and the others run beside it, never restarted, and wait.

    So do replicas that elect a leader: a standby answers its readiness probe with no on purpose.
    """
    waiting = list(troubled)
    quiet = all(
        state.reason == "NotReady" and not state.down and _never_restarted(pod)
        for pod, state in waiting
    )
    return quiet and len(waiting) == len(list(pods)) - 1


def _never_restarted(pod: Pod) -> bool:
    statuses = pod.status.container_statuses
    return bool(statuses) and not any(one.restart_count for one in statuses)


def _rolling(pods: Iterable[Pod]) -> bool:
    """Whether pods of two templates are there: a roll-out is under way."""
    hashes = {
        pod.metadata.labels.get(key)
        for pod in pods
        for key in ("pod-template-hash", "controller-revision-hash")
    }
    return len(hashes - {None}) > 1


def _age(pod: Pod, now: str) -> float:
    """Seconds since the pod was created; endless where that is not known."""
    made = pod.metadata.creation_timestamp
    try:
        first, last = (
            dt.datetime.fromisoformat(str(stamp).replace("Z", "+00:00")) for stamp in (made, now)
        )
        return (last - first).total_seconds()
    except (ValueError, TypeError):  # no date, or only one of them with a zone
        return float("inf")


def state_of(pod: Pod) -> PodState:
    """What keeps a pod from serving; an empty reason where nothing does."""
    name, status = pod.name or "?", pod.status
    if pod.ready:
        return PodState(name, "")
    found = [*_containers(status), *_scheduling(status)]
    for reason in _REASONS:
        for seen, detail in found:
            if seen == reason:
                return PodState(name, reason, detail, down=True)
    if found:
        return PodState(name, found[0][0], found[0][1], down=True)
    if status.phase == "Pending":
        return PodState(name, "Pending", "", down=True)
    gates = [c for c in status.conditions if c.type == "Ready" and c.message]
    return PodState(name, "NotReady", gates[0].message if gates else _probe(pod))


def _containers(status: PodStatus) -> list[tuple[str, str]]:
    found = []
    for one in (*status.init_container_statuses, *status.container_statuses):
        if one.ready:
            continue
        waiting = one.state.waiting or StateDetails()
        ended = one.state.terminated or StateDetails()
        last = one.last_state.terminated or StateDetails()
        killed = "OOMKilled" in (ended.reason, last.reason)
        code = ended.exit_code if last.exit_code is None else last.exit_code
        said = waiting.message or last.message
        if killed:
            found.append(("OOMKilled", text("pod", "memory")))
        elif waiting.reason in _CREATING:
            found.append(("Pending", waiting.reason))
        elif waiting.reason:
            detail = text("pod", "exit", code=code) if code is not None else said
            found.append((waiting.reason, detail))
        elif ended.exit_code:
            found.append((ended.reason or "Error", text("pod", "exit", code=code)))
    return found


def _scheduling(status: PodStatus) -> list[tuple[str, str]]:
    return [
        (c.reason or "Unschedulable", c.message)
        for c in status.conditions
        if c.type == "PodScheduled" and c.status == "False"
    ]


def _probe(pod: Pod) -> str:
    for container in pod.spec.containers:
        probe = container.readiness_probe or ContainerProbe()
        get = probe.http_get
        if get is not None:
            return text("pod", "readiness_http", path=get.path or "/", port=get.port)
        if probe.tcp_socket is not None:
            return text("pod", "readiness_tcp", port=probe.tcp_socket.port)
    return ""
