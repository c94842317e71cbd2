"""What a fault is, and the register that every module of this package fills."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hopcheck.lab.topology import HOST

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Inject = Callable[["Lab"], Awaitable[None]]

# Asked by somebody who can send nothing to nodes and pods.
FROM_OUTSIDE = (HOST, "--no-direct-probes")
HEALTHY, BROKEN, UNKNOWN, DEGRADED = 0, 1, 3, 4  # exit codes of `hopcheck diagnose`
VERDICTS = {HEALTHY: "healthy", BROKEN: "broken", UNKNOWN: "unknown", DEGRADED: "degraded"}

DNS = "dns"
TARGET_HEALTH = "target-health"
TRAEFIK_SERVICE = "traefik-service"
INGRESS = "ingress"
ENDPOINTS = "endpoints"
TRAEFIK_LOGS = "traefik-logs"
REQUEST = "request"


@dataclass(frozen=True)
class Expect:
    """A finding that a diagnosis must make; `step` where another than the fault's owns it."""

    code: str
    kind: str
    name: str
    namespace: str | None = None
    step: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.code} {self.kind} {where}{self.name}"


@dataclass(frozen=True)
class Fault:
    """One fault: what it breaks, and what a diagnosis must say of it.

    `expect` are the root causes, and nothing else may be one; `warns` are further findings that
    must be there, and with `unseen` the step must be unknown. `exit_code` is that of ``hopcheck
    diagnose`` for what is `asked`: where https was merely assumed and http works, the host is
    degraded. A fault without `inject` cannot be shown by the lab, for the reason that `recorded`
    gives: the tests hold its evidence. `until` is the last minor version of Traefik that has it.
    """

    name: str
    step: str
    summary: str
    inject: Inject | None
    expect: tuple[Expect, ...]
    exit_code: int = BROKEN
    asked: tuple[str, ...] = (HOST,)
    warns: tuple[Expect, ...] = ()
    recorded: str = ""
    until: tuple[int, int] | None = None
    unseen: bool = False

    def unshown(self, version: str) -> str:
        """Why a lab with that version of Traefik ("3.7.15") cannot show it; "" where it can."""
        if self.inject is None:
            return self.recorded
        major, minor = (int(part) for part in version.split(".")[:2])
        if self.until is not None and (major, minor) > self.until:
            return f"needs Traefik up to {self.until[0]}.{self.until[1]}"
        return ""


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    step: str,
    *expect: Expect,
    exit_code: int = BROKEN,
    asked: tuple[str, ...] = (HOST,),
    warns: tuple[Expect, ...] = (),
    until: tuple[int, int] | None = None,
    unseen: bool = False,
) -> Callable[[Inject], Inject]:
    """Register the decorated function as a fault; its first docstring line is the summary."""

    def register(inject: Inject) -> Inject:
        summary = (inject.__doc__ or "").strip().partition("\n")[0]
        _add(
            Fault(
                name,
                step,
                summary,
                inject,
                expect,
                exit_code,
                asked,
                warns,
                until=until,
                unseen=unseen,
            )
        )
        return inject

    return register


def recorded(
    name: str,
    step: str,
    *expect: Expect,
    summary: str,
    why: str,
    exit_code: int = BROKEN,
    warns: tuple[Expect, ...] = (),
) -> None:
    """Register a fault that the lab cannot show, and `why`."""
    _add(Fault(name, step, summary, None, expect, exit_code, warns=warns, recorded=why))


def _add(one: Fault) -> None:
    if one.name in FAULTS or not one.summary or not (one.expect or one.warns or one.unseen):
        raise ValueError(f"fault {one.name}: known already, or without summary or expectation")
    FAULTS[one.name] = one
