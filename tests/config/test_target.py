"""From what a person types to a Target."""

import pytest

from hopcheck.config.options import UsageError
from hopcheck.config.target import check_expect_status, parse_target


@pytest.mark.parametrize(
    ("typed", "host", "url"),
    [
        ("myapp.example.com", "myapp.example.com", "https://myapp.example.com/"),
        ("MyApp.Example.COM.", "myapp.example.com", "https://myapp.example.com/"),
        ("myapp.example.com:8443", "myapp.example.com", "https://myapp.example.com:8443/"),
        ("http://a.example/x?q=1", "a.example", "http://a.example/x?q=1"),
        ("https://a.example:443/", "a.example", "https://a.example/"),
        ("bücher.example", "xn--bcher-kva.example", "https://xn--bcher-kva.example/"),
        ("https://a.example/ä", "a.example", "https://a.example/%C3%A4"),
        ("[::1]", "::1", "https://[::1]/"),
        ("::1", "::1", "https://[::1]/"),
        ("127.0.0.1:80", "127.0.0.1", "https://127.0.0.1:80/"),
        ("x_y.example", "x_y.example", "https://x_y.example/"),
    ],
)
def test_good_ones(typed: str, host: str, url: str) -> None:
    target = parse_target(typed)
    assert (target.host, target.url) == (host, url)


@pytest.mark.parametrize(
    "typed",
    ["", " ", "; rm -rf /", "$(shell touch x)", "a b", "http://u:p@h/", "ftp://x", "*.example.com",
     "-rf", "a..b", "http://h:99999/", "http://h:0/", "a/b", "http://", "1.2.3", "a\x00b",
     "x" * 64 + ".example", ".".join(["a" * 60] * 5), "`id`", "http://[::1"],
)  # fmt: skip
def test_bad_ones_are_one_clear_line(typed: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(typed)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isascii()


def test_scheme_and_path() -> None:
    bare = parse_target("a.example")
    assert not bare.scheme_asked
    assert not bare.path_asked
    asked = parse_target("a.example", scheme="http", path="/api")
    assert asked.url == "http://a.example/api"
    assert asked.scheme_asked
    assert asked.path_asked
    with pytest.raises(UsageError):
        parse_target("https://a.example", scheme="http")
    with pytest.raises(UsageError):
        parse_target("a.example", path="api")


def test_expected_statuses() -> None:
    assert check_expect_status("200-399, 401") == "200-399,401"
    for bad in ("", "abc", "300-200", "99", "200-"):
        with pytest.raises(UsageError):
            check_expect_status(bad)
