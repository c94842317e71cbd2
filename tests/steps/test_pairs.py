"""Recorded evidence of two faults at once: the second is seen wherever something shows it."""

from pathlib import Path

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Collected, ErrorKind, Hop, Probe, Report, Severity, Snapshot
from hopcheck.report.evidence import load
from tests.steps.edits import Edit

SNAPSHOTS = Path(__file__).parents[1] / "snapshots" / "pairs"

EXPECTED = {
    # The pods are looked at though the route's port is not the Service's.
    "ing-port-number--ep-none-ready": ["ING005", "END004"],
    "svc-targetport-name--ep-none-ready": ["END002", "END004"],
    # No endpoint is ready, and another port of the pods is the one that answers.
    "svc-targetport-num--ep-none-ready": ["END004", "END003"],
    # No request reaches Traefik; its pods, asked directly, present the default certificate.
    "tg-nodeport-drift--tls-secret-missing": ["TGT014", "ING016"],
    # The pods hang: said as a warning, since a probe waits less long than a client.
    "tg-empty--app-hang": ["TGT010"],
}


def snapshot(name: str) -> Snapshot:
    return load(SNAPSHOTS / f"{name}.json.gz")


def codes(report: Report, severity: Severity) -> list[str]:
    return [f.code for step in report.steps for f in step.findings if f.severity is severity]


def test_every_snapshot_is_expected() -> None:
    assert {path.name.removesuffix(".json.gz") for path in SNAPSHOTS.glob("*.gz")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_root_causes(name: str) -> None:
    assert [cause.code for cause in replay(snapshot(name)).root_causes] == EXPECTED[name]


def with_pods(given: Snapshot, **changed: object) -> Snapshot:
    """The evidence with another answer of every application pod."""
    hops: list[Collected[Probe]] = []
    for one in given.http.hops:
        probe = one.get()
        if probe.hop is Hop.POD:
            last = msgspec.structs.replace(probe.exchanges[-1], **changed)
            probe = msgspec.structs.replace(probe, exchanges=(*probe.exchanges[:-1], last))
        hops.append(msgspec.structs.replace(one, value=probe))
    return msgspec.structs.replace(
        given, http=msgspec.structs.replace(given.http, hops=tuple(hops))
    )


def test_pods_that_hang_are_a_warning_where_no_request_comes_to_them() -> None:
    report = replay(snapshot("tg-empty--app-hang"))
    assert "REQ003" in codes(report, Severity.WARNING)


def test_pods_that_answer_500_directly_are_a_second_cause() -> None:
    given = snapshot("tg-empty--app-hang")
    report = replay(with_pods(given, status=500, error=None, body="database is down\n"))
    assert [cause.code for cause in report.root_causes] == ["TGT010", "REQ001"]
    assert "database is down" in report.root_causes[1].message
    fine = replay(with_pods(given, status=200, error=None))
    assert [cause.code for cause in fine.root_causes] == ["TGT010"]


def test_nodes_that_drop_packets_are_told_beside_a_route_that_is_missing() -> None:
    given = load(SNAPSHOTS.parent / "ing-no-host.json.gz")
    timeout = {"status": None, "error": ErrorKind.CONNECT_TIMEOUT, "body": "", "tls": None}
    hops = []
    for one in given.http.hops:
        probe = one.get()
        if probe.hop is Hop.NODE:
            last = msgspec.structs.replace(probe.exchanges[-1], **timeout)
            probe = msgspec.structs.replace(probe, exchanges=(last,))
        hops.append(msgspec.structs.replace(one, value=probe))
    http = msgspec.structs.replace(given.http, hops=tuple(hops))
    report = replay(msgspec.structs.replace(given, http=http))
    assert [cause.code for cause in report.root_causes] == ["ING001"]
    gap = next(f for step in report.steps for f in step.findings if f.code == "SVC016")
    assert not gap.caused_by  # a missing route keeps no node from answering
    assert report.steps[gap.step.number - 1].status == "fail"


def test_a_policy_that_would_block_is_a_warning_while_no_request_comes_to_the_pods() -> None:
    e = Edit()
    e.add(
        "networkpolicies@default",
        "NetworkPolicy",
        "default-deny",
        {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []},
    )
    assert codes(replay(e.snapshot()), Severity.WARNING) == []  # requests pass: not enforced
    e.ingress["spec"]["ingressClassName"] = "nginx"
    e.traefik_404()
    report = replay(e.snapshot())
    assert [cause.code for cause in report.root_causes] == ["ING002"]
    assert codes(report, Severity.WARNING) == ["END010"]


def test_what_pods_say_directly_is_no_matter_where_requests_reach_them() -> None:
    given = load(SNAPSHOTS.parent / "healthy.json.gz")
    report = replay(with_pods(given, status=500, body="needs a session\n"))
    assert report.root_causes == ()
    assert report.verdict == "healthy"
