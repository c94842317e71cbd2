"""Where Traefik's load balancer comes from: who makes and keeps it, and what he says of it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from hopcheck.behaviour.aws.annotations import misspelt, type_of
from hopcheck.behaviour.aws.loadbalancer import plain_name
from hopcheck.behaviour.kubernetes import events
from hopcheck.behaviour.kubernetes.objects import outside_names
from hopcheck.catalogue.catalogue import make, text
from hopcheck.model import Evidence, Finding, Gap, ObjectRef, Severity
from hopcheck.model.kubernetes import Event, Ingress, IngressClass, Service
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps import fixing
from hopcheck.steps.names import kube_gap, last_exchanges, lb_ref, ref_of
from hopcheck.steps.rule import SHOWN, WAY, rule
from hopcheck.steps.traefik_service.service import full_name, of_service, service_of
from hopcheck.verdict.contradicted import Claim

_ALB = "ingress.k8s.aws/alb"
_COMBINED = re.compile(r"^\(combined[\w ]+\): ")  # client-go's, before the newest of many
# A controller that fails tries again within some 17 minutes: what is older it does not say now.
_RETRIED = dt.timedelta(minutes=30)
_MADE_WITHIN = dt.timedelta(minutes=5)
# For whom a type of load balancer is, in the annotation (cloud-provider-aws makes the others).
_EXTERNAL = ("external", "nlb-ip")
_CLASSES = ("service.k8s.aws/nlb", "eks.amazonaws.com/nlb")


def _nobody_answered(scene: Scene) -> bool:
    """Whether no request came as far as Traefik: what answers behind it has a load balancer."""
    by = {producer(last) for last in last_exchanges(scene)}
    return by <= {Producer.NOBODY, Producer.ALB}


def _leads_elsewhere(scene: Scene) -> bool:
    """Whether the host leads to what is no load balancer of this account, as far as can be told."""
    return bool(scene.addresses) and scene.balancer is None


def _older(scene: Scene, moment: str, age: dt.timedelta) -> bool:
    try:
        then, now = (dt.datetime.fromisoformat(one) for one in (moment, scene.snapshot.taken_at))
        return now - then > age
    except (ValueError, TypeError):  # without a time, or one without its zone
        return False


def _waits(scene: Scene, service: Service) -> bool:
    """Whether the Service has no load balancer, nor its Traefik any other way in."""
    ways = (scene.own_balancers, scene.reached, scene.host_ports, outside_names(service))
    own = scene.instance
    same = [scene.service(own.namespace, name) for name in own.services] if own is not None else []
    return not any(ways) and not any(outside_names(one) for one in same if one is not None)


def _albs(scene: Scene, service: Service) -> Iterator[Ingress]:
    """Ingresses by which an Application Load Balancer is made that leads to the Service."""
    classes = scene.kube.of(IngressClass).or_else(()) or ()
    names = {"alb", *(one.name for one in classes if one.spec.controller == _ALB)}
    names -= {one.name for one in classes if one.spec.controller != _ALB}
    for one in scene.kube.of(Ingress, service.namespace).or_else(()) or ():
        old = one.metadata.annotations.get("kubernetes.io/ingress.class")
        rules = [path.backend for rule in one.spec.rules if rule.http for path in rule.http.paths]
        to = {b.service.name for b in (one.spec.default_backend, *rules) if b and b.service}
        if (one.spec.ingress_class_name or old) in names and service.name in to:
            yield one


def _fronts(scene: Scene, service: Service) -> Iterator[tuple[ObjectRef, set[str], str]]:
    """What the host's load balancer may be made from: object, names of what was made, since when.

    A TargetGroupBinding of the controller's has the name of its group.
    """
    if service.spec.type == "LoadBalancer":
        names = {plain_name(name) for name in outside_names(service)}
        yield ref_of(service), names, service.metadata.creation_timestamp
    for one in _albs(scene, service):
        names = {plain_name(each.hostname) for each in one.status.load_balancer.ingress}
        yield ref_of(one), names, one.metadata.creation_timestamp
    way = scene.way
    if way is None:
        return
    for group in way.groups:
        ref = ObjectRef("TargetGroupBinding", group.name, service.namespace)
        yield ref, {plain_name(way.balancer.dns_name)}, ""


def _failure(scene: Scene, service: Service) -> tuple[ObjectRef, Event] | None:
    """The failure that stands now, of what the host's load balancer is made from."""
    listed = scene.kube.of(Event, service.namespace)
    front = scene.meant or scene.balancer
    leads = {*scene.chain, *([plain_name(front.dns_name)] if front is not None else ())}
    for ref, names, since in _fronts(scene, service):
        said = events.standing(listed.or_else(()) or (), ref.kind, ref.name, since)
        if said is None:
            continue
        if names:  # it was made once: what was said may be past
            past = listed.truncated or _older(scene, said.seen_at, _RETRIED)
            if leads.isdisjoint(names) or past:
                continue
        elif not _waits(scene, service) or _leads_elsewhere(scene):
            continue
        return ref, said
    return None


def unheard(scene: Scene) -> tuple[Gap, ...]:
    """A gap where a Service waits for its load balancer, and what is said of it cannot be read."""
    service = service_of(scene)
    if service is None or service.spec.type != "LoadBalancer" or scene.addresses:
        return ()
    listed = scene.kube.of(Event, service.namespace)
    return () if listed.seen or not _waits(scene, service) else (kube_gap("events", listed),)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def the_load_balancers_controller_fails_at_nothing(scene: Scene) -> Iterator[Finding]:
    """Who makes Traefik's load balancer does not say that it fails."""
    service = service_of(scene)
    found = _failure(scene, service) if service is not None and _nobody_answered(scene) else None
    if service is None or found is None:
        return
    ref, said = found
    line = " ".join(_COMBINED.sub("", said.message).split())
    source = text("source", "event", about=ref, time=said.seen_at)
    balancers = (scene.balancer,) if scene.balancer is not None else ()
    yield make(
        "SVC018",
        ref,
        variant=events.failure_kind(said),
        about=str(ref),
        line=line,
        reason=said.reason,
        time=said.seen_at,
        kind=ref.kind.lower(),
        name=ref.name,
        ns=service.namespace,
        evidence=(Evidence(source, f"{said.reason}: {line}"),),
        related=(*([ref_of(service)] if ref != ref_of(service) else ()), *map(lb_ref, balancers)),
    )


@rule(
    reads=WAY,
    uses=SHOWN,
    claims=Claim.STOPS_EVERYTHING,
    unless=(the_load_balancers_controller_fails_at_nothing,),
)
def somebody_makes_the_load_balancer(scene: Scene) -> Iterator[Finding]:
    """A Service that waits for a load balancer is somebody's to make one for."""
    service = service_of(scene)
    if service is None or service.spec.type != "LoadBalancer" or not _nobody_answered(scene):
        return
    listed = scene.kube.of(Event, service.namespace)
    # Silence is told only where all could have been heard, and there was time to speak.
    new = not _older(scene, service.metadata.creation_timestamp, _MADE_WITHIN)
    if new or not listed.seen or listed.truncated or scene.addresses or not _waits(scene, service):
        return
    about = (one.involved_object for one in listed.get())
    if any((one.kind, one.name) == ("Service", service.name) for one in about):
        return
    wanted, kind = service.spec.load_balancer_class, type_of(service)
    yield of_service(
        "SVC019",
        service,
        "spec.loadBalancerClass" if wanted else "status.loadBalancer",
        variant="class" if wanted else "external" if kind in _EXTERNAL else None,
        wanted=wanted or kind,
        near=fixing.near_words("" if wanted in _CLASSES else fixing.near(wanted, _CLASSES)),
    )


@rule(reads=WAY, uses=SHOWN)
def annotations_of_the_load_balancer_are_known(scene: Scene) -> Iterator[Finding]:
    """Annotations of Traefik's load balancer are spelt as its controller reads them.

    A misspelt scheme is why a load balancer is internal.
    """
    service = service_of(scene)
    if service is None:
        return
    exposed = [service] if service.spec.type == "LoadBalancer" else []
    silent = bool(last_exchanges(scene)) and _nobody_answered(scene)
    inside = silent and scene.balancer is not None and scene.balancer.scheme == "internal"
    for obj in (*exposed, *_albs(scene, service)):
        for key, meant in misspelt(obj):
            yield make(
                "SVC020",
                ref_of(obj, f"metadata.annotations[{key}]"),
                severity=Severity.ERROR if inside and meant.endswith("scheme") else None,
                about=str(ref_of(obj)),
                service=full_name(service),
                key=key,
                meant=meant,
                kind=type(obj).__name__.lower(),
                name=obj.name,
                ns=obj.namespace,
            )
