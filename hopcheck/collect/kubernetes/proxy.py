"""The HTTP proxy on the way to the API server, as kubectl chooses it.

Without ``proxy-url`` client-go asks Go's http.ProxyFromEnvironment (x/net/http/httpproxy):
HTTPS_PROXY or HTTP_PROXY by the server's scheme, less what NO_PROXY lists (names with their
subdomains, addresses, CIDR blocks, ``*``), and never for loopback. Probes ask no proxy at all.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_for(server: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The proxy's URL for the API server's URL, or None."""
    env = os.environ if environ is None else environ
    parts = urlsplit(server)
    name = "https_proxy" if parts.scheme == "https" else "http_proxy"
    proxy = env.get(name.upper()) or env.get(name)
    if not proxy or not parts.hostname:
        return None
    excluded = env.get("NO_PROXY") or env.get("no_proxy") or ""
    if _loopback(parts.hostname) or _excluded(parts.hostname, parts.port, excluded):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _excluded(host: str, port: int | None, entries: str) -> bool:
    return any(
        _matches(host.lower(), port, entry.strip().lower())
        for entry in entries.split(",")
        if entry.strip()
    )


def _matches(host: str, port: int | None, entry: str) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if _address(entry) is None and entry.rpartition(":")[2].isdigit():
        entry, _, wanted = entry.rpartition(":")
        if port != int(wanted):
            return False
    if address is not None:
        return address == _address(entry)
    name = entry.removeprefix("*.").removeprefix(".")
    return host.endswith(f".{name}") or (host == name and not entry.startswith((".", "*.")))
