"""What the suite says that Traefik does with a case's objects.

`told`: names of middlewares of which Traefik itself says that it cannot make them.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.references import joined_name
from hopcheck.behaviour.traefik.route import Backend, Route
from hopcheck.behaviour.traefik.routes import mirrored, rank, select
from hopcheck.behaviour.traefik.servers import servers_of
from hopcheck.behaviour.traefik.version import parse_version
from hopcheck.model import Collected, KubeEvidence, Snapshot, Target
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene
from hopcheck.steps.ingress.references import servers_transports_exist
from hopcheck.steps.ingress.tls import tls_options_exist
from hopcheck.steps.middlewares import faults, missing
from hopcheck.steps.rule import Rule
from tests.conform.grammar import CLASSES, Obj, Request

RESOURCES = {
    "Ingress": "ingresses",
    "IngressRoute": "ingressroutes",
    "IngressRouteTCP": "ingressroutetcps",
    "IngressClass": "ingressclasses",
    "Middleware": "middlewares",
    "TraefikService": "traefikservices",
    "TLSOption": "tlsoptions",
    "TLSStore": "tlsstores",
    "ServersTransport": "serverstransports",
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Secret": "secrets",
}

# Why there is no router: a Middleware whose own settings Traefik refuses. No rule judges these
# before Traefik does; what it says of them, in its API and log, is quoted.
TOLD = "told"
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Choice:
    """Which routes may take a request; `settled` is False where the suite does not say."""

    routes: tuple[Route, ...]
    settled: bool


class Predicted:
    """One case under one version."""

    def __init__(
        self, objects: Sequence[Obj], args: list[str], version: str, told: frozenset[str] = NONE
    ) -> None:
        # The provider leaves out one that names no Secret, and says so in the log alone.
        nameless = (
            f"{joined_name(obj['metadata']['namespace'], obj['metadata']['name'])}@kubernetescrd"
            for obj in objects
            if obj["kind"] == "Middleware" and obj.get("spec", {}).get("basicAuth") == {}
        )
        self.told = told | set(nameless)
        known = parse_version(version)
        assert known is not None
        self.version = known
        container = {"name": "traefik", "image": f"traefik:v{version}", "args": args}
        pod = {
            "metadata": {"namespace": "traefik", "name": "traefik-0"},
            "spec": {"containers": [container]},
        }
        lists: dict[str, list[Obj]] = {resource: [] for resource in RESOURCES.values()}
        for obj in (*CLASSES, *objects):
            if obj["kind"] in RESOURCES:
                lists[RESOURCES[obj["kind"]]].append(obj)
        secrets = lists.pop("secrets")
        kube = KubeEvidence(
            lists={
                **{name: Collected(value=tuple(own)) for name, own in lists.items()},
                "pods": Collected(value=(pod,)),
                "secrets": Collected(
                    value=tuple({k: o[k] for k in ("kind", "metadata")} for o in secrets)
                ),
            }
        )
        self.scene = Scene(Snapshot(target=Target(host="x.test"), kube=kube))
        self.routing = routing_of(self.scene)
        assert self.routing.view.static.known
        self.why = {id(route): self._lacks(route) for route in self.routing.routes}

    def refuses_tls(self, host: str) -> bool:
        """Whether a handshake for the host may end in an alert: a route's TLS options lack.

        Traefik finds the hosts even of a rule that it refuses.
        """
        return any(
            host in route.rule.lower() or f"*.{host.partition('.')[2]}" in route.rule.lower()
            for route in self.routing.routes
            if route.tls and self._finds(tls_options_exist, route)
        )

    def _finds(self, rule: Rule, route: Route) -> bool:
        """Whether the rule finds something, were it this route that serves."""
        return bool(list(inspect.unwrap(rule.look)(self.scene, route)))

    @property
    def loaded(self) -> list[Route]:
        """The routes whose routers serve."""
        return [route for route in self.routing.routes if not self.why[id(route)]]

    def _lacks(self, route: Route) -> str:
        """Why Traefik has no router of it that serves; "" where it has."""
        if route.excluded:
            return ", ".join(each.reason.value for each in route.excluded)
        if self.routing.drops(route):
            return "service"
        if missing(self.scene, route) or faults(self.scene, route):
            return "middleware"
        if set(route.middlewares) & self.told:
            return TOLD
        if self._finds(tls_options_exist, route):
            return tls_options_exist.name
        copies = [copy for one in route.backends for copy in mirrored(self.scene.kube, one)]
        for backend in (*self.routing.backends(route)[0], *copies):
            # A round tripper is looked for when a server is added; up to 3.2 always.
            alone = replace(route, backends=(backend,))
            looked = not self.version.at_least(3, 3) or self._servers_of(route, backend)
            if looked and self._finds(servers_transports_exist, alone):
                return servers_transports_exist.name
        return ""

    def choice(self, request: Request) -> Choice:
        view = self.routing.view
        found = select(
            self.loaded,
            request.host,
            request.path,
            view=view,
            entry_point=request.entry_point,
            scheme="https" if request.scheme == "https" else "http",
        )
        best = [r for r in found.order if rank(r, view) == rank(found.order[0], view)]
        return Choice(tuple(best), not found.undecided)

    def servers(self, route: Route) -> set[str] | None:
        """The servers' URLs; None where the suite does not say."""
        found: set[str] = set()
        for backend in self.routing.backends(route)[0]:
            own = self._servers_of(route, backend)
            if own is None:
                return None
            found |= own
        return found

    def _servers_of(self, route: Route, backend: Backend) -> set[str] | None:
        service = self.scene.service(backend.namespace, backend.name)
        if service is None:
            return None
        found = servers_of(self.scene.kube, self.routing.view, route, backend, service)
        return None if found is None else set(found)
