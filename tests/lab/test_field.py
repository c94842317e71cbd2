"""Reports from the field: each state can be made, is what it says, and is mended; the judge."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from hopcheck.lab.accuracy import field_table
from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.faults.gallery import DNS
from hopcheck.lab.field import REPORTS
from hopcheck.lab.field.gallery import Named, Report, nothing
from hopcheck.lab.field.judge import judge
from hopcheck.lab.field.proof import prove, seen
from hopcheck.lab.lab import Lab
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import HOST
from hopcheck.lab.trials import Field, Result

Obj = dict[str, Any]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


def test_every_report_is_there() -> None:
    numbers = sorted(int(name.removeprefix("f")) for name in REPORTS)
    assert numbers == [*range(1, 15), *range(20, 30)]


@pytest.mark.parametrize("name", REPORTS)
def test_each_can_be_made_and_mended(lab: RunningLab, name: str) -> None:
    row = REPORTS[name]

    async def made() -> None:
        mend = await row.arrange(lab.lab)
        await lab.lab.settle()
        await prove(lab.lab, row.url(), row.happens)
        await mend()
        await lab.lab.settle()
        await prove(lab.lab, row.url(), row.mended)

    try:
        lab.run(made())
    finally:
        lab.heal()
    assert lab.run(seen(lab.lab, f"https://{HOST}/")) == "200"


def test_one_is_tried_as_a_whole(lab: RunningLab) -> None:
    async def tried() -> list[Result]:
        async with Diagnoser(lab.lab) as diagnoser:
            return await Field("f20").run(lab.lab, diagnoser)

    broken, mended = lab.run(tried())
    lab.heal()
    assert broken.found == "degraded: TGT005 Listener myapp-nlb:443"
    assert (broken.wrong, mended.wrong) == ("", "")


def test_a_state_that_is_not_what_it_says_is_not_judged(lab: RunningLab) -> None:
    with pytest.raises(RuntimeError, match="gives '200', not '404 of Traefik'"):
        lab.run(prove(lab.lab, f"https://{HOST}/", "404 of Traefik"))


def test_pods_see_the_node_behind_a_node_port_and_the_client_with_policy_local(
    lab: RunningLab,
) -> None:
    """What f2 is about: kube-proxy writes the node's address over the client's."""
    nodes = {node.address for node in lab.lab.plan.nodes}

    def clients(policy: str) -> set[str]:
        lab.call(
            lambda: lab.lab.store.patch(
                "services",
                "api-gateway-system",
                "traefik",
                lambda obj: obj["spec"].update(externalTrafficPolicy=policy),
            )
        )
        lab.settle()
        node, path = lab.lab.plan.nodes[0], f"/by-{policy}"
        url = f"http://{node.address}:{lab.lab.plan.node_ports['web']}{path}"
        httpx.get(url, headers={"Host": HOST}, trust_env=False)

        def written() -> set[str]:
            lines = [line for one in lab.lab._traefik.values() for _, line in one.log()]
            found = (line.partition('"ClientHost":"')[2] for line in lines if path in line)
            return {one.partition('"')[0] for one in found}

        until = time.monotonic() + 10
        while not written() and time.monotonic() < until:
            time.sleep(0.05)
        return written()

    assert clients("Cluster") <= nodes
    assert clients("Local") == {"127.0.0.1"}
    lab.heal()


# --- the judge


async def _arrange(_lab: Lab) -> Any:
    return nothing


ROW = Report(
    "f0",
    "A record.",
    _arrange,
    (Named(DNS, "DNSRecord", HOST),),
    "reset",
    innocent=("Service shop/web",),
    says="the new name",
    never="restart",
)


def finding(kind: str = "DNSRecord", name: str = HOST, **more: Any) -> Obj:
    said = {
        "title": "",
        "message": "Write the new name.",
        "fix": "",
        "commands": [],
        "caused_by": [],
    }
    thing = {"kind": kind, "name": name, "namespace": more.pop("namespace", None)}
    return {"code": "DNS006", "severity": "error", "step": DNS, "object": thing} | said | more


def innocent(**more: Any) -> Obj:
    return finding("Service", "web", namespace="shop", **more)


def report(causes: list[Obj], *others: Obj, verdict: str = "broken") -> Obj:
    steps = [{"step": DNS, "findings": [*causes, *others]}]
    return {"verdict": verdict, "root_causes": causes, "steps": steps}


@pytest.mark.parametrize(
    ("given", "wrong", "half"),
    [
        (report([finding()]), "", False),
        (report([finding(), finding(name="a")]), "accused: DNS006 DNSRecord a", True),
        (report([finding(), innocent()]), "accused: DNS006 Service shop/web", False),
        (report([finding()], innocent()), "a finding at DNS006 Service shop/web", True),
        (report([finding()], innocent(severity="info")), "", False),
        (report([finding()], innocent(caused_by=["x"])), "", False),
        (report([innocent()]), "not named: dns DNSRecord .*; accused: .*", False),
        (report([]), "not named: .*", False),
        (report([], finding(severity="warning"), verdict="healthy"), "not named: .* healthy", True),
        (report([finding()], verdict="unknown"), "the verdict is unknown", True),
        (report([finding(message="?")]), "does not say 'the new name'", True),
        (report([finding(fix="restart it")]), "says 'restart'", False),
        (report([finding(step="ingress")]), "not named: .*", False),
    ],
)
def test_right_half_right_wrong(given: Obj, wrong: str, half: bool) -> None:
    found, partly = judge(given, ROW)
    assert re.fullmatch(wrong, found)
    assert partly is half


def test_what_works_must_give_no_alarm() -> None:
    row = replace(ROW, expected=())
    assert judge(report([], innocent(severity="info"), verdict="healthy"), row) == ("", False)
    warned = report([], innocent(severity="warning"), verdict="healthy")
    assert judge(warned, row) == ("false alarm: warning DNS006 Service shop/web", False)


def test_the_table() -> None:
    results = [
        Result("field", "f20", "a", "broken: TGT005 Listener b", 1.0),
        Result("field", "f1", "a", "broken: ING011 Ingress c", 1.0, "accused: c"),
        Result("field", "f2", "a", "healthy", 1.0, "not named", half=True),
        Result("mended", "f20", "healthy", "healthy", 1.0),
        Result("mended", "f1", "healthy", "degraded", 1.0, "false alarm: warning x"),
    ]
    lines = field_table(results).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| f1", "| f2", "| f20"]
    assert lines[2].endswith("| broken: ING011 Ingress c | wrong | false alarm |")
    assert lines[3].endswith("| healthy | half right |  |")
    assert lines[4].endswith("| broken: TGT005 Listener b | right | healthy |")
    assert lines[-1] == "1 right, 1 half right, 1 wrong of 3; mended, 1 of 2 are healthy."
