"""When two faults at once are called rightly told."""

import asyncio
from fnmatch import fnmatchcase

import pytest

from hopcheck.catalogue.catalogue import entries
from hopcheck.lab import pairs
from hopcheck.lab.diagnosis import Diagnosis
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.lab import Lab

INGRESS, APP = "ing-no-host", "app-5xx"  # the first hides the second
SERVICE = "svc-selector"


def finding(name: str, severity: str = "error") -> dict[str, object]:
    (one,) = FAULTS[name].expect
    thing = {"kind": one.kind, "name": one.name, "namespace": one.namespace}
    return {"code": one.code, "object": thing, "severity": severity, "related": []}


def report(*roots: str, warned: tuple[str, ...] = (), **steps: str) -> Diagnosis:
    causes = [finding(name) for name in roots]
    warnings = [finding(name, "warning") for name in warned]
    names = {one.step for one in FAULTS.values()}
    made = [
        {"step": step, "status": steps.get(step.replace("-", "_"), "fail"), "findings": warnings}
        for step in sorted(names)
    ]
    return Diagnosis(1, {"root_causes": causes, "steps": made, "verdict": "broken"})


@pytest.mark.parametrize(
    ("pair", "diagnosis", "expected"),
    [
        ((INGRESS, APP), report(INGRESS, APP), "both"),
        ((INGRESS, APP), report(INGRESS, request="fail"), "hidden"),
        ((INGRESS, APP), report(INGRESS, request="unknown"), "hidden"),
        ((INGRESS, APP), report(INGRESS, request="pass"), ""),  # green, and nobody could see it
        ((INGRESS, APP), report(APP), ""),  # the application hides no Ingress
        ((INGRESS, APP), report(INGRESS, SERVICE), ""),  # somebody else accused
        ((INGRESS, APP), report(), ""),
        ((INGRESS, APP), report(INGRESS, request="warn", warned=(APP,)), "hidden"),
        (("dns-nxdomain", "tsvc-selector"), report("dns-nxdomain"), ""),  # it can be seen
    ],
)
def test_outcome(pair: pairs.Pair, diagnosis: Diagnosis, expected: str) -> None:
    how, words = pairs.outcome(diagnosis, pair)
    assert how == expected
    assert bool(words) is (how != "both")


def test_what_hides_names_codes_that_exist() -> None:
    for row in pairs.HIDES:
        assert row.because
        for pattern in (*row.first, *row.then):
            assert any(fnmatchcase(code, pattern) for code in entries()), pattern


def test_the_series_is_fixed_and_long_enough() -> None:
    found = pairs.candidates("3.7.15")
    assert found == pairs.candidates("3.7.15") != pairs.candidates("3.7.15", seed=1)
    assert len(found) == len(set(found)) > 10 * pairs.COUNT


def test_what_is_no_pair() -> None:
    async def run() -> dict[pairs.Pair, str]:
        found = {}
        async with Lab() as lab:
            for pair in (
                ("ing-no-host", "ing-svc-missing"),
                ("tsvc-missing", "tsvc-selector"),
                ("dns-nodata", "dns-servfail"),
                ("app-5xx", "ep-crashloop"),
                ("ing-no-host", "svc-selector"),
            ):
                found[pair] = await pairs.inject(lab, pair)
                await lab.heal()
        return found

    found = asyncio.run(run())
    assert "Ingress default/my-app-ingress" in found["ing-no-host", "ing-svc-missing"]
    assert "excluded" in found["tsvc-missing", "tsvc-selector"]
    assert "DNSRecord myapp.example.com" in found["dns-nodata", "dns-servfail"]
    assert "Pods default/my-app" in found["app-5xx", "ep-crashloop"]
    assert found["ing-no-host", "svc-selector"] == ""
