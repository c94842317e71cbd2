"""From what a person types (a host name or a URL) to a `Target`."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Literal, cast
from urllib.parse import urlsplit

import idna
import msgspec

from hopcheck.catalogue import catalogue
from hopcheck.config.options import UsageError
from hopcheck.model import EXPECTED, Target
from hopcheck.model.redact import redact_url

_LABEL = re.compile(r"^(?!-)[a-z0-9_-]{1,63}(?<!-)$")
_DEFAULT_PORT = {"http": 80, "https": 443}


def parse_target(
    typed: str,
    *,
    scheme: str | None = None,
    path: str | None = None,
    expect_status: str | None = None,
) -> Target:
    """Read a host, ``host:port`` or URL. `scheme` and `path` are options that add to a bare host.

    Host names become lower-case A-labels without a trailing dot. Raises UsageError.
    """
    text = typed.strip()
    shown = ascii(text[:80])
    if not text:
        raise UsageError(catalogue.text("usage", "no_host"))
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise UsageError(catalogue.text("usage", "host_spaces", value=shown))
    url_given = "://" in text
    if not url_given and ":" in text and is_address(text):
        text = f"[{text}]"
    try:
        parts = urlsplit(text if url_given else f"//{text}")
        port = parts.port
        hostname = parts.hostname or ""
    except ValueError as error:
        raise UsageError(catalogue.text("usage", "host_or_url", value=shown, error=error)) from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(catalogue.text("usage", "user_name"))
    used = parts.scheme.lower() if url_given else (scheme or "https").lower()
    if used not in _DEFAULT_PORT:
        raise UsageError(catalogue.text("usage", "scheme", value=shown, scheme=used))
    if url_given and scheme is not None and scheme.lower() != used:
        raise UsageError(catalogue.text("usage", "two_schemes", value=shown, scheme=scheme))
    if port == 0:
        raise UsageError(catalogue.text("usage", "port_0", value=shown))
    own_path = parts.path or ""
    if parts.query:
        own_path += f"?{parts.query}"
    if own_path and not url_given:
        raise UsageError(catalogue.text("usage", "host_path", value=shown))
    host, display = _host(hostname, shown)
    asked = path if path is not None else own_path
    if asked and not asked.startswith("/"):
        raise UsageError(catalogue.text("usage", "path", path=asked[:80]))
    return Target(
        host=host,
        display_host=display,
        scheme=cast(Literal["http", "https"], used),
        port=port or _DEFAULT_PORT[used],
        path=_ascii_path(asked or "/"),
        scheme_asked=url_given or scheme is not None,
        path_asked=asked not in ("", "/"),
        expect_status=check_expect_status(expect_status or EXPECTED),
    )


def is_address(text: str) -> bool:
    """Whether `text` is an IP address, of either version, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ascii_path(path: str) -> str:
    return "".join(
        c if " " < c < "\x7f" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in path
    )


def _host(hostname: str, shown: str) -> tuple[str, str]:
    name = hostname.rstrip(".")
    if not name:
        raise UsageError(catalogue.text("usage", "names_no_host", value=shown))
    if is_address(name):
        return str(ipaddress.ip_address(name)), ""
    display = ""
    if not name.isascii():
        display = name
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError as error:
            raise UsageError(
                catalogue.text("usage", "host_error", value=shown, error=error)
            ) from None
    name = name.lower()
    if len(name) > 253 or not all(_LABEL.match(label) for label in name.split(".")):
        raise UsageError(catalogue.text("usage", "host", value=shown))
    if re.fullmatch(r"[0-9.]+", name):
        raise UsageError(catalogue.text("usage", "host_or_ip", value=shown))
    return name, display


def check_expect_status(text: str) -> str:
    """A list such as "200-399,401" if it is one; UsageError otherwise."""
    for part in text.split(","):
        match = re.fullmatch(r"\s*([1-5]\d\d)(?:-([1-5]\d\d))?\s*", part)
        if match is None or (match[2] and match[2] < match[1]):
            raise UsageError(catalogue.text("usage", "expect_status", value=text[:60]))
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
