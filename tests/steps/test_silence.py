"""One pod of several accepts a request and never answers, and no request of the host met it."""

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import ErrorKind, Hop, Severity, Snapshot, Timing, Verdict
from hopcheck.report.evidence import load
from tests.recorded import SNAPSHOTS


def one_is_silent(waited: float, others: float, node: bool = False) -> Snapshot:
    """The healthy host, its pods asked directly: the first is silent, the others take `others`.

    With `node` the request that was sent to the first node waited as well.
    """
    given = load(SNAPSHOTS / "healthy.json.gz")
    hops, first = [], {Hop.POD, Hop.NODE} if node else {Hop.POD}
    for collected in given.http.hops:
        probe = collected.get()
        if probe.hop is Hop.POD or probe.hop in first:
            last = msgspec.structs.replace(probe.exchanges[-1], timing=Timing(total=others))
            if probe.hop in first:
                last = msgspec.structs.replace(
                    last, status=None, error=ErrorKind.READ_TIMEOUT, timing=Timing(total=waited)
                )
            first.discard(probe.hop)
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


def test_it_is_an_error_where_a_request_through_traefik_met_it() -> None:
    report = replay(one_is_silent(2.0, 0.05, node=True))
    assert [(one.code, str(one.object)) for one in report.root_causes] == [
        ("END013", "Service default/my-app-service")
    ]
    assert report.verdict is Verdict.DEGRADED
