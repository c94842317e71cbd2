"""Where the host's request is sent behind the load balancer."""

from hopcheck.model import Hop
from hopcheck.scene.probes import HopTarget, plain_targets
from hopcheck.scene.scene import Scene
from tests.recorded import snapshot


def ports(targets: list[HopTarget], hop: Hop) -> set[int]:
    return {target.port for target in targets if target.hop is hop}


def test_a_listener_that_passes_tls_on_asks_what_the_url_asks() -> None:
    assert plain_targets(Scene(snapshot("healthy"))) == []
    assert plain_targets(Scene(snapshot("tg-nodeport-drift"))) == []


def test_plain_text_behind_a_listener_that_ends_tls() -> None:
    targets = plain_targets(Scene(snapshot("nlb-acm-cert")))
    assert ports(targets, Hop.NODE) == {30000}
    assert ports(targets, Hop.TRAEFIK_POD) == {8080}
    assert {target.scheme for target in targets} == {"http"}
    assert not any(target.forwarded for target in targets)


def test_an_application_load_balancer_tells_what_the_client_asked() -> None:
    targets = plain_targets(Scene(snapshot("alb-cert")))
    assert ports(targets, Hop.NODE) == {30000}
    assert all(target.forwarded for target in targets)


def test_tls_again_behind_the_listener() -> None:
    assert plain_targets(Scene(snapshot("alb-https-to-web"))) == []
