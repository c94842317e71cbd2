"""The lab's AWS: real connections through its load balancers, real boto3 on its APIs."""

from __future__ import annotations

import asyncio
import functools
import random
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree

import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import Shape

from hopcheck.lab.cloud import (
    Action,
    Certificate,
    Cloud,
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Target,
    TargetGroup,
    Zone,
    admit,
    fixed_response,
    forward,
    instance,
    model,
    redirect,
    security_group,
)
from hopcheck.lab.cloud.health import matches
from hopcheck.lab.cloud.proxy_protocol import SIGNATURE

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses"),
]

BLOCK = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}"
ZONE_A, ZONE_C = f"{BLOCK}.11", f"{BLOCK}.12"
NODE_A, NODE_C = f"{BLOCK}.21", f"{BLOCK}.22"
INSTANCES = {"i-0aaaaaaaaaaaaaaaa": NODE_A, "i-0cccccccccccccccc": NODE_C}
A, C = INSTANCES

Scenario = Callable[[], Awaitable[None]]


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Node:
    """An HTTP server that names itself, at one address; what it was sent is kept."""

    def __init__(self, address: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self.address, self.port, self.context = address, port, context
        self.status = 200
        self.received: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(SIGNATURE[:4]):
                rest = await reader.readexactly(12)
                length = struct.unpack("!H", rest[-2:])[0]
                head += rest + await reader.readexactly(length)
                head += await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        self.received.append(head)
        body = self.address.encode()
        writer.write(
            f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    async def start(self) -> None:
        self.server = await asyncio.start_server(
            self._serve, self.address, self.port, ssl=self.context
        )
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.close()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def nodes(*contexts: ssl.SSLContext) -> AsyncIterator[tuple[Node, Node]]:
    first = Node(NODE_A, 0, *contexts)
    await first.start()
    second = Node(NODE_C, first.port, *contexts)
    await second.start()
    yield first, second
    first.stop()
    second.stop()


def network(port: int, **group: Any) -> tuple[LoadBalancer, TargetGroup]:
    made = TargetGroup("tg-443", "TCP", port, targets=[Target(A, port), Target(C, port)], **group)
    zones = [Zone("ap-northeast-2a", ZONE_A), Zone("ap-northeast-2c", ZONE_C)]
    balancer = LoadBalancer("myapp", zones, listeners=[Listener(443, "TCP", forward("tg-443"))])
    return balancer, made


@asynccontextmanager
async def running(*items: LoadBalancer | TargetGroup) -> AsyncIterator[Cloud]:
    cloud = Cloud(INSTANCES.get, check_interval=60)
    cloud.instances = [
        instance(A, "ap-northeast-2a", NODE_A),
        instance(C, "ap-northeast-2c", NODE_C),
    ]
    cloud.add(*items)
    await cloud.start()
    try:
        await cloud.settle()
        yield cloud
    finally:
        await cloud.stop()


async def ask(
    cloud: Cloud,
    address: str = ZONE_A,
    port: int = 443,
    *,
    balancer: str = "myapp",
    head: str = "GET / HTTP/1.1\r\nHost: myapp.example.com\r\n",
    tls: ssl.SSLContext | None = None,
) -> str:
    real = cloud.bound_port(balancer, address, port)
    reader, writer = await asyncio.open_connection(
        address, real, ssl=tls, server_hostname="myapp.example.com" if tls else None
    )
    try:
        writer.write(f"{head}\r\n".encode())
        return (await reader.read()).decode()
    finally:
        writer.close()


async def answered_by(cloud: Cloud, address: str, times: int = 4) -> set[str]:
    return {(await ask(cloud, address)).rpartition("\r\n")[2] for _ in range(times)}


# --- boto3 -----------------------------------------------------------------------------------


def no_field_beyond(shape: Shape, element: ElementTree.Element, where: str) -> Iterator[str]:
    """The names of elements that botocore's output shape does not have."""
    if shape.type_name == "structure":
        members = {
            member.serialization.get("name", name): member for name, member in shape.members.items()
        }
        for child in element:
            name = child.tag.rpartition("}")[2]
            if name in members:
                yield from no_field_beyond(members[name], child, f"{where}.{name}")
            elif name not in {"ResponseMetadata", "requestId"}:
                yield f"{where}.{name}"
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        for child in element:
            if child.tag.rpartition("}")[2] != item:
                yield f"{where}.{child.tag}"
            yield from no_field_beyond(shape.member, child, f"{where}[]")


class Boto:
    """boto3 on the lab's endpoint; every answer is compared with botocore's model."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.unknown: list[str] = []

    def client(self, service: str, region: str = "ap-northeast-2") -> Any:
        made = boto3.client(
            service,
            endpoint_url=self.cloud.endpoint,
            region_name=region,
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register("before-parse", self._compare)
        return made

    def _compare(self, operation_model: Any, response_dict: Any, **_: Any) -> None:
        if response_dict["status_code"] != 200:
            return
        root = ElementTree.fromstring(response_dict["body"])  # the lab's own
        shape = operation_model.output_shape
        wrapper = shape.serialization.get("resultWrapper")
        if wrapper:
            namespace = root.tag.partition("}")[0] + "}"
            root = root.find(f"{namespace}{wrapper}")
        self.unknown += no_field_beyond(shape, root, operation_model.name)

    async def call(self, service: str, method: str, region: str = "ap-northeast-2", **asked: Any):
        def go() -> Any:
            result = getattr(self.client(service, region), method)(**asked)
            result.pop("ResponseMetadata")
            return result

        result = await asyncio.to_thread(go)
        assert self.unknown == []
        return result

    async def elb(self, method: str, **asked: Any) -> Any:
        return await self.call("elbv2", f"describe_{method}", **asked)

    async def failure(self, service: str, method: str, **asked: Any) -> tuple[int, str, str]:
        with pytest.raises(ClientError) as caught:
            await self.call(service, method, **asked)
        response = caught.value.response
        error = response["Error"]
        return response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]

    async def health(self, group: TargetGroup, **asked: Any) -> list[dict[str, Any]]:
        found = (await self.elb("target_groups", Names=[group.name]))["TargetGroups"][0]
        answer = await self.elb("target_health", TargetGroupArn=found["TargetGroupArn"], **asked)
        return answer["TargetHealthDescriptions"]

    async def states(self, group: TargetGroup) -> dict[str, dict[str, str]]:
        return {each["Target"]["Id"]: each["TargetHealth"] for each in await self.health(group)}


# --- the API ---------------------------------------------------------------------------------


@in_loop
async def test_api_describes_a_network_load_balancer_as_aws_does() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port)
        async with running(balancer, group) as cloud:
            boto = Boto(cloud)
            [seen] = (await boto.elb("load_balancers"))["LoadBalancers"]
            arn = seen["LoadBalancerArn"]
            base = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:"
            assert arn == f"{base}loadbalancer/net/myapp/{balancer.id}"
            created = seen.pop("CreatedTime")
            assert created.year == 2026
            assert seen == {
                "LoadBalancerArn": arn,
                "DNSName": f"myapp-{balancer.id}.elb.ap-northeast-2.amazonaws.com",
                "CanonicalHostedZoneId": "ZIBE1TIR4HY56",
                "LoadBalancerName": "myapp",
                "Scheme": "internet-facing",
                "VpcId": "vpc-0a1b2c3d4e5f67890",
                "State": {"Code": "active"},
                "Type": "network",
                "AvailabilityZones": [
                    {
                        "ZoneName": zone.name,
                        "SubnetId": zone.subnet(),
                        "LoadBalancerAddresses": [],
                    }
                    for zone in balancer.zones
                ],
                "IpAddressType": "ipv4",
            }
            [listener] = (await boto.elb("listeners", LoadBalancerArn=arn))["Listeners"]
            [shown] = (await boto.elb("target_groups", LoadBalancerArn=arn))["TargetGroups"]
            group_arn = shown["TargetGroupArn"]
            assert group_arn == f"{base}targetgroup/tg-443/{group.id}"
            assert listener == {
                "ListenerArn": listener["ListenerArn"],
                "LoadBalancerArn": arn,
                "Port": 443,
                "Protocol": "TCP",
                "DefaultActions": [
                    {
                        "Type": "forward",
                        "TargetGroupArn": group_arn,
                        "Order": 1,
                        "ForwardConfig": {
                            "TargetGroups": [{"TargetGroupArn": group_arn, "Weight": 1}]
                        },
                    }
                ],
            }
            assert listener["ListenerArn"].startswith(f"{base}listener/net/myapp/{balancer.id}/")
            assert shown == {
                "TargetGroupArn": group_arn,
                "TargetGroupName": "tg-443",
                "Protocol": "TCP",
                "Port": first.port,
                "VpcId": "vpc-0a1b2c3d4e5f67890",
                "HealthCheckProtocol": "TCP",
                "HealthCheckPort": "traffic-port",
                "HealthCheckEnabled": True,
                "HealthCheckIntervalSeconds": 30,
                "HealthCheckTimeoutSeconds": 10,
                "HealthyThresholdCount": 5,
                "UnhealthyThresholdCount": 2,
                "LoadBalancerArns": [arn],
                "TargetType": "instance",
                "IpAddressType": "ipv4",
            }
            assert await boto.health(group) == [
                {
                    "Target": {"Id": target, "Port": first.port},
                    "HealthCheckPort": str(first.port),
                    "TargetHealth": {"State": "healthy"},
                    "AdministrativeOverride": {
                        "State": "no_override",
                        "Reason": "AdministrativeOverride.NoOverride",
                        "Description": "No override is currently active on target",
                    },
                }
                for target in (A, C)
            ]
            attributes = await boto.elb("target_group_attributes", TargetGroupArn=group_arn)
            named = {entry["Key"]: entry["Value"] for entry in attributes["Attributes"]}
            assert named["proxy_protocol_v2.enabled"] == "false"
            assert named["preserve_client_ip.enabled"] == "true"
            attributes = await boto.elb("load_balancer_attributes", LoadBalancerArn=arn)
            named = {entry["Key"]: entry["Value"] for entry in attributes["Attributes"]}
            assert named["load_balancing.cross_zone.enabled"] == "false"
            assert await boto.call("sts", "get_caller_identity") == {
                "UserId": "AIDALABLABLABLABLABLA",
                "Account": "123456789012",
                "Arn": "arn:aws:iam::123456789012:user/oncall",
            }
            assert "elasticloadbalancing:DescribeTargetHealth" in cloud.requests
            elsewhere = await boto.call("elbv2", "describe_load_balancers", region="us-east-1")
            assert elsewhere["LoadBalancers"] == []


@in_loop
async def test_api_pages_and_filters() -> None:
    balancers = [LoadBalancer(f"lb-{number}", []) for number in range(5)]
    groups = [TargetGroup(f"tg-{number}", "TCP", 80) for number in range(3)]
    async with running(*balancers, *groups) as cloud:
        boto = Boto(cloud)
        first = await boto.elb("load_balancers", PageSize=3)
        assert [one["LoadBalancerName"] for one in first["LoadBalancers"]] == [
            "lb-0",
            "lb-1",
            "lb-2",
        ]
        second = await boto.elb("load_balancers", PageSize=3, Marker=first["NextMarker"])
        assert [one["LoadBalancerName"] for one in second["LoadBalancers"]] == ["lb-3", "lb-4"]
        assert "NextMarker" not in second
        arns = [one["LoadBalancerArn"] for one in second["LoadBalancers"]]
        again = await boto.elb("load_balancers", LoadBalancerArns=arns)
        assert again["LoadBalancers"] == second["LoadBalancers"]
        named = await boto.elb("target_groups", Names=["tg-2", "tg-0"])
        assert [one["TargetGroupName"] for one in named["TargetGroups"]] == ["tg-2", "tg-0"]
        assert named["TargetGroups"][0]["LoadBalancerArns"] == []
        absent = arns[0] + "0"
        for method, asked, code in [
            ("load_balancers", {"LoadBalancerArns": [absent]}, "LoadBalancerNotFound"),
            ("load_balancers", {"Names": ["nope"]}, "LoadBalancerNotFound"),
            ("listeners", {"LoadBalancerArn": absent}, "LoadBalancerNotFound"),
            ("rules", {"ListenerArn": absent}, "ListenerNotFound"),
            ("target_groups", {"TargetGroupArns": [absent]}, "TargetGroupNotFound"),
            ("target_health", {"TargetGroupArn": absent}, "TargetGroupNotFound"),
            ("load_balancers", {"LoadBalancerArns": [absent] * 21}, "ValidationError"),
        ]:
            assert (await boto.failure("elbv2", f"describe_{method}", **asked))[:2] == (400, code)


@in_loop
async def test_api_refuses_in_aws_words() -> None:
    async with running() as cloud:
        boto = Boto(cloud)
        cloud.denied = {
            "elasticloadbalancing:DescribeLoadBalancers",
            "ec2:DescribeNetworkInterfaces",
        }
        who = "User: arn:aws:iam::123456789012:user/oncall is not authorized to perform: "
        why = "because no identity-based policy allows the "
        right = "elasticloadbalancing:DescribeLoadBalancers"
        assert await boto.failure("elbv2", "describe_load_balancers") == (
            403,
            "AccessDenied",
            f"{who}{right} {why}{right} action",
        )
        right = "ec2:DescribeNetworkInterfaces"
        start = "You are not authorized to perform this operation. "
        assert await boto.failure("ec2", "describe_network_interfaces") == (
            403,
            "UnauthorizedOperation",
            f"{start}{who}{right} {why}{right} action",
        )
        cloud.denied = set()
        cloud.throttle = 1
        assert await boto.failure("elbv2", "describe_load_balancers") == (
            400,
            "Throttling",
            "Rate exceeded",
        )
        assert (await boto.elb("load_balancers"))["LoadBalancers"] == []
        cloud.throttle = 1
        refused = await boto.failure("ec2", "describe_instances")
        assert refused[:2] == (503, "RequestLimitExceeded")
        cloud.credentials = "expired"
        assert await boto.failure("sts", "get_caller_identity") == (
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        )
        assert (await boto.failure("ec2", "describe_instances"))[1] == "RequestExpired"
        cloud.credentials = "invalid"
        refused = await boto.failure("elbv2", "describe_target_groups")
        assert refused[:2] == (403, "InvalidClientTokenId")
        cloud.credentials = "valid"
        group = TargetGroup("tg", "TCP", 80)
        cloud.add(group)
        cloud.health_unavailable = {"tg"}
        [found] = (await boto.elb("target_groups"))["TargetGroups"]
        refused = await boto.failure(
            "elbv2", "describe_target_health", TargetGroupArn=found["TargetGroupArn"]
        )
        assert refused[:2] == (500, "HealthUnavailable")


@in_loop
async def test_ec2_answers_what_it_was_given() -> None:
    zones = [Zone("ap-northeast-2a", ZONE_A, allocation_id="eipalloc-1"), Zone("b", ZONE_C)]
    balancer = LoadBalancer("myapp", zones, security_groups=["sg-1"])
    async with running(balancer) as cloud:
        boto = Boto(cloud)
        cloud.security_groups = [
            security_group("sg-1", "nlb", [admit(443, cidrs=["0.0.0.0/0"])]),
            security_group("sg-2", "nodes", [admit((30000, 32767), groups=["sg-1"])]),
        ]
        asked = {"Filters": [{"Name": "group-name", "Values": ["nod*"]}]}
        found = await boto.call("ec2", "describe_security_groups", **asked)
        assert found["SecurityGroups"] == [cloud.security_groups[1]]
        found = await boto.call("ec2", "describe_instances", InstanceIds=[C])
        [shown] = found["Reservations"][0]["Instances"]
        assert shown.pop("LaunchTime").year == 2026
        expected = {key: cloud.instances[1][key] for key in shown}
        assert shown == expected
        assert set(cloud.instances[1]) - set(shown) == {"LaunchTime"}
        asked = {"Filters": [{"Name": "association.public-ip", "Values": [ZONE_A]}]}
        found = await boto.call("ec2", "describe_network_interfaces", **asked)
        [owned] = found["NetworkInterfaces"]
        assert owned["InterfaceType"] == "network_load_balancer"
        assert owned["Description"] == f"ELB net/myapp/{balancer.id}"
        assert owned["Association"]["AllocationId"] == "eipalloc-1"
        assert owned["Groups"] == [{"GroupId": "sg-1", "GroupName": "sg-1"}]
        [seen] = (await boto.elb("load_balancers"))["LoadBalancers"]
        assert seen["AvailabilityZones"][0]["LoadBalancerAddresses"] == [
            {"IpAddress": ZONE_A, "AllocationId": "eipalloc-1"}
        ]
        refused = await boto.failure("ec2", "describe_instances", InstanceIds=["i-0"])
        assert refused == (
            400,
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-0' does not exist",
        )
        refused = await boto.failure(
            "ec2", "describe_instances", Filters=[{"Name": "colour", "Values": ["red"]}]
        )
        assert refused == (400, "InvalidParameterValue", "The filter 'colour' is invalid")


# --- target health ---------------------------------------------------------------------------


@in_loop
async def test_target_states_by_their_reasons() -> None:
    async with nodes() as (first, second):
        balancer, group = network(first.port)
        idle = TargetGroup("tg-idle", "TCP", 80, targets=[Target(A, 80)])
        async with running(balancer, group, idle) as cloud:
            boto = Boto(cloud)
            assert await boto.states(idle) == {
                A: {
                    "State": "unused",
                    "Reason": "Target.NotInUse",
                    "Description": "Target group is not configured to receive traffic "
                    "from the load balancer",
                }
            }
            second.stop()
            await cloud.settle()
            failed = {
                "State": "unhealthy",
                "Reason": "Target.FailedHealthChecks",
                "Description": "Health checks failed",
            }
            assert await boto.states(group) == {A: {"State": "healthy"}, C: failed}

            cloud.instances[1]["State"] = {"Code": 80, "Name": "stopped"}
            stopped = (await boto.states(group))[C]
            assert stopped["State"] == "unused"
            assert stopped["Reason"] == "Target.InvalidState"
            assert stopped["Description"] == "Target is in the stopped state"
            cloud.instances[1]["State"] = {"Code": 16, "Name": "running"}

            cloud.instances[1]["Placement"]["AvailabilityZone"] = "ap-northeast-2d"
            assert (await boto.states(group))[C]["Reason"] == "Target.NotInUse"
            group.targets[0].draining = True
            assert (await boto.states(group))[A]["Reason"] == "Target.DeregistrationInProgress"
            group.targets[0].draining = False

            group.targets.append(Target(A, 1))
            [new] = await boto.health(group, Targets=[{"Id": A, "Port": 1}])
            assert new["TargetHealth"]["Reason"] == "Elb.RegistrationInProgress"
            await cloud.health.round()
            [new] = await boto.health(group, Targets=[{"Id": A, "Port": 1}])
            assert new["TargetHealth"]["Reason"] == "Elb.InitialHealthChecking"
            await cloud.health.round()
            [new] = await boto.health(group, Targets=[{"Id": A, "Port": 1}])
            assert new["TargetHealth"] == failed

            [other] = await boto.health(group, Targets=[{"Id": "i-0ffff"}])
            assert other["TargetHealth"]["Reason"] == "Target.NotRegistered"
            group.targets[0].forced = model.UNAVAILABLE
            assert (await boto.health(group))[0]["TargetHealth"]["Reason"] == "Elb.InternalError"
            balancer.shifted_zones = {"ap-northeast-2a"}
            shifted = (await boto.health(group))[0]["AdministrativeOverride"]
            assert shifted["State"] == "zonal_shift_active"


@in_loop
async def test_http_checks_tell_status_from_timeout_on_an_alb_only() -> None:
    async with nodes() as (first, second):
        first.status = 404
        check = HealthCheck("HTTP", path="/ping", matcher="200")
        balancer, group = network(first.port, check=check)
        group.protocol = "HTTP"
        balancer.type = "application"
        balancer.listeners[0].protocol = "HTTP"
        async with running(balancer, group) as cloud:
            states = await Boto(cloud).states(group)
            assert states[C] == {"State": "healthy"}
            assert states[A] == {
                "State": "unhealthy",
                "Reason": "Target.ResponseCodeMismatch",
                "Description": "Health checks failed with these codes: [404]",
            }
            assert first.received[0].startswith(b"GET /ping HTTP/1.1\r\nHost: " + NODE_A.encode())
            group.protocol = "TCP"
            await cloud.settle()
            assert cloud.health.state(group, group.targets[0]) == model.FAILED
            group.protocol = "HTTP"
            second.stop()
            silent = await asyncio.start_server(say_nothing, NODE_C, second.port)
            cloud.check_timeout = 0.05
            await cloud.settle()
            assert cloud.health.state(group, group.targets[1]) == model.TIMED_OUT
            silent.close()


@in_loop
async def test_https_check_on_its_own_port() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("node.test").configure_cert(context)
    async with nodes(context) as (first, _):
        check = HealthCheck("HTTPS", port=str(first.port))
        balancer, group = network(1, check=check)
        async with running(balancer, group) as cloud:
            [described, _] = await Boto(cloud).health(group)
            assert described["HealthCheckPort"] == str(first.port)
            assert described["Target"]["Port"] == 1
            assert described["TargetHealth"] == {"State": "healthy"}


def test_matchers() -> None:
    assert matches("200-399", 399)
    assert not matches("200-399", 404)
    assert matches("200,301-302", 302)
    assert not matches("200", 201)


# --- the network load balancer's traffic -----------------------------------------------------


@in_loop
async def test_traffic_stays_in_its_zone_unless_cross_zone() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port)
        async with running(balancer, group) as cloud:
            assert cloud.bound_port(balancer, ZONE_A, 443) == cloud.bound_port(
                balancer, ZONE_C, 443
            )
            assert await answered_by(cloud, ZONE_A) == {NODE_A}
            assert await answered_by(cloud, ZONE_C) == {NODE_C}
            balancer.attributes["load_balancing.cross_zone.enabled"] = "true"
            assert await answered_by(cloud, ZONE_A) == {NODE_A, NODE_C}
            group.attributes["load_balancing.cross_zone.enabled"] = "false"
            assert await answered_by(cloud, ZONE_A) == {NODE_A}


@in_loop
async def test_only_healthy_targets_then_fail_open_and_dns_follows() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port)
        balancer.attributes["load_balancing.cross_zone.enabled"] = "true"
        async with running(balancer, group) as cloud:
            assert cloud.addresses("myapp") == (ZONE_A, ZONE_C)
            group.targets[0].forced = model.FAILED
            assert await answered_by(cloud, ZONE_A) == {NODE_C}
            assert cloud.addresses("myapp") == (ZONE_A, ZONE_C)
            balancer.attributes.clear()
            assert cloud.addresses("myapp") == (ZONE_C,)
            group.targets[1].forced = model.FAILED
            assert cloud.addresses("myapp") == (ZONE_A, ZONE_C)
            assert await answered_by(cloud, ZONE_A) == {NODE_A}
            balancer.shifted_zones = {"ap-northeast-2a"}
            assert cloud.addresses("myapp") == (ZONE_C,)
            balancer.shifted_zones = set()
            balancer.state = "provisioning"
            assert cloud.addresses("myapp") == ()
            assert cloud.addresses("deleted") == ()


@in_loop
async def test_refused_or_reset_where_nobody_answers() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port)
        async with running(balancer, group) as cloud:
            saved = cloud.save()
            first.stop()
            with pytest.raises(ConnectionResetError):
                await ask(cloud, ZONE_A)
            await cloud.settle()
            with pytest.raises(ConnectionRefusedError):
                await ask(cloud, ZONE_A)
            assert await answered_by(cloud, ZONE_C) == {NODE_C}
            # Refused on the port of the check alone: traffic flows, all targets being unhealthy.
            group.check.port = "1"
            await first.start()
            await cloud.settle()
            assert cloud.health.state(group, group.targets[0]) == model.FAILED
            assert await answered_by(cloud, ZONE_A) == {NODE_A}
            group.targets.clear()
            await cloud.settle()
            with pytest.raises(ConnectionRefusedError):
                await ask(cloud, ZONE_C)
            cloud.restore(saved)
            before = cloud.bound_port("myapp", ZONE_C, 443)
            await cloud.settle()
            assert cloud.bound_port("myapp", ZONE_C, 443) == before
            assert await answered_by(cloud, ZONE_C) == {NODE_C}
            cloud.load_balancers["myapp"].listeners.clear()
            await cloud.settle()
            with pytest.raises(TimeoutError):  # where nobody listens, an NLB drops what comes
                async with asyncio.timeout(0.3):
                    await ask(cloud, ZONE_C)
            # A fault must not reach what was saved before it.
            cloud.restore(saved)
            assert len(cloud.load_balancers["myapp"].listeners) == 1


@in_loop
async def test_listeners_and_health_follow_edits_by_themselves() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port)
        cloud = Cloud(INSTANCES.get, check_interval=0.02)
        await cloud.start()
        try:
            cloud.add(balancer, group)
            async with asyncio.timeout(5):
                while cloud.health.state(group, group.targets[0]) != model.HEALTHY:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            # The instances have no zone here, so that any zone reaches both.
            assert await answered_by(cloud, ZONE_A) == {NODE_A, NODE_C}
        finally:
            await cloud.stop()
        with pytest.raises(ConnectionRefusedError):
            await ask(cloud, ZONE_A)


@in_loop
async def test_proxy_protocol_names_the_client_and_the_listener() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port, check=HealthCheck("HTTP"))
        group.attributes["proxy_protocol_v2.enabled"] = "true"
        async with running(balancer, group) as cloud:
            # Health checks send the header too, without addresses.
            assert first.received[0].startswith(SIGNATURE + b"\x20\x00\x00\x00GET / ")
            first.received.clear()
            await ask(cloud)
            [seen] = first.received
            length = struct.unpack("!H", seen[14:16])[0]
            assert (seen[:12], seen[12:14], length) == (SIGNATURE, b"\x21\x11", 12)
            assert seen[16:20] == b"\x7f\x00\x00\x01"
            assert seen[20:24] == bytes(int(part) for part in ZONE_A.split("."))
            assert struct.unpack("!H", seen[26:28])[0] == 443
            assert seen[28:].startswith(b"GET / HTTP/1.1")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize("backend", ["TCP", "TLS"])
def test_tls_listener_terminates(authority: trustme.CA, backend: str) -> None:
    async def scenario() -> None:
        contexts = [server_context(authority, "node.test")] if backend == "TLS" else []
        async with nodes(*contexts) as (first, _):
            balancer, group = network(first.port)
            group.protocol = backend  # type: ignore[assignment]
            context = server_context(authority, "myapp.example.com")
            arn = "arn:aws:acm:ap-northeast-2:123456789012:certificate/1"
            certificates = [Certificate(arn, context)]
            listener = Listener(443, "TLS", forward("tg-443"), certificates=certificates)
            balancer.listeners = [listener]
            client = ssl.create_default_context()
            authority.configure_trust(client)
            async with running(balancer, group) as cloud:
                answer = await ask(cloud, tls=client)
                assert answer.endswith(NODE_A)
                cloud.restore(cloud.save())
                assert (await ask(cloud, tls=client)).endswith(NODE_A)
                boto = Boto(cloud)
                [seen] = (await boto.elb("load_balancers"))["LoadBalancers"]
                asked = {"LoadBalancerArn": seen["LoadBalancerArn"]}
                [shown] = (await boto.elb("listeners", **asked))["Listeners"]
                assert shown["Certificates"] == [{"CertificateArn": arn}]
                asked = {"ListenerArn": shown["ListenerArn"]}
                found = await boto.elb("listener_certificates", **asked)
                assert found["Certificates"] == [{"CertificateArn": arn, "IsDefault": True}]
                assert (await boto.elb("listener_attributes", **asked))["Attributes"]

    asyncio.run(scenario())


@in_loop
async def test_large_bodies_and_half_close_pass_through() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(len(await reader.read())).encode())
        writer.close()

    server = await asyncio.start_server(count, NODE_A, 0)
    port = server.sockets[0].getsockname()[1]
    balancer, group = network(port)
    group.target_type = "ip"
    group.targets = [Target(NODE_A, port, zone="ap-northeast-2a")]
    async with running(balancer, group) as cloud:
        reader, writer = await asyncio.open_connection(
            ZONE_A, cloud.bound_port(balancer, ZONE_A, 443)
        )
        writer.write(b"x" * 3_000_000)
        writer.write_eof()
        assert await reader.read() == b"3000000"
        writer.close()
        [described] = await Boto(cloud).health(group)
        assert described["Target"]["AvailabilityZone"] == "ap-northeast-2a"
    server.close()


@in_loop
async def test_security_groups_drop_what_they_do_not_admit() -> None:
    async with nodes() as (first, _):
        balancer, group = network(first.port)
        balancer.security_groups = ["sg-nlb"]
        async with running(balancer, group) as cloud:
            cloud.instances[0]["SecurityGroups"] = [{"GroupId": "sg-nodes", "GroupName": "n"}]
            cloud.security_groups = [
                security_group("sg-nlb", "nlb", [admit(443, cidrs=["0.0.0.0/0"])]),
                security_group("sg-nodes", "nodes", [admit(first.port, groups=["sg-nlb"])]),
            ]
            cloud.enforce_security_groups = True
            cloud.connect_timeout = 0.1
            await cloud.settle()
            assert await answered_by(cloud, ZONE_A) == {NODE_A}
            cloud.security_groups[1]["IpPermissions"] = []
            await cloud.settle()
            assert cloud.health.state(group, group.targets[0]) == model.FAILED
            assert cloud.health.state(group, group.targets[1]) == model.HEALTHY
            with pytest.raises(TimeoutError):  # the NLB passes the SYN on, and nobody answers it
                async with asyncio.timeout(0.3):
                    await ask(cloud, ZONE_A)
            cloud.security_groups[0]["IpPermissions"] = [admit(443, cidrs=["10.0.0.0/8"])]
            await cloud.settle()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await ask(cloud, ZONE_C)
            cloud.enforce_security_groups = False
            await cloud.settle()
            assert await answered_by(cloud, ZONE_C) == {NODE_C}


# --- the application load balancer -----------------------------------------------------------


@in_loop
async def test_application_load_balancer_routes_by_host_and_path() -> None:
    async with nodes() as (first, _):
        zones = [Zone("ap-northeast-2a", ZONE_A), Zone("ap-northeast-2c", ZONE_C)]
        one = TargetGroup("tg-a", "HTTP", first.port, targets=[Target(A, first.port)])
        two = TargetGroup("tg-c", "HTTP", first.port, targets=[Target(C, first.port)])
        rules = [
            Rule(20, forward("tg-c"), hosts=["*.example.com"]),
            Rule(10, forward("tg-a"), hosts=["MyApp.example.com"], paths=["/api/*"]),
            Rule(30, forward("tg-none"), paths=["/none"]),
        ]
        balancer = LoadBalancer(
            "web",
            zones,
            type="application",
            scheme="internal",
            security_groups=["sg-1"],
            listeners=[
                Listener(80, "HTTP", fixed_response(404, "nothing here"), rules),
                Listener(81, "HTTP", redirect()),
            ],
        )
        empty = TargetGroup("tg-none", "HTTP", 80)
        async with running(balancer, one, two, empty) as cloud:
            get = functools.partial(ask, cloud, port=80, balancer="web")
            host = "Host: myapp.example.com\r\n"
            first.received.clear()
            answer = await get(head=f"GET /api/users?x=1 HTTP/1.1\r\n{host}")
            assert answer.endswith(NODE_A)
            assert "awselb" not in answer
            [seen] = first.received
            assert seen.startswith(b"GET /api/users?x=1 HTTP/1.1\r\nHost: myapp.example.com\r\n")
            assert b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n" in seen
            assert (await get(head=f"GET / HTTP/1.1\r\n{host}")).endswith(NODE_C)
            answer = await get(head="GET / HTTP/1.1\r\nHost: other.test\r\n")
            assert answer.startswith("HTTP/1.1 404 Not Found\r\nServer: awselb/2.0\r\n")
            assert answer.endswith("\r\n\r\nnothing here")
            answer = await get(head="GET /none HTTP/1.1\r\nHost: other.test\r\n")
            assert answer.startswith("HTTP/1.1 503 Service Temporarily Unavailable\r\n")
            assert "<center><h1>503 Service Temporarily Unavailable</h1></center>" in answer
            answer = await get(port=81, head=f"GET /a?b=c HTTP/1.1\r\n{host}")
            assert answer.startswith("HTTP/1.1 301 Moved Permanently\r\nServer: awselb/2.0\r\n")
            assert "\r\nLocation: https://myapp.example.com:443/a?b=c\r\n" in answer
            answer = await get(head="nonsense\r\n")
            assert answer.startswith("HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\n")
            first.stop()
            answer = await get(head=f"GET /api/ HTTP/1.1\r\n{host}")
            assert answer.startswith("HTTP/1.1 502 Bad Gateway\r\nServer: awselb/2.0\r\n")
            assert "\r\nContent-Length: 122\r\n" in answer
            silent = await asyncio.start_server(say_nothing, NODE_A, first.port)
            cloud.idle_timeout = 0.05
            answer = await get(head=f"GET /api/ HTTP/1.1\r\n{host}")
            assert answer.startswith("HTTP/1.1 504 Gateway Time-out\r\nServer: awselb/2.0\r\n")
            silent.close()

            boto = Boto(cloud)
            [shown] = (await boto.elb("load_balancers"))["LoadBalancers"]
            number = int(balancer.id[:8], 16)
            name = f"internal-web-{number}.ap-northeast-2.elb.amazonaws.com"
            assert shown["DNSName"] == name
            assert shown["SecurityGroups"] == ["sg-1"]
            assert f":loadbalancer/app/web/{balancer.id}" in shown["LoadBalancerArn"]
            asked = {"LoadBalancerArn": shown["LoadBalancerArn"]}
            listeners = (await boto.elb("listeners", **asked))["Listeners"]
            described = (await boto.elb("rules", ListenerArn=listeners[0]["ListenerArn"]))["Rules"]
            assert [rule["Priority"] for rule in described] == ["10", "20", "30", "default"]
            assert described[0]["Conditions"] == [
                {
                    "Field": "host-header",
                    "Values": ["MyApp.example.com"],
                    "HostHeaderConfig": {"Values": ["MyApp.example.com"]},
                },
                {
                    "Field": "path-pattern",
                    "Values": ["/api/*"],
                    "PathPatternConfig": {"Values": ["/api/*"]},
                },
            ]
            assert described[3]["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
            assert listeners[1]["DefaultActions"][0]["RedirectConfig"]["StatusCode"] == "HTTP_301"


@in_loop
async def test_weights_and_an_alb_behind_an_nlb() -> None:
    async with nodes() as (first, _):
        one = TargetGroup("tg-a", "HTTP", first.port, targets=[Target(A, first.port)])
        two = TargetGroup("tg-c", "HTTP", first.port, targets=[Target(C, first.port)])
        split = Action(targets=[("tg-a", 3), ("tg-c", 1)])
        inside = [Zone("ap-northeast-2a", f"{BLOCK}.31"), Zone("ap-northeast-2c", f"{BLOCK}.32")]
        inner = LoadBalancer("inner", inside, type="application")
        inner.listeners = [Listener(80, "HTTP", split)]
        arn = (
            "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/"
            f"app/inner/{inner.id}"
        )
        outer, group = network(80)
        group.target_type = "alb"
        group.targets = [Target(arn, 80)]
        async with running(inner, one, two, outer, group) as cloud:
            answers = [(await ask(cloud)).rpartition("\r\n")[2] for _ in range(8)]
            assert (answers.count(NODE_A), answers.count(NODE_C)) == (6, 2)
            [described] = await Boto(cloud).health(group)
            assert described["Target"] == {"Id": arn, "Port": 80}
            assert described["TargetHealth"] == {"State": "healthy"}


def test_ports_are_shared_by_addresses_and_kept() -> None:
    cloud = Cloud()
    ports = {cloud.bound_port(name, where, 443) for name in "xy" for where in (ZONE_A, ZONE_C)}
    assert len(ports) == 2  # a second load balancer on the same addresses needs its own
    assert cloud.bound_port("x", ZONE_A, 443) == cloud.bound_port("x", ZONE_C, 443)
    assert cloud.bound_port("x", ZONE_A, 80) not in ports
    assert all(port >= 1024 for port in ports)


def test_names_do_not_change_between_runs() -> None:
    # Reports are compared over time by these names.
    assert LoadBalancer("myapp", []).id == LoadBalancer("myapp", []).id
    assert len(LoadBalancer("myapp", []).id) == 16
