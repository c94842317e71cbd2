"""The host's route in a snapshot: which router serves it, and the Services behind it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from hopcheck.behaviour.traefik.gateway import gateway_routers, gateway_routes_for
from hopcheck.behaviour.traefik.route import Backend, Excluded, Route, View
from hopcheck.behaviour.traefik.routes import (
    Scheme,
    Selection,
    candidates,
    children,
    dropped,
    leaves,
    passing_over,
    select,
)
from hopcheck.behaviour.traefik.rules import matches
from hopcheck.behaviour.traefik.static import StaticConfig
from hopcheck.behaviour.traefik.version import parse_version
from hopcheck.model.kubernetes import Service
from hopcheck.scene.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Sequence


def routing_of(scene: Scene) -> Routing:
    """The choice that is made in this scene: the rules of all steps look at one."""
    return scene.once("routing", lambda: Routing(scene))


class Routing:
    """The choice that the host's Traefik makes, by what is declared."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    @cached_property
    def view(self) -> View:
        """The installation that the requests reach; an unknown one where none was found."""
        scene, instance = self.scene, self.scene.instance
        if instance is not None:
            return scene.view_of(instance, scene.lead)
        version = parse_version(scene.snapshot.assumed_version or "")
        return View("-/-", StaticConfig(), version)

    @cached_property
    def routes(self) -> list[Route]:
        """Every route as that installation would build it."""
        return candidates(self.scene.kube, [self.view])

    @property
    def entry_point(self) -> str:
        """The entryPoint of the request; the usual name where ports do not tell."""
        entry = self.scene.entry_point
        if entry is not None:
            return entry.name
        return "websecure" if self.scheme_inside == "https" else "web"

    @cached_property
    def scheme_inside(self) -> str:
        """Http where the load balancer reads what comes and sends plain text on; else as asked."""
        scheme, way = self.scene.target.scheme, self.scene.way
        if scheme == "http" or way is None:
            return scheme
        if not way.listener.ends_tls and way.listener.protocol != "HTTP":
            return scheme
        return "http" if any(group.sends_plain for group in way.groups) else "https"

    @cached_property
    def selection(self) -> Selection:
        """What Traefik does with the request; routes that it drops are passed over."""
        return passing_over(self._selected, self.drops, self.view)

    def drops(self, route: Route) -> bool:
        """Whether Traefik makes no router of it, or none that serves: a backend leads nowhere."""
        return dropped(self.scene.kube, self.view, route)

    @cached_property
    def _selected(self) -> Selection:
        """The choice by rules and priorities alone."""
        target = self.scene.target
        scheme: Scheme = "http" if self.scheme_inside == "http" else "https"
        return select(
            self.routes,
            target.host,
            target.path,
            view=self.view,
            entry_point=self.entry_point,
            scheme=scheme,
        )

    @cached_property
    def gateway(self) -> tuple[str, ...]:
        """HTTPRoutes (else routers of the API) that may route the host: not evaluated."""
        static, host, path = self.view.static, self.scene.target.host, self.scene.target.path
        enabled = static.gateway if static.known else None
        replicas = self.scene.snapshot.traefik.replicas
        return gateway_routes_for(self.scene.kube, host, enabled=enabled) or gateway_routers(
            replicas, host, path, self.entry_point, self.view.version
        )

    @cached_property
    def winner(self) -> Route | None:
        """The route that is meant to serve: the winner, or the one that a small thing keeps out.

        A host's Service is of interest even where its route is not loaded.
        """
        found = self.selection
        if found.winner is not None:
            return found.winner
        if self.gateway:  # what serves the host is no object that was evaluated
            return None
        # Those that match host and path come before those that match the host alone.
        misses = sorted(found.misses, key=lambda m: m.reason is Excluded.PATH_MISMATCH)
        near = [m.route for m in misses if m.reason is not Excluded.HOST_MISMATCH]
        for route in (*found.undecided, *near, *found.excluded):
            if route.backends:
                return route
        return None

    @cached_property
    def other_provider(self) -> str | None:
        """The provider of a router that Traefik's API shows for the host, if not Kubernetes'."""
        for replica in self.scene.snapshot.traefik.replicas:
            seen = ((replica.routers, False), (replica.tcp_routers, True))
            for router, tcp in ((r, tcp) for found, tcp in seen for r in found.or_else(()) or ()):
                provider = router.provider
                if provider in ("", "internal") or provider.startswith("kubernetes"):
                    continue
                if router.status == "enabled" and matches(
                    router.rule,
                    self.scene.target.host,
                    self.scene.target.path,
                    version=self.view.version,
                    protocol="tcp" if tcp else "http",
                ):
                    return provider
        return None

    def backends(self, route: Route) -> tuple[list[Backend], list[Backend]]:
        """Services behind a route, and references of it that lead nowhere.

        Those of the only child that can match, where it has none of its own.
        """
        target = self.scene.target
        below = [
            child
            for child in children(route, self.routes)
            if matches(child.rule, target.host, target.path, syntax=child.syntax) is not False
        ]
        own = below[0].backends if len(below) == 1 else route.backends
        found = [leaves(self.scene.kube, backend) for backend in own]
        services = [one for leading, _ in found for one in leading]
        return services, [one for _, missing in found for one in missing]

    @cached_property
    def carrying(self) -> list[Backend]:
        """What carries the requests behind the host's route, whether it exists or not."""
        return self.backends(self.winner)[0] if self.winner is not None else []

    def services(self) -> list[tuple[Backend, Service]]:
        """The existing Services behind the host's route, each once."""
        found: dict[tuple[str, str, str], tuple[Backend, Service]] = {}
        for backend in self.carrying:
            service = self.scene.service(backend.namespace, backend.name)
            if service is not None:
                key = (backend.namespace, backend.name, str(backend.port))
                found[key] = (backend, service)
        return list(found.values())


def share_of(backend: Backend, backends: Sequence[Backend]) -> float | None:
    """The part of the requests that one of several backends gets, by their weights."""
    weights = [1 if each.weight is None else each.weight for each in backends]
    total: int = sum(weights)
    own = 1 if backend.weight is None else backend.weight
    return own / total if len(backends) > 1 and total else None
