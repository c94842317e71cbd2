"""What a report from the field is, and the register that every module of this package fills."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hopcheck.lab.topology import HOST

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Mend = Callable[[], Awaitable[None]]
Arrange = Callable[["Lab"], Awaitable[Mend]]

WORKS = "200"


@dataclass(frozen=True)
class Named:
    """Where a diagnosis must find the root cause; any code will do where `code` is None."""

    step: str
    kind: str
    name: str
    namespace: str | None = None
    code: str | None = None

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.code or self.step} {self.kind} {where}{self.name}"


@dataclass(frozen=True)
class Report:
    """One reported state.

    `arrange` breaks a healthy lab and gives what mends it as the right answer says. `expected`:
    the root cause is one of these and no other, and none at all for a state that works. `innocent`
    are objects ("Kind namespace/name") that such a diagnosis is known to accuse. `happens` and
    `mended` are regular expressions of what requests get (`hopcheck.lab.field.proof`). The words
    of the root cause (title, message, fix and commands) must match `says`, and not `never`.
    It is diagnosed once for each of `ways`: what the person who diagnoses lacks ("direct":
    --direct-probes; "" nothing).
    """

    name: str
    summary: str
    arrange: Arrange
    expected: tuple[Named, ...]
    happens: str
    innocent: tuple[str, ...] = ()
    says: str = ""
    never: str = ""
    asked: str = HOST
    mended: str = WORKS
    ways: tuple[str, ...] = ("",)

    @property
    def works(self) -> bool:
        """Whether nothing is wrong with it, though it looks unusual."""
        return not self.expected

    def url(self) -> str:
        """What its client asks for."""
        return self.asked if "://" in self.asked else f"https://{self.asked}/"

    def arguments(self, lab: Lab, way: str) -> list[str]:
        """The arguments of ``hopcheck diagnose``."""
        words = lab.arguments()
        if way == "direct":
            words.remove("--direct-probes")
        return [self.asked, *words]


REPORTS: dict[str, Report] = {}


def report(
    name: str,
    *expected: Named,
    happens: str,
    innocent: tuple[str, ...] = (),
    says: str = "",
    never: str = "",
    asked: str = HOST,
    mended: str = WORKS,
    ways: tuple[str, ...] = ("",),
) -> Callable[[Arrange], Arrange]:
    """Register the decorated function as a report; its first docstring line is the summary."""

    def register(arrange: Arrange) -> Arrange:
        summary = (arrange.__doc__ or "").strip().partition("\n")[0]
        if name in REPORTS or not summary:
            raise ValueError(f"report {name}: known already, or without summary")
        REPORTS[name] = Report(
            name, summary, arrange, expected, happens, innocent, says, never, asked, mended, ways
        )
        return arrange

    return register


async def nothing() -> None:
    """What mends a state that works."""
