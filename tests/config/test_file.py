"""The configuration file and the options' precedence."""

from pathlib import Path

import pytest

from hopcheck.config.file import host_runs, load_config
from hopcheck.config.options import UsageError, build_options, parse_connect_to


def config(tmp_path: Path, text: str, name: str = "hopcheck.toml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path


def test_options_beat_the_host_which_beats_the_defaults(tmp_path: Path) -> None:
    directory = config(
        tmp_path,
        'timeout = 1\ncontext = "prod"\n[[host]]\nname = "a.example"\ntimeout = 2\npath = "/x"\n',
    )
    file = load_config(None, directory)
    (a,) = host_runs(["a.example"], {}, file)
    (b,) = host_runs(["b.example"], {}, file)
    (c,) = host_runs(["a.example"], {"timeout": "3"}, file)
    assert (a.options.timeout, a.options.context, a.target.path) == (2.0, "prod", "/x")
    assert (b.options.timeout, b.target.path) == (1.0, "/")
    assert c.options.timeout == 3.0


def test_pyproject(tmp_path: Path) -> None:
    directory = config(tmp_path, '[tool.hopcheck]\nnamespace = "shop"\n', "pyproject.toml")
    assert load_config(None, directory).defaults == {"namespace": "shop"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('resolvr = ["1.1.1.1"]', "did you mean 'resolver'"),
        ('[[host]]\nname = "a"\ntimeot = 1', "did you mean 'timeout'"),
        ("timeout = true", "timeout must be"),
        ('timeout = "5"', "timeout must be"),
        ("[[host]]\npath = '/'", "needs a name"),
        ('[[host]]\nname = "a"\nchecks = "mine"', "unknown key 'checks'"),
        ("checks = 1", "checks must be of type text or list"),
        ("http1 = 1", "http1 must be of type bool"),
        ("= 1", "configuration"),
    ],
)
def test_errors_name_the_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_config(None, config(tmp_path, text))


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_config(str(tmp_path / "none.toml"), tmp_path)
    assert load_config(None, tmp_path).defaults == {}


@pytest.mark.parametrize(
    ("text", "host", "address", "port", "to"),
    [
        (":443::8443", "a.example", "1.2.3.4", 443, ("1.2.3.4", 8443)),
        (":443::8443", "a.example", "1.2.3.4", 80, ("1.2.3.4", 80)),
        ("a.example::127.0.0.1:", "a.example", "1.2.3.4", 443, ("127.0.0.1", 443)),
        ("1.2.3.4:443:127.0.0.1:9", "a.example", "1.2.3.4", 443, ("127.0.0.1", 9)),
        ("[::1]:443:[::2]:9", "a.example", "::1", 443, ("::2", 9)),
    ],
)
def test_connect_to(text: str, host: str, address: str, port: int, to: tuple[str, int]) -> None:
    options = build_options({"connect_to": [text]})
    assert options.connection(host, address, port) == to


@pytest.mark.parametrize("text", ["", "a", "a:b:c:d", ":0::1", "a:1:b:70000", "a:1:b"])
def test_connect_to_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        parse_connect_to(text)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("skip", ["ING999"], "did you mean ING"),
        ("require_step", ["ingres"], "did you mean 'ingress'"),
        ("timeout", "0", "--timeout"),
        ("deadline", "x", "--deadline"),
        ("resolver", ["name.example"], "no address"),
        ("resolver", ["1.1.1.1:99999"], "ADDR:PORT"),
        ("traefik_service", "traefik", "NS/NAME"),
        ("ca_file", "/does/not/exist", "none of that name"),
        ("redact", "all", "strict"),
    ],
)
def test_bad_values(key: str, value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_options({key: value})


def test_a_retired_code_may_still_be_skipped() -> None:
    assert build_options({"skip": ["log004=Ingress default/shop"]}).skip == (
        "LOG004=Ingress default/shop",
    )


def test_hosts_named_twice_are_diagnosed_once() -> None:
    runs = host_runs(["a.example", "A.example.", "b.example"], {}, load_config(None, Path("/")))
    assert [run.target.host for run in runs] == ["a.example", "b.example"]


def test_how_long_runs_are_kept_and_where_they_are_served(tmp_path: Path) -> None:
    defaults = 'keep_runs = 5\nbase_url = "https://r.example/x"\n'
    text = f'{defaults}[[host]]\nname = "b.example"\nkeep_days = 0\n'
    file = load_config(None, config(tmp_path, text))
    a, b = host_runs(["a.example", "b.example"], {}, file)
    assert (a.keep_runs, a.keep_days, a.base_url) == (5, 30, "https://r.example/x")
    assert (b.keep_runs, b.keep_days) == (5, 0)
    (c,) = host_runs(["a.example"], {"base_url": "http://other"}, file)
    assert c.base_url == "http://other"


@pytest.mark.parametrize(
    "values", [{"keep_runs": -1}, {"keep_days": 10**9}, {"base_url": "r.example"},
               {"base_url": "https://r.example/a b"}]
)  # fmt: skip
def test_keeping_that_cannot_be(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        host_runs(["a.example"], values, load_config(None, Path("/nonexistent")))


@pytest.mark.parametrize("said", ['"mine"', '["mine", "more/of_them"]'])
def test_checks_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    directory = tmp_path / "etc"
    for name in ("mine", "more/of_them"):
        (directory / name).mkdir(parents=True)
    config(directory, f"checks = {said}\n")
    file = load_config(str(directory / "hopcheck.toml"), tmp_path)
    (a,) = host_runs(["a.example"], {"checks": ()}, file)
    assert a.options.checks == tuple(
        str(directory / name) for name in ("mine", "more/of_them") if name in said
    )
    (tmp_path / "typed").mkdir()
    monkeypatch.chdir(tmp_path)
    (b,) = host_runs(["a.example"], {"checks": ("typed",)}, file)
    assert b.options.checks == ("typed",)


def test_a_directory_of_checks_must_exist(tmp_path: Path) -> None:
    file = load_config(None, config(tmp_path, 'checks = "none"\n'))
    with pytest.raises(UsageError, match=r"--checks .*/none: no such directory"):
        host_runs(["a.example"], {}, file)


def test_http1_of_one_host(tmp_path: Path) -> None:
    file = load_config(None, config(tmp_path, '[[host]]\nname = "a.example"\nhttp1 = true\n'))
    a, b = host_runs(["a.example", "b.example"], {"http1": None}, file)
    assert (a.options.http1, b.options.http1) == (True, False)
    assert host_runs(["b.example"], {"http1": True}, file)[0].options.http1
