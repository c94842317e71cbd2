"""Rules: what they match, what Traefik refuses, and the same asked of the real Traefik."""

import json
from collections.abc import Iterator

import pytest

from hopcheck.behaviour.traefik.rule_syntax import RuleError
from hopcheck.behaviour.traefik.rules import (
    hosts_in,
    in_v3,
    looks_v2,
    matches,
    parse,
    priority,
    routing_path,
)
from hopcheck.behaviour.traefik.version import Syntax, Version
from tests.behaviour.real_traefik import RealTraefik

# Rules that Traefik accepts, by syntax.
GOOD: list[tuple[Syntax, str]] = [
    ("v3", "Host(`a.com`)"),
    ("v3", 'Host("a.com") && Path("/x")'),
    ("v3", "HOST(`UPPER.com`) && Pathprefix(`/api`)"),
    ("v3", "Host(`a.com`) || Host(`b.com`) && Path(`/q`)"),
    ("v3", "(Host(`a.com`) || Host(`b.com`)) && Path(`/q`)"),
    ("v3", "!Host(`a.com`) && PathPrefix(`/`)"),
    ("v3", "!(Host(`a.com`) || Path(`/q`)) && PathPrefix(`/`)"),
    ("v3", "Host(`*.wild.com`)"),
    ("v3", "Host(`*w.com`)"),
    ("v3", "Host(`*`)"),
    ("v3", "HostRegexp(`^[a-z]+\\.wild\\.com$`)"),
    ("v3", "HostRegexp(`^([a-z]+\\.)+wild\\.com$`)"),
    ("v3", "HostRegexp(`wild`)"),
    ("v3", "HostRegexp(`{sub:[a-z]+}.wild.com`)"),
    ("v3", "PathRegexp(`^/(api|v[0-9]{1,2})/?$`)"),
    ("v3", "PathRegexp(`(?i)/API`)"),
    ("v3", "PathRegexp(`^/\\pL\\p{N}+(/|$)`)"),
    ("v3", "PathRegexp(`^/(?<name>[[:alpha:]]+)\\z`)"),
    ("v3", "PathRegexp(`^/\\Qv1/\\E`)"),
    ("v3", "Path(`/a b`)"),
    ("v3", "PathPrefix(`/a%2Fb`)"),
    ("v3", "Method(`get`) && Host(`a.com`)"),
    ("v3", "Method(`POST`)"),
    ("v3", "Query(`k`, `v`)"),
    ("v3", "Query(`k`)"),
    ("v3", "QueryRegexp(`k`, `^v+$`)"),
    ("v3", "Host(`a.com`)&&Path(`/`)"),
    ("v3", "Host(`a.com`) &&\n  Path(`/`)\n"),
    ("v3", "Host(`a.com`,) && Path(`/`)"),
    ("v2", "Host(`a.com`,`b.com`) && PathPrefix(`/q`,`/api`)"),
    ("v2", "HostHeader(`a.com`)"),
    ("v2", "Host(`*.wild.com`)"),
    ("v2", "HostRegexp(`{sub:[a-z]+}.wild.com`)"),
    ("v2", "HostRegexp(`{sub:[a-zA-Z0-9-]+}.wild.com`, `{any:.+}.b.com`)"),
    ("v2", "HostRegexp(`{sub}.wild.com`)"),
    ("v2", "HostRegexp(`.*wild.com`)"),
    ("v2", "Path(`/v{n:[0-9]+}`)"),
    ("v2", "PathPrefix(`/v{n}/x`)"),
    ("v2", "Query(`k=v`)"),
    ("v2", "Query(`k=`)"),
    ("v2", "Method(`GET`,`POST`) && !Path(`/q`)"),
]

# Rules for which Traefik disables the router.
BAD: list[tuple[Syntax, str]] = [
    ("v3", "Host('a.com')"),
    ("v3", "Host(`a.com`) and Path(`/`)"),
    ("v3", "example.com"),
    ("v3", "Host(`a` + `b`)"),
    ("v3", "Host(``)"),
    ("v3", "Host()"),
    ("v3", "Host(3)"),
    ("v3", "Host(`a.com`) == Host(`b.com`)"),
    ("v3", "HostRegexp(`^(?!x)foo`)"),
    ("v3", "HostRegexp(`(`)"),
    ("v3", "HostRegexp(`a\\C`)"),
    ("v3", "HostRegexp(`((a{100}){100}){100}`)"),
    ("v3", "PathRegexp(`(?P<é>a)`)"),
    ("v3", "PathRegexp(`a\\Z`)"),
    ("v3", "Host(`a.com`)\n && Path(`/`)"),
    ("v3", "PathPrefix(`api`)"),
    ("v3", "pathPrefix(`/odd`)"),
    ("v3", "Host(`a.com`) &&"),
    ("v3", "Host(`a.com`,`b.com`)"),
    ("v3", "Headers(`a`,`b`)"),
    ("v3", "Host(`a.com`) Path(`/`)"),
    ("v3", "(Host(`a.com`)"),
    ("v3", "Host(`a.com`))"),
    ("v3", "Host(`a.com`) & Path(`/`)"),
    ("v3", "Host(`ä.com`)"),
    ("v3", "Query(`a`,`b`,`c`)"),
    ("v3", 'Host("a\\q.com")'),
    ("v2", "PathRegexp(`/x`)"),
    ("v2", "HostRegexp(`{sub:[a-z}.wild.com`)"),
    ("v2", "HostRegexp(`{sub.wild.com`)"),
    ("v2", "Path(`x`)"),
    ("v2", "Query(`k`)"),
]

REQUESTS = [
    ("a.com", "/"), ("A.COM", "/q"), ("a.com.", "/"), ("b.com", "/"), ("b.com", "/q"),
    ("c.com", "/q"), ("c.com", "/"), ("upper.com", "/apix"), ("a.com", "/x"),
    ("x.wild.com", "/"), ("x.y.wild.com", "/api/"), ("wild.com", "/v12"), ("xw.com", "/v1/x"),
    ("c.com", "/a%20b"), ("c.com", "/a%2Fb"), ("c.com", "/%61pi"), ("c.com", "//q"),
    ("c.com", "/q/../api"), ("c.com", "/z?k=v"), ("c.com", "/z?k=vv"), ("c.com", "/z?k"),
    ("c.com", "/z?k=&k=v"), ("x.b.com", "/vx/x"), ("xwild.com", "/API"),
]  # fmt: skip


@pytest.fixture(scope="module")
def traefik(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealTraefik]:
    directory = tmp_path_factory.mktemp("rules")
    routers, middlewares = {}, {}
    for kind, rules in (("good", GOOD), ("bad", BAD)):
        for at, (syntax, rule) in enumerate(rules):
            routers[f"{kind}{at}"] = {
                "rule": rule, "ruleSyntax": syntax, "service": "s", "entryPoints": ["other"],
            }  # fmt: skip
    for at, (syntax, rule) in enumerate(GOOD):
        header = "Header" if syntax == "v3" else "Headers"
        guarded = f"{header}(`X-Case`, `{at}`) && ({rule.strip()})"
        routers[f"case{at}"] = {
            "rule": guarded, "ruleSyntax": syntax, "service": "s", "entryPoints": ["web"],
            "middlewares": ["hit"],
        }  # fmt: skip
    middlewares["hit"] = {"headers": {"customResponseHeaders": {"X-Hit": "yes"}}}
    dynamic = directory / "dynamic.yml"  # JSON is YAML
    service = {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}
    dynamic.write_text(
        json.dumps({"http": {"routers": routers, "middlewares": middlewares,
                             "services": {"s": service}}})
    )  # fmt: skip
    with RealTraefik([f"--providers.file.filename={dynamic}"], directory / "log") as started:
        started.routers(lambda found: len(found) == len(routers))
        yield started


def accepts(rule: str, syntax: Syntax) -> bool:
    try:
        parse(rule, syntax)
    except RuleError:
        return False
    return True


def test_real_traefik_accepts_and_refuses_the_same(traefik: RealTraefik) -> None:
    found = {r["name"]: r for r in traefik.routers(bool)}
    for kind, rules in (("good", GOOD), ("bad", BAD)):
        for at, (syntax, rule) in enumerate(rules):
            router = found[f"{kind}{at}@file"]
            assert router["status"] == ("enabled" if kind == "good" else "disabled"), rule
            assert accepts(rule, syntax) == (kind == "good"), (rule, router.get("error"))
            assert router["priority"] == priority(rule), rule


@pytest.mark.parametrize("at", range(len(GOOD)), ids=[rule for _, rule in GOOD])
def test_real_traefik_matches_the_same(traefik: RealTraefik, at: int) -> None:
    syntax, rule = GOOD[at]
    for host, path in REQUESTS:
        expected = traefik.ask(host, path, {"X-Case": str(at)}).get("x-hit") == "yes"
        answer = matches(rule, host, path, version=Version(3, 7, 15), syntax=syntax)
        assert answer is expected, (rule, host, path)


def test_what_cannot_be_told() -> None:
    assert matches("ClientIP(`10.0.0.0/8`)", "a.com", "/") is None
    assert matches("Host(`a.com`) && Header(`x`,`y`)", "a.com", "/") is None
    assert matches("Host(`a.com`) && Header(`x`,`y`)", "b.com", "/") is False
    assert matches("Host(`a.com`) || Header(`x`,`y`)", "a.com", "/") is True
    assert matches("!Header(`x`,`y`)", "a.com", "/") is None
    assert matches("HostRegexp(`^\\p{Letter}+$`)", "a", "/") is None
    assert matches("Host('broken", "a", "/") is None


def test_open_path_or_host() -> None:
    rule = "Host(`a.com`) && Path(`/x`)"
    assert matches(rule, "a.com", None) is None
    assert matches(rule, "b.com", None) is False
    assert matches(rule, None, "/y") is False
    assert matches(rule, None, "/x") is None


def test_versions_differ_in_wildcards_and_syntax() -> None:
    rule = "Host(`*.example.com`)"
    assert matches(rule, "a.example.com", "/", version=Version(3, 7, 0)) is True
    assert matches(rule, "a.example.com", "/", version=Version(3, 6, 24)) is False
    old = "HostRegexp(`{s:[a-z]+}.example.com`)"
    assert matches(old, "a.example.com", "/", version=Version(2, 11, 3)) is True
    assert matches(old, "a.example.com", "/", version=Version(3, 1, 0)) is False


@pytest.mark.parametrize(
    ("path", "version", "expected"),
    [
        ("/a%2Fb%20c?x=/../", Version(3, 7), "/a%2Fb c"),
        ("/a%2Fb%20c", Version(3, 4, 0), "/a/b c"),
        ("/%C3%A4%3F", Version(3, 7), "/ä%3F"),
        ("/x/", Version(3, 7), "/x/"),
        ("", Version(3, 7), "/"),
        ("/x/..", Version(3, 7), "/"),
        ("/a%2Fb%20c", Version(3, 4, 1), "/a%2Fb c"),
        ("/a%2Fb%20c", Version(2, 11, 24), "/a/b c"),
        ("/a%2Fb%20c", Version(2, 11, 25), "/a%2Fb c"),
        ("//x/../y", Version(3, 3, 6), "/y"),
        ("//x/../y", Version(3, 3, 5), "//x/../y"),
        ("//x/../y", Version(2, 11, 22), "//x/../y"),
        ("//x/../y", Version(2, 11, 53), "/y"),
    ],
)
def test_routing_path(path: str, version: Version, expected: str) -> None:
    assert routing_path(path, version) == expected


def test_tcp() -> None:
    def sni(rule: str, host: str | None, syntax: Syntax = "v3") -> bool | None:
        return matches(rule, host, None, protocol="tcp", syntax=syntax)

    assert sni("HostSNI(`*`)", None) is True
    assert sni("HostSNI(`a.com`)", "A.com") is True
    assert sni("HostSNI(`*.a.com`)", "x.a.com") is True
    assert sni("HostSNI(`a.com`) && ALPN(`h2`)", "b.com") is False
    assert sni("HostSNI(`a.com`) && ALPN(`h2`)", "a.com") is None
    assert sni("HostSNIRegexp(`^.+\\.a\\.com$`)", "x.a.com") is True
    assert sni("HostSNIRegexp(`{s:[a-z]+}.a.com`)", "x.a.com", "v2") is True
    with pytest.raises(RuleError):
        parse("Host(`a.com`)", "v3", "tcp")
    with pytest.raises(RuleError):
        parse("HostSNI(`a/b`)", "v3", "tcp")


def test_hosts_in() -> None:
    rule = "(Host(`A.com`) || Host(`*.b.com`)) && !Host(`c.com`) && Path(`/`)"
    assert hosts_in(rule) == ("a.com", "*.b.com")
    assert hosts_in("!(!Host(`d.com`))") == ("d.com",)
    assert hosts_in("HostSNI(`x.com`)", protocol="tcp") == ("x.com",)
    assert hosts_in("nonsense") == ()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("HostRegexp(`{sub:[a-z]+}.a.com`)", True),
        ("Host(`a.com`, `b.com`)", True),
        ("HostHeader(`a.com`)", True),
        ("Headers(`a`, `b`)", True),
        ("Query(`a=b`)", True),
        ("Path(`/{id:[0-9]+}`)", True),
        ("Host(`a.com`) && PathPrefix(`/`)", False),
        ("HostRegexp(`^[a-z]{2}\\.a\\.com$`)", False),
        ("PathRegexp(`^/x{1,2}$`)", False),
        ("broken(", False),
    ],
)
def test_looks_v2(rule: str, expected: bool) -> None:
    assert looks_v2(rule) is expected


def test_hostile_rules_end_quickly() -> None:
    for rule, problem in [
        ("!" * 5000 + "Host(`a`)", "too_large"),
        ("(" * 5000, "too_large"),
        ("Host(`a`) && " * 1000 + "Host(`a`)", None),
        ("x" * 100_000, "too_large"),
        ("\x00Host(`a`)", "syntax"),
        ("  ", "empty"),
    ]:
        if problem is None:
            assert matches(rule, "a", "/") is True
            continue
        with pytest.raises(RuleError) as caught:
            parse(rule)
        assert caught.value.problem == problem


SPELT_ANEW = [
    ("Host(`a.example`, `b.example`)", "(Host(`a.example`) || Host(`b.example`))"),
    ("HostRegexp(`{sub:[a-z]+}.a.example`)", r"HostRegexp(`(?i)^([a-z]+)\.a\.example$`)"),
    ("Host(`a.example`) && Path(`/r/{id}`)", "Host(`a.example`) && PathRegexp(`^/r/([^/]+)$`)"),
    ("PathPrefix(`/v{n:[0-9]+}/`, `/w`)", "(PathRegexp(`^/v([0-9]+)/`) || PathPrefix(`/w`))"),
    ("!Path(`/r/{id}`)", "!PathRegexp(`^/r/([^/]+)$`)"),
    ("!Host(`a.example`, `b.example`)", "!((Host(`a.example`) || Host(`b.example`)))"),
    ("HostHeader(`a.example`) && (Path(`/x`) || Path(`/y`))",
     "Host(`a.example`) && (Path(`/x`) || Path(`/y`))"),
    ("Headers(`X-A`, `1`) && Query(`k=v`)", "Header(`X-A`, `1`) && Query(`k`, `v`)"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), SPELT_ANEW)
def test_a_rule_of_v2_as_v3_spells_it(old: str, new: str) -> None:
    assert in_v3(old) == new
    for host in ("a.example", "b.example", "x.a.example", "1.a.example", "c.example"):
        for path in ("/", "/r/10", "/r/10/y", "/v2/z", "/vx/z", "/w/1", "/x", "/y?k=v", "/?k=v"):
            before = matches(old, host, path, syntax="v2")
            assert matches(new, host, path, syntax="v3") == before, (host, path)


@pytest.mark.parametrize("rule", ["Host(`a`", "Nothing(`a`)", "Query(`a`)", ""])
def test_what_is_no_rule_of_v2_is_spelt_by_nobody(rule: str) -> None:
    assert in_v3(rule) == ""
