"""Limits of a host's own: how soon a certificate's end is worth a warning."""

from pathlib import Path

import msgspec
import pytest

from hopcheck.model import Severity, Step
from hopcheck.report.evidence import load
from tests.judging import judge

HEALTHY = Path(__file__).parents[1] / "snapshots" / "healthy.json.gz"


@pytest.mark.parametrize(
    ("days", "codes"), [(None, []), (10, []), (1_000_000, [("REQ013", 1_000_000)])]
)
def test_certificate_days(days: int | None, codes: list[tuple[str, int]]) -> None:
    snapshot = load(HEALTHY)
    target = msgspec.structs.replace(snapshot.target, certificate_days=days)
    found = judge(Step.REQUEST, msgspec.structs.replace(snapshot, target=target)).findings
    assert [(one.code, one.params["threshold"]) for one in found] == codes


@pytest.mark.parametrize(("limit", "codes"), [(None, []), (60.0, []), (0.000001, ["REQ003"])])
def test_slow_seconds(limit: float | None, codes: list[str]) -> None:
    snapshot = load(HEALTHY)
    target = msgspec.structs.replace(snapshot.target, slow_seconds=limit)
    found = judge(Step.REQUEST, msgspec.structs.replace(snapshot, target=target)).findings
    assert [one.code for one in found] == codes
    assert all(one.severity is Severity.WARNING for one in found)
    assert all(one.title == "The answer is slow" for one in found)
