from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest

from hopcheck.model.kubernetes import Pod
from hopcheck.model.redact import (
    REDACTED,
    redact_headers,
    redact_obj,
    redact_strict,
    redact_text,
    redact_url,
)
from tests.objects import made
from tests.test_planted import FORMS

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl-_x"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc+/=\n-----END RSA PRIVATE KEY-----"
SECRETS = {
    f"Authorization: Bearer {JWT}": "Authorization: REDACTED",
    f"token is {JWT}, sorry": "token is REDACTED, sorry",
    "Bearer a1b2c3d4e5f6": "Bearer REDACTED",
    "used Basic dXNlcjpwYXNz here": "used Basic REDACTED here",
    "https://bob:hunter2@git.example.com/x": "https://REDACTED@git.example.com/x",
    f"key {KEY} end": "key REDACTED end",
    "key -----BEGIN PRIVATE KEY-----\nMIIEow\nabc": "key REDACTED",
    "id AKIAIOSFODNN7EXAMPLE": "id REDACTED",
    "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG": "aws_secret_access_key=REDACTED",
    "AWS_SESSION_TOKEN=IQoJb3": "AWS_SESSION_TOKEN=REDACTED",
    "token IQoJ" + "a" * 90: "token REDACTED",
    "--hub.token=abc123": "--hub.token=REDACTED",
    '{"password":"x y","user":"bob"}': '{"password":"REDACTED","user":"bob"}',
    '{\\"token\\":\\"x y\\"}': '{\\"token\\":\\"REDACTED\\"}',
    "password: hunter2": "password: REDACTED",
    "Cookie: sid=1; b=2": "Cookie: REDACTED",
    '"request_Cookie":"sid=1; b=2","x":1': '"request_Cookie":"REDACTED","x":1',
    "mail from bob.smith+x@example.com now": "mail from REDACTED now",
    '"GET /a?token=abc&page=2 HTTP/1.1" 200': '"GET /a?token=REDACTED&page=REDACTED HTTP/1.1" 200',
    "bob:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/": "bob:REDACTED",
    "bob:$2y$05$abcdefghijklmnopqrstuv": "bob:REDACTED",
    "ghp_" + "a" * 36: "REDACTED",
}
KEPT = [
    "traefik.ingress.kubernetes.io/router.tls.certresolver",
    "traefik.ingress.kubernetes.io/service.sticky.cookie: true",
    "traefik.ingress.kubernetes.io/service.sticky.cookie.name: lb",
    "default-strip@kubernetescrd,default-auth@file",
    'middleware "auth@kubernetescrd.x" does not exist',
    "Host(`myapp.example.com`) && PathPrefix(`/api`)",
    "HostRegexp(`^.+\\.example\\.com$`) && PathRegexp(`^/(?:a|b)?(?=x)(?P<n>c)`)",
    "^https?://localhost/(.*)",
    "--entryPoints.websecure.address=:8443/tcp",
    "--providers.kubernetesingress.ingressendpoint.publishedservice=api-gateway-system/traefik",
    "--certificatesresolvers.letsencrypt.acme.httpchallenge=true",
    "secretName: myapp-tls",
    "secret default/myapp-tls does not exist",
    'secrets "myapp-tls" is forbidden: User "system:serviceaccount:t:traefik" cannot list',
    "failed to get secret: not found",
    "Basic authentication is required",
    'Bearer realm="registry"',
    "automountServiceAccountToken=false",
    "docker-pullable://nginx@sha256:0123456789abcdef",
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/a/b",
    "k8s-apigatew-traefik-0123456789.elb.eu-central-1.amazonaws.com",
    "A myapp.example.com @10.0.0.2",
    "net/http: TLS handshake timeout; tls: unrecognized name",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "",
]


@pytest.mark.parametrize("text", SECRETS)
def test_takes_out_what_is_secret(text: str) -> None:
    assert redact_text(text) == SECRETS[text]


@pytest.mark.parametrize("text", [*KEPT, *SECRETS.values()])
def test_keeps_what_a_diagnosis_needs_and_is_idempotent(text: str) -> None:
    assert redact_text(text) == text


def test_json_log_line_stays_json() -> None:
    line = '{"ClientHost":"10.0.0.1","RequestPath":"/a?k=v\\u0026t=1","request_Authorization":"x"}'
    assert redact_text(line) == (
        '{"ClientHost":"10.0.0.1","RequestPath":"/a?k=REDACTED","request_Authorization":"REDACTED"}'
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://u:p@h.example.com:8443/a?x=1&y#tok",
            "https://REDACTED@h.example.com:8443/a?x=REDACTED&y#REDACTED",
        ),
        ("/login?next", "/login?REDACTED"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
        ("https://h?", "https://h?"),
        (f"https://h/{JWT}", "https://h/REDACTED"),
        ("https://u@/x", "https://REDACTED@/x"),
    ],
)
def test_url(url: str, expected: str) -> None:
    assert redact_url(url) == expected
    assert redact_url(expected) == expected
    urlsplit(expected)  # still a URL


def test_headers_keep_cookie_names_and_attributes() -> None:
    headers = [
        ("set-cookie", "sid=abc; Path=/; HttpOnly"),
        ("Cookie", "a=1; b=2"),
        ("Authorization", "Basic dXNlcjpwYXNz"),
        ("www-authenticate", 'Basic realm="x"'),
        ("location", "https://h/cb?code=1"),
        ("x-api-key", "k"),
        ("server", "nginx"),
    ]
    assert redact_headers(headers) == (
        ("set-cookie", f"sid={REDACTED}; Path=/; HttpOnly"),
        ("Cookie", f"a={REDACTED}; b={REDACTED}"),
        ("Authorization", f"Basic {REDACTED}"),
        ("www-authenticate", 'Basic realm="x"'),
        ("location", f"https://h/cb?code={REDACTED}"),
        ("x-api-key", REDACTED),
        ("server", "nginx"),
    )


def test_object_by_key_and_by_text() -> None:
    obj = {
        "spec": {
            "basicAuth": {
                "secret": "users",
                "users": ["bob:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"],
            },
            "volumes": [{"secret": {"secretName": "tls"}}],
            "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}],
            "headers": {"Authorization": "x", "Cookie": ["a=b", ""]},
            "token": True,
            "n": 3,
        },
        "plugin": {"secret": "x"},
        "pair": ("password", "Bearer a1b2c3d4"),
    }
    assert redact_obj(obj) == {
        "spec": {
            "basicAuth": {"secret": "users", "users": [f"bob:{REDACTED}"]},
            "volumes": [{"secret": {"secretName": "tls"}}],
            "env": [{"name": "DB_PASSWORD", "value": REDACTED}, {"name": "PORT", "value": "80"}],
            "headers": {"Authorization": REDACTED, "Cookie": [REDACTED, ""]},
            "token": True,
            "n": 3,
        },
        "plugin": {"secret": REDACTED},
        "pair": ("password", f"Bearer {REDACTED}"),
    }


def test_an_object_with_types_as_its_json() -> None:
    texts = [*SECRETS, *KEPT]
    obj = {
        "metadata": {"annotations": {f"a{n}": text for n, text in enumerate(texts)}},
        "spec": {
            "containers": [
                {
                    "args": texts,
                    "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}],
                    "livenessProbe": {"httpGet": {"port": "token=abc", "path": "/a?b=c"}},
                    "startupProbe": {"httpGet": {"port": 80, "path": "/a"}},
                }
            ],
            "volumes": [{"name": "v", "secret": {"secretName": "tls"}}],
        },
        "status": {"conditions": [{"type": "Ready", "message": "Bearer a1b2c3d4"}]},
    }
    pod = made(Pod, obj)
    assert redact_obj(pod) == made(Pod, redact_obj(obj))
    assert redact_obj(pod) != pod
    clean = made(Pod, metadata={"name": "app"}, spec={"volumes": obj["spec"]["volumes"]})
    assert redact_obj(clean) is clean


# In Korean what follows a word stands close to it.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AKIAIOSFODNN7EXAMPLE을(를) 찾음", "REDACTED을(를) 찾음"),
        (f"토큰{JWT}이(가) 만료됨", "토큰REDACTED이(가) 만료됨"),
        ("bob@example.com으로 보냄", "REDACTED으로 보냄"),
        ("ip-10-0-1-10에서 10.0.1.10(으)로", "internal-ip-1에서 internal-ip-1(으)로"),
        ("fd00::1은(는) 계정 123456789012의 주소", "internal-ip-1은(는) 계정 account-1의 주소"),
    ],
)
def test_a_particle_hides_nothing(text: str, expected: str) -> None:
    assert redact_strict(text) == expected


def test_strict_gives_the_same_value_the_same_placeholder() -> None:
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/a/b"
    result = redact_strict(
        {
            arn: "10.0.1.10:30001",
            "Account": "123456789012",
            "image": "210987654321.dkr.ecr.eu-central-1.amazonaws.com/a:1.2.3.4.5",
            "node": "ip-10-0-1-10.eu-central-1.compute.internal",
            "public": "52.1.2.3 and 127.0.0.1 and 2a05::1",
            "v6": "[fd00:ec2::1]:80",
            "cidr": "100.64.3.4/32",
        }
    )
    assert result == {
        "arn:aws:elasticloadbalancing:eu-central-1:account-1:loadbalancer/net/a/b": (
            "internal-ip-1:30001"
        ),
        "Account": "account-1",
        "image": "account-2.dkr.ecr.eu-central-1.amazonaws.com/a:1.2.3.4.5",
        "node": "internal-ip-1.eu-central-1.compute.internal",
        "public": "52.1.2.3 and 127.0.0.1 and 2a05::1",
        "v6": "[internal-ip-2]:80",
        "cidr": "internal-ip-3/32",
    }


@pytest.mark.parametrize(
    "hostile",
    [
        "a@" * 50_000,
        "?a=" * 30_000,
        "password=" * 10_000,
        "eyJ" * 30_000,
        "://a:" * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 4_000,
        "Bearer " * 15_000,
        "cookie: " * 10_000,
        "a." * 50_000 + "@",
        "Bearer " + "a" * 100_000,
        'cookie: "' * 10_000,
        "x@" + "a." * 50_000,
    ],
)
def test_hostile_text_costs_linear_time(hostile: str) -> None:
    began = time.process_time()
    redact_text(hostile)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("form", FORMS)
def test_secrets_by_the_word_before_them(form: str) -> None:
    said = redact_text(f"before {form.format('cAnAry001xQ74711')} after")
    assert "cAnAry" not in said
    assert said.endswith(" after")
    assert redact_text(said) == said


@pytest.mark.parametrize("key", ["example.com/api-token", "acme.io/webhook.secret", "db-password"])
def test_annotations_whose_key_says_secret(key: str) -> None:
    assert redact_obj({key: "plain words"}) == {key: REDACTED}


@pytest.mark.parametrize(
    "text",
    [
        "secret default/myapp-tls: not found",
        "token: expired",
        "session: the server closed it",
        "key: app.kubernetes.io/name",
        "could not find the secret: default/tls-2024",
    ],
)
def test_words_of_a_diagnosis_stay(text: str) -> None:
    assert redact_text(text) == text
