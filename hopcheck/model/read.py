"""Objects with types: a field that is declared is kept and read leniently, the others are left out.

An API server, AWS and Traefik answer what their types allow. Compatible servers and objects written
by hand do not always: null for a list, a number as text, an object without metadata. A value that
cannot be brought to the type of its field counts as absent; null is absent, as in Kubernetes' own
decoding.
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


def read(kind: type[T], value: Any) -> T | None:
    """`value`, plain JSON or an object of `kind` already, as a `kind`; None where it is no object.

    What cannot be brought to the type of its field is left out, field by field.
    """
    if isinstance(value, kind):
        return value
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        found: Any = _reader(kind)(value)  # type: ignore[arg-type]  # a type is hashable
        return None if found is UNSET else found


def read_all(kind: type[T], values: Iterable[Any]) -> tuple[T, ...]:
    """Those of `values` that are objects, each as a `kind`."""
    found = (read(kind, value) for value in values)
    return tuple(one for one in found if one is not None)


_Reader = Callable[[Any], Any]


@cache
def _reader(kind: Any) -> _Reader:
    """What reads a value as the type `kind`, field by field; UNSET: it cannot be read so."""
    return _of(inspect.type_info(kind))


def _of(info: inspect.Type) -> _Reader:
    match info:
        case inspect.StructType(cls=cls):
            return lambda value: _struct(cls, value)
        case inspect.UnionType(types=types):
            return _first([_of(one) for one in types if not isinstance(one, inspect.NoneType)])
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            each = _of(item)
            return lambda value: _each(each, value)
        case inspect.DictType(value_type=item):
            each = _of(item)
            return lambda value: _named(each, value)
        case inspect.StrType():
            return _text
        case inspect.IntType():
            return _number
        case inspect.BoolType():
            return _truth
        case inspect.AnyType():
            return lambda value: value
    raise TypeError(f"no field has the type {info}")


def _struct(cls: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return UNSET
    found = {}
    for key, name, reader in _readers(cls):
        given = value.get(key)
        if given is not None:
            one = reader(given)
            if one is not UNSET:
                found[name] = one
    return cls(**found)


@cache
def _readers(cls: Any) -> list[tuple[str, str, _Reader]]:
    """Each field's name in JSON, its attribute and what reads it."""
    fields = msgspec.structs.fields(cls)
    return [(field.encode_name, field.name, _reader(field.type)) for field in fields]


def _first(readers: list[_Reader]) -> _Reader:
    def reads(value: Any) -> Any:
        # A port's name stays text, though text can be read as a number too.
        if isinstance(value, str) and _text in readers:
            return value
        for reader in readers:
            one = reader(value)
            if one is not UNSET:
                return one
        return UNSET

    return reads


def _each(reader: _Reader, value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return UNSET
    return tuple(one for one in map(reader, value) if one is not UNSET)


def _named(reader: _Reader, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return UNSET
    found = {str(key): reader(one) for key, one in value.items() if one is not None}
    return {key: one for key, one in found.items() if one is not UNSET}


def _text(value: Any) -> Any:
    """Text; numbers and truth values as they would be written in YAML."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else UNSET


def _number(value: Any) -> Any:
    """A whole number, also one written as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return UNSET


def _truth(value: Any) -> Any:
    """True or False, also as text."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value, UNSET) if isinstance(value, str) else UNSET
