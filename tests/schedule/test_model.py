"""Exit codes of a fleet run, by the contract's order."""

import pytest

from hopcheck.catalogue import language
from hopcheck.config.options import HostRun, Options
from hopcheck.model import Coverage, Report, Target, Vantage, Verdict
from hopcheck.schedule import summary
from hopcheck.schedule.fleet_model import FleetHost, FleetResult, HostResult


def one(verdict: Verdict | None, **more: object) -> HostResult:
    target = Target(host="a.example.com")
    report = verdict and Report(
        target=target,
        started_at="2026-02-25T03:00:00Z",
        duration_s=1.0,
        complete=True,
        vantage=Vantage(),
        verdict=verdict,
        headline="",
        coverage=Coverage(seen=7),
        fingerprint="",
        root_causes=(),
        path=(),
        steps=(),
    )
    host = FleetHost(HostRun(target, Options(), "reports"))
    return HostResult(host, "", "", report=report, **more)  # type: ignore[arg-type]


HEALTHY, UNKNOWN, DEGRADED, BROKEN = (
    one(verdict) for verdict in (Verdict.HEALTHY, Verdict.UNKNOWN, Verdict.DEGRADED, Verdict.BROKEN)
)
DEFECT = one(Verdict.HEALTHY, defects={"dns": "Traceback"})
CRASHED = one(None, defects={"": "Traceback"})
SKIPPED = one(None, maintenance="Sun 02:00-04:00")


@pytest.mark.parametrize(
    ("hosts", "problems", "code"),
    [
        ([HEALTHY], (), 0),
        ([HEALTHY, SKIPPED], (), 0),
        ([HEALTHY, UNKNOWN], (), 3),
        ([UNKNOWN, DEGRADED], (), 4),
        ([DEGRADED, BROKEN, UNKNOWN], (), 1),
        ([BROKEN, DEFECT], (), 70),
        ([HEALTHY, CRASHED], (), 70),
        ([HEALTHY], ("ingresses could not be read",), 3),
        ([DEGRADED], ("ingresses could not be read",), 4),
        ([], (), 0),
    ],
)
def test_the_worst_counts(hosts: list[HostResult], problems: tuple[str, ...], code: int) -> None:
    assert FleetResult("", "", tuple(hosts), problems=problems).exit_code == code


def test_what_a_result_tells() -> None:
    result = FleetResult("", "", (HEALTHY, SKIPPED, DEFECT, CRASHED))
    assert result.reports == (HEALTHY.report, DEFECT.report)
    assert result.skipped == (SKIPPED,)
    assert result.defective == (DEFECT, CRASHED)


def test_a_run_in_words_of_each_language() -> None:
    result = FleetResult("", "", (HEALTHY, BROKEN, SKIPPED, DEFECT))
    (_, line), *_ = summary.lines(result)
    assert line.startswith("DEFECT ")
    assert list(summary.notes(result))[-1].startswith(
        "4 hosts: 1 defect, 1 broken, 1 healthy, 1 maintenance; "
    )
    english = summary.to_dict(result)
    language.use("ko")
    said = [line for _, line in summary.lines(result)]
    assert [line.split()[0] for line in said] == ["결함", "장애", "정상", "점검"]
    assert list(summary.notes(result))[-1].startswith(
        "호스트 4개: 1 결함, 1 장애, 1 정상, 1 점검; "
    )
    assert summary.to_dict(result) == english


def test_no_host_at_all_is_said_so() -> None:
    result = FleetResult("", "", (), problems=("ingresses could not be read (forbidden)",))
    assert list(summary.notes(result)) == [
        "ingresses could not be read (forbidden)",
        "no hosts; 0.0 s",
    ]
