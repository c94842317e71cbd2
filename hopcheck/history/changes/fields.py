"""How two JSON values differ, field by field, in words of their own paths (pure)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from hopcheck.model import Change, ObjectRef

# What tells the items of a list apart, the most telling first.
_IDENTITIES = (
    "name",
    "host",
    "path",
    "match",
    "containerPort",
    "port",
    "Priority",
    "ip",
    "key",
    "secretName",
    "mountPath",
    "type",
    "kind",
)
# Maps whose keys are the users' own: each key is a field, also where the whole map came or went.
_MAPS = frozenset(
    {"labels", "annotations", "selector", "matchLabels", "nodeSelector", "data", "metadata", "spec"}
)
_PLAIN_KEY = re.compile(r"[\w-]+")
_LONGEST = 1_000  # characters of one value


class Item(Struct, frozen=True):
    """A step of a path into a list: the place, and the item itself (as it is now)."""

    index: int
    value: Any


Path = tuple["str | Item", ...]


class Difference(Struct, frozen=True):
    """One field with its two values, None where there was none.

    Of a list of texts and of a text of many lines, only what went and what came.
    """

    path: Path
    before: Any
    after: Any


def in_words(path: Path) -> str:
    """The path as kubectl writes one: ``spec.ports[0].targetPort``, ``labels["a.b/c"]``."""
    text = ""
    for step in path:
        if isinstance(step, Item):
            text += f"[{step.index}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}"
        else:
            text += f'["{step}"]'
    return text.removeprefix(".")


def changed(ref: ObjectRef, before: Any, after: Any, field: str = "") -> list[Change]:
    """The differences as changes of `ref`, each field's name beginning with `field`."""
    found = differences(before, after, (field,) if field else ())
    return [Change(ref, in_words(one.path), one.before, one.after) for one in found]


def differences(before: Any, after: Any, path: Path = ()) -> Iterator[Difference]:
    """The fields in which `after` is not as `before`; the order of lists does not count."""
    if before == after or (_nothing(before) and _nothing(after)):
        return
    if path and isinstance(path[-1], str) and path[-1] in _MAPS:
        before = {} if _nothing(before) else before
        after = {} if _nothing(after) else after
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            yield from differences(before.get(key), after.get(key), (*path, str(key)))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from _of_lists(before, after, path)
    elif _has_lines(before) or _has_lines(after):
        yield from _of_texts(_lines(before), _lines(after), path)
    else:
        yield Difference(path, _short(before), _short(after))


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, Sequence | Mapping) and not value)


def _has_lines(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value.strip()


def _lines(value: Any) -> list[str]:
    return [line.strip() for line in str(value or "").splitlines() if line.strip()]


def _of_texts(before: Sequence[Any], after: Sequence[Any], path: Path) -> Iterator[Difference]:
    had, has = Counter(map(str, before)), Counter(map(str, after))
    gone, come = list((had - has).elements()), list((has - had).elements())
    if gone or come:
        yield Difference(path, _single(gone), _single(come))


def _single(texts: list[str]) -> Any:
    if not texts:
        return None
    return _short(texts[0] if len(texts) == 1 else texts)


def _of_lists(before: Sequence[Any], after: Sequence[Any], path: Path) -> Iterator[Difference]:
    if not any(isinstance(item, Mapping | list | tuple) for item in (*before, *after)):
        yield from _of_texts(before, after, path)
        return
    pairs, gone, come = _paired(before, after)
    for index, old, new in pairs:
        yield from differences(old, new, (*path, Item(index, new)))
    for index in gone:
        yield Difference((*path, Item(index, before[index])), _short(before[index]), None)
    for index in come:
        yield Difference((*path, Item(index, after[index])), None, _short(after[index]))


_Pairs = list[tuple[int, Any, Any]]


def _paired(before: Sequence[Any], after: Sequence[Any]) -> tuple[_Pairs, list[int], list[int]]:
    """Which item became which, and what went and came (as places in their lists)."""
    left, right = list(range(len(before))), list(range(len(after)))
    pairs: list[tuple[int, int]] = []
    key = _identity(before, after)
    matches: list[Callable[[Any], Any]] = [lambda item: item]
    if key is not None:
        matches.append(partial(_by, key))
    for match in matches:
        for new in tuple(right):
            mine = match(after[new])
            old = next((i for i in left if mine is not None and match(before[i]) == mine), None)
            if old is not None:
                left.remove(old)
                right.remove(new)
                pairs.append((old, new))
    if len(left) == len(right):
        pairs += zip(left, right, strict=True)
        left, right = [], []
    found = [(new, before[old], after[new]) for old, new in sorted(pairs, key=lambda p: p[1])]
    return found, left, right


def _by(key: str, item: Any) -> Any:
    return item.get(key) if isinstance(item, Mapping) else None


def _identity(before: Sequence[Any], after: Sequence[Any]) -> str | None:
    """The first key that tells all items of both lists apart."""
    for key in _IDENTITIES:
        had, has = ([_by(key, item) for item in items] for items in (before, after))
        if _tells(had) and _tells(has) and set(had) & set(has):
            return key
    return None


def _tells(values: Sequence[Any]) -> bool:
    scalar = all(isinstance(value, str | int) for value in values)
    return scalar and len(set(values)) == len(values)


def _short(value: Any) -> Any:
    """The value, long texts in it cut."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return value


def owned(fields: Mapping[str, Any], path: Path) -> bool:
    """Whether managedFields' `fields` (FieldsV1) hold the field of `path`.

    An atomic list or map is one field: it holds whatever is in it. Source: the serialisation of
    sigs.k8s.io/structured-merge-diff/fieldpath ("f:" field, "k:" keyed item, "v:" value).
    """
    node = fields
    for step in path:
        if not node:
            return True
        found = _child(node, step)
        if found is None:
            return False
        node = found
    return True


def _child(node: Mapping[str, Any], step: str | Item) -> Mapping[str, Any] | None:
    if isinstance(step, str):
        found = node.get(f"f:{step}")
        return found if isinstance(found, dict) else None
    for key, child in node.items():
        if key.startswith("k:") and isinstance(child, dict) and _holds(key[2:], step.value):
            return child
    return None


def _holds(written: str, item: Any) -> bool:
    try:
        wanted = json.loads(written)
    except ValueError:
        return False
    if not isinstance(wanted, dict) or not isinstance(item, Mapping):
        return False
    return all(item.get(key) == value for key, value in wanted.items())
