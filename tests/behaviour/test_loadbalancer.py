import pytest

from hopcheck.behaviour.aws.loadbalancer import (
    Forward,
    Match,
    balancer_name,
    compare,
    front_of,
    instance_of_node,
    match_load_balancer,
    region_from_name,
    target_groups_of,
    which_listener,
)
from hopcheck.model import Collected, Why
from hopcheck.model.aws import Listener, ListenerRule, LoadBalancer, described
from hopcheck.model.kubernetes import Node
from tests.objects import made

PREFIX = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer"
ARN = f"{PREFIX}/net/myapp/0123456789abcdef"
OTHER_ARN = f"{PREFIX}/app/other/fedcba9876543210"
NAME = "myapp-0123456789abcdef.elb.ap-northeast-2.amazonaws.com"
OTHER_NAME = "other-1234567890.ap-northeast-2.elb.amazonaws.com"
BALANCERS = (
    LoadBalancer(load_balancer_arn=OTHER_ARN, dns_name=OTHER_NAME),
    LoadBalancer(
        load_balancer_arn=ARN, dns_name="MyApp-0123456789abcdef.elb.ap-northeast-2.amazonaws.com"
    ),
)


def resolved(**by_which):
    names = {"own": NAME, "other": OTHER_NAME}
    return {names[which]: Collected(value=tuple(a)) for which, a in by_which.items()}


@pytest.mark.parametrize(
    ("last", "zone"),
    [
        (NAME, None),
        (f"{NAME.upper()}.", None),
        (f"dualstack.{NAME}", None),
        (f"ap-northeast-2a.{NAME}", "ap-northeast-2a"),
        (f"dualstack.us-west-2-lax-1a.{NAME}", "us-west-2-lax-1a"),
    ],
)
def test_a_cname_names_it(last, zone):
    match = match_load_balancer(["myapp.example.com", last], ["10.0.0.1"], BALANCERS, {})
    assert match == Match(arn=ARN, how="cname", name=NAME, zone=zone)


def test_a_cname_with_its_addresses_known():
    names = resolved(own=["10.0.1.5", "10.0.2.5"])
    match = match_load_balancer([NAME], ["10.0.2.5"], BALANCERS, names)
    assert (match.how, match.relation, match.missing) == ("cname", "subset", ("10.0.1.5",))


def test_the_first_name_of_the_chain_decides():
    match = match_load_balancer([OTHER_NAME, NAME], [], BALANCERS, {})
    assert (match.arn, match.how) == (OTHER_ARN, "cname")


@pytest.mark.parametrize(
    ("host", "relation", "missing", "foreign"),
    [
        (["10.0.1.5", "10.0.2.5"], "equal", (), ()),
        (["10.0.1.5"], "subset", ("10.0.2.5",), ()),
        (["10.0.1.5", "10.0.2.5", "10.9.9.9"], "superset", (), ("10.9.9.9",)),
        (["10.0.1.5", "10.9.9.9"], "overlap", ("10.0.2.5",), ("10.9.9.9",)),
    ],
)
def test_an_alias_is_told_by_its_addresses(host, relation, missing, foreign):
    names = resolved(own=["10.0.1.5", "10.0.2.5"], other=["10.0.7.7"])
    match = match_load_balancer(["myapp.example.com"], host, BALANCERS, names)
    assert match == Match(ARN, "addresses", NAME, None, relation, missing, foreign)


def test_a_complete_match_beats_a_larger_overlap():
    names = resolved(own=["10.0.1.5", "10.0.2.5"], other=["10.0.1.5"])
    host = ["10.0.1.5", "10.0.2.5"]
    assert match_load_balancer([], host, BALANCERS, names).arn == ARN


def test_disjoint_unresolved_and_empty_sets_match_nothing():
    unseen = {NAME: Collected(why=Why.TIMED_OUT), OTHER_NAME: Collected(value=())}
    assert match_load_balancer(["a.b"], ["10.0.0.9"], BALANCERS, unseen) == Match()
    names = resolved(own=["10.0.1.5"])
    assert match_load_balancer(["a.b"], ["10.0.0.9"], BALANCERS, names) == Match()
    assert match_load_balancer(["a.b"], [], BALANCERS, names) == Match()
    assert match_load_balancer([""], [], [LoadBalancer(load_balancer_arn=ARN)], {}) == Match()


def test_an_address_on_its_interface():
    interfaces = described(
        "NetworkInterfaces",
        [
            {"Description": "ELB net/gone/0", "PrivateIpAddress": "10.0.0.9"},
            {
                "Description": "ELB net/myapp/0123456789abcdef",
                "PrivateIpAddress": "10.0.1.5",
                "Association": {"PublicIp": "3.34.5.6"},
                "PrivateIpAddresses": [
                    {"PrivateIpAddress": "10.0.1.5", "Association": {"PublicIp": "3.34.5.6"}}
                ],
            },
            {
                "Description": "ELB net/myapp/0123456789abcdef",
                "PrivateIpAddress": "10.0.2.5",
                "Association": {"PublicIp": "3.34.5.7"},
            },
        ],
    )
    match = match_load_balancer(["a.b"], ["3.34.5.6"], BALANCERS, {}, interfaces)
    assert match == Match(ARN, "interface", NAME, None, "subset", ("3.34.5.7",), ())
    assert match_load_balancer(["a.b"], ["10.0.0.9"], BALANCERS, {}, interfaces) == Match()


def test_only_the_hosts_families_are_compared():
    assert compare(["10.0.0.1"], ["10.0.0.1", "2001:db8::1"]) == ("equal", (), ())
    assert compare(["2001:DB8:0::1"], ["2001:db8::1", "10.0.0.1"]) == ("equal", (), ())
    assert compare(["10.0.0.1"], ["2001:db8::1"])[0] == "unknown"
    assert compare(["10.0.0.1"], ["10.0.0.2"]) == ("disjoint", ("10.0.0.2",), ("10.0.0.1",))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAME, ("ap-northeast-2", "nlb")),
        (OTHER_NAME, ("ap-northeast-2", "alb")),
        (f"dualstack.{OTHER_NAME}.", ("ap-northeast-2", "alb")),
        (f"ap-northeast-2c.{NAME}", ("ap-northeast-2", "nlb")),
        ("internal-a-1.cn-north-1.elb.amazonaws.com.cn", ("cn-north-1", "alb")),
        ("a-1.elb.cn-northwest-1.amazonaws.com.cn", ("cn-northwest-1", "nlb")),
        ("a-1.elb.us-gov-west-1.amazonaws.com", ("us-gov-west-1", "nlb")),
        ("d111111abcdef8.cloudfront.net", None),
        ("elb.us-east-1.amazonaws.com", None),
        ("myapp.example.com", None),
        ("a.elb.us-east-1.amazonaws.com.evil.example", None),
        ("", None),
    ],
)
def test_region_from_name(name, expected):
    assert region_from_name(name) == expected


def test_a_host_that_looks_like_a_zone_keeps_its_name():
    assert balancer_name("us-east-1a.example.com") == ("us-east-1a.example.com", None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("d111111abcdef8.CloudFront.net.", "Amazon CloudFront"),
        ("a1b2.awsglobalaccelerator.com", "AWS Global Accelerator"),
        ("myapp.example.com.cdn.cloudflare.net", "Cloudflare"),
        ("e123.a.akamaiedge.net", "Akamai"),
        ("x.execute-api.ap-northeast-2.amazonaws.com", "Amazon API Gateway"),
        ("notcloudfront.net", None),
        (NAME, None),
    ],
)
def test_front_of(name, expected):
    assert front_of(["myapp.example.com", name]) == expected


def test_which_listener():
    udp, tcp = Listener(port=443, protocol="UDP"), Listener(port=443, protocol="TCP")
    assert which_listener([Listener(port=80, protocol="TCP"), udp, tcp], 443) == tcp
    assert which_listener([udp], 443) is None
    assert which_listener([], 443) is None


def test_target_groups_of_a_plain_and_a_weighted_action():
    plain = made(Listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": "a"}])
    assert target_groups_of(plain) == (Forward("a"),)
    groups = [
        {"TargetGroupArn": "a", "Weight": 3},
        {"TargetGroupArn": "b", "Weight": 1},
        {"TargetGroupArn": "c", "Weight": 0},
    ]
    forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    weighted = made(Listener, DefaultActions=[forward])
    assert target_groups_of(weighted) == (
        Forward("a", 3, 0.75),
        Forward("b", 1, 0.25),
        Forward("c", 0, 0.0),
    )
    redirect = made(
        Listener, DefaultActions=[{"Type": "redirect", "RedirectConfig": {"Port": "443"}}]
    )
    assert target_groups_of(redirect) == ()


def test_target_groups_of_rules_in_order_and_the_default_once():
    def rule(arn, priority, group, default=False):
        return made(
            ListenerRule,
            RuleArn=arn,
            Priority=priority,
            IsDefault=default,
            Actions=[{"Type": "forward", "TargetGroupArn": group}],
        )

    listener = made(Listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": "d"}])
    rules = [rule("r10", "10", "b"), rule("r2", "2", "a"), rule("rd", "default", "d", True)]
    assert target_groups_of(listener, rules) == (
        Forward("a", rule_arn="r2"),
        Forward("b", rule_arn="r10"),
        Forward("d"),
    )


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("aws:///ap-northeast-2a/i-0123456789abcdef0", "i-0123456789abcdef0"),
        ("aws:///ap-northeast-2a/0123/fargate-ip-10-0-1-2.internal", None),
        ("gce://project/zone/i-0123", None),
        ("", None),
    ],
)
def test_instance_of_node(provider, expected):
    assert instance_of_node(made(Node, spec={"providerID": provider})) == expected
    assert instance_of_node(Node()) is None
