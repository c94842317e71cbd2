"""Results of pure functions kept by the identity of what they were made from.

Evidence is immutable and large: comparing or hashing it would cost more than what is saved. All
seven judges look at the same objects of a host, and the hosts of a fleet at the same pods.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """The last `size` results. What they were made from is kept too, so that no id is reused."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: dict[tuple[Hashable, ...], tuple[tuple[Any, ...], T]] = {}

    def get(self, objects: tuple[Any, ...], make: Callable[[], T], *values: Hashable) -> T:
        """The result for these very `objects` and equal `values`; `make` where there is none."""
        key = (*map(id, objects), *values)
        known = self._found.get(key)
        if known is not None:
            return known[1]
        made = make()
        if len(self._found) >= self._size:
            self._found.pop(next(iter(self._found)), None)
        self._found[key] = (objects, made)
        return made
