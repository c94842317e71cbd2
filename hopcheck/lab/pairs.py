"""Two independent faults of the gallery at once: both are named, or one honestly cannot be seen."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from hopcheck.lab.diagnosis import Diagnoser, Diagnosis
from hopcheck.lab.faults import FAULTS, Fault
from hopcheck.lab.lab import Lab
from hopcheck.lab.state import named, state, touched

SEED = 20260225
COUNT = 30

Pair = tuple[str, str]


@dataclass(frozen=True)
class Hides:
    """While a fault with one of `first` as its root cause is there, `then` cannot be seen.

    `green`: its step may pass, since nothing that is read then could show it.
    """

    first: tuple[str, ...]
    then: tuple[str, ...]
    because: str
    green: bool = False


# Codes are patterns. What is hidden must not be called fine: see `outcome`.
HIDES: tuple[Hides, ...] = (
    Hides(
        ("DNS*", "TGT*", "SVC*", "ING*", "END*"),
        ("REQ*",),
        "only a request that reaches the application shows what it answers",
    ),
    Hides(
        ("DNS*", "TGT*", "SVC*"),
        ("ING01[458]", "ING00[89]", "END008", "END009", "LOG*"),
        "only a request that reaches Traefik shows what it does with it",
    ),
    Hides(
        ("ING001", "ING004", "ING006", "ING02*"),
        ("END*",),
        "no route says which Service is meant",
    ),
    Hides(
        ("ING001",),
        ("ING020",),
        "no route says to which Service or options its references belong",
    ),
    Hides(("ING018",), ("ING007",), "only an answer shows that a request does not meet a rule"),
    Hides(
        ("DNS*", "TGT*", "END00[12457]", "END012"),
        ("ING014",),
        "only an answer shows what a middleware does that Traefik has taken",
        green=True,
    ),
    Hides(
        ("ING005",),
        ("END003", "END008", "END009", "END013", "END014"),
        "which port is meant is not known",
        green=True,
    ),
    Hides(("SVC*", "ING*", "END*"), ("LOG*",), "no replica can have the route"),
    Hides(("END001", "END002", "END007", "END012"), ("END*",), "no pod is the Service's"),
    Hides(
        ("END00[45]",),
        ("END003", "END008", "END009", "END010", "END013", "END014"),
        "pods that do not run answer on no port",
    ),
    Hides(
        ("SVC*", "ING*"),
        ("ING016", "ING018", "ING019"),
        "only what Traefik loads tells of a certificate, whose Secret is not read",
        green=True,
    ),
    Hides(
        ("TGT00[5689]",),
        ("ING016", "ING018", "ING019"),
        "TLS ends at the load balancer: Traefik's certificates have no part in this way",
        green=True,
    ),
    Hides(("TGT00[1239]", "TGT01[0-3]"), ("TGT*",), "nothing is sent through the target group"),
    Hides(
        ("DNS*", "TGT*", "SVC*"),
        ("TGT007",),
        "security groups are held against a request that waits in vain",
        green=True,
    ),
    Hides(("DNS*",), ("TGT*",), "the name does not lead to the load balancer"),
    Hides(("SVC*",), ("SVC01[12]",), "a Traefik that does not run reads nothing"),
    Hides(
        ("*",),
        ("TGT020", "SVC016", "END014"),
        "a bounded gap is a root cause only where nothing more precise is known",
    ),
)
_GREEN = frozenset({"pass"})

# Faults (patterns of names) of which the second takes the first off the host's way.
APART: tuple[tuple[str, str, str], ...] = (
    (
        "tpod-rbac-ingress*",
        "ir-*",
        "rights that the Ingress provider alone needs have no part in an IngressRoute's way",
    ),
)


def candidates(version: str, seed: int = SEED) -> list[Pair]:
    """Every two faults that a lab with this Traefik can show at one URL, in a random order."""
    shown = [name for name, one in FAULTS.items() if not one.unshown(version) and one.expect]
    found = [
        (first, second)
        for first, second in itertools.combinations(shown, 2)
        if FAULTS[first].asked == FAULTS[second].asked
    ]
    Random(seed).shuffle(found)  # noqa: S311  # a series that can be repeated, no secret
    return found


async def inject(lab: Lab, pair: Pair) -> str:
    """Inject both; why they are no pair ("" where they are one). The lab is to be healed.

    No pair: they touch the same object (or one touches what the other is about), one excludes the
    other, or one changes nothing.
    """
    for one, other in (pair, pair[::-1]):
        for first, second, because in APART:
            if fnmatchcase(one, first) and fnmatchcase(other, second):
                return because
    before = state(lab)
    changes: list[frozenset[str]] = []
    for name in pair:
        fault = FAULTS[name]
        if fault.inject is None:
            return f"{name} cannot be shown"
        try:
            await fault.inject(lab)
        except LookupError as error:
            return f"{name} is excluded: {error}"
        after = state(lab)
        changes.append(touched(before, after))
        before = after
    if not all(changes):
        return "one of them changes nothing"
    owned = [change | _about(FAULTS[name]) for name, change in zip(pair, changes, strict=True)]
    both = owned[0] & owned[1]
    if both:
        return f"both touch {', '.join(sorted(both))}"
    if _part(*owned) or _part(*reversed(owned)):
        return "one changes a part of the load balancer that the other changes as a whole"
    await lab.settle()
    return ""


def _part(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether `other` is within a load balancer that `one` sets up differently."""
    whole = any(name.startswith("LoadBalancer ") for name in one)
    return whole and any(name.startswith(("Listener ", "TargetGroup ", "cloud ")) for name in other)


def _about(fault: Fault) -> frozenset[str]:
    """The objects that the fault's root causes are about, in the words of `state`."""
    return frozenset(named(one.kind, one.namespace, one.name) for one in fault.expect)


async def diagnose(lab: Lab, diagnoser: Diagnoser, pair: Pair) -> Diagnosis:
    """The diagnosis of what the pair's first fault is asked with."""
    return await diagnoser.diagnose([*lab.arguments(), *FAULTS[pair[0]].asked])


def outcome(diagnosis: Diagnosis, pair: Pair) -> tuple[str, str]:
    """("both", ""), ("hidden", why) or ("", what is wrong).

    Hidden: exactly the one fault's root causes are named and nothing else is; the table HIDES
    says why the other cannot be seen; and nothing green is said of it: its step is not passed.
    A warning that names it is as good.
    """
    first, second = (FAULTS[name] for name in pair)
    found = {_cause(one) for one in diagnosis.root_causes}
    if found == _wanted(first) | _wanted(second):
        return "both", ""
    for seen, other in ((first, second), (second, first)):
        if found == _wanted(seen):
            if _told(diagnosis.report, other):
                return "hidden", f"{other.name}: a warning names it"
            row = hidden_by(seen, other)
            if row is not None and (row.green or not _green(diagnosis.report, other)):
                return "hidden", f"{other.name}: {row.because}"
    missing = sorted((_wanted(first) | _wanted(second)) - found)
    more = sorted(found - _wanted(first) - _wanted(second))
    words = diagnosis.words or f"not named: {', '.join(missing) or 'nothing'}"
    return "", words + (f"; accused: {', '.join(more)}" if more else "")


def hidden_by(seen: Fault, other: Fault) -> Hides | None:
    """Why `other` cannot be seen while `seen` is there; None where it can."""
    for row in sorted(HIDES, key=lambda row: not row.green):
        if all(_like(one.code, row.first) for one in seen.expect) and all(
            _like(one.code, row.then) for one in other.expect
        ):
            return row
    return None


def _like(code: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(code, pattern) for pattern in patterns)


def _wanted(fault: Fault) -> set[str]:
    return {str(one) for one in fault.expect}


def _cause(finding: dict[str, Any]) -> str:
    """A finding in the words of `Expect`."""
    thing = finding["object"]
    where = f"{thing['namespace']}/" if thing.get("namespace") else ""
    return f"{finding['code']} {thing['kind']} {where}{thing['name']}"


def _told(report: dict[str, Any], fault: Fault) -> bool:
    findings = [one for step in report.get("steps", ()) for one in step["findings"]]
    warned = {_cause(one) for one in findings if one["severity"] == "warning"}
    return _wanted(fault) <= warned


def _green(report: dict[str, Any], fault: Fault) -> bool:
    states = {step["step"]: step["status"] for step in report["steps"]}
    return any(states[one.step or fault.step] in _GREEN for one in fault.expect)
