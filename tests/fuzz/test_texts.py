"""Everything that parses foreign text is total: any text gives an answer, never an exception."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from hopcheck.behaviour.traefik.logs import moment, parse_log
from hopcheck.behaviour.traefik.rules import hosts_in, looks_v2, matches, routing_path
from hopcheck.behaviour.traefik.version import parse_version, version_of_image
from hopcheck.collect.ask import Run
from hopcheck.collect.web.exchange import Progress, Request
from hopcheck.collect.web.probe import _cookies, _next
from hopcheck.config.options import Options, UsageError
from hopcheck.config.target import check_expect_status, parse_target
from hopcheck.engine.replay import replay
from hopcheck.model.redact import redact_headers, redact_text, redact_url
from tests.steps.edits import Edit

PIECES = (
    "http://", "https://", "//", "/", ":", "::1", "[", "]", "[::1", "[::1\xff]", "@", "?", "#", "%",
    "%zz", "%00", "&", "=", ";", ",", ".", "..", "*", "*.", "`", "'", '"', "\\", "{", "}", "(", ")",
    "${x}", "||", "&&", "!", "Host(`", "PathPrefix(`", "HostRegexp(`", "[a-z", "(?P<", "\n", "\r",
    "\x00", "\x1b[31m", "\u202e", "\udcff", "\xff", "한글", "xn--", "xn--a", "99999", "-1", "0",
    "1e999", "٣", "a" * 300, "myapp.example.com", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "time=", "level=error ", "msg=", '{"level":"error","time":', "E0101 10:00:00.000000 1 x.go:1]",
    "token=", "Bearer ", "password: ", "v3.", "sha256:", "200-", "999",
)  # fmt: skip


def texts(seed: str, count: int = 400) -> Iterator[str]:
    dice = random.Random(seed)
    yield from PIECES
    for _ in range(count):
        yield "".join(dice.choices(PIECES, k=dice.randint(1, 7)))


def redirected(text: str) -> None:
    request = Request(
        scheme="https", authority="myapp.example.com", host="myapp.example.com", path="/",
        address="127.0.0.1", port=443, connect_to=("127.0.0.1", 443),
    )  # fmt: skip

    async def follow() -> None:
        progress = Progress(lambda: 0.0)
        progress.status, progress.headers = 302, (("location", text), ("set-cookie", text))
        _next(Run(Options()), request, progress, override=True)
        _cookies(request, progress)

    asyncio.run(follow())


def asked(text: str) -> None:
    for parse in (parse_target, check_expect_status):
        with contextlib.suppress(UsageError):
            parse(text)


def judged(text: str) -> None:
    """An application's headers and body, a redirect's end, and a certificate's dates and names."""
    edited = Edit()
    edited.answer(302, text, location=text, server=text, content_type=text)
    for probe in edited.probes("client"):
        probe["redirected_to"] = text
    edited.certificate(subject=text, issuer=text, names=[text], not_before=text, not_after=text)
    edited.data["taken_at"] = text
    edited.ingress["metadata"]["creationTimestamp"] = text
    edited.annotate(router__middlewares=text, router__entrypoints=text, router__priority=text)
    for pod in (*edited.traefik_pods, *edited.app_pods):
        pod["metadata"]["creationTimestamp"] = pod["status"]["podIP"] = text
    edited.traefik_pods[0]["spec"]["containers"][0]["args"] += [text, f"--{text}"]
    for host in edited.health():
        host["Target"]["Id"] = host["HealthCheckPort"] = text
    replay(msgspec.json.decode(msgspec.json.encode(edited.data), type=type(edited.snapshot())))


PARSERS: dict[str, Callable[[str], Any]] = {
    "redirects": redirected,
    "targets": asked,
    "logs": lambda text: parse_log(text),
    "log bytes": lambda text: parse_log(text.encode("utf-8", "surrogateescape")),
    "moments": moment,
    "rules": lambda text: (hosts_in(text), looks_v2(text)),
    "matches": lambda text: matches(text, "myapp.example.com", text, version=None, protocol="http"),
    "paths": routing_path,
    "versions": parse_version,
    "images": version_of_image,
    "redaction": lambda text: (redact_text(text), redact_url(text), redact_headers([(text, text)])),
}  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_any_text_is_parsed(name: str) -> None:
    for text in texts(name):
        try:
            PARSERS[name](text)
        except Exception as error:
            error.add_note(ascii(text))
            raise


def test_any_text_is_judged() -> None:
    for text in texts("judged", 20):
        if "\udcff" in text:
            continue  # no JSON holds it
        try:
            judged(text)
        except Exception as error:
            error.add_note(ascii(text))
            raise
