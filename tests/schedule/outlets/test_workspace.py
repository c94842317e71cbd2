"""A published copy: never half a report behind a stable link, nothing forgotten between pods."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from hopcheck.history.database import History
from hopcheck.history.index import update_index
from hopcheck.model import Report, Verdict
from hopcheck.report.json import to_json
from hopcheck.report.store import HISTORY, write_run
from hopcheck.schedule.outlets.destination import Bucket, DestinationError, Directory, Stored
from hopcheck.schedule.outlets.workspace import FILES, Workspace
from tests.report.examples import BROKEN, HEALTHY, HOST

T0 = dt.datetime(2026, 2, 25, 3, 0, tzinfo=dt.UTC)


def run_on_disk(base: Path, report: Report, minutes: int) -> Path:
    """One run as a diagnosis leaves it, in the history too."""
    when = T0 + dt.timedelta(minutes=minutes)
    report = msgspec.structs.replace(report, started_at=when.strftime("%Y-%m-%dT%H:%M:%SZ"))
    mark = report.started_at.encode()
    files = dict.fromkeys(FILES, mark) | {"report.json": to_json(report)}
    written = write_run(base, HOST, report, files, when)
    with History(base) as history:
        history.record(HOST, report, written.name)
    return written


class Failing(Directory):
    """Takes `budget` writes and then fails, as a network does."""

    def __init__(self, base: Path, budget: int) -> None:
        super().__init__(base)
        self.budget = budget

    def write(self, key: str, data: bytes, *, replaces: str | None = None) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise DestinationError("the network is gone")
        super().write(key, data, replaces=replaces)


@pytest.mark.parametrize("budget", range(11))
def test_whatever_is_cut_short_no_stable_link_leads_to_half_a_report(
    tmp_path: Path, budget: int
) -> None:
    """After a failure at any write: report.html at latest names a run whose directory is whole."""
    out, first = tmp_path / "out", tmp_path / "first"
    Workspace(first, Directory(out)).push_runs([run_on_disk(first, HEALTHY, 0)])
    second = tmp_path / "second"
    workspace = Workspace(second, Failing(out, budget))
    workspace.push_runs([run_on_disk(second, BROKEN, 5)])
    assert bool(workspace.failures) == (budget < 10)
    shown = (out / HOST / "latest" / "report.html").read_text()
    whole = [
        run for run in (out / HOST).glob("2026*")
        if all((run / name).is_file() for name in FILES)
        and (run / "report.html").read_text() == shown
    ]  # fmt: skip
    assert len(whole) == 1
    assert shown == ("2026-02-25T03:05:00Z" if budget == 10 else "2026-02-25T03:00:00Z")


def test_a_new_pod_knows_what_the_last_one_saw(bucket: Bucket, tmp_path: Path) -> None:
    first = Workspace(tmp_path / "pod1", bucket)
    first.pull()
    run = run_on_disk(first.base, HEALTHY, 0)
    first.push_runs([run])
    update_index(first.base, T0)
    first.push_state([HOST])
    assert first.failures == []

    second = Workspace(tmp_path / "pod2", bucket)
    second.pull()
    with History(second.base) as history:
        (row,) = history.healthy(HOST)
    assert row.directory == run.name
    assert second.fetch(HOST, row.directory, ("evidence.json",))
    assert (second.base / row.path / "evidence.json").read_bytes() == b"2026-02-25T03:00:00Z"
    assert not second.fetch(HOST, row.directory, ("nothing.json",))
    assert second.failures == []
    index = bucket.read("index.html")
    assert index is not None
    assert HOST.encode() in index


def test_two_pods_at_once_lose_no_row(bucket: Bucket, tmp_path: Path) -> None:
    pods = [Workspace(tmp_path / f"pod{n}", bucket) for n in range(2)]
    for pod in pods:
        pod.pull()
    for n, pod in enumerate(pods):
        pod.push_runs([run_on_disk(pod.base, BROKEN, 5 * n)])
        pod.push_state([HOST])
        assert pod.failures == []
    last = Workspace(tmp_path / "last", bucket)
    last.pull()
    with History(last.base) as history:
        assert len(history.runs(HOST)) == 2


def test_what_cannot_be_pulled_is_an_error_and_not_an_empty_history(tmp_path: Path) -> None:
    class Deaf(Directory):
        def read(self, key: str) -> Stored | None:
            raise DestinationError(f"{key}: forbidden")

    with pytest.raises(DestinationError, match="forbidden"):
        Workspace(tmp_path / "base", Deaf(tmp_path)).pull()


def test_old_runs_go_and_the_last_healthy_one_stays(tmp_path: Path) -> None:
    base, out = tmp_path / "base", Directory(tmp_path / "out")
    workspace = Workspace(base, out)
    runs = [run_on_disk(base, HEALTHY, 0)]
    runs += [run_on_disk(base, BROKEN, 5 * n) for n in range(1, 6)]
    workspace.push_runs(runs)
    for turn in range(12):  # a twelfth of the hosts in each
        workspace.sweep([HOST], T0 + dt.timedelta(minutes=30 + 5 * turn), 2, 0)
    assert workspace.failures == []
    left = [name for name in out.children(f"{HOST}/") if name != "latest"]
    assert left == sorted(run.name for run in (runs[0], *runs[-2:]))
    with History(base) as history:
        verdicts = [row.verdict for row in history.runs(HOST)]
    assert verdicts == [Verdict.BROKEN] * 5 + [Verdict.HEALTHY]


def test_a_history_that_is_no_file_yet_is_no_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "base", Directory(tmp_path / "out"))
    workspace.pull()
    workspace.push_state([])
    assert workspace.failures == []
    assert not (tmp_path / "out" / HISTORY).exists()
