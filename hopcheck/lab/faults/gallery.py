"""What a fault is, and the register that every module of this package fills."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Inject = Callable[["Lab"], Awaitable[None]]

BROKEN, DEGRADED = 1, 4  # exit codes of `hopcheck diagnose`

DNS = "dns"
TARGET_HEALTH = "target-health"
TRAEFIK_SERVICE = "traefik-service"
INGRESS = "ingress"
ENDPOINTS = "endpoints"
TRAEFIK_LOGS = "traefik-logs"
REQUEST = "request"


@dataclass(frozen=True)
class Expect:
    """The one root cause that a diagnosis must name."""

    code: str
    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.code} {self.kind} {where}{self.name}"


@dataclass(frozen=True)
class Fault:
    """One fault: what it breaks, and what a diagnosis must say of it.

    `exit_code` is that of ``hopcheck diagnose`` for the bare host: where https was merely assumed
    and http works, the host is degraded.
    """

    name: str
    step: str
    summary: str
    inject: Inject
    expect: tuple[Expect, ...]
    exit_code: int


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, step: str, *expect: Expect, exit_code: int = BROKEN
) -> Callable[[Inject], Inject]:
    """Register the decorated function as a fault; its first docstring line is the summary."""

    def register(inject: Inject) -> Inject:
        summary = (inject.__doc__ or "").strip().partition("\n")[0]
        if name in FAULTS or not summary or not expect:
            raise ValueError(f"fault {name}: known already, or without summary or expectation")
        FAULTS[name] = Fault(name, step, summary, inject, expect, exit_code)
        return inject

    return register
