"""Static configuration: flags, shells, environment, files, and which of them counts."""

from typing import Any

import pytest

from hopcheck.behaviour.traefik.flags import command_line, parse_flags
from hopcheck.behaviour.traefik.static import StaticConfig, config_files, static_config
from hopcheck.behaviour.traefik.version import (
    Version,
    parse_version,
    quotes_rules,
    uses_endpoint,
    version_of_image,
)
from hopcheck.model import Collected, KubeEvidence, Why
from hopcheck.model.kubernetes import EndpointConditions, Pod
from tests.objects import made

CHART = [
    "--global.checkNewVersion",
    "--global.sendAnonymousUsage",
    "--entryPoints.metrics.address=:9100/tcp",
    "--entryPoints.traefik.address=:8080/tcp",
    "--entryPoints.web.address=:8000/tcp",
    "--entryPoints.webSecure.address=:8443/tcp",
    "--entryPoints.dns.address=:5353/udp",
    "--api.dashboard=true",
    "--ping=true",
    "--metrics.prometheus=true",
    "--metrics.prometheus.entrypoint=metrics",
    "--providers.kubernetescrd",
    "--providers.kubernetescrd.allowEmptyServices=true",
    "--providers.kubernetesingress",
    "--providers.kubernetesingress.allowEmptyServices=true",
    "--providers.kubernetesingress.ingressClass=public",
    "--providers.kubernetesingress.namespaces=a",
    "--providers.kubernetesingress.namespaces=b,c",
    "--entryPoints.web.http.redirections.entryPoint.to=webSecure",
    "--entryPoints.web.http.redirections.entryPoint.permanent=false",
    "--entryPoints.webSecure.http.tls=true",
    "--entryPoints.webSecure.http.tls.certResolver=le",
    "--entryPoints.webSecure.proxyProtocol.trustedIPs=10.0.0.0/8,192.168.0.0/16",
    "--certificatesResolvers.le.acme.email=a@example.com",
    "--log.level=info",
    "--log.format=json",
    "--accesslog=true",
]


def pod(
    args: list[str] | None = None,
    command: list[str] | None = None,
    env: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> Pod:
    container = {"name": "traefik", "image": "traefik:v3.1", "args": args or [], "env": env or []}
    if command is not None:
        container["command"] = command
    container.update(spec.pop("container", {}))
    return made(
        Pod,
        metadata={"namespace": "ns", "name": "traefik-1"},
        spec={"containers": [{"name": "side", "image": "busybox"}, container], **spec},
    )


def test_arguments_of_the_chart() -> None:
    config = static_config(pod(CHART))
    assert config.known
    assert set(config.entry_points) == {"metrics", "traefik", "web", "webSecure", "dns"}
    web, secure = config.entry_points["web"], config.entry_points["webSecure"]
    assert (web.host, web.port, web.protocol, web.tls) == ("", 8000, "tcp", False)
    assert web.redirect_to == "webSecure"
    assert (secure.port, secure.tls) == (8443, True)
    assert secure.proxy_protocol
    assert not web.proxy_protocol
    assert config.entry_points["dns"].protocol == "udp"
    assert config.default_entry_points(Version(3, 1)) == ("metrics", "web", "webSecure")
    assert config.ingress.enabled
    assert config.ingress.ingress_class == "public"
    assert config.ingress.namespaces == ("a", "b", "c")
    assert config.crd.enabled
    assert config.crd.ingress_class == ""
    assert (config.api_insecure, config.ping) == (False, True)
    assert config.cert_resolvers == ("le",)
    assert (config.unknown, config.ignored, config.doubtful) == ((), (), ())


def test_as_default_counts_from_v3_on() -> None:
    config = static_config(
        pod(
            [
                "--entrypoints.a.address=:1",
                "--entrypoints.b.address=:2",
                "--entrypoints.b.asdefault",
            ]
        )
    )
    assert config.default_entry_points(Version(2, 11, 3)) == ("a", "b")
    assert config.default_entry_points(Version(3, 0, 0)) == ("b",)


def test_defaults_without_any_setting() -> None:
    config = static_config(pod([]))
    assert config.known
    assert {n: e.port for n, e in config.entry_points.items()} == {"http": 80}
    assert not config.ingress.enabled
    assert not config.crd.enabled


def test_internal_entry_point_is_added_where_needed() -> None:
    assert static_config(pod(["--ping"])).entry_points["traefik"].port == 8080
    assert "traefik" not in static_config(pod(["--api"])).entry_points
    own = static_config(pod(["--api.insecure", "--entrypoints.traefik.address=:9000"]))
    assert own.entry_points["traefik"].port == 9000
    manual = static_config(pod(["--ping", "--ping.manualrouting"]))
    assert "traefik" not in manual.entry_points


def test_a_section_can_be_switched_off() -> None:
    config = static_config(
        pod(["--providers.kubernetesingress=false", "--entrypoints.w.http.tls=false", "--ping=0"])
    )
    assert not config.ingress.enabled
    assert not config.entry_points["w"].tls
    assert not config.ping


def test_words_after_a_word_without_dash_are_not_read() -> None:
    # Seen with 3.7.15: `--entrypoints.x.asdefault true …` drops all that follows.
    flags = parse_flags(["--api.insecure", "true", "--ping"])
    assert flags.values == {"api.insecure": "true"}
    assert flags.ignored == ("true", "--ping")


def test_separate_values() -> None:
    flags = parse_flags(
        ["--log.level", "DEBUG", "-providers.file.filename", "/f.yml",
         "--entrypoints.web.address", ":80", "--ping"]
    )  # fmt: skip
    assert flags.values == {
        "log.level": "DEBUG",
        "providers.file.filename": "/f.yml",
        "entrypoints.web.address": ":80",
        "ping": "true",
    }
    assert flags.doubtful == ("--entrypoints.web.address",)


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        ([], ["--ping"], ["--ping"]),
        ([], ["traefik", "--ping"], ["--ping"]),
        (["traefik"], ["--ping"], ["--ping"]),
        (["/usr/local/bin/traefik", "--api"], ["--ping"], ["--api", "--ping"]),
        (["/entrypoint.sh"], ["--ping"], ["--ping"]),
        (["/entrypoint.sh", "traefik"], ["--ping"], ["--ping"]),
        (["/sbin/tini", "--", "traefik"], ["--ping"], ["--ping"]),
        (["sh", "-c", "exec traefik --api --log.level='INFO'"], [], ["--api", "--log.level=INFO"]),
        (["/bin/sh", "-c"], ["sleep 1 && traefik \\\n --ping; echo x"], ["--ping"]),
        (["sh", "-c", 'exec traefik "$@"', "--"], ["--ping"], ["--ping"]),
        (["sh", "-c", "traefik $EXTRA"], [], None),
        (["sh", "/start.sh"], [], None),
        (["sh", "-c", "run 'x"], [], None),
        (["/run.sh"], ["--ping"], None),
    ],
)
def test_command_lines(command: list[str], args: list[str], expected: list[str] | None) -> None:
    assert command_line(command, args) == expected


def test_unreadable_command_is_not_known() -> None:
    config = static_config(pod(command=["sh", "-c", "traefik $ARGS"]))
    assert not config.known
    assert config.entry_points == {}


def test_environment_only_without_arguments() -> None:
    env = [
        {"name": "TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", "value": "127.0.0.1:81"},
        {"name": "TRAEFIK_PROVIDERS_KUBERNETESINGRESS", "value": "true"},
        {"name": "TRAEFIK_SERVICE_HOST", "value": "10.0.0.1"},
    ]
    config = static_config(pod(env=env))
    assert (config.entry_points["web"].host, config.entry_points["web"].port) == ("127.0.0.1", 81)
    assert config.ingress.enabled
    assert config.unknown == ()
    beside = static_config(pod(["--ping"], env=env))
    assert beside.ping
    assert not beside.ingress.enabled
    hidden = [{"name": "TRAEFIK_API_INSECURE", "valueFrom": {"secretKeyRef": {}}}]
    assert not static_config(pod(env=hidden)).known


YAML = """
entryPoints:
  webSecure:
    address: "[::]:443"
    http: {tls: {}, middlewares: [a@file, b@file]}
providers:
  kubernetesCRD: {allowCrossNamespace: true}
  kubernetesIngress:
    labelSelector: tier=public
ping: {}
certificatesResolvers: {le: {acme: {tlsChallenge: {}}}}
"""
TOML = '[entryPoints.web]\naddress = ":80"\n[providers.kubernetesIngress]\nnamespaces = ["a","b"]\n'


def test_file_beats_arguments() -> None:
    config = static_config(
        pod(["--configFile=/c/t.yml", "--api.insecure"]), files={"/c/t.yml": YAML}
    )
    secure = config.entry_points["webSecure"]
    assert (secure.host, secure.port, secure.tls) == ("::", 443, True)
    assert secure.middlewares == ("a@file", "b@file")
    assert config.crd.allow_cross_namespace
    assert config.ingress.label_selector == "tier=public"
    assert config.ping
    assert not config.api_insecure
    assert config.cert_resolvers == ("le",)
    assert config.unknown == ()


def test_file_at_its_default_place_beats_arguments() -> None:
    config = static_config(pod(["--api.insecure"]), files={"/etc/traefik/traefik.toml": TOML})
    assert not config.api_insecure
    assert config.ingress.namespaces == ("a", "b")


@pytest.mark.parametrize("text", ["a: [", "- x", "a: &a [*a]"])
def test_broken_file_is_not_known(text: str) -> None:
    assert not static_config(pod(), files={"/etc/traefik/traefik.yml": text}).known


def test_file_that_was_not_seen_is_not_known() -> None:
    assert not static_config(pod(["--configfile", "/secret/t.yml"])).known
    for source, known in (({"secret": {"secretName": "s"}}, False), ({"emptyDir": {}}, True)):
        mounted = pod(
            ["--ping"],
            container={"volumeMounts": [{"name": "v", "mountPath": "/etc/traefik"}]},
            volumes=[{"name": "v", **source}],
        )
        assert static_config(mounted).known is known


def test_unknown_settings() -> None:
    config = static_config(
        pod(
            [
                "--provider.kubernetesingress",
                "--providers.kubernetesingres",
                "--entrypoints.w.adress=:1",
            ]
        )
    )
    assert config.unknown == (
        "provider.kubernetesingress",
        "providers.kubernetesingres",
        "entrypoints.w.adress",
    )


def test_view_reads_mounted_files() -> None:
    mounted = pod(
        ["--configfile=/config/traefik.yaml"],
        container={
            "image": "docker.io/library/traefik:3.6.7@sha256:00",
            "volumeMounts": [
                {"name": "v", "mountPath": "/config"},
                {"name": "v", "mountPath": "/one.yml", "subPath": "traefik.yaml"},
            ],
        },
        volumes=[{"name": "v", "configMap": {"name": "cm"}}],
    )
    kube = KubeEvidence(
        objects={"configmaps@ns/cm": Collected(value={"data": {"traefik.yaml": YAML, "other": ""}})}
    )
    assert config_files(mounted, mounted.spec.containers[1], kube) == {
        "/config/traefik.yaml": YAML,
        "/config/other": "",
        "/one.yml": YAML,
    }
    files = config_files(mounted, mounted.spec.containers[1], kube)
    assert static_config(mounted, files=files).ping
    denied = KubeEvidence(objects={"configmaps@ns/cm": Collected(why=Why.DENIED)})
    unread = config_files(mounted, mounted.spec.containers[1], denied)
    assert not static_config(mounted, files=unread).known
    assert static_config(Pod()) == StaticConfig()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("traefik:v3.1", Version(3, 1)),
        ("docker.io/library/traefik:3.6.7", Version(3, 6, 7)),
        ("rancher/mirrored-library-traefik:2.11.2", Version(2, 11, 2)),
        ("reg:5000/traefik:v3.7.15-alpine@sha256:ab", Version(3, 7, 15)),
        ("traefik:3", Version(3)),
        ("traefik:v2.11", Version(2, 11)),
        ("traefik@sha256:ab", None),
        ("traefik:latest", None),
        ("reg:5000/traefik", None),
        ("traefik:20240101", None),
        ("traefik:chateau", None),
    ],
)
def test_version_of_image(image: str, expected: Version | None) -> None:
    assert version_of_image(image) == expected


def test_version_order() -> None:
    assert Version(3, 6).at_least(3, 6, 99)
    assert not Version(3, 6, 6).at_least(3, 6, 7)
    assert Version(3, 10, 0).at_least(3, 7)
    assert not Version(2, 11, 53).at_least(3)
    assert parse_version("v3.7.0-rc.1") == Version(3, 7, 0)
    assert quotes_rules(Version(2, 11, 47))
    assert not quotes_rules(Version(3, 6, 10))


@pytest.mark.parametrize(
    ("version", "used"),
    [  # ready/serving: nil/nil, true/nil, false/true, true/false, false/false, nil/true
        (Version(2, 11, 3), "110101"),
        (Version(3, 0, 4), "110101"),
        (Version(3, 1, 0), "010100"),
        (Version(3, 3, 0), "011101"),
        (Version(3, 6, 6), "011101"),
        (Version(3, 6, 7), "111001"),
        (Version(3, 7, 15), "111001"),
        (None, "111001"),
    ],
)
def test_uses_endpoint(version: Version | None, used: str) -> None:
    states = [
        (None, None),
        (True, None),
        (False, True),
        (True, False),
        (False, False),
        (None, True),
    ]
    answers = [uses_endpoint(version, EndpointConditions(ready=r, serving=s)) for r, s in states]
    assert "".join("1" if each else "0" for each in answers) == used
