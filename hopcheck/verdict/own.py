"""Checks of one's own in the verdict: what fails beside the seven steps."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hopcheck.catalogue.catalogue import text
from hopcheck.model import OwnStep, Report, Status, Verdict


def with_own(report: Report, own: Sequence[OwnStep]) -> Report:
    """The report with the user's checks after its steps. One that fails leaves no host healthy."""
    failed = [one for one in own if one.status is Status.FAIL]
    report = msgspec.structs.replace(report, yours=tuple(own))
    if report.verdict is not Verdict.HEALTHY or not failed:
        return report
    host = report.target.display_host or report.target.host
    words = text("headline", "degraded_own", host=host, check=failed[0].title)
    return msgspec.structs.replace(report, verdict=Verdict.DEGRADED, headline=words)
