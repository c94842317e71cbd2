"""What AWS's documentation says, held against the lab's AWS and the judges alike.

docs/aws-facts.md has each fact with its source; that every row names a test is tested here too.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from hopcheck.behaviour.aws.loadbalancer import admits, chosen_rule
from hopcheck.lab.cloud import (
    Action,
    Cloud,
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Target,
    TargetGroup,
    Zone,
    admit,
    forward,
    instance,
    model,
    security_group,
)
from hopcheck.lab.cloud.application import Request, choose_action
from hopcheck.lab.cloud.health import Record, matches
from hopcheck.model.aws import ListenerRule
from tests.lab.test_cloud import (
    NODE_A,
    NODE_C,
    ZONE_A,
    ZONE_C,
    A,
    Boto,
    C,
    answered_by,
    ask,
    in_loop,
    network,
    nodes,
    running,
)
from tests.lab.test_cloud import pytestmark as pytestmark
from tests.objects import made

ROOT = Path(__file__).parents[2]
FACTS = ROOT / "docs" / "aws-facts.md"
GUIDES = "https://docs.aws.amazon.com/"


# --- the table itself


def rows() -> list[list[str]]:
    lines = [line for line in FACTS.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] not in ("fact", "---")]


def test_every_fact_has_its_source_its_place_and_its_test() -> None:
    assert len(rows()) > 40
    for fact, source, place, test in rows():
        assert f"]({GUIDES}" in source, fact
        for path in re.findall(r"`((?:lab|behaviour|steps|scene)/[\w/]+\.py)`", place):
            assert (ROOT / "hopcheck" / path).exists(), (fact, path)
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", test)
        assert named or test.startswith("not modelled"), fact
        for file, name in named:
            found = [path.read_text("utf-8") for path in ROOT.glob(f"tests/*/{file}")]
            assert any(f"def {name}(" in text for text in found), (fact, name)


# --- health checks: settings


def application(port: int, **more: Any) -> tuple[LoadBalancer, TargetGroup]:
    group = TargetGroup("tg-80", "HTTP", port, targets=[Target(A, port), Target(C, port)], **more)
    zones = [Zone("ap-northeast-2a", ZONE_A), Zone("ap-northeast-2c", ZONE_C)]
    balancer = LoadBalancer("myapp", zones, type="application")
    balancer.listeners = [Listener(443, "HTTP", forward("tg-80"))]
    return balancer, group


NLB = TargetGroup("nlb", "TCP", 80)
TO_ALB = TargetGroup("to-alb", "TCP", 80, "alb")
TO_PODS = TargetGroup("pods", "TCP", 80, "ip")
TO_PODS_TLS = TargetGroup("pods-tls", "TLS", 443, "ip")
TO_PODS_UDP = TargetGroup("pods-udp", "UDP", 53, "ip")
ALB = TargetGroup("alb", "HTTP", 80)


@in_loop
async def test_health_checks_by_default() -> None:
    async with running(NLB, TO_ALB, ALB) as cloud:
        groups = (await Boto(cloud).elb("target_groups"))["TargetGroups"]
    shown = {
        group["TargetGroupName"]: (
            group["HealthCheckProtocol"],
            group["HealthCheckPort"],
            group["HealthCheckTimeoutSeconds"],
            group.get("HealthCheckPath"),
            group.get("Matcher", {}).get("HttpCode"),
        )
        for group in groups
    }
    assert shown == {
        "nlb": ("TCP", "traffic-port", 10, None, None),
        "to-alb": ("HTTP", "traffic-port", 6, "/", "200-399"),
        "alb": ("HTTP", "traffic-port", 5, "/", "200"),
    }
    for group in groups:
        assert group["HealthCheckIntervalSeconds"] == 30
        assert group["HealthyThresholdCount"] == 5
        assert group["UnhealthyThresholdCount"] == 2


@pytest.mark.parametrize(
    ("matcher", "good", "bad"),
    [
        ("200", [200], [201, 302, 404]),
        ("200-399", [200, 301, 399], [404, 500]),
        ("200,202", [200, 202], [201]),
        ("200-299,404", [204, 404], [403]),
    ],
)
def test_lab_and_judge_read_a_matcher_alike(matcher: str, good: list[int], bad: list[int]) -> None:
    for status in good:
        assert matches(matcher, status)
        assert admits(matcher, str(status))
    for status in bad:
        assert not matches(matcher, status)
        assert not admits(matcher, str(status))


def test_the_first_check_that_passes_is_enough_for_a_new_target() -> None:
    record = Record()
    record.note(model.HEALTHY)
    assert record.state == model.HEALTHY
    record.note(model.FAILED)
    assert record.state == model.HEALTHY
    record.note(model.FAILED)
    assert record.state == model.FAILED
    record.note(model.HEALTHY)
    assert record.state == model.FAILED  # one that was unhealthy must pass in a row


@in_loop
async def test_whom_the_host_header_of_a_check_names() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port, check=HealthCheck("HTTP"))
        async with running(balancer, group):
            assert f"\r\nHost: {ZONE_A}:443\r\n".encode() in first.received[0]
        first.received.clear()
        async with running(*application(first.port)):
            assert f"\r\nHost: {NODE_A}:{first.port}\r\n".encode() in first.received[0]


@in_loop
async def test_an_nlbs_https_check_fails_where_tls_1_3_alone_is_spoken() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("node.test").configure_cert(context)
    async with nodes(context) as (first, _):
        check = HealthCheck("HTTPS")
        balancer, group = network(first.port, check=check)
        async with running(balancer, group) as cloud:
            assert cloud.health.state(group, group.targets[0]) == model.HEALTHY
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            await cloud.settle()
            assert cloud.health.state(group, group.targets[0]) == model.FAILED
        balancer, group = application(first.port, check=check)
        group.protocol = "HTTPS"
        async with running(balancer, group) as cloud:
            assert cloud.health.state(group, group.targets[0]) == model.HEALTHY


# --- attributes


@in_loop
async def test_attributes_by_default() -> None:
    network_balancer, _ = network(80)
    web, _ = application(80)
    web.name = "web"
    groups = (NLB, TO_ALB, TO_PODS, TO_PODS_TLS, TO_PODS_UDP, ALB)
    async with running(network_balancer, web, *groups) as cloud:
        boto = Boto(cloud)
        own: dict[str, dict[str, str]] = {}
        for group in (await boto.elb("target_groups"))["TargetGroups"]:
            arn = group["TargetGroupArn"]
            told = await boto.elb("target_group_attributes", TargetGroupArn=arn)
            own[group["TargetGroupName"]] = {a["Key"]: a["Value"] for a in told["Attributes"]}
        balancers: dict[str, dict[str, str]] = {}
        for one in (await boto.elb("load_balancers"))["LoadBalancers"]:
            arn = one["LoadBalancerArn"]
            told = await boto.elb("load_balancer_attributes", LoadBalancerArn=arn)
            balancers[one["Type"]] = {a["Key"]: a["Value"] for a in told["Attributes"]}
            if one["Type"] == "network":
                [listener] = (await boto.elb("listeners", LoadBalancerArn=arn))["Listeners"]
                told = await boto.elb("listener_attributes", ListenerArn=listener["ListenerArn"])
                assert told["Attributes"] == [{"Key": "tcp.idle_timeout.seconds", "Value": "350"}]
    kept = {name: each.get("preserve_client_ip.enabled") for name, each in own.items()}
    assert kept == {
        "nlb": "true", "to-alb": "true", "pods-udp": "true",
        "pods": "false", "pods-tls": "false", "alb": None,
    }  # fmt: skip
    for each in own.values():
        assert each["deregistration_delay.timeout_seconds"] == "300"
        assert each["stickiness.enabled"] == "false"
        assert each["load_balancing.cross_zone.enabled"] == "use_load_balancer_configuration"
    assert own["nlb"]["proxy_protocol_v2.enabled"] == "false"
    assert own["nlb"]["target_health_state.unhealthy.connection_termination.enabled"] == "true"
    assert own["alb"]["slow_start.duration_seconds"] == "0"
    assert own["alb"]["load_balancing.algorithm.type"] == "round_robin"
    assert balancers["network"]["load_balancing.cross_zone.enabled"] == "false"
    assert balancers["application"]["load_balancing.cross_zone.enabled"] == "true"
    assert balancers["application"]["idle_timeout.timeout_seconds"] == "60"
    assert balancers["application"]["routing.http2.enabled"] == "true"


# --- security groups: whose, for which kind of target

CLIENT, NODES_OF_LB = "203.0.113.7", f"{ZONE_A}/32"


def guarded(
    target_type: str, rule: dict[str, Any], *, with_groups: bool, **attributes: str
) -> tuple[Cloud, TargetGroup, Target]:
    """A target whose group has this one rule, behind an NLB with or without groups."""
    target = Target(A if target_type == "instance" else NODE_A, 31443, "ap-northeast-2a")
    group = TargetGroup("tg-443", "TCP", 31443, targets=[target])
    group.target_type = "instance" if target_type == "instance" else "ip"
    group.attributes |= {name.replace("__", "."): value for name, value in attributes.items()}
    balancer, _ = network(31443)
    balancer.zones = balancer.zones[:1]
    cloud = Cloud()
    cloud.enforce_security_groups = True
    cloud.add(balancer, group)
    cloud.instances = [instance(A, "ap-northeast-2a", NODE_A, security_groups=["sg-nodes"])]
    cloud.security_groups = [security_group("sg-nodes", "nodes", [rule])]
    if with_groups:
        balancer.security_groups = ["sg-lb"]
        cloud.security_groups.append(
            security_group("sg-lb", "lb", [admit(443, cidrs=["0.0.0.0/0"])])
        )
    return cloud, group, target


OF_CLIENT, OF_LB = admit(31443, cidrs=[f"{CLIENT}/32"]), admit(31443, cidrs=[NODES_OF_LB])
OF_GROUP = admit(31443, groups=["sg-lb"])
KEPT = {"preserve_client_ip__enabled": "true"}
NOT_KEPT = {"preserve_client_ip__enabled": "false"}


@pytest.mark.parametrize(
    ("target_type", "attributes", "with_groups", "rule", "traffic", "check"),
    [
        # Kept: traffic comes from the client, a check from the load balancer's own address.
        ("instance", {}, False, OF_CLIENT, True, False),
        ("instance", {}, False, OF_LB, False, True),
        # Not kept: both come from the load balancer.
        ("instance", NOT_KEPT, False, OF_LB, True, True),
        ("instance", NOT_KEPT, False, OF_CLIENT, False, False),
        ("ip", {}, False, OF_LB, True, True),
        ("ip", {}, False, OF_CLIENT, False, False),
        ("ip", KEPT, False, OF_CLIENT, True, False),
        # The load balancer's group stands for it, kept or not.
        ("instance", {}, True, OF_GROUP, True, True),
        ("ip", {}, True, OF_GROUP, True, True),
        # An NLB that has no groups is none of their members.
        ("instance", {}, False, OF_GROUP, False, False),
    ],
)
def test_whose_address_the_targets_group_must_admit(
    target_type: str,
    attributes: dict[str, str],
    with_groups: bool,
    rule: dict[str, Any],
    traffic: bool,
    check: bool,
) -> None:
    cloud, group, target = guarded(target_type, rule, with_groups=with_groups, **attributes)
    assert cloud.target_admits(group, target, 31443, CLIENT) is traffic
    assert cloud.target_admits(group, target, 31443, None) is check


def test_the_group_of_the_interface_that_has_the_address() -> None:
    cloud, group, target = guarded("ip", OF_LB, with_groups=False)
    cloud.security_groups.append(security_group("sg-pod", "pod", []))
    assert cloud.target_admits(group, target, 31443, None)
    cloud.network_interfaces = [
        {
            "PrivateIpAddresses": [{"PrivateIpAddress": NODE_A}],
            "Groups": [{"GroupId": "sg-pod", "GroupName": "pod"}],
        }
    ]
    assert not cloud.target_admits(group, target, 31443, None)


def test_checks_are_subject_to_outbound_rules() -> None:
    cloud, group, target = guarded("instance", OF_GROUP, with_groups=True)
    cloud.security_groups[1]["IpPermissionsEgress"] = [admit(443)]
    assert not cloud.target_admits(group, target, 31443, None)
    cloud.security_groups[1]["IpPermissionsEgress"] = [admit((30000, 32767))]
    assert cloud.target_admits(group, target, 31443, None)


def test_everybody_reaches_an_nlb_without_groups() -> None:
    cloud, _, _ = guarded("instance", OF_LB, with_groups=False)
    balancer = cloud.load_balancers["myapp"]
    cloud.client_address = CLIENT
    assert cloud.balancer_admits(balancer, 443)
    balancer.security_groups = ["sg-lb"]
    cloud.security_groups.append(security_group("sg-lb", "lb", [admit(443, cidrs=["10.0.0.0/8"])]))
    assert not cloud.balancer_admits(balancer, 443)


# --- an ALB's traffic


@in_loop
async def test_an_alb_crosses_zones_and_fails_open() -> None:
    async with nodes() as (first, _):
        balancer, group = application(first.port)
        async with running(balancer, group) as cloud:
            assert await answered_by(cloud, ZONE_A) == {NODE_A, NODE_C}
            group.targets[0].forced = model.TIMED_OUT
            assert await answered_by(cloud, ZONE_A) == {NODE_C}
            group.targets[1].forced = model.code_mismatch(404)
            assert await answered_by(cloud, ZONE_A) == {NODE_A, NODE_C}
            # Its name keeps every zone: only an NLB's leaves some out.
            assert cloud.addresses("myapp") == (ZONE_A, ZONE_C)
            group.attributes["load_balancing.cross_zone.enabled"] = "false"
            assert await answered_by(cloud, ZONE_A) == {NODE_A}


@in_loop
async def test_an_albs_own_answers() -> None:
    async with nodes() as (first, _):
        balancer, group = application(first.port)
        async with running(balancer, group) as cloud:
            group.protocol = "HTTPS"  # the target waits for plain HTTP: no handshake comes about
            cloud.connect_timeout = 0.2
            assert (await ask(cloud)).startswith("HTTP/1.1 502 ")
            group.targets.clear()
            assert (await ask(cloud)).startswith("HTTP/1.1 503 ")


@in_loop
async def test_an_albs_http_listener_answers_a_tls_hello_in_plain_text() -> None:
    async with nodes() as (first, _):
        balancer, group = application(first.port)
        async with running(balancer, group) as cloud, asyncio.timeout(5):
            port = cloud.bound_port(balancer, ZONE_A, 443)
            reader, writer = await asyncio.open_connection(ZONE_A, port)
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            assert (await reader.read(12)) == b"HTTP/1.1 400"
            writer.close()


def rule(number: int, **conditions: list[str]) -> tuple[Rule, ListenerRule]:
    """The same rule as the lab has it and as the API tells it."""
    told = [
        {"Field": field, config: {"Values": conditions[key]}}
        for key, field, config in (
            ("hosts", "host-header", "HostHeaderConfig"),
            ("paths", "path-pattern", "PathPatternConfig"),
        )
        if key in conditions
    ]
    shown = made(ListenerRule, RuleArn=str(number), Priority=str(number), Conditions=told)
    return Rule(number, forward(str(number)), **conditions), shown


RULES = [
    rule(100, hosts=["*.example.com"]),
    rule(20, hosts=["API.example.com", "v?.example.com"], paths=["/v1/*"]),
    rule(9, paths=["/Admin", "/a[b]c"]),
]


@pytest.mark.parametrize(
    ("host", "url", "chosen"),
    [
        ("api.EXAMPLE.com", "/v1/users", "20"),  # hosts know no case; the lowest number first
        ("v2.example.com", "/v1/", "20"),  # ? is one character
        ("v22.example.com", "/v1/", "100"),
        ("api.example.com", "/V1/users", "100"),  # paths know case
        ("api.example.com", "/v1", "100"),  # * is any, the slash is not
        ("other.test", "/Admin?x=1", "9"),  # the query is no part of the path
        ("other.test", "/admin", None),
        ("other.test", "/a[b]c", "9"),  # brackets are themselves
        ("other.test", "/abc", None),
        ("example.com", "/", None),
    ],
)
def test_lab_and_judge_choose_the_same_rule(host: str, url: str, chosen: str | None) -> None:
    default = Action(targets=[("default", 1)])
    listener = Listener(80, "HTTP", default, [own for own, _ in RULES])
    asked = Request("GET", url, "HTTP/1.1", (("Host", host),))
    assert choose_action(listener, asked).targets[0][0] == (chosen or "default")
    last = made(ListenerRule, RuleArn="default", Priority="default", IsDefault=True)
    found = chosen_rule([last, *(shown for _, shown in RULES)], host, url)
    assert found is not None
    assert found.rule_arn == (chosen or "default")
