"""Log lines as the real binary writes them (3.7.15, and 2.11's forms from its source)."""

import time

import pytest

from hopcheck.behaviour.traefik.logs import (
    after_last_reload,
    excerpt,
    forbidden_resources,
    parse_line,
    parse_log,
    unauthenticated_kinds,
)
from hopcheck.model import LogLine

ESC = "\x1b"
V3_COLOURED = (
    f"{ESC}[90m2026-11-22T23:50:26Z{ESC}[0m {ESC}[31mERR{ESC}[0m "
    f"{ESC}[1mgithub.com/traefik/traefik/v3/pkg/server/router/router.go:266{ESC}[0m{ESC}[36m >"
    f'{ESC}[0m {ESC}[36merror={ESC}[0m{ESC}[31m{ESC}[1m"middleware \\"nope@file\\" does not exist"'
    f"{ESC}[0m{ESC}[0m {ESC}[36mentryPointName={ESC}[0mweb {ESC}[36mrouterName={ESC}[0mr1@file"
)
V3_PLAIN = (
    "2026-02-25T03:00:00Z ERR Cannot create service "
    'error="service not found" ingress=my-app-ingress namespace=default '
    "providerName=kubernetes serviceName=my-app servicePort=&ServiceBackendPort{Name:,Number:80,}"
)
V3_JSON = (
    '{"level":"error","entryPointName":"web","routerName":"r1@file",'
    '"error":"middleware \\"nope@file\\" does not exist","time":"2026-11-22T23:50:58Z",'
    '"caller":"github.com/traefik/traefik/v3/pkg/server/router/router.go:266"}'
)
V2_TEXT = (
    'time="2026-02-25T03:00:00Z" level=error msg="Cannot create service: service not found" '
    "providerName=kubernetes ingress=my-app-ingress serviceName=my-app namespace=default"
)
V2_JSON = (
    '{"level":"warning","msg":"Skipping service: no endpoints found",'
    '"namespace":"default","ingress":"my-app-ingress","time":"2026-02-25T03:00:00Z"}'
)
KLOG = {
    "0.26": (
        "E0225 03:00:00.000000       1 reflector.go:140] k8s.io/client-go/informers/factory.go:134:"
        " Failed to watch *v1.Ingress: failed to list *v1.Ingress: ingresses.networking.k8s.io is "
        'forbidden: User "system:serviceaccount:edge:traefik" cannot list resource "ingresses" in '
        'API group "networking.k8s.io" at the cluster scope'
    ),
    "0.32": (
        'E0225 03:00:00.000000       1 reflector.go:166] "Unhandled Error" '
        'err="k8s.io/client-go/informers/factory.go:160: Failed to watch *v1.EndpointSlice: failed '
        "to list *v1.EndpointSlice: endpointslices.discovery.k8s.io is forbidden: User "
        '\\"system:serviceaccount:edge:traefik\\" cannot list resource \\"endpointslices\\" in API '
        'group \\"discovery.k8s.io\\" at the cluster scope" logger="UnhandledError"'
    ),
    "0.36": (
        'E0225 03:00:00.000000       1 reflector.go:204] "Failed to watch" err="failed to list '
        '*v1.Secret: secrets is forbidden: User \\"system:serviceaccount:edge:traefik\\" cannot '
        'list resource \\"secrets\\" in API group \\"\\" at the cluster scope" '
        'logger="reflector" type="*v1.Secret"'
    ),
}
COMMON = (
    '10.244.0.1 - - [22/Nov/2026:23:50:55 +0000] "GET / HTTP/1.1" 502 11 "-" "-" 1 '
    '"r2@file" "http://127.0.0.1:9" 0ms'
)
ACCESS_JSON = (
    '{"ClientAddr":"127.0.0.1:32794","DownstreamStatus":502,"OriginStatus":502,'
    '"RequestHost":"ok.example.com","RouterName":"r2@file","ServiceURL":"http://127.0.0.1:9",'
    '"entryPointName":"web","level":"info","msg":"","time":"2026-11-22T23:50:29Z"}'
)


def test_v3_text_coloured_without_a_message():
    line = parse_line(V3_COLOURED)
    assert (line.kind, line.level, line.message) == ("traefik", "error", "")
    assert line.time == "2026-11-22T23:50:26Z"
    assert line.fields == {
        "error": 'middleware "nope@file" does not exist',
        "entryPointName": "web",
        "routerName": "r1@file",
        "caller": "github.com/traefik/traefik/v3/pkg/server/router/router.go:266",
    }
    assert ESC not in line.raw


def test_v3_text_with_message_and_fields():
    line = parse_line(V3_PLAIN)
    assert (line.level, line.message) == ("error", "Cannot create service")
    assert line.fields["error"] == "service not found"
    assert line.fields["serviceName"] == "my-app"
    assert line.fields["servicePort"] == "&ServiceBackendPort{Name:,Number:80,}"


@pytest.mark.parametrize("line", [V3_COLOURED, V3_PLAIN, V3_JSON, V2_TEXT, V2_JSON, COMMON])
def test_the_api_servers_timestamp_comes_first_and_wins(line):
    stamped = parse_line(f"2026-02-25T04:05:06.123456789Z {line}")
    bare = parse_line(line)
    assert stamped.time == "2026-02-25T04:05:06.123456789Z"
    assert (stamped.kind, stamped.level, stamped.message, stamped.fields) == (
        bare.kind,
        bare.level,
        bare.message,
        bare.fields,
    )


def test_v3_json_without_message():
    line = parse_line(V3_JSON)
    assert (line.kind, line.level, line.message) == ("traefik", "error", "")
    assert line.fields["error"] == 'middleware "nope@file" does not exist'
    assert line.time == "2026-11-22T23:50:58Z"


def test_v2_text_and_json():
    text, data = parse_line(V2_TEXT), parse_line(V2_JSON)
    assert (text.level, text.message) == ("error", "Cannot create service: service not found")
    assert text.fields["ingress"] == "my-app-ingress"
    assert (data.level, data.message) == ("warn", "Skipping service: no endpoints found")
    assert data.fields == {"namespace": "default", "ingress": "my-app-ingress"}


def test_access_log_in_both_forms():
    common, data = parse_line(COMMON), parse_line(ACCESS_JSON)
    assert common.kind == data.kind == "access"
    assert common.fields["DownstreamStatus"] == data.fields["DownstreamStatus"] == "502"
    assert common.fields["RouterName"] == data.fields["RouterName"] == "r2@file"
    assert "ClientUsername" not in common.fields
    assert data.fields["RequestHost"] == "ok.example.com"


def test_a_request_no_router_took_has_no_router_in_the_common_format():
    line = COMMON.replace("r2@file", "-").replace("http://127.0.0.1:9", "-").replace("502", "404")
    assert "RouterName" not in parse_line(line).fields


@pytest.mark.parametrize(
    ("release", "resource"),
    [("0.26", "ingresses"), ("0.32", "endpointslices"), ("0.36", "secrets")],
)
def test_forbidden_resources_in_every_wording_of_klog(release, resource):
    line = parse_line(KLOG[release])
    assert (line.kind, line.level) == ("klog", "error")
    assert forbidden_resources([line]) == {resource}


def test_forbidden_is_not_read_from_an_access_log_or_a_403():
    assert forbidden_resources(parse_log(f"{COMMON}\n403 Forbidden\n{V3_PLAIN}")) == set()


def test_broken_utf8_interleaving_and_odd_lines():
    lines = parse_log(b"\xff\xfe\r\n\n" + V3_PLAIN.encode() + b"{broken json\n{broken\n\x00\n[1]")
    assert [line.kind for line in lines] == ["other", "traefik", "other", "other", "other"]
    assert lines[0].message == "\ufffd\ufffd"


def test_long_lines_are_bounded():
    line = parse_line("2026-02-25T03:00:00Z INF " + "x" * 1_000_000)
    assert len(line.raw) <= 2_000
    assert len(line.message) <= 500


def test_hostile_lines_cost_linear_time():
    began = time.monotonic()
    parse_line("2026-02-25T03:00:00Z ERR " + "a=b " * 16_000 + '"')
    parse_line("2026-02-25T03:00:00Z ERR " + 'a="\\' * 16_000)
    parse_line("E0225 03:00:00.000000       1 a.go:1] " + "x.y=" * 16_000)
    parse_line("{" * 60_000)
    assert time.monotonic() - began < 2.0


def test_configuration_received_names_its_provider_behind_its_json():
    line = parse_line(
        '2026-02-25T03:00:00Z DBG f.go:248 > Configuration received config={"http":{"a": "b c"}} '
        "providerName=kubernetes"
    )
    assert line.message.startswith("Configuration received")
    assert line.fields["providerName"] == "kubernetes"


def line(message: str, provider: str | None = None) -> LogLine:
    fields = {"providerName": provider} if provider else {}
    return LogLine(raw=message, level="error", message=message, fields=fields)


def test_after_last_reload_keeps_what_the_last_configuration_of_each_provider_said():
    received = "Configuration received"
    lines = [
        line("old object error", "kubernetes"),
        line(received, "kubernetes"),
        line("crd object error", "kubernetescrd"),
        line(received, "kubernetescrd"),
        line("router error of the old configuration"),
        line("object error", "kubernetes"),
        line(received, "kubernetes"),
        line("router error"),
    ]
    assert [item.message for item in after_last_reload(lines)] == [
        "crd object error",
        received,
        "object error",
        received,
        "router error",
    ]


def test_without_the_marker_every_line_is_kept():
    lines = [line("a"), line("b", "kubernetes")]
    assert after_last_reload(lines) == tuple(lines)


def test_an_excerpt_has_the_lines_around_and_says_which_they_are():
    lines = [
        LogLine(raw="first", kind="traefik"),
        LogLine(raw="second", kind="traefik"),
        LogLine(raw="GET /", kind="access"),
        LogLine(raw="third\u2028of\x0btwo rows", kind="traefik"),
        LogLine(raw="the error", kind="traefik"),
        LogLine(raw="x" * 5000, kind="traefik"),
        LogLine(raw="last", kind="traefik"),
    ]
    text, marks = excerpt(lines, [lines[4]])
    rows = text.split("\n")
    assert rows[:3] == ["second", "third of two rows", "the error"]
    assert len(rows) == 4
    assert len(rows[3]) == 301
    assert marks == (2,)
    assert excerpt(lines, []) == ("", ())
    assert excerpt(lines, [lines[2]])[0] == "first\nsecond\nGET /\nthird of two rows"


@pytest.mark.parametrize(
    "words",
    [
        '"Failed to watch" err="failed to list *v1.Secret: Unauthorized" logger="UnhandledError"',
        '"Unhandled Error" err="k8s.io/client-go: Failed to watch *v1.Secret: failed to list '
        '*v1.Secret: the server has asked for the client to provide credentials"',
        "Failed to watch *v1.Secret: failed to list *v1.Secret: Unauthorized",
    ],
)
def test_a_token_that_the_api_server_does_not_accept(words: str) -> None:
    line = parse_line(f"E1125 14:02:12.129821   18929 reflector.go:227] {words}")
    assert line.kind == "klog"
    assert unauthenticated_kinds([line]) == {"Secret"}
    assert forbidden_resources([line]) == set()
