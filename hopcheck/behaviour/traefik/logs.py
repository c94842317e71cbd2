"""Traefik's log as lines with a meaning: v2 and v3, text and JSON, klog and access log (pure).

Formats, each seen on the real binary (3.7) or read in the source (2.11):

* v3 text, zerolog's console: ``<RFC 3339> ERR <file:line> > message key=value``, ANSI coloured
  even when piped unless ``log.noColor`` is set; the caller is there at DEBUG only.
* v2 text, logrus: ``time="…" level=error msg="…" key=value``.
* JSON: ``level``, ``time`` and ``message`` (v3) or ``msg`` (v2); v3 may have ``error`` alone.
* klog, from client-go, on the same stream and never JSON:
  ``E0225 03:00:00.000000       1 reflector.go:166] "Failed to watch" err="…"``.
* Go's own log, before any other is set up: ``2026/02/25 03:00:00 command traefik error: …``.
* access log: JSON with ``DownstreamStatus``, or the common format with router and server added.

Log lines are hostile input: lengths are bounded, no expression backtracks over a whole line.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from hopcheck.model import LogLine

# A line longer than this is cut before it is parsed; what is kept is shorter still.
PARSED_CHARS = 65_536
RAW_CHARS = 2_000
VALUE_CHARS = 500

Kind = Literal["traefik", "klog", "access", "other"]

BAD_LEVELS = frozenset({"warn", "error", "fatal", "panic"})

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_STAMP = re.compile(rf"({_TIME}) ?")
_ZEROLOG = re.compile(rf"(?:({_TIME}) )?(TRC|DBG|INF|WRN|ERR|FTL|PNC|\?\?\?) (?:(\S+:\d+) > ?)?")
_STDLOG = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:\S+\.go:\d+: )?")
_LOGRUS = re.compile(r'time="[^"]*" level=\w+ ')
_KLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ (\S+:\d+)\] ")
_COMMON = re.compile(
    r"(?P<ClientHost>\S+) - (?P<ClientUsername>\S+) \[(?P<StartUTC>[^\]]*)\] "
    r'"(?P<request>[^"]*)" (?P<DownstreamStatus>\d+|-) (?P<DownstreamContentSize>\d+|-) '
    r'"[^"]*" "[^"]*" (?P<RequestCount>\d+|-) '
    r'"(?P<RouterName>[^"]*)" "(?P<ServiceURL>[^"]*)" (?P<DurationMs>\d+)ms'
)
# One field's name has a space in it.
_NAME = r"(?:ACME CA|[A-Za-z_][\w.\-]*)"
_PAIR = re.compile(rf'({_NAME})=("(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|$)')
_KEY = re.compile(rf"(?:^|(?<=\s)){_NAME}=")
_LAST_PROVIDER = re.compile(r"\bproviderName=(\S+)\s*$")
_FORBIDDEN = re.compile(r"\b([a-z]+)(?:\.[a-z0-9.\-]+)? is forbidden: User\b")
_UNUSABLE = re.compile(r'unable to generate TLS certificate ?: ?([^"\\]{1,200})')

_ZEROLOG_LEVELS = {
    "TRC": "debug",
    "DBG": "debug",
    "INF": "info",
    "WRN": "warn",
    "ERR": "error",
    "FTL": "fatal",
    "PNC": "panic",
}
_KLOG_LEVELS = {"I": "info", "W": "warn", "E": "error", "F": "fatal"}
_JSON_LEVELS = {"warning": "warn", "trace": "debug"}


def parse_log(text: str | bytes) -> tuple[LogLine, ...]:
    """Every non-empty line of a container's log, oldest first.

    Lines may begin with the API server's timestamp (``timestamps=true``). Broken UTF-8 becomes
    replacement characters; what fits no known format is a line of kind "other".
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return tuple(parse_line(line) for line in lines if line.strip())


def parse_line(line: str) -> LogLine:
    """One line; never raises."""
    plain = _ANSI.sub("", line[:PARSED_CHARS])
    stamp = _STAMP.match(plain)
    time = stamp.group(1) if stamp else None
    body = plain[stamp.end() :] if stamp else plain
    if body.startswith("{"):
        parsed = _json(body, time)
    elif match := _ZEROLOG.match(body):
        parsed = _zerolog(body, match, time)
    elif _LOGRUS.match(body):
        parsed = _logrus(body, time)
    elif match := _KLOG.match(body):
        parsed = _klog(body, match, time)
    elif match := _COMMON.match(body):
        parsed = _common(body, match, time)
    else:
        parsed = None
    if parsed is not None:
        return parsed
    own = _STDLOG.match(body)
    bare = body[own.end() :] if own else body
    return _line("other", body, bare, {}, time)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _line(
    kind: Kind,
    body: str,
    message: str,
    fields: Mapping[str, str],
    time: str | None,
    level: str = "",
) -> LogLine:
    """A line with its texts cut to their lengths."""
    return LogLine(
        raw=_cut(body, RAW_CHARS),
        time=time,
        level=level or None,
        message=_cut(message, VALUE_CHARS),
        fields={key: _cut(value, VALUE_CHARS) for key, value in fields.items()},
        kind=kind,
    )


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        unquoted = json.loads(value)
    except ValueError:  # Go's \x.. escapes are no JSON
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return str(unquoted)


def _pairs(text: str, start: int) -> tuple[dict[str, str], int]:
    """The key=value pairs from `start` on, and where they end."""
    found: dict[str, str] = {}
    while match := _PAIR.match(text, start):
        found[match.group(1)] = _unquote(match.group(2))
        start = match.end()
        while start < len(text) and text[start].isspace():
            start += 1
    return found, start


def _message_and_pairs(text: str) -> tuple[str, dict[str, str]]:
    """Split "message key=value key=value": the first place from which only pairs follow."""
    at = 0
    while candidate := _KEY.search(text, at):
        pairs, end = _pairs(text, candidate.start())
        if end == len(text):
            return text[: candidate.start()].rstrip(), pairs
        # Everything up to `end` was read as pairs that lead nowhere: look behind it.
        at = max(end, candidate.end())
    last = _LAST_PROVIDER.search(text, max(0, len(text) - 200))
    return text, {"providerName": last.group(1)} if last else {}


def _json(body: str, time: str | None) -> LogLine | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in data.items()
    }
    level = texts.pop("level", "").lower()
    own_time = texts.pop("time", None)
    message = texts.pop("message", None) or texts.pop("msg", None) or ""
    texts.pop("msg", None)
    asked = "DownstreamStatus" in data or "RequestMethod" in data
    kind: Kind = "access" if asked else "traefik"
    return _line(kind, body, message, texts, time or own_time, _JSON_LEVELS.get(level, level))


def _zerolog(body: str, match: re.Match[str], time: str | None) -> LogLine:
    message, pairs = _message_and_pairs(body[match.end() :].rstrip())
    if match.group(3):
        pairs["caller"] = match.group(3)
    level = _ZEROLOG_LEVELS.get(match.group(2), "")
    return _line("traefik", body, message, pairs, time or match.group(1), level)


def _logrus(body: str, time: str | None) -> LogLine:
    pairs, _ = _pairs(body, 0)
    level = pairs.pop("level", "").lower()
    message, own_time = pairs.pop("msg", ""), pairs.pop("time", None)
    level = _JSON_LEVELS.get(level, level)
    return _line("traefik", body, message, pairs, time or own_time, level)


def _klog(body: str, match: re.Match[str], time: str | None) -> LogLine:
    message, pairs = _message_and_pairs(body[match.end() :].rstrip())
    pairs["caller"] = match.group(2)
    message = _unquote(message) if message.endswith('"') else message
    return _line("klog", body, message, pairs, time, _KLOG_LEVELS[match.group(1)])


def _common(body: str, match: re.Match[str], time: str | None) -> LogLine:
    # "-" is the format's word for nothing; a field that is not there says the same.
    fields = {key: value for key, value in match.groupdict().items() if value != "-"}
    return _line("access", body, match["request"], fields, time)


def after_last_reload(lines: Sequence[LogLine]) -> tuple[LogLine, ...]:
    """The lines that speak of the configuration now in force, as far as the log tells.

    A provider logs what is wrong with its objects while it builds a configuration, just before
    `Configuration received`; routers are built, and complain, just after it (configurationwatcher
    and router.go). So a provider's lines count from its last but one configuration on, all others
    from the last one on. That marker is logged at DEBUG only: without it every line is returned,
    and the reader must not take the log for the present.
    """
    by_provider: dict[str, list[int]] = {}
    last = -1
    for index, line in enumerate(lines):
        if line.message.startswith("Configuration received"):
            by_provider.setdefault(line.fields.get("providerName", ""), []).append(index)
            last = index
    kept = []
    for index, line in enumerate(lines):
        provider = line.fields.get("providerName")
        if provider is None:
            since = last
        else:
            received = by_provider.get(provider, [])
            since = received[-2] if len(received) > 1 else -1
        if index > since:
            kept.append(line)
    return tuple(kept)


def overtaken(line: LogLine, metrics: Mapping[str, float], throttle_s: float) -> bool:
    """Whether a configuration was applied clearly after a provider wrote `line`.

    A provider names what is wrong with its objects each time it builds a configuration, at most
    `throttle_s` before that is applied: a line that is older than the last reload by more was not
    repeated then, and speaks of the past. False where the metrics or the time are not known.
    """
    applied = metrics.get("traefik_config_last_reload_success")
    written = moment(line.time or "")
    return applied is not None and written is not None and applied - written > throttle_s + 1


def unusable_certificate(
    lines: Sequence[LogLine], metrics: Mapping[str, float], throttle_s: float
) -> str:
    """Why Traefik cannot use a certificate of its configuration ("tls: private key does not …").

    "" for none, or where a later configuration has overtaken it. The words are crypto/tls's
    own, the same in every Traefik; v3 puts them on a line that follows the certificate.
    """
    for line in reversed(lines):
        found = _UNUSABLE.search(line.raw)
        if found:
            return "" if overtaken(line, metrics, throttle_s) else found.group(1).strip()
    return ""


def moment(stamp: str) -> float | None:
    """The POSIX time of an RFC 3339 time stamp, to whole seconds; None for anything else."""
    try:
        return float(int(dt.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()))
    except ValueError:
        return None


def forbidden_resources(lines: Iterable[LogLine]) -> set[str]:
    """Plurals of the resources that Traefik's account was forbidden to read: {"ingresses"}.

    Read from client-go's texts ("… ingresses.networking.k8s.io is forbidden: User …"), which are
    the same inside all three wordings around them (client-go 0.26 to 0.36). History: the right
    may have been granted since.
    """
    return {
        match.group(1)
        for line in lines
        if "is forbidden" in line.raw
        for match in _FORBIDDEN.finditer(line.raw)
    }


_FAILED_LIST = re.compile(
    r"failed to list \*v\w+\.(\w+):.{0,80}the server could not find the requested resource"
)


def unserved_kinds(lines: Iterable[LogLine]) -> set[str]:
    """Kinds that Traefik could not list since the API server does not serve them."""
    return _not_listed(lines, _FAILED_LIST)


_UNAUTHENTICATED = re.compile(
    r"failed to list \*v\w+\.(\w+): "
    r"(?:Unauthorized|the server has asked for the client to provide credentials)"
)


def unauthenticated_kinds(lines: Iterable[LogLine]) -> set[str]:
    """Kinds that Traefik could not list since the API server did not accept its token."""
    return _not_listed(lines, _UNAUTHENTICATED)


_MISTYPED = re.compile(
    r"failed to list \*v\w+\.(\w+): .{0,80}?json: cannot unmarshal (\w+).{0,80}? into Go "
    r"(?:struct field \w+\.([\w.]+)|value) of type ([\w.*\[\]{}]+)"
)


def mistyped_kinds(lines: Iterable[LogLine]) -> set[str]:
    """Kinds of which Traefik can read none, since a field of one has a value of another type."""
    return _not_listed(lines, _MISTYPED)


def mistyped(line: LogLine) -> tuple[str, str, tuple[str, ...], str] | None:
    """Kind, the JSON type of the value, its field and the type in Go that such a line tells."""
    found = _MISTYPED.search(line.raw)
    if found is None:
        return None
    kind, given, field, wanted = found.groups()
    return kind, given, tuple((field or "").split(".")[1:]), wanted


_AROUND = 300  # characters of a line that merely stood beside
_PROOF = 1_000


def excerpt(
    lines: Sequence[LogLine], proof: Sequence[LogLine], before: int = 2, after: int = 1
) -> tuple[str, tuple[int, ...]]:
    """`proof` as it stands in `lines`, with some lines around, and the numbers of its rows.

    One row for each log line, whatever control characters it holds. Requests are left out.
    """
    kept = [line for line in lines if line.kind != "access" or any(line is one for one in proof)]
    wanted = {number for number, line in enumerate(kept) if any(line is one for one in proof)}
    shown = sorted(
        {
            near
            for number in wanted
            for near in range(number - before, number + after + 1)
            if 0 <= near < len(kept)
        }
    )
    rows = []
    for number in shown:
        row, most = " ".join(kept[number].raw.splitlines()), _PROOF if number in wanted else _AROUND
        rows.append(row if len(row) <= most else f"{row[:most]}…")
    return "\n".join(rows), tuple(row for row, number in enumerate(shown) if number in wanted)


def _not_listed(lines: Iterable[LogLine], words: re.Pattern[str]) -> set[str]:
    return {
        match.group(1)
        for line in lines
        if "failed to list" in line.raw
        for match in words.finditer(line.raw)
    }
