"""Stored evidence as judges rely on it, whatever wrote or edited the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.model.evidence import Collected, Snapshot, Why


def shaped_snapshot(snapshot: Snapshot) -> Snapshot:
    """The snapshot in which each piece of evidence has a value or a reason: INVALID without both.

    Reading it twice changes nothing more.
    """
    return _told(snapshot)  # type: ignore[no-any-return]


def _told(value: Any) -> Any:
    if isinstance(value, Collected):
        lacks = value.value is None and value.why is None
        return replace(value, why=Why.INVALID) if lacks else value
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        changed = {name: told for name, one in fields.items() if (told := _told(one)) is not one}
        return replace(value, **changed) if changed else value
    if isinstance(value, Mapping):
        made = {key: _told(one) for key, one in value.items()}
        return made if any(made[key] is not value[key] for key in value) else value
    if isinstance(value, tuple):
        told = tuple(map(_told, value))
        return told if any(a is not b for a, b in zip(told, value, strict=True)) else value
    return value
