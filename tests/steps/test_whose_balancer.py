"""Whose load balancer the record leads to: told by ports and status, never by nodes alone."""

import copy
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from tests.steps.edits import Edit, collected

HOST = "DNSRecord myapp.example.com"
GROUP = "TargetGroup myapp-websecure"
NEW = "k8s-apigatew-traefik-5b1c0e7d42"
NAME = f"{NEW}-1c2d3e4f5a6b7c8d.elb.ap-northeast-2.amazonaws.com"
NGINX = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<center>nginx</center>\r\n"


def roots(e: Edit) -> list[tuple[str, str]]:
    return [(f.code, str(f.object)) for f in replay(e.snapshot()).root_causes]


def loud(e: Edit) -> set[str]:
    """The objects of which anything above an information is said."""
    steps = replay(e.snapshot()).steps
    return {str(f.object) for step in steps for f in step.findings if f.severity != "info"}


def another(e: Edit, *, port: int = 30001, named: bool = True, **more: Any) -> None:
    """A second load balancer, whose targets are the same nodes on `port`."""
    other = copy.deepcopy(e.lb)
    other |= {"LoadBalancerName": NEW, "DNSName": NAME, "LoadBalancerArn": "arn:new", **more}
    e.aws["load_balancers"]["value"].append(other)
    group = copy.deepcopy(e.group())
    group |= {"TargetGroupName": "new-443", "TargetGroupArn": "arn:new-tg", "Port": port}
    e.aws["target_groups"]["value"].append(group)
    e.aws["target_health"]["arn:new-tg"] = collected(copy.deepcopy(e.health()))
    for described in e.health("new-443"):
        described["Target"]["Port"] = port
        described["TargetHealth"] = {"State": "healthy"}
    listener = copy.deepcopy(e.listener())
    listener |= {"LoadBalancerArn": "arn:new", "ListenerArn": "arn:new-443"}
    e.forward(listener, "new-443")
    e.aws["listeners"]["arn:new"] = collected([listener])
    e.dns["names"][NAME] = collected(["127.230.240.40", "127.230.240.41"])
    if named:
        e.traefik_service["spec"]["type"] = "LoadBalancer"
        e.traefik_service["status"] = {"loadBalancer": {"ingress": [{"hostname": NAME}]}}


def on_ports(e: Edit, port: int, state: str = "unhealthy") -> None:
    """Both groups of the recorded load balancer hold its nodes on another port."""
    for name in ("myapp-websecure", "myapp-web"):
        for described in e.health(name):
            described["Target"]["Port"] = port
            described["TargetHealth"] = {"State": state}


def former() -> Edit:
    """The Service was made anew; the record names its former load balancer."""
    e = Edit()
    on_ports(e, 32222)
    another(e)
    e.fail("refused", "connection refused")
    e.no_other_scheme()
    return e


def other_controller() -> Edit:
    """The record names the load balancer of ingress-nginx, which answers its own 404."""
    e = Edit()
    on_ports(e, 31080, "healthy")
    another(e)
    e.add("services", "Service", "ingress-nginx-controller", {
        "type": "NodePort", "selector": {"app": "nginx"},
        "ports": [{"name": "https", "port": 443, "targetPort": 443, "nodePort": 31080}],
    }, ns="ingress-nginx")  # fmt: skip
    e.answer(404, NGINX, hops=("client",), server="nginx", content_type="text/html")
    e.no_other_scheme()
    return e


def other_class() -> Edit:
    """The record names the load balancer of another Traefik, which reads another class."""
    e = Edit()
    on_ports(e, 32443, "healthy")
    another(e)
    service = copy.deepcopy(e.traefik_service)
    service["metadata"] |= {"name": "traefik-internal", "namespace": "internal", "uid": "u-2"}
    service["metadata"]["labels"] = {"app.kubernetes.io/instance": "internal"}
    service["spec"] |= {"type": "NodePort", "selector": {"own": "internal"}}
    service["status"] = {}
    for port in service["spec"]["ports"]:
        port["nodePort"] = 32443 if port["name"] == "websecure" else port["nodePort"] + 1000
    e.items("services").append(service)
    pod = copy.deepcopy(e.traefik_pods[0])
    pod["metadata"] |= {"name": "traefik-internal-0", "namespace": "internal"}
    pod["metadata"] |= {"labels": {"own": "internal"}, "ownerReferences": []}
    pod["spec"]["containers"][0]["args"].append("--providers.kubernetesingress.ingressclass=other")
    pod["status"] |= {"podIP": "127.230.240.77", "podIPs": [{"ip": "127.230.240.77"}]}
    e.lists["pods@internal"] = collected([pod])
    e.traefik_404(default_certificate=True)
    e.no_other_scheme()
    e.only_pods()
    return e


def without_status() -> Edit:
    """No Service names a load balancer: the targets of the other one lead to Traefik's pods."""
    e = former()
    e.traefik_service["spec"]["type"] = "NodePort"
    e.traefik_service["status"] = {}
    e.group("new-443")["TargetType"] = "ip"
    e.health("new-443")[:] = [
        {"Target": {"Id": p["status"]["podIP"], "Port": 8443}, "TargetHealth": {"State": "healthy"}}
        for p in e.traefik_pods
    ]
    return e


ASTRAY = [former, other_controller, other_class, without_status]


@pytest.mark.parametrize("state", ASTRAY, ids=lambda one: one.__name__)
def test_the_record_is_at_fault(state: Any) -> None:
    e = state()
    assert roots(e) == [("DNS006", HOST)]
    (cause,) = replay(e.snapshot()).root_causes
    assert cause.step == "dns"
    assert NAME in cause.fix
    assert loud(e) <= {HOST, "Host myapp.example.com"}


@pytest.mark.parametrize("state", ASTRAY, ids=lambda one: one.__name__)
def test_the_record_mended(state: Any) -> None:
    e, well = state(), Edit()
    for answer in e.dns["answers"]:
        answer["value"]["chain"][0]["target"] = NAME
    e.dns["names"][NAME] = collected(["127.230.240.30", "127.230.240.31"])
    e.http |= {"requests": well.http["requests"], "hops": []}
    assert loud(e) == set()


def test_an_internal_load_balancer_of_its_own_is_not_offered_for_a_public_one() -> None:
    e = former()
    for one in e.aws["load_balancers"]["value"]:
        one["Scheme"] = "internal" if one["LoadBalancerName"] == NEW else "internet-facing"
    assert roots(e) == [("TGT014", GROUP)]


def test_a_load_balancer_whose_targets_were_not_read_may_lead_here() -> None:
    e = former()
    e.aws["target_health"][e.group()["TargetGroupArn"]] = {"value": None, "why": "denied"}
    assert ("DNS006", HOST) not in roots(e)


def test_a_load_balancer_that_serves_is_right_whatever_its_targets() -> None:
    e = Edit()
    on_ports(e, 32222, "healthy")
    another(e)
    assert "DNSRecord myapp.example.com" not in loud(e)


def of_strangers(e: Edit, *idents: str) -> None:
    for name in ("myapp-websecure", "myapp-web"):
        e.health(name)[:] = [
            {"Target": {"Id": one, "Port": 443}, "TargetHealth": {"State": "healthy"}}
            for one in idents
        ]


def test_proxies_in_front_of_the_cluster_pass_on_what_its_application_says() -> None:
    e = Edit()
    of_strangers(e, "i-0aaaabbbbcccc0001")
    another(e)
    e.answer(500, "panic: no database\n")
    assert HOST not in loud(e)


def test_an_application_load_balancer_behind_a_network_one_is_the_way_to_it() -> None:
    e = Edit()
    of_strangers(e, "arn:new")
    another(e)
    e.fail("refused", "connection refused")
    assert HOST not in loud(e)


def test_a_drifted_group_without_another_load_balancer_is_the_groups_fault() -> None:
    e = Edit()
    on_ports(e, 32222)
    e.fail("refused", "connection refused")
    e.no_other_scheme()
    assert roots(e) == [("TGT014", GROUP)]


def test_a_port_of_another_service_is_left_to_it() -> None:
    e = other_controller()
    e.aws["load_balancers"]["value"].pop()
    (cause,) = [f for f in replay(e.snapshot()).root_causes if f.code == "TGT014"]
    assert "Service ingress-nginx/ingress-nginx-controller" in cause.message
    assert "give the Service" not in cause.fix


# --- past the load balancer


def directly(*addresses: str) -> Edit:
    e = Edit()
    for answer in e.dns["answers"]:
        answer["value"]["chain"] = []
        if answer["value"]["addresses"]:
            answer["value"]["addresses"] = list(addresses)
    for probe, address in zip(e.probes("client"), addresses, strict=False):
        probe["address"] = probe["member"] = address
    e.fail("refused", "connection refused")
    e.no_other_scheme()
    return e


def test_a_record_of_nodes_where_nothing_takes_the_port() -> None:
    e = directly("127.230.240.10", "127.230.240.11")
    assert roots(e) == [("DNS005", HOST)]


def test_a_record_of_traefiks_pods() -> None:
    e = directly(*(pod["status"]["podIP"] for pod in Edit().traefik_pods))
    assert roots(e) == [("DNS005", HOST)]


def test_a_record_of_nodes_whose_pods_open_the_port_is_meant() -> None:
    e = directly("127.230.240.10", "127.230.240.11")
    for pod in e.traefik_pods:
        for port in pod["spec"]["containers"][0]["ports"]:
            if port["name"] == "websecure":
                port["hostPort"] = 443
    assert ("DNS005", HOST) not in roots(e)


# --- what one resolver lacks


def second_resolver(rcode: str, families: tuple[str, ...] = ("A", "AAAA")) -> Edit:
    e = Edit()
    for answer in copy.deepcopy(e.dns["answers"]):
        if answer["value"]["rrtype"] in families:
            answer["value"] |= {"resolver": "127.230.240.4:53", "rcode": rcode}
            answer["value"] |= {"addresses": [], "chain": []}
            answer["source"] = f"{answer['value']['rrtype']} @127.230.240.4:53"
            e.dns["answers"].append(answer)
    return e


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
def test_one_resolver_lacks_the_name(rcode: str) -> None:
    e = second_resolver(rcode)
    report = replay(e.snapshot())
    assert (report.verdict, roots(e)) == ("degraded", [("DNS007", HOST)])
    (cause,) = report.root_causes
    assert cause.share == 0.5
    assert "127.230.240.4:53" in cause.message


def test_outside_its_network_nobody_need_know_an_internal_load_balancer() -> None:
    e = second_resolver("NXDOMAIN")
    e.lb["Scheme"] = "internal"
    assert replay(e.snapshot()).verdict == "healthy"
    assert loud(e) == set()


def test_no_data_of_one_family_alone_says_nothing_of_the_other() -> None:
    assert loud(second_resolver("NOERROR", ("AAAA",))) == set()


def test_a_resolver_that_cannot_say_is_no_resolver_that_lacks_it() -> None:
    assert roots(second_resolver("SERVFAIL")) == []
