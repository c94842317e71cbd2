"""An Ingress's ``traefik.ingress.kubernetes.io/router.*`` annotations.

Source: pkg/provider/kubernetes/ingress/annotations.go of github.com/traefik/traefik.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

PREFIX = "traefik.ingress.kubernetes.io/"
_TRUE = frozenset({"", "true"})
_FIELDS = re.compile(
    r"^router\.(?:pathmatcher|entrypoints|middlewares|priority|rulesyntax|tls|tls\.options"
    r"|tls\.certresolver|tls\.domains\.\d+\.(?:main|sans)|tls\.domains\[\d+\]\.(?:main|sans)"
    r"|observability|observability\.(?:accesslogs|metrics|tracing|traceverbosity))$"
)


class Annotations(Struct, frozen=True):
    """An Ingress's router annotations, decoded."""

    entry_points: tuple[str, ...] = ()
    middlewares: tuple[str, ...] = ()
    priority: int = 0
    path_matcher: str = ""
    rule_syntax: str = ""
    tls: bool = False
    tls_options: str | None = None
    cert_resolver: str | None = None
    bad: tuple[str, ...] = ()  # keys for which Traefik drops the Ingress


def read_annotations(annotations: Mapping[str, str]) -> Annotations:
    """Decode ``traefik.ingress.kubernetes.io/router.*``; field names are case-insensitive."""
    own: dict[str, str] = {}
    bad: list[str] = []
    for key, value in annotations.items():
        name = key.removeprefix(PREFIX).lower()
        if not key.startswith(PREFIX) or not name.startswith("router."):
            continue
        own[name] = str(value)
        if not _FIELDS.match(name):
            bad.append(key)
    try:
        rank = int(own.get("router.priority") or 0)
    except ValueError:
        rank = 0
        bad.append(f"{PREFIX}router.priority")
    tls = any(name == "router.tls" or name.startswith("router.tls.") for name in own)
    return Annotations(
        entry_points=_list(own.get("router.entrypoints")),
        middlewares=_list(own.get("router.middlewares")),
        priority=rank,
        path_matcher=own.get("router.pathmatcher", ""),
        rule_syntax=own.get("router.rulesyntax", ""),
        # paerser: a value other than "true" switches the section off, whatever stands below it
        tls=tls and own.get("router.tls", "").lower() in _TRUE,
        tls_options=own.get("router.tls.options") or None,
        cert_resolver=own.get("router.tls.certresolver") or None,
        bad=tuple(bad),
    )


def _list(value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",")) if value else ()
