"""What is said of Traefik's default certificate: why the host's own is not presented."""

import copy

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Collected, Finding, Report, Severity, Snapshot, Step, Verdict
from hopcheck.model.kubernetes import TLSOption
from hopcheck.report.evidence import load
from tests.recorded import SNAPSHOTS
from tests.steps.edits import Edit, collected

SECRET, NOBODY = "Secret default/myapp-tls", "Host myapp.example.com"


def cause(given: Snapshot, accused: str = NOBODY) -> Finding:
    (found,) = replay(given).root_causes
    assert (found.code, str(found.object)) == ("REQ007", accused)
    assert "Secret default/myapp-tls" in map(str, found.related)
    return found


@pytest.mark.parametrize(
    ("name", "variant", "accused"),
    [("tls-secret-garbled", "key", SECRET), ("tls-san", "other", NOBODY)],
)
def test_it_says_what_is_wrong_with_the_secret(name: str, variant: str, accused: str) -> None:
    found = cause(load(SNAPSHOTS / f"{name}.json.gz"), accused)
    assert found.params["variant"] == variant
    assert "default/myapp-tls" in found.fix
    assert ("private key does not match public key" in found.message) == (variant == "key")
    assert ("first (the leaf" in found.fix) == (variant == "key")


# --- a certificate resolver that is defined

RESOLVER = "--certificatesResolvers.le.acme.storage=/data/acme.json"
REFUSED = "Unable to obtain ACME certificate for domains"


def by_resolver(*arguments: str, only: int | None = None, **annotations: str) -> Edit:
    """The default certificate is presented (to the first `only`), and no Secret is named."""
    edit = Edit()
    edit.ingress["spec"].pop("tls")
    edit.annotate(**annotations)
    edit.arguments(RESOLVER, *arguments)
    kept = copy.deepcopy(edit.http["requests"])
    edit.certificate(
        subject="CN=TRAEFIK DEFAULT CERT", issuer="CN=TRAEFIK DEFAULT CERT",
        names=["4d5f.traefik.default"], self_signed=True,
    )  # fmt: skip
    edit.unverified(18, "self-signed certificate")
    if only is not None:
        edit.http["requests"][only:] = kept[only:]
    edit.no_other_scheme()
    line = {"raw": f"ERR {REFUSED}", "level": "error", "message": REFUSED, "kind": "traefik"}
    fields = {"providerName": "le.acme", "routerName": "another-router@kubernetes"}
    edit.replicas[1]["log"]["value"].append({**line, "fields": fields})
    return edit


OWN = {"router__tls": "true", "router__tls__certresolver": "le"}
ON_THE_ENTRY = "--entryPoints.websecure.http.tls.certResolver=le"


@pytest.mark.parametrize(("arguments", "own"), [((), OWN), ((ON_THE_ENTRY,), {})])
@pytest.mark.parametrize(("only", "variant"), [(1, "replicas"), (None, "resolver")])
def test_a_resolver_that_is_set_is_not_to_be_set(
    arguments: tuple[str, ...], own: dict[str, str], only: int | None, variant: str
) -> None:
    (found,) = replay(by_resolver(*arguments, only=only, **own).snapshot()).root_causes
    assert (found.code, str(found.object)) == ("REQ007", "Deployment api-gateway-system/traefik")
    assert found.params["variant"] == variant
    assert "set a certificate resolver" not in found.fix
    assert [one.text for one in found.evidence] == [f"ERR {REFUSED}"]
    assert found.params["pod"] == by_resolver().replicas[1]["pod"]


def test_without_a_resolver_one_may_be_set() -> None:
    (found,) = replay(by_resolver().snapshot()).root_causes
    assert (found.code, str(found.object)) == ("REQ007", NOBODY)
    assert "set a certificate resolver" in found.fix


def test_what_a_later_configuration_has_overtaken_is_not_repeated() -> None:
    given = load(SNAPSHOTS / "tls-secret-garbled.json.gz")
    replicas = tuple(
        msgspec.structs.replace(
            one,
            metrics=Collected(
                value={**one.metrics.get(), "traefik_config_last_reload_success": 4e9}
            ),
        )
        for one in given.traefik.replicas
    )
    traefik = msgspec.structs.replace(given.traefik, replicas=replicas)
    found = cause(msgspec.structs.replace(given, traefik=traefik))
    assert found.params["variant"] == "other"


def test_settings_are_shown_as_people_write_them() -> None:
    (found,) = replay(load(SNAPSHOTS / "tls-client-certificate.json.gz")).root_causes
    assert found.code == "ING018"
    assert "(clientAuth: RequireAnyClientCert)" in found.message


def test_a_tls_option_of_another_name_is_not_taken_for_the_routes() -> None:
    given = load(SNAPSHOTS / "tls-snistrict.json.gz")
    (own,) = (option for option in given.kube.every(TLSOption) if option.spec.sni_strict)
    metadata = msgspec.structs.replace(own.metadata, name="def", namespace="another")
    other = msgspec.structs.replace(own, metadata=metadata)
    lists = given.kube.lists | {"tlsoptions": Collected(value=(other, own))}
    (found,) = replay(
        msgspec.structs.replace(given, kube=msgspec.structs.replace(given.kube, lists=lists))
    ).root_causes
    assert (found.code, str(found.object)) == ("ING018", "TLSOption default/default")


def routes_of(namespace: str, host: str, *names: str, secret: str, **spec: object) -> dict:
    """An Ingress of another team that names a Secret for these hosts, and routes `host`."""
    backend = {"service": {"name": "theirs", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "theirs", "namespace": namespace},
        "spec": {
            "ingressClassName": "traefik",
            "tls": [{"hosts": [*names], "secretName": secret}],
            "rules": [{"host": host, "http": {"paths": [path]}}],
            **spec,
        },
    }


HOST, OLD = "myapp.example.com", "old.example.com"
EXPIRED = "2026-11-21T09:12:44Z"


def presented(names: tuple[str, ...], *others: dict, **changes: object) -> Edit:
    e = Edit()
    e.no_other_scheme()
    e.certificate(names=[*names], **changes)
    e.items("ingresses").extend(others)
    return e


def root(e: Edit) -> Finding:
    (found,) = replay(e.snapshot()).root_causes
    return found


def findings(report: Report) -> list[Finding]:
    return [finding for step in report.steps for finding in step.findings]


def calm(e: Edit) -> None:
    assert not [f for f in findings(replay(e.snapshot())) if f.severity is not Severity.INFO]


@pytest.mark.parametrize(
    "changes", [{"not_after": EXPIRED}, {"not_before": "2027-01-01T00:00:00Z"}]
)
def test_another_namespaces_certificate_is_named_where_its_names_fit_better(changes: dict) -> None:
    theirs = routes_of("team-b", OLD, OLD, HOST, secret="old-tls")
    found = root(presented((OLD, HOST), theirs, **changes))
    assert (found.code, str(found.object)) == ("REQ005", "Secret team-b/old-tls")
    assert found.step is Step.REQUEST
    assert "Ingress team-b/theirs" in map(str, found.related)
    assert "Secret default/myapp-tls" not in map(str, found.related)
    calm(presented((HOST,), theirs))


def test_an_ingressroute_of_another_namespace_can_be_the_one() -> None:
    e = presented((HOST, OLD), not_after=EXPIRED)
    rule = {"kind": "Rule", "match": f"Host(`{OLD}`) || Host(`{HOST}`) && Path(`/x`)"}
    rule["services"] = [{"name": "theirs", "port": 80}]
    e.items("ingressroutes").append(
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": {"name": "theirs", "namespace": "team-b"},
            "spec": {"routes": [rule], "tls": {"secretName": "old-tls"}},
        }
    )
    found = root(e)
    assert (found.code, str(found.object)) == ("REQ005", "Secret team-b/old-tls")
    assert "IngressRoute team-b/theirs" in found.message


def test_where_two_secrets_fit_alike_both_are_named() -> None:
    theirs = routes_of("team-b", OLD, HOST, secret="copy-tls")
    found = root(presented((HOST,), theirs, not_after=EXPIRED))
    assert (found.code, str(found.object)) == ("REQ005", f"Certificate {HOST}")
    assert found.params["variant"] == "several"
    assert "default/myapp-tls" in found.fix
    assert "team-b/copy-tls" in found.fix


@pytest.mark.parametrize(
    "theirs",
    [
        routes_of("team-b", OLD, OLD, secret="old-tls"),
        routes_of("team-b", OLD, HOST, OLD, "b.example.com", secret="old-tls"),
        routes_of("team-b", OLD, HOST, secret="old-tls", ingressClassName="nginx"),
    ],
    ids=["other-hosts", "more-hosts", "not-traefiks"],
)
def test_a_secret_for_other_names_or_that_traefik_does_not_read_is_not_it(theirs: dict) -> None:
    found = root(presented((HOST,), theirs, not_after=EXPIRED))
    assert (found.code, str(found.object)) == ("REQ005", f"Certificate {HOST}")
    assert "variant" not in found.params
    assert "Secret default/myapp-tls" in map(str, found.related)


def test_the_names_that_cert_manager_notes_at_the_routes_secret_count() -> None:
    e = presented((HOST,), routes_of("team-b", OLD, HOST, secret="old-tls"), not_after=EXPIRED)
    noted = {"cert-manager.io/alt-names": "*.example.com"}
    secret = {"name": "myapp-tls", "namespace": "default", "annotations": noted}
    e.data["kube"]["objects"]["secrets@default/myapp-tls"] = collected(
        {"kind": "Secret", "metadata": secret}
    )
    found = root(e)
    assert (found.code, str(found.object)) == ("REQ005", "Secret team-b/old-tls")


def test_the_certificate_on_the_load_balancer_is_no_secret_of_the_cluster() -> None:
    e = Edit("nlb-acm-cert")
    e.items("ingresses").append(routes_of("team-b", OLD, HOST, secret="old-tls"))
    (found,) = replay(e.snapshot()).root_causes
    assert found.code == "TGT008"
    assert not [f for f in findings(replay(e.snapshot())) if "old-tls" in str(f.object)]


@pytest.mark.parametrize("code", [18, 20, 21])
def test_cert_managers_temporary_certificate_is_not_issued_yet(code: int) -> None:
    e = presented((HOST,), subject="O=cert-manager", issuer="CN=cert-manager.local")
    e.unverified(code, "unable to get local issuer certificate")
    report = replay(e.snapshot())
    (found,) = report.root_causes
    assert (found.code, str(found.object)) == ("REQ006", "Secret default/myapp-tls")
    assert (found.step, found.severity) == (Step.REQUEST, Severity.ERROR)
    assert report.verdict is Verdict.BROKEN
    assert found.params["variant"] == "temporary"
    assert "Challenge" in found.fix
    assert "intermediate" not in found.fix
    calm(presented((HOST,)))


def stores(*namespaces: str, flag: str = "", recorded: str = "tls-secret-missing") -> Edit:
    """Default TLSStores; Traefik's default certificate is presented, the route names no Secret."""
    e = Edit(recorded)
    e.ingress["spec"].pop("tls")
    for number, namespace in enumerate(namespaces):
        metadata = {"name": "default", "namespace": namespace}
        metadata["creationTimestamp"] = f"2026-11-2{number}T00:00:00Z"
        spec = {"defaultCertificate": {"secretName": "wildcard"}}
        e.items("tlsstores").append({"kind": "TLSStore", "metadata": metadata, "spec": spec})
        e.data["kube"]["objects"][f"secrets@{namespace}/wildcard"] = collected(
            {"kind": "Secret", "metadata": {"name": "wildcard", "namespace": namespace}}
        )
    if flag:
        e.arguments(flag)
    return e


def test_of_several_default_stores_traefik_takes_none() -> None:
    found = root(stores("team-b", "default"))
    assert (found.code, str(found.object)) == ("ING016", "TLSStore default/default")
    assert (found.step, found.params["variant"]) == (Step.INGRESS, "stores")
    assert "TLSStore team-b/default" in map(str, found.related)
    assert "team-b/default" in found.message


@pytest.mark.parametrize(
    ("namespaces", "flag"),
    [
        (("team-b",), ""),
        (("team-b", "default"), "--providers.kubernetescrd.defaultTLSResourcesNamespace=default"),
        (("team-b", "default"), "--providers.kubernetescrd.namespaces=default"),
    ],
)
def test_one_default_store_that_counts_is_not_several(
    namespaces: tuple[str, ...], flag: str
) -> None:
    found = findings(replay(stores(*namespaces, flag=flag).snapshot()))
    assert not [f for f in found if f.code == "ING016"]
    calm(stores(*namespaces, flag=flag, recorded="healthy"))
