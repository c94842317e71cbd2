"""Traefik's static configuration as one flat mapping, wherever it was written.

Keys are dotted and lower case ("entrypoints.web.address"), values are text, lists joined by
commas. Flags: github.com/traefik/paerser, flag/flagparser.go and env/env.go.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hopcheck.model.kubernetes import Env

# Flags that take no following word: booleans, and structs that may stand alone.
# From `traefik --help` of 2.11 to 3.7.
_ALONE = re.compile(
    r"^(?:"
    r"accesslog|api|ping|log|metrics|tracing|hostresolver|ocsp|pilot"
    r"|api\.(?:insecure|dashboard|debug|disabledashboardad)"
    r"|(?:ping|metrics\.prometheus)\.manualrouting"
    r"|log\.(?:compress|nocolor)"
    r"|hostresolver\.cnameflattening"
    r"|core\.stricttlsoptions"
    r"|global\.(?:checknewversion|sendanonymoususage|notappendxforwardedfor)"
    r"|accesslog\.(?:dualoutput|filters\.retryattempts)"
    r"|metrics\.(?:prometheus|datadog|statsd|influxdb|influxdb2|otlp|opentelemetry)"
    r"|tracing\.(?:otlp|jaeger|zipkin|datadog|instana|haystack|elastic|opentelemetry)"
    r"|.*\.(?:addinternals|add(?:entrypoints|routers|services)labels|insecureskipverify)"
    r"|.*\.(?:otlp|grpc|grpc\.insecure|http)"
    r"|providers\.[^.]+"
    r"|providers\.[^.]+\.(?:allow[a-z]+|disable[a-z]+|exposedbydefault|usebindportip|watch|insecure"
    r"|nativelbbydefault|strictprefixmatching|experimentalchannel|safenaming|stale|cache"
    r"|debugloggeneratedtemplate|watchingresswithoutclass|ingressclassbyname)"
    r"|entrypoints\.[^.]+(?:\.(?:asdefault|reuseport|allowacmebypass|http3|http\.tls|proxyprotocol"
    r"|proxyprotocol\.insecure|forwardedheaders\.(?:insecure|notappendxforwardedfor)"
    r"|http\.(?:sanitizepath|encodequerysemicolons|redirections\.entrypoint\.permanent)"
    r"|http\.encodedcharacters\.[a-z]+|observability\.(?:accesslogs|metrics|tracing)))?"
    r"|certificatesresolvers\.[^.]+(?:\.tailscale|\.acme\.(?:[a-z]+challenge|casystemcertpool"
    r"|disablecommonname))?"
    r"|experimental\.(?:kubernetesgateway|http3|fastproxy|otlplogs|knative|abortonpluginfailure)"
    r")$"
)
_NAMED = frozenset({"entrypoints", "certificatesresolvers"})
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "busybox"})
_SHELL_WORDS = frozenset({"-c", "-ec", "-lc", "-exc", "-euc", "-xc"})
_SHELL_ENDS = frozenset({";", "&&", "||", "|", "&", ">", ">>", "2>&1", "2>"})
_LAUNCHERS = frozenset({"tini", "dumb-init", "entrypoint.sh", "env", "exec", "nice"})


class Flags(Struct, frozen=True):
    """A source of settings as Traefik reads it.

    `names`: named elements (entryPoints, certificate resolvers) in lower case -> as written,
    since routers must name them as written.
    `ignored`: words that Traefik never looks at, because a word without dash stands before them.
    `doubtful`: flags whose value is separate where Traefik guesses at the flag's type.
    """

    values: dict[str, str]
    names: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def command_line(command: Sequence[str], args: Sequence[str]) -> list[str] | None:
    """Traefik's own arguments from a container's `command` and `args`.

    None where they cannot be told (a script, an expansion of the shell). Without `command` the
    image's entrypoint is Traefik, or a script that runs it with the arguments
    (github.com/traefik/traefik-library-image).
    """
    words = [str(word) for word in command]
    rest = [str(word) for word in args]
    if not words:
        if rest and _base(rest[0]) in _SHELLS:
            return command_line(rest, [])
        return rest[1:] if rest and rest[0] == "traefik" else rest
    if _base(words[0]) in _SHELLS:
        return _shell([*words[1:], *rest])
    words += rest
    for at, word in enumerate(words):
        name = _base(word)
        if name.startswith("traefik"):
            return words[at + 1 :]
        if at and _base(words[at - 1]) == "entrypoint.sh" and word.startswith("-"):
            return words[at:]
        if name not in _LAUNCHERS and word not in ("--", "-g", "-s", "-v"):
            return None
    return None


def _base(word: str) -> str:
    return word.rpartition("/")[2]


def _shell(words: list[str]) -> list[str] | None:
    if len(words) < 2 or words[0] not in _SHELL_WORDS:
        return None
    try:
        lexer = shlex.shlex(words[1].replace("\\\n", " "), posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        script = list(lexer)
    except ValueError:
        return None
    starts = [at for at, word in enumerate(script) if _base(word) == "traefik"]
    if not starts:
        return None
    own: list[str] = []
    for word in script[starts[-1] + 1 :]:
        if word in _SHELL_ENDS:
            break
        own.append(word)
    if any("$@" in word or "$*" in word for word in own):
        own = [word for word in own if word not in ("$@", "$*")] + words[3:]
    return None if any("$" in word or "`" in word for word in own) else own


def parse_flags(args: Sequence[str]) -> Flags:
    """The flags of Traefik's own arguments; names are case-insensitive, lists accumulate."""
    values: dict[str, str] = {}
    names: dict[str, str] = {}
    doubtful: list[str] = []
    words = [word for word in args if word != ""]
    at = 0
    while at < len(words):
        word = words[at]
        if len(word) < 2 or not word.startswith("-") or word == "--":
            break
        at += 1
        name, equals, value = word.lstrip("-").partition("=")
        key = name.lower()
        _note_name(names, name.split("."))
        if not equals:
            value = "true"
            following = words[at] if at < len(words) else None
            if not _ALONE.match(key) and following is not None and not following.startswith("-"):
                value = following
                at += 1
                # Its pattern for named elements is not anchored: "entrypoints.web" matches too.
                if key.startswith(("entrypoints.", "certificatesresolvers.")):
                    doubtful.append(word)
        values[key] = f"{values[key]},{value}" if key in values and _is_list(key) else value
    return Flags(values, names, ignored=tuple(words[at:]), doubtful=tuple(doubtful))


def _note_name(names: dict[str, str], parts: Sequence[str]) -> None:
    """Remember a named element's own spelling; of several the first in order wins, as there."""
    if len(parts) > 1 and parts[0].lower() in _NAMED:
        known = names.get(parts[1].lower(), parts[1])
        names[parts[1].lower()] = min(known, parts[1])


def _is_list(key: str) -> bool:
    return key.endswith(
        (".namespaces", ".trustedips", ".middlewares", "crossprovidernamespaces", ".precedence")
    )


def from_environment(variables: Iterable[Env]) -> dict[str, str] | None:
    """TRAEFIK_* variables as keys; None where the value of one is not in the pod's spec."""
    values: dict[str, str] = {}
    for variable in variables:
        name = variable.name
        root = name.removeprefix("TRAEFIK_").partition("_")[0].lower()
        if not name.startswith("TRAEFIK_") or root not in ROOTS:
            continue
        if not variable.value and variable.value_from is not None:
            return None
        key = name.removeprefix("TRAEFIK_").lower().replace("_", ".")
        values[key] = variable.value
    return values


ROOTS = frozenset(
    {
        "accesslog", "api", "certificatesresolvers", "core", "entrypoints", "experimental",
        "global", "hostresolver", "hub", "log", "metrics", "ocsp", "pilot", "ping", "providers",
        "serverstransport", "spiffe", "tcpserverstransport", "tracing",
    }
)  # fmt: skip


def from_file(name: str, text: str) -> Flags:
    """A YAML or TOML static file as keys. Raises ValueError where it cannot be read."""
    data: Any
    if name.endswith(".toml"):
        data = tomllib.loads(text)
    else:
        import yaml

        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    if data is None:
        return Flags({})
    if not isinstance(data, Mapping):
        raise ValueError("no mapping at the top")  # noqa: TRY004  # the text is wrong, not its type
    values: dict[str, str] = {}
    flatten("", data, values)
    names: dict[str, str] = {}
    for section, named in data.items():
        if isinstance(named, Mapping):
            for each in named:
                _note_name(names, [str(section), str(each)])
    return Flags(values, names)


def flatten(key: str, data: Any, values: dict[str, str], *, depth: int = 0) -> None:
    """Write what stands below `key` into `values`. Raises ValueError where it is too deep."""
    if depth > 30:
        raise ValueError("nested too deeply")
    if isinstance(data, Mapping):
        if not data and key:
            values[key] = "true"  # an empty section is switched on (`ping: {}`)
        for name, value in data.items():
            own = str(name).lower()
            flatten(f"{key}.{own}" if key else own, value, values, depth=depth + 1)
    elif isinstance(data, list):
        if any(isinstance(each, (Mapping, list)) for each in data):
            for at, each in enumerate(data):
                flatten(f"{key}[{at}]", each, values, depth=depth + 1)
        else:
            values[key] = ",".join(str(each) for each in data)
    elif isinstance(data, bool):
        values[key] = "true" if data else "false"
    else:
        values[key] = "true" if data is None else str(data)
