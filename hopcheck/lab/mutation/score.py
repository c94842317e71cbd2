"""Whether a diagnosis of a mutated lab is right, by what a client of the lab's own sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hopcheck.lab import client
from hopcheck.lab.client import Truth
from hopcheck.lab.diagnosis import Diagnoser, Diagnosis
from hopcheck.lab.lab import Lab
from hopcheck.lab.mutation.draw import Mutation
from hopcheck.lab.mutation.edit import Edit, Name
from hopcheck.lab.mutation.routes import use_ingress_route


@dataclass(frozen=True)
class Score:
    """One mutation's outcome; `wrong` is empty where the diagnosis was right."""

    mutation: Mutation
    truth: Truth
    diagnosis: Diagnosis
    wrong: str

    @property
    def sees(self) -> str:
        """What the client saw, in a word."""
        return "works" if self.truth.works else "fails" if self.truth.fails else "partly"


async def score(lab: Lab, diagnoser: Diagnoser, mutation: Mutation) -> Score:
    """Edit the healthy lab, ask, diagnose, judge. The lab is left as it is: heal it."""
    if mutation.with_route:
        await use_ingress_route(lab)
    await mutation.edit.apply(lab)
    await lab.settle()
    truth = await client.ask(lab)
    diagnosis = await diagnoser.diagnose()
    return Score(mutation, truth, diagnosis, judge(mutation.edit, truth, diagnosis))


def judge(edit: Edit, truth: Truth, diagnosis: Diagnosis) -> str:
    """What is wrong with the diagnosis; empty when it is right.

    Where the request works, the verdict is not broken and no root cause names anything but the
    edited object. Where it fails, there is a root cause, and every one names the edited object
    (as `object` or `related`), or is the bounded gap at its hop. Where it fails now and then,
    the same, or at least a warning that names it, since hopcheck's own few requests may all have
    succeeded.
    """
    if not diagnosis.report:
        return diagnosis.words or "no report"
    strangers = [one for one in diagnosis.root_causes if not names(one, edit)]
    verdict = diagnosis.report["verdict"]
    if strangers:
        return f"accuses {', '.join(told(one) for one in strangers)}"
    if truth.works:
        return "broken, though it works" if verdict == "broken" else ""
    if diagnosis.root_causes:
        return "healthy, though it fails" if truth.fails and verdict == "healthy" else ""
    if not truth.fails and any(_speaks(one, edit) for one in _findings(diagnosis)):
        return ""
    return f"names nothing ({verdict})"


def names(finding: dict[str, Any], edit: Edit) -> bool:
    """Whether a finding is about the edited object, or bounds the fault to its hop."""
    if finding["code"] in edit.hop:
        return True
    return any(_name(one) in edit.names for one in (finding["object"], *finding["related"]))


def _speaks(finding: dict[str, Any], edit: Edit) -> bool:
    return finding["severity"] != "info" and names(finding, edit)


def _findings(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    return [one for step in diagnosis.report["steps"] for one in step["findings"]]


def told(finding: dict[str, Any]) -> str:
    """A finding in a few words."""
    thing = finding["object"]
    where = f"{thing['namespace']}/" if thing.get("namespace") else ""
    return f"{finding['code']} {thing['kind']} {where}{thing['name']}"


def _name(thing: dict[str, Any]) -> Name:
    return (thing["kind"], thing.get("namespace") or "", thing["name"])
