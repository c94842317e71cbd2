"""Recorded evidence of every healthy set-up: no error, no warning, whatever part is hidden."""

import dataclasses
import json
import random
from collections.abc import Iterator

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.lab.setups import SETUPS
from hopcheck.model import (
    Collected,
    ErrorKind,
    Exchange,
    Hop,
    Report,
    Severity,
    Snapshot,
    Status,
    Verdict,
    Why,
)
from hopcheck.report.json import to_json
from tests.judging import restricted
from tests.recorded import packed, report, report_of_set_up
from tests.recorded import set_up as snapshot
from tests.steps.test_blindness import denied_aws, denied_kube, denied_list


def loud(report: Report) -> list[str]:
    return [
        f"{finding.code} {finding.object}"
        for step in report.steps
        for finding in step.findings
        if finding.severity is not Severity.INFO
    ]


def quiet(given: Snapshot) -> None:
    report = replay(given)
    assert loud(report) == []
    assert report.verdict is Verdict.HEALTHY


def test_every_set_up_is_recorded() -> None:
    assert list(packed()) == list(SETUPS)


@pytest.mark.parametrize("name", SETUPS)
def test_no_false_alarm(name: str) -> None:
    assert SETUPS[name].alarms(json.loads(to_json(report_of_set_up(name)))) == ""


def test_an_alarm_is_told() -> None:
    setup = SETUPS["dns-alias"]
    told = json.loads(to_json(report_of_set_up("dns-alias")))
    assert "expected steps" in dataclasses.replace(setup, steps="uuuuuuu").alarms(told)
    assert "expected healthy" in setup.alarms(told | {"verdict": "unknown"})
    broken = json.loads(to_json(report("svc-selector")))
    assert "error END001 Service my-app-service" in setup.alarms(broken)


@pytest.mark.parametrize("name", SETUPS)
def test_without_what_is_behind_the_load_balancer(name: str) -> None:
    """From a notebook: no request to nodes and pods, nothing of Traefik's API, no log."""
    given = snapshot(name)
    hidden = Collected(why=Why.NOT_REACHABLE_FROM_HERE)
    http = msgspec.structs.replace(given.http, hops=(hidden,))
    if "go-404" in name:  # then nothing tells the application's 404 from Traefik's
        http = given.http
    no_api = tuple(
        msgspec.structs.replace(
            replica, routers=hidden, tcp_routers=hidden, services=hidden, entrypoints=hidden,
            overview=hidden, version=hidden, log=replica.log if "go-404" in name else hidden,
        )
        for replica in given.traefik.replicas
    )  # fmt: skip
    traefik = msgspec.structs.replace(given.traefik, replicas=no_api)
    quiet(msgspec.structs.replace(given, http=http, traefik=traefik))


@pytest.mark.parametrize("why", [Why.DENIED, Why.NOT_CONFIGURED])
@pytest.mark.parametrize("name", [name for name in SETUPS if "go-404" not in name])
def test_without_the_cluster_or_aws(name: str, why: Why) -> None:
    given = snapshot(name)
    quiet(denied_kube(given, why))
    quiet(denied_aws(given, why))
    quiet(restricted(given, frozenset({"dns", "http"})))


@pytest.mark.parametrize("name", SETUPS)
def test_with_lists_denied(name: str) -> None:
    """Three lists of each, drawn from a fixed seed, are forbidden."""
    given = snapshot(name)
    keys = sorted(given.kube.lists)
    for key in random.Random(name).sample(keys, min(3, len(keys))):
        report = replay(denied_list(given, key))
        assert (key, loud(report)) == (key, [])
        assert report.verdict is Verdict.HEALTHY
        assert Status.FAIL not in {step.status for step in report.steps}


GONE = Collected(why=Why.DENIED, detail="forbidden", source="x")
HARD = ["another-controller", "nlb-local", "acme-solver", "tls-passthrough", "two-instances"]
SOME = [*HARD, *random.Random(3).sample([n for n in SETUPS if "go-404" not in n], 10)]


def parts(given: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    """The evidence with each part of it forbidden in turn."""
    changed = msgspec.structs.replace
    for key in given.kube.lists:
        yield key, denied_list(given, key)
    for key in ("listeners", "rules", "target_health", "target_group_attributes"):
        gone = dict.fromkeys(getattr(given.aws, key), GONE)
        yield key, changed(given, aws=changed(given.aws, **{key: gone}))
    for key in ("target_groups", "security_groups", "network_interfaces", "instances"):
        yield key, changed(given, aws=changed(given.aws, **{key: GONE}))
    for key in ("routers", "tcp_routers", "services", "overview", "entrypoints", "version", "log"):
        every = [changed(one, **{key: GONE}) for one in given.traefik.replicas]
        yield key, changed(given, traefik=changed(given.traefik, replicas=tuple(every)))
        one = (*every[:1], *given.traefik.replicas[1:])
        yield f"one {key}", changed(given, traefik=changed(given.traefik, replicas=one))


@pytest.mark.parametrize("name", dict.fromkeys(SOME))
def test_with_each_part_denied(name: str) -> None:
    found = {part: said for part, given in parts(snapshot(name)) if (said := loud(replay(given)))}
    assert found == {}


def unreached(given: Snapshot, hops: set[Hop], error: ErrorKind) -> Snapshot:
    """Nothing of these hops answers to us, whatever Traefik and the load balancer may."""
    found = []
    for collected in given.http.hops:
        if collected.seen and collected.get().exchanges and collected.get().hop in hops:
            probe = collected.get()
            last = probe.exchanges[-1]
            lost = Exchange(
                url=last.url, address=last.address, port=last.port, error=error,
                error_text="from here", error_phase="connect",
            )  # fmt: skip
            value = msgspec.structs.replace(probe, exchanges=(lost,), redirected_to=None)
            collected = msgspec.structs.replace(collected, value=value)
        found.append(collected)
    return msgspec.structs.replace(given, http=msgspec.structs.replace(given.http, hops=(*found,)))


@pytest.mark.parametrize("error", [ErrorKind.CONNECT_TIMEOUT, ErrorKind.REFUSED, ErrorKind.RESET])
@pytest.mark.parametrize("hops", [{Hop.NODE}, {Hop.POD}, {Hop.NODE, Hop.TRAEFIK_POD, Hop.POD}])
@pytest.mark.parametrize("name", ["dns-alias", "alb-pods", "nlb-local", "https-backend", "metallb"])
def test_what_a_firewall_hides_from_us_is_not_broken(
    name: str, hops: set[Hop], error: ErrorKind
) -> None:
    """Policies, meshes and security groups admit Traefik and the load balancer, and not us."""
    quiet(unreached(snapshot(name), hops, error))


def test_one_forwarder_of_several_that_is_down_is_no_wrong_port() -> None:
    plain = msgspec.to_builtins(snapshot("node-forwarders"))
    for described in plain["aws"]["target_health"].values():
        health = {"State": "unhealthy", "Reason": "Target.FailedHealthChecks"}
        described["value"] = [{**described["value"][0], "TargetHealth": health},
                              *described["value"][1:]]  # fmt: skip
    report = replay(msgspec.convert(plain, Snapshot))
    codes = {finding.code for step in report.steps for finding in step.findings}
    assert "TGT014" not in codes
    assert "TGT017" in codes
