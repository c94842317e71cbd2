"""The AWS collector against the lab's APIs, which speak AWS's own protocol on loopback."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time

import msgspec
import pytest
import trustme

from hopcheck.collect.ask import Run
from hopcheck.collect.aws.read import collect_aws
from hopcheck.config.options import Options
from hopcheck.lab.cloud import (
    Cloud,
    Listener,
    LoadBalancer,
    Rule,
    TargetGroup,
    Zone,
    admit,
    forward,
    instance,
    security_group,
)
from hopcheck.lab.cloud import Target as CloudTarget
from hopcheck.model import (
    AwsEvidence,
    Cname,
    Collected,
    DnsAnswer,
    DnsEvidence,
    KubeEvidence,
    Target,
    Why,
)
from hopcheck.model.aws import Identity
from tests.collect.test_credentials import gone

HOST = "myapp.example.com"
NODE = "i-0123456789abcdef0"


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Credentials from the environment alone, nothing of the machine's own."""
    for name in (
        "PROFILE",
        "DEFAULT_PROFILE",
        "REGION",
        "DEFAULT_REGION",
        "SESSION_TOKEN",
        "ROLE_ARN",
        "WEB_IDENTITY_TOKEN_FILE",
        "CONTAINER_CREDENTIALS_RELATIVE_URI",
        "CONTAINER_CREDENTIALS_FULL_URI",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_REGION", "ap-northeast-2")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def account() -> Cloud:
    """An NLB with two target groups, and another NLB that has nothing to do with the cluster."""
    cloud = Cloud(lambda _: "127.0.0.1")
    cloud.add(
        TargetGroup("web", "TCP", 30000, targets=[CloudTarget(NODE, 30000)]),
        TargetGroup("websecure", "TCP", 30001, targets=[CloudTarget(NODE, 30001)]),
        TargetGroup("foreign", "TCP", 31999, targets=[CloudTarget("i-0fff", 31999)]),
        LoadBalancer(
            "myapp",
            [Zone("ap-northeast-2a", "127.0.1.5"), Zone("ap-northeast-2c", "127.0.2.5")],
            listeners=[
                Listener(80, "TCP", forward("web")),
                Listener(443, "TCP", forward("websecure")),
            ],
            security_groups=["sg-0balancer"],
        ),
        LoadBalancer(
            "other",
            [Zone("ap-northeast-2a", "127.0.3.5")],
            listeners=[Listener(443, "TCP", forward("foreign"))],
        ),
    )
    cloud.instances = [
        instance(NODE, "ap-northeast-2a", "127.0.0.1", security_groups=["sg-0node"]),
        instance("i-0fff", "ap-northeast-2a", "127.0.0.2"),
    ]
    cloud.security_groups = [
        security_group("sg-0balancer", "lb", [admit(443, cidrs=["0.0.0.0/0"])]),
        security_group("sg-0node", "node", [admit((30000, 32767), cidrs=["10.0.0.0/8"])]),
        security_group("sg-0unrelated", "db", []),
    ]
    return cloud


def dns(addresses=(), *chain, rcode="NOERROR") -> DnsEvidence:
    owners = (HOST, *chain)
    links = tuple(Cname(owners[i], name, 60) for i, name in enumerate(chain))
    answer = DnsAnswer("127.0.0.1:53", HOST, "A", rcode, tuple(addresses), links)
    return DnsEvidence(answers=(Collected(value=answer),))


def cluster(
    *ports, node=NODE, region=None, address="10.0.1.10", status=None, others=(), pods=()
) -> KubeEvidence:
    labels = {"topology.kubernetes.io/region": region} if region else {}
    nodes = (
        {
            "metadata": {"name": "node-1", "labels": labels},
            "spec": {"providerID": f"aws:///ap-northeast-2a/{node}"},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        },
    )
    service = {
        "metadata": {"name": "traefik", "namespace": "api-gateway-system"},
        "spec": {"type": "NodePort", "ports": [{"nodePort": port} for port in ports]},
        "status": status or {},
    }
    return KubeEvidence(
        lists={
            "services": Collected(value=(service, *others)),
            "nodes": Collected(value=nodes),
            "pods": Collected(value=tuple(pods)),
        }
    )


async def gather(cloud, evidence, kube, options=None, target=None):
    """collect_aws with names resolved by the account's load balancers."""

    async def resolve(name):
        for balancer in cloud.load_balancers.values():
            if balancer.dns_name.lower() == name:
                return Collected(value=cloud.addresses(balancer))
        return Collected(why=Why.NOT_FOUND)

    async def given(value):
        return value

    run = Run(options or Options())
    return await collect_aws(
        target or Target(host=HOST), run, given(evidence), given(kube), resolve
    )


@contextlib.asynccontextmanager
async def started(cloud, monkeypatch):
    await cloud.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
    try:
        await cloud.settle()
        yield cloud
    finally:
        await cloud.stop()


def collect(monkeypatch, cloud, evidence, kube=None, options=None, target=None):
    async def main():
        async with started(cloud, monkeypatch):
            return await gather(cloud, evidence, kube or KubeEvidence(), options, target)

    return asyncio.run(main())


def arn(found: AwsEvidence, name: str) -> str:
    every = (*found.load_balancers.get(), *found.target_groups.get())
    for item in every:
        if name in (item.get("LoadBalancerName"), item.get("TargetGroupName")):
            return item.get("TargetGroupArn") or item["LoadBalancerArn"]
    raise LookupError(name)


def test_a_cname_names_the_load_balancer(monkeypatch):
    cloud = account()
    name = cloud.load_balancers["myapp"].dns_name.lower()
    found, names = collect(monkeypatch, cloud, dns(["127.0.1.5"], name), cluster(30000, 30001))
    own = arn(found, "myapp")
    assert found.identity.get() == Identity(
        account=cloud.account, arn=cloud.caller_arn, region="ap-northeast-2"
    )
    assert len(found.load_balancers.get()) == 2
    assert set(found.listeners) == {own}
    assert sorted(entry["Port"] for entry in found.listeners[own].get()) == [80, 443]
    assert set(found.target_health) == {arn(found, "web"), arn(found, "websecure")}
    health = found.target_health[arn(found, "websecure")].get()
    assert (health[0]["Target"]["Id"], health[0]["Target"]["Port"]) == (NODE, 30001)
    assert health[0]["TargetHealth"]["State"] == "unhealthy"  # nobody listens there
    attributes = found.target_group_attributes[arn(found, "web")].get()
    assert attributes["proxy_protocol_v2.enabled"] == "false"
    balancer = found.load_balancer_attributes[own].get()
    assert balancer["load_balancing.cross_zone.enabled"] == "false"
    assert found.rules == {}
    assert [entry["InstanceId"] for entry in found.instances.get()] == [NODE]
    groups = {entry["GroupId"] for entry in found.security_groups.get()}
    assert groups == {"sg-0balancer", "sg-0node"}
    assert found.network_interfaces.why is Why.NOT_NEEDED
    assert list(names) == [name]
    assert set(names[name].get()) <= {"127.0.1.5", "127.0.2.5"}
    # Identity, two lists, listeners and attributes, two calls for each of two target groups,
    # instances and security groups: each asked once.
    assert len(cloud.requests) == len(set(cloud.requests)) + 2 == 11
    assert found.listeners[own].source == (
        f"aws elbv2 describe-listeners --load-balancer-arn {own}"
    )


def test_the_evidence_is_json_and_replays(monkeypatch):
    cloud = account()
    name = cloud.load_balancers["myapp"].dns_name.lower()
    found, _ = collect(monkeypatch, cloud, dns((), name))
    assert found.load_balancers.get()[0]["DNSName"].lower() == name
    again = msgspec.json.decode(msgspec.json.encode(found), type=AwsEvidence)
    assert again == found


def test_an_alias_is_found_by_its_addresses(monkeypatch):
    found, names = collect(monkeypatch, account(), dns(["127.0.1.5", "127.0.2.5"]))
    assert set(found.listeners) == {arn(found, "myapp")}
    assert len(names) == 2
    assert found.network_interfaces.why is Why.NOT_NEEDED


def test_an_address_given_as_the_host(monkeypatch):
    literal = DnsEvidence(answers=(Collected(why=Why.NOT_NEEDED),))
    target = Target(host="127.0.3.5")
    found, _ = collect(monkeypatch, account(), literal, target=target)
    assert set(found.listeners) == {arn(found, "other")}


def test_without_an_answer_the_systems_addresses_count(monkeypatch):
    unanswered = DnsEvidence(
        answers=(Collected(why=Why.TIMED_OUT),), getaddrinfo=Collected(value=("127.0.3.5",))
    )
    found, _ = collect(monkeypatch, account(), unanswered)
    assert set(found.listeners) == {arn(found, "other")}


def test_an_address_that_only_an_interface_holds(monkeypatch):
    cloud = account()
    cloud.network_interfaces = [
        {
            "NetworkInterfaceId": "eni-0old",
            "InterfaceType": "network_load_balancer",
            "Description": f"ELB {cloud.load_balancers['myapp'].path}",
            "PrivateIpAddress": "10.0.9.9",
            "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": "10.0.9.9"}],
        },
        {"NetworkInterfaceId": "eni-0pod", "Description": "aws-K8S-i-0123"},
    ]
    found, _ = collect(monkeypatch, cloud, dns(["10.0.9.9"]))
    assert set(found.listeners) == {arn(found, "myapp")}
    described = {entry["NetworkInterfaceId"] for entry in found.network_interfaces.get()}
    assert "eni-0old" in described
    assert "eni-0pod" not in described


def test_the_interfaces_of_ip_targets_that_are_not_healthy_are_read_with_their_groups(monkeypatch):
    cloud = account()
    pod = "127.0.0.77"
    group = TargetGroup("web", "TCP", 8080, "ip", [CloudTarget(pod, 8080, "ap-northeast-2a")])
    cloud.target_groups["web"] = group
    held = {"PrivateIpAddress": pod, "PrivateIpAddresses": [{"PrivateIpAddress": pod}]}
    own = {"Groups": [{"GroupId": "sg-0pods"}], "VpcId": group.vpc_id, "Description": "a pod's"}
    cloud.network_interfaces = [
        {"NetworkInterfaceId": "eni-0pod", **held, **own},
        {"NetworkInterfaceId": "eni-0far", **held, **own, "VpcId": "vpc-0another"},
    ]
    cloud.security_groups.append(security_group("sg-0pods", "pods", []))
    found, _ = collect(monkeypatch, cloud, dns(["127.0.1.5", "127.0.2.5"]))
    assert [one.network_interface_id for one in found.network_interfaces.get()] == ["eni-0pod"]
    assert "sg-0pods" in {one.group_id for one in found.security_groups.get()}


@pytest.mark.parametrize("evidence", [dns(["10.9.9.9"]), dns(rcode="NXDOMAIN")])
def test_where_the_name_leads_elsewhere_the_clusters_load_balancer_is_read(monkeypatch, evidence):
    found, _ = collect(monkeypatch, account(), evidence, cluster(30001, 30000))
    assert set(found.listeners) == {arn(found, "myapp")}
    assert set(found.target_health) == {arn(found, "web"), arn(found, "websecure")}


def test_the_clusters_load_balancer_is_found_by_its_targets_too(monkeypatch):
    found, _ = collect(monkeypatch, account(), dns(["10.9.9.9"]), cluster(31443))
    assert set(found.listeners) == {arn(found, "myapp")}


def test_another_load_balancers_name_is_read_beside_the_clusters(monkeypatch):
    cloud = account()
    name = cloud.load_balancers["other"].dns_name.lower()
    found, _ = collect(monkeypatch, cloud, dns(["127.0.3.5"], name), cluster(30001))
    assert set(found.listeners) == {arn(found, "other"), arn(found, "myapp")}


@pytest.mark.parametrize("named", [True, False], ids=["by its status", "by its nodePort"])
def test_the_load_balancer_of_traefik_is_read_beside_another_controllers(monkeypatch, named):
    cloud = account()
    nginx = {
        "metadata": {"name": "ingress-nginx", "namespace": "nginx"},
        "spec": {"type": "NodePort", "ports": [{"nodePort": 31999}]},
    }
    own = {"ingress": [{"hostname": cloud.load_balancers["myapp"].dns_name}]}
    kube = cluster(30001, others=[nginx])
    if named:
        kube = cluster(others=[nginx], status={"loadBalancer": own})
    name = cloud.load_balancers["other"].dns_name.lower()
    found, _ = collect(monkeypatch, cloud, dns(["127.0.3.5"], name), kube)
    assert set(found.listeners) == {arn(found, "other"), arn(found, "myapp")}


def test_nothing_is_read_where_nothing_leads(monkeypatch):
    found, names = collect(monkeypatch, account(), dns(rcode="NXDOMAIN"))
    assert (found.listeners, found.target_health, names) == ({}, {}, {})
    assert found.instances.why is Why.NOT_NEEDED
    assert found.load_balancers.seen


def test_an_idle_target_group_on_a_node_port_is_read(monkeypatch):
    cloud = account()
    cloud.load_balancers["myapp"].listeners.pop()  # 443
    name = cloud.load_balancers["myapp"].dns_name.lower()
    found, _ = collect(monkeypatch, cloud, dns(["127.0.1.5"], name), cluster(30000, 30001))
    health = found.target_health[arn(found, "websecure")].get()
    assert health[0]["TargetHealth"]["Reason"] == "Target.NotInUse"


def test_an_alb_behind_an_nlb_and_its_rules(monkeypatch):
    cloud = account()
    cloud.add(
        LoadBalancer(
            "inner",
            [Zone("ap-northeast-2a", "127.0.4.5")],
            type="application",
            scheme="internal",
            listeners=[
                Listener(80, "HTTP", forward("web"), rules=[Rule(5, forward("blue"), hosts=[HOST])])
            ],
        )
    )
    cloud.add(TargetGroup("blue", "HTTP", 30000))

    async def main():
        async with started(cloud, monkeypatch):
            found, _ = await gather(cloud, dns(), KubeEvidence())
            to_alb = CloudTarget(arn(found, "inner"), 80)
            cloud.add(TargetGroup("alb", "TCP", 80, target_type="alb", targets=[to_alb]))
            cloud.load_balancers["other"].listeners = [Listener(80, "TCP", forward("alb"))]
            name = cloud.load_balancers["other"].dns_name.lower()
            return await gather(cloud, dns(["127.0.3.5"], name), KubeEvidence())

    found, _ = asyncio.run(main())
    inner = arn(found, "inner")
    assert set(found.listeners) == {arn(found, "other"), inner}
    listener = found.listeners[inner].get()[0]["ListenerArn"]
    rules = found.rules[listener].get()
    assert [rule["Priority"] for rule in rules] == ["5", "default"]
    assert set(found.target_health) == {arn(found, name) for name in ("alb", "web", "blue")}


def test_addresses_of_nodes_as_targets_lead_to_their_instances(monkeypatch):
    cloud = account()
    group = cloud.target_groups["websecure"]
    group.target_type, group.targets = "ip", [CloudTarget("127.0.0.1", 30001)]
    cloud.target_groups["web"].targets = []
    name = cloud.load_balancers["myapp"].dns_name.lower()
    found, _ = collect(
        monkeypatch, cloud, dns(["127.0.1.5"], name), cluster(30001, address="127.0.0.1")
    )
    assert [entry["InstanceId"] for entry in found.instances.get()] == [NODE]


def test_pods_as_targets_lead_to_the_instances_of_their_nodes(monkeypatch):
    cloud = account()
    group = cloud.target_groups["websecure"]
    group.target_type, group.targets = "ip", [CloudTarget("127.0.0.9", 8443)]
    cloud.target_groups["web"].targets = []
    pod = {
        "metadata": {"name": "traefik-0", "namespace": "api-gateway-system"},
        "status": {"podIP": "127.0.0.9", "hostIP": "10.0.1.10"},
    }
    kube = cluster(30001, pods=[pod])
    name = cloud.load_balancers["myapp"].dns_name.lower()
    found, _ = collect(monkeypatch, cloud, dns(["127.0.1.5"], name), kube)
    assert [entry["InstanceId"] for entry in found.instances.get()] == [NODE]


def test_all_pages_are_read(monkeypatch):
    cloud = account()
    cloud.add(*(TargetGroup(f"tg-{number}", "TCP", 1000 + number) for number in range(450)))
    found, _ = collect(monkeypatch, cloud, dns(rcode="NXDOMAIN"))
    assert len(found.target_groups.get()) == 453
    assert cloud.requests.count("elasticloadbalancing:DescribeTargetGroups") == 2
    assert not found.target_groups.truncated


def test_a_list_that_is_cut_is_marked(monkeypatch):
    monkeypatch.setattr("hopcheck.collect.aws.api.MAX_ITEMS", 400)
    cloud = account()
    cloud.add(*(TargetGroup(f"tg-{number}", "TCP", 1000 + number) for number in range(450)))
    found, _ = collect(monkeypatch, cloud, dns(rcode="NXDOMAIN"))
    assert len(found.target_groups.get()) == 400
    assert found.target_groups.truncated
    assert not found.load_balancers.truncated


# --- what may not be seen -------------------------------------------------------------------


def test_each_denied_call_degrades_alone(monkeypatch):
    cloud = account()
    cloud.denied = {
        "elasticloadbalancing:DescribeTargetHealth",
        "ec2:DescribeSecurityGroups",
        "sts:GetCallerIdentity",
    }
    name = cloud.load_balancers["myapp"].dns_name.lower()
    found, _ = collect(monkeypatch, cloud, dns(["127.0.1.5"], name))
    health = found.target_health[arn(found, "web")]
    assert health.why is Why.DENIED
    assert health.detail.startswith("AccessDenied: ")
    assert "elasticloadbalancing:DescribeTargetHealth" in health.detail
    assert found.target_group_attributes[arn(found, "web")].seen
    assert found.instances.why is Why.DENIED  # whose they are is unknown: not "not needed"
    assert found.security_groups.why is Why.DENIED
    assert found.identity.why is Why.DENIED


def test_load_balancers_denied(monkeypatch):
    cloud = account()
    cloud.denied = {"elasticloadbalancing:DescribeLoadBalancers"}
    found, names = collect(monkeypatch, cloud, dns(["127.0.1.5"]), cluster(30001))
    assert found.load_balancers.why is Why.DENIED
    assert (found.target_groups.seen, found.listeners, names) == (True, {}, {})
    assert {found.instances.why, found.security_groups.why, found.network_interfaces.why} == {
        Why.DENIED
    }


@pytest.mark.parametrize("state", ["expired", "invalid"])
def test_credentials_that_aws_refuses(monkeypatch, state):
    cloud = account()
    cloud.credentials = state
    found, _ = collect(monkeypatch, cloud, dns(["127.0.1.5"]))
    assert {found.identity.why, found.load_balancers.why, found.target_groups.why} == {
        Why.UNAUTHENTICATED
    }
    assert "oken" in found.load_balancers.detail


def test_throttling_is_named_even_while_botocore_goes_on_trying(monkeypatch):
    cloud = account()
    cloud.throttle = 10_000
    found, _ = collect(monkeypatch, cloud, dns(["127.0.1.5"]), options=Options(timeout=8.0))
    assert found.load_balancers.why is Why.THROTTLED
    assert found.load_balancers.detail.startswith("Throttling: ")


def test_one_throttled_call_is_tried_again(monkeypatch):
    cloud = account()
    cloud.throttle = 1
    found, _ = collect(monkeypatch, cloud, dns(rcode="NXDOMAIN"))
    assert found.identity.seen
    assert found.load_balancers.seen
    assert found.target_groups.seen


def alone(options=None, evidence=None, kube=None):
    """collect_aws without an account behind it: (evidence, seconds)."""
    began = time.monotonic()
    cloud = Cloud()
    answers = evidence or dns(rcode="NXDOMAIN")
    found, names = asyncio.run(gather(cloud, answers, kube or KubeEvidence(), options))
    assert names == {}
    return found, time.monotonic() - began


def test_an_unreachable_endpoint_is_told_at_once(monkeypatch):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")
        found, seconds = alone()
    assert found.load_balancers.why is Why.UNREACHABLE
    assert "Could not connect to the endpoint URL" in found.load_balancers.detail
    assert seconds < 3


def test_a_silent_endpoint_times_out(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")
        found, seconds = alone(Options(timeout=1.0))
    assert found.load_balancers.why is Why.TIMED_OUT
    assert seconds < 5


PAGE = b"<html><body>Blocked</body></html>"
UNREADABLE = b"""<r><DescribeLoadBalancersResult><LoadBalancers><member>
<CreatedTime>soon</CreatedTime></member></LoadBalancers></DescribeLoadBalancersResult></r>"""


def answer(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


CUT_OFF = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n<html>"


@pytest.mark.parametrize(
    ("raw", "why", "words"),
    [
        (answer("200 OK", b"<htm"), Why.INVALID, "Unable to parse response"),
        (answer("200 OK", UNREADABLE), Why.INVALID, "soon"),
        (answer("403 Forbidden", PAGE), Why.INVALID, "HTTP 403, a page"),
        (answer("200 OK", PAGE), Why.INVALID, "the answer has an unexpected form"),
        (CUT_OFF, Why.UNREACHABLE, "Connection was closed"),
    ],
    ids=["no XML", "no time", "refusal of a proxy", "page of a proxy", "cut off"],
)
def test_what_is_no_answer_of_aws(monkeypatch, raw, why, words):
    """Neither the configuration nor a right is to blame, and no bytes are shown."""
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = sock.accept()
                    with peer:
                        peer.recv(65536)
                        peer.sendall(raw)

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")
        found, _ = alone()
        sock.shutdown(socket.SHUT_RDWR)
    assert found.load_balancers.why is why
    assert words in found.load_balancers.detail
    assert "b'" not in found.load_balancers.detail
    assert "(" not in found.load_balancers.detail.partition("line 1")[2]


def test_a_certificate_that_is_not_vouched_for_is_no_matter_of_the_network(monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with contextlib.suppress(ssl.SSLError):
                        context.wrap_socket(sock.accept()[0], server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{sock.getsockname()[1]}")
        found, _ = alone()
        sock.shutdown(socket.SHUT_RDWR)
    assert found.load_balancers.why is Why.INVALID
    assert "certificate verify failed" in found.load_balancers.detail


def test_an_answer_without_end_is_cut_off(monkeypatch):
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def one(peer):
            with peer, contextlib.suppress(OSError):
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n")
                while True:
                    peer.sendall(b"<a/>" * 16_384)
            ended.set()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(sock.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sock.getsockname()[1]}")
        found, _ = alone()
        assert ended.wait(10)
        sock.shutdown(socket.SHUT_RDWR)
    assert found.load_balancers.why is Why.INVALID
    assert "larger than 8 MiB" in found.load_balancers.detail


@pytest.fixture
def no_keys(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def test_no_credentials_is_not_configured(no_keys):
    found, seconds = alone()
    parts = (found.identity, found.load_balancers, found.target_groups, found.instances)
    assert {part.why for part in parts} == {Why.NOT_CONFIGURED}
    assert found.load_balancers.detail == "Unable to locate credentials"
    assert seconds < 2


def test_a_metadata_service_that_hangs_costs_a_second(no_keys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        endpoint = f"http://127.0.0.1:{sock.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
        found, seconds = alone()
    assert found.load_balancers.why is Why.NOT_CONFIGURED
    assert 0.9 < seconds < 3


@pytest.mark.parametrize(
    ("config", "why", "words"),
    [
        ("[profile night\n", Why.MISCONFIGURED, "Unable to parse config file"),
        (
            "[profile night]\nrole_arn = arn:aws:iam::1:role/a\nmfa_serial = arn:aws:iam::1:mfa/a\n"
            "source_profile = base\n[profile base]\naws_access_key_id = a\n"
            "aws_secret_access_key = b\n",
            Why.MISCONFIGURED,
            "the profile asks for an MFA code",
        ),
        ("[profile night]\ncredential_process = /no/such/program\n", Why.MISCONFIGURED, "program"),
        (
            "[profile night]\ncredential_process = cat /dev/zero\n",
            Why.MISCONFIGURED,
            "credential_process: it printed more than 1 MiB",
        ),
        (
            "[profile night]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n"
            "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://sso.example.com\n",
            Why.UNAUTHENTICATED,
            "SSO",
        ),
    ],
)
def test_a_profile_that_does_not_work(no_keys, monkeypatch, tmp_path, config, why, words):
    (tmp_path / "config").write_text(config)
    found, _ = alone(Options(aws_profile="night"))
    assert found.load_balancers.why is why
    assert words in found.load_balancers.detail


def test_a_key_that_makes_no_header_is_not_told(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "cAnAryKey1\ncAnAryKey2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    found, _ = alone()
    assert found.load_balancers.why is Why.MISCONFIGURED
    assert "cAnAry" not in str(found)


def test_a_credential_process_prints_its_keys(no_keys, monkeypatch, tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text('{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"}')
    (tmp_path / "config").write_text(f"[profile night]\ncredential_process = cat {keys}\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    found, _ = alone(Options(aws_profile="night"))
    assert found.load_balancers.why is Why.UNREACHABLE


# --- the region ------------------------------------------------------------------------------

IN_VIRGINIA = dns((), "a-0123456789abcdef.elb.us-east-1.amazonaws.com", rcode="NXDOMAIN")


def test_a_credential_process_that_hangs_ends_with_its_children(no_keys, monkeypatch, tmp_path):
    """At the call's limit, while this process lives on."""
    child, script = tmp_path / "child", tmp_path / "script"
    script.write_text(f"sleep 60 & echo $! > {child}; wait")
    (tmp_path / "config").write_text(f"[profile night]\ncredential_process = sh {script}\n")
    found, _ = alone(Options(aws_profile="night", timeout=3.0))
    assert found.load_balancers.why is Why.TIMED_OUT
    assert gone(child.read_text().strip())


@pytest.mark.parametrize(
    ("configured", "evidence", "kube", "option", "expected"),
    [
        ("AWS_REGION", dns(rcode="NXDOMAIN"), None, None, "eu-west-1"),
        ("AWS_DEFAULT_REGION", dns(rcode="NXDOMAIN"), None, None, "eu-west-1"),
        ("AWS_REGION", IN_VIRGINIA, None, None, "us-east-1"),
        ("AWS_REGION", IN_VIRGINIA, None, "sa-east-1", "sa-east-1"),
        (None, dns(rcode="NXDOMAIN"), cluster(region="eu-north-1"), None, "eu-north-1"),
    ],
)
def test_the_region(monkeypatch, configured, evidence, kube, option, expected):
    monkeypatch.delenv("AWS_REGION")
    if configured:
        monkeypatch.setenv(configured, "eu-west-1")
    found, _ = collect(monkeypatch, account(), evidence, kube, Options(aws_region=option))
    assert found.identity.get().region == expected


def test_no_region_is_not_configured(monkeypatch):
    monkeypatch.delenv("AWS_REGION")
    found, _ = alone()
    assert found.load_balancers.why is Why.NOT_CONFIGURED
    assert found.load_balancers.source == "AWS region"


def test_other_collectors_that_never_end_do_not_hold_it_up(monkeypatch):
    cloud = account()

    async def main():
        async with started(cloud, monkeypatch):
            never = asyncio.ensure_future(asyncio.Event().wait())
            failing = asyncio.get_running_loop().create_future()
            failing.set_exception(RuntimeError("a defect elsewhere"))

            async def resolve(name):
                return Collected(why=Why.NOT_FOUND)

            run = Run(Options(timeout=2.0, deadline=4.0))
            found, _ = await collect_aws(Target(host=HOST), run, failing, never, resolve)
            assert run.now() < 4.0
            assert not never.done()  # waited for by others as well
            never.cancel()
            return found

    found = asyncio.run(main())
    assert found.load_balancers.seen
    assert found.listeners == {}
