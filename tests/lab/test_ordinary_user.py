"""The lab needs no privilege: with every capability dropped it comes up and is diagnosed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DROP = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
BIND = "import socket; socket.socket().bind(('127.0.0.1', 443))"


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_the_demo_without_any_capability(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        wrapper: list[str] = []  # an ordinary user already
    elif shutil.which("setpriv"):
        wrapper = DROP
    else:
        pytest.skip("setpriv (util-linux) is not installed")
    bind = subprocess.run([*wrapper, sys.executable, "-c", BIND], capture_output=True, check=False)
    if bind.returncode == 0:
        pytest.skip("here anybody may bind port 443")
    done = subprocess.run(
        [*wrapper, sys.executable, "-m", "hopcheck.lab", "demo"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HEALTHY" in done.stdout
    assert "7 of 7 steps seen" in done.stdout
