"""Objects of the APIs, written in tests as their JSON."""

from typing import Any, TypeVar

from hopcheck.model.read import Thing, read

T = TypeVar("T", bound=Thing)


def made(kind: type[T], obj: Any = None, **fields: Any) -> T:
    """`obj` (or `fields`, by the API's names) as a `kind`."""
    found = read(kind, {**(obj or {}), **fields})
    assert found is not None
    return found
