"""The list that every run walks: the rules of the shipped check files, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hopcheck.model import Step
from hopcheck.steps.rule import Rule


def checks_directory() -> Path:
    """Where the shipped checks are: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "checks"
    return inside if inside.is_dir() else package.parent / "checks"


@cache
def shipped_rules() -> Mapping[Step, tuple[Rule, ...]]:
    """The rules of each step, as its check file lists them. Raises ImportError without the file."""
    names = {step: f"test_{step.number}_{step.value.replace('-', '_')}" for step in Step}
    folder = checks_directory()
    return {step: module_of(folder / f"{name}.py", name).RULES for step, name in names.items()}


def module_of(path: Path, name: str) -> Any:
    """The module of a file, by its path alone. Raises ImportError without the file."""
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
