"""The least of a case that is still disagreed on: objects, routes and endpoints taken away."""

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.conform.grammar import Case, Obj, Request

Part = tuple[int | str, ...]  # the way to an entry of a list, from the list of objects on
_LISTS = ("routes", "rules", "services", "middlewares", "endpoints", "paths", "ports")


def parts(objects: Sequence[Obj]) -> list[Part]:
    """What can be taken away, the large before what is in it."""
    found = [part for at, obj in enumerate(objects) for part in _parts((at,), obj)]
    return sorted([*((at,) for at in range(len(objects))), *found], key=len)


def _parts(way: Part, value: object) -> Iterator[Part]:
    if isinstance(value, dict):
        for key, below in value.items():
            if isinstance(below, list) and key in _LISTS and len(below) > 1:
                yield from ((*way, key, at) for at in range(len(below)))
            yield from _parts((*way, key), below)
    elif isinstance(value, list):
        for at, below in enumerate(value):
            yield from _parts((*way, at), below)


def without(case: Case, taken: Sequence[Part]) -> Case:
    """The case without those parts."""
    objects = copy.deepcopy(case.objects)
    for way in sorted(taken, key=str, reverse=True):
        holder: object = objects
        for step in way[:-1]:
            holder = holder[step]  # type: ignore[index]
        holder[way[-1]] = None  # type: ignore[index]
    return replace(case, objects=_bare(objects))


def _bare(value: object) -> list[Obj]:
    """Without the entries of lists that were struck out."""
    if isinstance(value, dict):
        return {key: _bare(below) for key, below in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [_bare(below) for below in value if below is not None]  # type: ignore[misc]
    return value  # type: ignore[return-value]


def renumbered(case: Case, number: int) -> Case:
    """The same case under another number, to be loaded beside others."""

    def turned(text: str) -> str:
        return re.sub(rf"\b([kK]){case.number}\b", rf"\g<1>{number}", text)

    requests = [
        Request(one.entry_point, one.scheme, turned(one.host), one.path) for one in case.requests
    ]
    return Case(number, json.loads(turned(json.dumps(case.objects))), requests, case.wrong)


def smallest(case: Case, disagree: Callable[[Sequence[Case]], list[bool]]) -> Case:
    """The case without all that can be taken away; `disagree` tries many at once."""
    for _ in range(4):
        single = parts(case.objects)
        tried = disagree([without(case, [part]) for part in single])
        # Not both a thing and what is in it.
        able: list[Part] = []
        for part, still in zip(single, tried, strict=True):
            if still and not any(part[: len(other)] == other for other in able):
                able.append(part)
        together = [able[: count + 1] for count in range(len(able))]
        answers = disagree([without(case, taken) for taken in together])
        best = [taken for taken, still in zip(together, answers, strict=True) if still]
        if not best:
            return case
        case = without(case, best[-1])
    return case
