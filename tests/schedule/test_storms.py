"""Hosts with one common root cause."""

from hopcheck.catalogue import catalogue
from hopcheck.model import Coverage, Finding, ObjectRef, Report, Target, Vantage, Verdict
from hopcheck.schedule.summary import storms
from hopcheck.verdict.cause import fingerprint


def finding(code: str, ref: ObjectRef, *related: ObjectRef) -> Finding:
    params = dict.fromkeys(catalogue.entries()[code].params, "x")
    return catalogue.make(code, ref, related=related, **params)


def report(host: str, *roots: Finding) -> Report:
    return Report(
        target=Target(host=host),
        started_at="2026-02-25T03:00:00Z",
        duration_s=1.0,
        complete=True,
        vantage=Vantage(),
        verdict=Verdict.BROKEN if roots else Verdict.UNKNOWN,
        headline="",
        coverage=Coverage(seen=7),
        fingerprint=fingerprint(host, roots),
        root_causes=roots,
        path=(),
        steps=(),
    )


TRAEFIK = finding("SVC008", ObjectRef("Deployment", "traefik", "gateway"))


def test_one_cause_is_one_storm() -> None:
    other = finding("ING004", ObjectRef("Ingress", "d", "default"))
    found = storms(
        [
            report("a", TRAEFIK),
            report("b", TRAEFIK),
            report("c", TRAEFIK, other),
            report("d", other),
            report("e"),
            report("f"),
        ]
    )
    (storm,) = found
    assert storm.hosts == ("a", "b")
    assert storm.causes == (("SVC008", "Deployment gateway/traefik"),)
    assert storm.shared


def test_pods_of_one_workload_are_one_owner() -> None:
    def pod(name: str) -> Finding:
        return finding(
            "LOG001",
            ObjectRef("Pod", name, "gateway"),
            ObjectRef("DaemonSet", "traefik", "gateway"),
        )

    (storm,) = storms([report("a", pod("traefik-1")), report("b", pod("traefik-2"))])
    assert storm.causes == (("LOG001", "DaemonSet gateway/traefik"),)


def test_each_host_with_its_own_object_is_told_apart_from_a_shared_one() -> None:
    (storm,) = storms(
        [report(host, finding("DNS001", ObjectRef("DNSRecord", host))) for host in ("a", "b", "c")]
    )
    assert storm.hosts == ("a", "b", "c")
    assert storm.causes == (("DNS001", "DNSRecord *"),)
    assert not storm.shared


def test_the_largest_first_and_none_that_is_too_small() -> None:
    two = finding("ING004", ObjectRef("Ingress", "i", "default"))
    reports = [
        report("a", two),
        report("b", two),
        *(report(host, TRAEFIK) for host in ("c", "d", "e")),
    ]
    assert [storm.hosts for storm in storms(reports)] == [("c", "d", "e"), ("a", "b")]
    assert [storm.hosts for storm in storms(reports, least=3)] == [("c", "d", "e")]
