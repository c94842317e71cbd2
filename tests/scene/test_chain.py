"""From the listener to the entryPoint: where each type of target leads, and what is said of it."""

import copy
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Snapshot, Verdict
from hopcheck.scene.chain import Chain
from hopcheck.scene.scene import Scene
from tests.steps.edits import Edit, collected

GROUP = "myapp-websecure"
NODE_IPS = ("127.230.240.10", "127.230.240.11", "127.230.240.12")


def way(given: Snapshot) -> Chain:
    found = Scene(given).way
    assert found is not None
    return found


def targets(e: Edit, port: int, *idents: str, group: str = GROUP, kind: str = "ip") -> None:
    """Register these, healthy, in place of the nodes."""
    e.group(group)["TargetType"] = kind
    e.health(group)[:] = [
        {"Target": {"Id": one, "Port": port}, "TargetHealth": {"State": "healthy"}}
        for one in idents
    ]


def pod_ips(e: Edit) -> list[str]:
    return [pod["status"]["podIP"] for pod in e.traefik_pods]


def to_pods(e: Edit, port: int = 8443) -> None:
    targets(e, port, *pod_ips(e))


def to_host_ports(e: Edit, web: int = 80, websecure: int = 443) -> None:
    """A DaemonSet with hostPorts and no NodePort Service; the targets are the nodes that run it."""
    for pod in e.traefik_pods:
        for port in pod["spec"]["containers"][0]["ports"]:
            number = {"web": web, "websecure": websecure}.get(port["name"])
            if number:
                port["hostPort"] = number
    e.items("services").remove(e.traefik_service)
    names = {pod["spec"]["nodeName"] for pod in e.traefik_pods}
    idents = [
        n["spec"]["providerID"].rpartition("/")[2]
        for n in e.items("nodes")
        if n["metadata"]["name"] in names
    ]
    targets(e, websecure, *idents, kind="instance")
    targets(e, web, *idents, kind="instance", group="myapp-web")


def to_host_network(e: Edit) -> None:
    nodes = {n["metadata"]["name"]: n for n in e.items("nodes")}
    e.items("services").remove(e.traefik_service)
    found = []
    for pod in e.traefik_pods:
        node = nodes[pod["spec"]["nodeName"]]
        address = next(
            a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"
        )
        pod["spec"]["hostNetwork"] = True
        pod["status"] |= {"podIP": address, "podIPs": [{"ip": address}]}
        found.append(address)
    targets(e, 8443, *found)


def to_node_addresses(e: Edit) -> None:
    targets(e, 30001, *NODE_IPS)


def nothing(e: Edit) -> None:
    """Instance targets on the nodePort, as recorded."""


TYPES = {
    "instance": (nothing, "node", True, None),
    "pods": (to_pods, "pod", True, None),
    "host-ports": (to_host_ports, "node", False, 443),
    "host-network": (to_host_network, "node", False, 8443),
    "node-addresses": (to_node_addresses, "node", True, None),
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_target_leads_to_its_entrypoint(name: str) -> None:
    change, kind, by_service, node_port = TYPES[name]
    e = Edit()
    change(e)
    found = way(e.snapshot())
    assert {target.kind for target in found.targets} == {kind}
    for target in found.targets:
        assert target.leads is not None
        assert target.leads.entry_point is not None
        assert target.leads.entry_point.name == "websecure"
        assert target.leads.container_port == 8443
        assert (target.leads.service is not None) == by_service
        if node_port:
            assert target.leads.node_port == node_port
    assert {pod["metadata"]["name"] for pod in found.pods} == {
        pod["metadata"]["name"] for pod in e.traefik_pods
    }


def test_a_host_port_is_open_where_a_pod_runs() -> None:
    e = Edit()
    to_host_ports(e)
    idle = next(
        n for n in e.items("nodes")
        if n["metadata"]["name"] not in {p["spec"]["nodeName"] for p in e.traefik_pods}
    )  # fmt: skip
    ident = idle["spec"]["providerID"].rpartition("/")[2]
    e.health().append({"Target": {"Id": ident, "Port": 443}, "TargetHealth": {"State": "healthy"}})
    found = way(e.snapshot())
    assert [target.open_here for target in found.targets] == [True, True, False]
    assert found.targets[-1].pods == ()
    assert all(len(target.pods) == 1 for target in found.targets[:-1])


def test_what_the_slices_name_is_behind_a_service_without_selector() -> None:
    e = Edit()
    del e.traefik_service["spec"]["selector"]
    assert len(way(e.snapshot()).pods) == len(e.traefik_pods)


def test_a_group_that_gets_nothing_is_not_on_the_way() -> None:
    e = Edit()
    arns = [e.group(name)["TargetGroupArn"] for name in ("myapp-web", GROUP)]
    groups = [{"TargetGroupArn": arn, "Weight": n} for n, arn in enumerate(arns)]
    e.listener()["DefaultActions"] = [
        {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    ]
    assert [group.name for group in way(e.snapshot()).groups] == [GROUP]


# --- the same rules for every type


def roots(report: Report) -> list[tuple[str, str]]:
    return [(finding.code, finding.object.name) for finding in report.root_causes]


def ends_tls(e: Edit) -> None:
    """Listener 443 ends TLS with a certificate of ACM and sends plain text on."""
    e.listener()["Protocol"] = "TLS"
    e.listener()["Certificates"] = [{"CertificateArn": "arn:aws:acm:x:1:certificate/2"}]


@pytest.mark.parametrize("answer", [400, 404])
@pytest.mark.parametrize("name", TYPES)
def test_plain_text_to_the_tls_port_is_the_listeners_fault(name: str, answer: int) -> None:
    """Field report f20, for every type of target."""
    e = Edit()
    TYPES[name][0](e)
    ends_tls(e)
    if answer == 404:
        e.traefik_404()
    else:
        e.answer(400, "Client sent an HTTP request to an HTTPS server.\n")
    e.no_other_scheme()
    e.without_pods()
    report = replay(e.snapshot())
    assert roots(report) == [("TGT005", "myapp-nlb:443")]
    assert report.verdict.value == "broken"


@pytest.mark.parametrize("name", TYPES)
def test_a_listener_that_leads_to_the_other_entrypoint(name: str) -> None:
    e = Edit()
    TYPES[name][0](e)
    other = {"instance": 30000, "node-addresses": 30000, "host-ports": 80}.get(name, 8080)
    for described in e.health():
        described["Target"]["Port"] = other
    e.fail("tls_protocol", "wrong version number", phase="tls")
    e.no_other_scheme()
    e.only_pods()
    report = replay(e.snapshot())
    assert roots(report) == [("TGT004", "myapp-nlb:443")]
    finding = report.root_causes[0]
    number = {"instance": 30001, "node-addresses": 30001, "host-ports": 443}.get(name, 8443)
    assert str(number) in finding.fix
    assert ("nodePort" in finding.fix) == (name in ("instance", "node-addresses"))


@pytest.mark.parametrize("name", TYPES)
def test_the_proxy_protocol_at_one_end(name: str) -> None:
    e = Edit()
    TYPES[name][0](e)
    arn = e.group()["TargetGroupArn"]
    e.aws["target_group_attributes"][arn]["value"]["proxy_protocol_v2.enabled"] = "true"
    e.fail("tls_protocol", "wrong version number", phase="tls")
    e.no_other_scheme()
    e.only_pods()
    assert roots(replay(e.snapshot())) == [("TGT018", GROUP)]


def test_one_of_two_pods_without_the_proxy_protocol_that_is_sent() -> None:
    e = Edit()
    e.arguments("--entryPoints.websecure.proxyProtocol.insecure=true")
    deaf = e.traefik_pods[1]
    deaf["spec"]["containers"][0]["args"].pop()
    deaf["metadata"]["ownerReferences"][0]["name"] = "traefik-canary-6c5d7f8b9"
    deaf["metadata"]["labels"]["pod-template-hash"] = "6c5d7f8b9"
    arn = e.group()["TargetGroupArn"]
    e.aws["target_group_attributes"][arn]["value"]["proxy_protocol_v2.enabled"] = "true"
    report = replay(e.snapshot())
    assert roots(report) == [("TGT018", "traefik-canary")]
    assert report.verdict is Verdict.DEGRADED


def test_a_check_of_pods_on_a_node_port_asks_nobody() -> None:
    e = Edit()
    TYPES["pods"][0](e)
    e.group()["HealthCheckPort"] = "30900"
    for described in e.health():
        described["HealthCheckPort"] = "30900"
        described["TargetHealth"] = {"State": "unhealthy", "Reason": "Target.FailedHealthChecks"}
    assert roots(replay(e.snapshot())) == [("TGT015", GROUP)]


@pytest.mark.parametrize("name", TYPES)
def test_targets_on_nobodys_port(name: str) -> None:
    e = Edit()
    TYPES[name][0](e)
    for described in e.health():
        described["Target"]["Port"] = 31999
        described["TargetHealth"] = {"State": "unhealthy", "Reason": "Target.FailedHealthChecks"}
    e.fail("reset", "connection reset", phase="tls")
    e.no_other_scheme()
    e.only_pods()
    report = replay(e.snapshot())
    assert roots(report) == [("TGT014", GROUP)]
    assert ("nodePort" in report.root_causes[0].message) == (name in ("instance", "node-addresses"))


def test_a_redirect_behind_ended_tls_at_the_pods_port() -> None:
    e = Edit()
    to_pods(e, 8080)
    ends_tls(e)
    e.arguments("--entryPoints.web.http.redirections.entryPoint.to=websecure")
    e.fail("too_many_redirects", "10 redirects", phase="first_byte")
    e.no_other_scheme()
    e.only_pods()
    assert roots(replay(e.snapshot())) == [("TGT006", "myapp-nlb:443")]


def test_a_node_without_a_pod_of_a_daemonset_beside_its_cluster_ip_service() -> None:
    """Field report f29: hostPorts, the chart's ClusterIP Service, one node runs no pod."""
    e = Edit()
    service = copy.deepcopy(e.traefik_service)
    to_host_ports(e)
    service["spec"]["type"] = "ClusterIP"
    for port in service["spec"]["ports"]:
        port.pop("nodePort", None)
    e.items("services").append(service)
    names = {p["spec"]["nodeName"] for p in e.traefik_pods}
    idle = next(n for n in e.items("nodes") if n["metadata"]["name"] not in names)
    ident = idle["spec"]["providerID"].rpartition("/")[2]
    e.health().append(
        {
            "Target": {"Id": ident, "Port": 443},
            "TargetHealth": {"State": "unhealthy", "Reason": "Target.FailedHealthChecks"},
        }
    )
    e.only_pods()
    report = replay(e.snapshot())
    found = [(f.code, f.severity.value) for step in report.steps for f in step.findings]
    assert found == [("TGT022", "info")]
    assert report.verdict.value == "healthy"


def test_instances_that_are_terminated_are_the_groups_fault() -> None:
    """Field report f25: every registered instance is gone."""
    e = Edit()
    for number, described in enumerate(e.health()):
        described["Target"]["Id"] = f"i-0dead{number}"
        described["TargetHealth"] = {"State": "unused", "Reason": "Target.InvalidState"}
    e.time_out()
    e.no_other_scheme()
    e.only_pods()
    assert roots(replay(e.snapshot())) == [("TGT012", GROUP)]


def balancer(e: Edit) -> dict[str, Any]:
    e.lb["Type"] = "application"
    return e.lb


def test_a_check_that_never_connects_asks_no_wrong_path() -> None:
    """Field report f23: an ALB's HTTP check times out, since the nodes' group is closed."""
    e = Edit()
    alb(e)
    e.group("myapp-web").update(
        HealthCheckProtocol="HTTP", HealthCheckPath="/", Matcher={"HttpCode": "200-404"}
    )
    for described in e.health("myapp-web"):
        described["TargetHealth"] = {"State": "unhealthy", "Reason": "Target.Timeout"}
    nodes = e.aws["instances"]["value"][0]["SecurityGroups"][0]["GroupId"]
    group = next(g for g in e.aws["security_groups"]["value"] if g["GroupId"] == nodes)
    group["IpPermissions"] = []
    e.answer(504, "", hops=("client",), server="awselb/2.0")
    e.no_other_scheme()
    e.only_pods()
    assert roots(replay(e.snapshot())) == [("TGT007", nodes)]


def test_nodes_that_admit_another_group_than_the_load_balancers() -> None:
    """Field report f26."""
    e = Edit()
    nodes = e.aws["instances"]["value"][0]["SecurityGroups"][0]["GroupId"]
    group = next(g for g in e.aws["security_groups"]["value"] if g["GroupId"] == nodes)
    group["IpPermissions"] = [
        {"IpProtocol": "tcp", "FromPort": 30000, "ToPort": 30001, "IpRanges": [],
         "UserIdGroupPairs": [{"GroupId": "sg-0another"}]}
    ]  # fmt: skip
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    e.time_out()
    e.no_other_scheme()
    e.only_pods()
    assert roots(replay(e.snapshot())) == [("TGT007", nodes)]
    group["IpPermissions"][0]["UserIdGroupPairs"] = [{"GroupId": e.lb["SecurityGroups"][0]}]
    assert "TGT007" not in {f.code for s in replay(e.snapshot()).steps for f in s.findings}


def test_a_listener_that_redirects_to_where_no_listener_is() -> None:
    """Field report f28: one cause, the listener that lacks."""
    e = Edit()
    e.only_http()
    balancer(e)
    e.listener(80).update(
        Protocol="HTTP",
        DefaultActions=[{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}],
    )
    listeners = next(iter(e.aws["listeners"].values()))["value"]
    listeners.remove(e.listener(443))
    e.aws["rules"] = {
        e.listener(80)["ListenerArn"]: collected(
            [{"Priority": "default", "IsDefault": True, "Conditions": [],
              "Actions": e.listener(80)["DefaultActions"]}]
        )
    }  # fmt: skip
    for probe in e.probes("client"):
        first = probe["exchanges"][-1]
        first |= {"status": 301, "headers": [["server", "awselb/2.0"]], "body": ""}
        second = copy.deepcopy(first)
        second |= {
            "url": "https://myapp.example.com/", "port": 443, "status": None, "headers": [],
            "error": "refused", "error_text": "refused", "error_phase": "connect",
        }  # fmt: skip
        probe["exchanges"] = [first, second]
        probe["redirected_to"] = None
    e.only_pods()
    assert roots(replay(e.snapshot())) == [("TGT002", "myapp-nlb:443")]


def alb(e: Edit) -> None:
    """An ALB ends TLS and sends plain HTTP to the entryPoint web."""
    balancer(e)
    ends_tls(e)
    e.listener()["Protocol"] = "HTTPS"
    e.forward(e.listener(), "myapp-web")
    e.group("myapp-web")["Protocol"] = "HTTP"


@pytest.mark.parametrize("by_address", [False, True])
def test_a_redirect_that_traefik_breaks_with_418(by_address: bool) -> None:
    """Field report f24: the entryPoint redirects and trusts X-Forwarded-Proto."""
    e = Edit()
    alb(e)
    if by_address:
        targets(e, 8080, *pod_ips(e), group="myapp-web")
    e.arguments(
        "--entryPoints.web.http.redirections.entryPoint.to=websecure",
        "--entryPoints.web.forwardedHeaders.insecure=true",
    )
    e.answer(418, hops=("client",))
    e.probes("client")[0]["exchanges"][-1]["headers"] = []  # the real Traefik writes nothing else
    e.no_other_scheme()
    e.only_pods()
    assert roots(replay(e.snapshot())) == [("SVC040", "traefik")]


def test_the_port_of_ping_is_named_where_it_is_known() -> None:
    """Field report f27: an ALB's check asks /ping of ip targets on the entryPoint web."""
    e = Edit()
    alb(e)
    targets(e, 8080, *pod_ips(e), group="myapp-web")
    e.group("myapp-web").update(HealthCheckProtocol="HTTP", HealthCheckPath="/ping")
    for described in e.health("myapp-web"):
        described["TargetHealth"] = {
            "State": "unhealthy",
            "Reason": "Target.ResponseCodeMismatch",
            "Description": "Health checks failed with these codes: [404]",
        }
    e.only_pods()
    (finding,) = replay(e.snapshot()).root_causes
    assert (finding.code, finding.object.name) == ("TGT016", "myapp-web")
    assert "port 9000" in finding.fix
    assert "TCP" not in finding.fix
    assert "nodePort" not in finding.fix
