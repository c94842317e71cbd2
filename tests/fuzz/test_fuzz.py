"""Whatever the shape of an answer: a report, and one that agrees with the requests."""

import io
import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from hopcheck.collect.kubernetes import kept as kube_pruning
from hopcheck.collect.kubernetes.wanted import LISTED_IN_ALL, wanted
from hopcheck.config.options import Options
from hopcheck.engine.replay import replay
from hopcheck.model import Report, Severity, Snapshot, Verdict
from hopcheck.model.kubernetes import kubernetes_object
from hopcheck.model.snapshot import shaped_snapshot
from hopcheck.report.evidence import evidence_of, files_of
from hopcheck.report.terminal import print_report
from hopcheck.scene.outcome import outcomes
from hopcheck.scene.scene import Scene
from tests.fuzz.mutations import Source, changed, nodes, snapshots
from tests.recorded import snapshot

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((resources.files("hopcheck.report") / "report.schema.json").read_text())
)
SEEDS = range(3)
VARIANTS = 200
RENDERED = 10  # every tenth is rendered in all forms


def agrees(report: Report, given: Snapshot) -> None:
    requests = outcomes(Scene(given))
    errors = [f for s in report.steps for f in s.findings if f.severity is Severity.ERROR]
    if requests.made and requests.succeeded == requests.made:
        wanted_verdict = Verdict.DEGRADED if errors else Verdict.HEALTHY
        assert report.verdict is wanted_verdict
    elif requests.made:
        assert report.verdict in (Verdict.DEGRADED, Verdict.BROKEN)
    for cause in report.root_causes:
        assert cause.severity is Severity.ERROR
        assert cause.object.kind


def rendered(report: Report, given: Snapshot) -> None:
    files = files_of(report, evidence_of(given), "reports/x")
    SCHEMA.validate(json.loads(files["report.json"]))
    console = Console(file=io.StringIO(), width=100)
    print_report(report, console, verbose=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_node_made_odd(seed: int) -> None:
    source = Source(seed)
    judged = 0
    while judged < VARIANTS:
        told, given = source.variant()
        if given is None:
            continue
        judged += 1
        try:
            shaped = shaped_snapshot(given)
            report = replay(shaped)
            agrees(report, shaped)
            if judged % RENDERED == 0:
                rendered(report, shaped)
        except Exception as error:
            error.add_note(f"seed {seed}: {told}")
            raise


def test_what_is_well_formed_is_left_as_it_is() -> None:
    for name in ("healthy", "ing-svc-missing", "alb-cert"):
        given = snapshot(name)
        assert shaped_snapshot(given) == given


def _recorded() -> dict[str, Any]:
    """One whole object of each resource that is read for the whole cluster."""
    found: dict[str, Any] = {}
    for data in snapshots().values():
        for key, listed in data["kube"]["lists"].items():
            resource = key.partition("@")[0]
            for item in listed.get("value") or ():
                if resource in LISTED_IN_ALL and not item.get("slim"):
                    found.setdefault(resource, item)
    return found


def test_what_is_kept_of_objects_with_a_null_anywhere() -> None:
    """The collectors' own functions see objects first: each node null, text and empty in turn."""
    recorded = _recorded()
    assert {"ingresses", "services", "pods", "nodes", "ingressroutes", "middlewares"} <= {*recorded}
    for resource, sample in recorded.items():
        for at in nodes(sample):
            for odd in (None, "x", {}):
                obj = kubernetes_object(resource, changed(sample, at, odd))
                assert obj is not None
                kube_pruning.prune(obj)
                wanted({resource: (obj,)}, "myapp.example.com", Options())
