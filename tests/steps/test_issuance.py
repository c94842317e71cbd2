"""Why a certificate is not issued: what is asked, what is said, and where nothing may be."""

import copy
import json
from typing import Any

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Collected, Report, Severity, Snapshot, Status, Step, Why
from hopcheck.model.kubernetes import Challenge
from hopcheck.scene.issuance import in_doubt
from hopcheck.scene.scene import Scene
from tests.recorded import set_up, snapshot

OURS = [("default", "myapp-tls")]
LISTS = ("certificates", "certificaterequests", "orders", "challenges", "issuers")


def edited(given: Snapshot, change: Any) -> Snapshot:
    data = json.loads(msgspec.json.encode(given))
    change({key.partition("@")[0]: one["value"] for key, one in data["kube"]["lists"].items()})
    return msgspec.convert(data, Snapshot)


def replaced(given: Snapshot, why: Why, *resources: str) -> Snapshot:
    """The same where these lists were not given, for that reason."""
    lists = {
        key: Collected[Any](why=why, detail="forbidden")
        if key.partition("@")[0] in resources
        else found
        for key, found in given.kube.lists.items()
    }
    return msgspec.structs.replace(given, kube=msgspec.structs.replace(given.kube, lists=lists))


def roots(report: Report) -> list[str]:
    return [f"{cause.code} {cause.object}" for cause in report.root_causes]


@pytest.mark.parametrize("why", [Why.DENIED, Why.NOT_FOUND])
def test_where_it_cannot_be_read_the_finding_stays_at_the_secret(why: Why) -> None:
    given = replaced(snapshot("cm-order-limit"), why, *LISTS, "clusterissuers")
    report = replay(given)
    assert roots(report) == ["ING016 Ingress default/my-app-ingress"]
    step = report.steps[Step.INGRESS.number - 1]
    # Forbidden is said, with the right's name; a cluster without cert-manager lacks nothing.
    assert ("certificates" in (step.reason or "")) == (why is Why.DENIED)


@pytest.mark.parametrize("hidden", ["orders", "challenges", "issuers", "clusterissuers"])
def test_what_may_not_be_read_is_never_missing(hidden: str) -> None:
    for name in ("cm-issuer-kind", "cm-issuer-misspelt", "cm-order-limit", "cm-challenge-dns"):
        for found in replay(replaced(snapshot(name), Why.DENIED, hidden)).root_causes:
            if hidden in ("orders", "challenges"):
                assert found.code == "ING050"
            else:
                assert "which does not exist" not in found.message or name == {
                    "issuers": "cm-issuer-misspelt",
                    "clusterissuers": "cm-issuer-kind",
                }.get(hidden), name


def test_nothing_is_worth_asking_of_a_healthy_host() -> None:
    assert in_doubt(Scene(snapshot("healthy"))) == []
    assert in_doubt(Scene(set_up("cm-renewed"))) == []
    assert in_doubt(Scene(set_up("cm-renewing"))) == OURS
    assert in_doubt(Scene(snapshot("cm-order-limit"))) == OURS


def test_a_fault_elsewhere_is_no_reason_to_ask() -> None:
    assert in_doubt(Scene(snapshot("svc-selector"))) == []
    assert in_doubt(Scene(snapshot("dns-nxdomain"))) == []


def test_of_several_tries_the_latest_counts() -> None:
    def change(lists: dict[str, Any]) -> None:
        [failed] = lists["certificaterequests"]
        newer = copy.deepcopy(failed)
        newer["metadata"]["name"] = "myapp-tls-2"
        newer["metadata"]["annotations"]["cert-manager.io/certificate-revision"] = "10"
        failed["metadata"]["annotations"]["cert-manager.io/certificate-revision"] = "9"
        newer["status"]["conditions"][-1]["message"] = "the issuer is slow"
        lists["certificaterequests"].append(newer)

    assert roots(replay(edited(snapshot("cm-order-limit"), change))) == [
        "ING050 CertificateRequest default/myapp-tls-2"
    ]


def test_another_certificates_order_is_not_ours() -> None:
    def change(lists: dict[str, Any]) -> None:
        for one in lists["certificaterequests"]:
            one["metadata"]["ownerReferences"][0]["name"] = "shop-tls"

    report = replay(edited(snapshot("cm-order-limit"), change))
    assert roots(report) == ["ING050 Certificate default/myapp-tls"]


def test_an_issuer_of_another_group_is_not_looked_up() -> None:
    def change(lists: dict[str, Any]) -> None:
        lists["certificates"][0]["spec"]["issuerRef"]["group"] = "awspca.cert-manager.io"

    report = replay(edited(snapshot("cm-issuer-kind"), change))
    assert roots(report) == ["ING050 CertificateRequest default/myapp-tls-1"]


def test_a_certificate_that_was_issued_is_not_blamed() -> None:
    """Traefik presents another: why is no question to cert-manager."""

    def change(lists: dict[str, Any]) -> None:
        [one] = lists["certificates"]
        one["spec"]["dnsNames"] = ["*.example.com"]

    report = replay(edited(snapshot("cm-names"), change))
    assert [cause.code for cause in report.root_causes] == ["REQ007"]


def test_who_takes_the_challenges_path_is_named() -> None:
    [cause] = replay(snapshot("cm-challenge-catch-all")).root_causes
    assert "Ingress default/lobby takes" in cause.message
    assert "wrong status code '403'" in cause.message
    assert "Ingress default/lobby" in map(str, cause.related)
    assert "leave that path out" in cause.fix
    [cause] = replay(snapshot("cm-challenge-redirected")).root_causes
    assert "no route answers https://myapp.example.com:8443/" in cause.message


def test_a_misspelt_issuer_has_its_neighbour() -> None:
    [cause] = replay(snapshot("cm-issuer-kind")).root_causes
    assert "there is ClusterIssuer letsencrypt" in cause.message
    assert cause.object.field == "spec.issuerRef"


@pytest.mark.parametrize(("hours", "failures", "told"), [(1, 0, 0), (1, 2, 1), (30, 0, 1)])
def test_a_renewal_is_late_after_a_failure_or_a_day(hours: int, failures: int, told: int) -> None:
    given = snapshot("cm-renewal-fails")

    def change(lists: dict[str, Any]) -> None:
        [one] = lists["certificates"]
        day, hour = divmod(hours, 24)
        at = given.taken_at[:8] + f"{int(given.taken_at[8:10]) - day - 1:02}T{23 - hour:02}:59:00Z"
        one["status"]["renewalTime"] = at if hours > 1 else given.taken_at[:14] + "00:00Z"
        one["status"]["failedIssuanceAttempts"] = failures

    step = replay(edited(given, change)).steps[Step.INGRESS.number - 1]
    warnings = [one.code for one in step.findings if one.severity is Severity.WARNING]
    assert warnings == ["ING051"] * told
    assert step.status is (Status.WARN if told else Status.PASS)


def test_neither_key_nor_token_of_a_challenge_is_kept() -> None:
    [one] = snapshot("cm-challenge-refused").kube.every(Challenge)
    assert "thumbprint" not in msgspec.json.encode(one).decode()
    assert "urn:ietf:params:acme:error:unauthorized" in one.status.reason
