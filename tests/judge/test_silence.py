"""One pod of several accepts a request and never answers, and no request of the run met it."""

import msgspec
import pytest

from hopcheck.model import ErrorKind, Hop, Severity, Snapshot, Timing, Verdict
from hopcheck.replay import load, replay
from tests.record import SNAPSHOTS


def one_is_silent(waited: float, others: float) -> Snapshot:
    """The healthy host, its pods asked directly: the first is silent, the others take `others`."""
    given = load(SNAPSHOTS / "healthy.json.gz")
    hops, first = [], True
    for collected in given.http.hops:
        probe = collected.get()
        if probe.hop is Hop.POD:
            last = msgspec.structs.replace(probe.exchanges[-1], timing=Timing(total=others))
            if first:
                last = msgspec.structs.replace(
                    last, status=None, error=ErrorKind.READ_TIMEOUT, timing=Timing(total=waited)
                )
            first = False
            probe = msgspec.structs.replace(probe, exchanges=(last,))
        hops.append(msgspec.structs.replace(collected, value=probe))
    http = msgspec.structs.replace(given.http, hops=tuple(hops))
    return msgspec.structs.replace(given, http=http)


@pytest.mark.parametrize(("waited", "others", "warned"), [(2.0, 0.05, True), (2.0, 0.9, False)])
def test_it_is_a_warning_where_the_others_are_quick(
    waited: float, others: float, warned: bool
) -> None:
    report = replay(one_is_silent(waited, others))
    found = [
        (finding.code, finding.severity, str(finding.object))
        for step in report.steps
        for finding in step.findings
    ]
    expected = ("END013", Severity.WARNING, "Service default/my-app-service")
    assert found == ([expected] if warned else [])
    assert report.verdict is Verdict.HEALTHY
    assert report.root_causes == ()
