"""What is said of Traefik's default certificate: why the host's own is not presented."""

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Collected, Finding, Snapshot
from hopcheck.model.kubernetes import TLSOption
from hopcheck.report.evidence import load
from tests.record import SNAPSHOTS


def cause(given: Snapshot) -> Finding:
    (found,) = replay(given).root_causes
    assert (found.code, str(found.object)) == ("REQ007", "Host myapp.example.com")
    assert "Secret default/myapp-tls" in map(str, found.related)
    return found


@pytest.mark.parametrize(
    ("name", "variant"), [("tls-secret-garbled", "unusable"), ("tls-san", "other")]
)
def test_it_says_what_is_wrong_with_the_secret(name: str, variant: str) -> None:
    found = cause(load(SNAPSHOTS / f"{name}.json.gz"))
    assert found.params["variant"] == variant
    assert "default/myapp-tls" in found.fix
    assert ("private key does not match public key" in found.message) == (variant == "unusable")


def test_what_a_later_configuration_has_overtaken_is_not_repeated() -> None:
    given = load(SNAPSHOTS / "tls-secret-garbled.json.gz")
    replicas = tuple(
        msgspec.structs.replace(
            one,
            metrics=Collected(
                value={**one.metrics.get(), "traefik_config_last_reload_success": 4e9}
            ),
        )
        for one in given.traefik.replicas
    )
    traefik = msgspec.structs.replace(given.traefik, replicas=replicas)
    found = cause(msgspec.structs.replace(given, traefik=traefik))
    assert found.params["variant"] == "other"


def test_settings_are_shown_as_people_write_them() -> None:
    (found,) = replay(load(SNAPSHOTS / "tls-client-certificate.json.gz")).root_causes
    assert found.code == "ING018"
    assert "(clientAuth: RequireAnyClientCert)" in found.message


def test_a_tls_option_of_another_name_is_not_taken_for_the_routes() -> None:
    given = load(SNAPSHOTS / "tls-snistrict.json.gz")
    (own,) = (option for option in given.kube.every(TLSOption) if option.spec.sni_strict)
    metadata = msgspec.structs.replace(own.metadata, name="def", namespace="another")
    other = msgspec.structs.replace(own, metadata=metadata)
    lists = given.kube.lists | {"tlsoptions": Collected(value=(other, own))}
    (found,) = replay(
        msgspec.structs.replace(given, kube=msgspec.structs.replace(given.kube, lists=lists))
    ).root_causes
    assert (found.code, str(found.object)) == ("ING018", "TLSOption default/default")
