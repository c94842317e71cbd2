"""Recorded evidence with any node of what the parties answered made odd."""

import functools
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from hopcheck.model import Snapshot
from tests import recorded

Where = tuple[Any, ...]

_ODD: tuple[Any, ...] = (
    None, "", 0, -1, 443, 99999999999, 1.5, True, False, "80", "true", "x", [], {}, [None], [{}],
    [[]], ["x"], {"x": None}, {"name": None}, "2001:db8::1", "::", "10.0.0.0/33", "a" * 5000,
    "한글\u202e\x00\x1b[31m", "*", "*.", ".", "/", "%zz", "${x}", "<b>&\"'", "9999-99-99T99:99:99Z",
)  # fmt: skip
_PARTIES = ("aws", "kube", "traefik")


@functools.cache
def snapshots() -> dict[str, Any]:
    """Every recording as plain JSON, by its name."""
    found = {name.rpartition("/")[2]: recorded.snapshot(name) for name in recorded.names()}
    found |= {name: recorded.set_up(name) for name in recorded.packed()}
    return {name: json.loads(msgspec.json.encode(one)) for name, one in found.items()}


def nodes(data: Any, at: Where = ()) -> Iterator[Where]:
    """The places of all values below `data`."""
    inside = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in inside:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from nodes(value, (*at, key))


def places(data: Any) -> list[Where]:
    """The places within what a party said; what was noted of the asking is not among them."""
    return [
        (party, *at)
        for party in _PARTIES
        for at in nodes(data[party])
        if "value" in at[:-1] and "log" not in at
    ]


@functools.cache
def with_places() -> list[str]:
    """The names of the recordings in which a party said something."""
    return sorted(name for name, one in snapshots().items() if places(one))


def value_at(data: Any, at: Where) -> Any:
    """The value at that place."""
    for key in at:
        data = data[key]
    return data


def changed(data: Any, at: Where, value: Any, *, delete: bool = False) -> Any:
    """`data` with another value there; what is not on the way is shared."""
    copy = dict(data) if isinstance(data, dict) else list(data)
    if len(at) > 1:
        copy[at[0]] = changed(copy[at[0]], at[1:], value, delete=delete)
    elif delete:
        del copy[at[0]]
    else:
        copy[at[0]] = value
    return copy


def mutated(data: Any, at: Where, dice: random.Random, every: list[Where]) -> Any:
    """`data` with the value there deleted, repeated, rewritten, swapped or replaced."""
    old = value_at(data, at)
    way = dice.randrange(12)
    if way == 0:
        return changed(data, at, None, delete=True)
    if way in (1, 2):
        return changed(data, at, None)
    if way == 3 and isinstance(old, list):
        return changed(data, at, old * dice.choice((2, 2, 50)))
    if way == 4 and isinstance(old, str):
        return changed(data, at, dice.choice((old.upper(), old + " ", [old], old[:-1])))
    if way == 5 and isinstance(old, int):
        return changed(data, at, dice.choice((str(old), float(old), old + 1, [old])))
    if way == 6 and isinstance(old, dict):
        return changed(data, at, [old])
    if way == 7:
        return changed(data, at, value_at(data, dice.choice(every)))
    return changed(data, at, dice.choice(_ODD))


class Source:
    """Variants of all recordings, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def variant(self) -> tuple[str, Snapshot | None]:
        """One variant and what it is; None where no file of evidence could hold it."""
        name = self._dice.choice(with_places())
        data = snapshots()[name]
        every = places(data)
        told = [name]
        for _ in range(self._dice.choice((1, 1, 2, 3, 6))):
            at = self._dice.choice(every)
            try:
                data = mutated(data, at, self._dice, every)
            except (KeyError, IndexError, TypeError):
                continue  # an earlier mutation took the place away
            told.append("/".join(map(str, at)))
        try:
            return "  ".join(told), msgspec.convert(data, Snapshot)
        except msgspec.ValidationError:
            return "  ".join(told), None
