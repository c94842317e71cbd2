"""The configuration's tables for the outlets: [notify], [metrics], [serve], publish, base_url."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from hopcheck.catalogue.catalogue import text
from hopcheck.config.file import check_keys
from hopcheck.config.options import Kind, UsageError
from hopcheck.schedule.outlets.incidents import Rules

_TABLES: Mapping[str, Mapping[str, Kind]] = {
    "notify": {"after": "count", "recover_after": "count", "sink": "tables"},
    "metrics": {"textfile": "text", "pushgateway": "text", "job": "text"},
    "serve": {"listen": "text", "probe": "list"},
}
_SINK: Mapping[str, Kind] = {
    "name": "text",
    "url": "text",
    "url_env": "text",
    "alertmanager": "text",
    "hold": "count",
    "owners": "list",
}
_MOST_RUNS = 100


class SinkSettings(Struct, frozen=True):
    """One sink: an apprise URL, or an Alertmanager; `owners` empty: everybody's hosts."""

    name: str
    url: str | None = None
    alertmanager: str | None = None
    hold: int = 1800  # seconds for which Alertmanager keeps an alert that is not told of again
    owners: tuple[str, ...] = ()

    def wants(self, owners: tuple[str, ...]) -> bool:
        """Whether a message about hosts of `owners` goes there."""
        return not self.owners or bool(set(self.owners) & set(owners))


class Outlets(Struct, frozen=True):
    """Where the results of a scheduled run go."""

    rules: Rules = Rules()
    sinks: tuple[SinkSettings, ...] = ()
    textfile: str | None = None
    pushgateway: str | None = None
    job: str = "hopcheck"
    listen: str = "127.0.0.1:9115"
    probe: tuple[str, ...] = ()  # patterns of hosts that /probe may be asked, besides configured


def read_outlets(tables: Mapping[str, Any], source: str | None) -> Outlets:
    """The outlets of a configuration's tables. Raises UsageError."""
    where = source or "configuration"
    notify, metrics, serve = (_table(tables, name, where) for name in _TABLES)
    after = _runs(notify, "after", 2, where)
    sinks = tuple(
        _sink(entry, number, where) for number, entry in enumerate(notify.get("sink", ()), 1)
    )
    names = [sink.name for sink in sinks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(text("usage", "two_sinks", where=where, name=twice))
    return Outlets(
        rules=Rules(after, _runs(notify, "recover_after", after, where)),
        sinks=sinks,
        **metrics,
        **{**serve, "probe": tuple(serve.get("probe", ()))},
    )


def _table(tables: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(text("usage", "table", where=where, name=name))
    check_keys(table, _TABLES[name], f"{where}, [{name}]")
    return table


def _runs(table: Mapping[str, Any], key: str, default: int, where: str) -> int:
    value: int = table.get(key, default)
    if not 1 <= value <= _MOST_RUNS:
        raise UsageError(text("usage", "runs", where=where, key=key, most=_MOST_RUNS))
    return value


def _sink(entry: Any, number: int, where: str) -> SinkSettings:
    here = f"{where}, [[notify.sink]] {number}"
    if not isinstance(entry, dict):
        raise UsageError(text("usage", "sink_table", where=here))
    check_keys(entry, _SINK, here)
    given = [key for key in ("url", "url_env", "alertmanager") if key in entry]
    if len(given) != 1:
        raise UsageError(text("usage", "sink", where=here))
    url = entry.get("url")
    if "url_env" in entry:
        url = os.environ.get(entry["url_env"])
        if not url:
            raise UsageError(text("usage", "sink_env", where=here, name=entry["url_env"]))
    alertmanager = entry.get("alertmanager")
    if alertmanager is not None and not re.match(r"https?://", alertmanager):
        raise UsageError(text("usage", "sink_url", where=here))
    return SinkSettings(
        name=entry.get("name", f"sink {number}" if alertmanager is None else "alertmanager"),
        url=url,
        alertmanager=alertmanager,
        hold=entry.get("hold", 1800),
        owners=tuple(entry.get("owners", ())),
    )
