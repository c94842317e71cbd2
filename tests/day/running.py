"""Runs a day's plan on the lab: ``hopcheck run`` again and again, in this process."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hopcheck.app.cli import cli
from hopcheck.history.database import History
from hopcheck.lab import topology
from hopcheck.lab.many import add_hosts
from hopcheck.lab.running import RunningLab
from hopcheck.model import Report
from hopcheck.schedule import command
from hopcheck.schedule.outlets.incidents import Observation, observe
from tests.day.plan import PORT, SERVICE, Day, Run, Told
from tests.schedule.outlets.receiving import Receiver, receiver

T0 = dt.datetime(2026, 2, 25, tzinfo=dt.UTC)
KEEP_RUNS = 10
_TITLE = re.compile(r"\[(\w+)(?:, (\w+))?\]")


@dataclass
class Outcome:
    """What came of a day."""

    told: list[Told] = field(default_factory=list)
    files: list[int] = field(default_factory=list)  # below the reports directory, after each run
    history: dict[int, list[str]] = field(default_factory=dict)  # verdicts, oldest first
    seconds: float = 0.0
    output: str = ""


class DayOnTheLab:
    """One lab, one reports directory, one sink. `run` gives what came of a plan."""

    def __init__(self, lab: RunningLab, directory: Path, day: Day) -> None:
        self._lab = lab
        self._directory = directory
        self._day = day
        self._names = [f"app-{number:04d}.{_domain()}" for number in range(day.hosts)]
        self._now = Run()
        self._number = 0

    def run(self) -> Outcome:
        """Play the whole plan."""
        outcome = Outcome()
        began = time.monotonic()
        self._lab.call(lambda: add_hosts(self._lab.lab, self._day.hosts))
        self._lab.settle()
        with receiver() as (sink, address), self._at_home():
            for number, run in enumerate(self._day.runs):
                self._number = number
                self._set(run)
                sink.refusing = run.sink_down
                heard = len(sink.bodies)
                outcome.output += self._once(address, run)
                outcome.told += [self._told(number, body) for body in sink.bodies[heard:]]
                files = [path for path in self._directory.rglob("*") if path.is_file()]
                outcome.files.append(len(files))
        outcome.seconds = time.monotonic() - began
        with History(self._directory / "reports") as history:
            for number, name in enumerate(self._names):
                rows = history.runs(name, limit=10_000)
                outcome.history[number] = [row.verdict.value for row in reversed(rows)]
        return outcome

    # --- the cluster -------------------------------------------------------------------------

    def _set(self, run: Run) -> None:
        """Bring the cluster from one run's state to the next one's."""
        before, self._now = self._now, run
        if before.faults == run.faults and before.storm == run.storm:
            return
        for number in before.faults.keys() | run.faults.keys():
            self._lab.call(lambda n=number: self._edit(n, run.faults.get(n)))  # type: ignore[misc]
        if before.storm != run.storm:
            rules = topology.traefik_rules(self._lab.lab.version)
            if run.storm:
                rules = [
                    {**rule, "resources": [r for r in rule["resources"] if r != "ingressclasses"]}
                    for rule in rules
                ]
            self._lab.run(self._lab.lab.set_traefik_rules(rules))
        self._lab.settle()

    def _edit(self, number: int, fault: str | None) -> None:
        name = self._names[number].partition(".")[0]
        backend = {"name": name, "port": {"number": 80}}
        if fault == SERVICE:
            backend["name"] = "gone"
        elif fault == PORT:
            backend["port"] = {"number": 81}

        def edit(obj: dict[str, Any]) -> None:
            obj["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {"service": backend}

        self._lab.lab.store.patch("ingresses", topology.APP, name, edit)

    # --- one run -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _at_home(self) -> Iterator[None]:
        """The working directory and the environment of a scheduled run."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self._directory)
            for name in [key for key in os.environ if key.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in self._lab.environment().items():
                patch.setenv(name, value)
            # The lab's runs follow each other at once: incidents see them `minutes` apart.
            patch.setattr("hopcheck.schedule.outlets.publishing.observe", self._observe)
            yield

    def _observe(self, report: Report, *, owner: str | None, link: str | None) -> Observation:
        at = T0 + dt.timedelta(minutes=self._day.minutes * self._number)
        return replace(observe(report, owner=owner, link=link), seen_at=at.isoformat())

    def _once(self, address: str, run: Run) -> str:
        (self._directory / "hopcheck.toml").write_text(self._config(address, run))
        said = io.StringIO()
        given = cli.commands["run"].make_context("run", [*self._lab.arguments(), "--direct-probes"])
        options = {k: v for k, v in given.params.items() if k not in ("as_json", "quiet")}
        options.pop("exit_zero")
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            command.run(options, as_json=False, quiet=True)
        return said.getvalue()

    def _config(self, address: str, run: Run) -> str:
        lines = ["secrets = false", f"keep_runs = {KEEP_RUNS}", "publish = 'reports'"]
        for number, name in enumerate(self._names):
            lines += ["[[host]]", f"name = '{name}'", f"owner = 'team-{number % 3}'"]
            if number in run.maintenance:
                lines.append("maintenance = ['2000-01-01T00:00:00Z/2999-01-01T00:00:00Z']")
        lines += ["[[notify.sink]]", "name = 'pager'", f"url = 'json://{address}/'"]
        return "\n".join(lines) + "\n"

    def _told(self, number: int, body: dict[str, Any]) -> Told:
        match = _TITLE.match(body["title"])
        assert match, body
        code = re.search(r"\b[A-Z]{3}\d{3}\b", f"{body['title']} {body['message']}")
        hosts = frozenset(
            n for n, name in enumerate(self._names) if name in f"{body['title']}\n{body['message']}"
        )
        return Told(number, match[2] or match[1], code[0] if code else "", hosts)


def _domain() -> str:
    from hopcheck.lab.many import DOMAIN

    return DOMAIN


def wrong(day: Day, outcome: Outcome) -> list[str]:
    """Where the outcome is not the plan; empty when it is."""
    found = [f"not told: {one}" for one in day.told if one not in outcome.told]
    found += [f"told besides: {one}" for one in outcome.told if one not in day.told]
    if len(outcome.told) != len(set(outcome.told)):
        found.append("something was told twice")
    for number in range(day.hosts):
        expected = [
            "broken" if run.storm or number in run.faults else "healthy"
            for run in day.runs
            if number not in run.maintenance
        ]
        if outcome.history[number] != expected:
            found.append(_first_difference(number, outcome.history[number], expected))
    # Five files a run, and for each host one more run: the last healthy one.
    most = day.hosts * (KEEP_RUNS + 2) * 5 + 20
    if max(outcome.files) > most:
        found.append(f"{max(outcome.files)} files, at most {most} are kept")
    half = outcome.files[len(outcome.files) // 2]
    if len(outcome.files) > 4 * KEEP_RUNS and outcome.files[-1] > half * 1.1:
        found.append(f"files grow: {half} at half time, {outcome.files[-1]} at the end")
    return found


def _first_difference(number: int, seen: list[str], expected: list[str]) -> str:
    pairs = enumerate(zip(seen, expected, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(seen), len(expected)))
    return (
        f"history of host {number}: {len(seen)} runs, {len(expected)} planned; run {place} is "
        f"{seen[place] if place < len(seen) else 'missing'}"
    )


def play(day: Day, directory: Path) -> Outcome:
    """A day on a lab of its own."""
    with RunningLab() as lab:
        return DayOnTheLab(lab, directory, day).run()


__all__ = ["DayOnTheLab", "Outcome", "Receiver", "play", "wrong"]
