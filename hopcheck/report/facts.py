"""Which of a step's facts are shown beside the path, which shows the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopcheck.model import Hop

_PATH_KEYS = frozenset(
    f"{hop.value}.{part}" for hop in Hop for part in ("label", "members", "detail", "na")
)


def beside_path(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without those that `hopcheck.path` has made the hops of ("dns.label", …)."""
    return {str(key): value for key, value in facts.items() if key not in _PATH_KEYS}
