"""Why a pod does not run or is not ready, from its status alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from msgspec import Struct

from hopcheck.behaviour.kubernetes.objects import meta, pod_ready, spec
from hopcheck.catalogue.catalogue import has_text, text
from hopcheck.model import Obj

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


def terminal(pod: Obj) -> bool:
    """Completed and failed pods, which are no endpoints and no trouble."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def leaving(pod: Obj) -> bool:
    """Whether the pod is being deleted."""
    return bool(meta(pod).get("deletionTimestamp"))


def lasting(pods: Iterable[Obj], now: str) -> list[tuple[Obj, PodState]]:
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


def _starting(pod: Obj, state: PodState) -> bool:
    if state.reason == "Pending":
        return state.detail in ("", *_CREATING)
    if state.reason == "Unschedulable":  # until an autoscaler has brought a node for it
        return True
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return state.reason == "NotReady" and not any(one.get("restartCount") for one in statuses)


def stands_by(pods: Iterable[Obj], troubled: Iterable[tuple[Obj, PodState]]) -> bool:
    """Whether one pod is ready and the others run beside it, never restarted, and wait.

    So do replicas that elect a leader: a standby answers its readiness probe with no on purpose.
    """
    waiting = list(troubled)
    quiet = all(
        state.reason == "NotReady" and not state.down and _never_restarted(pod)
        for pod, state in waiting
    )
    return quiet and len(waiting) == len(list(pods)) - 1


def _never_restarted(pod: Obj) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return bool(statuses) and not any(one.get("restartCount") for one in statuses)


def _rolling(pods: Iterable[Obj]) -> bool:
    """Whether pods of two templates are there: a roll-out is under way."""
    hashes = {
        (meta(pod).get("labels") or {}).get(key)
        for pod in pods
        for key in ("pod-template-hash", "controller-revision-hash")
    }
    return len(hashes - {None}) > 1


def _age(pod: Obj, now: str) -> float:
    """Seconds since the pod was created; endless where that is not known."""
    made = meta(pod).get("creationTimestamp")
    try:
        first, last = (
            dt.datetime.fromisoformat(str(stamp).replace("Z", "+00:00")) for stamp in (made, now)
        )
        return (last - first).total_seconds()
    except (ValueError, TypeError):  # no date, or only one of them with a zone
        return float("inf")


def state_of(pod: Obj) -> PodState:
    """What keeps a pod from serving; an empty reason where nothing does."""
    name = str(meta(pod).get("name", "?"))
    status = pod.get("status") or {}
    if pod_ready(pod):
        return PodState(name, "")
    found = [*_containers(status), *_scheduling(status)]
    for reason in _REASONS:
        for seen, detail in found:
            if seen == reason:
                return PodState(name, reason, detail, down=True)
    if found:
        return PodState(name, found[0][0], found[0][1], down=True)
    if status.get("phase") == "Pending":
        return PodState(name, "Pending", "", down=True)
    gates = [
        c for c in status.get("conditions") or () if c.get("type") == "Ready" and c.get("message")
    ]
    return PodState(name, "NotReady", str(gates[0]["message"]) if gates else _probe(pod))


def _containers(status: Obj) -> list[tuple[str, str]]:
    found = []
    for one in (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ):
        if one.get("ready"):
            continue
        waiting = (one.get("state") or {}).get("waiting") or {}
        ended = (one.get("state") or {}).get("terminated") or {}
        last = (one.get("lastState") or {}).get("terminated") or {}
        killed = "OOMKilled" in (ended.get("reason"), last.get("reason"))
        code = last.get("exitCode", ended.get("exitCode"))
        said = str(waiting.get("message") or last.get("message") or "")
        if killed:
            found.append(("OOMKilled", text("pod", "memory")))
        elif waiting.get("reason") in _CREATING:
            found.append(("Pending", str(waiting.get("reason"))))
        elif waiting.get("reason"):
            detail = text("pod", "exit", code=code) if code is not None else said
            found.append((str(waiting["reason"]), detail))
        elif ended and ended.get("exitCode"):
            found.append((str(ended.get("reason") or "Error"), text("pod", "exit", code=code)))
    return found


def _scheduling(status: Obj) -> list[tuple[str, str]]:
    return [
        (str(c.get("reason") or "Unschedulable"), str(c.get("message") or ""))
        for c in status.get("conditions") or ()
        if c.get("type") == "PodScheduled" and c.get("status") == "False"
    ]


def _probe(pod: Obj) -> str:
    for container in spec(pod).get("containers") or ():
        probe = container.get("readinessProbe") or {}
        get = probe.get("httpGet")
        if get:
            return text("pod", "readiness_http", path=get.get("path", "/"), port=get.get("port"))
        if probe.get("tcpSocket"):
            return text("pod", "readiness_tcp", port=probe["tcpSocket"].get("port"))
    return ""
