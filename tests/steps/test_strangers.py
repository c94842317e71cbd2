"""Who answers in Traefik's stead: another Service of the cluster, a server that nobody knows."""

import copy
from collections.abc import Callable

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Severity, Step, Verdict
from tests.steps.edits import CERTIFICATE, TRAEFIK_NS, Edit, collected
from tests.steps.test_producers import no_access_log

NODES = ("127.230.240.10", "127.230.240.11")
SERVICE = f"Service {TRAEFIK_NS}/traefik"
OTHER = "Service edge/other"
FAKE = {"subject": "CN=fake", "issuer": "CN=fake", "names": ["ingress.local"], "sha256": "11" * 32}


def announce(*addresses: str) -> dict:
    return {"loadBalancer": {"ingress": [{"ip": one} for one in addresses]}}


def bare(kind: str = "LoadBalancer", *at: str) -> Edit:
    """A cluster without AWS; the record holds nodes' addresses, or `at`."""
    e, addresses = Edit(), at or NODES
    for key in [one for one in e.aws if isinstance(e.aws[one], dict)]:
        denied = {"value": None, "why": "not_configured"}
        e.aws[key] = denied if "value" in e.aws[key] else {}
    for answer in e.dns["answers"]:
        answer["value"]["chain"] = []
        if answer["value"]["addresses"]:
            answer["value"]["addresses"] = list(addresses)
    for probe, address in zip(e.probes("client"), addresses, strict=False):
        probe["address"] = probe["member"] = probe["exchanges"][-1]["address"] = address
    e.traefik_service["spec"]["type"] = kind
    e.no_other_scheme()
    no_access_log(e)
    return e


def foreign(e: Edit, status: int = 404, server: str = "nginx", **certificate: object) -> None:
    """The answers at the host's addresses are somebody else's."""
    e.answer(status, "<center>nginx</center>", hops=("client",), server=server)
    for probe in e.probes("client"):
        chain = [{**CERTIFICATE, **FAKE, **certificate}]
        probe["exchanges"][-1]["tls"] |= {"chain": chain, "verified": False, "verify_code": 18}


def neighbour(e: Edit, *at: str, port: int = 443, external: bool = False) -> None:
    e.add(
        "services", "Service", "other", {"type": "LoadBalancer", "ports": [{"port": port}]}, "edge"
    )
    if external:
        e.one("services", "other")["spec"] |= {"type": "ClusterIP", "externalIPs": list(at)}
    else:
        e.one("services", "other")["status"] = announce(*at)


def told(e: Edit) -> Report:
    return replay(e.snapshot())


def roots(e: Edit) -> list[tuple[str, str, Step]]:
    return [(f.code, str(f.object), f.step) for f in told(e).root_causes]


HELD = [("SVC017", SERVICE, Step.TRAEFIK_SERVICE)]


def loud(e: Edit) -> list[str]:
    findings = [finding for step in told(e).steps for finding in step.findings]
    return [str(one) for one in findings if one.severity is not Severity.INFO]


def of_k3s() -> Edit:
    e = bare()
    neighbour(e, *NODES)
    return e


def of_metallb() -> Edit:
    e = bare("LoadBalancer", "198.51.100.7", "198.51.100.8")
    neighbour(e, "198.51.100.7", "198.51.100.8")
    return e


def by_external_ips() -> Edit:
    e = bare()
    neighbour(e, *NODES, external=True)
    return e


def behind_other_addresses_of_the_nodes() -> Edit:
    e = bare("LoadBalancer", "203.0.113.10", "203.0.113.11")
    for node, address in zip(e.items("nodes"), ("203.0.113.10", "203.0.113.11"), strict=False):
        node["status"]["addresses"].append({"type": "ExternalIP", "address": address})
    neighbour(e, *NODES)
    return e


@pytest.mark.parametrize(
    "state", [of_k3s, of_metallb, by_external_ips, behind_other_addresses_of_the_nodes]
)
@pytest.mark.parametrize(("status", "server"), [(404, "nginx"), (503, "envoy"), (200, "nginx")])
def test_another_service_holds_what_traefiks_waits_for(
    state: Callable[[], Edit], status: int, server: str
) -> None:
    e = state()
    foreign(e, status, server)
    assert roots(e) == HELD
    (cause,) = told(e).root_causes
    assert cause.object.field == "status.loadBalancer"
    assert "Service edge/other" in cause.message
    assert [str(ref) for ref in cause.related] == [OTHER]
    assert told(e).verdict is Verdict.BROKEN


@pytest.mark.parametrize("state", [of_k3s, of_metallb, by_external_ips])
def test_that_refuses(state: Callable[[], Edit]) -> None:
    e = state()
    e.fail("refused", "connection refused")
    assert roots(e) == HELD


@pytest.mark.parametrize("state", [of_k3s, of_metallb, by_external_ips])
def test_mended_it_is_silent(state: Callable[[], Edit]) -> None:
    e = state()
    other = e.one("services", "other")
    e.items("services").remove(other)
    e.traefik_service["status"] = announce(
        *other["spec"].get("externalIPs", ()),
        *(one["ip"] for one in other.get("status", announce())["loadBalancer"]["ingress"]),
    )
    assert (told(e).verdict, loud(e)) == (Verdict.HEALTHY, [])


def test_the_neighbour_is_left_alone_where_requests_succeed() -> None:
    assert (told(of_k3s()).verdict, loud(of_k3s())) == (Verdict.HEALTHY, [])


def test_a_neighbour_on_another_port_holds_nothing() -> None:
    e = bare()
    neighbour(e, *NODES, port=8443)
    e.fail("refused", "connection refused")
    assert "SVC017" not in {f.code for step in told(e).steps for f in step.findings}


def test_a_neighbour_that_has_the_host_as_well_is_not_accused() -> None:
    e = of_k3s()
    copied = copy.deepcopy(e.ingress)
    copied["metadata"] = {"name": "former", "namespace": "default"}
    copied["spec"]["ingressClassName"] = "nginx"
    e.items("ingresses").append(copied)
    foreign(e, 503, names=["myapp.example.com"])
    assert "SVC017" not in {f.code for step in told(e).steps for f in step.findings}


def test_where_traefik_answers_it_is_not_the_neighbour() -> None:
    e = of_k3s()
    e.traefik_404()
    assert "SVC017" not in {f.code for step in told(e).steps for f in step.findings}


def test_the_record_is_named_where_a_load_balancer_is_meant() -> None:
    e = Edit()
    for answer in e.dns["answers"]:
        answer["value"]["chain"] = []
        if answer["value"]["addresses"]:
            answer["value"]["addresses"] = list(NODES)
    for probe, address in zip(e.probes("client"), NODES, strict=True):
        probe["address"] = probe["member"] = probe["exchanges"][-1]["address"] = address
    e.traefik_service["spec"]["type"] = "LoadBalancer"
    e.no_other_scheme()
    no_access_log(e)
    neighbour(e, *NODES)
    foreign(e)
    assert roots(e) == [("DNS005", "DNSRecord myapp.example.com", Step.DNS)]


# --- a server that nobody knows


STRANGER = [("REQ010", "Host myapp.example.com", Step.REQUEST)]


@pytest.mark.parametrize("status", [200, 301, 403, 404, 503])
@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_a_strangers_answer_is_nobodys_here(kind: str, status: int) -> None:
    e = bare(kind, "198.51.100.7", "198.51.100.8")
    foreign(e, status)
    assert roots(e) == STRANGER
    (cause,) = told(e).root_causes
    assert "198.51.100.7" in cause.message
    assert "ingress.local" in cause.message


def test_a_strangers_answer_where_traefik_is_not_asked_directly() -> None:
    e = bare("LoadBalancer", "198.51.100.7", "198.51.100.8")
    e.traefik_service["status"] = announce("198.51.100.20")
    e.http["hops"] = []
    foreign(e)
    assert roots(e) == STRANGER


def test_what_traefik_shows_itself_is_no_strangers() -> None:
    e = bare("LoadBalancer", "198.51.100.7", "198.51.100.8")
    e.certificate(**FAKE)
    e.answer(404, "no such page", server="nginx")
    assert {"REQ002", "REQ005"} & {code for code, *_ in roots(e)}


def test_a_proxy_that_passes_on_what_traefik_answers_is_no_stranger() -> None:
    e = bare("NodePort", "198.51.100.7", "198.51.100.8")
    served = e.probes("node")[0]["exchanges"][-1]
    foreign(e, 200)
    for probe in e.probes("client"):
        probe["exchanges"][-1]["body"] = served["body"]
    assert [code for code, *_ in roots(e)] == ["REQ005"]


def test_at_an_address_of_traefiks_service_the_certificate_counts() -> None:
    e = bare("LoadBalancer", "198.51.100.7", "198.51.100.8")
    e.traefik_service["status"] = announce("198.51.100.7", "198.51.100.8")
    foreign(e, 200)
    assert [code for code, *_ in roots(e)] == ["REQ005"]


def test_mended_nobody_is_a_stranger() -> None:
    e = bare("NodePort", "198.51.100.7", "198.51.100.8")
    assert (told(e).verdict, loud(e)) == (Verdict.HEALTHY, [])
    e.aws["load_balancers"] = collected([])
    assert (told(e).verdict, loud(e)) == (Verdict.HEALTHY, [])
