"""The configuration file and the reading of options: one place for all of them."""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hopcheck.catalogue import catalogue
from hopcheck.catalogue.catalogue import entries, nearest
from hopcheck.catalogue.language import prefer
from hopcheck.config.options import ConnectTo, HostRun, Options
from hopcheck.config.target import BadTargetError, parse_target
from hopcheck.model import Step


class UsageError(ValueError):
    """An option or the configuration file is wrong; the message is one clear line."""


# Keys of the file (and of one [[host]] table) and the type each must have.
DEFAULTS: Mapping[str, type | tuple[type, ...]] = {
    "kubeconfig": str,
    "context": str,
    "namespace": str,
    "traefik_service": str,
    "resolver": list,
    "connect_to": list,
    "ca_file": str,
    "path": str,
    "scheme": str,
    "expect_status": (str, int),
    "timeout": (int, float),
    "deadline": (int, float),
    "direct_probes": bool,
    "skip": list,
    "require_step": list,
    "strict": bool,
    "redact": str,
    "secrets": bool,
    "reports": str,
    "keep_runs": int,
    "keep_days": int,
    "base_url": str,
    "lang": str,
    "owner": str,
    "aws_profile": str,
    "aws_region": str,
    "maintenance": list,
    "checks": (str, list),
    "certificate_days": int,
    "slow_seconds": (int, float),
}
# What only `hopcheck run` reads.
FLEET: Mapping[str, type | tuple[type, ...]] = {
    "hosts": (str, list),
    "include": list,
    "exclude": list,
    "concurrency": int,
    "write": str,
}
# Where the results of `hopcheck run` go; `hopcheck.schedule.outlets.settings` reads the tables.
OUTLETS: Mapping[str, type | tuple[type, ...]] = {
    "publish": str,
    "notify": dict,
    "metrics": dict,
    "serve": dict,
}
TOP_LEVEL: Mapping[str, type | tuple[type, ...]] = {**DEFAULTS, **FLEET, **OUTLETS, "host": list}
HOST: Mapping[str, type | tuple[type, ...]] = {**DEFAULTS, "name": str, "sample": str}


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
    if path is not None:
        file = Path(path)
        table = _toml(file)
        if file.name == "pyproject.toml":
            table = table.get("tool", {}).get("hopcheck", {})
        return _checked(table, str(file))
    own = directory / "hopcheck.toml"
    if own.is_file():
        return _checked(_toml(own), str(own))
    project = directory / "pyproject.toml"
    if project.is_file():
        table = _toml(project).get("tool", {}).get("hopcheck")
        if table is not None:
            return _checked(table, str(project))
    return Config()


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(catalogue.text("usage", "configuration", file=file, error=error)) from None


def _checked(table: Mapping[str, Any], source: str) -> Config:
    _check_keys(table, TOP_LEVEL, source)
    hosts: dict[str, dict[str, Any]] = {}
    for entry in table.get("host", []):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise UsageError(catalogue.text("usage", "host_name", source=source))
        _check_keys(
            entry, HOST, catalogue.text("usage", "of_host", source=source, name=entry["name"])
        )
        hosts[entry["name"]] = {key: value for key, value in entry.items() if key != "name"}
    defaults = {key: value for key, value in table.items() if key in DEFAULTS}
    if "lang" in defaults:
        try:
            prefer(defaults["lang"])
        except ValueError as error:
            raise UsageError(f"{source}: {error}") from None
    fleet = {key: value for key, value in table.items() if key in FLEET}
    outlets = {key: value for key, value in table.items() if key in OUTLETS}
    return Config(defaults=defaults, hosts=hosts, source=source, fleet=fleet, outlets=outlets)


_NAMES: Mapping[tuple[type, ...], str] = {
    (str, int): "number_text",
    (int, float): "number",
    (str, list): "text_list",
}


def _check_keys(
    table: Mapping[str, Any], known: Mapping[str, type | tuple[type, ...]], where: str
) -> None:
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise UsageError(
                catalogue.text("usage", "unknown_key", where=where, key=key, near=near[0])
            )
        wanted = known[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            names = (
                wanted.__name__
                if isinstance(wanted, type)
                else catalogue.text("usage", _NAMES[wanted])
            )
            raise UsageError(catalogue.text("usage", "type", where=where, key=key, type=names))
        if isinstance(value, list) and key != "host" and not all(isinstance(v, str) for v in value):
            raise UsageError(catalogue.text("usage", "texts", where=where, key=key))


def parse_connect_to(text: str) -> ConnectTo:
    """Curl's HOST:PORT:ADDR:PORT; each field may be empty, addresses may stand in brackets."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d*):(\[[^\]]*\]|[^:]*):(\d*)", text)
    if match is None:
        raise UsageError(catalogue.text("usage", "connect_to", value=text[:60]))
    ports = [int(number) if number else None for number in (match[2], match[4])]
    if any(port is not None and not 0 < port < 65536 for port in ports):
        raise UsageError(catalogue.text("usage", "connect_to_port", value=text[:60]))
    names = [name.strip("[]").lower() or None for name in (match[1], match[3])]
    return ConnectTo(host=names[0], port=ports[0], to_host=names[1], to_port=ports[1])


def _resolver(text: str) -> str:
    host, port = text, 53
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port_text = text.partition(":")
    else:
        port_text = ""
    if port_text:
        if not port_text.isdigit() or not 0 < int(port_text) < 65536:
            raise UsageError(catalogue.text("usage", "resolver", value=text[:60]))
        port = int(port_text)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(
            catalogue.text("usage", "resolver_address", value=text[:60], host=host)
        ) from None
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def build_options(values: Mapping[str, Any]) -> Options:
    """Options from merged values (keys of the file; None and absent mean the default).

    Raises UsageError for a value that cannot be.
    """
    given = {key: value for key, value in values.items() if value not in (None, (), [])}
    made: dict[str, Any] = {}
    for key in ("kubeconfig", "context", "namespace", "ca_file", "owner", "aws_profile",
                "aws_region", "direct_probes", "strict", "secrets"):  # fmt: skip
        if key in given:
            made[key] = given[key]
    for key in ("timeout", "deadline"):
        if key in given:
            made[key] = _seconds(key, given[key])
    made["resolvers"] = tuple(_resolver(text) for text in given.get("resolver", ()))
    made["connect_to"] = tuple(parse_connect_to(text) for text in given.get("connect_to", ()))
    made["checks"] = tuple(_directory(name) for name in _several(given.get("checks", ())))
    made["skip"] = tuple(_skip(text) for text in given.get("skip", ()))
    made["require_steps"] = tuple(_step(text) for text in given.get("require_step", ()))
    if "traefik_service" in given:
        if not re.fullmatch(r"[a-z0-9.-]+/[a-z0-9.-]+", given["traefik_service"]):
            raise UsageError(
                catalogue.text("usage", "traefik_service", value=given["traefik_service"])
            )
        made["traefik_service"] = given["traefik_service"]
    if "redact" in given:
        if given["redact"] not in ("default", "strict"):
            raise UsageError(catalogue.text("usage", "redact", value=given["redact"]))
        made["redact_strict"] = given["redact"] == "strict"
    if "ca_file" in made and not Path(made["ca_file"]).is_file():
        raise UsageError(catalogue.text("usage", "ca_file", file=made["ca_file"]))
    return Options(**made)


def _seconds(key: str, value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise UsageError(catalogue.text("usage", "seconds", key=key, value=value))
    return seconds


def _several(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _directory(name: str) -> str:
    path = Path(name).expanduser()
    if not path.is_dir():
        raise UsageError(catalogue.text("usage", "checks", directory=name))
    return str(path.resolve())


def _skip(text: str) -> str:
    code, sep, name = text.partition("=")
    if code.upper() not in entries():
        raise UsageError(
            catalogue.text("usage", "skip_code", value=text[:60], near=nearest(code)[0])
        )
    if sep and not name.strip():
        raise UsageError(catalogue.text("usage", "skip", value=text[:60]))
    return f"{code.upper()}{sep}{name.strip()}"


def _step(text: str) -> str:
    if text not in set(Step):
        near = difflib.get_close_matches(text, [step.value for step in Step], n=1, cutoff=0.0)
        raise UsageError(catalogue.text("usage", "require_step", value=text[:60], near=near[0]))
    return text


def _thresholds(values: Mapping[str, Any]) -> dict[str, Any]:
    """The host's own limits, as the Target has them."""
    found: dict[str, Any] = {}
    if "certificate_days" in values:
        days = values["certificate_days"]
        if not 0 <= days <= 3650:
            raise UsageError(catalogue.text("usage", "certificate_days", days=days))
        found["certificate_days"] = days
    if "slow_seconds" in values:
        found["slow_seconds"] = _seconds("slow_seconds", values["slow_seconds"])
    return found


def host_runs(
    typed: Sequence[str], command_line: Mapping[str, Any], config: Config
) -> tuple[HostRun, ...]:
    """The runs of a command: options beat the host's table, which beats the file's defaults.

    Hosts named twice are diagnosed once. Raises UsageError.
    """
    given = {key: value for key, value in command_line.items() if value not in (None, (), [])}
    runs: dict[str, HostRun] = {}
    for text in typed:
        try:
            name = parse_target(text).host
            values = {**config.values_for(name), **config.hosts.get(text, {}), **given}
            target = parse_target(
                text,
                scheme=values.get("scheme") if "://" not in text or "scheme" in given else None,
                path=values.get("path") if "://" not in text or "path" in given else None,
                expect_status=str(values["expect_status"]) if "expect_status" in values else None,
            )
            target = msgspec.structs.replace(target, **_thresholds(values))
        except BadTargetError as error:
            raise UsageError(str(error)) from None
        options = build_options(values)
        runs.setdefault(
            msgspec.json.encode(target).decode(),
            HostRun(target, options, str(values.get("reports", "reports")), **_keeping(values)),
        )
    return tuple(runs.values())


def _keeping(values: Mapping[str, Any]) -> dict[str, Any]:
    """How long runs are kept and where they are served, as far as it is said."""
    made: dict[str, Any] = {}
    for key in ("keep_runs", "keep_days"):
        if key in values:
            if not 0 <= values[key] <= 1_000_000:
                raise UsageError(catalogue.text("usage", "keep", key=key, value=values[key]))
            made[key] = values[key]
    if "base_url" in values:
        if not re.fullmatch(r"https?://[^\s\x00-\x20]+", values["base_url"]):
            raise UsageError(catalogue.text("usage", "base_url", value=values["base_url"][:60]))
        made["base_url"] = values["base_url"]
    return made


# What of the options counts in a judgement that is made again.
_JUDGING = ("skip", "require_step", "strict", "owner", "redact")


def replay_options(host: str, command_line: Mapping[str, Any], config: Config) -> Options:
    """The options for judging stored evidence of `host` again. Raises UsageError."""
    given = {key: value for key, value in command_line.items() if value not in (None, (), [])}
    values = {**config.defaults, **config.hosts.get(host, {}), **given}
    return build_options({key: values[key] for key in _JUDGING if key in values})
