"""How findings name what they speak of: objects as references, routes and failures in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hopcheck.behaviour.kubernetes.graph import workload_of
from hopcheck.behaviour.kubernetes.objects import outside_names
from hopcheck.behaviour.traefik.route import Backend, Route
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Collected, Exchange, Finding, Gap, ObjectRef, Probe, Why, Words
from hopcheck.model.aws import LoadBalancer
from hopcheck.model.kubernetes import Object, Pod
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.outcome import CertificateProblem, certificate_problem
from hopcheck.scene.scene import Scene

RESOURCE = {
    "Ingress": "ingress",
    "IngressRoute": "ingressroutes.traefik.io",
    "IngressRouteTCP": "ingressroutetcps.traefik.io",
}


def ref_of(obj: Object, field: str | None = None) -> ObjectRef:
    """The report's name of an object."""
    return ObjectRef(type(obj).__name__, obj.name, obj.namespace or None, field)


def backend_ref(backend: Backend, field: str | None = None) -> ObjectRef:
    """The report's name of a Service or TraefikService behind a route."""
    return ObjectRef(backend.kind, backend.name, backend.namespace, field)


def route_ref(route: Route, field: str | None = None) -> ObjectRef:
    """The report's name of the object behind a route."""
    return ObjectRef(route.kind, route.name, route.namespace, field)


def of_route(
    code: str, scene: Scene, route: Route, /, *, at: ObjectRef | str | None = None, **more: Any
) -> Finding:
    """A finding about a route's object: a field of it, or another object `at` fault."""
    words = {
        "host": scene.target.host,
        "path": scene.target.path,
        "route": f"{route.kind} {route.namespace}/{route.name}",
        "ns": route.namespace,
        "resource": RESOURCE[route.kind],
        "name": route.name,
    }
    ref = at if isinstance(at, ObjectRef) else route_ref(route, at)
    return make(code, ref, **(words | more))


def of_object(obj: Object) -> Words:
    """The words of `of_route` for another object that a finding is about."""
    resource = f"{type(obj).plural}.traefik.io"
    return {"route": str(ref_of(obj)), "ns": obj.namespace, "name": obj.name, "resource": resource}


def route_refs(routing: Routing) -> tuple[ObjectRef, ...]:
    """The object of the host's route, as the other end of a relation."""
    return (route_ref(routing.winner),) if routing.winner else ()


def lb_ref(balancer: LoadBalancer) -> ObjectRef:
    """The report's name of a load balancer."""
    return ObjectRef("LoadBalancer", balancer.load_balancer_name)


def cluster_address(scene: Scene) -> str:
    """Words of proof that the host's addresses are the cluster's own; "" where none is."""
    for address in scene.addresses:
        node = scene.node_ids.get(address)
        if node is not None:
            return text("address", "node", address=address, node=node.name)
        for service in scene.services:
            if address in outside_names(service):
                full = f"{service.namespace}/{service.name}"
                return text("address", "service", address=address, service=full)
    return ""


def traefik_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    """The workload of the host's Traefik, as the other end of a relation."""
    instance = scene.instance
    return (ObjectRef(instance.kind, instance.name, instance.namespace),) if instance else ()


def workload_refs(pods: Iterable[Pod], namespace: str, most: int = 2) -> tuple[ObjectRef, ...]:
    """The workloads of pods, at most so many."""
    return tuple(dict.fromkeys(ObjectRef(*workload_of(p), namespace) for p in pods))[:most]


def labels_as_text(labels: Mapping[str, str]) -> str:
    """Labels as kubectl's -l takes them."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def sent(scene: Scene) -> list[Probe]:
    """The requests of the host that were sent, whatever came of them."""
    return [c.get() for c in scene.snapshot.http.requests if c.seen and c.get().exchanges]


def last_exchanges(scene: Scene) -> list[Exchange]:
    """The last exchange of each request of the host."""
    return [probe.exchanges[-1] for probe in sent(scene)]


def shows_default_certificate(scene: Scene) -> bool:
    """Whether clients are shown Traefik's default certificate, which every client refuses."""
    seen = (e.tls for probe in sent(scene) for e in probe.exchanges if e.tls is not None)
    default = CertificateProblem.DEFAULT
    return any(certificate_problem(tls, scene.snapshot) is default for tls in seen)


def failure(exchange: Exchange) -> str:
    """How a request failed before there was a status, in a word or two."""
    return text("failed", exchange.error.value) if exchange.error else "?"


def kube_gap(what: str, found: Collected[Any], *, required: bool = True, **params: str) -> Gap:
    """What the cluster would have told, and why it has not."""
    why, params = found.why or Why.NOT_SELECTED, {"party": "kubernetes"} | params
    return Gap(what, why, found.detail, required=required, params=params)


def aws_gap(what: str, found: Collected[Any], **params: str) -> Gap:
    """What AWS would have told, and why it has not."""
    params = {"party": "aws"} | params
    return Gap(what, found.why or Why.NOT_SELECTED, found.detail, params=params)


def gateway_gap(routing: Routing, *, required: bool) -> Gap:
    """The host is (also) routed by HTTPRoutes, which are not evaluated."""
    return Gap(
        "gateway_api",
        Why.NOT_NEEDED,
        required=required,
        params={"host": routing.scene.target.host, "names": listing(routing.gateway)},
    )
