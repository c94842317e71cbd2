"""A single edit of one field of one object, and the reading and writing of fields by path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from hopcheck.lab.cloud.model import Action
from hopcheck.lab.mutation.values import ABSENT, REMOVE, Maker

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Name = tuple[str, str, str]  # kind, namespace ("" for none), name

_STEP = re.compile(r"([^.\[\]]+)|\[(\*|\d+)\]")


@dataclass(frozen=True)
class Edit:
    """One edit; `names` are the report's names of what was edited, `hop` codes that bound it.

    `names` holds the object before and after (where the edit renames it) and what owns it: a
    pod's workload, a target's group.
    """

    what: str
    names: frozenset[Name]
    apply: Callable[[Lab], Awaitable[None]]
    hop: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class Field:
    """A field by its path ("spec.ports[*].targetPort") and what an edit may make of it."""

    path: str
    makers: tuple[Maker, ...]


def steps(path: str, root: Any, chance: Random) -> list[str | int] | None:
    """The path's keys and indexes, each ``[*]`` drawn by chance; None where a list is empty."""
    found: list[str | int] = []
    here = root
    for key, index in _STEP.findall(path):
        if index:
            if not isinstance(here, list) or not here:
                return None
            place = chance.randrange(len(here)) if index == "*" else int(index)
            found.append(place)
        else:
            found.append(key)
        here = child(here, found[-1])
    return found


def child(parent: Any, step: str | int) -> Any:
    """One step down a mapping, list or dataclass; ABSENT where there is nothing."""
    if isinstance(step, int):
        return parent[step] if isinstance(parent, list) and step < len(parent) else ABSENT
    if isinstance(parent, dict):
        return parent.get(step, ABSENT)
    return getattr(parent, step, ABSENT)


def read(root: Any, path: list[str | int]) -> Any:
    """The value there, or ABSENT."""
    for step in path:
        root = child(root, step)
    return root


def write(root: Any, path: list[str | int], value: Any) -> None:
    """Put the value there, REMOVE to leave it out; mappings on the way are made."""
    for step in path[:-1]:
        following = child(root, step)
        if following is ABSENT or following is None:
            following = root[step] = {}
        root = following
    last = path[-1]
    if value is REMOVE:
        del root[last]
    elif isinstance(root, dict | list):
        root[last] = value  # type: ignore[index]  # a key for a mapping, a number for a list
    else:
        setattr(root, str(last), value)


def shown(path: list[str | int]) -> str:
    """The path as a person would write it."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def words(value: Any) -> str:
    """A value in a report line: long texts cut, parts of the load balancer by their names."""
    if value is ABSENT:
        return "(none)"
    if value is REMOVE:
        return "(removed)"
    return f"{_short(value)!r}"[:90]


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return f"{value[:12]}…" if len(value) > 60 else value
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, Action):
        return ", ".join(name for name, _weight in value.targets)
    # A zone's or a target's address is another one in each lab.
    return next((getattr(value, key) for key in ("name", "id") if hasattr(value, key)), value)
