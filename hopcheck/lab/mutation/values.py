"""New values for a field: what somebody's slip, or another value that exists, makes of the old."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

REMOVE = object()  # the key or item is left out
ABSENT = object()  # the field is not there yet

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_ANY = re.compile(r".+", re.DOTALL)


@dataclass
class World:
    """Values that exist somewhere on the path, by what they are."""

    values: dict[str, list[Any]] = field(default_factory=dict)

    def of(self, what: str) -> list[Any]:
        """The values of that sort."""
        return self.values.get(what, [])


# A new value for an old one; the old one itself where there is none.
Maker = Callable[[Any, World, Random], Any]


def _slip(text: str, chance: Random) -> str:
    """One slip of the finger among the letters and digits of `text`."""
    places = [n for n, letter in enumerate(text) if letter.isalnum()]
    if not places:
        return text
    n = chance.choice(places)
    match chance.choice(("swap", "drop", "double", "other")):
        case "swap" if n + 1 < len(text) and text[n + 1].isalnum():
            return text[:n] + text[n + 1] + text[n] + text[n + 2 :]
        case "drop":
            return text[:n] + text[n + 1 :]
        case "double":
            return text[:n] + text[n] * 2 + text[n + 1 :]
        case _:
            letters = "0123456789" if text[n].isdigit() else "abcdefghijklmnopqrstuvwxyz"
            return text[:n] + chance.choice(letters) + text[n + 1 :]


def _typo(form: re.Pattern[str]) -> Maker:
    """A slip that the API would still accept."""

    def make(old: Any, _world: World, chance: Random) -> Any:
        if not isinstance(old, str):
            return old
        for _ in range(20):
            new = _slip(old, chance)
            if new != old and form.fullmatch(new):
                return new
        return old

    return make


label_typo, name_typo, host_typo = _typo(_LABEL), _typo(_NAME), _typo(_HOST)
port_name_typo, typo = _typo(_PORT_NAME), _typo(_ANY)


def other(what: str) -> Maker:
    """Another existing value of that sort."""

    def make(old: Any, world: World, chance: Random) -> Any:
        pool = [value for value in world.of(what) if value != old]
        return chance.choice(pool) if pool else old

    return make


def one_of(*values: Any) -> Maker:
    """One of these values."""

    def make(old: Any, _world: World, chance: Random) -> Any:
        pool = [value for value in values if value != old]
        return chance.choice(pool) if pool else old

    return make


def remove(old: Any, _world: World, _chance: Random) -> Any:
    """Leave the field out."""
    return old if old is ABSENT else REMOVE


def flip(old: Any, _world: World, _chance: Random) -> Any:
    """The other truth value; absent counts as false."""
    return old in (False, ABSENT)


def near_number(old: Any, _world: World, chance: Random) -> Any:
    """A port that is one off, or with two digits swapped, or a digit short."""
    if not isinstance(old, int):
        return old
    digits = str(old)
    n = chance.randrange(max(1, len(digits) - 1))
    swapped = digits[:n] + digits[n : n + 2][::-1] + digits[n + 2 :]
    found = [old + 1, old - 1, int(swapped), int(digits[:-1] or digits), old * 10]
    fitting = [number for number in found if 0 < number < 65536 and number != old]
    return chance.choice(fitting)


def rename_key(old: Any, _world: World, chance: Random) -> Any:
    """A mapping with a slip in one of its keys."""
    if not isinstance(old, dict) or not old:
        return old
    key = chance.choice(sorted(old))
    new = label_typo(key, _world, chance)
    return {new if name == key else name: value for name, value in old.items()}


def swap_keys(old: Any, _world: World, _chance: Random) -> Any:
    """A mapping whose first two values have changed places."""
    if not isinstance(old, dict) or len(old) < 2:
        return old
    first, second = sorted(old)[:2]
    return old | {first: old[second], second: old[first]}


def add_key(key: str, *values: str) -> Maker:
    """A mapping with one more entry."""

    def make(old: Any, _world: World, chance: Random) -> Any:
        return {**(old if isinstance(old, dict) else {}), key: chance.choice(values)}

    return make


def drop_key(key: str) -> Maker:
    """A mapping without that entry."""

    def make(old: Any, _world: World, _chance: Random) -> Any:
        return {k: v for k, v in old.items() if k != key} if isinstance(old, dict) else old

    return make


def replaced(pattern: str, *texts: str) -> Maker:
    """A text with the first match of `pattern` replaced by one of `texts`."""

    def make(old: Any, _world: World, chance: Random) -> Any:
        if not isinstance(old, str):
            return old
        text = chance.choice(texts)
        return re.sub(pattern, lambda _match: text, old, count=1)

    return make


def swap_items(key: str) -> Maker:
    """A list of mappings in which the first two items have exchanged their values of `key`."""

    def make(old: Any, _world: World, _chance: Random) -> Any:
        if not isinstance(old, list) or len(old) < 2:
            return old
        first, second = old[0], old[1]
        return [first | {key: second.get(key)}, second | {key: first.get(key)}, *old[2:]]

    return make


def choose(makers: Sequence[Maker], old: Any, world: World, chance: Random) -> Any:
    """The new value of a maker drawn by chance; the old one where that maker has none."""
    return chance.choice(list(makers))(old, world, chance)
