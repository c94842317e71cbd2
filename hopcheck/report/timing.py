"""Request timing as a waterfall, and the certificate: from a step's facts to what is shown."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from hopcheck.report.labels import label
from hopcheck.report.text import in_words

_PHASES = ("dns", "connect", "tls", "first_byte")


def waterfall(value: Any, most: int) -> list[dict[str, Any]]:
    """The requests of model.Timing as JSON (one, a list, or a table by name), at most `most`.

    Each has its phases one after the other; widths and places are in thousandths of the longest
    request. Empty where `value` is no timing.
    """
    if isinstance(value, dict):
        named = [{"label": k, **v} for k, v in value.items() if isinstance(v, dict)]
        value = [value] if "total" in value else named
    if not isinstance(value, list):
        return []
    given = [one for one in value if isinstance(one, dict)][:most]
    longest = max((_whole(one) for one in given), default=0.0)
    if not longest:
        return []
    rows = []
    for one in given:
        bars, at = [], 0.0
        spent = [(phase, _seconds(one.get(phase))) for phase in _PHASES]
        rest = _whole(one) - sum(seconds for _, seconds in spent)
        for phase, seconds in [*spent, ("rest", rest)]:
            if seconds > 0.0005:
                x, width = round(1000 * at / longest), max(4, round(1000 * seconds / longest))
                bars.append({"phase": phase, "x": x, "width": width, "ms": f"{1000 * seconds:.0f}"})
                at += seconds
        names = (one.get(key) for key in ("label", "member", "address", "name", "url"))
        name = next((str(name) for name in names if name), "")
        rows.append({"name": name, "bars": bars, "ms": f"{1000 * _whole(one):.0f}"})
    return rows


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if math.isfinite(value) and value > 0 else 0.0


def _whole(timing: Mapping[str, Any]) -> float:
    phases = sum(_seconds(timing.get(phase)) for phase in _PHASES)
    return max(_seconds(timing.get("total")), phases)


def certificate(value: Any, tls: Any, now: str) -> list[tuple[str, str]]:
    """What a certificate says of itself, as (word, text); empty where `value` is none."""
    if not isinstance(value, dict) or "not_after" not in value:
        return []
    begin, end = str(value.get("not_before")), str(value["not_after"])
    valid = label("cert.span", begin=begin, end=end)
    left = _days(now, end)
    if left is not None:
        valid += " · " + label("cert.left" if left >= 0 else "cert.over", days=abs(left))
    rows = [
        ("cert.names", value.get("names")),
        ("cert.valid", valid),
        ("cert.verified", value.get("verified")),
        ("cert.issuer", value.get("issuer")),
        ("cert.chain", value.get("chain")),
        ("cert.session", tls),
    ]
    return [(label(key), in_words(said)) for key, said in rows if said not in (None, "", [])]


def _days(now: str, then: str) -> int | None:
    try:
        between = dt.datetime.fromisoformat(then) - dt.datetime.fromisoformat(now)
    except (ValueError, TypeError):
        return None
    return between.days
