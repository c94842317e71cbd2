"""What is kept of Traefik's own answers: routers, services and metrics of one host (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from hopcheck.model import Collected, Obj
from hopcheck.model.redact import redact_text

_MANY = 500
_SERIES = 400
_SAMPLE = re.compile(r"^(traefik_\w+)(\{.*\})? (\S+)(?: \d+)?$")
_KEPT_SERIES = re.compile(
    r"traefik_(?:config_(?:reloads_total|reloads_failure_total|last_reload_\w+)"
    r"|open_connections|entrypoint_open_connections|tls_certs_not_after"
    r"|(?:entrypoint|router|service)_requests_total|service_server_up)"
)
_HOST_WORD = re.compile(r"\bHost(?:Header)?\(")


def _about_host(rule: str, host: str) -> bool:
    parent = host.partition(".")[2]
    lower = rule.lower()
    return (
        host in lower
        or "regexp(" in lower
        or not _HOST_WORD.search(rule)
        or bool(parent and f"*.{parent}" in lower)
    )


def of_host(routers: Collected[tuple[Obj, ...]], host: str) -> Collected[tuple[Obj, ...]]:
    """Of very many routers those that may match the host; of few all."""
    if not routers.seen or len(routers.get()) <= _MANY:
        return routers
    kept = tuple(r for r in routers.get() if _about_host(str(r.get("rule", "")), host))
    return replace(routers, value=kept)


def used(
    services: Collected[tuple[Obj, ...]], routers: Collected[tuple[Obj, ...]], host: str
) -> Collected[tuple[Obj, ...]]:
    """Of very many services those of the host's routers; of few all."""
    if not services.seen or not routers.seen or len(services.get()) <= _MANY:
        return services
    names = {str(r.get("name")) for r in of_host(routers, host).get()}
    kept = tuple(
        s for s in services.get() if not s.get("usedBy") or names & {*map(str, s["usedBy"])}
    )
    return replace(services, value=kept)


def chosen_series(text: str, host: str) -> dict[str, float]:
    """Traefik's series that a judge reads, from the Prometheus text format.

    Key: name and labels as exposed. Certificates' expiry (``traefik_tls_certs_not_after``) is
    kept for certificates whose names cover `host`. At most 400 series, in the order given.
    """
    found: dict[str, float] = {}
    for line in text.split("\n"):
        sample = _SAMPLE.match(line) if line.startswith("traefik_") else None
        if sample is None or not _KEPT_SERIES.fullmatch(sample.group(1)):
            continue
        name, labels = sample.group(1), sample.group(2) or ""
        if name == "traefik_tls_certs_not_after" and not _covers(labels, host):
            continue
        try:
            value = float(sample.group(3))
        except ValueError:
            continue
        found[redact_text(name + labels)] = value
        if len(found) >= _SERIES:
            break
    return found


def _covers(labels: str, host: str) -> bool:
    names: Iterable[str] = re.findall(r'(?:cn|sans)="([^"]*)"', labels)
    wanted: Sequence[str] = (host, f"*.{host.partition('.')[2]}")
    return any(name.strip() in wanted for listed in names for name in listed.lower().split(","))
