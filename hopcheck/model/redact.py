"""Redaction: what is secret leaves every text before it is stored.

`redact_text`, `redact_url`, `redact_headers` and `redact_obj` take out credentials, cookies, query
values and e-mail addresses, and leave what a diagnosis needs: annotation keys, host names, rules,
flags, names of Secrets. All are idempotent: redacting twice changes nothing more.
`redact_strict` also takes out AWS account ids and internal addresses, each always replaced by the
same placeholder.

Patterns have no nested or unbounded leading repeats, so that hostile text costs linear time.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any

from msgspec import Struct, structs

# No brackets: urllib refuses "[x]@host", and a redacted URL must stay a URL.
REDACTED = "REDACTED"

# Names of keys whose values are secret, without "-" and "_" and in lower case.
_SECRET_KEYS = frozenset(
    [
        "authorization",
        "proxyauthorization",
        "cookie",
        "setcookie",
        "token",
        "accesstoken",
        "refreshtoken",
        "idtoken",
        "sessiontoken",
        "securitytoken",
        "bearertoken",
        "authtoken",
        "csrftoken",
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "clientsecret",
        "secretkey",
        "secretaccesskey",
        "awssecretaccesskey",
        "awssessiontoken",
        "accesskey",
        "accesskeyid",
        "awsaccesskeyid",
        "apikey",
        "xapikey",
        "xauthtoken",
        "xamzsecuritytoken",
        "xcsrftoken",
        "xxsrftoken",
        "xvaulttoken",
        "xgitlabtoken",
        "privatekey",
        "credential",
        "credentials",
        "clientkeydata",
    ]
)
# Environment variables, annotations and the like: DB_PASSWORD, example.com/api-token.
_SECRET_VARIABLE = re.compile(
    r"(?i)(?:^|[_./-])(?:TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|(?:SECRET|ACCESS|API|PRIVATE)[_-]KEY|"
    r"ACCESS[_-]KEY[_-]ID|CREDENTIALS?)$"
)
# Traefik's Middleware: `basicAuth.secret` is the name of a Secret, not a secret.
_SECRET_IS_A_NAME = frozenset({"basicAuth", "digestAuth"})

_WORDS = (
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|secret[_-]?key|private[_-]?key|"
    r"access[_-]?key(?:[_-]?id)?|credentials?|x-amz-signature|hmacencoded|csrf|xsrf|session[_-]?id)"
)
_VALUE = r"(?!REDACTED\b|(?:true|false|null|none|nil)\b)"

_SHORT = 64  # characters

_Replacement = str | Callable[[re.Match[str]], str]


def _basic(match: re.Match[str]) -> str:
    """'Basic dXNlcjpwdw==' goes, 'Basic authentication' stays."""
    text = match.group(2)
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return match.group(0)
    return f"{match.group(1)}{REDACTED}" if b":" in plain else match.group(0)


def _query(match: re.Match[str]) -> str:
    return "?" + _query_values(match.group(1))


# A Korean particle follows a word without a space, and is a letter to \b and \w unless re.ASCII is
# set: a word of ASCII letters ends where these do.
# (needles of which one must occur in the lower-cased text, pattern, replacement), in order.
_PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str], _Replacement], ...] = (
    (
        ("private key-----",),
        re.compile(
            r"-----BEGIN ([A-Z ]{0,20})PRIVATE KEY-----"
            r"(?:[^-]*-----END [A-Z ]{0,20}PRIVATE KEY-----|[A-Za-z0-9+/=\s\\]*)"
        ),
        REDACTED,
    ),
    (
        ("authorization", "cookie"),
        re.compile(
            r"(?i)((?<![\w./-])(?:request_|downstream_|origin_)?"
            # (?!…): what cert-manager says of an authority's answer is no header.
            r"(?:proxy-authorization|authorization(?!: acme: )|set-cookie|cookie)"
            r"(?:\\?[\"'])?\s{0,3}[:=]\s{0,3}\[?)"
            r"(?:(\\?[\"'])(?!REDACTED)[^\"'\\\r\n]+|(?!REDACTED)[^\s\"'\\][^\"'\r\n]*)"
        ),
        lambda m: f"{m.group(1)}{m.group(2) or ''}{REDACTED}",
    ),
    (
        ("eyj",),
        re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*){0,3}", re.ASCII),
        REDACTED,
    ),
    (
        ("bearer ", "negotiate "),
        re.compile(r"(?i)\b((?:bearer|negotiate)\s{1,3})(?=[\w.~+/=-]{0,200}\d)[\w.~+/=-]{8,}"),
        rf"\1{REDACTED}",
    ),
    (("basic ",), re.compile(r"(?i)\b(basic\s{1,3})([a-z0-9+/]{4,}={0,2})"), _basic),
    (
        ("akia", "asia"),
        re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", re.ASCII),
        REDACTED,
    ),
    (
        ("iqoj", "fwog", "fqog"),  # how AWS session tokens begin
        re.compile(r"\b(?:IQoJ|FwoG|FQoG)[A-Za-z0-9+/=]{80,}", re.ASCII),
        REDACTED,
    ),
    (
        ("ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xox"),
        re.compile(
            r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,})",
            re.ASCII,
        ),
        REDACTED,
    ),
    (
        ("$",),  # htpasswd and crypt hashes, as Traefik's API shows them in basicAuth.users
        re.compile(r"\$(?:apr1|2[abxy]|5|6)\$[./A-Za-z0-9$]{10,}"),
        REDACTED,
    ),
    (
        ("://",),  # not docker-pullable://image@sha256:…
        re.compile(r"(://)[^/\s@?#\"'<>`]{1,512}@(?!sha\d{3}:)"),
        rf"\1{REDACTED}@",
    ),
    (
        ("?",),
        re.compile(r"(?<=[\w/.\-~%)}])\?([\w.~%+\[\]-]{1,256}=[^\s\"'`<>#]*)"),
        _query,
    ),
    (
        ("k8s-aws-v1.", "ya29."),  # tokens of EKS and of Google
        re.compile(r"\b(?:k8s-aws-v1|ya29)\.[\w.~+/=-]{8,}", re.ASCII),
        REDACTED,
    ),
    (
        ("<input",),  # hidden fields of a form
        re.compile(
            r"(?i)(<input[^<>]{0,200}?(?:csrf|xsrf|token|session|secret)[^<>]{0,200}?"
            r"value=[\"'])(?!REDACTED)[^\"'<>]+"
        ),
        rf"\1{REDACTED}",
    ),
    (
        ("token", "key", "secret", "csrf", "session"),
        # YAML, headers and assignments in prose; what has no digit is a word of the sentence.
        re.compile(
            r"(?i)((?:token|api[_-]?key|(?:client|app)[_-]?secret|(?:secret|access|private)[_-]?key|"
            r"[cx]srf|session[_-]?id)\s{0,3}[:=]\s{0,3}[\"']?)"
            r"(?!REDACTED)(?=[^\s\"',;]{0,200}\d)[^\s\"',;<>()\[\]{}]{6,}"
        ),
        rf"\1{REDACTED}",
    ),
    (
        (
            "passw",
            "passphrase",
            "secret",
            "token",
            "key",
            "credential",
            "x-amz-signature",
            "hmacencoded",
            "csrf",
            "xsrf",
            "session",
        ),
        # name=value as in flags and variables; "name":"value" as in JSON
        re.compile(
            rf"(?i)({_WORDS}(?:=|\\?[\"']\s{{0,3}}[:=]\s{{0,3}}))"
            rf"(?:(\\?[\"']){_VALUE}[^\"'\\\r\n]+|{_VALUE}[^\s\"'\\,;&)}}\]\[{{]+)"
        ),
        lambda m: f"{m.group(1)}{m.group(2) or ''}{REDACTED}",
    ),
    (
        ("passw",),  # YAML and prose: "password: hunter2"
        re.compile(rf"(?i)(\bpassw(?:or)?d:\s{{0,3}}){_VALUE}[^\s\"',;]+"),
        rf"\1{REDACTED}",
    ),
    (
        ("@",),  # "router@kubernetescrd" has no dot after the @
        re.compile(
            r"(?<![\w.+%-])[\w.+%-]{1,64}@"
            r"(?!(?:kubernetes|kubernetescrd|kubernetesgateway|file|docker|internal)\b)"
            r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9_])"
        ),
        lambda m: m.group(0) if m.group(0).startswith(f"{REDACTED}@") else REDACTED,
    ),
)


def redact_text(text: str) -> str:
    """The text without bearer tokens, JWTs, keys, cookies, passwords, e-mail, query values."""
    if len(text) < 4:
        return text
    return _short(text) if len(text) <= _SHORT else _searched(text)


# Names, kinds and ports stand in a cluster's objects thousands of times.
@lru_cache(maxsize=8_192)
def _short(text: str) -> str:
    return _searched(text)


def _searched(text: str) -> str:
    lower = text.lower()
    for needles, pattern, replacement in _PATTERNS:
        for needle in needles:  # a plain loop: any() costs more than the tests themselves
            if needle in lower:
                text = pattern.sub(replacement, text)
                break
    return text


def _query_values(query: str) -> str:
    parts = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        parts.append(f"{name}={REDACTED}" if equals and value else part)
    return "&".join(parts)


def redact_url(url: str) -> str:
    """The URL without user information, query values and fragment; a bare path works too."""
    url, hash_, _ = url.partition("#")
    url, mark, query = url.partition("?")
    scheme, separator, rest = url.partition("://")
    if separator:
        authority, slash, path = rest.partition("/")
        if "@" in authority:
            authority = f"{REDACTED}@{authority.rpartition('@')[2]}"
        url = f"{scheme}://{authority}{slash}{redact_text(path)}"
    else:
        url = redact_text(url)
    if mark:
        url += "?" + (_query_values(query) if "=" in query else query and REDACTED)
    return url + (f"#{REDACTED}" if hash_ else "")


def _cookie(value: str, *, attributes: bool) -> str:
    """Cookie names (and Set-Cookie's attributes) stay: they matter for sticky sessions."""
    parts = value.split(";")
    kept = []
    for place, part in enumerate(parts):
        name, equals, _ = part.partition("=")
        if place and attributes:
            kept.append(part)
        else:
            kept.append(f"{name}={REDACTED}" if equals else (part and REDACTED))
    return ";".join(kept)


def _header(name: str, value: str) -> str:
    lower = name.lower()
    if lower in ("cookie", "set-cookie"):
        return _cookie(value, attributes=lower == "set-cookie")
    if lower in ("authorization", "proxy-authorization"):
        scheme, space, _ = value.strip().partition(" ")
        return f"{scheme} {REDACTED}" if space else REDACTED
    if _secret_key(lower):
        return REDACTED
    if lower in ("location", "content-location", "referer"):
        return redact_url(value)
    return redact_text(value)


def redact_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers, in order, with the values of credentials and cookies replaced."""
    return tuple((name, _header(name, value)) for name, value in headers)


_NUMBERS = frozenset({int, bool, float})


@lru_cache(maxsize=4_096)
def _secret_key(key: str) -> bool:
    return (
        key.replace("-", "").replace("_", "").lower() in _SECRET_KEYS
        or _SECRET_VARIABLE.search(key) is not None
    )


def _replaced(value: Any, parent: str) -> Any:
    """A secret key's value: texts go, booleans and numbers stay, deeper objects are walked."""
    if isinstance(value, str):
        return REDACTED if value else value
    if isinstance(value, list | tuple):
        return type(value)(_replaced(item, parent) for item in value)
    return redact_obj(value, parent)


def redact_obj(obj: Any, parent: str = "") -> Any:
    """The same object (dict, list, tuple, scalars, Structs) with every text redacted.

    Values under keys such as ``password`` or ``Authorization`` are replaced whole, and so is
    ``value`` beside ``name: DB_PASSWORD``. Keys stay as they are. `parent` is the key that `obj`
    was found under: with it, ``basicAuth.secret`` (the name of a Secret) is kept.
    """
    if isinstance(obj, str):
        return redact_text(obj)
    if isinstance(obj, dict):
        name = obj.get("name", obj.get("Name"))
        secret_value = isinstance(name, str) and _secret_key(name)
        result: dict[Any, Any] = {}
        for key, value in obj.items():
            if not value or type(value) in _NUMBERS:
                result[key] = value
            elif not isinstance(key, str):
                result[key] = redact_obj(value)
            elif key == "secret" and parent in _SECRET_IS_A_NAME:
                result[key] = value
            elif _secret_key(key) or (secret_value and key in ("value", "Value")):
                result[key] = _replaced(value, key)
            elif type(value) is str:  # the most of them: a call less for each
                result[key] = redact_text(value)
            else:
                result[key] = redact_obj(value, key)
        return result
    if isinstance(obj, list | tuple):
        return type(obj)([redact_obj(item, parent) for item in obj])
    return _of_struct(obj, parent) if isinstance(obj, Struct) else obj


_NO_TEXT = (int, bool, float, int | None, bool | None, float | None)


@cache
def _texts_of(kind: type[Struct]) -> tuple[tuple[str, str, bool], ...]:
    """The fields that may hold text, each with its key in JSON, and whether that is a secret's."""
    return tuple(
        (field.name, field.encode_name, _secret_key(field.encode_name))
        for field in structs.fields(kind)
        if field.type not in _NO_TEXT
    )


def _of_struct(obj: Struct, parent: str) -> Struct:
    """The same object where nothing in it is secret."""
    name = getattr(obj, "name", None)
    secret_value = isinstance(name, str) and _secret_key(name)
    changed: dict[str, Any] = {}
    for field, key, secret in _texts_of(type(obj)):
        value = getattr(obj, field)
        if not value or (key == "secret" and parent in _SECRET_IS_A_NAME):
            continue
        if secret or (secret_value and key in ("value", "Value")):
            redacted = _replaced(value, key)
        elif type(value) is str:
            redacted = redact_text(value)
        else:
            redacted = redact_obj(value, key)
        if redacted is not value and redacted != value:
            changed[field] = redacted
    return structs.replace(obj, **changed) if changed else obj


_ACCOUNT = re.compile(r"(?<![0-9A-Za-z.])\d{12}(?!\.?\d|[A-Za-z])")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)")
_NODE_IP = re.compile(r"\bip-(\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})\b", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:])f[cde][0-9a-f]{2}:[0-9a-f:]{2,40}(?![\w])", re.IGNORECASE | re.ASCII)


class _Placeholders:
    """Gives the same value the same placeholder."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def _of(self, kind: str, value: str) -> str:
        if value not in self._given:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._given[value] = f"{kind}-{self._counts[kind]}"
        return self._given[value]

    def _address(self, text: str, otherwise: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return otherwise
        shared = address.version == 4 and address in ipaddress.ip_network("100.64.0.0/10")
        if address.is_loopback or address.is_unspecified or not (address.is_private or shared):
            return otherwise
        return self._of("internal-ip", str(address))

    def text(self, text: str) -> str:
        text = _ACCOUNT.sub(lambda m: self._of("account", m.group(0)), text)
        text = _NODE_IP.sub(lambda m: self._address(m.group(1).replace("-", "."), m.group(0)), text)
        text = _IPV4.sub(lambda m: self._address(m.group(0), m.group(0)), text)
        return _IPV6.sub(lambda m: self._address(m.group(0), m.group(0)), text)

    def walk(self, obj: Any) -> Any:
        if isinstance(obj, str):
            return self.text(obj)
        if isinstance(obj, dict):
            return {self.walk(key): self.walk(value) for key, value in obj.items()}
        if isinstance(obj, list | tuple):
            return type(obj)(self.walk(item) for item in obj)
        return obj


def redact_strict(obj: Any) -> Any:
    """As `redact_obj`, and AWS account ids and internal addresses become placeholders.

    Within one call the same value always becomes the same placeholder ("account-1",
    "internal-ip-2"), in keys too: pass what belongs together in one call, as a list. Internal are
    private, link-local and shared (100.64.0.0/10) addresses, and node names such as
    ``ip-10-0-1-10``; loopback is kept.
    """
    return _Placeholders().walk(redact_obj(obj))
