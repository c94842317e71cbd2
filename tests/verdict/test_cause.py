"""Root causes, consequences and the fingerprint."""

import msgspec
import pytest

from hopcheck.catalogue.catalogue import entries, make
from hopcheck.model import Finding, ObjectRef, Severity
from hopcheck.verdict import cause


def finding(code: str, kind: str = "Service", name: str = "app", **more: object) -> Finding:
    params = {key: f"<{key}>" for key in entries()[code].params} | more
    severity = params.pop("severity", None)
    related = params.pop("related", ())
    return make(
        code, ObjectRef(kind, name, "default"), severity=severity, related=related, **params
    )


def roots(*findings: Finding) -> list[str]:
    return [one.code for one in cause.root_causes(cause.attribute(findings))]


def test_a_symptom_is_never_a_root_cause() -> None:
    symptoms = [code for code, one in entries().items() if one.symptom == "always"]
    assert symptoms
    for code in symptoms:
        assert roots(finding(code, status=404)) == []


def test_a_404_follows_from_the_missing_service() -> None:
    found = cause.attribute([finding("ING004"), finding("REQ009", status=404)])
    assert found[0].root_cause
    assert found[1].caused_by == ("ING004-1",)


def test_a_404_does_not_follow_from_what_gives_502() -> None:
    found = cause.attribute([finding("END003"), finding("REQ009", status=404)])
    assert found[1].caused_by == ()


def test_two_independent_faults_give_two_in_the_ways_order() -> None:
    assert roots(finding("ING004"), finding("TGT014"), finding("TGT017")) == ["TGT014", "ING004"]


def test_the_general_gives_way_to_the_precise() -> None:
    assert roots(finding("TGT020")) == ["TGT020"]
    assert roots(finding("TGT020"), finding("REQ005")) == ["REQ005"]


def test_a_chain_has_one_root() -> None:
    assert roots(finding("SVC008"), finding("SVC007"), finding("TGT017"), finding("REQ004")) == [
        "SVC008"
    ]


def test_warnings_explain_nothing_and_are_no_roots() -> None:
    found = cause.attribute([finding("SVC007", severity=Severity.WARNING), finding("TGT017")])
    assert not found[0].root_cause
    assert found[1].caused_by == ()


def test_ids_are_unique() -> None:
    found = cause.attribute([finding("END013"), finding("END013", name="b")])
    assert [one.id for one in found] == ["END013-1", "END013-2"]


@pytest.mark.parametrize("code", entries())
def test_no_two_codes_explain_each_other(code: str) -> None:
    for other in entries():
        if other == code:
            continue
        both = all(
            cause.explains(finding(a, status=status), finding(b, status=status))
            for a, b in ((code, other), (other, code))
            for status in (502,)
        )
        assert not both, f"{code} and {other} explain each other"


def test_equal_findings_do_not_explain_each_other() -> None:
    assert roots(finding("ING022"), finding("ING022", name="b")) == ["ING022", "ING022"]


def test_the_fingerprint_knows_neither_pods_nor_shares_nor_words() -> None:
    workload = ObjectRef("Deployment", "traefik", "t")

    def of(pod: str, detail: str) -> str:
        one = finding("LOG001", "Pod", pod, related=(workload,), detail=detail)
        return cause.fingerprint("h", [one])

    assert of("traefik-a-1", "x") == of("traefik-b-2", "y")
    assert of("traefik-a-1", "x") != cause.fingerprint("g", [])


def test_a_stale_replica_explains_the_default_certificate() -> None:
    assert roots(finding("LOG001", "Pod"), finding("ING016", "Ingress"), finding("REQ007")) == [
        "LOG001"
    ]


def test_what_stops_everything_is_fixed_before_what_stops_a_share() -> None:
    pods = msgspec.structs.replace(finding("TGT014"), share=0.5)
    service = finding("ING004")
    assert roots(pods, service) == ["ING004", "TGT014"]
    whole = msgspec.structs.replace(pods, share=1.0)
    assert roots(service, whole) == ["TGT014", "ING004"]


def test_a_pod_asked_directly_is_nobody_elses_answer() -> None:
    direct = finding("REQ001", "Application", variant="direct")
    assert roots(finding("DNS005", "DNSRecord"), direct) == ["DNS005", "REQ001"]
    assert roots(finding("DNS005", "DNSRecord"), finding("REQ001", "Application")) == ["DNS005"]
