"""What cannot be seen is unknown: with any part of the evidence missing, nobody new is accused."""

import random

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Collected, Report, Snapshot, Status, Step, Verdict, Why
from hopcheck.steps import PARTIES
from tests.judging import restricted
from tests.recorded import report as report_of
from tests.recorded import snapshot
from tests.steps.test_gallery import EXPECTED


def denied_list(given: Snapshot, key: str, why: Why = Why.DENIED) -> Snapshot:
    lists = {**given.kube.lists, key: Collected(why=why, detail="forbidden", source=key)}
    return msgspec.structs.replace(given, kube=msgspec.structs.replace(given.kube, lists=lists))


def denied_kube(given: Snapshot, why: Why) -> Snapshot:
    gone = Collected(why=why, detail="no", source="kube")
    lists = dict.fromkeys(given.kube.lists, gone)
    objects = dict.fromkeys(given.kube.objects, gone)
    kube = msgspec.structs.replace(given.kube, lists=lists, objects=objects, server=gone)
    traefik = msgspec.structs.replace(given.traefik, replicas=())
    http = msgspec.structs.replace(given.http, hops=())
    return msgspec.structs.replace(given, kube=kube, traefik=traefik, http=http)


def denied_aws(given: Snapshot, why: Why) -> Snapshot:
    gone = Collected(why=why, detail="no", source="aws")
    aws = type(given.aws)(identity=gone, load_balancers=gone, target_groups=gone)
    return msgspec.structs.replace(given, aws=aws)


def accused(report: Report) -> set[str]:
    return {cause.code for cause in report.root_causes}


# Bounded and general findings take the place of a precise one that can no longer be seen.
GENERAL = {"TGT017", "TGT020", "SVC016", "END014", "REQ008", "REQ007", "ING022", "END012"}


# What the client sees by itself: no name or address, the certificate, an error page, who answered,
# a loop that nobody is named for.
NAMES = {"DNS001", "DNS003", "DNS008"}
SEEN_FROM_OUTSIDE = NAMES | {"REQ001", "REQ002", "REQ005", "REQ010", "REQ011"}


# What is wrong as well, and follows from the root cause as long as that can be seen.
BEHIND = {"ir-catch-all": {"END001"}, "lb-binding-security-groups": {"TGT019"}}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_denied_list_accuses_nobody_else(name: str) -> None:
    given = snapshot(name)
    usual = accused(report_of(name)) | BEHIND.get(name, set())
    usual |= GENERAL | NAMES | {"REQ001", "REQ002", "REQ011"}
    if "ING050" in usual:  # without cert-manager's word it is the Secret, or what is presented
        usual |= {"ING016", "REQ005"}
    # No rule asks which of the two it was: each list meets both, of one fault or another.
    chance = random.Random(name)
    for key in given.kube.lists:
        why = chance.choice((Why.DENIED, Why.TIMED_OUT))
        extra = accused(replay(denied_list(given, key, why))) - usual
        assert not extra, f"{key} {why}: {extra}"


@pytest.mark.parametrize("why", [Why.DENIED, Why.UNREACHABLE, Why.NOT_CONFIGURED, Why.TIMED_OUT])
@pytest.mark.parametrize("name", EXPECTED)
def test_without_the_cluster(name: str, why: Why) -> None:
    report = replay(denied_kube(snapshot(name), why))
    assert accused(report) <= accused(report_of(name)) | GENERAL | SEEN_FROM_OUTSIDE
    for step in report.steps[2:6]:
        assert step.status is Status.UNKNOWN
        assert step.reason


@pytest.mark.parametrize("why", [Why.DENIED, Why.UNREACHABLE, Why.NOT_CONFIGURED])
@pytest.mark.parametrize("name", EXPECTED)
def test_without_aws(name: str, why: Why) -> None:
    report, usual = replay(denied_aws(snapshot(name), why)), accused(report_of(name))
    assert accused(report) <= usual | GENERAL | SEEN_FROM_OUTSIDE
    loops = [c for c in report.root_causes if c.code == "REQ011" and "REQ011" not in usual]
    assert all(cause.object.kind == "Host" for cause in loops)
    assert report.steps[1].status is Status.UNKNOWN


@pytest.mark.parametrize("party", PARTIES)
def test_the_healthy_host_without_one_party(party: str) -> None:
    given = restricted(snapshot("healthy"), frozenset(PARTIES) - {party})
    report = replay(given)
    assert report.root_causes == ()
    assert not [f for s in report.steps for f in s.findings if f.severity != "info"]
    wanted = Verdict.UNKNOWN if party == "http" else Verdict.HEALTHY
    assert report.verdict is wanted


def test_nothing_seen_is_unknown() -> None:
    report = replay(restricted(snapshot("healthy"), frozenset()))
    assert report.verdict is Verdict.UNKNOWN
    assert {step.status for step in report.steps} == {Status.UNKNOWN}
    assert report.coverage.seen == 0


def test_a_healthy_request_is_never_broken() -> None:
    """Whatever is declared, where every request succeeds nothing is broken."""
    good = snapshot("healthy").http
    for name in EXPECTED:
        given = msgspec.structs.replace(snapshot(name), http=good)
        report = replay(given)
        assert report.verdict is not Verdict.BROKEN, name
        assert report.steps[Step.REQUEST.number - 1].status is Status.PASS, name


@pytest.mark.parametrize(
    ("name", "key", "blind"),
    [
        ("svc-selector", "services", (Step.TRAEFIK_SERVICE, Step.ENDPOINTS)),
        ("svc-selector", "endpointslices@default", (Step.ENDPOINTS,)),
        ("ing-svc-missing", "services", (Step.TRAEFIK_SERVICE, Step.ENDPOINTS)),
        # Without the class nobody knows whether Traefik reads the Ingress: no green there.
        ("ing-class-other", "ingressclasses", (Step.INGRESS,)),
        ("ing-class-missing", "ingressclasses", (Step.INGRESS,)),
    ],
)
def test_traefik_is_not_accused_of_what_could_not_be_read(
    name: str, key: str, blind: tuple[Step, ...]
) -> None:
    report = replay(denied_list(snapshot(name), key))
    assert (report.verdict, report.root_causes) == (Verdict.BROKEN, ())
    for step in blind:
        assert report.steps[step.number - 1].status is Status.UNKNOWN
    (finding,) = (f for step in report.steps for f in step.findings if f.code == "LOG002")
    assert f"could not all be read here ({key.partition('@')[0]})" in finding.message


def test_an_unseen_class_is_no_gap_where_traefik_has_the_route() -> None:
    report = replay(denied_list(snapshot("app-5xx"), "ingressclasses"))
    assert report.steps[Step.INGRESS.number - 1].status is Status.PASS


@pytest.mark.parametrize("why", [Why.DENIED, Why.UNAUTHENTICATED])
def test_what_was_not_looked_at_is_said_with_its_own_reason(why: Why) -> None:
    report = replay(denied_list(snapshot("healthy"), "nodes", why))
    words = {Why.DENIED: "forbidden", Why.UNAUTHENTICATED: "not authenticated"}[why]
    step = report.steps[Step.TARGET_HEALTH.number - 1]
    assert step.status is Status.PASS
    assert step.reason == f"not looked at: nodes ({words}: forbidden)"
