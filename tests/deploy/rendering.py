"""deploy/ as `kubectl kustomize` renders it."""

import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KUBECTL = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or "kubectl"


@cache
def rendered(directory: Path) -> tuple[dict[str, Any], ...]:
    done = subprocess.run(
        [KUBECTL, "kustomize", str(directory)], capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def one(objects: tuple[dict[str, Any], ...], kind: str, name: str = "hopcheck") -> dict[str, Any]:
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found
