"""Which hosts a cluster's routes name, and which of them can be diagnosed (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from hopcheck.behaviour.kubernetes.hosts import hosts_of
from hopcheck.catalogue.catalogue import text
from hopcheck.config.options import UsageError
from hopcheck.config.target import parse_target
from hopcheck.model.kubernetes import Object
from hopcheck.schedule.fleet_model import LeftOut


class Discovered(Struct, frozen=True):
    """Names to diagnose, sorted, and what was left out with the reason."""

    hosts: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def discover(
    routes: Iterable[Object],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    samples: Mapping[str, str] | None = None,
) -> Discovered:
    """The hosts of Ingresses, IngressRoutes and IngressRouteTCPs.

    `include` and `exclude` are shell patterns (``*.example.com``); without `include` all are
    taken, and `exclude` wins. A wildcard host becomes its entry in `samples` or is left out. A
    route that names no host at all (a regular expression, any host) is left out by its own name.
    """
    found: dict[str, None] = {}
    left: dict[str, LeftOut] = {}
    for route in routes:
        names = [name for name in hosts_of(route) if name]
        if not names:
            label = _label(route)
            left[label] = LeftOut(label, text("fleet", "names_no_host"))
        for name in names:
            if not wanted(name, include, exclude):
                continue
            usable, reason = _usable(name, samples or {})
            if usable is None:
                left[name] = LeftOut(name, reason)
            else:
                found[usable] = None
    return Discovered(tuple(sorted(found)), tuple(left[name] for name in sorted(left)))


def wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether the patterns let `name` through; an empty `include` lets everything through."""
    if any(fnmatchcase(name, pattern.lower()) for pattern in exclude):
        return False
    return not include or any(fnmatchcase(name, pattern.lower()) for pattern in include)


def _usable(name: str, samples: Mapping[str, str]) -> tuple[str | None, str]:
    if "*" in name:
        sample = samples.get(name)
        return sample, "" if sample else text("fleet", "wildcard")
    try:
        return parse_target(name).host, ""
    except UsageError:
        return None, text("fleet", "no_host_name")


def _label(route: Object) -> str:
    return f"{route.kind or '?'} {route.namespace}/{route.name}"
