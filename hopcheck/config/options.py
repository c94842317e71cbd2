"""The one table of options, and what a run is told.

From the table come the command line, the plugin's ``--hop-…``, the keys of the file and the
README's list.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from hopcheck.catalogue.catalogue import codes, has_text, listing, nearest, text
from hopcheck.catalogue.language import LANGUAGES
from hopcheck.model import EXPECTED, Step, Target


class UsageError(ValueError):
    """An option or the configuration file is wrong; the message is one clear line."""


class Misnamed(UsageError):  # noqa: N818  # a kind of usage, its message is for the user
    """What the user named is not there: the nearest name, and what there is."""

    def __init__(self, kind: str, value: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        near = difflib.get_close_matches(value, names, n=1)
        hint = text("usage", "near", near=near[0]) if near else ""
        what, there_is = text("named", kind), listing([*near, *(n for n in names if n not in near)])
        super().__init__(
            text("usage", "misnamed", what=what, value=value[:200], near=hint, known=there_is)
        )


def siblings(file: str) -> list[str]:
    """The paths of what is in the directory of `file`, as `file` is spelled."""
    path = Path(file)
    try:
        return [str(path.parent / one.name) for one in path.expanduser().parent.iterdir()]
    except OSError:
        return []


class ConnectTo(Struct, frozen=True):
    """curl's ``--connect-to HOST:PORT:ADDR:PORT``; None matches or keeps anything."""

    host: str | None = None
    port: int | None = None
    to_host: str | None = None
    to_port: int | None = None


class Options(Struct, frozen=True):
    """Everything a run can be told. Times are seconds."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    traefik_service: str | None = None  # "NS/NAME"
    resolvers: tuple[str, ...] = ()  # "ADDR" or "ADDR:PORT"; empty: the system's
    connect_to: tuple[ConnectTo, ...] = ()
    ca_file: str | None = None
    timeout: float = 5.0
    deadline: float = 30.0
    direct_probes: bool | None = None  # None: only in the cluster
    skip: tuple[str, ...] = ()  # "CODE" or "CODE=object" (hopcheck.verdict.cause)
    require_steps: tuple[str, ...] = ()
    strict: bool = False
    redact_strict: bool = False
    secrets: bool = True  # ask for the metadata of Secrets that routes name, where allowed
    aws_profile: str | None = None
    aws_region: str | None = None
    owner: str | None = None
    http1: bool = False  # no HTTP/2, although a server offers it
    checks: tuple[str, ...] = ()  # directories of the user's own checks

    def connection(self, host: str, address: str, port: int) -> tuple[str, int]:
        """The (address or name, port) to connect to for `host` resolved to `address`."""
        for rule in self.connect_to:
            if rule.host in (None, host, address) and rule.port in (None, port):
                return rule.to_host or address, rule.to_port or port
        return address, port


REPORTS = "reports"
KEEP_RUNS = 100
KEEP_DAYS = 30


class HostRun(Struct, frozen=True):
    """One host to diagnose, with the options that hold for it."""

    target: Target
    options: Options
    reports: str = REPORTS
    keep_runs: int = KEEP_RUNS  # run directories of a host; 0: no limit
    keep_days: int = KEEP_DAYS  # 0: no limit
    base_url: str | None = None  # where the reports directory is served


def hold_reports(runs: Iterable[HostRun]) -> None:
    """Raises UsageError for a directory that was named and can neither be written nor made.

    Where none was named, the verdict matters more than its files.
    """
    for named in {run.reports for run in runs} - {REPORTS}:
        there = next(one for one in (Path(named), *Path(named).absolute().parents) if one.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise UsageError(text("usage", "reports", directory=named, there=there))


# --- from what is given to a value; each raises UsageError ---------------------------------


def parse_connect_to(given: str) -> ConnectTo:
    """Curl's HOST:PORT:ADDR:PORT; each field may be empty, addresses may stand in brackets."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d*):(\[[^\]]*\]|[^:]*):(\d*)", given)
    if match is None:
        raise UsageError(text("usage", "connect_to", value=given[:60]))
    ports = [int(number) if number else None for number in (match[2], match[4])]
    if any(port is not None and not 0 < port < 65536 for port in ports):
        raise UsageError(text("usage", "connect_to_port", value=given[:60]))
    names = [name.strip("[]").lower() or None for name in (match[1], match[3])]
    return ConnectTo(host=names[0], port=ports[0], to_host=names[1], to_port=ports[1])


def split_resolver(given: str) -> tuple[str, int]:
    """The host and port of "ADDR", "ADDR:PORT", "[ADDR]:PORT" or a bare IPv6 address."""
    host, port, closed = given.strip(), "", True
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
        closed = bool(bracket) and rest[:1] in ("", ":")
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0 if port else 53
    if not closed or not host or not 0 < number < 65536:
        raise UsageError(text("usage", "resolver", value=given[:60]))
    return host, number


def _resolver(given: str) -> str:
    host, port = split_resolver(given)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(text("usage", "resolver_address", value=given[:60], host=host)) from None
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _seconds(key: str, given: object) -> float:
    try:
        seconds = float(str(given))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise UsageError(text("usage", "seconds", key=key, value=given))
    return seconds


def _skip(given: str) -> str:
    code, sep, name = given.partition("=")
    if code.upper() not in codes() and not has_text("retired", code.upper()):
        raise UsageError(text("usage", "skip_code", value=given[:60], near=nearest(code)[0]))
    if sep and not name.strip():
        raise UsageError(text("usage", "skip", value=given[:60]))
    return f"{code.upper()}{sep}{name.strip()}"


def _step(given: str) -> str:
    if given not in set(Step):
        near = difflib.get_close_matches(given, [step.value for step in Step], n=1, cutoff=0.0)
        raise UsageError(text("usage", "require_step", value=given[:60], near=near[0]))
    return given


def _matching(key: str, pattern: str, given: str) -> str:
    if not re.fullmatch(pattern, given):
        raise UsageError(text("usage", key, value=given[:200]))
    return given


def _strict(given: str) -> bool:
    if given not in ("default", "strict"):
        raise UsageError(text("usage", "redact", value=given))
    return given == "strict"


def _ca_file(given: str) -> str:
    if not Path(given).is_file():
        raise Misnamed("ca_file", given, siblings(given))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(given)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(text("usage", "ca_file", file=given, error=error)) from None
    return given


def _directory(given: str) -> str:
    if not Path(given).is_dir():
        raise UsageError(text("usage", "checks", directory=given))
    return given


def _keep(key: str, given: int) -> int:
    if not 0 <= given <= 1_000_000:
        raise UsageError(text("usage", "keep", key=key, value=given))
    return given


def _days(given: int) -> int:
    if not 0 <= given <= 3650:
        raise UsageError(text("usage", "certificate_days", days=given))
    return given


# --- the table -----------------------------------------------------------------------------

Kind = Literal["text", "number", "count", "flag", "list", "table", "tables", "number_text",
               "text_list"]  # fmt: skip
# What each kind is in the file. (The command line and pytest give text, `count` alone a number.)
TYPES: Mapping[Kind, type | tuple[type, ...]] = {
    "text": str,
    "number": (int, float),
    "count": int,
    "flag": bool,
    "list": list,
    "table": dict,
    "tables": list,
    "number_text": (str, int),
    "text_list": (str, list),
}


class Option(Struct, frozen=True):
    """One option.

    `key` is its name in the file; with hyphens, or as `flags` spells it, on the command line. `at`
    says where it may stand: commands of the command line; ``pytest`` (``--hop-…``); in the file
    ``file`` (at its top, and in a [[host]] table), ``top``, ``host`` or ``fleet`` (what only
    `hopcheck run` reads) or ``outlets`` (where results go). ``again`` are the options that count
    when stored evidence is judged. `becomes` is the attribute that is made of it: a struct
    (``options``: Options, ``run``: HostRun, ``target``: Target), and the name where that differs.
    `read` makes it, of each item of a list. `words` is the text of its help, where not `key`.
    """

    key: str
    kind: Kind
    at: str
    metavar: str = ""
    becomes: str = ""
    read: Callable[[Any], Any] | None = None
    default: str = ""
    choices: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    words: str = ""

    @property
    def flag(self) -> str:
        """Its long name on the command line, without hyphens before it."""
        spelled = self.flags[0] if self.flags else self.key.replace("_", "-")
        return spelled.partition("/")[0].lstrip("-")

    @property
    def repeated(self) -> bool:
        """Whether it may be given several times."""
        return self.kind in ("list", "text_list")

    def value(self, given: Any) -> Any:
        """What is made of what was given. Raises UsageError."""
        read = self.read or (lambda one: one)
        return tuple(read(one) for one in given) if self.repeated else read(given)

    def help(self) -> str:
        """Its help in the language in use, with the default."""
        words = text("option", self.words or self.key)
        return f"{words}  [default: {self.default}]" if self.default else words


# fmt: off
TABLE = (
    Option("json", "flag", "diagnose"),
    Option("json", "flag", "run", words="json_run"),
    Option("json", "flag", "diff", words="json_diff"),
    Option("reports", "text", "diagnose|run|merge|serve|pytest|file", "DIR", "run",
           default=REPORTS),
    Option("base_url", "text", "diagnose|pytest|file", "URL", "run",
           read=partial(_matching, "base_url", r"https?://[^\s\x00-\x20]+")),
    Option("config", "text", "diagnose|run|merge|serve|runbook|doctor|pytest", "FILE",
           default="hopcheck.toml"),
    Option("shard", "text", "run", "I/N"),
    Option("concurrency", "count", "run|fleet", "N", default="50"),
    Option("write", "text", "run|fleet", choices=("all", "nothing"), default="all"),
    Option("kubeconfig", "text", "diagnose|run|serve|runbook|doctor|pytest|file", "FILE",
           "options"),
    Option("context", "text", "diagnose|run|serve|runbook|doctor|pytest|file", "NAME", "options"),
    Option("namespace", "text", "diagnose|run|doctor|pytest|file", "NS", "options"),
    Option("traefik_service", "text", "diagnose|run|doctor|pytest|file", "NS/NAME", "options",
           read=partial(_matching, "traefik_service", r"[a-z0-9.-]+/[a-z0-9.-]+")),
    Option("resolver", "list", "diagnose|run|serve|doctor|pytest|file", "ADDR[:PORT]",
           "options.resolvers", read=_resolver),
    Option("connect_to", "list", "diagnose|run|serve|pytest|file", "HOST:PORT:ADDR:PORT",
           "options", read=parse_connect_to),
    Option("ca_file", "text", "diagnose|run|serve|doctor|pytest|file", "FILE", "options",
           read=_ca_file),
    Option("http1", "flag", "diagnose|run|serve|pytest|file", becomes="options",
           flags=("--http1.1",)),
    Option("path", "text", "diagnose|pytest|file", "PATH"),
    Option("scheme", "text", "diagnose|pytest|file", choices=("http", "https")),
    Option("expect_status", "number_text", "diagnose|pytest|file", "CODES",
           default=EXPECTED),
    Option("timeout", "number", "diagnose|run|doctor|pytest|file", "SECONDS", "options",
           read=partial(_seconds, "timeout"), default="5"),
    Option("deadline", "number", "diagnose|run|pytest|file", "SECONDS", "options",
           read=partial(_seconds, "deadline"), default="30"),
    Option("direct_probes", "flag", "diagnose|run|serve|pytest|file", becomes="options",
           flags=("--direct-probes/--no-direct-probes",)),
    Option("checks", "text_list", "diagnose|run|top", "DIR", "options", read=_directory),
    Option("skip", "list", "diagnose|pytest|file|again", "CODE[=object]", "options", read=_skip),
    Option("require_step", "list", "diagnose|pytest|file|again", "ID", "options.require_steps",
           read=_step),
    Option("strict", "flag", "diagnose|run|pytest|file|again", becomes="options"),
    Option("redact", "text", "diagnose|run|pytest|file|again", becomes="options.redact_strict",
           read=_strict, choices=("default", "strict")),
    Option("quiet", "flag", "diagnose", flags=("--quiet", "-q")),
    Option("quiet", "flag", "run", flags=("--quiet", "-q"), words="quiet_run"),
    Option("verbose", "flag", "diagnose", flags=("--verbose", "-v")),
    Option("watch", "text", "diagnose", "[SECONDS]", default="10"),
    Option("from", "list", "diagnose", "FILE"),
    Option("exit_zero", "flag", "run"),
    Option("shards", "count", "merge", "N"),
    Option("wait", "number", "merge", "SECONDS"),
    Option("listen", "text", "serve", "[ADDRESS]:PORT", default="127.0.0.1:9115"),
    Option("fault", "text", "demo", "NAME"),
    Option("lang", "text", "diagnose|run|merge|serve|runbook|diff|explain|doctor|pytest|file",
           choices=LANGUAGES),
    # In the file alone.
    Option("owner", "text", "file|again", becomes="options"),
    Option("aws_profile", "text", "file", becomes="options"),
    Option("aws_region", "text", "file", becomes="options"),
    Option("secrets", "flag", "file", becomes="options"),
    Option("certificate_days", "count", "file", becomes="target", read=_days),
    Option("slow_seconds", "number", "file", becomes="target",
           read=partial(_seconds, "slow_seconds")),
    Option("maintenance", "list", "file"),
    Option("keep_runs", "count", "file", becomes="run", read=partial(_keep, "keep_runs"),
           default=str(KEEP_RUNS)),
    Option("keep_days", "count", "file", becomes="run", read=partial(_keep, "keep_days"),
           default=str(KEEP_DAYS)),
    Option("host", "tables", "top"),
    Option("name", "text", "host"),
    Option("sample", "text", "host"),
    Option("hosts", "text_list", "fleet"),
    Option("include", "list", "fleet"),
    Option("exclude", "list", "fleet"),
    Option("publish", "text", "outlets"),
    Option("notify", "table", "outlets"),
    Option("metrics", "table", "outlets"),
    Option("serve", "table", "outlets"),
)
# fmt: on


def options_at(*places: str) -> tuple[Option, ...]:
    """The options that may stand at one of these places, in the order of the table."""
    return tuple(row for row in TABLE if not set(places).isdisjoint(row.at.split("|")))


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that were given: of None and an empty list nobody has said anything."""
    return {key: value for key, value in values.items() if value not in (None, (), [])}


def made(struct: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What `values` says of `struct` (``options``, ``run``, ``target``). Raises UsageError."""
    found = {}
    for row in TABLE:
        whose, _, name = row.becomes.partition(".")
        if whose == struct and row.key in values:
            found[name or row.key] = row.value(values[row.key])
    return found


def build_options(values: Mapping[str, Any]) -> Options:
    """Options from merged values; None and absent mean the default. Raises UsageError."""
    return Options(**made("options", given(values)))
