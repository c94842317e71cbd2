"""Objects with types: a field that is declared is kept and read leniently, the others are left out.

An API server, AWS and Traefik answer what their types allow. Compatible servers and objects written
by hand do not always: null for a list, a number as text, an object without metadata. A value that
cannot be brought to the type of its field is left out; null is absent, as in Kubernetes' own
decoding. An entry that lost anything so is marked (`Entry.unread`): what it lacks is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, inspect

T = TypeVar("T")


class Thing(Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """An object of an API. Its fields are read as attributes (``service.spec.node_port``).

    By the API's own names it is read as its JSON is (``obj["metadata"]["name"]``,
    ``obj.get("spec")``): what has the default of its field is absent.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """The field of the API's name `key`; `default` where it is absent or not declared."""
        known = _by_name(type(self)).get(key)
        if known is None:
            return default
        value = getattr(self, known[0])
        return default if _absent(value, known[1]) else value

    def __getitem__(self, key: str) -> Any:
        known = _by_name(type(self))[key]
        return getattr(self, known[0])

    def __contains__(self, key: str) -> bool:
        known = _by_name(type(self)).get(key)
        return known is not None and not _absent(getattr(self, known[0]), known[1])

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The API's names of the fields that are there."""
        return [
            name
            for name, (field, default) in _by_name(type(self)).items()
            if not _absent(getattr(self, field), default)
        ]


class Entry(Thing, frozen=True, kw_only=True):
    """An entry of a list. `unread`: what it lacks may have been there, and could not be read."""

    unread: bool = False

    @property
    def lacking(self) -> bool:
        """Whether it says nothing of what an entry of its kind always does."""
        return False


def _absent(value: Any, default: Any) -> bool:
    return value is default or (value == default and type(value) is type(default))


@cache
def _by_name(kind: type[Thing]) -> dict[str, tuple[str, Any]]:
    """Each field's attribute and default, by the API's name."""
    found = {}
    for field in msgspec.structs.fields(kind):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        found[field.encode_name] = (field.name, default)
    return found


# What a party's JSON may take when it is decoded and read; a page of 500 pods takes a third.
_DECODED = 256 << 20


def decoded(content: bytes, kind: Any = Any) -> Any:
    """JSON as a `kind`. Raises ValueError: no such JSON, nested too deep, or too much of it."""
    size = len(content) + 512 * sum(map(content.count, (b"{", b"["))) + 8 * content.count(b",")
    if size + 32 * content.count(b'"') > _DECODED:
        raise ValueError(f"it holds more than {_DECODED >> 20} MiB")
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read(kind: type[T], value: Any) -> T | None:
    """`value`, plain JSON or an object of `kind` already, as a `kind`; None where it is no object.

    What cannot be brought to the type of its field is left out, field by field.
    """
    if isinstance(value, kind):
        return value
    lost = False
    try:
        found: Any = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        notes: list[str] = []
        found = _reader(kind)(value, notes)  # type: ignore[arg-type]  # a type is hashable
        lost = bool(notes)
    if isinstance(found, Entry) and (lost or found.lacking):
        found = msgspec.structs.replace(found, unread=True)
    return None if found is UNSET else found


def read_all(kind: type[T], values: Iterable[Any]) -> tuple[T, ...]:
    """Each of `values` as a `kind`; what is no object is an entry that could not be read."""
    nothing = kind(unread=True) if issubclass(kind, Entry) else None
    found = (read(kind, value) or nothing for value in values)
    return tuple(one for one in found if one is not None)


# Takes a value and the names of what was lost on the way.
_Reader = Callable[[Any, list[str]], Any]


@cache
def _reader(kind: Any) -> _Reader:
    """What reads a value as the type `kind`, field by field; UNSET: it cannot be read so."""
    return _of(inspect.type_info(kind))


def _of(info: inspect.Type) -> _Reader:
    match info:
        case inspect.StructType(cls=cls):
            return lambda value, lost: _struct(cls, value, lost)
        case inspect.UnionType(types=types):
            return _first([_of(one) for one in types if not isinstance(one, inspect.NoneType)])
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            each = _of(item)
            return lambda value, lost: _each(each, value, lost)
        case inspect.DictType(value_type=item):
            each = _of(item)
            return lambda value, lost: _named(each, value, lost)
        case inspect.StrType():
            return _text
        case inspect.IntType(ge=least, le=most):
            return lambda value, _lost: _number(value, least, most)
        case inspect.BoolType():
            return _truth
        case inspect.AnyType():
            return lambda value, _lost: value
    raise TypeError(f"no field has the type {info}")


def _struct(cls: Any, value: Any, lost: list[str]) -> Any:
    if not isinstance(value, Mapping):
        return UNSET
    found = {}
    for key, name, reader, holds in _readers(cls):
        given = value.get(key)
        one = UNSET if given is None else reader(given, lost)
        if one is not UNSET:
            found[name] = one
        elif given is not None or (holds and key in value):
            lost.append(key)
    return cls(**found)


@cache
def _readers(cls: Any) -> list[tuple[str, str, _Reader, bool]]:
    """Each field's name in JSON, its attribute, what reads it, and whether it holds others.

    No API writes null for what holds others: it is empty, or left out.
    """
    return [
        (
            field.encode_name,
            field.name,
            _reader(field.type),
            isinstance(inspect.type_info(field.type), inspect.StructType | inspect.DictType),
        )
        for field in msgspec.structs.fields(cls)
    ]


def _first(readers: list[_Reader]) -> _Reader:
    def reads(value: Any, lost: list[str]) -> Any:
        # A port's name stays text, though text can be read as a number too.
        if isinstance(value, str) and _text in readers:
            return value
        for reader in readers:
            one = reader(value, lost)
            if one is not UNSET:
                return one
        return UNSET

    return reads


def _each(reader: _Reader, value: Any, lost: list[str]) -> Any:
    if not isinstance(value, list | tuple):
        return UNSET
    found = tuple(one for given in value if (one := reader(given, lost)) is not UNSET)
    if len(found) < len(value):
        lost.append("an item")
    return found


def _named(reader: _Reader, value: Any, lost: list[str]) -> Any:
    if not isinstance(value, Mapping):
        return UNSET
    found = {str(key): reader(one, lost) for key, one in value.items() if one is not None}
    kept = {key: one for key, one in found.items() if one is not UNSET}
    if len(kept) < len(value):
        lost.append("a value")
    return kept


def _text(value: Any, _lost: list[str]) -> Any:
    """Text; numbers and truth values as they would be written in YAML."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else UNSET


def _number(value: Any, least: float | None, most: float | None) -> Any:
    """A whole number within its bounds, also one written as text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return UNSET
    inside = (least is None or value >= least) and (most is None or value <= most)
    return value if inside else UNSET


def _truth(value: Any, _lost: list[str]) -> Any:
    """True or False, also as text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value, UNSET) if isinstance(value, str) else UNSET
