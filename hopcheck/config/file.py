"""The configuration file, and which of options, file and defaults holds for a host."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hopcheck.catalogue import catalogue
from hopcheck.catalogue.language import prefer
from hopcheck.config.options import (
    TYPES,
    HostRun,
    Kind,
    Options,
    UsageError,
    build_options,
    given,
    made,
    options_at,
)
from hopcheck.config.target import parse_target


class Config(Struct, frozen=True):
    """A configuration file: defaults, a table for each host by its name, the fleet's settings.

    A name with ``*`` in it is a pattern: its table holds for every host that matches.
    """

    defaults: dict[str, Any] = {}
    hosts: dict[str, dict[str, Any]] = {}
    source: str | None = None
    fleet: dict[str, Any] = {}
    outlets: dict[str, Any] = {}

    def values_for(self, name: str) -> dict[str, Any]:
        """The settings of host `name`: its table's, before those of patterns, before defaults.

        Of several patterns the longest is the closest.
        """
        values = dict(self.defaults)
        patterns = [p for p in self.hosts if "*" in p and fnmatchcase(name, p.lower())]
        for pattern in sorted(patterns, key=lambda p: (len(p), p)):
            values |= {k: v for k, v in self.hosts[pattern].items() if k != "sample"}
        return values | self.hosts.get(name, {})


def load_config(path: str | None, directory: Path) -> Config:
    """Read `path`, or hopcheck.toml or pyproject.toml's [tool.hopcheck] in `directory`.

    Raises UsageError for a file that is named and missing, for bad TOML and unknown keys.
    """
    usual = (directory / "hopcheck.toml", directory / "pyproject.toml")
    for file in [Path(path)] if path is not None else filter(Path.is_file, usual):
        table = _toml(file)
        if file.name == "pyproject.toml":
            table = table.get("tool", {}).get("hopcheck", None if path is None else {})
        if table is not None:
            return _checked(table, str(file))
    return Config()


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(catalogue.text("usage", "configuration", file=file, error=error)) from None


def _kinds(*places: str) -> dict[str, Kind]:
    return {row.key: row.kind for row in options_at(*places)}


def _checked(table: Mapping[str, Any], source: str) -> Config:
    check_keys(table, _kinds("file", "top", "fleet", "outlets"), source)
    hosts: dict[str, dict[str, Any]] = {}
    for entry in table.get("host", []):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise UsageError(catalogue.text("usage", "host_name", source=source))
        where = catalogue.text("usage", "of_host", source=source, name=entry["name"])
        check_keys(entry, _kinds("file", "host"), where)
        hosts[entry["name"]] = {key: value for key, value in entry.items() if key != "name"}

    def at(place: str) -> dict[str, Any]:
        return {row.key: table[row.key] for row in options_at(place) if row.key in table}

    defaults = at("file")
    if "checks" in table:
        named = table["checks"]
        directories = [named] if isinstance(named, str) else named
        defaults["checks"] = [str(Path(source).parent / each) for each in directories]
    if "lang" in defaults:
        try:
            prefer(defaults["lang"])
        except ValueError as error:
            raise UsageError(f"{source}: {error}") from None
    return Config(
        defaults=defaults, hosts=hosts, source=source, fleet=at("fleet"), outlets=at("outlets")
    )


def check_keys(table: Mapping[str, Any], known: Mapping[str, Kind], where: str) -> None:
    """Raises UsageError for an unknown key (naming the nearest) or a value of another type."""
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise UsageError(
                catalogue.text("usage", "unknown_key", where=where, key=key, near=near[0])
            )
        wanted = TYPES[kind := known[key]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            name = wanted.__name__ if isinstance(wanted, type) else catalogue.text("usage", kind)
            raise UsageError(catalogue.text("usage", "type", where=where, key=key, type=name))
        items: list[object] = value if isinstance(value, list) and kind != "tables" else []
        if not all(isinstance(each, str) for each in items):
            raise UsageError(catalogue.text("usage", "texts", where=where, key=key))


def host_runs(
    typed: Sequence[str], command_line: Mapping[str, Any], config: Config
) -> tuple[HostRun, ...]:
    """The runs of a command: options beat the host's table, which beats the file's defaults.

    Hosts named twice are diagnosed once. Raises UsageError.
    """
    typed_options = given(command_line)
    runs: dict[str, HostRun] = {}
    for text in typed:
        name = parse_target(text).host
        values = {**config.values_for(name), **config.hosts.get(text, {}), **typed_options}
        bare = "://" not in text
        target = parse_target(
            text,
            scheme=values.get("scheme") if bare or "scheme" in typed_options else None,
            path=values.get("path") if bare or "path" in typed_options else None,
            expect_status=str(values["expect_status"]) if "expect_status" in values else None,
        )
        target = msgspec.structs.replace(target, **made("target", values))
        run = HostRun(target, build_options(values), **made("run", values))
        runs.setdefault(msgspec.json.encode(target).decode(), run)
    return tuple(runs.values())


def replay_options(host: str, command_line: Mapping[str, Any], config: Config) -> Options:
    """The options for judging stored evidence of `host` again. Raises UsageError."""
    values = {**config.defaults, **config.hosts.get(host, {}), **given(command_line)}
    judging = {row.key for row in options_at("again")}
    return build_options({key: value for key, value in values.items() if key in judging})
