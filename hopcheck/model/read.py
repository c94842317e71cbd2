"""How a value is brought to the type of its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Stands for "cannot be brought to the type": the field is left out.
ABSENT = object()

Shape = Callable[[Any], Any]


def text(value: Any) -> Any:
    """Text; numbers and truth values as they would be written in YAML."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ABSENT


def lower(value: Any) -> Any:
    """A word whose case says nothing."""
    word = text(value)
    return word if word is ABSENT else word.lower()


def number(value: Any) -> Any:
    """A whole number, also one written as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return ABSENT


def port(value: Any) -> Any:
    """A port's number or its name (intOrString): text stays a name."""
    return value if isinstance(value, str) else number(value)


def check_port(value: Any) -> Any:
    """A health check's port as text: a number, or traffic-port."""
    if value == "traffic-port":
        return value
    found = number(value)
    return ABSENT if found is ABSENT else str(found)


def truth(value: Any) -> Any:
    """True or False, also as text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value, ABSENT) if isinstance(value, str) else ABSENT


def anything(value: Any) -> Any:
    """Whatever it is."""
    return value


def each(shape: Shape) -> Shape:
    """A list of these."""

    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return ABSENT
        return [one for one in map(shape, value) if one is not ABSENT]

    return read


def by_name(shape: Shape) -> Shape:
    """These by any name."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return ABSENT
        found = {str(key): shape(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one is not ABSENT}

    return read


def fields(known: Mapping[str, Shape], **always: Any) -> Shape:
    """An object with these fields; `always` names those that are never absent, and what for."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return ABSENT
        found = {}
        for key, one in value.items():
            if one is None:
                continue
            shape = known.get(key)
            result = one if shape is None else shape(one)
            if result is not ABSENT:
                found[key] = result
        for key, default in always.items():
            if key not in found:
                found[key] = default.copy() if isinstance(default, dict | list) else default
        return found

    return read


texts = by_name(text)
objects = each(fields({}))
strings = each(text)
