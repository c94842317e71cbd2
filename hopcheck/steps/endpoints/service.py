"""The Service: whether it may be used, what it selects, who lists it, and if its pods are ready."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hopcheck.behaviour.kubernetes import pod_state
from hopcheck.behaviour.kubernetes.pod_state import PodState
from hopcheck.behaviour.traefik.routes import copied
from hopcheck.behaviour.traefik.servers import slice_ports
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Finding, ObjectRef, Severity, Words
from hopcheck.model.kubernetes import Deployment, Pod, StatefulSet, Workload
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream, upstreams
from hopcheck.steps import fixing
from hopcheck.steps.endpoints.judged import (
    State,
    empties,
    judged,
    of_service,
    provider_that_forbids,
    state_of,
    troubled,
)
from hopcheck.steps.names import labels_as_text, ref_of, route_refs, traefik_refs, workload_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule
from hopcheck.verdict.contradicted import Claim


@rule(reads=("kube",), uses=BESIDE_KUBE)
def external_names_are_allowed(scene: Scene) -> Iterator[Finding]:
    """Traefik's settings allow the ExternalName Services behind the route."""
    flag = provider_that_forbids(scene)
    for one in judged(scene, State.EXTERNAL) if flag else ():
        yield of_service(
            "END007",
            one,
            flag=flag,
            provider=flag,
            external=one.service.spec.external_name,
            related=traefik_refs(scene),
        )


def _without_pods(scene: Scene) -> Iterator[tuple[Upstream, Workload | None]]:
    """Services with a selector and no pod that it picks, and the workload meant that has none."""
    for one in judged(scene, State.NO_PORT, State.EMPTY):
        if one.selector and one.pods_listed and not one.pods:
            yield one, _scaled_to_zero(one)


def _scaled_to_zero(one: Upstream) -> Workload | None:
    for kind in (Deployment, StatefulSet):
        for obj in one.scene.kube.of(kind, one.namespace).or_else(()) or ():
            labels = obj.spec.template.metadata.labels.items()
            if obj.spec.replicas == 0 and one.selector.items() <= labels:
                return obj
    return None


@rule(reads=("kube",), uses=BESIDE_KUBE)
def workload_has_replicas(scene: Scene) -> Iterator[Finding]:
    """The workload that the Service's selector means is not scaled to zero."""
    for one, scaled in _without_pods(scene):
        if scaled is not None and not _spoils(one):
            words, ref = (*scaled.metadata.labels, *scaled.metadata.annotations), ref_of(scaled)
            by = " (KEDA)" if any("keda" in word for word in words) else ""
            yield make(
                "END011",
                ref,
                workload=str(ref),
                by=by,
                ns=one.namespace,
                resource=f"{ref.kind.lower()}/{ref.name}",
                related=(one.ref,),
                scale="" if by else 1,
            )


def _spoils(one: Upstream) -> list[str]:
    """The other Services of the route whose requests fail as well, or that serve but a part."""
    kept = routing_of(one.scene).view.static.crd.allow_empty_services and bool(one.share)
    leading = (State.SERVING, State.EXTERNAL)
    others = [o.full for o in upstreams(one.scene) if o.full != one.full and state_of(o) in leading]
    return others if kept or empties(one) else []


@rule(reads=("kube",), uses=BESIDE_KUBE)
def no_empty_service_spoils_the_route(scene: Scene) -> Iterator[Finding]:
    """No Service of the route is scaled to zero beside others, and those that get copies are not.

    Traefik drops such a route, or the empty one's part fails where it is told to keep it.
    """
    routing = routing_of(scene)
    copies = copied(scene.kube, routing.winner) if routing.winner is not None else ()
    found = ((copy, scene.service(copy.namespace, copy.name)) for copy in copies)
    mirrors = [(Upstream(scene, copy, service), None) for copy, service in found if service]
    for one, workload in (*_without_pods(scene), *mirrors):
        others = _spoils(one)
        if not others or (workload is None and all(one is not mirror for mirror, _ in mirrors)):
            continue
        refs = (ref_of(workload),) if workload is not None else ()
        yield of_service(
            "END020",
            one,
            variant="copies" if not refs else None if empties(one) else "part",
            workload=listing(refs),
            resource=f"{refs[0].kind.lower()}/{refs[0].name}" if refs else "",
            others=listing(others),
            related=(*refs, *route_refs(routing)),
        )


@rule(reads=("kube",), uses=BESIDE_KUBE)
def service_selects_pods(scene: Scene) -> Iterator[Finding]:
    """The Service's selector picks pods."""
    for one, scaled in _without_pods(scene):
        if scaled is not None:
            continue
        near = _near(one)
        meant = [pod for pod in near if fixing.nearly(one.selector, pod.metadata.labels)]
        shown = listing(sorted({labels_as_text(_own_labels(pod)) for pod in near}), 2)
        names = listing((p.name for p in near), 3)
        words = text("near", "pods", count=len(near), labels=shown, names=names)
        yield of_service(
            "END001",
            one,
            one.at("spec.selector"),
            selector=labels_as_text(one.selector),
            near=words if near else text("near", "none"),
            labels=text("near", "labels", labels=shown) if near else "",
            related=workload_refs(near, one.namespace, 4),
            **fixing.selecting(scene, one.service, meant),
        )


def _own_labels(pod: Pod) -> dict[str, str]:
    return {k: v for k, v in pod.metadata.labels.items() if k != "pod-template-hash"}


def _near(one: Upstream) -> list[Pod]:
    """Pods that share a key, a value, or something of the Service's name with the selector."""
    words = {value.lower() for value in (*one.selector.values(), one.name)}
    found = []
    for pod in one.scene.kube.of(Pod, one.namespace).or_else(()) or ():
        labels = pod.metadata.labels
        if pod_state.terminal(pod):
            continue
        same = any(labels.get(k) == v for k, v in one.selector.items())
        values = [value.lower() for value in _own_labels(pod).values()]
        alike = any(value in word or word in value for value in values for word in words)
        if same or alike or set(one.selector) & set(labels):
            found.append((not same, pod.name, pod))
    return [pod for _, _, pod in sorted(found, key=lambda row: row[:2])]


def missing_port_name(one: Upstream) -> tuple[str, list[str]] | None:
    """The targetPort's name that no container port has, and the names that there are."""
    port = one.port
    if port is None or not isinstance(port.target_port, str):
        return None
    if any(slice_ports(one_slice, port) for one_slice in one.slices or ()):
        return None
    ports = (p for pod in one.pods for container in pod.spec.containers for p in container.ports)
    names = sorted({p.name for p in ports if p.name})
    return None if port.target_port in names else (port.target_port, names)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def target_port_is_named_in_the_pods(scene: Scene) -> Iterator[Finding]:
    """A targetPort that is a name is the name of a container port."""
    for one in judged(scene, State.EMPTY):
        missing = missing_port_name(one) if one.selector and one.pods_listed and one.pods else None
        if missing is not None and one.port is not None:
            yield of_service(
                "END002",
                one,
                one.at("spec.ports"),
                port=one.port.port,
                target=missing[0],
                names=listing(missing[1]),
                related=workload_refs(one.pods, one.namespace, 4),
                **fixing.target_port(one.service, one.port, fixing.only(*missing)),
            )


@rule(reads=("kube",), uses=BESIDE_KUBE, claims=Claim.STOPS_A_PART)
def endpoints_are_listed(scene: Scene) -> Iterator[Finding]:
    """An EndpointSlice lists addresses for the Service's port."""
    for one in judged(scene, State.EMPTY):
        key, words = _why_empty(one)
        if key:
            detail, advice = text("backend", key, **words), text("backend_advice", key, **words)
            edit = _slice_named(one) if key == "port_name" else {}
            yield of_service("END012", one, detail=detail, advice=advice, **edit)


def _slice_named(one: Upstream) -> Words:
    """The edit of the one slice's only port, which somebody keeps by hand."""
    own = [each for each in one.slices or () if each.endpoints]
    if len(own) != 1 or len(own[0].ports) != 1 or one.port is None:
        return {}
    return fixing.patch(own[0], {"ports[0].name": one.port.name})


def _why_empty(one: Upstream) -> tuple[str, dict[str, str]]:
    """Why nothing is listed, where it is no fault of the pods; the texts' key, "" for none."""
    if one.endpoints and all(e.conditions.terminating for _, _, e in one.endpoints):
        return "leaving", {}
    if one.selector and one.pods_listed:
        if not one.pods or missing_port_name(one) or troubled(one):
            return "", {}
        return "no_addresses" if one.slices else "no_slice", {}
    if one.selector:
        return "no_addresses", {}
    # Nobody keeps a slice, or its ports have other names than the Service's.
    names = {
        p.name for one_slice in one.slices or () if one_slice.endpoints for p in one_slice.ports
    }
    wanted = one.port.name if one.port is not None else ""
    if not names or wanted in names:
        return "unmanaged", {}
    shown = listing(sorted(name or '""' for name in names))
    return "port_name", {"name": wanted or '""', "names": shown}


# --- its pods


def _not_ready(
    code: str, one: Upstream, pods: list[Pod], first: PodState, count: int, /, **more: Any
) -> Finding:
    """So many of the pods are not ready, the `first` for what it says."""
    return of_service(
        code,
        one,
        next(iter(workload_refs(pods, one.namespace)), one.ref),
        count=count,
        total=len(pods),
        reason=first.words,
        advice=first.advice,
        pod=first.name,
        **more,
    )


def _in_trouble(scene: Scene, code: str, *, down: bool) -> Iterator[Finding]:
    """Services without a usable endpoint because of their pods.

    Where something is wrong with the Service as well, only if no pod at all is ready.
    """
    for one in judged(scene, State.EMPTY, State.NO_PORT):
        states = troubled(one) if one.selector and one.pods_listed else []
        fault = one.port is None or missing_port_name(one) is not None
        worst = [state for state in states if state.down]
        if not states or (fault and len(states) < len(one.pods)) or bool(worst) is not down:
            continue
        first = (worst or states)[0]
        related = (one.ref, ObjectRef("Pod", first.name, one.namespace))
        yield _not_ready(code, one, one.pods, first, len(worst), related=related)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def pods_run(scene: Scene) -> Iterator[Finding]:
    """The containers of the Service's pods run."""
    yield from _in_trouble(scene, "END005", down=True)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def pods_are_ready(scene: Scene) -> Iterator[Finding]:
    """A pod of the Service is ready."""
    yield from _in_trouble(scene, "END004", down=False)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def every_pod_is_ready(scene: Scene) -> Iterator[Finding]:
    """Every pod of a Service that serves is ready, or has just been started."""
    for one in judged(scene, State.SERVING):
        pods = [pod for pod in one.pods if not pod_state.leaving(pod)]
        waiting = pod_state.lasting(pods, scene.snapshot.taken_at)
        if waiting:
            yield _not_ready(
                "END006",
                one,
                pods,
                waiting[0][1],
                len(waiting),
                severity=Severity.INFO if pod_state.stands_by(pods, waiting) else None,
                share=len(waiting) / len(pods),
                related=(one.ref,),
            )
