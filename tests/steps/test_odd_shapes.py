"""Odd shapes are no facts: they accuse nobody whose requests succeed; what they hide is unknown.

Every declared field of every object in healthy evidence is made odd in turn.
"""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Severity, Snapshot, Status, Step
from hopcheck.model.snapshot import shaped_snapshot
from tests.fuzz.mutations import Where, changed, places, snapshots, value_at
from tests.steps.edits import TRAEFIK_NS, Edit

NAMES = ("healthy", "alb-pods", "full-route")
ODD: tuple[Any, ...] = (None, None, "x", -1, {}, [], 99_999_999)


def kinds_of_places(data: Any) -> Iterator[Where]:
    """The first place of each declared field: that of the same field in another item is like it."""
    seen = set()
    for at in places(data):
        field = tuple("#" if isinstance(key, int) else key for key in at)
        if field not in seen:
            seen.add(field)
            yield at


@pytest.mark.parametrize("name", NAMES)
def test_no_odd_field_accuses_anybody(name: str) -> None:
    data = snapshots()[name]
    accused, dice = {}, random.Random(name)
    for at in kinds_of_places(data):
        odd = dice.choice(ODD)
        if odd is None and at[-1] == "tls":
            continue  # that is how a router without TLS would be written
        try:
            given = msgspec.convert(changed(data, at, odd), Snapshot)
        except msgspec.ValidationError:
            continue  # no file of evidence can hold it
        report = replay(shaped_snapshot(given))
        loud = [f.code for s in report.steps for f in s.findings if f.severity is Severity.ERROR]
        if loud and value_at(data, at) != odd:
            accused["/".join(map(str, at))] = loud
    assert accused == {}


def target_states(state: Any) -> Callable[[Edit], None]:
    def edit(e: Edit) -> None:
        for health in e.aws["target_health"].values():
            for described in health["value"]:
                described["TargetHealth"] = copy.deepcopy(state)

    return edit


def target_ports(e: Edit) -> None:
    for described in e.health():
        described["Target"]["Port"] = -1


def all_pods(key: str) -> Callable[[Edit], None]:
    def edit(e: Edit) -> None:
        for pod in (*e.app_pods, *e.traefik_pods):
            pod[key] = None

    return edit


def slices(key: str, value: Any) -> Callable[[Edit], None]:
    def edit(e: Edit) -> None:
        for one in e.items("endpointslices@default"):
            one["metadata" if key == "labels" else key] = (
                {**one["metadata"], "labels": value} if key == "labels" else value
            )

    return edit


UNKNOWN: dict[str, tuple[Step, Callable[[Edit], None]]] = {
    "targets without State": (Step.TARGET_HEALTH, target_states({})),
    "targets of an unknown state": (Step.TARGET_HEALTH, target_states({"State": "confused"})),
    "targets on port -1": (Step.TARGET_HEALTH, target_ports),
    "a balancer without DNSName": (Step.TARGET_HEALTH, lambda e: e.lb.pop("DNSName")),
    "a balancer of an unknown state": (
        Step.TARGET_HEALTH,
        lambda e: e.lb.update(State={"Code": "confused"}),
    ),
    "a listener on port -1": (Step.TARGET_HEALTH, lambda e: e.listener().update(Port=-1)),
    "pods without status": (Step.TRAEFIK_SERVICE, all_pods("status")),
    "pods with no spec": (Step.ENDPOINTS, all_pods("spec")),
    "Traefik's Service without spec": (
        Step.TRAEFIK_SERVICE,
        lambda e: e.traefik_service.update(spec=None),
    ),
    "a Service without spec": (Step.INGRESS, lambda e: e.service.update(spec=None)),
    "a Service's selector is text": (
        Step.ENDPOINTS,
        lambda e: e.service["spec"].update(selector="app"),
    ),
    "labels of slices": (Step.ENDPOINTS, slices("labels", "x")),
    "slices with text for endpoints": (Step.ENDPOINTS, slices("endpoints", "x")),
    "nodes without status": (
        Step.TARGET_HEALTH,
        lambda e: [node.update(status=None) for node in e.items("nodes")],
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_could_not_be_read_is_unknown(name: str) -> None:
    step, edit = UNKNOWN[name]
    edited = Edit()
    edit(edited)
    report = replay(edited.snapshot())
    said = next(one for one in report.steps if one.step is step)
    assert said.status is Status.UNKNOWN
    assert "could not be read" in (said.reason or "")
    assert [f.code for one in report.steps for f in one.findings] == []


def test_stored_evidence_still_says_what_was_lost() -> None:
    edited = Edit()
    edited.traefik_service["spec"] = None
    first = edited.snapshot()
    again = msgspec.json.decode(msgspec.json.encode(first), type=Snapshot)
    assert again == first
    service = again.kube.one("services", TRAEFIK_NS, "traefik").get()
    assert service.unread


def test_null_where_the_api_writes_it_is_empty() -> None:
    """The slice of a Service that selects nothing has null for endpoints and for ports."""
    edited = Edit("svc-selector")
    for one in edited.items("endpointslices@default"):
        one["endpoints"] = one["ports"] = None
    assert [cause.code for cause in replay(edited.snapshot()).root_causes] == ["END001"]


def test_a_service_whose_name_cannot_be_read_may_be_the_one() -> None:
    edited = Edit()
    edited.service["metadata"]["name"] = None
    edited.fail("read_timeout", "no answer", "first_byte")
    codes = {f.code for s in replay(edited.snapshot()).steps for f in s.findings}
    assert "ING004" not in codes
