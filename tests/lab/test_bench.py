"""What the bench compares with, and the sums of the profile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hopcheck.lab import bench, profile
from hopcheck.lab.running import RunningLab

TOLD = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   urllib3.util
import time:      2000 |       2000 |     botocore.hooks
import time:       500 |       2600 | botocore
hopcheck: a note
"""


def test_imports_are_summed_by_package() -> None:
    assert profile.imports(TOLD) == {"botocore": 0.0025, "urllib3": 0.0001}
    assert [*profile.imports(TOLD)] == ["botocore", "urllib3"]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


@pytest.mark.parametrize("installed", ["dig", "nslookup", ""])
def test_without_dig_it_says_so(
    lab: RunningLab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    installed: str,
) -> None:
    lacking = {"dig", "nslookup"} - {installed}
    monkeypatch.setattr(
        "shutil.which", lambda name, path=None: None if name in lacking else f"/bin/{name}"
    )
    lines = bench.script(lab.lab).splitlines()
    commands = [Path(line.split()[0]).name for line in lines if line]
    assert commands[0].startswith(installed or "python")
    assert commands[-10:] == [*["aws"] * 5, *["kubectl"] * 4, "curl"]
    assert ("dnspython" in capsys.readouterr().err) is (installed == "")
