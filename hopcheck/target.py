"""From what a person types (a host name or a URL) to a `Target`."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Literal, cast
from urllib.parse import urlsplit

import idna
import msgspec

from hopcheck.model import Target
from hopcheck.redact import redact_url

_LABEL = re.compile(r"^(?!-)[a-z0-9_-]{1,63}(?<!-)$")
_DEFAULT_PORT = {"http": 80, "https": 443}


class BadTargetError(ValueError):
    """What was typed is no host name or URL; the message is one clear line."""


def parse_target(
    typed: str,
    *,
    scheme: str | None = None,
    path: str | None = None,
    expect_status: str | None = None,
) -> Target:
    """Read a host, ``host:port`` or URL. `scheme` and `path` are options that add to a bare host.

    Host names become lower-case A-labels without a trailing dot. Raises BadTargetError.
    """
    text = typed.strip()
    shown = ascii(text[:80])
    if not text:
        raise BadTargetError("no host was given: hopcheck diagnose myapp.example.com")
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise BadTargetError(f"{shown} is no host name: it contains spaces or control characters")
    url_given = "://" in text
    if not url_given and _is_ipv6(text):
        text = f"[{text}]"
    try:
        parts = urlsplit(text if url_given else f"//{text}")
        port = parts.port
        hostname = parts.hostname or ""
    except ValueError as error:
        raise BadTargetError(f"{shown} is no host name or URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise BadTargetError("a user name in the URL is not supported: it would end up in reports")
    used = parts.scheme.lower() if url_given else (scheme or "https").lower()
    if used not in _DEFAULT_PORT:
        raise BadTargetError(f"{shown}: only http and https can be diagnosed, not {used!r}")
    if url_given and scheme is not None and scheme.lower() != used:
        raise BadTargetError(f"{shown} and --scheme {scheme} contradict each other")
    if port == 0:
        raise BadTargetError(f"{shown}: port 0 cannot be asked")
    own_path = parts.path or ""
    if parts.query:
        own_path += f"?{parts.query}"
    if own_path and not url_given:
        raise BadTargetError(f"{shown} has a path; give a URL (https://host/path) or --path")
    host, display = _host(hostname, shown)
    asked = path if path is not None else own_path
    if asked and not asked.startswith("/"):
        raise BadTargetError(f"the path {asked[:80]!a} does not begin with /")
    return Target(
        host=host,
        display_host=display,
        scheme=cast(Literal["http", "https"], used),
        port=port or _DEFAULT_PORT[used],
        path=_ascii_path(asked or "/"),
        scheme_asked=url_given or scheme is not None,
        path_asked=asked not in ("", "/"),
        expect_status=check_expect_status(expect_status or "200-399,401,403,405,429"),
    )


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _ascii_path(path: str) -> str:
    return "".join(
        c if " " < c < "\x7f" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in path
    )


def _host(hostname: str, shown: str) -> tuple[str, str]:
    name = hostname.rstrip(".")
    if not name:
        raise BadTargetError(f"{shown} names no host")
    try:
        return str(ipaddress.ip_address(name)), ""
    except ValueError:
        pass
    display = ""
    if not name.isascii():
        display = name
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError as error:
            raise BadTargetError(f"{shown} is no host name: {error}") from None
    name = name.lower()
    if len(name) > 253 or not all(_LABEL.match(label) for label in name.split(".")):
        raise BadTargetError(f"{shown} is no host name")
    if re.fullmatch(r"[0-9.]+", name):
        raise BadTargetError(f"{shown} is neither a host name nor an IP address")
    return name, display


def check_expect_status(text: str) -> str:
    """A list such as "200-399,401" if it is one; BadTargetError otherwise."""
    for part in text.split(","):
        match = re.fullmatch(r"\s*([1-5]\d\d)(?:-([1-5]\d\d))?\s*", part)
        if match is None or (match[2] and match[2] < match[1]):
            raise BadTargetError(f"--expect-status {text[:60]!a}: write it like 200-399,401")
    return text.replace(" ", "")


def mark_of(target: Target) -> str:
    """Eight hex digits that tell this URL from others of its host."""
    url = target.url.encode("utf-8", "backslashreplace")
    return hashlib.sha256(url).hexdigest()[:8]


def without_query_values(target: Target) -> Target:
    """The target as evidence and reports hold it; its slug stays the same."""
    if "?" not in target.path:
        return target
    path = redact_url(target.path)
    return msgspec.structs.replace(target, path=path, mark=target.mark or mark_of(target))
