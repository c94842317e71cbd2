"""What Traefik speaks to the pods, and which pods are asked again in the other scheme."""

import pytest

from hopcheck.behaviour.traefik.logs import moment, overtaken, parse_line
from hopcheck.behaviour.traefik.route import Backend, Route, scheme_to, transport_of
from hopcheck.behaviour.traefik.static import static_config
from hopcheck.model.kubernetes import Pod, Service, ServicePort
from hopcheck.scene.probes import other_scheme_targets
from tests.objects import made
from tests.steps.edits import Edit

NOTE = "traefik.ingress.kubernetes.io/service."


def route(kind: str = "Ingress") -> Route:
    return Route(kind, "one", "r", "t/traefik", "kubernetes", "", "", "v3")  # type: ignore[arg-type]


def service(**annotations: str) -> Service:
    return made(Service, metadata={"annotations": {NOTE + k: v for k, v in annotations.items()}})


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (ServicePort(port=80), "http"),
        (ServicePort(port=443), "https"),
        (ServicePort(port=8443, name="https-api"), "https"),
        (ServicePort(port=8443, name="api-https"), "http"),
    ],
)
def test_the_port_tells_the_scheme(port: ServicePort, expected: str) -> None:
    backend = Backend("one", "app", port.port)
    assert scheme_to(route(), backend, service(), port) == expected
    assert scheme_to(route("IngressRoute"), backend, service(), port) == expected


def test_the_annotation_is_read_for_ingresses_only() -> None:
    backend, port = Backend("one", "app", 443), ServicePort(port=443)
    noted = service(serversScheme="http")
    assert scheme_to(route(), backend, noted, port) == "http"
    assert scheme_to(route("IngressRoute"), backend, noted, port) == "https"
    assert scheme_to(None, backend, noted, port) == "http"


def test_the_ingressroute_says_it_itself() -> None:
    backend = Backend("one", "app", 80, scheme="h2c", servers_transport="ca")
    assert scheme_to(route("IngressRoute"), backend, service(), ServicePort(port=80)) == "h2c"
    assert transport_of(route("IngressRoute"), backend, service()) == "ca"
    noted = service(serverstransport="one-ca@kubernetescrd")
    assert transport_of(route(), Backend("one", "app", 80), noted) == "one-ca@kubernetescrd"
    assert transport_of(route("IngressRoute"), Backend("one", "app", 80), noted) == ""


def test_pods_that_answer_are_not_asked_again() -> None:
    assert other_scheme_targets(Edit().snapshot().http.hops) == []


@pytest.mark.parametrize("error", ["reset", "protocol"])
def test_one_pod_is_asked_again_in_the_other_scheme(error: str) -> None:
    edit = Edit()
    edit.fail(error, "closed", "first_byte", hops=("pod",))
    (again,) = other_scheme_targets(edit.snapshot().http.hops)
    first = next(c["value"] for c in edit.http["hops"] if c["value"]["hop"] == "pod")
    assert (again.scheme, again.address, again.port) == ("https", first["address"], first["port"])


def test_a_line_of_the_log_ends_with_the_reload_after_it() -> None:
    words = '2026-11-25T09:42:36.7+09:00 ERR Error configuring TLS error="secret a/b"'
    line = parse_line(words)
    written = moment("2026-11-25T00:42:36Z")
    assert written is not None

    def reloaded(seconds: float) -> dict[str, float]:
        return {"traefik_config_last_reload_success": written + seconds}

    assert not overtaken(line, reloaded(2), 2.0)  # the reload that the line belongs to
    assert overtaken(line, reloaded(4), 2.0)
    assert not overtaken(line, reloaded(4), 10.0)
    assert not overtaken(line, {}, 2.0)
    assert not overtaken(parse_line("no time"), reloaded(99), 2.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("100ms", 0.1), ("1m30s", 90.0), ("5", 5.0), ("0s", 0.0), ("soon", 2.0), ("", 2.0)],
)
def test_the_throttle_of_the_providers(text: str, seconds: float) -> None:
    args = ["--providers.kubernetesingress", f"--providers.providersThrottleDuration={text}"]
    container = {"name": "traefik", "image": "traefik:v3.7", "args": args}
    static = static_config(made(Pod, spec={"containers": [container]}))
    assert static.throttle_s == pytest.approx(seconds)
