"""Which hosts a configuration and a cluster give, and which are left out."""

from pathlib import Path

import pytest

from hopcheck.config.file import load_config
from hopcheck.config.options import UsageError
from hopcheck.model import Collected, Obj, Why
from hopcheck.model.kubernetes import kubernetes_object
from hopcheck.schedule.fleet_model import FleetPlan, Shard
from hopcheck.schedule.plan import discover, plan


def ingress(name: str, *hosts: str | None) -> Obj:
    obj = {
        "kind": "Ingress",
        "metadata": {"namespace": "default", "name": name},
        "spec": {"rules": [{"host": host} if host else {} for host in hosts]},
    }
    return kubernetes_object("ingresses", obj)


def route(name: str, *rules: str, kind: str = "IngressRoute") -> Obj:
    obj = {
        "kind": kind,
        "metadata": {"namespace": "default", "name": name},
        "spec": {"routes": [{"match": rule} for rule in rules]},
    }
    return kubernetes_object(f"{kind.lower()}s", obj)


ROUTES = (
    ingress("a", "a.example.com", "b.example.com"),
    ingress("wild", "*.shop.example.com"),
    ingress("any", None),
    route("c", "Host(`c.example.com`) && PathPrefix(`/x`)", "HostRegexp(`.+`)"),
    route("regexp", "HostRegexp(`[a-z]+\\.example\\.com`)"),
    route("tcp", "HostSNI(`db.example.com`)", kind="IngressRouteTCP"),
    ingress("bad", "not_a host"),
)


def made(
    tmp_path: Path, text: str, routes: tuple[Obj, ...] = ROUTES, shard: Shard | None = None
) -> FleetPlan:
    (tmp_path / "hopcheck.toml").write_text(text)
    lists = {"ingresses": Collected(value=routes)}
    return plan(load_config(None, tmp_path), {}, lists, shard)


def names(found: FleetPlan) -> list[str]:
    return [host.run.target.host for host in found.hosts]


def test_every_kind_of_route_names_hosts() -> None:
    hosts, left_out = discover(ROUTES)
    assert hosts == ["a.example.com", "b.example.com", "c.example.com", "db.example.com"]
    assert [one.host for one in left_out] == [
        "*.shop.example.com",
        "Ingress default/any",
        "IngressRoute default/regexp",
        "not_a host",
    ]


@pytest.mark.parametrize(
    ("include", "exclude", "hosts"),
    [
        (["a.*", "C.example.com"], [], ["a.example.com", "c.example.com"]),
        ([], ["?.example.com"], ["db.example.com"]),
        (["*.example.com"], ["db.*"], ["a.example.com", "b.example.com", "c.example.com"]),
        (["*.example.org"], [], []),
    ],
)
def test_patterns(include: list[str], exclude: list[str], hosts: list[str]) -> None:
    assert discover(ROUTES, include=include, exclude=exclude)[0] == hosts


def test_a_wildcard_needs_a_sample(tmp_path: Path) -> None:
    without = made(tmp_path, 'hosts = "discover"')
    assert "*.shop.example.com" in [one.host for one in without.left_out]
    found = made(
        tmp_path,
        'hosts = "discover"\n[[host]]\nname = "*.shop.example.com"\n'
        'sample = "one.shop.example.com"\nowner = "shop"\n',
    )
    assert "*.shop.example.com" not in [one.host for one in found.left_out]
    (sample,) = [h for h in found.hosts if h.run.target.host == "one.shop.example.com"]
    assert sample.owner == "shop"


def test_a_listed_wildcard_is_left_out_with_the_reason(tmp_path: Path) -> None:
    found = made(tmp_path, 'hosts = ["a.example.com", "*.example.com"]')
    assert names(found) == ["a.example.com"]
    assert [one.host for one in found.left_out] == ["*.example.com"]
    assert "sample" in found.left_out[0].reason


@pytest.mark.parametrize("sample", ["other.example.org", "a.b.shop.example.com"])
def test_a_sample_must_be_under_its_wildcard(tmp_path: Path, sample: str) -> None:
    with pytest.raises(UsageError, match="is not under it"):
        made(tmp_path, f'[[host]]\nname = "*.shop.example.com"\nsample = "{sample}"\n')


def test_settings_of_patterns_and_hosts(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        'hosts = "discover"\nowner = "platform"\ncertificate_days = 30\n'
        '[[host]]\nname = "*.example.com"\nowner = "web"\nslow_seconds = 2\n'
        '[[host]]\nname = "a.example.com"\nowner = "team-a"\npath = "/health"\n'
        'expect_status = 204\ncontext = "prod"\naws_profile = "prod"\naws_region = "eu-west-1"\n'
        'maintenance = ["Sun 02:00-04:00 Asia/Seoul"]\n',
    )
    a = next(h for h in found.hosts if h.run.target.host == "a.example.com")
    b = next(h for h in found.hosts if h.run.target.host == "b.example.com")
    assert (a.owner, a.source, b.owner, b.source) == ("team-a", "configured", "web", "discovered")
    assert (a.run.target.path, a.run.target.expect_status) == ("/health", "204")
    assert (a.run.options.context, a.run.options.aws_profile) == ("prod", "prod")
    assert a.run.options.aws_region == "eu-west-1"
    assert (a.run.target.certificate_days, a.run.target.slow_seconds) == (30, 2.0)
    assert b.run.target.certificate_days == 30
    assert [window.text for window in a.maintenance] == ["Sun 02:00-04:00 Asia/Seoul"]
    assert b.maintenance == ()


def test_a_configured_host_that_the_cluster_lacks_is_still_asked(tmp_path: Path) -> None:
    found = made(tmp_path, 'hosts = "discover"\n[[host]]\nname = "gone.example.com"\n')
    assert "gone.example.com" in names(found)


def test_two_urls_of_one_host(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        '[[host]]\nname = "https://a.example.com/one"\n[[host]]\nname = "a.example.com"\n',
    )
    assert [h.run.target.url for h in found.hosts] == [
        "https://a.example.com/one",
        "https://a.example.com/",
    ]


def test_what_cannot_be_read_is_a_problem_and_no_such_api_is_none(tmp_path: Path) -> None:
    (tmp_path / "hopcheck.toml").write_text('hosts = "discover"')
    lists: dict[str, Collected[tuple[Obj, ...]]] = {
        "ingresses": Collected(why=Why.DENIED, detail="oncall may not list"),
        "ingressroutes": Collected(why=Why.NOT_FOUND),
    }
    found = plan(load_config(None, tmp_path), {}, lists)
    assert found.hosts == ()
    (problem,) = found.problems
    assert problem == "ingresses could not be read (forbidden: oncall may not list)"


def test_shards_of_a_plan(tmp_path: Path) -> None:
    routes = tuple(ingress(f"i{n}", f"app-{n}.example.com") for n in range(50))
    whole = names(made(tmp_path, 'hosts = "discover"', routes))
    parts = [names(made(tmp_path, 'hosts = "discover"', routes, Shard(i, 3))) for i in range(3)]
    assert sorted(name for part in parts for name in part) == sorted(whole)
    assert all(parts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no host is configured"),
        ('hosts = "all"', '"discover" or a list'),
        ('[[host]]\nname = "a.example.com"\nmaintenance = ["now"]', "maintenance 'now'"),
        ('[[host]]\nname = "a.example.com"\nslow_seconds = 0', "slow_seconds"),
        ('[[host]]\nname = "a.example.com"\ncertificate_days = -1', "certificate_days"),
        ('include = "x"', "include must be"),
        ("concurency = 5", "did you mean 'concurrency'"),
    ],
)
def test_configuration_errors(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        made(tmp_path, text)


def test_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.hopcheck]\nhosts = ["a.example.com"]\n')
    assert names(plan(load_config(None, tmp_path), {}, {})) == ["a.example.com"]
