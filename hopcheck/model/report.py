"""What is said: findings, the results of the steps, and the report of one host."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct, field

from hopcheck.model.evidence import Hop, Target, Vantage, Why


class Status(StrEnum):
    """The status of a step (contract: 'Status of a step')."""

    PASS = "pass"  # noqa: S105  # a status, no password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Severity(StrEnum):
    """How bad a finding is; only errors make a step fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Verdict(StrEnum):
    """The answer for a host."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    BROKEN = "broken"
    UNKNOWN = "unknown"


# The contract's exit codes; DEFECT where the suite itself failed.
EXIT = {Verdict.HEALTHY: 0, Verdict.BROKEN: 1, Verdict.UNKNOWN: 3, Verdict.DEGRADED: 4}
DEFECT = 70
UNWRITTEN = 2  # healthy, and there is no report of it
_WORST_FIRST = (DEFECT, 1, 4, 3, 0)


def worst(codes: Iterable[int]) -> int:
    """The exit code for all of `codes`, by the contract's order; 0 for none."""
    return min(codes, key=_WORST_FIRST.index, default=0)


class Step(StrEnum):
    """The seven steps, in the order of the checklist."""

    DNS = "dns"
    TARGET_HEALTH = "target-health"
    TRAEFIK_SERVICE = "traefik-service"
    INGRESS = "ingress"
    ENDPOINTS = "endpoints"
    TRAEFIK_LOGS = "traefik-logs"
    REQUEST = "request"

    @property
    def number(self) -> int:
        """The step's place in the checklist, 1 to 7."""
        return list(Step).index(self) + 1


# What fills the places in a text, by their names; and what a step shows of itself.
Words = dict[str, Any]
Facts = dict[str, Any]


class ObjectRef(Struct, frozen=True, omit_defaults=True):
    """What a finding is about (contract: object.kind and object.name)."""

    kind: str
    name: str
    namespace: str | None = None
    field: str | None = None

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


class Evidence(Struct, frozen=True, omit_defaults=True):
    """A piece of proof: where it was read and what it said.

    `marks` are the numbers of the lines of `text`, from 0, that prove it; the others are what
    stood around them. Empty: all of it does.
    """

    source: str
    text: str
    marks: tuple[int, ...] = ()

    @property
    def said(self) -> str:
        """The lines that prove it."""
        if not self.marks:
            return self.text
        return "\n".join(
            line for number, line in enumerate(self.text.split("\n")) if number in self.marks
        )


class Finding(Struct, frozen=True):
    """One thing that is wrong, or worth knowing; made by `hopcheck.catalogue.catalogue` alone."""

    id: str  # unique in the report: "<code>-<n>"
    code: str
    severity: Severity
    step: Step
    title: str
    message: str
    expected: str
    actual: str
    object: ObjectRef
    related: tuple[ObjectRef, ...] = ()
    fix: str = ""
    commands: tuple[str, ...] = ()
    fix_commands: tuple[str, ...] = ()  # they change something; where they can, as a dry run
    evidence: tuple[Evidence, ...] = ()
    docs_url: str = ""
    root_cause: bool = False
    caused_by: tuple[str, ...] = ()
    share: float | None = None
    owner: str | None = None
    params: Words = field(default_factory=dict)  # named parameters; not in report.json


class Gap(Struct, frozen=True):
    """Evidence that could not be had: what, why, and what would make it visible."""

    what: str  # catalogue key of the part that was not seen
    why: Why
    detail: str = ""
    required: bool = True  # without it the step cannot pass
    params: Words = field(default_factory=dict)


class Judgement(Struct, frozen=True):
    """What one judge says of its hop."""

    step: Step
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    not_applicable: str | None = None  # the stated evidence, from the texts
    seen: bool = False  # required evidence was there
    facts: Facts = field(default_factory=dict)


class StepResult(Struct, frozen=True):
    """One step of the report."""

    step: Step
    number: int
    title: str
    status: Status
    reason: str | None
    duration_s: float
    facts: Facts
    findings: tuple[Finding, ...]


class OwnStep(Struct, frozen=True):
    """A check of the user's own, which stands after the seven steps."""

    step: str  # the check's name
    title: str  # its docstring's first sentence
    status: Status
    reason: str | None  # why unknown; else the words of its failure
    duration_s: float


class PathMember(Struct, frozen=True, omit_defaults=True):
    """One member of a hop (an address, a node, a pod)."""

    name: str
    state: str
    detail: str = ""


class PathHop(Struct, frozen=True, omit_defaults=True):
    """One hop of the path as found in this run."""

    hop: Hop
    label: str
    state: Literal["ok", "partial", "broken", "consequence", "unknown", "not_applicable"]
    detail: str = ""
    members: tuple[PathMember, ...] = ()


class Coverage(Struct, frozen=True):
    """How many of the seven steps were seen."""

    seen: int
    of: int = 7


class Change(Struct, frozen=True):
    """One fact on the path that is not as it was in the last healthy run.

    `field` is a path as kubectl writes it ("spec.ports[0].targetPort"); "exists" with false and
    true where the object as a whole came or went. `before` and `after` are plain JSON, None where
    there was no value. `at` (RFC 3339) and `by` are told by the object itself, where it does.
    """

    object: ObjectRef
    field: str
    before: Any = None
    after: Any = None
    at: str | None = None
    by: str | None = None


class Report(Struct, frozen=True):
    """The result for one host: report.json, less the findings' params."""

    target: Target
    started_at: str
    duration_s: float
    complete: bool
    vantage: Vantage
    verdict: Verdict
    headline: str
    coverage: Coverage
    fingerprint: str
    root_causes: tuple[Finding, ...]
    path: tuple[PathHop, ...]
    steps: tuple[StepResult, ...]
    yours: tuple[OwnStep, ...] = ()  # checks of one's own
    skipped: tuple[Finding, ...] = ()  # left out on purpose by --skip
    selected: tuple[Step, ...] = tuple(Step)  # the steps that were asked for
    redaction: Literal["default", "strict"] = "default"
    replayed: bool = False  # judged again from stored evidence; times are those of that run
    # From the history (all RFC 3339); None in a healthy run and where the history does not tell.
    since: str | None = None  # first run of the unbroken series of this verdict and fingerprint
    last_healthy: str | None = None  # the last healthy run before this one
    compared_with: str | None = None  # the healthy run that `changes` are counted from
    changes: tuple[Change, ...] = ()  # what differs from it: causes before effects
